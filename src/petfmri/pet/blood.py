"""The input function of plasma-input kinetics, made from arterial blood samples.

All activities are in kBq/mL and corrected for decay to the injection; all times are in seconds
since the injection. `corrected_for_decay` corrects samples that were counted at draw time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from petfmri.errors import DatasetError, Problem
from petfmri.pet.kinetics.estimates import describe
from petfmri.pet.metabolites import ParentFraction
from petfmri.typing import FloatArray

MIN_SAMPLES = 3
MAX_NEGATIVE = 0.01  # of the area of an input function may be below zero
MIN_RELATIVE = 0.005  # blood below this share of its peak says nothing about the ratio
MAX_CALIBRATION = 0.2
MAX_FIRST = 0.2  # of the peak, in the first sample
STEPS_S = ((0.0, 300.0, 1.0), (300.0, 900.0, 5.0), (900.0, np.inf, 30.0))

RatioModel = Literal["constant", "linear", "interpolated"]
Interpolation = Literal["linear", "pchip"]


@dataclass(frozen=True, eq=False)
class InputFunction:
    """Parent activity in arterial plasma and activity of whole blood, decay corrected.

    Straight lines join the samples. Before the first sample both are 0; the last value holds
    afterwards (models allow that for 5 min).

    Parameters
    ----------
    time_s : array of shape (n_samples,), s
        Since the injection, ascending.
    aif_kbq_ml : array of shape (n_samples,), kBq/mL
        Total activity in plasma times the parent fraction.
    whole_blood_kbq_ml : array of shape (n_samples,), kBq/mL, optional
        None if unknown: models then need a blood volume of 0.
    notes : tuple of str
        What a reader should know of how it was made.

    Raises
    ------
    DatasetError
        If times do not ascend, a value is not finite, fewer than 3 samples are given, a curve is
        zero throughout, or more than 1 % of its area is negative.

    Examples
    --------
    >>> inputs = InputFunction([0, 10, 30], [0, 40, 20], [0, 50, 30])
    >>> inputs.shifted(5.0).at(np.array([0.0, 10.0, 25.0]))
    (array([ 0., 20., 30.]), array([ 0., 25., 40.]))
    """

    time_s: FloatArray
    aif_kbq_ml: FloatArray
    whole_blood_kbq_ml: FloatArray | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("time_s", "aif_kbq_ml", "whole_blood_kbq_ml"):
            if getattr(self, name) is not None:
                values = np.array(getattr(self, name), dtype=float, ndmin=1)
                values.setflags(write=False)
                object.__setattr__(self, name, values)
        problems = _curve_problems(self)
        if problems:
            raise DatasetError.of(problems)

    def shifted(self, delay_s: float) -> InputFunction:
        """Let the blood arrive `delay_s` later (earlier if negative).

        Raises
        ------
        DatasetError
            If the delay is not finite.
        """
        return replace(self, time_s=self.time_s + delay_s)

    def at(self, time_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return parent in plasma and whole blood (NaN if unknown) at times since injection, s."""
        aif = np.interp(time_s, self.time_s, self.aif_kbq_ml, left=0.0)
        if self.whole_blood_kbq_ml is None:
            return aif, np.full_like(aif, np.nan)
        return aif, np.interp(time_s, self.time_s, self.whole_blood_kbq_ml, left=0.0)


def corrected_for_decay(activity: FloatArray, time_s: FloatArray, half_life_s: float) -> FloatArray:
    """Correct activity that was measured at `time_s` for decay since the injection.

    Examples
    --------
    >>> corrected_for_decay(np.array([3.0, 3.0]), np.array([0.0, 1221.8]), 1221.8)
    array([3., 6.])
    """
    return np.asarray(activity) * np.exp2(np.asarray(time_s) / half_life_s)


def plasma_ratio(
    time_s: FloatArray,
    plasma_kbq_ml: FloatArray,
    whole_blood_kbq_ml: FloatArray,
    *,
    model: RatioModel = "linear",
) -> Callable[[FloatArray], FloatArray]:
    """Model the ratio of total activity in plasma to that in whole blood.

    Parameters
    ----------
    time_s : array of shape (n_samples,), s
    plasma_kbq_ml, whole_blood_kbq_ml : array of shape (n_samples,), kBq/mL
        NaN where one was not measured; such samples, and those with less than 0.5 % of the
        highest whole blood, are left out.
    model : {"constant", "linear", "interpolated"}
        The median; a straight line in time; straight lines between the samples, level outside.

    Returns
    -------
    function of times, s

    Raises
    ------
    DatasetError
        If too few samples have both, a ratio is not positive, or the model is unknown.

    Examples
    --------
    >>> ratio = plasma_ratio([60, 600, 1140], [12, 13, 14.0], [10, 10, 10.0])
    >>> ratio(np.array([0.0, 330.0])).round(2)
    array([1.19, 1.25])
    """
    needed = {"constant": 1, "linear": 3, "interpolated": 1}
    if model not in needed:
        raise DatasetError("plasma ratio", f"model {model!r}", ", ".join(needed), "choose one")
    time, plasma, blood = (
        np.asarray(values, dtype=float) for values in (time_s, plasma_kbq_ml, whole_blood_kbq_ml)
    )
    keep = np.isfinite(time) & np.isfinite(plasma) & np.isfinite(blood)
    if keep.any():
        keep &= blood > MIN_RELATIVE * blood[keep].max()
    time, ratio = time[keep], plasma[keep] / blood[keep]
    if time.size < needed[model] or (ratio <= 0).any():
        raise DatasetError(
            "plasma ratio",
            f"{time.size} samples of plasma and whole blood, {int((ratio <= 0).sum())} not positive",
            f"at least {needed[model]} positive ones for the {model} model",
            "measure both in manual samples, or choose another model",
        )
    if model == "linear":
        line = np.polyfit(time, ratio, 1)
        return lambda at: np.asarray(np.polyval(line, at))
    if model == "constant":
        ratio = np.full_like(ratio, np.median(ratio))
    order = np.argsort(time)
    return lambda at: np.interp(at, time[order], ratio[order])


