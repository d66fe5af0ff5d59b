"""What every reference-tissue model does with its curves before and after the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from petfmri.errors import DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.estimates import (
    EXCLUDES,
    LARGEST_MISFIT,
    RUNS_ALPHA,
    Estimates,
    Flag,
    curve_flags,
    runs_p,
)
from petfmri.typing import FloatArray, IntArray

NUMERICAL = 1e-4  # of the peak: smaller residuals are of the arithmetic, not of the curve
K2PRIME_PER_MIN = (0.002, 0.5)
CHUNK = 8192  # curves at a time: what is computed of them stays in the cache
PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "bpnd": (-1.0, 30.0), "dvr": (0.0, 31.0), "r1": (0.0, 10.0), "k2": (0.0, 5.0),
}  # fmt: skip
Values = dict[str, FloatArray]
Fit = Callable[[FloatArray], tuple[Values, Values, IntArray]]


@dataclass(frozen=True, eq=False)
class Curves:
    """Curves to fit, the reference's curve, and the square roots of the weights."""

    tac: FloatArray
    reference: FloatArray
    root: FloatArray
    too_few: bool

    @classmethod
    def of(
        cls,
        tac: FloatArray,
        reference: FloatArray,
        weights: FloatArray | None,
        schedule: FrameSchedule,
        parameters: int,
    ) -> Curves:
        """Check shapes and the reference.

        Raises
        ------
        DatasetError
        """
        tac, reference = np.asarray(tac), np.asarray(reference, dtype=float)
        weights = np.ones(schedule.n_frames) if weights is None else np.asarray(weights, float)
        n = schedule.n_frames
        if tac.ndim != 2 or tac.shape[1] != n or reference.shape != (n,) or weights.shape != (n,):
            raise DatasetError(
                schedule.where,
                f"curves {tac.shape}, reference {reference.shape}, weights {weights.shape}",
                f"(n_curves, {n}), ({n},), ({n},), as the schedule has {n} frames",
                "use curves and frame times of one scan",
            )
        if not np.isfinite(reference).all() or reference.sum() <= 0:
            raise DatasetError(
                f"{schedule.where}: reference region",
                "no activity, or frames that are not finite",
                "a curve above zero in the whole scan",
                "choose a reference region inside the field of view",
            )
        if not (np.isfinite(weights).all() and (weights > 0).all()):
            raise DatasetError(
                f"{schedule.where}: weights", "values of zero or less", "above zero", "correct them"
            )
        return cls(tac, reference, np.sqrt(weights / weights.mean()), n <= parameters)


def checked_k2prime(value: float) -> float:
    """Refuse a rate that no brain tissue has, such as one per second.

    Raises
    ------
    DatasetError
    """
    low, high = K2PRIME_PER_MIN
    if not low <= value <= high:
        raise DatasetError(
            "k2prime", f"{value:g}", f"{low:g} to {high:g} per min", "give the rate per minute"
        )
    return float(value)


def assemble(
    model: str,
    curves: Curves,
    fit: Fit,
    curve: Callable[[Values], FloatArray] | None,
    *,
    whole: bool = True,
) -> Estimates:
    """Fit chunk by chunk, flag, and take out what the rules exclude.

    Parameters
    ----------
    model : str
    curves : Curves
    fit : callable
        Takes weighted curves (n, n_frames); returns values, standard errors and flags.
    curve : callable, optional
        Makes the fitted curves of values.
    whole : bool
        Multiply curves by the roots of the weights first.
    """
    flags = np.zeros(len(curves.tac), dtype=np.int64)
    values: Values = {}
    errors: Values = {}
    for start in range(0, max(len(flags), 1), CHUNK):
        rows = slice(start, start + CHUNK)
        chunk = np.asarray(curves.tac[rows], dtype=float)
        bad = curve_flags(chunk)
        chunk = np.where((bad & Flag.MISSING)[:, None] > 0, 0.0, chunk)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found, deviations, own = fit(chunk * curves.root if whole else chunk)
        own = own | bad
        own = own | np.where(own == 0, _implausible(found), 0)
        if curves.too_few:
            own = own | Flag.TOO_FEW_FRAMES
        flags[rows] = own
        excluded = (own & ~int(Flag.RUNS)) > 0
        for target, source in ((values, found), (errors, deviations)):
            for name, numbers in source.items():
                target.setdefault(name, np.full(flags.size, np.nan))[rows] = np.where(
                    excluded, np.nan, numbers
                )
    if curve is None:
        return Estimates(model, values, errors, flags)
    modelled = curve(values)
    flags |= _misfit(curves, modelled)
    excluded = (flags & int(EXCLUDES)) > 0
    for target in (values, errors):
        for numbers in target.values():
            numbers[excluded] = np.nan
    return Estimates(model, values, errors, flags, modelled)


def _misfit(curves: Curves, modelled: FloatArray) -> IntArray:
    """Flag fits whose residuals are not random, and exclude those that are far off besides."""
    flags = np.zeros(len(modelled), dtype=np.int64)
    kept = np.isfinite(modelled).all(axis=1)
    measured = np.asarray(curves.tac[kept], dtype=float) * curves.root
    residuals = measured - modelled[kept] * curves.root
    used = (residuals != 0).any(axis=0)  # frames before t* are not fitted
    residuals, measured = residuals[:, used], measured[:, used]
    if not residuals.size:
        return flags
    noisy = np.abs(residuals).max(axis=1, initial=0) > NUMERICAL * np.abs(measured).max(
        axis=1, initial=0
    )
    systematic = (runs_p(residuals) < RUNS_ALPHA) & noisy
    far = np.linalg.norm(residuals, axis=1) > LARGEST_MISFIT * np.linalg.norm(measured, axis=1)
    flags[kept] = np.where(systematic, int(Flag.RUNS), 0)
    flags[kept] |= np.where(systematic & far, int(Flag.POOR), 0)
    return flags


def _implausible(values: Values) -> IntArray:
    wrong = np.zeros(len(next(iter(values.values()))), dtype=bool)
    for name, numbers in values.items():
        low, high = PLAUSIBLE.get(name, (-np.inf, np.inf))
        wrong |= ~((numbers > low) & (numbers < high))
    return np.where(wrong, int(Flag.IMPLAUSIBLE), 0)
