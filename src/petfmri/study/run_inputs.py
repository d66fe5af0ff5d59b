"""The runs that `petfmri networks` starts from when it has not preprocessed them itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from petfmri.errors import ConfigError, DatasetError, Problem
from petfmri.study.adopted import TEMPLATE
from petfmri.study.check_bold import REPETITION_S
from petfmri.study.check_images import inspect_image
from petfmri.study.check_pet import number
from petfmri.study.derivatives import DerivativeFolder, scan_entities
from petfmri.study.files import read_json
from petfmri.study.fmriprep import CONFOUNDS
from petfmri.study.names import Name, parse_name, with_prefix
from petfmri.study.path_patterns import find_paths, placeholders
from petfmri.study.reader import Reader


@dataclass(frozen=True)
class RunInput:
    """One run of another program.

    Attributes
    ----------
    participant, session : str
        With prefix.
    run : str or None
        ``"1"``, or where runs differ by more, such as ``"dir-AP_run-1"``.
    series : Path
        Parcel series (table, ``.mat``, ``.npy``) or a 4-D image.
    confounds : Path or None
        Table with one row per frame.
    tr_s : float or None
        Repetition time; None where no file tells it.
    denoised : bool
        Nothing is to be regressed or filtered any more.
    mean_fd : float, mm
        Mean framewise displacement of all volumes, where the source tells it, else NaN.
    kept : Path or None
        XCP-D's ``_outliers.tsv``: which frames were kept.
    parcels : Path or None
        XCP-D's table of the parcels, in the order of the columns.
    denoising : str
        How the source says that it was denoised: sessions that differ are not comparable.
    """

    participant: str
    session: str
    run: str | None
    series: Path
    confounds: Path | None
    tr_s: float | None
    denoised: bool
    mean_fd: float = math.nan
    kept: Path | None = None
    parcels: Path | None = None
    denoising: str = ""


class Candidate(NamedTuple):
    """A file that may be the series of a run."""

    participant: str
    session: str
    run: str | None
    path: Path

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What may be there once only."""
        return self.participant, self.session, self.run


Found = tuple[list[RunInput], list[Problem]]


def find_series(
    pattern: Path | str,
    sessions: Sequence[str],
    *,
    confounds: Path | str | None = None,
    tr_s: float | None = None,
    denoised: bool = False,
) -> Found:
    """Find the parcel series of each person, session and run by a pattern of their paths.

    Parameters
    ----------
    pattern : path
        See `find_paths`.
    sessions : sequence of str
        With or without prefix.
    confounds : path, optional
        Pattern of the confound tables, with the same placeholders.
    tr_s : float, optional
        Repetition time; default: RepetitionTime of a JSON of the series' own name.
    denoised : bool

    Returns
    -------
    list of RunInput
        By participant, then in the order of `sessions`, then by run.
    list of Problem
        Warnings: who lacks a session.

    Raises
    ------
    ConfigError
        If a pattern lacks a placeholder or has an unknown one.
    DatasetError
        With every file that is missing or there twice.
    """
    found = [Candidate(*_key(labels), path) for path, labels in find_paths(pattern)]
    chosen, problems = choose(found, sessions, str(pattern))
    tables: dict[tuple[str, str, str | None], Path] = {}
    if confounds is not None:
        if placeholders(confounds) != placeholders(pattern):
            raise ConfigError(
                str(confounds),
                _braces(placeholders(confounds)),
                f"{_braces(placeholders(pattern))}, as in the pattern of the series",
                "write the same placeholders",
            )
        beside = [Candidate(*_key(labels), path) for path, labels in find_paths(confounds)]
        _, doubled = choose(beside, sessions, str(confounds))
        problems += [problem for problem in doubled if problem.severity == "error"]
        tables = {table.key: table.path for table in beside}
        problems += [
            _absent(str(run.path), "no confounds of this run", f"a file like {confounds}")
            for run in chosen
            if run.key not in tables
        ]
    runs = [
        RunInput(*run, tables.get(run.key), tr_s or _own_tr_s(run.path), denoised) for run in chosen
    ]
    return runs, only_warnings(problems)


