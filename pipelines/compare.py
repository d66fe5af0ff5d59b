"""Compare pre and post: `python pipelines/compare.py STUDY.yaml`.

The same as `petfmri compare`, and then what a notebook would do with the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.compare import compare
from petfmri.config import load_study


def main(path: Path) -> None:
    result = compare(load_study(path))
    primary = result.comparisons.iloc[0]
    print(f"{primary['outcome']}: {primary['percent']:.1f} %, p = {primary['p']:.4g}")
    surviving = result.comparisons[result.comparisons["p_fwe"] <= 0.05]
    print(surviving[["outcome", "percent", "g", "p_fwe"]].to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
