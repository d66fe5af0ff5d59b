"""The multilinear reference tissue model with two parameters."""

from __future__ import annotations

import numpy as np

from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.curves import Curves, assemble, checked_k2prime
from petfmri.pet.kinetics.estimates import Estimates
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.typing import FloatArray, IntArray

PARAMETERS = 2


def mrtm2(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    *,
    k2prime: float,
    weights: FloatArray | None = None,
    fitted: bool = False,
) -> Estimates:
    """Fit C = k2 (∫C' + C'/k2') - k2a ∫C, linear in k2 and k2a = k2 / (1 + BP_ND).

    The curve stands on both sides, so that noise biases the estimate; it is the fastest model.

    Parameters
    ----------
    tac, reference, schedule, weights, fitted
        As for `srtm`.
    k2prime : float, 1/min

    Returns
    -------
    Estimates
        ``bpnd``, ``r1`` and ``k2`` (1/min). Intervals from the standard errors cover less than
        they say when curves are noisy: noise of the integral is not counted.

    Raises
    ------
    FrameError, DatasetError
        As for `srtm2`.

    References
    ----------
    Ichise M et al (2003). J Cereb Blood Flow Metab 23:1096.
    doi:10.1097/01.WCB.0000085441.37552.CA

    Examples
    --------
    >>> schedule = FrameSchedule(60.0 * np.arange(90), np.full(90, 60.0))
    >>> t = schedule.mid_s / 60
    >>> reference = t * np.exp(-t / 20)
    >>> fit = mrtm2(np.array([1.5 * reference]), reference, schedule, k2prime=0.03)
    >>> fit.values["r1"].round(2), fit.values["bpnd"].round(2)
    (array([1.5]), array([0.5]))
    """
    k2prime = checked_k2prime(k2prime)
    curves = Curves.of(tac, reference, weights, schedule, PARAMETERS)
    integral = frame_integral(schedule)
    driver = integral @ curves.reference + curves.reference / k2prime
    weight = curves.root**2
    by_driver = weight * driver
    squared = float(by_driver @ driver)

    def fit(chunk: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray], IntArray]:
        area = chunk @ integral.T
        weighted = area * weight
        cross, area_squared = weighted @ driver, np.einsum("ij,ij->i", weighted, area)
        y_driver, y_area = chunk @ by_driver, np.einsum("ij,ij->i", weighted, chunk)
        determinant = squared * area_squared - cross**2
        k2 = (area_squared * y_driver - cross * y_area) / determinant
        k2a = (cross * y_driver - squared * y_area) / determinant
        left = np.einsum("ij,j,ij->i", chunk, weight, chunk) - k2 * y_driver + k2a * y_area
        sd = np.sqrt(np.maximum(left, 0) / (chunk.shape[1] - PARAMETERS) / determinant)
        dvr = k2 / k2a
        spread = np.sqrt(np.maximum(area_squared + dvr**2 * squared - 2 * dvr * cross, 0))
        values = {"bpnd": dvr - 1, "r1": k2 / k2prime, "k2": k2, "k2a": k2a}
        error = sd * np.sqrt(area_squared)
        errors = {"bpnd": sd * spread / np.abs(k2a), "r1": error / k2prime, "k2": error}
        return values, errors, np.zeros(len(chunk), dtype=np.int64)

    def curve(values: dict[str, FloatArray]) -> FloatArray:
        area = np.asarray(curves.tac, dtype=float) @ integral.T
        return np.asarray(values["k2"][:, None] * driver - values["k2a"][:, None] * area)

    return assemble("MRTM2", curves, fit, curve if fitted else None, whole=False)
