"""Search of the one rate that enters a model nonlinearly, continuously, for many curves at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.typing import BoolArray, FloatArray

SMALLEST_PER_MIN, LARGEST_PER_MIN = 5e-4, 0.6
GRID = np.linspace(np.log(SMALLEST_PER_MIN), np.log(LARGEST_PER_MIN), 64)  # log of the rate
STEPS = 4  # Newton steps; the first guess is the secant's


@dataclass(frozen=True)
class Directions:
    """Unit vectors, one per rate of `GRID`, with derivatives by the log of the rate.

    Attributes
    ----------
    unit, first, second : arrays of shape (n_rates, n_frames)
    length : array of shape (n_rates,)
        Of the vectors before they were normalised.
    """

    unit: FloatArray
    first: FloatArray
    second: FloatArray
    length: FloatArray

    @classmethod
    def of(cls, vector: FloatArray, first: FloatArray, second: FloatArray) -> Directions:
        """Normalise vectors and carry their derivatives along, each (n_rates, n_frames)."""
        length = np.linalg.norm(vector, axis=1, keepdims=True)
        unit = vector / length
        slope = _dot(unit, first)
        unit_first = (first - slope * unit) / length
        bend = _dot(unit_first, first) + _dot(unit, second)
        unit_second = (second - 2 * slope * unit_first - bend * unit) / length
        return cls(unit, unit_first, unit_second, length[:, 0])


@dataclass(frozen=True)
class Found:
    """The best rate of every curve.

    Attributes
    ----------
    log_rate : array of shape (n_curves,)
    size : array of shape (n_curves,)
        Scalar product of the curve with the unit vector of that rate.
    at_bound : bool array of shape (n_curves,)
    """

    log_rate: FloatArray
    size: FloatArray
    at_bound: BoolArray


def resolvents(
    integral: FloatArray, driver: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Convolve a curve with exp(-rate t) for every rate of `GRID`.

    The convolution b solves b = ∫driver - rate ∫b, so that the matrix of the integral gives it.

    Parameters
    ----------
    integral : array of shape (n_frames, n_frames), min
        As `frame_integral` makes it.
    driver : array of shape (n_frames,)

    Returns
    -------
    b, first, second : arrays of shape (n_rates, n_frames), min × units of the driver
        With its derivatives by the log of the rate.
    """
    rate = np.exp(GRID)[:, None, None]
    inverse = np.linalg.inv(np.eye(len(driver)) + rate * integral)
    b = (inverse @ (integral @ driver)[:, None])[..., 0]
    turn = rate * (inverse @ integral)
    first = -(turn @ b[..., None])[..., 0]
    second = first - 2 * (turn @ first[..., None])[..., 0]
    return b, first, second


def best_rate(curves: FloatArray, directions: Directions) -> Found:
    """Find the rate whose direction explains most of every curve.

    Parameters
    ----------
    curves : array of shape (n_curves, n_frames)
    directions : Directions
        Of rates `GRID`.
    """
    sizes = curves @ directions.unit.T
    best = np.argmax(np.abs(sizes), axis=1)
    rows = np.arange(len(curves))
    sign = np.sign(sizes[rows, best])
    rising = sign * _rows_dot(curves, directions.first[best]) > 0
    at_bound = (rising & (best == len(GRID) - 1)) | (~rising & (best == 0))
    low = np.clip(np.where(rising, best, best - 1), 0, len(GRID) - 2)
    step = GRID[1] - GRID[0]
    f0, f1 = (_rows_dot(curves, directions.first[low + k]) for k in (0, 1))
    g0, g1 = (step * _rows_dot(curves, directions.second[low + k]) for k in (0, 1))
    cubic = (f0, g0, 3 * (f1 - f0) - 2 * g0 - g1, g0 + g1 - 2 * (f1 - f0))
    t = _root(cubic, f0, f1)
    t = np.where(at_bound, np.where(best == 0, 0.0, 1.0), t)
    rise = t * (cubic[0] + t * (cubic[1] / 2 + t * (cubic[2] / 3 + t * cubic[3] / 4)))
    return Found(GRID[low] + step * t, sizes[rows, low] + step * rise, at_bound)


def _root(cubic: tuple[FloatArray, ...], f0: FloatArray, f1: FloatArray) -> FloatArray:
    """Root in 0..1 of the derivative, whose signs at the ends differ."""
    a, b, c, d = cubic
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.nan_to_num(f0 / (f0 - f1), nan=0.5).clip(0, 1)
        for _ in range(STEPS):
            value, slope = a + t * (b + t * (c + t * d)), b + t * (2 * c + 3 * d * t)
            t = np.clip(np.nan_to_num(t - value / slope, nan=0.5), 0, 1)
    return np.asarray(t)


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.sum(a * b, axis=1, keepdims=True)


def _rows_dot(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->i", a, b))
