"""Treatment effects of a crossover by giving the sequences anew to the persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from scipy import special

from petfmri.statistics.arrangements import Arrangements, regroupings
from petfmri.statistics.crossover_design import LEAST_PERSONS, Crossover
from petfmri.statistics.effects import detectable_by_t, small_sample_correction
from petfmri.statistics.permutation import PermutationTest, permutation_test
from petfmri.typing import BoolArray, FloatArray, IntArray

OMNIBUS_LIMIT = 1000
"""Outcomes up to which treatment × time is tested by permutation, too."""
RESOLUTION = 1e-8
MANY = 5000
"""Above this, effects that do not pass have no interval."""


def period_differences(values: FloatArray, design: Crossover) -> FloatArray:
    """First period minus second of every person and time, over visits that both have.

    Parameters
    ----------
    values : array of shape (n_sessions, n_outcomes)
    design : Crossover

    Returns
    -------
    array of shape (n_persons, n_times, n_outcomes)
        NaN where a visit is missing.
    """
    whole = np.full((2, len(design.persons), len(design.times), values.shape[1]), np.nan)
    whole[design.period, design.person, design.time] = values[design.rows]
    return np.asarray(whole[0] - whole[1])


@dataclass(frozen=True)
class SequenceTest:
    """A two-sample test of period differences between the sequences; NaN where not tested.

    Attributes
    ----------
    p, p_fwe, p_smallest : arrays of shape (n_outcomes,)
    g, g_low, g_high : arrays of shape (n_outcomes,)
        The treatment effect in SDs of the persons' treatment differences, beside their difference
        before the dose, with Hedges' correction and its noncentral-t interval.
    detectable : float
        g that is seen with 80 % power at two-sided .05.
    persons : list of int
    told : str
    arrangements : int
    exact : bool
    """

    p: FloatArray
    p_fwe: FloatArray
    p_smallest: FloatArray
    g: FloatArray
    g_low: FloatArray
    g_high: FloatArray
    detectable: float
    persons: list[int]
    told: str
    arrangements: int
    exact: bool


@dataclass(frozen=True)
class Rest:
    """On whom a permutation test rests.

    Attributes
    ----------
    persons : tuple of int
    smallest : float
        The smallest p that they can reach; None where they are too few to be tested.
    """

    persons: tuple[int, ...]
    smallest: float | None


def persons_with_most(differences: FloatArray) -> IntArray:
    """Find the persons with at least half of the outcomes that anybody has.

    Parameters
    ----------
    differences : array of shape (n_persons, n_outcomes)
    """
    has = np.isfinite(differences)
    some = has.any(axis=0)
    return np.flatnonzero(has[:, some].mean(axis=1) >= 0.5) if some.any() else np.arange(0)


def rest_of(
    differences: FloatArray, design: Crossover, *, permutations: int = 10_000, seed: int = 1
) -> Rest:
    """Say on whom `sequence_test` of the same arguments rests."""
    persons = persons_with_most(differences)
    first = design.first[persons]
    smallest = None
    if _enough(first):
        smallest = _regroupings(tuple(first.tolist()), permutations, seed).smallest
    return Rest(tuple(persons.tolist()), smallest)


def _enough(first: BoolArray) -> bool:
    return len(first) >= LEAST_PERSONS and min(first.sum(), (~first).sum()) >= 2


def sequence_test(
    differences: FloatArray,
    design: Crossover,
    *,
    before: FloatArray | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> SequenceTest | None:
    """Give the sequences anew to the persons, and compare their period differences each time.

    The difference between the sequences of d = first − second period is twice the treatment
    effect, whatever the period effect is. Flipping the signs of treatment differences instead
    takes the period effect for noise, and is wrong where the sequences are of unequal size. With
    values before the dose, d is replaced by its residual on their difference, which the sequence
    cannot have changed: the test stays exact [1]_.

    Parameters
    ----------
    differences : array of shape (n_persons, n_outcomes)
        First minus second period. Persons without most of the outcomes are left out, then
        outcomes that a remaining person lacks.
    design : Crossover
    before : array of shape (n_persons, n_outcomes), optional
        First minus second period before the dose; NaN in outcomes without.
    permutations, seed : int
        For more than 20,000 ways.

    Returns
    -------
    SequenceTest, or None with too few persons or nothing that varies.

    References
    ----------
    .. [1] Rosenbaum 2002, Stat Sci 17:286. doi:10.1214/ss/1042727942
    """
    persons = persons_with_most(differences)
    first = design.first[persons]
    if not _enough(first):
        return None
    whole = np.isfinite(differences[persons]).all(axis=0)
    d = differences[persons][:, whole]
    b = np.zeros_like(d)
    if before is not None:
        known = np.isfinite(before[persons]).all(axis=0)
        b = np.where(known, before[persons], 0)[:, whole]
    rest = _adjusted(d, b)
    varies = rest.std(axis=0) > RESOLUTION * np.abs(d).max(axis=0)
    places = np.flatnonzero(whole)[varies]
    if not places.size:
        return None
    found = permutation_test(
        rest[:, varies],
        first.astype(float),
        nuisance=np.ones((len(persons), 1)),
        arrangements=_regroupings(tuple(first.tolist()), permutations, seed),
    )
    g = _effects(d[:, varies], b[:, varies], first, found.p_fwe)
    return _placed(found, g, first, persons, places, differences.shape[1])


@lru_cache(maxsize=4)
def _regroupings(first: tuple[bool, ...], permutations: int, seed: int) -> Arrangements:
    return regroupings(first, permutations=permutations, seed=seed)


def _adjusted(d: FloatArray, before: FloatArray) -> FloatArray:
    """Residuals of every outcome on its own difference before the dose."""
    x = before - before.mean(axis=0)
    total = (x**2).sum(axis=0)
    slope = (x * d).sum(axis=0) / np.where(total > 0, total, 1)
    return np.asarray(d - x * slope)


def _effects(d: FloatArray, before: FloatArray, first: BoolArray, p_fwe: FloatArray) -> FloatArray:
    """Hedges' g beside the difference before the dose, and its interval, shape (3, n_outcomes).

    Of many outcomes only those that pass have an interval.
    """
    d, b = d - d.mean(axis=0), before - before.mean(axis=0)
    x = (first - first.mean())[:, None]
    bb = (b**2).sum(axis=0)
    over = np.where(bb > 0, bb, np.inf)
    xb, bd = (x * b).sum(axis=0), (b * d).sum(axis=0)
    xx = (x**2).sum() - xb**2 / over
    xd = (x * d).sum(axis=0) - xb * bd / over
    dd = (d**2).sum(axis=0) - bd**2 / over
    df = len(d) - 2.0 - (bb > 0)
    t = xd / np.sqrt(np.maximum(dd - xd**2 / xx, 1e-300) * xx / df)
    factor = 1 / (2 * np.sqrt(xx))
    j = np.where(bb > 0, *(small_sample_correction(len(d) - k) for k in (3, 2)))
    wanted = (p_fwe <= 0.05) | (d.shape[1] <= MANY)
    ends = [
        np.where(wanted, special.nctdtrinc(df, p, np.where(wanted, t, 0)) * factor, np.nan)
        for p in (0.975, 0.025)
    ]
    return np.stack([j * factor * t, *ends])


def _placed(
    found: PermutationTest,
    g: FloatArray,
    first: BoolArray,
    persons: IntArray,
    places: IntArray,
    n_outcomes: int,
) -> SequenceTest:
    df = len(persons) - 2
    factor = float(np.sqrt(1 / first.sum() + 1 / (~first).sum())) / 2

    def spread(values: FloatArray) -> FloatArray:
        whole = np.full(n_outcomes, np.nan)
        whole[places] = values
        return whole

    return SequenceTest(
        p=spread(found.p),
        p_fwe=spread(found.p_fwe),
        p_smallest=spread(found.p_smallest),
        g=spread(g[0]),
        g_low=spread(g[1]),
        g_high=spread(g[2]),
        detectable=detectable_by_t(df, 1 / factor),
        persons=[int(person) for person in persons],
        told=found.told,
        arrangements=found.arrangements,
        exact=found.exact,
    )


def interaction_test(
    differences: FloatArray, design: Crossover, *, permutations: int = 10_000, seed: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Test by permutation whether the treatment effect differs between times.

    The differences of `period_differences` less their mean over times are tested at every time;
    the p of an outcome is that of its largest |t| over the times.

    Parameters
    ----------
    differences : array of shape (n_persons, n_times, n_outcomes)
    design, permutations, seed
        As `sequence_test`.

    Returns
    -------
    p, p_fwe : arrays of shape (n_outcomes,)
        NaN where an outcome has fewer than two times, or there are more than 1,000 outcomes.
    """
    n_outcomes = differences.shape[2]
    p, fwe = np.full((2, n_outcomes), np.nan)
    has = np.isfinite(differences).sum(axis=0) >= LEAST_PERSONS  # (n_times, n_outcomes)
    if n_outcomes > OMNIBUS_LIMIT:
        return p, fwe
    chance = partial(sequence_test, design=design, permutations=permutations, seed=seed)
    columns: list[FloatArray] = []
    owners: list[int] = []
    for outcome in np.flatnonzero(has.sum(axis=0) >= 2).tolist():
        own = differences[:, has[:, outcome], outcome]
        rest = own - own.mean(axis=1, keepdims=True)
        test = chance(rest)
        if test is not None and np.isfinite(test.p_fwe).any():
            p[outcome] = np.nanmin(test.p_fwe)
            columns.append(rest)
            owners += [outcome] * rest.shape[1]
    if columns:
        together = chance(np.hstack(columns))
        if together is not None:
            for outcome in dict.fromkeys(owners):
                own_p = together.p_fwe[np.array(owners) == outcome]
                if np.isfinite(own_p).any():
                    fwe[outcome] = np.nanmin(own_p)
    return p, fwe


