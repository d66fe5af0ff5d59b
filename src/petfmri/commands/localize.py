"""`petfmri localize`: from published coordinates to the network that they share, and its checks."""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from petfmri.commands.check import report, require_usable
from petfmri.commands.context import cleaning_of, group_folder, n_cores
from petfmri.commands.localize_files import deliver, write_inputs
from petfmri.commands.localize_inputs import (
    RECORD,
    Given,
    digest,
    gather,
    longest_run,
    rule_of,
    section,
)
from petfmri.config import Study, load_study
from petfmri.errors import DatasetError, Problem
from petfmri.localization.contrasts import contrasts_of
from petfmri.localization.group import LEAST_PEOPLE
from petfmri.localization.localize import by_direction, usable
from petfmri.localization.space import save_space
from petfmri.localization.store import Store
from petfmri.study.files import read_json, write_json

if TYPE_CHECKING:
    from petfmri.execution.digest import Failure
    from petfmri.execution.profiles import Profile


def main(arguments: argparse.Namespace) -> int:
    """Localize the coordinates of `arguments.study`; 1 if a person's series could not be read."""
    return localize(
        load_study(arguments.study),
        profile=arguments.profile,
        n_procs=n_cores(arguments.n_procs),
        mem_gb=arguments.mem_gb,
        work_dir=arguments.work_dir,
    )


def localize(
    study: Study,
    *,
    profile: str = "laptop",
    n_procs: int = 1,
    mem_gb: float | None = None,
    work_dir: Path | None = None,
) -> int:
    """Check everything, fill the store, map, judge, write ``group/localize``.

    Raises
    ------
    PetfmriError
        With every problem of coordinates, atlas and normative set.
    """
    from petfmri.execution.profiles import load_profile, total_memory_gb
    from petfmri.workflows.memory import PROCESS_GB

    given, problems = gather(study)
    report(problems)
    require_usable(problems)
    assert given is not None  # else there was an error
    asked = section(study)
    if asked.preview is not None:
        return _preview(study, given)
    budget_gb = (mem_gb or 0.9 * total_memory_gb()) - PROCESS_GB
    chosen = load_profile(profile, n_procs=n_procs, memory_gb=budget_gb)
    work = work_dir or study.output / "work"
    record, failures = _fill_store(study, given, chosen, work)
    people = {name: one for name, one in record["people"].items() if name in given.sources}
    if not failures:
        used = _used(people)
        failures = _group(study, given, used, chosen, work)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    if failures:
        print("Nothing was localized: repair these, or take them away, and call the same again.")
        return 1
    deliver(
        study,
        given,
        work / "localization" / "network" / "results",
        people=len(used),
        excluded=pd.DataFrame(_excluded(people)),
    )
    for row in _excluded(people):
        print(f"left out: {row['person']}, {row['run']}: {row['reason']}", file=sys.stderr)
    print(f"Written to {group_folder(study, 'localize')}: maps, tables and localize.html")
    return 0


def _used(people: dict[str, Any]) -> list[str]:
    """Name the people with a run that counts.

    Raises
    ------
    DatasetError
        If they are too few.
    """
    used = sorted(name for name, one in people.items() if one["used"])
    if len(used) < LEAST_PEOPLE:
        reasons = [f"{row['person']}: {row['reason']}" for row in _excluded(people)]
        raise DatasetError(
            "localization.normative",
            f"{len(used)} people ({'; '.join(reasons[:3])})",
            f"at least {LEAST_PEOPLE} with a run that counts",
            "add people, or lower bold: minimum_kept_s knowing what that means",
        )
    return used


def _excluded(people: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"person": name, "run": run, "reason": reason}
        for name, one in sorted(people.items())
        for run, reason in one["excluded"].items()
    ]


def _fill_store(
    study: Study, given: Given, profile: Profile, work: Path
) -> tuple[dict[str, Any], list[Failure]]:
    """Read whoever is not in the store, or was made of other files or settings."""
    from petfmri.execution.run import run_workflow
    from petfmri.workflows.localization import PEOPLE, StoreValues, normative_workflow
    from petfmri.workflows.steps import word

    path = given.store / RECORD
    record: dict[str, Any] = read_json(path) if path.exists() else {"people": {}}
    if not given.people:
        return record, []
    store = Store(given.store, given.space)
    known = record["people"]
    wanted = {
        name: runs
        for name, runs in given.people.items()
        if not (
            known.get(name, {}).get("source") == given.sources[name]
            and (store.is_current(name, given.sources[name]) or not known[name]["used"])
            and record.get("space") == given.space.digest()
        )
    }
    print(f"{len(given.people) - len(wanted)} of {len(given.people)} people are in the store.")
    if not wanted:
        return record, []
    given.store.mkdir(parents=True, exist_ok=True)
    space = save_space(given.space, given.store / "space.nii.gz")
    normative = section(study).normative
    assert normative is not None
    dummy = study.bold.dummy_scans
    workflow = normative_workflow(
        wanted,
        given.sources,
        StoreValues(given.store, space, given.space.n_elements),
        cleaning=asdict(cleaning_of(study.bold)),
        dummy=None if dummy == "auto" else dummy,
        parcels=given.parcels,
        key=normative.key,
        frames=longest_run(wanted),
    )
    outcome = run_workflow(workflow, profile, work_dir=work, progress=sys.stderr.isatty())
    same = record.get("space") == given.space.digest()
    people = {name: one for name, one in known.items() if same and name not in wanted}
    for name in wanted:
        made = work / PEOPLE / word(name) / "series" / "record.json"
        if name not in {failure.participant for failure in outcome.failures} and made.exists():
            people[name] = read_json(made)
    record = {
        "space": given.space.digest(),
        "parcels": given.parcels,
        "cleaning": cleaning_of(study.bold).conditions
        if any(run.confounds for runs in given.people.values() for run in runs)
        else "as given",
        "people": dict(sorted(people.items())),
    }
    write_json(record, path)
    return record, outcome.failures


