"""The runs of a normative set: healthy people at rest, whatever their sessions are called."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from petfmri.errors import ConfigError, DatasetError, Problem
from petfmri.study.adopted import TEMPLATE
from petfmri.study.check_bold import REPETITION_S
from petfmri.study.check_images import inspect_image
from petfmri.study.check_pet import number
from petfmri.study.derivatives import DerivativeFolder
from petfmri.study.files import read_json
from petfmri.study.names import with_prefix
from petfmri.study.path_patterns import find_paths, placeholders
from petfmri.study.reader import Reader
from petfmri.study.run_inputs import (
    Candidate,
    RunInput,
    only_warnings,
    preprocessed,
    with_confounds,
)

People = dict[str, list[RunInput]]


def find_normative_fmriprep(root: Path | str, task: str = "rest") -> People:
    """Find everybody's runs in MNI152NLin2009cAsym, of all sessions or of none.

    Returns
    -------
    dict of participant to list of RunInput

    Raises
    ------
    DatasetError
        If there is no such run; with every run without confounds or repetition time.
    """
    root = Path(root)
    folder, reader = DerivativeFolder(root), Reader(root)
    places = sorted({*root.glob("sub-*/func"), *root.glob("sub-*/ses-*/func")})
    runs = preprocessed(folder, [place.relative_to(root) for place in places], task)
    if not runs:
        where = f"*_task-{task}_*_space-{TEMPLATE}_*_desc-preproc_bold.nii.gz"
        names = sorted({path.name for place in places for path in place.glob("*_bold.nii.gz")})
        near = get_close_matches(where, names, n=1, cutoff=0)
        raise DatasetError(
            str(root),
            f"no {where} in sub-*/func or sub-*/ses-*/func",
            "one for each person",
            f"the nearest name is {near[0]}" if near else "correct the path of the derivatives",
        )
    problems: list[Problem] = []
    people: People = {}
    for path, scan in runs:
        rest = "_".join(f"{k}-{v}" for k, v in scan.items() if k not in ("sub", "ses", "task"))
        sub, ses = with_prefix("sub", scan["sub"]), with_prefix("ses", scan.get("ses", ""))
        found = with_confounds(Candidate(sub, ses, rest or None, path), folder, reader, problems)
        people.setdefault(sub, []).append(found)
    only_warnings([*problems, *reader.problems])
    return people


def find_normative(
    pattern: str, *, confounds: str | None = None, tr_s: float | None = None
) -> People:
    """Find everybody's images or parcel series by a pattern of their paths.

    Parameters
    ----------
    pattern : str
        See `find_paths`; only ``{subject}`` is needed.
    confounds : str, optional
        Pattern of the tables, with the same placeholders. Without it the series are clean.
    tr_s : float, optional
        Repetition time; default: sidecar, else header. Read only where there are confounds.

    Returns
    -------
    dict of participant to list of RunInput

    Raises
    ------
    ConfigError, DatasetError
        As `find_paths`; with every run that lacks its confounds or its repetition time, or is
        there twice.
    """
    tables: dict[tuple[str, ...], Path] = {}
    if confounds is not None:
        if placeholders(confounds, ("subject",)) != placeholders(pattern, ("subject",)):
            raise ConfigError(
                confounds,
                "other placeholders",
                f"those of {pattern}",
                "write {subject}, {session}, {run} in both or neither",
            )
        tables = {_key(labels): path for path, labels in find_paths(confounds, ("subject",))}
    people: People = {}
    problems: list[Problem] = []
    seen: dict[tuple[str, ...], Path] = {}
    for path, labels in find_paths(pattern, ("subject",)):
        key = _key(labels)
        if key in seen:
            problems.append(_wrong(path, f"{seen[key]}, of the same run", "one file per run"))
        seen[key] = path
        table = tables.get(key)
        own_tr_s = None
        if confounds is not None and table is None:
            problems.append(_wrong(path, "no confounds of this run", f"a file like {confounds}"))
        elif confounds is not None:
            own_tr_s = tr_s or _repetition_time(path)
            if own_tr_s is None or not REPETITION_S[0] <= own_tr_s <= REPETITION_S[1]:
                found = f"a repetition time of {own_tr_s}"
                problems.append(_wrong(path, found, "0.1 to 10 s, in its JSON or as tr_s:"))
        run = "_".join(key[1:]) or None
        one = RunInput(key[0], "", run, path, table, own_tr_s, denoised=confounds is None)
        people.setdefault(key[0], []).append(one)
    only_warnings(problems)
    return people


def _key(labels: dict[str, str]) -> tuple[str, ...]:
    others = tuple(f"{name}-{labels[name]}" for name in ("session", "run") if name in labels)
    return with_prefix("sub", labels["subject"]), *others


def _repetition_time(series: Path) -> float | None:
    sidecar = series.with_name(f"{series.name.partition('.')[0]}.json")
    told = number(read_json(sidecar).get("RepetitionTime")) if sidecar.exists() else None
    if told is None and series.name.endswith((".nii", ".nii.gz")):
        told = inspect_image(series, voxels=False).frame_s
    return told


def _wrong(path: Path, found: str, expected: str) -> Problem:
    return Problem(str(path), found, expected, "correct it, or leave the run out")


def sources_of(runs: Sequence[RunInput]) -> list[Path]:
    """List the files that a person's series are made of."""
    return [path for run in runs for path in (run.series, run.confounds) if path is not None]
