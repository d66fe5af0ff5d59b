"""How large a change within persons is: change, percent, Hedges g with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.typing import BoolArray, FloatArray, IntArray

MIN_PERSONS = 3
_RESOLUTION = 1e-8
"""A change that varies by less than this share of its values is rounding, not measurement."""


@dataclass(frozen=True)
class Effects:
    """Paired effects, one entry per outcome.

    Attributes
    ----------
    n : int
        Persons.
    mean_pre, mean_post, change, sd_change : array of shape (n_outcomes,)
        In the unit of the outcome; `change` is post minus pre.
    percent, sd_percent : array of shape (n_outcomes,), %
        Mean and SD over persons of ``100 * (post - pre) / pre``; NaN where a baseline is not
        positive, because a percentage has no meaning there.
    t : array of shape (n_outcomes,)
        Paired t statistic.
    g, g_low, g_high : array of shape (n_outcomes,)
        `hedges_g`.
    n_rise, n_fall : array of shape (n_outcomes,)
        Persons whose value rose and fell.
    """

    n: int
    mean_pre: FloatArray
    mean_post: FloatArray
    change: FloatArray
    sd_change: FloatArray
    percent: FloatArray
    sd_percent: FloatArray
    t: FloatArray
    g: FloatArray
    g_low: FloatArray
    g_high: FloatArray
    n_rise: IntArray
    n_fall: IntArray


def varies(pre: FloatArray, post: FloatArray) -> BoolArray:
    """Tell which outcomes change by more in some persons than in others.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)

    Returns
    -------
    array of bool, shape (n_outcomes,)
        False where all persons change alike to within rounding, as a region does that is its own
        reference: nothing can be inferred there.
    """
    scale = np.maximum(np.abs(pre).max(axis=0), np.abs(post).max(axis=0))
    return np.asarray(np.std(post - pre, axis=0) > _RESOLUTION * scale)


def percent_change(pre: FloatArray, post: FloatArray) -> FloatArray:
    """Change of each person in percent of their own baseline.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)

    Returns
    -------
    array of shape (n_persons, n_outcomes), %
        NaN in whole outcomes with a baseline of zero or less in any person.

    Examples
    --------
    >>> percent_change(np.array([[2.0], [4.0]]), np.array([[1.0], [5.0]])).ravel()
    array([-50.,  25.])
    """
    usable = (pre > 0).all(axis=0)
    percent = np.full(np.shape(pre), np.nan)
    percent[:, usable] = 100 * (post[:, usable] - pre[:, usable]) / pre[:, usable]
    return percent


def small_sample_correction(df: float) -> float:
    """Hedges' J, which removes the small-sample bias of a standardized mean.

    References
    ----------
    Hedges 1981, J Educ Stat 6:107-128, exact form.

    Examples
    --------
    >>> round(small_sample_correction(10), 4)
    0.9227
    """
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def hedges_g(
    change: FloatArray, *, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardized change within persons with its noncentral-t interval.

    ``g = J * mean(change) / sd(change)``: the paired form, based on d_z. It counts in SDs of the
    *change*, so it is not comparable with a g between groups. The interval is the exact one of the
    population d_z under normal changes, and is not multiplied by J.

    Parameters
    ----------
    change : array of shape (n_persons, n_outcomes)
    confidence : float
        Coverage of the interval.

    Returns
    -------
    g, low, high : arrays of shape (n_outcomes,)

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, missing values, or an outcome without any spread.

    References
    ----------
    Cumming & Finch 2001, Educ Psychol Meas 61:532-574; Goulet-Pelletier & Cousineau 2018.

    Examples
    --------
    >>> g, low, high = hedges_g(np.array([[1.0], [2.0], [3.0], [4.0]]))
    >>> [round(float(value[0]), 3) for value in (g, low, high)]
    [1.401, 0.146, 3.672]
    """
    change = checked_changes(change)
    n = len(change)
    root = float(np.sqrt(n))
    t = change.mean(axis=0) / change.std(axis=0, ddof=1) * root
    return effect_of_t(t, n - 1, root, confidence=confidence)


