"""Arterial blood of a PET scan: BIDS ``_blood.tsv``, or a ready ``_inputfunction.tsv``.

BIDS has no field for the decay correction of blood. As the PET-BIDS standard counts all times from
TimeZero, activities are taken to be corrected for decay to the injection; samples that fall as fast
as the nuclide decays are reported. Samples of draw time: `petfmri.pet.blood.corrected_for_decay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError, Problem
from petfmri.study.check_pet import bq_per_ml
from petfmri.study.files import read_json
from petfmri.study.names import parse_name
from petfmri.study.reader import Reader
from petfmri.typing import FloatArray

ACTIVITIES = {
    "plasma_radioactivity": "plasma_kbq_ml",
    "whole_blood_radioactivity": "whole_blood_kbq_ml",
    "AIF": "aif_kbq_ml",
}
PARENT = "metabolite_parent_fraction"
AVAILABLE = {
    "PlasmaAvail": "plasma_radioactivity",
    "WholeBloodAvail": "whole_blood_radioactivity",
    "MetaboliteAvail": PARENT,
}
SAMPLER_LABELS = ("auto", "continuous")
SHORTEST_S = 200.0  # samples that end earlier were most likely written in minutes
SHORTEST_SAMPLER_S = 20.0
SECONDS = ("s", "sec", "second", "seconds")
MAX_FRACTION = 1.05
PEAK_KBQ_ML = (0.5, 5000.0)  # after 20 MBq to 2000 MBq, with a wide margin
LATE_S = 1200.0
MIN_LATE = 3
DECAY_SHARE = 0.8
SHORT_LIVED_S = 3000.0  # plasma corrected for decay may fall as fast as longer-lived nuclides decay


@dataclass(frozen=True, eq=False)
class Blood:
    """Blood of one scan. Times in s since the injection, activity in kBq/mL, NaN where missing.

    Attributes
    ----------
    manual : DataFrame
        One row per sample: time_s, plasma_kbq_ml, whole_blood_kbq_ml, parent_fraction.
    sampler : DataFrame or None
        The continuous sampler: time_s, whole_blood_kbq_ml.
    paths : tuple of Path
    warnings : tuple of Problem
        What makes the result less certain, such as dispersion that was not corrected.
    """

    manual: pd.DataFrame
    sampler: pd.DataFrame | None
    paths: tuple[Path, ...]
    warnings: tuple[Problem, ...]


def blood_files(pet: Path) -> dict[str, Path]:
    """Find the blood recordings that belong to a PET image or sidecar: label to table."""
    scan = parse_name(Path(pet).name)
    found = {}
    for path in sorted(Path(pet).parent.glob("*_blood.tsv")):
        name = parse_name(path.name)
        if name is None or scan is None:
            continue
        own = dict(name.entities)
        label = own.pop("recording", "manual")
        if own.items() <= scan.entities.items():
            found[label] = path
    return found


def read_blood(
    pet: Path, *, injection_start_s: float = 0.0, half_life_s: float | None = None
) -> Blood:
    """Read the blood samples of one scan and report everything that is wrong with them at once.

    A recording whose label begins with ``auto`` or ``continuous`` is that of a continuous sampler;
    any other (usually ``manual``) holds manual samples.

    Parameters
    ----------
    pet : Path
        The PET image, or its sidecar, beside the blood.
    injection_start_s : float, s
        ``InjectionStart`` of the scan: blood times count from TimeZero, as frames do.
    half_life_s : float, optional
        Of the nuclide: warns of samples that appear not to be corrected for decay (only possible
        if it is below 50 min, as of carbon-11).

    Raises
    ------
    DatasetError
        If there are no manual samples or two recordings of a kind; if a column that the sidecar
        announces is absent or empty; if units are unknown; if times are not ascending seconds; if
        values are not numbers, or fractions lie outside 0 to 1.
    """
    files = blood_files(pet)
    kinds = {
        "manual": [p for label, p in files.items() if not _is_sampler(label)],
        "sampler": [p for label, p in files.items() if _is_sampler(label)],
    }
    problems = _count_problems(Path(pet), kinds)
    reader = Reader(_dataset_folder(Path(pet)))
    tables = {
        kind: _recording(paths[0], reader, problems, kind == "sampler")
        for kind, paths in kinds.items()
        if len(paths) == 1
    }
    problems += reader.problems
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DatasetError.of(errors)
    for table in tables.values():
        table["time_s"] -= injection_start_s
    if half_life_s is not None:
        problems += _undecayed(kinds["manual"][0], tables["manual"], half_life_s)
    return Blood(tables["manual"], tables.get("sampler"), tuple(files.values()), tuple(problems))


def read_input_function(path: Path, *, injection_start_s: float = 0.0) -> pd.DataFrame:
    """Read an input function that bloodstream or petfit made.

    Parameters
    ----------
    path : Path
        ``*_inputfunction.tsv`` with its sidecar. Units of ``Bq`` there mean Bq/mL.
    injection_start_s : float, s
        ``InjectionStart`` of the scan.

    Returns
    -------
    DataFrame
        time_s since the injection; aif_kbq_ml; plasma_kbq_ml and whole_blood_kbq_ml, NaN where the
        table has none.

    Raises
    ------
    DatasetError
        If columns or units are missing, times are not ascending seconds, or values are not finite.
    """
    path = Path(path)
    problems: list[Problem] = []
    sidecar = read_json(path.with_suffix(".json"))
    reader = Reader(path.parent)
    table = reader.table(path, ("time", "AIF"))
    problems += reader.problems
    if table is None:
        raise DatasetError.of(problems)
    made = _converted(path, table, sidecar, problems, bare_bq=True)
    for column in made:
        bad = int((~np.isfinite(made[column])).sum())
        if bad and column in ("time_s", "aif_kbq_ml"):
            problems.append(
                Problem(f"{path.name}: {column}", f"{bad} missing values", "none", "make it anew")
            )
    if problems:
        raise DatasetError.of(problems)
    made["time_s"] -= injection_start_s
    columns = ["time_s", "aif_kbq_ml", "plasma_kbq_ml", "whole_blood_kbq_ml"]
    return made.reindex(columns=columns)


def _is_sampler(label: str) -> bool:
    return label.lower().startswith(SAMPLER_LABELS)


def _dataset_folder(pet: Path) -> Path:
    """Folder above ``sub-*``; that of the file where there is none."""
    people = [folder for folder in pet.parents if folder.name.startswith("sub-")]
    return people[-1].parent if people else pet.parent


def _count_problems(pet: Path, kinds: Mapping[str, list[Path]]) -> list[Problem]:
    problems = []
    if not kinds["manual"]:
        found = "only a continuous sampler" if kinds["sampler"] else "no *_blood.tsv"
        problems.append(
            Problem(
                f"{pet.parent.name}/{pet.name}",
                found,
                "manual samples in a _recording-manual_blood.tsv",
                "add them beside the scan, or use an input function that is ready",
            )
        )
    for kind, paths in kinds.items():
        if len(paths) > 1:
            names = ", ".join(path.name for path in paths)
            problems.append(
                Problem(names, f"{len(paths)} recordings", f"one ({kind})", "remove the others")
            )
    return problems


def _recording(
    path: Path, reader: Reader, problems: list[Problem], is_sampler: bool
) -> pd.DataFrame:
    """One table in our units; what is wrong is added to `problems`."""
    name = parse_name(path.name)
    sidecar = {} if name is None else dict(reader.sidecar(path, name).fields)
    table = reader.table(path, ("time",))
    columns = ["time_s", *(["whole_blood_kbq_ml"] if is_sampler else _manual_columns())]
    if table is None:
        return pd.DataFrame(columns=columns, dtype=float)
    if is_sampler:
        problems += _dispersion(path, sidecar)
        sidecar = {**sidecar, "WholeBloodAvail": True, "PlasmaAvail": False}
        sidecar["MetaboliteAvail"] = False
    problems += _availability(path, table, sidecar)
    shortest = SHORTEST_SAMPLER_S if is_sampler else SHORTEST_S
    made = _converted(path, table, sidecar, problems, shortest_s=shortest)
    return made.reindex(columns=columns)


def _manual_columns() -> list[str]:
    return ["plasma_kbq_ml", "whole_blood_kbq_ml", "parent_fraction"]


def _dispersion(path: Path, sidecar: Mapping[str, Any]) -> list[Problem]:
    if sidecar.get("DispersionCorrected") is True:
        return []
    found = "not corrected" if sidecar.get("DispersionCorrected") is False else "not stated"
    remedy = "correct it for the tubing, or expect K1 and blood volume to be biased"
    where = f"{path.name}: dispersion"
    return [Problem(where, found, "a corrected recording", remedy, "warning")]


def _availability(path: Path, table: pd.DataFrame, sidecar: Mapping[str, Any]) -> list[Problem]:
    """Compare what the sidecar announces with the columns."""
    problems = []
    for field, column in AVAILABLE.items():
        announced = sidecar.get(field)
        present = column in table and bool(table[column].notna().any())
        if announced is True and not present:
            found = f"{field} true, but no values in {column}"
            problems.append(
                Problem(path.name, found, "values", "add the column, or write false in the sidecar")
            )
        elif announced is None and not present and column != PARENT:
            found = f"neither {field} nor {column}"
            problems.append(
                Problem(path.name, found, "the field, required by BIDS", "add it", "warning")
            )
    return problems


def _converted(
    path: Path,
    table: pd.DataFrame,
    sidecar: Mapping[str, Any],
    problems: list[Problem],
    *,
    bare_bq: bool = False,
    shortest_s: float = SHORTEST_S,
) -> pd.DataFrame:
    """Columns that we know, in s, kBq/mL and fractions."""
    made = pd.DataFrame({"time_s": _numeric(path, table, "time", problems)})
    problems += _time_problems(path, made["time_s"].to_numpy(), sidecar, shortest_s)
    for column, ours in ACTIVITIES.items():
        if column in table:
            scale = _scale(path, column, sidecar, problems, bare_bq)
            made[ours] = _numeric(path, table, column, problems) * scale
            problems += _scale_problems(path, column, made[ours].to_numpy())
    if PARENT in table:
        fraction = _numeric(path, table, PARENT, problems)
        made["parent_fraction"] = fraction
        low, high = np.nanmin(np.append(fraction, 0.5)), np.nanmax(np.append(fraction, 0.5))
        if low < 0 or high > MAX_FRACTION:
            remedy = "divide percent by 100" if high > 2 else "correct the values"
            problems.append(
                Problem(f"{path.name}: {PARENT}", f"{low:g} to {high:g}", "0 to 1", remedy)
            )
    return made


def _numeric(path: Path, table: pd.DataFrame, column: str, problems: list[Problem]) -> FloatArray:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    text = table[column][np.isnan(values) & table[column].notna().to_numpy()]
    infinite = np.isinf(values).any()
    if len(text) or infinite:
        found = repr(text.iloc[0]) if len(text) else "infinite values"
        where = f"{path.name}: {column}"
        problems.append(Problem(where, found, "numbers, or n/a where missing", "correct them"))
    return values


def _time_problems(
    path: Path, time: FloatArray, sidecar: Mapping[str, Any], shortest_s: float
) -> list[Problem]:
    where = f"{path.name}: time"
    units = _units(sidecar, "time")
    if units is not None and str(units).lower() not in SECONDS:
        remedy = "convert the times, then correct the units"
        return [Problem(where, f"units {units!r}", "s", remedy)]
    if not np.isfinite(time).all():
        return [Problem(where, "missing times", "one per sample", "remove or complete the rows")]
    back = np.flatnonzero(np.diff(time) <= 0)
    if back.size:
        row = int(back[0])
        found = f"{time[row + 1]:g} s after {time[row]:g} s (row {row + 2})"
        remedy = "put samples in order, and remove rows that only fill the table"
        return [Problem(where, found, "ascending times", remedy)]
    if 0 < time[-1] < shortest_s:
        found = f"a last sample at {time[-1]:g} s, apparently minutes"
        return [Problem(where, found, "seconds since TimeZero", "multiply by 60")]
    return []


def _units(sidecar: Mapping[str, Any], column: str) -> Any:
    described = sidecar.get(column)
    return described.get("Units") if isinstance(described, Mapping) else None


def _scale(
    path: Path, column: str, sidecar: Mapping[str, Any], problems: list[Problem], bare_bq: bool
) -> float:
    """Factor to kBq/mL; NaN, with a problem, if the units are unknown."""
    units = _units(sidecar, column) or sidecar.get("Units")
    if bare_bq and units in ("Bq", "kBq"):
        units = f"{units}/mL"
    scale = bq_per_ml(units)
    if scale is not None:
        return scale / 1000
    where = f"{path.with_suffix('.json').name}: {column}, Units"
    found = "none" if units is None else repr(units)
    problems.append(Problem(where, found, "such as kBq/mL", "add the units of this column"))
    return np.nan


def _scale_problems(path: Path, column: str, activity: FloatArray) -> list[Problem]:
    """Recognise units written as a thousand times too small or large by the peak."""
    peak = np.nanmax(np.append(activity, -np.inf))
    if not np.isfinite(peak) or peak == 0 or PEAK_KBQ_ML[0] <= peak <= PEAK_KBQ_ML[1]:
        return []
    return [
        Problem(
            f"{path.name}: {column}",
            f"a peak of {peak:.3g} kBq/mL by the units of the sidecar",
            f"{PEAK_KBQ_ML[0]:g} to {PEAK_KBQ_ML[1]:g} kBq/mL in a person",
            "correct the units in the sidecar: Bq/mL and kBq/mL are easily exchanged",
        )
    ]


def _undecayed(path: Path, manual: pd.DataFrame, half_life_s: float) -> list[Problem]:
    """Warn if late plasma falls about as fast as a short-lived nuclide decays."""
    plasma = manual["plasma_kbq_ml"].fillna(manual["whole_blood_kbq_ml"])
    late = (manual["time_s"] >= LATE_S) & (plasma > 0)
    if half_life_s > SHORT_LIVED_S or late.sum() < MIN_LATE:
        return []
    fall = -np.polyfit(manual["time_s"][late], np.log2(plasma[late]), 1)[0] * half_life_s
    if fall < DECAY_SHARE:
        return []
    return [
        Problem(
            f"{path.name}: activity",
            f"late samples that halve every {half_life_s / fall / 60:.0f} min",
            f"a slower fall than decay, {half_life_s / 60:.0f} min",
            "correct the samples for decay to the injection, if that was not done",
            "warning",
        )
    ]
