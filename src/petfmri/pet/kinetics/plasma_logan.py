"""Logan's plot with plasma input: the distribution volume as the slope of a late straight line."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from petfmri.errors import FrameError
from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.convolution import FrameKernel, frame_kernel
from petfmri.pet.kinetics.estimates import Estimates, Flag
from petfmri.pet.kinetics.plasma_checks import (
    checked_blood,
    checked_curves,
    checked_weights,
    implausible,
    not_random,
    unfit,
)
from petfmri.typing import BoolArray, FloatArray

TSTAR_S = 1800.0
MAX_LATE_START_S = 60.0
MIN_POINTS = 3
MAX_ERROR = 0.1


def plasma_logan(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    *,
    tstar_s: float = TSTAR_S,
    weights: FloatArray | None = None,
    vb: float = 0.0,
) -> Estimates:
    """Estimate V_T as the slope of Logan's plot.

    From t* on, ``∫C_T / C_T = V_T ∫C_P / C_T + b``. Both sides, times C_T, are averaged over each
    frame: so the frame's own mean takes the place of the activity at one instant, and the line
    is exact for one tissue compartment. Noise in C_T lowers V_T.

    Parameters
    ----------
    tac : array of shape (n_curves, n_frames), kBq/mL
        Corrected for decay to the injection.
    schedule : FrameSchedule
    inputs : InputFunction
        Shifted by the delay, if there is one.
    tstar_s : float, s
        Frames that start then or later make the line. 30 min suits most tracers of slow kinetics;
        `logan_tstar` finds it from data.
    weights : array of shape (n_frames,), optional
        Inverse variances, to a factor; equal by default.
    vb : float
        Volume fraction of blood, subtracted from the curves before.

    Returns
    -------
    Estimates
        ``vt`` (mL/cm³) and ``intercept`` (min), with standard errors that take the line's points
        for independent. `fitted` is empty.

    Raises
    ------
    FrameError
        If the scan began more than 1 min after the injection, or outlasts the blood.
    DatasetError
        If curves, weights or `vb` do not fit the frames, or `vb` needs whole blood that is absent.

    References
    ----------
    Logan J, et al. Graphical analysis of reversible radioligand binding from time-activity
    measurements applied to [N-11C-methyl]-(-)-cocaine PET studies in human subjects. J Cereb
    Blood Flow Metab 1990;10:740-747. doi:10.1038/jcbfm.1990.127

    Examples
    --------
    >>> minutes = np.arange(0.0, 91)
    >>> inputs = InputFunction(60 * minutes, np.ones(91), np.ones(91))
    >>> schedule = FrameSchedule(60 * minutes[:-1], np.full(90, 60.0))
    >>> tissue = 10 * (1 - np.exp(-0.03 * (minutes[:-1] + 0.5)))  # K1 0.3, V_T 10
    >>> plasma_logan(tissue[None], schedule, inputs).values["vt"].round(2)
    array([10.])
    """
    tac = checked_curves(tac, schedule)
    kernel = frame_kernel(inputs, schedule)
    weight = checked_weights(weights, schedule)
    line = (schedule.start_s >= tstar_s - 1e-6) & (weight > 0)
    flags = unfit(tac)
    if line.sum() < MIN_POINTS:
        flags = flags | int(Flag.TOO_FEW_FRAMES)
    x, y, bad = _plot(tac, schedule, kernel, vb)
    flags = flags | np.where((flags == 0) & bad[:, line].any(axis=1), int(Flag.IMPLAUSIBLE), 0)
    values = {name: np.full(len(tac), np.nan) for name in ("vt", "intercept")}
    errors = {name: values[name].copy() for name in values}
    fit = (flags & ~int(Flag.RUNS)) == 0
    if fit.any():
        slope, intercept, slope_se, intercept_se, residuals = _line(
            x[fit][:, line], y[fit][:, line], weight[line]
        )
        values["vt"][fit], values["intercept"][fit] = slope, intercept
        errors["vt"][fit], errors["intercept"][fit] = slope_se, intercept_se
        wrong = np.where(implausible({"vt": slope}, {"vt": slope_se}), int(Flag.IMPLAUSIBLE), 0)
        late = y[fit][:, line]
        runs = np.where(not_random(late, late - residuals), int(Flag.RUNS), 0)
        flags[fit] |= wrong | runs
    out = Estimates("Logan", values, errors, flags)
    for arrays in (values, errors):
        for array in arrays.values():
            array[~out.usable] = np.nan
    return out


def logan_tstar(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    *,
    vb: float = 0.0,
    max_error: float = MAX_ERROR,
) -> float:
    """Find the earliest t* from which every curve's plot is straight.

    Straight means: no point differs from the fitted line by more than `max_error` of it, in any
    curve. Use a few large regions with little noise.

    Returns
    -------
    float, s
        The start of the first frame of the line.

    Raises
    ------
    FrameError
        If no line of three points or more is straight. Also as for `plasma_logan`.

    Examples
    --------
    >>> minutes = np.arange(0.0, 91)
    >>> inputs = InputFunction(60 * minutes, np.ones(91), np.ones(91))
    >>> schedule = FrameSchedule(60 * minutes[:-1], np.full(90, 60.0))
    >>> tissue = 10 * (1 - np.exp(-0.03 * (minutes[:-1] + 0.5)))
    >>> logan_tstar(tissue[None], schedule, inputs)  # one compartment: straight from the second frame
    60.0
    """
    tac = checked_curves(tac, schedule)
    x, y, bad = _plot(tac, schedule, frame_kernel(inputs, schedule), vb)
    usable = unfit(tac) == 0
    for first in range(schedule.n_frames - MIN_POINTS + 1):
        if not usable.any() or bad[usable][:, first:].any():
            continue
        late_x, late_y = x[usable, first:], y[usable, first:]
        residuals = _line(late_x, late_y, np.ones(schedule.n_frames - first))[4]
        if (np.abs(residuals) <= max_error * np.abs(late_y - residuals)).all():
            return float(schedule.start_s[first])
    raise FrameError(
        schedule.where,
        "no late part of the scan in which Logan's plot is straight",
        f"{MIN_POINTS} frames within {100 * max_error:g} % of a line in every curve",
        "use larger regions, a longer scan, or a compartment model",
    )


def _plot(
    tac: FloatArray,
    schedule: FrameSchedule,
    kernel: FrameKernel,
    vb: float,
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Both axes of the plot (min) and where the tissue has no activity to divide by."""
    if schedule.start_s[0] > MAX_LATE_START_S:
        raise FrameError(
            schedule.where,
            f"a first frame {schedule.start_s[0]:g} s after the injection",
            f"at most {MAX_LATE_START_S:g} s",
            "Logan's plot needs the scan from the injection on: use a compartment model",
        )
    measured = np.nan_to_num(tac, posinf=0.0, neginf=0.0)  # what is missing is flagged elsewhere
    tissue = (measured - vb * checked_blood(kernel, vb)) / (1 - vb)
    bad = ~(tissue > 0)
    divisor = np.where(bad, 1.0, tissue)
    return kernel.plasma_area / divisor, _mean_area(tissue, schedule) / divisor, bad


