"""Draw README's figure from a finished demo: `python tools/readme_figure.py petfmri-demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from petfmri.reports.figures import paired

OUTCOMES = {
    "suvr:PCC": "SV2A: SUVR in the PCC",
    "segregation": "network segregation",
    "between_fc_Default_SomMot": "Default–SomMot connectivity",
    "madrs": "MADRS",
}


def main(demo: Path) -> None:
    changes = pd.read_csv(demo / "derivatives/petfmri/group/compare/changes.tsv", sep="\t")
    target = Path(__file__).parents[1] / "docs" / "demo.svg"
    with mpl.rc_context({"svg.hashsalt": "petfmri"}):
        paired(changes, OUTCOMES).savefig(target, metadata={"Date": None})
    print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