def find_fmriprep(root: Path | str, sessions: Sequence[str], task: str = "rest") -> Found:
    """Find the preprocessed runs of fMRIPrep in MNI152NLin2009cAsym, with their confounds.

    Of several resolutions of a run, the first by name is taken.

    Parameters
    ----------
    root : path
        The derivatives.
    sessions : sequence of str
        With or without prefix.
    task : str

    Returns
    -------
    list of RunInput
        The repetition time is that of the sidecar, else of the image header.
    list of Problem
        Warnings: who lacks a session.

    Raises
    ------
    DatasetError
        If there is no such run; with every run without confounds or repetition time.
    """
    root = Path(root)
    folder, reader = DerivativeFolder(root), Reader(root)
    found = [
        Candidate(*run_key(scan), path)
        for path, scan in preprocessed(folder, func_folders(root), task)
    ]
    where = f"*_task-{task}_*_space-{TEMPLATE}_*_desc-preproc_bold.nii.gz"
    if not found:
        raise nothing_like(where, root, "_bold.nii.gz")
    chosen, problems = choose(found, sessions, where, people=people_of(root))
    runs = [with_confounds(run, folder, reader, problems) for run in chosen]
    return runs, only_warnings([*problems, *reader.problems])


def preprocessed(
    folder: DerivativeFolder, places: Iterable[Path], task: str
) -> list[tuple[Path, dict[str, str]]]:
    """List fMRIPrep's runs in MNI152NLin2009cAsym with the entities of their scan.

    Of several resolutions of a run, the first by name is taken.
    """
    wanted = {"space": TEMPLATE, "desc": "preproc", "task": task}
    found: dict[str, tuple[Path, dict[str, str]]] = {}
    for place in places:
        for path, name in folder.names(place):
            fits = (name.suffix, name.extension) == ("bold", ".nii.gz")
            if fits and wanted.items() <= name.entities.items():
                scan = scan_entities(name.entities)
                found.setdefault(str(scan), (path, scan))
    return list(found.values())


def with_confounds(
    run: Candidate, folder: DerivativeFolder, reader: Reader, problems: list[Problem]
) -> RunInput:
    """Find fMRIPrep's confounds and the repetition time of a run; add what is absent to problems."""
    name, place = _named(run.path), run.path.parent.relative_to(folder.root)
    scan = scan_entities(name.entities)
    tables = [folder.find(place, s, ".tsv", scan=scan, desc="confounds") for s in CONFOUNDS]
    confounds = next((path for path in tables if path is not None), None)
    if confounds is None:
        expected = "its desc-confounds_timeseries.tsv"
        problems.append(_absent(str(run.path), "no confounds of this run", expected))
    told = reader.sidecar(run.path, name).fields.get("RepetitionTime")
    tr_s = number(told) or inspect_image(run.path, voxels=False).frame_s
    if tr_s is None or not REPETITION_S[0] <= tr_s <= REPETITION_S[1]:
        found_tr = f"a repetition time of {tr_s}"
        problems.append(_absent(str(run.path), found_tr, "0.1 to 10 s in its sidecar"))
    return RunInput(*run, confounds, tr_s, denoised=False)


