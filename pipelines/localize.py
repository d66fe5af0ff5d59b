"""Localize published coordinates: `python pipelines/localize.py STUDY.yaml`.

The same as `petfmri localize`, and then what a notebook would do with the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.localize import localize
from petfmri.config import load_study
from petfmri.study.files import read_table


def main(path: Path) -> None:
    study = load_study(path)
    if localize(study) == 0:
        folder = study.output / "group" / "localize"
        networks = read_table(folder / "networks.tsv")
        print(networks[["direction", "network", "share_of_map", "share_of_network"]].to_string())
        print((folder / "verdict.txt").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
