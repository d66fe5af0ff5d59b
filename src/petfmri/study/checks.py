"""Everything that is wrong with a cohort, at once, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeAlias

from petfmri.errors import Problem
from petfmri.study import check_bold, check_pet
from petfmri.study.bids import Cohort, Participant, Scan, Session, plain_tracer, tracer_of
from petfmri.study.check_bold import BoldNeeds
from petfmri.study.check_images import (
    Image,
    geometry_problems,
    inspect_image,
    lesion_problems,
    same_content,
)
from petfmri.study.check_tables import listed, table_problems

Kind: TypeAlias = Literal["pet", "bold", "T1w"]


def check_cohort(
    cohort: Cohort,
    *,
    columns: Sequence[str] = (),
    score: str | None = None,
    window_s: tuple[float, float] | None = None,
    bold: BoldNeeds = BoldNeeds(),  # noqa: B008 (immutable)
    voxels: bool = True,
    n_threads: int = 1,
) -> list[Problem]:
    """Find every problem of a dataset: files, sidecars, images, tables and how they pair.

    Parameters
    ----------
    cohort : Cohort
    columns : sequence of str
        Columns of sessions.tsv (or participants.tsv) that the study needs.
    score : str, optional
        Score of the symptom table that the study needs.
    window_s : (float, float), optional
        Seconds after injection that the PET frames must cover.
    bold : BoldNeeds
        What the options of the BOLD branch need.
    voxels : bool
        Decompress every image once, to find truncation, damage and NaN: about 0.7 s of CPU per
        100 MB of voxels, so some 2 s per session. Without it only headers are read.
    n_threads : int
        Images read at a time.

    Returns
    -------
    list of Problem
        Errors first. With errors the study should not be run; with warnings it is less complete.
    """
    scans = list(_scans(cohort))
    with ThreadPoolExecutor(n_threads) as pool:
        images = list(pool.map(lambda item: inspect_image(item[1].path, voxels=voxels), scans))
    problems = [
        *cohort.problems,
        *table_problems(cohort, columns=columns, score=score),
        *_pairs(cohort),
        *(
            problem
            for person in cohort.participants
            for problem in _completeness(person, _modalities(cohort))
        ),
        *_one_tracer(cohort),
        *(problem for person in cohort.participants for problem in check_bold.sampling(person)),
    ]
    for (kind, scan, person), image in zip(scans, images, strict=True):
        problems += _scan_problems(kind, scan, person, image, window_s, bold)
    first_t1w = {
        person.id: image
        for (kind, scan, person), image in zip(scans, images, strict=True)
        if kind == "T1w" and scan is person.t1w[0] and image.problem is None
    }
    for person in cohort.participants:
        for path in person.lesions if person.id in first_t1w else ():
            problems += lesion_problems(path, first_t1w[person.id])
    problems += same_content(
        (kind, scan, image) for (kind, scan, _), image in zip(scans, images, strict=True)
    )
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.severity != "error")


def _scans(cohort: Cohort) -> Iterator[tuple[Kind, Scan, Participant]]:
    for person in cohort.participants:
        yield from (("T1w", scan, person) for scan in person.t1w)
        for session in person.sessions:
            yield from (("pet", scan, person) for scan in session.pet)
            yield from (("bold", scan, person) for scan in session.bold)


def _scan_problems(
    kind: Kind,
    scan: Scan,
    person: Participant,
    image: Image,
    window_s: tuple[float, float] | None,
    bold: BoldNeeds,
) -> list[Problem]:
    """Sidecar first; an image that cannot be read is not judged any further."""
    problems = list(_misplaced(scan))
    if kind == "pet":
        problems += check_pet.sidecar_problems(scan, person, window_s)
    elif kind == "bold":
        problems += check_bold.sidecar_problems(scan)
    if image.problem is not None:
        return [*problems, image.problem]
    problems += geometry_problems(image, kind)
    if kind == "pet":
        return problems + check_pet.image_problems(scan, image)
    if kind == "bold":
        options = check_bold.option_problems(scan, image, bold)
        return problems + check_bold.image_problems(scan, image) + options
    if image.n_frames > 1:
        found, expected = f"{image.n_frames} volumes", "one 3-D image"
        problems.append(Problem(scan.path.name, found, expected, "convert it again"))
    return problems


def _misplaced(scan: Scan) -> Iterator[Problem]:
    """Compare the name of a file with its folders."""
    for entity in ("sub", "ses"):
        folders = [part for part in scan.path.parts[-4:-1] if part.startswith(f"{entity}-")]
        named = f"{entity}-{scan.entities[entity]}" if entity in scan.entities else "none"
        expected = folders[-1] if folders else "none"
        if named != expected:
            yield Problem(
                scan.path.name,
                f"{named} in its name, {expected} as its folder",
                "the same in both",
                "move or rename the file",
            )


def _pairs(cohort: Cohort) -> Iterator[Problem]:
    """Compare who was scanned in which role; nobody complete is an error."""
    scanned = {
        role: {person.id for person in cohort.participants if _has_scans(person.session(role))}
        for role in cohort.roles
    }
    complete = set.intersection(*scanned.values())
    if not any(scanned.values()):
        found = sorted({path.name for path in cohort.bids.glob("sub-*/ses-*")})
        named = [label for label in cohort.roles.values() if label in found]
        yield Problem(
            "sessions",
            f"no PET or BOLD of the study in {listed(named)}" if named else listed(found) or "none",
            f"PET or BOLD in {' and '.join(cohort.roles.values())}",
            "correct tracer or task" if named else "correct the names of the sessions",
        )
        return
    for role, label in cohort.roles.items() if cohort.paired else ():
        without = [person.id for person in cohort.participants if person.id not in scanned[role]]
        if without:
            yield Problem(
                label,
                f"no PET or BOLD for {listed(without)}",
                f"the {role} session of every participant",
                "add it; without it a person has no part in the comparison",
                "warning" if complete else "error",
            )


def _has_scans(session: Session | None) -> bool:
    return session is not None and bool(session.pet or session.bold)


def _modalities(cohort: Cohort) -> set[str]:
    """Say what every session is to have: PET and BOLD; where visits may be missing, what anybody has."""
    sessions = [session for person in cohort.participants for session in person.sessions]
    return {"pet", "bold"} - {
        kind
        for kind in ("pet", "bold")
        if not cohort.paired and all(kind in session.missing for session in sessions)
    }


def _completeness(person: Participant, wanted: set[str]) -> Iterator[Problem]:
    """Check that a person has a T1w, and each session all that is wanted and one PET scan."""
    if not person.t1w and any(_has_scans(session) for session in person.sessions):
        yield Problem(
            person.id,
            "no T1w",
            "at least one, in anat/ of the person or of any session",
            "add it, or leave this participant out",
        )
    for session in person.sessions:
        where = f"{person.id} {session.id}"
        missing = [kind for kind in session.missing if kind in wanted]
        if _has_scans(session) and missing:
            yield Problem(
                where,
                f"no {' and no '.join(missing)} image",
                "PET and BOLD in every session",
                "add it; the other modality is still analysed",
                "warning",
            )
        yield from _doubled(where, session)


def _doubled(where: str, session: Session) -> Iterator[Problem]:
    if len(session.pet) > 1:
        yield Problem(
            where,
            f"{len(session.pet)} PET images ({listed(scan.path.name for scan in session.pet)})",
            "one",
            "name the tracer in the study, or move the others out of the dataset",
        )
    echoes = {scan.entities["echo"] for scan in session.bold if "echo" in scan.entities}
    if len(echoes) > 1:
        yield Problem(
            where,
            f"BOLD of {len(echoes)} echoes",
            "one image per run",
            "combine the echoes, or keep the second alone",
        )
    runs = [
        scan.entities.get("run", "none") for scan in session.bold if "echo" not in scan.entities
    ]
    for run in sorted({run for run in runs if runs.count(run) > 1}):
        alike = listed(s.path.name for s in session.bold if s.entities.get("run", "none") == run)
        found = f"BOLD runs that differ in other than run- ({alike})"
        yield Problem(
            where,
            found,
            "runs told apart by run-, as their results are",
            "give each a run- of its own, or move what is not analysed out of the dataset",
        )
    stems = [scan.path.name.partition(".")[0] for scan in (*session.t1w, *session.bold)]
    for stem in sorted({stem for stem in stems if stems.count(stem) > 1}):
        found = f"{stem} as .nii and as .nii.gz"
        yield Problem(where, found, "each image once", "remove one of them")


def _one_tracer(cohort: Cohort) -> Iterator[Problem]:
    tracers = {
        plain_tracer(tracer_of(scan)): str(tracer_of(scan))
        for person in cohort.participants
        for session in person.sessions
        for scan in session.pet
        if tracer_of(scan) is not None
    }
    if len(tracers) > 1:
        yield Problem(
            "*_pet.nii.gz",
            f"tracers {listed(sorted(tracers.values()))}",
            "one tracer in one analysis",
            "name the tracer in the study",
        )
