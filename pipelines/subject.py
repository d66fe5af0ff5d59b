"""Process every participant of a study: `python pipelines/subject.py STUDY.yaml`.

The same as `petfmri run`, shown as a recipe: check first, then one workflow per participant.
"""

from __future__ import annotations

import sys
from pathlib import Path

from petfmri.commands.check import find_problems, require_usable
from petfmri.commands.context import cohort_of
from petfmri.commands.run import run
from petfmri.config import load_study


def main(path: Path) -> int:
    study = load_study(path)
    cohort = cohort_of(study)
    require_usable(find_problems(study, cohort))
    return run(study, n_procs=2, checked=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
