"""How well repeated measurements tell persons apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.typing import FloatArray


@dataclass(frozen=True)
class Reliability:
    """Result of `icc`.

    Attributes
    ----------
    icc : float
        ICC(A,1), below 0 if persons differ less than their own measurements.
    low, high : float
        95 % interval.
    n, k : int
        Persons and measurements of each.
    """

    icc: float
    low: float
    high: float
    n: int
    k: int


def icc(values: FloatArray) -> Reliability:
    """Intraclass correlation ICC(A,1): one measurement, two-way, absolute agreement [1]_ [2]_.

    ICC = (MSR − MSE) / (MSR + (k − 1) MSE + k (MSC − MSE) / n), with the mean squares of persons
    (rows), measurements (columns) and error. A shift of all persons between measurements lowers
    it. The interval is that of McGraw and Wong from the F distribution with Satterthwaite's
    degrees of freedom. With few persons it is wide: report it with the value.

    Parameters
    ----------
    values : array of shape (n_persons, k_measurements)
        Runs, halves or sessions of each person, in one order.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons or 2 measurements, missing values, or no spread at all.

    References
    ----------
    .. [1] McGraw KO, Wong SP (1996). Psychol Methods 1:30. doi:10.1037/1082-989X.1.1.30
    .. [2] Shrout PE, Fleiss JL (1979). Psychol Bull 86:420. doi:10.1037/0033-2909.86.2.420

    Examples
    --------
    >>> found = icc(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))  # MSR 8, MSC 1.5, MSE 0
    >>> round(found.icc, 4)
    0.8889
    """
    values = np.asarray(values, dtype=float)
    _require_table(values)
    n, k = values.shape
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    residual = values - rows[:, None] - columns + values.mean()
    msr = k * rows.var(ddof=1)
    msc = n * columns.var(ddof=1)
    mse = np.sum(residual**2) / ((n - 1) * (k - 1))
    rho = (msr - mse) / (msr + (k - 1) * mse + k * (msc - mse) / n)
    if msc + mse < 1e-24 * msr:
        return Reliability(1.0, 1.0, 1.0, n, k)
    a = k * rho / n * msc
    b = (1 - rho + k * rho * (n - 1) / n) * mse
    df = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))
    f_low, f_high = stats.f.ppf(0.975, n - 1, df), stats.f.ppf(0.975, df, n - 1)
    other = k * msc + (k * n - k - n) * mse
    low = n * (msr / f_low - mse) / (other + n * msr / f_low)  # F may be infinite
    high = n * (msr - mse / f_high) / (other / f_high + n * msr)
    return Reliability(float(rho), float(low), float(high), n, k)


def spearman_brown(icc: float, factor: float = 2) -> float:
    """Reliability of a measurement made longer by a factor: f ρ / (1 + (f − 1) ρ) [1]_.

    Two halves of a scan give the reliability of half a scan; a factor of 2 that of the whole.

    Raises
    ------
    StatisticsError
        If the factor is not positive, or ρ so negative that the formula has no meaning.

    References
    ----------
    .. [1] Spearman C (1910). Br J Psychol 3:271. doi:10.1111/j.2044-8295.1910.tb00206.x

    Examples
    --------
    >>> round(spearman_brown(0.6), 3)
    0.75
    """
    below = 1 + (factor - 1) * icc
    if factor <= 0 or below <= 0:
        raise StatisticsError(
            "Spearman-Brown",
            f"reliability {icc:g} and factor {factor:g}",
            "a positive factor and a reliability above −1 / (factor − 1)",
            "report the reliability of the parts themselves",
        )
    return factor * icc / below


def _require_table(values: FloatArray) -> None:
    if values.ndim != 2 or values.shape[0] < 3 or values.shape[1] < 2:
        raise StatisticsError(
            "intraclass correlation",
            f"shape {values.shape}",
            "at least 3 persons (rows) with 2 measurements (columns)",
            "show the values themselves",
        )
    if not np.isfinite(values).all():
        raise StatisticsError(
            "intraclass correlation",
            f"{int((~np.isfinite(values)).sum())} missing values",
            "all measurements of every person",
            "leave out the persons concerned, and say which",
        )
    if np.ptp(values) <= 1e-12 * np.abs(values).max():
        raise StatisticsError(
            "intraclass correlation",
            "one value in all persons and measurements",
            "values that differ",
            "leave this metric out, and say so",
        )
