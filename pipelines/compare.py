"""Compare, by the design of the study: `python pipelines/compare.py STUDY.yaml`.

The same as `petfmri compare`, and then what a notebook would do with the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.compare import compare
from petfmri.config import load_study


def main(path: Path) -> None:
    result = compare(load_study(path))
    table = result.comparisons
    columns = ("outcome", "contrast", "percent", "estimate", "g", "p", "p_fwe")  # as the design has
    shown = table[[name for name in columns if name in table]]
    print(shown.head(1).to_string(index=False))
    print(shown[table["p_fwe"] <= 0.05].to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