def effect_of_t(
    t: FloatArray, df: float, root: float, *, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardized effect of a t statistic, with its noncentral-t interval.

    Parameters
    ----------
    t : array of shape (n_outcomes,)
    df : float
    root : float
        t over d: the root of n for paired changes, of ``n1 n2 / (n1 + n2)`` for two groups.
    confidence : float
        Coverage of the interval.

    Returns
    -------
    g, low, high : arrays of shape (n_outcomes,)
        d with Hedges' correction; the interval is that of the population d, without it.
    """
    tail = (1 - confidence) / 2
    low = special.nctdtrinc(df, 1 - tail, t) / root
    high = special.nctdtrinc(df, tail, t) / root
    return small_sample_correction(df) * t / root, low, high


def paired_effects(pre: FloatArray, post: FloatArray) -> Effects:
    """Describe the change of every outcome from pre to post.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)
        Complete; row i of both is one person.

    Returns
    -------
    Effects

    Raises
    ------
    StatisticsError
        As `hedges_g`.
    """
    change = checked_changes(post - pre)
    g, low, high = hedges_g(change)
    percent = percent_change(pre, post)
    sd = change.std(axis=0, ddof=1)
    return Effects(
        n=len(change),
        mean_pre=pre.mean(axis=0),
        mean_post=post.mean(axis=0),
        change=change.mean(axis=0),
        sd_change=sd,
        percent=percent.mean(axis=0),
        sd_percent=percent.std(axis=0, ddof=1),
        t=change.mean(axis=0) / sd * np.sqrt(len(change)),
        g=g,
        g_low=low,
        g_high=high,
        n_rise=(change > 0).sum(axis=0),
        n_fall=(change < 0).sum(axis=0),
    )


def detectable_effect(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest d_z that a two-sided paired t test of n persons sees with the given power.

    Parameters
    ----------
    n : int
        Persons, at least 3.
    power, alpha : float
        Power well above alpha: the chance of significance in the wrong direction is left out.

    Returns
    -------
    float
        In SDs of the change.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons.

    Examples
    --------
    >>> round(detectable_effect(11), 2)
    0.94
    """
    _check_persons(n)
    return detectable_by_t(n - 1, float(np.sqrt(n)), power=power, alpha=alpha)


def detectable_by_t(df: float, root: float, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest d that a two-sided t test sees with the given power; `root` as `effect_of_t`.

    Examples
    --------
    >>> round(detectable_by_t(10, 11**0.5), 2)
    0.94
    """
    critical = -special.stdtrit(df, alpha / 2)
    return float(special.nctdtrinc(df, 1 - power, critical) / root)


def checked_changes(change: FloatArray) -> FloatArray:
    """Return the changes as float64 if inference on them is possible.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, missing values, or an outcome without any spread.
    """
    change = np.asarray(change, dtype=float)
    if change.ndim != 2 or change.shape[1] == 0:
        raise StatisticsError(
            "changes",
            f"an array of shape {change.shape}",
            "(n_persons, n_outcomes) with at least one outcome",
            "give one row per person and one column per outcome",
        )
    _check_persons(len(change))
    if not np.isfinite(change).all():
        raise StatisticsError(
            "changes",
            f"{int((~np.isfinite(change)).sum())} missing values",
            "complete outcomes",
            "leave out the persons or outcomes concerned, and say which",
        )
    flat = np.flatnonzero(np.ptp(change, axis=0) == 0)
    if flat.size:
        raise StatisticsError(
            "changes",
            f"the same change in every person in {flat.size} outcomes, first number {flat[0]}",
            "changes that differ between persons",
            "leave these outcomes out, and say which",
        )
    return change


def _check_persons(n: int) -> None:
    if n < MIN_PERSONS:
        raise StatisticsError(
            "paired comparison",
            f"{n} person{'s' if n != 1 else ''} with both sessions",
            f"at least {MIN_PERSONS}",
            "look at the individual values; a group test needs more persons",
        )
