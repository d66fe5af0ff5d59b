"""`petfmri check`: every problem at once, and what `run` would do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from petfmri.commands.adoption import (
    adoption_line,
    adoption_problems,
    adoption_roots,
    adoptions,
)
from petfmri.commands.choices import choice_problems, choices
from petfmri.commands.context import (
    cleaning_of,
    cohort_of,
    config_problems,
    crossover_columns,
    n_cores,
    reference_name,
)
from petfmri.config import Study, load_study
from petfmri.errors import DatasetError, Problem
from petfmri.pet.kinetics.models import MODELS
from petfmri.pet.kinetics.operator import LATEST_START_S
from petfmri.study.adopted import Adopted
from petfmri.study.bids import Cohort
from petfmri.study.check_bold import BoldNeeds
from petfmri.study.check_crossover import crossover_problems, sequence_counts
from petfmri.study.checks import check_cohort


def main(arguments: argparse.Namespace) -> int:
    """Check the study of `arguments.study`; 2 if anything must be repaired."""
    study = load_study(arguments.study)
    status = 0 if study.localization is None else _check_localization(study)
    if study.bids is None and study.derivatives.petprep is not None:
        return max(status, _check_petprep(study, study.derivatives.petprep))
    if study.bids is None and study.localization is not None:
        return status
    cohort = cohort_of(study)
    found = adoptions(study, cohort)
    problems = find_problems(study, cohort, adopted=found)
    report(problems)
    print(plan(study, cohort, found))
    return 2 if any(problem.severity == "error" for problem in problems) else status


def _check_localization(study: Study) -> int:
    from petfmri.commands.localize import check

    return 2 if any(problem.severity == "error" for problem in check(study)) else 0


def _check_petprep(study: Study, folder: Path) -> int:
    """Check the curves of a study that compares PETPrep's tables."""
    from petfmri.study.petprep import read_petprep_study

    roles = {"pre": study.sessions.pre, "post": study.sessions.post}
    _, found = read_petprep_study(folder, roles, trc=study.pet.tracer)
    problems = choice_problems(study, from_tables=True) + found
    report(problems)
    print(f"`compare` would compare the curves of {folder}; primary outcome: {study.primary}")
    return 2 if any(problem.severity == "error" for problem in problems) else 0


def find_problems(
    study: Study,
    cohort: Cohort,
    *,
    adopted: Mapping[str, Adopted] | None = None,
    voxels: bool = True,
) -> list[Problem]:
    """Find every problem of configuration, dataset and what is adopted."""
    if adopted is None:
        adopted = adoptions(study, cohort)
    named = study.columns.model_fields_set  # a column that the user did not name may be absent
    return (
        config_problems(study)
        + choice_problems(study, from_tables=False)
        + late_scans(study, cohort)
        + adoption_problems(study, cohort, adopted, voxels=voxels)
        + _crossover_problems(study, cohort)
        + check_cohort(
            cohort,
            columns=[getattr(study.columns, role) for role in sorted(named)],
            score=study.symptoms.score if study.symptoms else None,
            window_s=study.pet.window_s,
            bold=_bold_needs(study, adopted),
            voxels=voxels,
            n_threads=n_cores(None),
        )
    )


def _crossover_problems(study: Study, cohort: Cohort) -> list[Problem]:
    where = crossover_columns(study)
    return [] if where is None else crossover_problems(cohort, where)


def _bold_needs(study: Study, adopted: Mapping[str, Adopted]) -> BoldNeeds:
    runs = {raw: run for one in adopted.values() for raw, run in one.runs.items()}
    return BoldNeeds(
        study.bold.slice_timing,
        study.bold.distortion,
        resampled=frozenset(raw for raw, run in runs.items() if run.series),
        aligned=frozenset(raw for raw, run in runs.items() if run.xfm),
    )


def late_scans(study: Study, cohort: Cohort) -> list[Problem]:
    """Warn of scans that begin too late for the kinetic models that the study names."""
    models = {choice.model for choice in choices(study)}
    kinetic = sorted(name for name in models if MODELS[name].needs != "window")
    scans = [
        scan
        for person in cohort.participants
        for session in person.sessions
        for scan in session.pet
    ]
    problems = []
    for scan in scans if kinetic else ():
        try:
            first = float(scan.sidecar["FrameTimesStart"][0])
            late_s = first - float(scan.sidecar.get("InjectionStart", 0.0))
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # told by the check of the sidecar
        if late_s > LATEST_START_S:
            problems.append(
                Problem(
                    scan.where("FrameTimesStart"),
                    f"a first frame {late_s / 60:g} min after the injection",
                    f"a scan from the injection on, for {', '.join(kinetic)}",
                    "use SUVR, which needs only a late window",
                    "warning",
                )
            )
    return problems


def require_usable(problems: list[Problem]) -> None:
    """Stop if any problem is an error.

    Raises
    ------
    DatasetError
        With all errors.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DatasetError.of(errors)


def report(problems: list[Problem]) -> None:
    """Print problems, errors first."""
    for problem in problems:
        print(f"{problem.severity}: {problem}", file=sys.stderr)
    errors = sum(problem.severity == "error" for problem in problems)
    print(f"{errors} error{'s' * (errors != 1)}, {len(problems) - errors} warnings.")


def plan(study: Study, cohort: Cohort, adopted: Mapping[str, Adopted]) -> str:
    """Describe what `run` would do."""
    low, high = study.pet.window_min
    lines = [
        f"`run` would process {len(cohort.participants)} participants into {study.output}:",
        f"  PET: SUVR {low:g}-{high:g} min over {reference_name(study)}; atlas {study.atlas}",
        f"  BOLD: task {study.bold.task}, {study.bold.strategy}, {study.bold.band_hz[0]:g}-{study.bold.band_hz[1]:g} Hz,"
        f" censored: {cleaning_of(study.bold).censoring};"
        f" slice timing {'on' if study.bold.slice_timing else 'off'},"
        f" distortion {study.bold.distortion}",
        f"  primary outcome: {study.primary or 'none declared'}",
    ]
    where = crossover_columns(study)
    if where is not None:
        counts = sequence_counts(cohort, where)
        lines.append(f"  sequences: {', '.join(f'{n} {name}' for name, n in counts.items())}")
    ways = [choice.label for choice in choices(study)]
    if ways != [ways[0]] or study.pet.model != "SUVR" or study.pet.pvc != "none":
        lines.append(f"  then `quantify`: {'; '.join(ways)}")
    for person in cohort.participants:
        sessions = [
            f"{session.id} ({session.role}): {len(session.pet)} PET, {len(session.bold)} BOLD"
            for session in person.sessions
        ]
        lines.append(
            f"  {person.id}: {len(person.t1w)} T1w; {'; '.join(sessions) or 'no session of this study'}"
        )
    if adoption_roots(study):
        lines += [f"  {adoption_line(name, one)}" for name, one in adopted.items()]
    return "\n".join(lines)
