"""Whether two changes go together over persons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import person_orders
from petfmri.statistics.permutation import TIE, arranged_r, share_reaching
from petfmri.typing import FloatArray

MIN_PERSONS = 4


@dataclass(frozen=True)
class Coupling:
    """Result of `correlate`; arrays have shape (n_x, n_y).

    Attributes
    ----------
    r : array
        Pearson correlation over persons.
    low, high : array
        95 % Fisher interval.
    p, p_fwe : array
        Two-sided permutation p, uncorrected and corrected over all pairs by the largest |r|.
    p_smallest : float
        Smallest attainable p.
    arrangements : int
    exact : bool
        Whether all orders of the persons were enumerated.
    free : int
        Persons less covariates: a partial correlation is as sharp as a plain one of so many.
    """

    r: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    p_fwe: FloatArray
    p_smallest: float
    arrangements: int
    exact: bool
    free: int


def correlate(
    x: FloatArray,
    y: FloatArray,
    *,
    covariates: FloatArray | None = None,
    ranks: bool = False,
    permutations: int = 10_000,
    seed: int = 1,
) -> Coupling:
    """Correlate every column of x with every column of y over persons.

    Parameters
    ----------
    x : array of shape (n_persons, n_x)
    y : array of shape (n_persons, n_y)
        Complete; one row per person in both.
    covariates : array of shape (n_persons, k), optional
        The correlation is then the partial one, by Freedman and Lane's method.
    ranks : bool
        Spearman's correlation: of ranks, so that no single person carries it.
    permutations : int
        Random orders of the persons, the observed one included, when n! exceeds 20,000. Below,
        all are enumerated.
    seed : int

    Returns
    -------
    Coupling

    Raises
    ------
    StatisticsError
        With fewer than 4 persons beside the covariates, missing values, or a column without any
        spread.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> result = correlate(x, x**2)
    >>> result.arrangements, round(float(result.r[0, 0]), 3), round(float(result.p[0, 0]), 3)
    (24, 0.984, 0.083)
    """
    x, y = _checked(x, "x"), _checked(y, "y")
    if ranks:
        from scipy import stats  # here, because it is slow to import

        x, y = stats.rankdata(x, axis=0), stats.rankdata(y, axis=0)
    n, constant = len(x), np.ones((len(x), 1))
    nuisance = constant if covariates is None else np.column_stack([constant, covariates])
    free = n - nuisance.shape[1] + 1
    if free < MIN_PERSONS:
        raise StatisticsError(
            "partial correlation",
            f"{n} persons and {nuisance.shape[1] - 1} covariates",
            f"at least {MIN_PERSONS} persons more than covariates",
            "leave out covariates",
        )
    orders = person_orders(n, permutations=permutations, seed=seed)
    shape = (x.shape[1], y.shape[1])
    r, reached, largest = np.empty(shape), np.empty(shape), np.zeros(len(orders))
    for i, column in enumerate(x.T):
        every = arranged_r(y, column, arrangements=orders, nuisance=nuisance)
        r[i] = every[:, 0]
        size = np.abs(every)
        reached[i] = (size >= size[:, :1] - TIE).sum(axis=1)
        np.maximum(largest, size.max(axis=0), out=largest)
    low, high = fisher_interval(r, free)
    return Coupling(
        r=np.clip(r, -1, 1),
        low=low,
        high=high,
        p=reached / len(orders),
        p_fwe=share_reaching(largest, np.abs(r) - TIE),
        p_smallest=orders.smallest,
        arrangements=orders.total,
        exact=orders.exact,
        free=free,
    )


def fisher_interval(
    r: FloatArray, n: int, *, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Interval of a correlation by Fisher's z.

    Examples
    --------
    >>> low, high = fisher_interval(np.array([0.5]), 28)
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.156, 0.736)
    """
    half = -special.ndtri((1 - confidence) / 2) / np.sqrt(n - 3)
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return np.tanh(z - half), np.tanh(z + half)


def critical_r(n: int, *, alpha: float = 0.05) -> float:
    """Smallest |r| of n persons with a two-sided p below alpha.

    Examples
    --------
    >>> round(critical_r(11), 2)
    0.6
    """
    t = -special.stdtrit(n - 2, alpha / 2)
    return float(t / np.sqrt(n - 2 + t**2))


def detectable_r(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Correlation that n persons see with the given power (Fisher's approximation).

    Examples
    --------
    >>> round(detectable_r(11), 2)
    0.76
    """
    return float(np.tanh(-(special.ndtri(alpha / 2) + special.ndtri(1 - power)) / np.sqrt(n - 3)))


def _checked(values: FloatArray, name: str) -> FloatArray:
    values = np.asarray(values, dtype=float)
    if len(values) < MIN_PERSONS:
        raise StatisticsError(
            f"correlation over persons: {name}",
            f"{len(values)} persons",
            f"at least {MIN_PERSONS}",
            "look at the individual values; a correlation needs more persons",
        )
    if not np.isfinite(values).all():
        raise StatisticsError(
            f"correlation over persons: {name}",
            f"{int((~np.isfinite(values)).sum())} missing values",
            "complete columns",
            "leave out the persons or columns concerned, and say which",
        )
    if (np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)).any():
        raise StatisticsError(
            f"correlation over persons: {name}",
            "a column with one value in all persons",
            "values that differ between persons",
            "leave this column out, and say so",
        )
    return values