def interaction_rests(
    differences: FloatArray, design: Crossover, *, permutations: int = 10_000, seed: int = 1
) -> list[Rest]:
    """Say on whom `interaction_test` rests: once for every set of persons among the outcomes."""
    found: dict[tuple[int, ...], Rest] = {}
    has = np.isfinite(differences)
    if differences.shape[2] > OMNIBUS_LIMIT:
        return []
    for pattern in np.unique(has, axis=2).transpose(2, 0, 1):
        times = pattern.sum(axis=0) >= LEAST_PERSONS
        if times.sum() >= 2:
            own = np.where(pattern[:, times], 0.0, np.nan)
            rest = rest_of(own, design, permutations=permutations, seed=seed)
            found.setdefault(rest.persons, rest)
    return list(found.values())


def over_times(differences: FloatArray) -> FloatArray:
    """Average period differences over the times that a person has, shape (n_persons, n_outcomes)."""
    known = np.isfinite(differences)
    count = known.sum(axis=1)
    total = np.where(known, differences, 0).sum(axis=1)
    return np.asarray(total / np.where(count, count, np.nan))


def names_of_contrasts(times: Sequence[str]) -> list[str]:
    """Name the effect over all times, at each, and that they differ.

    Examples
    --------
    >>> names_of_contrasts(["50", "165"])
    ['treatment', 'treatment at 50', 'treatment at 165', 'treatment x time']
    """
    return ["treatment", *(f"treatment at {time}" for time in times), "treatment x time"]
