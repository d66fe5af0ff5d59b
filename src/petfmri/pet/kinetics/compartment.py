"""One- and two-tissue compartment models with plasma input and blood volume.

Every model is a sum of exponentials convolved with plasma, plus blood. Given the exponents it is
linear in the amplitudes, so that only the exponents are searched, and it predicts the average
over every frame exactly. Nothing is clipped: what no tissue has is flagged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.estimates import EXCLUDES, LARGEST_MISFIT, Estimates, Flag
from petfmri.pet.kinetics.plasma_checks import implausible, missed, not_random
from petfmri.pet.kinetics.projection import (
    EDGE,
    ONE_TISSUE_RATES,
    TWO_TISSUE_RATES,
    Problem,
    prepare,
    refine,
    search_one_rate,
    search_two_rates,
    solve,
)
from petfmri.typing import BoolArray, FloatArray, IntArray

COMPLEX_STEP = 1e-30
Derived = Callable[[FloatArray, "float | None"], dict[str, FloatArray]]


def one_tissue(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    *,
    weights: FloatArray | None = None,
    vb: float | None = None,
) -> Estimates:
    """Fit the one-tissue compartment model.

    ``C = (1 − vB) K1 exp(−k2 t) ⊗ C_P + vB C_B``, with ``V_T = K1 / k2``.

    Parameters
    ----------
    tac : array of shape (n_curves, n_frames), kBq/mL
        Corrected for decay to the injection.
    schedule : FrameSchedule
    inputs : InputFunction
        Shifted by the delay, if there is one (`fit_delay`).
    weights : array of shape (n_frames,), optional
        Inverse variances, to a factor; equal by default.
    vb : float, optional
        Volume fraction of blood; None: fitted for every curve.

    Returns
    -------
    Estimates
        ``k1`` (mL/cm³/min), ``vt`` (mL/cm³), ``k2`` (1/min), ``vb``; NaN for excluded curves.

    Raises
    ------
    DatasetError
        If curves, weights or `vb` do not fit the frames, or blood volume needs whole blood.
    FrameError
        If the scan outlasts the blood samples by more than 5 min.

    References
    ----------
    Innis RB, et al. Consensus nomenclature for in vivo imaging of reversibly binding
    radioligands. J Cereb Blood Flow Metab 2007;27:1533-1539. doi:10.1038/sj.jcbfm.9600493

    Examples
    --------
    >>> minutes = np.arange(0.0, 91)
    >>> inputs = InputFunction(60 * minutes, np.ones(91), np.ones(91))
    >>> schedule = FrameSchedule(60 * minutes[:-1], np.full(90, 60.0))
    >>> area = 10 * (minutes + np.exp(-0.03 * minutes) / 0.03)  # of K1 0.3, V_T 10
    >>> fit = one_tissue(np.diff(area)[None], schedule, inputs, vb=0.0)
    >>> fit.values["k1"].round(3), fit.values["vt"].round(3)
    (array([0.3]), array([10.]))
    """
    problem, flags = prepare(tac, schedule, inputs, weights, vb, n_rates=1)
    fit = flags == 0
    rates = np.full((len(flags), 1), np.nan)
    if fit.any():
        rates[fit, 0] = search_one_rate(problem, problem.curves[fit])
    return _estimates("1TCM", problem, rates, flags, ONE_TISSUE_RATES, _one_tissue)


def two_tissue(
    tac: FloatArray,
    schedule: FrameSchedule,
    inputs: InputFunction,
    *,
    weights: FloatArray | None = None,
    vb: float | None = None,
) -> Estimates:
    """Fit the reversible two-tissue compartment model.

    ``V_T = K1 / k2 (1 + k3 / k4)``. Where the second compartment is not seen, k3 and k4 have wide
    standard errors or a rate ends at the edge of the search, which is flagged.

    Parameters
    ----------
    tac, schedule, inputs, weights, vb
        As in `one_tissue`.

    Returns
    -------
    Estimates
        As of `one_tissue`, and ``k3``, ``k4`` (1/min).

    Raises
    ------
    DatasetError, FrameError
        As in `one_tissue`.

    References
    ----------
    Gunn RN, Gunn SR, Cunningham VJ. Positron emission tomography compartmental models. J Cereb
    Blood Flow Metab 2001;21:635-652. doi:10.1097/00004647-200106000-00002

    Examples
    --------
    >>> minutes = np.arange(0.0, 91)
    >>> inputs = InputFunction(60 * minutes, np.ones(91), np.ones(91))
    >>> schedule = FrameSchedule(60 * minutes[:-1], np.full(90, 60.0))
    >>> area = sum(size / rate * (minutes + np.exp(-rate * minutes) / rate)
    ...            for size, rate in ((0.1, 0.02), (0.2, 0.3)))
    >>> two_tissue(np.diff(area)[None], schedule, inputs, vb=0.0).values["vt"].round(3)
    array([5.667])
    """
    problem, flags = prepare(tac, schedule, inputs, weights, vb, n_rates=2)
    rates = np.full((len(flags), 2), np.nan)
    fit = np.flatnonzero(flags == 0)
    if fit.size:
        starts = search_two_rates(problem, problem.curves[fit])
        for curve, start in zip(fit, starts, strict=True):
            found = refine(problem, problem.curves[curve], np.log(start))
            rates[curve] = np.sort(np.exp(found.x))
            flags[curve] |= 0 if found.success else int(Flag.NOT_CONVERGED)
    return _estimates("2TCM", problem, rates, flags, TWO_TISSUE_RATES, _two_tissue)


def _one_tissue(parameters: FloatArray, vb: float | None) -> dict[str, FloatArray]:
    """Kinetic parameters of (k2, amplitude, vB if fitted)."""
    k2, amplitude = parameters[:, 0], parameters[:, 1]
    blood = parameters[:, 2] if vb is None else np.full_like(k2, vb)
    k1 = amplitude / (1 - blood)
    return {"k1": k1, "vt": k1 / k2, "k2": k2, "vb": blood}


def _two_tissue(parameters: FloatArray, vb: float | None) -> dict[str, FloatArray]:
    """Kinetic parameters of (two rates, their amplitudes, vB if fitted)."""
    slow, fast, of_slow, of_fast = parameters[:, :4].T
    blood = parameters[:, 4] if vb is None else np.full_like(slow, vb)
    amplitude = of_slow + of_fast
    k1 = amplitude / (1 - blood)
    k2 = (of_slow * slow + of_fast * fast) / amplitude
    k4 = slow * fast / k2
    vt = (of_slow / slow + of_fast / fast) / (1 - blood)
    return {"k1": k1, "vt": vt, "k2": k2, "k3": slow + fast - k2 - k4, "k4": k4, "vb": blood}


def _estimates(
    model: str,
    problem: Problem,
    rates: FloatArray,
    flags: IntArray,
    searched: FloatArray,
    derived: Derived,
) -> Estimates:
    """Amplitudes at the rates found, what follows from both, standard errors, and flags."""
    fit = np.asarray(np.isfinite(rates).all(axis=1))
    fitted = np.full_like(problem.curves, np.nan)
    parameters, covariance, curves = solve(problem, problem.curves[fit], rates[fit])
    with np.errstate(all="ignore"):
        found = derived(parameters, problem.vb)
        spread = _standard_errors(derived, parameters, problem.vb, covariance)
    logs, edges = np.log(rates[fit]), np.log(searched[[0, -1]])
    at_edge = ((logs < edges[0] + EDGE) | (logs > edges[1] - EDGE)).any(axis=1)
    seen = problem.root > 0
    runs = not_random(problem.curves[fit][:, seen], curves[:, seen])
    flags[fit] |= np.where(at_edge, int(Flag.AT_BOUND), 0)
    wrong = implausible(found, spread) | missed(problem.curves[fit], curves)
    flags[fit] |= np.where(wrong, int(Flag.IMPLAUSIBLE), 0)
    flags[fit] |= np.where(runs, int(Flag.RUNS), 0)
    measured, left = problem.curves[fit][:, seen], (problem.curves[fit] - curves)[:, seen]
    far = np.linalg.norm(left, axis=1) > LARGEST_MISFIT * np.linalg.norm(measured, axis=1)
    flags[fit] |= np.where(runs & far, int(Flag.POOR), 0)
    fitted[fit] = problem.predicted(parameters, rates.shape[1])
    return Estimates(
        model, _where_usable(found, fit, flags), _where_usable(spread, fit, flags), flags, fitted
    )


def _where_usable(
    found: dict[str, FloatArray], fit: BoolArray, flags: IntArray
) -> dict[str, FloatArray]:
    """Spread values over all curves, NaN where a flag excludes one."""
    values = {}
    for name, value in found.items():
        full = np.full(len(flags), np.nan)
        full[fit] = value
        values[name] = np.where(flags & int(EXCLUDES), np.nan, full)
    return values


def _standard_errors(
    derived: Derived, parameters: FloatArray, vb: float | None, covariance: FloatArray
) -> dict[str, FloatArray]:
    """Standard errors by the delta method, with derivatives by a complex step."""
    gradients: dict[str, list[FloatArray]] = {}
    for place in range(parameters.shape[1]):
        moved = parameters.astype(complex)
        moved[:, place] += 1j * COMPLEX_STEP
        for name, value in derived(moved, vb).items():
            gradients.setdefault(name, []).append(value.imag / COMPLEX_STEP)
    errors = {}
    for name, rows in gradients.items():
        gradient = np.stack(rows, axis=1)
        errors[name] = np.sqrt(np.einsum("ci,cij,cj->c", gradient, covariance, gradient))
    return errors
