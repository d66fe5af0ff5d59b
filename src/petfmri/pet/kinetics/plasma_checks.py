"""What the plasma-input models ask of their input, and which of their results no tissue has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from petfmri.errors import DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.convolution import FrameKernel
from petfmri.pet.kinetics.estimates import RUNS_ALPHA, Flag, curve_flags, runs_p
from petfmri.typing import BoolArray, FloatArray, IntArray

HIGHEST = {"k1": 3.0, "k2": 5.0, "k3": 5.0, "k4": 5.0, "vt": 500.0, "vb": 0.5}
LOWEST = {"k1": 1e-3, "k2": 0.0, "vt": 0.05}  # kBq/mL written as Bq/mL ends beyond one of these
STANDARD_ERRORS = 3.0
TOLERANCE = 1e-3
NEGLIGIBLE = 1e-3
CLIPPED_FRAMES = 4
MAX_MISSED = 0.5


def checked_curves(tac: FloatArray, schedule: FrameSchedule) -> FloatArray:
    """Return the curves as an array of float, one column a frame.

    Raises
    ------
    DatasetError
        If the shape is not (n_curves, n_frames).
    """
    tac = np.asarray(tac, dtype=float)
    if tac.ndim != 2 or tac.shape[1] != schedule.n_frames or len(tac) == 0:
        raise DatasetError(
            f"curves of {schedule.where}",
            f"shape {tac.shape}",
            f"(curves, {schedule.n_frames} frames)",
            "give one row per curve and one column per frame of the same scan",
        )
    return tac


def checked_weights(weights: FloatArray | None, schedule: FrameSchedule) -> FloatArray:
    """Return the weights of the frames, equal unless given.

    Raises
    ------
    DatasetError
        If there is not one finite weight per frame, or one is negative, or all are zero.
    """
    if weights is None:
        return np.ones(schedule.n_frames)
    weight = np.asarray(weights, dtype=float)
    fine = weight.shape == (schedule.n_frames,) and bool(np.isfinite(weight).all())
    if not fine or (weight < 0).any() or not weight.any():
        raise DatasetError(
            f"weights of {schedule.where}",
            f"shape {weight.shape}, values {np.unique(weight)[:3]}",
            f"{schedule.n_frames} finite weights of 0 or more, not all 0",
            "correct the weights",
        )
    return weight


def checked_blood(kernel: FrameKernel, vb: float | None) -> FloatArray:
    """Return the frame averages of whole blood, needed unless `vb` is 0.

    Raises
    ------
    DatasetError
        If `vb` is not a fraction below 1, or whole blood was not measured.
    """
    if vb is not None and not 0 <= vb < 1:
        raise DatasetError("blood volume", f"{vb}", "a fraction from 0 to 1", "correct it")
    if vb != 0 and not kernel.blood.any():
        raise DatasetError(
            "blood volume",
            "no whole blood in the input function",
            "whole blood, or a blood volume of 0",
            "add whole blood, or fix the blood volume at 0",
        )
    return kernel.blood


def unfit(tac: FloatArray) -> IntArray:
    """Flag curves that no plasma-input model can be fitted to, clipped ones as implausible.

    A curve counts as clipped if four frames or more have exactly its highest value, or exactly
    zero after its peak: measured activity does not repeat itself.

    Examples
    --------
    >>> unfit(np.array([[0.0, 3, 3, 3, 3, 2], [0.0, 0, 0, 0, 3, 2]]))
    array([32,  0])
    """
    flags = curve_flags(tac)
    finite = np.nan_to_num(tac, nan=0.0, posinf=0.0, neginf=0.0)
    highest = (finite == finite.max(axis=1, keepdims=True)).sum(axis=1)
    after_peak = np.arange(tac.shape[1]) > finite.argmax(axis=1)[:, None]
    zero = ((finite == 0) & after_peak).sum(axis=1)
    clipped = (flags == 0) & (np.maximum(highest, zero) >= CLIPPED_FRAMES)
    return flags | np.where(clipped, int(Flag.IMPLAUSIBLE), 0)


def implausible(values: Mapping[str, FloatArray], errors: Mapping[str, FloatArray]) -> BoolArray:
    """Mark curves with a value that no tissue has.

    K1, k2 and V_T must exceed `LOWEST`. Others may be negative by up to three of their standard
    errors, as noise makes them. None may be above `HIGHEST`.
    """
    bad = np.zeros(next(iter(values.values())).shape, dtype=bool)
    for name, value in values.items():
        slack = np.fmax(STANDARD_ERRORS * errors[name], TOLERANCE)
        with np.errstate(invalid="ignore"):
            low = value <= LOWEST[name] if name in LOWEST else value < -slack
            bad |= ~np.isfinite(value) | low | (value > HIGHEST[name])
    return bad


def not_random(curves: FloatArray, fitted: FloatArray) -> BoolArray:
    """Mark fits whose residuals keep their sign for too long, unless they are below 0.1 %.

    Parameters
    ----------
    curves, fitted : array of shape (n_curves, n_frames)
    """
    residuals = curves - fitted
    seen = np.linalg.norm(residuals, axis=1) > NEGLIGIBLE * np.linalg.norm(curves, axis=1)
    return np.asarray(seen & (runs_p(residuals) < RUNS_ALPHA))


def missed(curves: FloatArray, fitted: FloatArray) -> BoolArray:
    """Mark fits that leave more than half of a curve's root mean square: it is no tissue's.

    Parameters
    ----------
    curves, fitted : array of shape (n_curves, n_frames)
    """
    left = np.linalg.norm(curves - fitted, axis=1)
    return np.asarray(left > MAX_MISSED * np.linalg.norm(curves, axis=1))
