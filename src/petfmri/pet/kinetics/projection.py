"""Variable projection for sums of exponentials: amplitudes are solved for, rates are searched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.convolution import FrameKernel, frame_kernel
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.kinetics.plasma_checks import (
    checked_blood,
    checked_curves,
    checked_weights,
    unfit,
)
from petfmri.typing import FloatArray, IntArray

ONE_TISSUE_RATES = np.geomspace(2e-4, 5.0, 96)  # 1/min
TWO_TISSUE_RATES = np.geomspace(1e-4, 8.0, 30)
GOLDEN = (np.sqrt(5) - 1) / 2
GOLDEN_STEPS = 36
MAX_STEPS = 60
RATE_STEP = 1e-4  # relative step of derivatives
EDGE = 0.02  # closer than this to the edge of the search (logarithm of a rate)
SINGULAR = 1e-13


@dataclass(frozen=True)
class Problem:
    """Weighted curves and what is needed to predict them."""

    kernel: FrameKernel
    curves: FloatArray  # (n_curves, n_frames) times the root of the weights, fixed blood removed
    root: FloatArray  # (n_frames,) of the weights
    blood: FloatArray | None  # weighted, where its volume is fitted
    vb: float | None

    def bases(self, rates: FloatArray) -> FloatArray:
        """Weighted exponentials convolved with plasma, (..., n_frames)."""
        return self.kernel.exponentials(rates) * self.root

    def without_blood(self, curves: FloatArray) -> FloatArray:
        """Remove what whole blood explains, where its volume is fitted."""
        if self.blood is None:
            return curves
        unit = self.blood / np.linalg.norm(self.blood)
        return curves - (curves @ unit)[..., None] * unit

    def columns(self, rates: FloatArray) -> FloatArray:
        """Columns of the linear model of every curve, (n_curves, n_frames, n_amplitudes)."""
        bases = np.swapaxes(self.bases(rates), -1, -2)
        if self.blood is None:
            return bases
        blood = np.broadcast_to(self.blood[:, None], (*bases.shape[:-1], 1))
        return np.concatenate([bases, blood], axis=-1)

    def predicted(self, parameters: FloatArray, n_rates: int) -> FloatArray:
        """Curves of `parameters` (as `solve` returns them), kBq/mL, (n_curves, n_frames)."""
        bases = self.kernel.exponentials(parameters[:, :n_rates])
        tissue = np.einsum("cr,crf->cf", parameters[:, n_rates : 2 * n_rates], bases)
        blood = parameters[:, 2 * n_rates, None] if self.vb is None else self.vb
        return np.asarray(tissue + blood * self.kernel.blood)


def prepare(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    weights: FloatArray | None,
    vb: float | None,
    *,
    n_rates: int,
) -> tuple[Problem, IntArray]:
    """Check the input of a model, weight the curves, and flag those that cannot be fitted."""
    tac = checked_curves(tac, schedule)
    weight = checked_weights(weights, schedule)
    kernel = frame_kernel(inputs, schedule)
    blood = checked_blood(kernel, vb)
    flags = unfit(tac)
    if (weight > 0).sum() <= 2 * n_rates + (vb is None):
        flags = flags | int(Flag.TOO_FEW_FRAMES)
    root = np.sqrt(weight)
    fixed = tac if vb is None else tac - vb * blood
    return Problem(kernel, fixed * root, root, blood * root if vb is None else None, vb), flags


def search_one_rate(problem: Problem, curves: FloatArray) -> FloatArray:
    """Rate of every curve: the best of a grid, refined by golden section between its neighbours."""
    curves = problem.without_blood(curves)

    def explained(bases: FloatArray) -> FloatArray:
        bases = problem.without_blood(bases)
        return np.asarray((curves * bases).sum(axis=1) ** 2 / (bases**2).sum(axis=1))

    grid = problem.without_blood(problem.bases(ONE_TISSUE_RATES))
    score = (curves @ grid.T) ** 2 / (grid**2).sum(axis=1)
    best = np.argmax(score, axis=1)
    logs = np.log(ONE_TISSUE_RATES)
    low, high = logs[np.maximum(best - 1, 0)], logs[np.minimum(best + 1, logs.size - 1)]
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = (explained(problem.bases(np.exp(x))) for x in (left, right))
    for _ in range(GOLDEN_STEPS):
        keep_left = at_left > at_right
        low, high = np.where(keep_left, low, left), np.where(keep_left, right, high)
        new = np.where(keep_left, high - GOLDEN * (high - low), low + GOLDEN * (high - low))
        at_new = explained(problem.bases(np.exp(new)))
        left, right = np.where(keep_left, new, right), np.where(keep_left, left, new)
        at_left, at_right = (
            np.where(keep_left, at_new, at_right),
            np.where(keep_left, at_left, at_new),
        )
    return np.asarray(np.exp((low + high) / 2))


def search_two_rates(problem: Problem, curves: FloatArray) -> FloatArray:
    """Best pair of a grid of rates for every curve, (n_curves, 2)."""
    curves = problem.without_blood(curves)
    grid = problem.without_blood(problem.bases(TWO_TISSUE_RATES))
    grid /= np.linalg.norm(grid, axis=1, keepdims=True)
    slow, fast = np.triu_indices(len(grid), k=1)
    share = (grid[slow] * grid[fast]).sum(axis=1)
    seen = curves @ grid.T
    one, two = seen[:, slow], seen[:, fast]
    score = (one**2 + two**2 - 2 * share * one * two) / (1 - share**2)
    best = np.argmax(score, axis=1)
    return np.stack([TWO_TISSUE_RATES[slow[best]], TWO_TISSUE_RATES[fast[best]]], axis=1)


def residuals(problem: Problem, curve: FloatArray, log_rates: FloatArray) -> FloatArray:
    """Residuals of one curve with the best amplitudes for these rates."""
    columns = problem.columns(np.exp(log_rates))
    amplitudes = np.linalg.lstsq(columns, curve, rcond=None)[0]
    return np.asarray((columns @ amplitudes - curve) / np.linalg.norm(curve))


def refine(problem: Problem, curve: FloatArray, log_rates: FloatArray) -> optimize.OptimizeResult:
    """Improve the rates of one curve from a start, by least squares."""
    low, high = np.log(TWO_TISSUE_RATES[[0, -1]])
    inside = np.clip(log_rates, low + EDGE, high - EDGE)
    return optimize.least_squares(
        lambda x: residuals(problem, curve, x),
        inside,
        bounds=(low, high),
        x_scale=0.1,
        diff_step=1e-5,
        xtol=1e-9,
        ftol=1e-10,
        gtol=1e-9,
        max_nfev=MAX_STEPS,
    )


def solve(
    problem: Problem, curves: FloatArray, rates: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Amplitudes at given rates, and the covariance of both.

    Parameters
    ----------
    problem : Problem
    curves : array of shape (n_curves, n_frames)
        Weighted, as `Problem.curves`.
    rates : array of shape (n_curves, n_rates), 1/min

    Returns
    -------
    parameters : array of shape (n_curves, n_parameters)
        Rates, then their amplitudes, then blood volume where it is fitted.
    covariance : array of shape (n_curves, n_parameters, n_parameters)
        Infinite where frames cannot tell the parameters apart.
    fitted : array of shape (n_curves, n_frames)
        Weighted, as `curves`.
    """
    columns = problem.columns(rates)
    amplitudes = (np.linalg.pinv(columns) @ curves[..., None])[..., 0]
    fitted = (columns @ amplitudes[..., None])[..., 0]
    step = RATE_STEP * rates
    slope = problem.bases(rates + step) - problem.bases(rates - step)
    slope *= (amplitudes[:, : rates.shape[1]] / (2 * step))[..., None]
    jacobian = np.concatenate([np.swapaxes(slope, -1, -2), columns], axis=-1)
    freedom = max(int((problem.root > 0).sum()) - jacobian.shape[-1], 1)
    variance = ((curves - fitted) ** 2).sum(axis=1) / freedom
    covariance = variance[:, None, None] * _inverse_gram(jacobian)
    return np.concatenate([rates, amplitudes], axis=1), covariance, fitted


def _inverse_gram(jacobian: FloatArray) -> FloatArray:
    """Inverse of ``JᵀJ`` for every curve; infinite where it has none."""
    size = np.linalg.norm(jacobian, axis=1, keepdims=True)
    unit = jacobian / np.where(size > 0, size, 1.0)
    gram = np.swapaxes(unit, -1, -2) @ unit
    eigenvalues = np.linalg.eigvalsh(gram)
    regular = eigenvalues[:, 0] > SINGULAR * eigenvalues[:, -1]
    inverse = np.full_like(gram, np.inf)
    inverse[regular] = np.linalg.inv(gram[regular])
    inverse[regular] /= (np.swapaxes(size, -1, -2) * size)[regular]
    return inverse