def input_function(
    time_s: FloatArray,
    plasma_kbq_ml: FloatArray,
    whole_blood_kbq_ml: FloatArray,
    *,
    parent: ParentFraction | Callable[[FloatArray], FloatArray] | None,
    sampler: tuple[FloatArray, FloatArray] | None = None,
    ratio: RatioModel = "linear",
    interpolation: Interpolation = "pchip",
) -> InputFunction:
    """Make the input function from manual samples and, if there was one, a continuous sampler.

    While the sampler runs, whole blood is its recording and plasma that times the ratio of plasma
    to whole blood; afterwards both are the manual samples. Curves are interpolated on a grid of
    1 s (5 s from 5 min, 30 s from 15 min on) plus the samples, and plasma is multiplied by the
    parent fraction there.

    Parameters
    ----------
    time_s : array of shape (n_samples,), s
        Manual samples, since the injection.
    plasma_kbq_ml, whole_blood_kbq_ml : array of shape (n_samples,), kBq/mL
        Total activity, corrected for decay to the injection; NaN where it was not measured.
        Without any whole blood the input function has none.
    parent : function of times in s, or None
        As `fit_parent_fraction` returns it; None: no metabolites, which is noted.
    sampler : (times in s, whole blood in kBq/mL), optional
        Of the continuous sampler, corrected for decay and dispersion.
    ratio : {"constant", "linear", "interpolated"}
        As in `plasma_ratio`.
    interpolation : {"linear", "pchip"}
        Pchip neither overshoots nor overestimates a falling curve as straight lines do.

    Raises
    ------
    DatasetError
        If a curve has fewer than 3 samples, times twice, or its highest value in the first sample
        after the injection: the peak was then missed. And as for `InputFunction` and `plasma_ratio`.

    Examples
    --------
    >>> t = np.array([10.0, 30, 60, 300, 900])
    >>> made = input_function(t, 2 * np.array([0, 60, 30, 10, 5]), np.array([0, 60, 30, 10, 5]),
    ...                       parent=lambda s: np.exp(-s / 1800))
    >>> [round(float(value), 1) for value in made.at(np.array(300.0))]
    [16.9, 10.0]
    """
    manual = np.asarray(time_s, dtype=float)
    plasma = _measured("plasma", manual, plasma_kbq_ml)
    blood = _measured("whole blood", manual, whole_blood_kbq_ml)
    notes = [] if parent is not None else ["no correction for metabolites"]
    if isinstance(parent, ParentFraction) and parent.flags:
        notes.append(f"parent fraction: {describe(parent.flags)}")
    if sampler is not None:
        recorded = _measured("continuous sampler", *sampler)
        notes += _calibration_note(recorded, blood)
        factor = plasma_ratio(manual, plasma_kbq_ml, whole_blood_kbq_ml, model=ratio)
        plasma = _then((recorded[0], recorded[1] * factor(recorded[0])), plasma)
        blood = _then(recorded, blood)
    elif blood[0].size == 0:
        notes.append("no whole blood: fix the blood volume at 0")
    for name, curve in {"plasma": plasma, "whole blood": blood}.items():
        _refuse_missed_peak(name, *curve, optional=name == "whole blood")
    notes += _rise_note(*plasma)
    curves = [_from_zero(*curve) for curve in (plasma, blood) if curve[0].size]
    grid = _grid(*(time for time, _ in curves))
    values = [_interpolated(grid, *curve, interpolation) for curve in curves]
    fraction = np.ones_like(grid) if parent is None else np.asarray(parent(grid))
    return InputFunction(
        grid, values[0] * fraction, values[1] if len(values) > 1 else None, tuple(notes)
    )


