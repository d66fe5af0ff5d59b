"""Differences between two groups of persons: arms, or patients and controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import regroupings
from petfmri.statistics.effects import detectable_by_t, effect_of_t
from petfmri.statistics.permutation import permutation_test
from petfmri.typing import BoolArray, FloatArray

MIN_GROUP = 3


def group_g(
    values: FloatArray, active: BoolArray, *, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardized difference of two groups with its noncentral-t interval.

    ``g = J · (mean active - mean control) / pooled SD``. It counts in SDs between persons, so it
    is not comparable with a g of paired changes.

    Parameters
    ----------
    values : array of shape (n_persons, n_outcomes)
    active : array of bool, shape (n_persons,)
    confidence : float
        Coverage of the interval, which is that of the population d and not multiplied by J.

    Returns
    -------
    g, low, high : arrays of shape (n_outcomes,)

    References
    ----------
    Hedges 1981, J Educ Stat 6:107-128; Cumming & Finch 2001, Educ Psychol Meas 61:532-574.

    Examples
    --------
    >>> values, active = np.array([[1.0], [2], [3], [3], [4], [5]]), np.array([0, 0, 0, 1, 1, 1]) > 0
    >>> [round(float(value[0]), 3) for value in group_g(values, active)]
    [1.596, -0.15, 4.019]
    """
    one, other = values[active], values[~active]
    df = len(values) - 2
    pooled = np.sqrt(
        (one.var(axis=0, ddof=1) * (len(one) - 1) + other.var(axis=0, ddof=1) * (len(other) - 1))
        / df
    )
    root = float(np.sqrt(len(one) * len(other) / len(values)))
    t = (one.mean(axis=0) - other.mean(axis=0)) / pooled * root
    return effect_of_t(t, df, root, confidence=confidence)


def detectable_difference(
    n_active: int, n_control: int, *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest d that a two-sided t test of two groups sees with the given power.

    Examples
    --------
    >>> round(detectable_difference(17, 17), 2)
    0.99
    """
    root = float(np.sqrt(n_active * n_control / (n_active + n_control)))
    return detectable_by_t(n_active + n_control - 2, root, power=power, alpha=alpha)


def stratum_means(strata: Sequence[object] | None, n: int) -> FloatArray:
    """Columns that take out the mean of each stratum, or of everybody where there are none.

    Examples
    --------
    >>> stratum_means(["a", "b", "a"], 3).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    if strata is None:
        return np.ones((n, 1))
    labels = np.asarray([str(one) for one in strata])
    return np.asarray(labels[:, None] == np.unique(labels)[None], dtype=float)


def group_rows(
    values: FloatArray,
    active: BoolArray,
    outcomes: Sequence[str],
    *,
    alone: bool,
    strata: Sequence[object] | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> pd.DataFrame:
    """Test the difference of two groups in all outcomes, by giving out the groups anew.

    Parameters
    ----------
    values : array of shape (n_persons, n_outcomes)
        Complete, and varying in each outcome.
    active : array of bool, shape (n_persons,)
    outcomes : sequence of str
    alone : bool
        Whether the outcomes are not corrected for one another.
    strata : sequence of length n_persons, optional
        As `regroupings`; the difference is then that within strata.
    permutations, seed : int

    Returns
    -------
    DataFrame
        outcome n_active n_control mean_active mean_control difference g g_low g_high t p p_fwe
        p_fdr p_smallest arrangements exact detectable_g.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons in a group, or as `permutation_test`.
    """
    n_active, n_control = check_groups(active)
    nuisance = stratum_means(strata, len(values))
    found = permutation_test(
        values,
        active.astype(float),
        nuisance=nuisance,
        arrangements=regroupings(
            active.tolist(), permutations=permutations, seed=seed, strata=strata
        ),
    )
    outside = active - nuisance @ np.linalg.lstsq(nuisance, active.astype(float), rcond=None)[0]
    root = float(np.linalg.norm(outside))
    g, low, high = effect_of_t(found.t, found.df, root)
    return pd.DataFrame(
        {
            "outcome": outcomes,
            "n_active": n_active,
            "n_control": n_control,
            "mean_active": values[active].mean(axis=0),
            "mean_control": values[~active].mean(axis=0),
            "difference": found.estimate,
            "g": g,
            "g_low": low,
            "g_high": high,
            "t": found.t,
            "p": found.p,
            "p_fwe": np.nan if alone else found.p_fwe,
            "p_fdr": np.nan if alone else found.p_fdr,
            "p_smallest": found.p_smallest,
            "arrangements": found.arrangements,
            "exact": found.exact,
            "detectable_g": detectable_by_t(found.df, root),
        }
    )


def check_groups(active: BoolArray) -> tuple[int, int]:
    """Return the sizes of both groups, which must suffice for a test."""
    sizes = int(active.sum()), int((~active).sum())
    if min(sizes) < MIN_GROUP:
        raise StatisticsError(
            "comparison of groups",
            f"groups of {sizes[0]} and {sizes[1]} persons",
            f"at least {MIN_GROUP} in each",
            "look at the individual values; a test needs more persons",
        )
    return sizes
