"""The simplified reference tissue model with the efflux rate of the reference region given."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.curves import Curves, assemble, checked_k2prime
from petfmri.pet.kinetics.estimates import Estimates, Flag
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.pet.kinetics.rate_search import GRID, Directions, best_rate, resolvents
from petfmri.typing import FloatArray, IntArray

PARAMETERS = 2


def srtm2(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    *,
    k2prime: float,
    weights: FloatArray | None = None,
    fitted: bool = False,
) -> Estimates:
    """Fit C = R1 (C' + (k2' - k2a) C' ⊗ exp(-k2a t)), with k2a = R1 k2' / (1 + BP_ND).

    Parameters
    ----------
    tac, reference, schedule, weights, fitted
        As for `srtm`.
    k2prime : float, 1/min
        Efflux rate of the reference region. It scales with the region's blood flow: take that of
        the same scan.

    Returns
    -------
    Estimates
        ``bpnd``, ``r1`` and ``k2`` (1/min); standard errors take `k2prime` as exact.

    Raises
    ------
    FrameError
        If the scan does not begin at the injection.
    DatasetError
        If shapes do not fit, the reference curve has no activity, or k2' is not plausible.

    References
    ----------
    Wu Y, Carson RE (2002). J Cereb Blood Flow Metab 22:1440.
    doi:10.1097/01.WCB.0000033967.83623.34

    Examples
    --------
    >>> schedule = FrameSchedule(60.0 * np.arange(90), np.full(90, 60.0))
    >>> t = schedule.mid_s / 60
    >>> reference = t * np.exp(-t / 20)
    >>> fit = srtm2(np.array([1.5 * reference]), reference, schedule, k2prime=0.03)
    >>> fit.values["r1"].round(2), fit.values["bpnd"].round(2)
    (array([1.5]), array([0.5]))
    """
    k2prime = checked_k2prime(k2prime)
    curves = Curves.of(tac, reference, weights, schedule, PARAMETERS)
    b, first, second = resolvents(frame_integral(schedule), curves.reference)
    model, slope, bend = srtm2_shapes(curves.reference, b, first, second, k2prime)
    root = curves.root
    directions = Directions.of(model * root, slope * root, bend * root)
    scalars = CubicSpline(
        GRID, np.column_stack([directions.length, *_variances(model * root, slope * root, k2prime)])
    )
    shapes = CubicSpline(GRID, model)

    def fit(chunk: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray], IntArray]:
        found = best_rate(chunk, directions)
        rate = np.exp(found.log_rate)
        length, of_bpnd, of_r1 = scalars(found.log_rate).T
        r1 = found.size / length
        left = np.einsum("ij,ij->i", chunk, chunk) - found.size**2
        sd = np.sqrt(np.maximum(left, 0) / (chunk.shape[1] - PARAMETERS))
        values = {"bpnd": r1 * k2prime / rate - 1, "r1": r1, "k2": r1 * k2prime, "k2a": rate}
        errors = {
            "bpnd": sd * np.sqrt(of_bpnd),
            "r1": sd * np.sqrt(of_r1),
            "k2": sd * np.sqrt(of_r1) * k2prime,
        }
        return values, errors, np.where(found.at_bound, int(Flag.AT_BOUND), 0)

    def curve(values: dict[str, FloatArray]) -> FloatArray:
        return np.asarray(values["r1"][:, None] * shapes(np.log(values["k2a"])))

    return assemble("SRTM2", curves, fit, curve if fitted else None)


def srtm2_shapes(
    reference: FloatArray, b: FloatArray, first: FloatArray, second: FloatArray, k2prime: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The curve for R1 = 1 at every rate, with derivatives by the log of the rate."""
    rate = np.exp(GRID)[:, None]
    rest = k2prime - rate
    return (
        reference + rest * b,
        rest * first - rate * b,
        rest * second - 2 * rate * first - rate * b,
    )


def _variances(model: FloatArray, slope: FloatArray, k2prime: float) -> tuple[FloatArray, ...]:
    """Variance of BP_ND and of R1 per unit of residual variance, at every rate."""
    a, b, c = (np.sum(x * y, axis=1) for x, y in ((model, model), (model, slope), (slope, slope)))
    determinant = a * c - b * b
    scale = (k2prime / np.exp(GRID)) ** 2
    return scale * (a + c + 2 * b) / determinant, c / determinant
