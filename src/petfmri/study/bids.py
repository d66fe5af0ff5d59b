"""Who was scanned when: a cohort read from a BIDS folder by names and sidecars alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from petfmri.errors import DatasetError, Problem
from petfmri.study.lesions import lesion_masks
from petfmri.study.names import bids_label, parse_name, with_prefix
from petfmri.study.reader import Reader, Sidecar


@dataclass(frozen=True)
class Scan:
    """One image file and what its name and sidecars say.

    Attributes
    ----------
    path : Path
        The NIfTI file.
    entities : mapping
        BIDS entities without the suffix, e.g. ``{"sub": "01", "run": "1"}``.
    sidecar : mapping
        Metadata after BIDS inheritance.
    origins : mapping
        Field to the JSON file that gave it.
    readable : bool
        False if a sidecar could not be read; the reason is among the cohort's problems.
    """

    path: Path
    entities: Mapping[str, str]
    sidecar: Mapping[str, Any]
    origins: Mapping[str, Path] = field(default_factory=dict)
    readable: bool = True

    def where(self, key: str) -> str:
        """Name the JSON file and field of `key`, for a message."""
        beside = f"{self.path.name.partition('.')[0]}.json"
        return f"{self.origins[key].name if key in self.origins else beside}: {key}"


@dataclass(frozen=True)
class Session:
    """One visit of one person, with the scans and table row found for it."""

    id: str
    role: str
    t1w: tuple[Scan, ...] = ()
    pet: tuple[Scan, ...] = ()
    bold: tuple[Scan, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Modalities that this session lacks, of ``"pet"`` and ``"bold"``."""
        return tuple(name for name in ("pet", "bold") if not getattr(self, name))


@dataclass(frozen=True)
class Participant:
    """One person.

    Attributes
    ----------
    id : str
        With prefix, e.g. ``"sub-01"``.
    t1w : tuple of Scan
        Every T1w of the person: those outside sessions first, then of any session, also of
        sessions that play no role.
    sessions : tuple of Session
        Those with a role that have a folder or a row in sessions.tsv, in the order of the roles.
    columns : mapping
        The row of participants.tsv.
    lesions : tuple of Path
        Lesion masks of the person (see `petfmri.study.lesions`).
    """

    id: str
    t1w: tuple[Scan, ...]
    sessions: tuple[Session, ...]
    columns: Mapping[str, Any] = field(default_factory=dict)
    lesions: tuple[Path, ...] = ()

    def session(self, role: str) -> Session | None:
        """Return the session with this role, if the person has one."""
        return next((session for session in self.sessions if session.role == role), None)


@dataclass(frozen=True, eq=False)
class Cohort:
    """The people of a study.

    Attributes
    ----------
    bids : Path
        The dataset folder.
    roles : mapping
        Role to session id, e.g. ``{"pre": "ses-pre", "post": "ses-post"}``.
    participants : tuple of Participant
        In the order of their ids.
    participants_table, symptoms : DataFrame or None
        participants.tsv and the symptom table, ids with prefix; None if absent or unreadable.
    symptoms_path : Path or None
        Where the symptom table was looked for.
    session_tables : mapping
        Participant id to its sessions.tsv.
    problems : tuple of Problem
        What could not be read; `check_cohort` reports them with all others.
    paired : bool
        Whether everybody is to have every session; in a crossover visits may be missing.
    """

    bids: Path
    roles: Mapping[str, str]
    participants: tuple[Participant, ...]
    participants_table: pd.DataFrame | None = None
    symptoms: pd.DataFrame | None = None
    symptoms_path: Path | None = None
    session_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    paired: bool = True

    def participant(self, label: str) -> Participant:
        """Return one person by id, with or without prefix."""
        wanted = with_prefix("sub", label)
        return next(person for person in self.participants if person.id == wanted)


def read_cohort(
    bids: Path,
    *,
    sessions: Mapping[str, str],
    tracer: str | None = None,
    task: str = "rest",
    symptoms: Path | None = None,
    participants: Sequence[str] | None = None,
    paired: bool = True,
) -> Cohort:
    """Index a BIDS folder: who was scanned when, with which sidecars and table rows.

    No image is opened. What cannot be read is collected in `Cohort.problems`; a person with a
    modality or session missing stays in.

    Parameters
    ----------
    bids : Path
        The dataset folder.
    sessions : mapping
        Role to session, with or without prefix: ``{"pre": "pre", "post": "ses-post"}``.
    tracer : str, optional
        Use only PET of this tracer: the ``trc-`` entity or, where a name has none, TracerName.
    task : str
        Use only BOLD of this task.
    symptoms : Path, optional
        The symptom table, relative to `bids`.
    participants : sequence of str, optional
        Use only these people, with or without prefix.
    paired : bool
        See `Cohort`.

    Raises
    ------
    DatasetError
        If `bids` is no folder, holds no participants, or lacks one of `participants`.
    """
    bids = Path(bids)
    reader = Reader(bids)
    roles = {role: with_prefix("ses", label) for role, label in sessions.items()}
    folders = _participant_folders(bids, participants)
    people_table = _optional_table(reader, bids / "participants.tsv", "participant_id")
    tables = {
        folder.name: table
        for folder in folders
        if (table := _optional_table(reader, _sessions_path(folder), "session_id")) is not None
    }
    rows = _rows(people_table, "participant_id")
    people = tuple(
        _participant(
            folder, reader, roles, rows, _rows(tables.get(folder.name), "session_id"), task
        )
        for folder in folders
    )
    people = _only_tracer(people, tracer, reader)
    symptoms_path = None if symptoms is None else bids / symptoms
    return Cohort(
        bids=bids,
        roles=roles,
        participants=people,
        participants_table=people_table,
        symptoms=None
        if symptoms_path is None
        else reader.table(symptoms_path, ("participant_id",)),
        symptoms_path=symptoms_path,
        session_tables=tables,
        problems=tuple(reader.problems),
        paired=paired,
    )


