"""`petfmri run`: every participant through one workflow, then the tidy group tables."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petfmri.commands.adoption import adoption_line, adoption_roots, adoptions
from petfmri.commands.check import find_problems, report, require_usable
from petfmri.commands.context import (
    atlas_of,
    cleaning_of,
    cohort_of,
    n_cores,
    reference_name,
    resolved,
    rois_of,
    strategies_of,
)
from petfmri.config import AtlasFiles, Bold, ReferenceLabels, Study, load_study
from petfmri.errors import ConfigError, Problem
from petfmri.study.adopted import Adopted, AdoptedBold, AdoptedPet
from petfmri.study.adoption import sources_of
from petfmri.study.bids import Cohort, Participant, Scan, Session, tracer_of
from petfmri.study.files import read_json, write_text
from petfmri.study.layout import Names
from petfmri.study.names import write_dataset_description
from petfmri.workflows.values import BoldRun, PetScan, SessionScans, Settings

if TYPE_CHECKING:
    from petfmri.execution.digest import Failure

SOFTWARE = ("nipype", "nibabel", "numpy", "scipy", "pandas", "picsl-greedy", "niimath")


def main(arguments: argparse.Namespace) -> int:
    """Run the study of `arguments.study`; 1 if a participant failed."""
    return run(
        load_study(arguments.study),
        participants=arguments.participant_label,
        profile=arguments.profile,
        n_procs=n_cores(arguments.n_procs),
        mem_gb=arguments.mem_gb,
        work_dir=arguments.work_dir,
    )


def run(
    study: Study,
    *,
    participants: list[str] | None = None,
    profile: str = "laptop",
    n_procs: int,
    mem_gb: float | None = None,
    work_dir: Path | None = None,
    checked: bool = False,
) -> int:
    """Process what is not current, write the group tables, and return the exit status."""
    from petfmri.execution.profiles import load_profile, total_memory_gb
    from petfmri.execution.provenance import is_current
    from petfmri.workflows.memory import PROCESS_GB

    budget_gb = (mem_gb or 0.9 * total_memory_gb()) - PROCESS_GB  # this process leads the others
    chosen = load_profile(profile, n_procs=n_procs, memory_gb=budget_gb)
    cohort = cohort_of(study, participants)
    settings = settings_of(study, cohort)
    adopted = adoptions(study, cohort)
    roots = adoption_roots(study)
    made_from = {
        person.id: _provenance(person, cohort, adopted[person.id], roots, settings)
        for person in cohort.participants
    }
    stale = [
        person
        for person in cohort.participants
        if not is_current(_record(study, person.id), made_from[person.id], outputs_in=study.output)
    ]
    failures: list[Failure] = []
    if mem_gb is not None:
        _require_memory(stale, adopted, mem_gb)
    if stale:
        if not checked:
            problems = find_problems(study, cohort, adopted=adopted)
            report(problems)
            require_usable(problems)
        for person in stale if roots else ():
            print(adoption_line(person.id, adopted[person.id]))
        failures = _process(
            study, stale, adopted, settings, made_from, chosen, work_dir or study.output / "work"
        )
    else:
        print(f"{len(cohort.participants)} participants are up to date; 0 steps executed.")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    _write_results(study, stale, settings, n_procs=n_procs, failures=failures)
    return 1 if failures else 0


def _largest_step_gb(person: Participant, adopted: Adopted) -> float:
    """Estimate what the largest step of a participant takes, with adopted series or raw, GB."""
    from petfmri.workflows.memory import step_gb

    scans = [scan.path for session in person.sessions for scan in (*session.pet, *session.bold)]
    kept = (*adopted.scans.values(), *adopted.runs.values())
    scans += [one.series for one in kept if one.series is not None]
    anatomy = [adopted.anat.t1w] if adopted.anat.t1w else [scan.path for scan in person.t1w]
    return max(step_gb(*anatomy, scan) for scan in scans) if scans else step_gb(*anatomy)


def _require_memory(
    people: Sequence[Participant], adopted: Mapping[str, Adopted], mem_gb: float
) -> None:
    """Refuse a limit within which not even one step at a time can stay."""
    from petfmri.workflows.memory import PROCESS_GB

    needs = {
        person.id: PROCESS_GB + _largest_step_gb(person, adopted[person.id]) for person in people
    }
    problems = [
        Problem(
            f"--mem-gb, {person}",
            f"{mem_gb:g} GB",
            f"at least {math.ceil(10 * need) / 10:g} GB, for images of this size",
            "allow more",
        )
        for person, need in needs.items()
        if need > mem_gb
    ]
    if problems:
        raise ConfigError.of(problems)


def settings_of(study: Study, cohort: Cohort) -> Settings:
    """Turn the configuration into the values of the workflow."""
    custom = isinstance(study.pet.reference, ReferenceLabels)
    files = study.atlas if isinstance(study.atlas, AtlasFiles) else None
    return Settings(
        atlas=files.image if files else str(study.atlas),
        atlas_table=files.table if files else None,
        reference=reference_name(study),
        reference_regions=study.pet.reference.regions if custom else (),
        other_references=tuple(
            name for name in study.multiverse.reference if name != reference_name(study)
        ),
        psf_mm=study.pet.psf_xyz_mm,
        tracer=study.pet.tracer or _only_tracer(cohort),
        window_s=study.pet.window_s,
        pet_motion=study.pet.motion,
        pet_coregistration=study.pet.coregistration,
        task=study.bold.task,
        dummy_scans=study.bold.dummy_scans,
        slice_timing=study.bold.slice_timing,
        distortion=study.bold.distortion,
        cleaning=cleaning_of(study.bold),
        n_compcor=5 if any("aCompCor" in name for name in strategies_of(study)) else 0,
        networks=study.networks or (),
        rois=rois_of(study, list(atlas_of(study).table["name"])),
    )


def names_of(study: Study, settings: Settings, participant: str) -> Names:
    """Say where a participant's results lie."""
    return Names(
        study.output, participant, settings.seg, settings.tracer, settings.reference, settings.task
    )


