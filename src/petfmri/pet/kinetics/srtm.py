"""The simplified reference tissue model."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.curves import Curves, assemble
from petfmri.pet.kinetics.estimates import Estimates, Flag
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.pet.kinetics.rate_search import GRID, Directions, best_rate, resolvents
from petfmri.typing import FloatArray, IntArray

PARAMETERS = 3


def srtm(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    *,
    weights: FloatArray | None = None,
    fitted: bool = False,
) -> Estimates:
    """Fit C = R1 C' + (k2 - R1 k2a) C' ⊗ exp(-k2a t), with k2a = k2 / (1 + BP_ND).

    R1 and the amplitude are linear; k2a is found continuously between 0.0005 and 0.6 per min, not
    on a grid. The curve of the reference is continued between frames by `frame_integral`.

    Parameters
    ----------
    tac : array of shape (n_curves, n_frames), kBq/mL
    reference : array of shape (n_frames,), kBq/mL
    schedule : FrameSchedule
        From the injection on.
    weights : array of shape (n_frames,), optional
        In inverse proportion to the variance of each frame; equal where absent.
    fitted : bool
        Keep the fitted curves and test their residuals for runs.

    Returns
    -------
    Estimates
        ``bpnd``, ``r1``, ``k2`` and ``k2prime`` (1/min), each with a standard error.

    Raises
    ------
    FrameError
        If the scan does not begin at the injection.
    DatasetError
        If shapes do not fit or the reference curve has no activity.

    References
    ----------
    Lammertsma AA, Hume SP (1996). NeuroImage 4:153. doi:10.1006/nimg.1996.0066
    Gunn RN et al (1997). NeuroImage 6:279. doi:10.1006/nimg.1997.0303

    Examples
    --------
    >>> schedule = FrameSchedule(60.0 * np.arange(90), np.full(90, 60.0))
    >>> t = schedule.mid_s / 60
    >>> reference = t * np.exp(-t / 20)
    >>> fit = srtm(np.array([1.5 * reference]), reference, schedule)
    >>> fit.values["r1"].round(2), fit.values["bpnd"].round(2)
    (array([1.5]), array([0.5]))
    """
    curves = Curves.of(tac, reference, weights, schedule, PARAMETERS)
    integral = frame_integral(schedule)
    b, first, second = resolvents(integral, curves.reference)
    root = curves.root
    unit = curves.reference * root
    size = float(np.linalg.norm(unit))
    unit = unit / size
    weighted = b * root, first * root, second * root
    shared = weighted[0] @ unit
    directions = Directions.of(*(v - np.outer(v @ unit, unit) for v in weighted))
    scalars = CubicSpline(
        GRID,
        np.column_stack([directions.length, shared, _inverse_gram(unit * size, *weighted[:2])]),
    )
    basis = CubicSpline(GRID, b)

    def fit(chunk: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray], IntArray]:
        found = best_rate(chunk, directions)
        rate = np.exp(found.log_rate)
        length, along, *inverse = scalars(found.log_rate).T
        first_size = chunk @ unit
        amplitude = found.size / length
        r1 = (first_size - amplitude * along) / size
        left = np.einsum("ij,ij->i", chunk, chunk) - first_size**2 - found.size**2
        variance = np.maximum(left, 0) / (chunk.shape[1] - PARAMETERS)
        values = {
            "bpnd": amplitude / rate + r1 - 1,
            "r1": r1,
            "k2": amplitude + r1 * rate,
            "k2prime": amplitude / r1 + rate,
            "k2a": rate,
        }
        errors = _standard_errors(variance, inverse, rate, amplitude, r1)
        return values, errors, np.where(found.at_bound, int(Flag.AT_BOUND), 0)

    def curve(values: dict[str, FloatArray]) -> FloatArray:
        amplitude = values["k2"] - values["r1"] * values["k2a"]
        with np.errstate(invalid="ignore"):
            convolved = basis(np.log(values["k2a"]))
        return np.asarray(values["r1"][:, None] * curves.reference + amplitude[:, None] * convolved)

    return assemble("SRTM", curves, fit, curve if fitted else None)


def _inverse_gram(reference: FloatArray, b: FloatArray, first: FloatArray) -> FloatArray:
    """Inverse Gram matrix of C', b and db/dlog(rate) at every rate: its 6 different entries."""
    vectors = np.stack([np.broadcast_to(reference, b.shape), b, first], axis=1)
    scale = np.linalg.norm(vectors, axis=2)
    vectors = vectors / scale[..., None]
    inverse = np.linalg.inv(vectors @ vectors.transpose(0, 2, 1))
    inverse /= scale[:, :, None] * scale[:, None, :]
    return np.asarray(inverse[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]])


def _standard_errors(
    variance: FloatArray,
    inverse: list[FloatArray],
    rate: FloatArray,
    amplitude: FloatArray,
    r1: FloatArray,
) -> dict[str, FloatArray]:
    """Delta method over (R1, amplitude, log rate); the last is scaled by the amplitude."""
    one, none = np.ones_like(rate), np.zeros_like(rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        gradients: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {
            "bpnd": (one, 1 / rate, -1 / rate),
            "r1": (one, none, none),
            "k2": (rate, one, r1 * rate / amplitude),
            "k2prime": (-amplitude / r1**2, 1 / r1, rate / amplitude),
        }
        a, b, c, d, e, f = inverse
        return {
            name: np.sqrt(
                variance
                * (
                    a * x * x + d * y * y + f * z * z
                    + 2 * (b * x * y + c * x * z + e * y * z)
                )
            )
            for name, (x, y, z) in gradients.items()
        }  # fmt: skip
