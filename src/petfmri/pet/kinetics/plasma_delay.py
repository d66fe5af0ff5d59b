"""How much later blood reaches the brain than the place where it was sampled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.kinetics.plasma_checks import checked_curves
from petfmri.pet.kinetics.projection import (
    TWO_TISSUE_RATES,
    Problem,
    prepare,
    refine,
    residuals,
    search_one_rate,
    search_two_rates,
)
from petfmri.typing import FloatArray

GRID_STEP_S = 4.0
MIN_FRAMES = 8
MAX_RESIDUAL = 0.1  # of the root mean square of the curve


@dataclass(frozen=True)
class DelayFit:
    """When blood reached the brain, later than at the place where it was sampled.

    Attributes
    ----------
    delay_s : float, s
        For `InputFunction.shifted`; NaN if a flag says that it may not be believed.
    flags : int
        Sum of `Flag`.
    """

    delay_s: float
    flags: int


def fit_delay(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    *,
    vb: float | None = 0.05,
    until_s: float = 600.0,
    bounds_s: tuple[float, float] = (-60.0, 60.0),
) -> DelayFit:
    """Fit the delay of one large region; fix it for all others.

    The one-tissue model, which noise leads astray less, finds the delay to a few seconds; the
    two-tissue model refines it from there. All frames weigh the same: the delay is in the rise of
    the curve, to which weights for kinetics often give nothing.

    Parameters
    ----------
    tac : array of shape (n_frames,), kBq/mL
        Such as the whole brain.
    schedule, inputs
        As in `petfmri.pet.kinetics.compartment.one_tissue`.
    vb : float, optional
        Volume fraction of blood. None: fitted too; but it and the delay trade off against each
        other, and frames of 30 s or manual samples alone can hardly tell them apart.
    until_s : float, s
        Only frames until then are fitted, but at least the first 8: later ones say nothing of the
        delay, and a mixture of tissues, which is no two-tissue curve, then moves it (by 0.6 s over
        a whole scan in the tests).
    bounds_s : (float, float), s
        Delays that are searched. Negative: the brain is reached before the sampler.

    Raises
    ------
    DatasetError, FrameError
        As in `one_tissue`; the input must outlast these frames also when shifted by the lowest delay.

    Examples
    --------
    >>> from petfmri.pet.kinetics.convolution import frame_kernel
    >>> t = np.arange(0.0, 3661, 10)
    >>> inputs = InputFunction(t, t / 60 * np.exp(-t / 60) + (t > 0) * 0.1, np.exp(-t / 60))
    >>> schedule = FrameSchedule(np.arange(0, 3600, 60), np.full(60, 60.0))
    >>> tissue = 0.3 * frame_kernel(inputs.shifted(7), schedule).exponentials(np.array(0.1))
    >>> round(fit_delay(tissue, schedule, inputs, vb=0.0).delay_s, 2)
    7.0
    """
    curve = checked_curves(np.atleast_2d(np.asarray(tac, dtype=float)), schedule)
    n_early = max(int((schedule.end_s <= until_s + 1e-6).sum()), MIN_FRAMES)
    curve = curve[:, :n_early]
    schedule = FrameSchedule(
        schedule.start_s[:n_early], schedule.duration_s[:n_early], schedule.where
    )
    _, flags = prepare(curve, schedule, inputs, None, vb, n_rates=3)
    if flags[0]:
        return DelayFit(np.nan, int(flags[0]))

    def at(delay_s: float) -> Problem:
        return prepare(curve, schedule, inputs.shifted(delay_s), None, vb, n_rates=3)[0]

    delays = np.linspace(*bounds_s, 1 + int(np.ceil((bounds_s[1] - bounds_s[0]) / GRID_STEP_S)))
    costs = [_one_tissue_cost(at(float(delay))) for delay in delays]
    start = float(delays[np.argmin(costs)])
    near = at(start)
    rates = refine(near, near.curves[0], np.log(search_two_rates(near, near.curves)[0])).x

    def misfit(x: FloatArray) -> FloatArray:
        moved = at(float(x[0]))
        return residuals(moved, moved.curves[0], x[1:])

    low, high = np.log(TWO_TISSUE_RATES[[0, -1]])
    bounds = np.array([bounds_s, (low, high), (low, high)]).T
    inside = 1e-3 * np.array([[1.0], [-1.0]])
    found = optimize.least_squares(
        misfit,
        np.clip([start, *rates], *(bounds + inside)),
        bounds=tuple(bounds),
        x_scale=[1.0, 0.1, 0.1],
        diff_step=1e-4,
        xtol=1e-10,
        ftol=1e-12,
    )
    delay = float(found.x[0])
    at_bound = min(delay - bounds_s[0], bounds_s[1] - delay) < GRID_STEP_S / 10
    flag = Flag.AT_BOUND if at_bound else Flag(0)
    flag |= Flag(0) if found.success else Flag.NOT_CONVERGED
    flag |= Flag.IMPLAUSIBLE if np.linalg.norm(found.fun) > MAX_RESIDUAL else Flag(0)
    return DelayFit(np.nan if flag else delay, int(flag))


def _one_tissue_cost(problem: Problem) -> float:
    """Sum of squares that the one-tissue model leaves of the curve."""
    curve = problem.curves[0]
    rate = search_one_rate(problem, problem.curves)
    return float(np.sum(residuals(problem, curve, np.log(rate)) ** 2))