def _mean_area(tissue: FloatArray, schedule: FrameSchedule) -> FloatArray:
    """Frame averages of the area under the tissue curve so far, kBq·min/mL.

    A cubic spline goes through the area at the frames' edges, which is known, from zero activity
    at the injection on. Between frames that leave a gap the activity is a straight line.
    """
    start, end = schedule.start_s / 60, schedule.end_s / 60
    start = np.append(start[0], np.maximum(start[1:], end[:-1]))
    gap = np.append(0.0, start[1:] - end[:-1])
    before = np.concatenate([tissue[:, :1], (tissue[:, 1:] + tissue[:, :-1]) / 2], axis=1) * gap
    pieces = np.stack([before, tissue * (end - start)], axis=2).reshape(len(tissue), -1)
    times = np.stack([start, end], axis=1).ravel()
    area = np.cumsum(pieces, axis=1)
    keep = np.append(True, np.diff(times) > 1e-9)
    twice = CubicSpline(times[keep], area[:, keep], axis=1).antiderivative()
    return np.asarray((twice(end) - twice(start)) / (end - start))


def _line(
    x: FloatArray, y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Weighted straight line: slope, intercept, their standard errors, residuals."""
    w = weight / weight.sum()
    mean_x, mean_y = x @ w, y @ w
    dx, dy = x - mean_x[:, None], y - mean_y[:, None]
    spread = (dx**2) @ w
    slope = ((dx * dy) @ w) / spread
    intercept = mean_y - slope * mean_x
    residuals = dy - slope[:, None] * dx
    freedom = max(x.shape[1] - 2, 1)
    variance = (residuals**2) @ w / freedom
    slope_se = np.sqrt(variance / spread)
    intercept_se = np.sqrt(variance * (1 + mean_x**2 / spread))
    return slope, intercept, slope_se, intercept_se, residuals
