"""`petfmri demo`: the whole way on a simulated study of twelve, whose true answer is known."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from petfmri.commands.check import find_problems, report, require_usable
from petfmri.commands.compare import compare
from petfmri.commands.context import cohort_of, n_cores
from petfmri.commands.overview import write_overview
from petfmri.commands.predict import predict
from petfmri.commands.run import run
from petfmri.commands.simulate import simulate
from petfmri.config import Study, load_study
from petfmri.simulation.recovery import COLUMNS, recovered_effects
from petfmri.statistics.prepost import Comparison
from petfmri.study.files import write_table, write_text

STUDY = """\
# The demo: a simulated open-label pre/post study of twelve people. See configs/prepost.yaml in the
# repository for every option.
name: petfmri demo (simulated)
bids: bids
output: derivatives/petfmri
pet: {tracer: UCBJ, window_min: [60, 90], reference: semiovale}
symptoms: {table: phenotype/madrs.tsv, score: madrs}
primary: suvr:PCC
voxels: {tfce_permutations: 100}   # 500 by default; fewer, to be quick
simulation: {preset: demo, seed: 1}
"""


def main(arguments: argparse.Namespace) -> int:
    """Make, check, run, compare and predict the demo study in `arguments.folder`."""
    folder: Path = arguments.folder.resolve()
    path = folder / "study.yaml"
    if not path.exists():
        write_text(STUDY, path)
    study, n_procs, start = load_study(path), n_cores(arguments.n_procs), time.monotonic()

    def say(step: str) -> None:
        print(f"[{time.monotonic() - start:4.0f} s] {step}", flush=True)

    say(f"simulate: twelve people with a planted change, in {folder}")
    if not (folder / "bids" / "dataset_description.json").exists():
        simulate(study, preset=None, n_procs=n_procs)
    say("check: is everything there?")
    problems = find_problems(study, cohort_of(study))
    report(problems)
    require_usable(problems)
    say("run: anatomy, PET, BOLD and their join")
    status = run(
        study, n_procs=n_procs, mem_gb=arguments.mem_gb, work_dir=arguments.work_dir, checked=True
    )
    say("compare: what changed?")
    result = compare(study)
    say("predict: who gets better?")
    predict(study)
    _write_recovered(study, result)
    write_overview(study)
    say(f"done; open {study.output / 'index.html'}")
    return status


def _write_recovered(study: Study, result: Comparison) -> None:
    """Set planted and recovered effects side by side; the overview shows them."""
    assert study.bids is not None and study.symptoms is not None
    table = recovered_effects(
        study.bids / "truth", result.comparisons, result.changes, score=study.symptoms.score
    )
    write_table(table, study.output / "group" / "recovered.tsv", COLUMNS)