def _participant_folders(bids: Path, wanted: Sequence[str] | None) -> list[Path]:
    found = sorted(path for path in bids.glob("sub-*") if path.is_dir())
    if not found:
        state = "no sub-* folders" if bids.is_dir() else "no such folder"
        raise DatasetError(
            str(bids), state, "a BIDS dataset", "correct the path of the BIDS folder"
        )
    if wanted is None:
        return found
    labels = [with_prefix("sub", label) for label in wanted]
    names = [path.name for path in found]
    for label in labels:
        if label not in names:
            near = difflib.get_close_matches(label, names, n=3, cutoff=0.0)
            raise DatasetError(
                str(bids),
                f"no {label}",
                "its folder",
                f"name one there is, such as {', '.join(near)}",
            )
    return [path for path in found if path.name in labels]


def _sessions_path(folder: Path) -> Path:
    return folder / f"{folder.name}_sessions.tsv"


def _optional_table(reader: Reader, path: Path, key: str) -> pd.DataFrame | None:
    return reader.table(path, (key,)) if path.exists() else None


def _rows(table: pd.DataFrame | None, key: str) -> dict[str, dict[str, Any]]:
    """Rows of a table by identifier, the first where it comes twice; missing values are None."""
    if table is None:
        return {}
    values = table.astype(object).where(table.notna(), None).drop_duplicates(key)
    return {
        row[key]: {str(name): value for name, value in row.items()}
        for row in values.to_dict("records")
    }


def _participant(
    folder: Path,
    reader: Reader,
    roles: Mapping[str, str],
    people: Mapping[str, dict[str, Any]],
    visits: Mapping[str, dict[str, Any]],
    task: str,
) -> Participant:
    t1w = {path: _scans(path / "anat", "T1w", reader) for path in [folder, *_visits(folder)]}
    sessions = tuple(
        Session(
            id=label,
            role=role,
            t1w=t1w.get(folder / label, ()),
            pet=_scans(folder / label / "pet", "pet", reader),
            bold=_scans(folder / label / "func", "bold", reader, lambda scan: _is_run(scan, task)),
            columns=visits.get(label, {}),
        )
        for role, label in roles.items()
        if folder / label in t1w or label in visits
    )
    every_t1w = tuple(scan for scans in t1w.values() for scan in scans)
    row, lesions = people.get(folder.name, {}), lesion_masks(reader.root, folder.name)
    return Participant(folder.name, every_t1w, sessions, row, lesions)


def _visits(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("ses-*") if path.is_dir())


def _is_run(scan: Scan, task: str) -> bool:
    return scan.entities.get("task") == task and scan.entities.get("part", "mag") == "mag"


def _scans(
    folder: Path, suffix: str, reader: Reader, keep: Callable[[Scan], bool] = lambda _: True
) -> tuple[Scan, ...]:
    """Images with this suffix in a folder, run-2 before run-10."""
    scans = []
    for path in sorted(folder.glob(f"*_{suffix}.nii*"), key=_natural):
        name = parse_name(path.name)
        if name is None or name.extension not in (".nii", ".nii.gz"):
            continue
        sidecar: Sidecar = reader.sidecar(path, name)
        scans.append(Scan(path, name.entities, sidecar.fields, sidecar.origins, sidecar.readable))
    return tuple(scan for scan in scans if keep(scan))


def _natural(path: Path) -> list[tuple[str, int]]:
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", path.name)]


def _only_tracer(
    people: tuple[Participant, ...], tracer: str | None, reader: Reader
) -> tuple[Participant, ...]:
    """Drop PET of other tracers; a tracer that nobody was scanned with is a problem."""
    if tracer is None:
        return people
    scans = [scan for person in people for session in person.sessions for scan in session.pet]
    names = sorted({tracer_of(scan) or "no trc- entity and no TracerName" for scan in scans})
    if scans and not any(_is_tracer(scan, tracer) for scan in scans):
        reader.problems.append(
            Problem(
                "*_pet.nii.gz", f"PET of {', '.join(names)}", f"of {tracer}", "correct the tracer"
            )
        )
    return tuple(
        replace(
            person,
            sessions=tuple(
                replace(visit, pet=tuple(scan for scan in visit.pet if _is_tracer(scan, tracer)))
                for visit in person.sessions
            ),
        )
        for person in people
    )


def tracer_of(scan: Scan) -> str | None:
    """Tracer of a PET scan: its ``trc-`` entity, else TracerName, else None."""
    return scan.entities.get("trc") or scan.sidecar.get("TracerName")


def plain_tracer(name: object) -> str:
    """Reduce a tracer to what its spellings share: no nuclide, only lower-case letters and digits.

    Examples
    --------
    >>> plain_tracer("[11C]UCB-J"), plain_tracer("UCBJ")
    ('ucbj', 'ucbj')
    """
    return bids_label(re.sub(r"^\W*\d+[A-Z][a-z]?\W+", "", str(name))).lower()


def _is_tracer(scan: Scan, tracer: str) -> bool:
    return plain_tracer(tracer_of(scan) or "") == plain_tracer(tracer)