def choose(
    found: Iterable[Candidate], sessions: Sequence[str], where: str, people: Sequence[str] = ()
) -> tuple[list[Candidate], list[Problem]]:
    """Choose the runs of some sessions, sorted, and say what is missing or there twice.

    Parameters
    ----------
    found : iterable of Candidate
    sessions : sequence of str
        With or without prefix.
    where : str
        What was looked for.
    people : sequence of str
        Who may have runs, beside those of whom one was found.
    """
    found = sorted(found, key=lambda run: (run.participant, _by_number(run.run or ""), run.path))
    wanted = [with_prefix("ses", session) for session in sessions]
    there = sorted({run.session for run in found})
    problems = [_no_session(session, there, where) for session in wanted if session not in there]
    if problems:
        return [], problems
    chosen: dict[tuple[str, str, str | None], Candidate] = {}
    for participant in sorted({*people, *(run.participant for run in found)}):
        for session in wanted:
            own = [run for run in found if run[:2] == (participant, session)]
            if not own:
                remedy = "add it; without it a person has no part in the comparison"
                problems.append(
                    Problem(participant, f"no run of {session}", "each session", remedy, "warning")
                )
            for run in own:
                other = chosen.setdefault(run.key, run)
                if other is not run:
                    problems.append(_twice(other, run))
    return list(chosen.values()), problems


def _by_number(label: str) -> list[tuple[int, str]]:
    """Order labels by the numbers in them: run 2 before run 10."""
    return [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", label)]


def run_key(scan: Mapping[str, str]) -> tuple[str, str, str | None]:
    """Name participant, session and run of a scan by its entities."""
    own = {key: value for key, value in scan.items() if key not in ("sub", "ses", "task")}
    more = "_".join(f"{key}-{value}" for key, value in own.items()) or None
    run = own["run"] if set(own) == {"run"} else more
    return with_prefix("sub", scan["sub"]), with_prefix("ses", scan["ses"]), run


def nothing_like(where: str, root: Path, end: str) -> DatasetError:
    """Say that no session has such a file, and which comes nearest."""
    names = sorted({path.name for path in root.glob(f"sub-*/ses-*/func/*{end}")})
    near = get_close_matches(where, names, n=1, cutoff=0)
    return DatasetError(
        str(root),
        f"no {where} in sub-*/ses-*/func",
        "one for each session",
        f"the nearest name is {near[0]}" if near else "correct the path of the derivatives",
    )


def _key(labels: Mapping[str, str]) -> tuple[str, str, str | None]:
    run = labels.get("run")
    return (
        with_prefix("sub", labels["subject"]),
        with_prefix("ses", labels["session"]),
        str(int(run)) if run is not None and run.isdigit() else run,
    )


def _own_tr_s(series: Path) -> float | None:
    sidecar = series.with_name(f"{series.name.partition('.')[0]}.json")
    return number(read_json(sidecar).get("RepetitionTime")) if sidecar.exists() else None


def _named(path: Path) -> Name:
    name = parse_name(path.name)
    assert name is not None  # it was found by its name
    return name


def func_folders(root: Path) -> list[Path]:
    """List the folders of functional scans, below the root."""
    return [path.relative_to(root) for path in sorted(root.glob("sub-*/ses-*/func"))]


def people_of(root: Path) -> list[str]:
    """List who has a folder."""
    return sorted(path.name for path in root.glob("sub-*") if path.is_dir())


def _no_session(session: str, there: Sequence[str], where: str) -> Problem:
    near = get_close_matches(session, there, n=1, cutoff=0)
    return Problem(
        where,
        f"runs of {', '.join(there)}",
        f"runs of {session}",
        f"the nearest session is {near[0]}",
    )


def _twice(one: Candidate, other: Candidate) -> Problem:
    run = f" run {one.run}" if one.run else ""
    return Problem(
        f"{one.participant} {one.session}{run}",
        f"{one.path} and {other.path}",
        "one file",
        "narrow the pattern, name the space, or take one of them away",
    )


def _absent(where: str, found: str, expected: str) -> Problem:
    return Problem(where, found, expected, "add it, or leave the run out")


def _braces(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


def only_warnings(problems: Sequence[Problem]) -> list[Problem]:
    """Raise all problems if one of them is an error."""
    if any(problem.severity == "error" for problem in problems):
        raise DatasetError.of(problems)
    return list(problems)
