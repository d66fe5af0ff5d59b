"""Regional time-activity curves as PETPrep (and petprep_extract_tacs) writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError, FrameError, Problem
from petfmri.study.check_pet import bq_per_ml, frame_problems, numbers
from petfmri.study.files import read_json, read_table
from petfmri.study.names import Name, parse_name, with_prefix
from petfmri.typing import FloatArray

FRAME_COLUMNS = (("frame_start", "frame_end"), ("FrameTimesStart", "FrameTimesEnd"))
CHOOSABLE = ("trc", "seg", "pvc", "ref", "desc")


@dataclass(frozen=True, eq=False)
class PetprepTacs:
    """Curves of one scan.

    Attributes
    ----------
    tacs : DataFrame of shape (n_regions, n_frames), kBq/mL
        Indexed by region name.
    frame_start_s, frame_end_s : array of shape (n_frames,), s
        As in the table: counted from TimeZero of the scan.
    sidecar : mapping
        The JSON beside the table.
    volumes_mm3 : Series or None
        Volume of each region by name, where a ``_morph.tsv`` of the same segmentation exists.
    path : Path
        The table.
    """

    tacs: pd.DataFrame
    frame_start_s: FloatArray
    frame_end_s: FloatArray
    sidecar: Mapping[str, Any]
    volumes_mm3: pd.Series[float] | None
    path: Path


def petprep_participants(folder: Path) -> dict[str, tuple[str, ...]]:
    """List who has curves: participant id to session ids (empty where there are no sessions).

    Raises
    ------
    DatasetError
        If nobody has.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(Path(folder).glob("sub-*/**/pet/*.tsv")):
        name = parse_name(path.name)
        if name is not None and _is_tacs(name) and "sub" in name.entities:
            sessions = found.setdefault(with_prefix("sub", name.entities["sub"]), set())
            sessions |= (
                {with_prefix("ses", name.entities["ses"])} if "ses" in name.entities else set()
            )
    if not found:
        raise DatasetError(
            str(folder), "no *_tacs.tsv", "PETPrep derivatives", "correct the path of the folder"
        )
    return {participant: tuple(sorted(sessions)) for participant, sessions in found.items()}


def read_petprep_tacs(
    folder: Path,
    sub: str,
    ses: str | None = None,
    **entities: str | None,
) -> PetprepTacs:
    """Read the regional curves of one scan.

    Parameters
    ----------
    folder : Path
        The PETPrep derivatives.
    sub, ses : str
        With or without prefix; `ses` None where the dataset has no sessions.
    **entities : str or None
        ``trc``, ``seg``, ``pvc``, ``ref`` or ``desc`` choose between several tables. Unless named,
        tables with partial-volume correction (``pvc``) and of a reference region alone (``ref``)
        are passed over.

    Raises
    ------
    DatasetError
        If there is no such table or more than one, if a region's curve is empty (missing, not
        finite, or all zero), or if the units of the curves are unknown.
    FrameError
        If the frame times are absent, overlap or are not in seconds.
    """
    unknown = set(entities) - set(CHOOSABLE)
    if unknown:
        raise TypeError(f"unknown entities {sorted(unknown)}; known: {', '.join(CHOOSABLE)}")
    path, name = _find(Path(folder), sub, ses, entities)
    sidecar_path = path.with_suffix(".json")
    sidecar = read_json(sidecar_path) if sidecar_path.exists() else {}
    table = read_table(path)
    start, end = _frames(table, sidecar, path)
    frame_columns = {column for pair in FRAME_COLUMNS for column in pair}
    regions = table.drop(columns=[column for column in table if column in frame_columns])
    _refuse_empty(regions, path)
    return PetprepTacs(
        tacs=regions.T.astype(float).rename_axis("region") * (_scale_of(sidecar, path) / 1000),
        frame_start_s=start,
        frame_end_s=end,
        sidecar=sidecar,
        volumes_mm3=_volumes(Path(folder), sub, ses, name.entities.get("seg")),
        path=path,
    )


def read_petprep_study(
    folder: Path, sessions: Mapping[str, str], **entities: str | None
) -> tuple[dict[tuple[str, str], PetprepTacs], list[Problem]]:
    """Read the curves of every scan, and find every problem of them at once.

    Parameters
    ----------
    folder : Path
        The PETPrep derivatives.
    sessions : mapping
        Role to session, with or without prefix.
    **entities : str or None
        As in `read_petprep_tacs`.

    Returns
    -------
    dict of (participant, session) to PetprepTacs
        Without those that have errors.
    list of Problem
    """
    roles = {role: with_prefix("ses", label) for role, label in sessions.items()}
    scans, problems = {}, []
    for participant, found in petprep_participants(folder).items():
        for role, label in roles.items():
            if label not in found:
                problems.append(
                    Problem(
                        participant,
                        f"no curves of {label}",
                        f"the {role} session of every participant",
                        "add it; without it a person has no part in the comparison",
                        "warning",
                    )
                )
                continue
            try:
                scans[participant, label] = read_petprep_tacs(
                    folder, participant, label, **entities
                )
            except (DatasetError, FrameError) as error:
                problems += error.problems
    return scans, problems


