"""Whether two changes go together over persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import person_orders
from petfmri.statistics.pairing import Paired, complete_cases
from petfmri.statistics.permutation import share_reaching
from petfmri.typing import FloatArray

MIN_PERSONS = 4
_TIE = 1e-11


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
    """

    r: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    p_fwe: FloatArray
    p_smallest: float
    arrangements: int
    exact: bool


def correlate(
    x: FloatArray, y: FloatArray, *, permutations: int = 10_000, seed: int = 1
) -> Coupling:
    """Correlate every column of x with every column of y over persons.

    Parameters
    ----------
    x : array of shape (n_persons, n_x)
    y : array of shape (n_persons, n_y)
        Complete; one row per person in both.
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
        With fewer than 4 persons, missing values, or a column without any spread.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [3.0], [4.0]])
    >>> result = correlate(x, x**2)
    >>> result.arrangements, round(float(result.r[0, 0]), 3), round(float(result.p[0, 0]), 3)
    (24, 0.984, 0.083)
    """
    zx, zy = _standardized(x, "x"), _standardized(y, "y")
    n = len(zx)
    found = person_orders(n, permutations=permutations, seed=seed)
    orders = np.asarray(found.orders)
    r = zx.T @ zy
    observed = np.abs(r)
    reached = np.zeros(r.shape)
    largest = np.empty(len(orders))
    step = max(1, (1 << 20) // (n * zy.shape[1] + r.size))
    for start in range(0, len(orders), step):
        shuffled = zy[orders[start : start + step]]
        block = np.abs(np.einsum("ni,bnj->bij", zx, shuffled, optimize=True))
        reached += (block >= observed - _TIE).sum(axis=0)
        largest[start : start + step] = block.max(axis=(1, 2))
    low, high = fisher_interval(r, n)
    return Coupling(
        r=np.clip(r, -1, 1),
        low=low,
        high=high,
        p=reached / len(orders),
        p_fwe=share_reaching(largest, observed - _TIE),
        p_smallest=1 / len(orders),
        arrangements=len(orders),
        exact=found.exact,
    )


def couple(
    paired: Paired,
    x: Sequence[str],
    y: Sequence[str],
    *,
    keep: str | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> tuple[pd.DataFrame | None, list[str]]:
    """Correlate the changes of two groups of outcomes over the persons that have both.

    Parameters
    ----------
    paired : Paired
    x, y : sequence of str
        Outcomes of `paired`.
    keep : str, optional
        The outcome that stays: persons who lack it are left out instead.
    permutations, seed : int
        As `correlate`.

    Returns
    -------
    table : DataFrame or None
        One row per pair: x y method n r r_low r_high p p_fwe p_smallest arrangements exact
        r_critical r_detectable; p_fwe is corrected over these pairs. None when too few persons
        have both groups.
    notes : list of str
        What was left out.
    """
    everybody = paired.pre.index
    if keep in (*x, *y):
        has = paired.pre[keep].notna() & paired.post[keep].notna()
        paired = replace(paired, pre=paired.pre[has], post=paired.post[has])
    cases = complete_cases(paired, x), complete_cases(paired, y)
    persons = [person for person in cases[0].persons if person in cases[1].persons]
    notes = []
    lost = [person for person in everybody if person not in persons]
    if lost:
        notes.append(f"left out for missing values: {', '.join(lost)}.")
    gone = [name for case in cases for name in case.lost_outcomes]
    if gone:
        notes.append(f"left out because a person lacks it: {', '.join(gone)}.")
    if len(persons) < MIN_PERSONS:
        return None, [*notes, f"no correlation with {len(persons)} persons."]
    change = paired.post.loc[persons] - paired.pre.loc[persons]
    spread = change.std() > 0
    names = [[name for name in case.outcomes if spread[name]] for case in cases]
    alike = [name for case in cases for name in case.outcomes if not spread[name]]
    if alike:
        notes.append(f"left out because every person changes alike: {', '.join(alike)}.")
    if not all(names):
        return None, [*notes, "no correlation, because nothing varies between these persons."]
    found = correlate(
        change[names[0]].to_numpy(),
        change[names[1]].to_numpy(),
        permutations=permutations,
        seed=seed,
    )
    n = len(persons)
    table = pd.DataFrame(
        {
            "x": np.repeat(names[0], len(names[1])),
            "y": np.tile(names[1], len(names[0])),
            "method": "pearson",
            "n": n,
            "r": found.r.ravel(),
            "r_low": found.low.ravel(),
            "r_high": found.high.ravel(),
            "p": found.p.ravel(),
            "p_fwe": found.p_fwe.ravel(),
            "p_smallest": found.p_smallest,
            "arrangements": found.arrangements,
            "exact": found.exact,
            "r_critical": critical_r(n),
            "r_detectable": detectable_r(n),
        }
    )
    return table, notes


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


def _standardized(values: FloatArray, name: str) -> FloatArray:
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
    centred = values - values.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    if (norm <= 1e-12 * np.abs(values).max(axis=0)).any():
        raise StatisticsError(
            f"correlation over persons: {name}",
            "a column with one value in all persons",
            "values that differ between persons",
            "leave this column out, and say so",
        )
    return np.asarray(centred / norm)
