"""Measure networks: `python pipelines/networks.py STUDY.yaml`.

The same as `petfmri networks`, and then what a notebook would do with the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.networks import networks
from petfmri.config import load_study
from petfmri.study.files import read_table


def main(path: Path) -> None:
    study = load_study(path)
    networks(study, maps=False)
    many = read_table(study.output / "group" / "networks" / "multiverse.tsv")
    shown = many[many["metric"] == study.primary]
    print(shown[["choice", "n", "pre", "post", "change", "g"]].to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