def _is_tacs(name: Name) -> bool:
    """Whether a name is that of curves; petprep <= 0.0.2 wrote them as ``_timeseries.tsv``."""
    old = name.suffix == "timeseries" and name.entities.get("desc") != "confounds"
    return name.extension == ".tsv" and (name.suffix == "tacs" or old)


def _find(
    folder: Path, sub: str, ses: str | None, entities: Mapping[str, str | None]
) -> tuple[Path, Name]:
    wanted = {"pvc": None, "ref": None, **entities}
    place = _place(folder, sub, ses)
    named = [(path, parse_name(path.name)) for path in sorted((place / "pet").glob("*.tsv"))]
    every = [(path, name) for path, name in named if name is not None and _is_tacs(name)]
    fitting = [
        (path, name)
        for path, name in every
        if all(
            name.entities.get(entity) == label
            for entity, label in wanted.items()
            if label is not None or entity in ("pvc", "ref")
        )
    ]
    if len(fitting) != 1:
        raise DatasetError(
            f"{place}/pet",
            f"{len(fitting)} fitting tables ({', '.join(path.name for path, _ in every) or 'none'})",
            "one *_tacs.tsv",
            f"choose by {', '.join(CHOOSABLE)}" if fitting else "run PETPrep for this scan",
        )
    return fitting[0]


def _place(folder: Path, sub: str, ses: str | None) -> Path:
    person = folder / with_prefix("sub", sub)
    return person if ses is None else person / with_prefix("ses", ses)


def _frames(
    table: pd.DataFrame, sidecar: Mapping[str, Any], path: Path
) -> tuple[FloatArray, FloatArray]:
    """Frame starts and ends from either spelling of the columns, else from the sidecar."""
    pair = next((pair for pair in FRAME_COLUMNS if set(pair) <= set(table.columns)), None)
    if pair is not None:
        start, end = (pd.to_numeric(table[name], errors="coerce").to_numpy(float) for name in pair)
    else:
        starts, durations = (
            numbers(sidecar.get(name)) for name in ("FrameTimesStart", "FrameDuration")
        )
        if starts is None or durations is None or not len(starts) == len(durations) == len(table):
            raise FrameError(
                str(path),
                f"columns {', '.join(map(str, table.columns[:3]))}, ...",
                "frame_start and frame_end, or frame times of every row in the sidecar",
                "add the frame times (s)",
            )
        start, end = starts, starts + durations
    if not np.isfinite([start, end]).all():
        raise FrameError(str(path), "missing frame times", "seconds in every row", "fill them")
    problems = frame_problems(str(path), start, end - start)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise FrameError.of(errors)
    return start, end


def _refuse_empty(regions: pd.DataFrame, path: Path) -> None:
    values = _numbers(regions)
    bad = np.asarray(~np.isfinite(values).all(axis=0) | ~values.any(axis=0))
    empty = [str(region) for region, unusable in zip(regions, bad.tolist()) if unusable]
    if empty or regions.empty:
        raise DatasetError(
            str(path),
            f"no activity, or missing values, in {', '.join(empty[:6]) or 'any region'}"
            + (f" and {len(empty) - 6} more" if len(empty) > 6 else ""),
            "a number for every frame of every region",
            "see whether these regions lie inside the field of view, or remove their columns",
        )


def _numbers(table: pd.DataFrame) -> FloatArray:
    """Values of a table; NaN for what is no number."""
    try:
        return table.to_numpy(float)
    except (TypeError, ValueError):
        return table.apply(pd.to_numeric, errors="coerce").to_numpy(float)


def _scale_of(sidecar: Mapping[str, Any], path: Path) -> float:
    units = sidecar.get("Units")
    scale = bq_per_ml(units)
    if scale is None:
        raise DatasetError(
            f"{path.with_suffix('.json')}: Units", repr(units), "such as Bq/mL", "add the units"
        )
    return scale


def _volumes(folder: Path, sub: str, ses: str | None, seg: str | None) -> pd.Series[float] | None:
    """Region volumes of the same segmentation, of the session or else of the person."""
    for place in (_place(folder, sub, ses), _place(folder, sub, None)):
        for path, name in _morphs(place):
            if name.entities.get("seg") == seg:
                table = read_table(path, ("name", "volume-mm3"))
                return table.set_index("name")["volume-mm3"].astype(float).rename("volume_mm3")
    return None


def _morphs(place: Path) -> Iterator[tuple[Path, Name]]:
    for path in sorted((place / "anat").glob("*_morph.tsv")):
        name = parse_name(path.name)
        if name is not None:
            yield path, name