def _only_tracer(cohort: Cohort) -> str | None:
    scans = [
        scan
        for person in cohort.participants
        for session in person.sessions
        for scan in session.pet
    ]
    return tracer_of(scans[0]) if scans else None


def _process(
    study: Study,
    people: Sequence[Participant],
    adopted: Mapping[str, Adopted],
    settings: Settings,
    made_from: dict[str, Any],
    profile: Any,
    work_dir: Path,
) -> list[Failure]:
    """Run the workflows of all people; write the provenance of those who are complete."""
    from petfmri.execution.provenance import write_provenance, write_started
    from petfmri.execution.run import run_workflow
    from petfmri.execution.side_by_side import run_side_by_side
    from petfmri.workflows.participant import participant_workflow
    from petfmri.workflows.study import study_workflow

    write_dataset_description(study.output, name=study.name, source=study.bids)
    usable = [person for person in people if person.t1w and person.sessions]
    builds = {
        person.id: partial(
            participant_workflow,
            person.id,
            t1w=person.t1w[0].path,
            further_t1w=[scan.path for scan in person.t1w[1:]],
            lesions=person.lesions,
            adopted=adopted[person.id].anat,
            sessions=[
                _scans(session, adopted[person.id], study.bold) for session in person.sessions
            ],
            output=study.output,
            settings=settings,
        )
        for person in usable
    }
    for person in usable:
        _remove_earlier(study, person.id)
        write_started(_record(study, person.id), _targets(builds[person.id](), study.output))
    shown = sys.stderr.isatty()
    n_procs = profile.plugin_args.get("n_procs", 1)
    if profile.plugin == "MultiProc" and len(builds) >= n_procs > 1:
        outcome = run_side_by_side(
            builds,
            n_procs=n_procs,
            memory_gb=profile.plugin_args["memory_gb"],
            participant_gb=max(_largest_step_gb(one, adopted[one.id]) for one in usable),
            work_dir=work_dir,
            progress=shown,
        )
    else:
        whole = study_workflow(build() for build in builds.values())
        outcome = run_workflow(whole, profile, work_dir=work_dir, progress=shown)
    print(f"{outcome.executed} of {outcome.nodes} steps executed for {len(usable)} participants.")
    failed = {failure.participant for failure in outcome.failures}
    software = {name: version(name) for name in SOFTWARE}
    for person in usable:
        if person.id not in failed:
            write_provenance(
                _record(study, person.id),
                made_from[person.id],
                outputs=[
                    path
                    for path in _targets(builds[person.id](), study.output)
                    if (study.output / path).exists()
                ],
                software=software,
            )
    return outcome.failures