def _group(
    study: Study, given: Given, names: list[str], profile: Profile, work: Path
) -> list[Failure]:
    from petfmri.execution.run import run_workflow
    from petfmri.workflows.localization import StoreValues, group_workflow

    asked = section(study)
    rule = rule_of(asked)
    files = write_inputs(given, work / "localization_inputs")
    kept, _ = usable(contrasts_of(given.peaks), given.space, rule)
    sources = [f"{name} {given.sources[name]}" for name in names]
    workflow = group_workflow(
        files["peaks"],
        {name: len(rows) for name, rows in by_direction(kept).items()},
        names,
        StoreValues(given.store, files["space"], given.space.n_elements),
        state=digest(given.space.digest(), *sources),
        rule=asdict(rule),
        labels=files["labels"],
        regions=files["regions"],
        radii_mm=list(asked.radii_mm),
        shares=list(asked.overlaps),
        draws=asked.nulls,
        permutations=asked.permutations,
        seed=asked.seed,
        about={
            "NormativePeople": len(names),
            "RadiusMm": rule.radius_mm,
            "Correction": f"{rule.correction}, alpha {rule.alpha:g}",
            "Overlap": rule.share,
            "MinClusterVoxels": rule.min_voxels,
        },
    )
    return run_workflow(workflow, profile, work_dir=work, progress=sys.stderr.isatty()).failures


def _preview(study: Study, given: Given) -> int:
    """Map with a group-mean matrix, and say on every output that this is no inference."""
    from petfmri.localization.output_files import write_results
    from petfmri.localization.outputs import Regions
    from petfmri.localization.preview_outputs import preview_results

    asked = section(study)
    assert asked.preview is not None
    assert given.mean_r is not None
    found = preview_results(
        given.peaks,
        given.mean_r,
        given.space,
        rule_of(asked),
        Regions(given.space.labels_of(given.labels), given.atlas.table),
        threshold=asked.preview.threshold,
        radii_mm=asked.radii_mm,
        shares=asked.overlaps,
    )
    made = study.output / "work" / "localization_preview"
    shutil.rmtree(made, ignore_errors=True)
    write_results(
        found, given.space, made, about={"Prefix": "preview_", "Threshold": asked.preview.threshold}
    )
    deliver(study, given, made, people=0, excluded=pd.DataFrame())
    shutil.rmtree(made)
    print(
        f"Written to {group_folder(study, 'localize')}: a preview, without inference, and localize.html"
    )
    return 0


def check(study: Study) -> list[Problem]:
    """Report what `petfmri localize` would stop at, and what it would do."""
    given, problems = gather(study)
    report(problems)
    if given is not None:
        print("\n".join(plan(study, given)))
    return problems


def plan(study: Study, given: Given) -> list[str]:
    """Describe what `localize` would do."""
    asked = section(study)
    kept, dropped = usable(contrasts_of(given.peaks), given.space, rule_of(asked))
    lines = [
        f"`localize` would map {len(given.peaks)} peaks into {group_folder(study, 'localize')}:"
    ]
    for name, rows in by_direction(kept).items():
        studies = len({kept[row].study for row in rows})
        lines.append(f"  {name}: {len(rows)} contrasts of {studies} studies")
    if dropped:
        lines.append(f"  without a peak in the mask: {', '.join(dropped)}")
    where = f"{given.space.n_voxels} voxels of {abs(given.space.affine[0, 0]):g} mm"
    if given.space.n_elements != given.space.n_voxels:
        where += f" in {given.space.n_elements} parcels"
    lines.append(f"  maps: {where}")
    if asked.preview is not None:
        lines.append("  preview: threshold on mean r, no inference")
    else:
        lines.append(f"  {len(given.sources)} normative people; store: {given.store}")
        lines.append(f"  {asked.nulls} draws of random coordinates per direction")
    return lines + [f"  {note}" for note in given.notes]
