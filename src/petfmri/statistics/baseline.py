"""Whether who started low changed more, without mistaking regression to the mean for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.permutation import TIE, share_reaching
from petfmri.typing import FloatArray

NAIVE = (
    "the correlation of change with baseline, which noise alone makes negative: at a reliability "
    "of .6 it is 'significant' in 29 % of studies of 11 persons and 62 % of studies of 24 in whom "
    "nothing depends on the baseline, and so is the ANCOVA slope tested against 1"
)
"""What is refused, and why."""


@dataclass(frozen=True)
class BaselineDependence:
    """Result of `oldham` and `errors_in_variables`; arrays have shape (n_outcomes,).

    Attributes
    ----------
    method : str
    estimate, low, high : array
        Oldham: r of change and average, from -1 to 1, with its 95 % interval. Errors in
        variables: slope of the change on the true baseline with its interval.
    p : array
        Two-sided.
    n : int
        Persons.
    """

    method: str
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    n: int


def oldham(
    pre: FloatArray, post: FloatArray, *, permutations: int = 10_000, seed: int = 1
) -> BaselineDependence:
    """Correlate the change with the average of before and after [1]_.

    The correlation is zero where the spread between persons is the same before and after, however
    noisy both are; it is negative where those who had little gained most, so that the spread
    shrank. The test exchanges the two centred sessions within persons, all such exchanges if they
    are at most 20,000.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)
        Complete.
    permutations, seed : int
        As `sign_patterns`.

    Returns
    -------
    BaselineDependence

    Raises
    ------
    StatisticsError
        With fewer than 4 persons, missing values, or no spread.

    References
    ----------
    .. [1] Oldham PD (1962). J Chronic Dis 15:969. doi:10.1016/0021-9681(62)90116-9

    Examples
    --------
    >>> pre, post = np.array([[1.0], [2], [3], [4]]), np.array([[2.5], [3], [3.5], [4]])
    >>> round(float(oldham(pre, post).estimate[0]), 3)  # who had little gained most
    -1.0
    """
    change, average = _checked(pre, post)
    d = change - change.mean(axis=0)
    s = average - average.mean(axis=0)
    norm = np.sqrt((d**2).sum(axis=0) * (s**2).sum(axis=0))
    r = np.clip((d * s).sum(axis=0) / norm, -1, 1)
    n = len(d)
    half = -special.ndtri(0.025) / np.sqrt(n - 3)
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    arranged = sign_patterns(n, permutations=permutations, seed=seed)
    signs = np.asarray(arranged.signs, dtype=float)
    p = np.array([_exchanged(d[:, j], s[:, j], signs) for j in range(d.shape[1])])
    return BaselineDependence("Oldham", r, np.tanh(z - half), np.tanh(z + half), p, n)


def _exchanged(d: FloatArray, s: FloatArray, signs: FloatArray) -> float:
    """Share of within-person exchanges whose |r| reaches the observed one.

    Exchanging two centred sessions of a person turns the sign of the change and keeps the average.
    """
    turned = signs * d
    turned -= turned.mean(axis=1, keepdims=True)
    r = np.abs(turned @ s) / np.sqrt((turned**2).sum(axis=1) * (s @ s))
    return float(share_reaching(r, r[:1] - TIE)[0])


def errors_in_variables(
    pre: FloatArray, post: FloatArray, reliability: float
) -> BaselineDependence:
    """Estimate the slope of the change on the true baseline, given the reliability of the measure.

    The regression of after on before has slope ``b``; noise before flattens it to ``λ β`` (λ the
    reliability), so ``b / λ - 1`` is the slope of the true change. It is zero if and only if
    ``b = λ``, which a t test with n - 2 degrees of freedom judges [1]_. It is as right as λ is.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)
        Complete.
    reliability : float
        Share of the variance before that is not noise, from a test-retest study of like persons.

    Returns
    -------
    BaselineDependence

    Raises
    ------
    StatisticsError
        As `oldham`, or if the reliability is not above 0 and at most 1.

    References
    ----------
    .. [1] Fuller WA (1987). Measurement Error Models. doi:10.1002/9780470316665

    Examples
    --------
    >>> pre, post = np.array([[1.0], [2], [3], [4]]), np.array([[2.6], [2.9], [3.5], [4]])
    >>> round(float(errors_in_variables(pre, post, 1.0).estimate[0]), 3)
    -0.52
    """
    if not 0 < reliability <= 1:
        raise StatisticsError(
            "reliability", f"{reliability:g}", "above 0 and at most 1", "correct it"
        )
    _checked(pre, post)
    n = len(pre)
    x, y = pre - pre.mean(axis=0), post - post.mean(axis=0)
    sxx = (x**2).sum(axis=0)
    slope = (x * y).sum(axis=0) / sxx
    rest = ((y - slope * x) ** 2).sum(axis=0)
    se = np.sqrt(np.maximum(rest, 1e-30) / (n - 2) / sxx)
    t = (slope - reliability) / se
    half = -special.stdtrit(n - 2, 0.025) * se / reliability
    estimate = slope / reliability - 1
    p = 2 * special.stdtr(n - 2, -np.abs(t))
    return BaselineDependence(
        f"errors in variables, reliability {reliability:g}",
        estimate,
        estimate - half,
        estimate + half,
        p,
        n,
    )


def _checked(pre: FloatArray, post: FloatArray) -> tuple[FloatArray, FloatArray]:
    change, average = np.asarray(post - pre, float), np.asarray(post + pre, float) / 2
    flat = any(np.any(np.ptp(values, axis=0) == 0) for values in (change, average))
    problem = (
        f"{len(change)} persons"
        if len(change) <= MIN_PERSONS
        else "missing values"
        if not np.isfinite(change).all()
        else "an outcome that is the same in all persons"
        if flat
        else ""
    )
    if problem:
        raise StatisticsError(
            "baseline dependence",
            problem,
            f"complete values that vary, of at least {MIN_PERSONS + 1} persons",
            "leave out what is concerned, and say which",
        )
    return change, average