def _remove_earlier(study: Study, participant: str) -> None:
    """Remove what was made from other inputs or settings, lest it pass for a current result."""
    record = _record(study, participant)
    if record.exists():
        for output in read_json(record).get("outputs", []):
            (study.output / output).unlink(missing_ok=True)
        record.unlink()


def _targets(workflow: Any, root: Path) -> list[str]:
    """List the files that a workflow is to deliver, relative to `root`."""
    targets = [
        Path(target)
        for node in workflow._create_flat_graph().nodes()
        for target in node.inputs.trait_get().get("targets") or ()
    ]
    sidecars = [Path(str(path).removesuffix(".gz")).with_suffix(".json") for path in targets]
    return [str(path.relative_to(root)) for path in (*targets, *sidecars)]


def _scans(session: Session, adopted: Adopted, options: Bold) -> SessionScans:
    scan = session.pet[0] if session.pet else None
    pet = None
    if scan is not None:
        kept = adopted.scans.get(scan.path, AdoptedPet())
        pet = PetScan(scan.path, dict(scan.sidecar), kept)
    return SessionScans(
        id=session.id,
        pet=pet,
        runs=tuple(
            _run(run, adopted.runs.get(run.path, AdoptedBold()), options) for run in session.bold
        ),
    )


def _run(run: Scan, adopted: AdoptedBold, options: Bold) -> BoldRun:
    """Take from the sidecar what the options need of this run, and no more."""
    in_time = options.slice_timing and not adopted.series
    return BoldRun(
        run.path,
        float(run.sidecar["RepetitionTime"]),
        run.entities.get("run"),
        adopted,
        slice_times_s=tuple(run.sidecar["SliceTiming"]) if in_time else (),
        slice_direction=run.sidecar.get("SliceEncodingDirection", "k"),
        phase_encoding=(
            None if options.distortion == "none" else run.sidecar.get("PhaseEncodingDirection")
        ),
    )


def _record(study: Study, participant: str) -> Path:
    return study.output / participant / f"{participant}_provenance.json"


def _provenance(
    person: Participant,
    cohort: Cohort,
    adopted: Adopted,
    roots: Mapping[str, Path],
    settings: Settings,
) -> Any:
    from petfmri.execution.provenance import provenance

    scans = [
        *person.t1w,
        *(scan for session in person.sessions for scan in (*session.pet, *session.bold)),
    ]
    paths = {scan.path for scan in scans} | {
        path for scan in scans for path in scan.origins.values()
    }
    paths.update(person.lesions, adopted.files)
    curves = [scan.curves.with_suffix(".json") for scan in adopted.scans.values() if scan.curves]
    paths.update(path for path in curves if path.exists())
    return provenance(
        paths,
        dataset=cohort.bids,
        options=asdict(settings),
        derivatives=roots,
        sources=sources_of(adopted, roots),
    )


def _write_results(
    study: Study,
    processed: Sequence[Participant],
    settings: Settings,
    *,
    n_procs: int,
    failures: Sequence[Failure],
) -> None:
    """Write the group tables, the pages of the participants just processed, and the overview."""
    from petfmri.commands.overview import write_overview
    from petfmri.commands.pages import write_participant_pages
    from petfmri.commands.tables import flagged_scores, write_group_tables

    cohort = cohort_of(study)
    names = {
        person.id: names_of(study, settings, person.id)
        for person in cohort.participants
        if (study.output / person.id).is_dir()
    }
    if not names:
        return
    write_group_tables(study, cohort, list(names.values()), atlas_of(study).table)
    write_text(resolved(study), study.output / "group" / "study.yaml")
    for line in flagged_scores(study, [person.id for person in processed]):
        print(f"look again: {line}", file=sys.stderr)
    shown = [(person, names[person.id]) for person in processed if person.id in names]
    write_participant_pages(study, shown, n_procs=n_procs)
    write_overview(study, failures=[str(failure) for failure in failures])
