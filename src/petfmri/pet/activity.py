"""What the numbers of a PET image mean: units, decay, injected activity, body weight, SUV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError, InputError, Problem
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.nuclides import nuclide
from petfmri.typing import FloatArray

Value = TypeVar("Value", float, FloatArray)

CONCENTRATION_KBQ_ML = {"bq/ml": 1e-3, "kbq/ml": 1.0, "mbq/ml": 1e3, "bq/cc": 1e-3, "nci/ml": 0.037}
ACTIVITY_MBQ = {"bq": 1e-6, "kbq": 1e-3, "mbq": 1.0, "gbq": 1e3, "mci": 37.0, "uci": 0.037}
WEIGHT_KG = (25.0, 300.0)
HALF_LIFE_TOLERANCE = 0.02
REQUIRED_FIELDS = (
    "TimeZero",
    "ScanStart",
    "InjectionStart",
    "TracerRadionuclide",
    "Units",
    "ImageDecayCorrected",
)


def concentration_scale(units: object, where: str = "Units") -> float:
    """Factor from the image's `units` to kBq/mL.

    Raises
    ------
    DatasetError
        If the units are not those of a radioactivity concentration.

    Examples
    --------
    >>> concentration_scale("Bq/mL")
    0.001
    """
    scale = CONCENTRATION_KBQ_ML.get(str(units).replace(" ", "").lower())
    if scale is None:
        raise DatasetError(
            where,
            repr(units),
            "Bq/mL, kBq/mL, MBq/mL or nCi/mL",
            "write the units that the image is in",
        )
    return scale


def half_life(sidecar: Mapping[str, Any], where: str = "PET sidecar") -> float:
    """Half-life in s: the sidecar's own, so that its decay correction is undone exactly, or a table's.

    Raises
    ------
    DatasetError
        If the nuclide is unknown or ``RadionuclideHalfLife`` contradicts it by more than 2 %.
    """
    table = nuclide(str(sidecar.get("TracerRadionuclide")), f"{where}: TracerRadionuclide")
    own = sidecar.get("RadionuclideHalfLife")
    if own is None:
        return table.half_life_s
    if abs(_number(own) / table.half_life_s - 1) <= HALF_LIFE_TOLERANCE:
        return float(own)
    raise DatasetError(
        f"{where}: RadionuclideHalfLife",
        f"{own} s",
        f"{table.half_life_s:g} s, as {table.name} has",
        "correct the nuclide or the half-life",
    )


def decay_factors(schedule: FrameSchedule, half_life_s: float) -> FloatArray:
    """Factors that correct each frame's mean activity for decay back to the injection.

    Returns
    -------
    factors : array of shape (n_frames,)
        exp(λ t) λ d / (1 − exp(−λ d)) for a frame that starts at t and lasts d.

    Examples
    --------
    >>> decay_factors(FrameSchedule([1220.0], [0.01]), 1220.0).round(4)
    array([2.])
    """
    rate = np.log(2) / half_life_s
    decayed = rate * schedule.duration_s
    return np.exp(rate * schedule.start_s) * decayed / -np.expm1(-decayed)


def calibration(
    sidecar: Mapping[str, Any], schedule: FrameSchedule, where: str = "PET sidecar"
) -> FloatArray:
    """Factors that turn an image's frames into kBq/mL, corrected for decay to the injection.

    Parameters
    ----------
    sidecar : mapping
        With ``Units`` and ``ImageDecayCorrected``; ``ImageDecayCorrectionTime`` (s from
        ``TimeZero``) counts as the injection where it is absent.
    schedule : FrameSchedule

    Returns
    -------
    factors : array of shape (n_frames,)

    Raises
    ------
    DatasetError
        If the units, ``ImageDecayCorrected``, or the nuclide where it is needed, cannot be used.
    """
    scale = concentration_scale(sidecar.get("Units"), f"{where}: Units")
    corrected = sidecar.get("ImageDecayCorrected")
    if not isinstance(corrected, bool):
        raise DatasetError(
            f"{where}: ImageDecayCorrected",
            "no such field" if corrected is None else repr(corrected),
            "true or false",
            "say whether the image is corrected for decay",
        )
    if not corrected:
        return scale * decay_factors(schedule, half_life(sidecar, where))
    injection = _number(sidecar.get("InjectionStart", 0.0))
    late = _number(sidecar.get("ImageDecayCorrectionTime", injection)) - injection
    if not np.isfinite(late):
        raise DatasetError(
            f"{where}: ImageDecayCorrectionTime",
            repr(sidecar.get("ImageDecayCorrectionTime")),
            "seconds since TimeZero",
            "correct it",
        )
    shift = 1.0 if late == 0 else float(np.exp2(late / half_life(sidecar, where)))
    return np.full(schedule.n_frames, scale * shift)


def injected_activity(sidecar: Mapping[str, Any], where: str = "PET sidecar") -> float:
    """Injected activity in MBq.

    Raises
    ------
    DatasetError
        If it is absent, without known units, or outside what is injected into a person: the usual
        reason is a number in other units than its unit field says.

    Examples
    --------
    >>> injected_activity({"InjectedRadioactivity": 370, "InjectedRadioactivityUnits": "MBq",
    ...                    "TracerRadionuclide": "C11"})
    370.0
    """
    field = f"{where}: InjectedRadioactivity"
    value, units = sidecar.get("InjectedRadioactivity"), sidecar.get("InjectedRadioactivityUnits")
    scale = ACTIVITY_MBQ.get(str(units).strip().lower())
    if scale is None or not np.isfinite(_number(value)):
        raise DatasetError(
            field, f"{value} {units}", "a number, with units such as MBq", "add or correct it"
        )
    activity = _number(value) * scale
    known = nuclide(str(sidecar.get("TracerRadionuclide")), f"{where}: TracerRadionuclide")
    low, high = known.activity_mbq
    if low <= activity <= high:
        return activity
    remedy = "correct the number or its units"
    total = _number(sidecar.get("RadionuclideTotalDose")) * 1e-6
    if low <= total <= high:
        remedy += f"; RadionuclideTotalDose says {total:g} MBq"
    raise DatasetError(
        field,
        f"{value} {units}, which is {activity:g} MBq",
        f"{low:g} to {high:g} MBq of {known.name}",
        remedy,
    )


def body_weight(value: object, where: str = "BodyWeight") -> float:
    """Body weight in kg, checked.

    Raises
    ------
    DatasetError
        If it is not a number between 25 and 300.
    """
    weight = _number(value)
    if WEIGHT_KG[0] <= weight <= WEIGHT_KG[1]:
        return weight
    raise DatasetError(
        where,
        "no weight" if value is None else f"{value} kg",
        f"{WEIGHT_KG[0]:g} to {WEIGHT_KG[1]:g} kg",
        "correct it in the sidecar or in participants.tsv, or remove it",
    )


def suv(activity_kbq_ml: Value, injected_mbq: float, body_weight_kg: float) -> Value:
    """Standardised uptake value, g/mL: activity over injected activity per gram of body weight.

    Parameters
    ----------
    activity_kbq_ml : float or array, kBq/mL
        Corrected for decay to the injection.
    injected_mbq : float, MBq
        At the injection.
    body_weight_kg : float, kg

    Examples
    --------
    >>> suv(5.0, injected_mbq=350.0, body_weight_kg=70.0)
    1.0
    """
    return activity_kbq_ml * (body_weight_kg / injected_mbq)


def sidecar_problems(
    sidecar: Mapping[str, Any],
    n_frames: int,
    where: str = "PET sidecar",
    weight_kg: float | None = None,
) -> list[Problem]:
    """Everything that is wrong with a PET sidecar.

    Parameters
    ----------
    sidecar : mapping
    n_frames : int
        Number of frames of the image.
    where : str
        What problems name.
    weight_kg : float, optional
        Weight from ``participants.tsv``, checked where the sidecar gives none.

    Returns
    -------
    problems : list of Problem
        Empty if the scan can be used. Activity and weight, which only SUV needs, may be absent;
        given, they must be plausible.
    """
    absent = [field for field in REQUIRED_FIELDS if sidecar.get(field) is None]
    problems: list[Problem] = []
    if absent:
        problems.append(
            Problem(where, f"no {', '.join(absent)}", "all fields that BIDS requires", "add them")
        )
    checks: list[Callable[[], object]] = [
        lambda: FrameSchedule.from_sidecar(sidecar, n_frames, where)
    ]
    if "TracerRadionuclide" not in absent:
        checks.append(lambda: half_life(sidecar, where))
        if sidecar.get("InjectedRadioactivity") is not None:
            checks.append(lambda: injected_activity(sidecar, where))
    if not {"Units", "ImageDecayCorrected"} & set(absent):
        one_frame = FrameSchedule(np.zeros(1), np.ones(1), where)
        checks.append(lambda: calibration(sidecar, one_frame, where))
    weight = weight_kg if sidecar.get("BodyWeight") is None else sidecar["BodyWeight"]
    if not pd.isna(weight):
        checks.append(lambda: body_weight(weight, f"{where}: BodyWeight"))
    for check in checks:
        try:
            check()
        except InputError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return problems


def _number(value: object) -> float:
    """`value` as a float, NaN where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return float("nan")
