"""Predict symptoms: `python pipelines/predict.py STUDY.yaml`. The same as `petfmri predict`."""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.predict import predict
from petfmri.config import load_study


def main(path: Path) -> None:
    for result in predict(load_study(path)):
        print(
            result.table[["question", "block", "n", "q2", "gain", "p_gain"]].to_string(index=False)
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