def _curve_problems(inputs: InputFunction) -> list[Problem]:
    """Everything that is wrong with the arrays of an input function."""
    time = inputs.time_s
    if time.size < MIN_SAMPLES or not np.isfinite(time).all() or (np.diff(time) <= 0).any():
        found = f"{time.size} times" + ("" if time.size < MIN_SAMPLES else " that do not ascend")
        expected = f"at least {MIN_SAMPLES} finite times in ascending order"
        return [Problem("input function: time", found, expected, "correct the samples")]
    problems = []
    curves = {"parent in plasma": inputs.aif_kbq_ml, "whole blood": inputs.whole_blood_kbq_ml}
    for name, values in curves.items():
        fault = None if values is None else _curve_fault(time, values)
        if fault is not None:
            expected = "a finite activity at every time, above zero on the whole"
            problems.append(
                Problem(f"input function: {name}", fault, expected, "correct the samples")
            )
    return problems


def _curve_fault(time: FloatArray, values: FloatArray) -> str | None:
    if values.shape != time.shape:
        return f"{values.size} values at {time.size} times"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} values that are not finite"
    above, below = (np.trapezoid(np.maximum(sign * values, 0), time) for sign in (1, -1))
    if above == 0:
        return "no activity"
    if below > MAX_NEGATIVE * above:
        return f"{100 * below / (above + below):.0f} % of the area below zero"
    return None


def _measured(name: str, time_s: FloatArray, activity: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Samples of one kind that were measured, in order of time."""
    time, values = np.asarray(time_s, dtype=float), np.asarray(activity, dtype=float)
    if time.shape != values.shape:
        raise DatasetError(
            name, f"{values.size} values at {time.size} times", "one each", "correct the samples"
        )
    keep = np.isfinite(time) & np.isfinite(values)
    order = np.argsort(time[keep], kind="stable")
    time, values = time[keep][order], values[keep][order]
    twice = time[1:][np.diff(time) == 0]
    if twice.size:
        found = f"two samples at {twice[0]:g} s"
        raise DatasetError(name, found, "one at a time", "remove or average them")
    return time, values


def _then(
    early: tuple[FloatArray, FloatArray], late: tuple[FloatArray, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """The `early` curve, continued by samples of the `late` one."""
    after = late[0] > early[0].max(initial=-np.inf)
    return np.append(early[0], late[0][after]), np.append(early[1], late[1][after])


def _calibration_note(
    recorded: tuple[FloatArray, FloatArray], manual: tuple[FloatArray, FloatArray]
) -> list[str]:
    """Compare the sampler with manual whole blood from its peak to its end."""
    if recorded[0].size < MIN_SAMPLES:
        return []
    peak = recorded[0][np.argmax(recorded[1])]
    both = (manual[0] > peak + 30) & (manual[0] <= recorded[0][-1])
    if not both.any():
        return ["no manual whole blood to check the sampler's calibration"]
    quotient = np.interp(manual[0][both], *recorded) / manual[1][both]
    median = float(np.median(quotient))
    if abs(median - 1) <= MAX_CALIBRATION:
        return []
    return [f"the sampler reads {median:.2f} times the manual whole blood: check its calibration"]


def _refuse_missed_peak(
    name: str, time: FloatArray, activity: FloatArray, *, optional: bool
) -> None:
    if optional and time.size == 0:
        return
    if time.size < MIN_SAMPLES:
        raise DatasetError(
            name, f"{time.size} samples", f"at least {MIN_SAMPLES}", "add the missing samples"
        )
    peak = int(np.argmax(activity))
    if peak == 0 and activity[0] > 0 and time[0] > 0:
        raise DatasetError(
            name,
            f"its highest activity, {activity[0]:.3g} kBq/mL, in the first sample at {time[0]:g} s",
            "samples before the peak",
            "add the continuous sampler's recording or earlier samples; without the peak no "
            "plasma-input model can be fitted",
        )


def _rise_note(time: FloatArray, activity: FloatArray) -> list[str]:
    share = activity[0] / activity.max()
    if time[0] <= 0 or share <= MAX_FIRST:
        return []
    return [
        f"the first sample, at {time[0]:g} s, holds {100 * share:.0f} % of the peak: the rise, and "
        "with it delay and K1, is uncertain"
    ]


def _from_zero(time: FloatArray, activity: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Begin with no activity at the injection, unless there is a sample from then or before."""
    if time[0] <= 0:
        return time, activity
    return np.insert(time, 0, 0.0), np.insert(activity, 0, 0.0)


def _grid(*times: FloatArray) -> FloatArray:
    last = max(time[-1] for time in times)
    regular = [
        np.arange(start, min(stop, last), step) for start, stop, step in STEPS_S if start < last
    ]
    grid = np.unique(np.concatenate([*regular, *times]))
    return grid[np.append(True, np.diff(grid) > 1e-6)]


def _interpolated(
    grid: FloatArray, time: FloatArray, activity: FloatArray, method: Interpolation
) -> FloatArray:
    if method == "linear":
        return np.interp(grid, time, activity, left=0.0)
    inside = np.clip(grid, time[0], time[-1])
    return np.where(grid < time[0], 0.0, PchipInterpolator(time, activity)(inside))
