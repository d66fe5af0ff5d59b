"""Permutation inference: which changes are too large for chance, over all outcomes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.effects import checked_changes
from petfmri.typing import FloatArray, IntArray

EXACT_LIMIT = 20_000
"""Up to this many arrangements all are enumerated instead of drawn."""

TIE = 1e-10
"""Statistics on the scale of a standardized sum that differ by less are equal."""

_BLOCK = 1 << 21
"""Statistics computed at a time (16 MB)."""


@dataclass(frozen=True)
class SignFlip:
    """Result of `sign_flip`.

    Attributes
    ----------
    t : array of shape (n_outcomes,)
        Observed paired t.
    p : array of shape (n_outcomes,)
        Two-sided, uncorrected.
    p_fwe : array of shape (n_outcomes,)
        Two-sided, corrected over all outcomes by the largest |t|.
    p_smallest : array of shape (n_outcomes,)
        The smallest p that this n, this number of arrangements and the persons with exactly no
        change allow.
    arrangements : int
    exact : bool
        Whether all arrangements were enumerated.
    """

    t: FloatArray
    p: FloatArray
    p_fwe: FloatArray
    p_smallest: FloatArray
    arrangements: int
    exact: bool


def sign_flip(change: FloatArray, *, permutations: int = 10_000, seed: int = 1) -> SignFlip:
    """Test whether changes are symmetric about zero, by flipping the signs of persons.

    A person keeps one sign for all outcomes, so their dependence is kept and the distribution of
    the largest |t| controls the family-wise error exactly [1]_ [2]_.

    Parameters
    ----------
    change : array of shape (n_persons, n_outcomes)
        Post minus pre, complete.
    permutations : int
        Random sign patterns, the observed one included, when 2^n exceeds 20,000. Below, all are
        enumerated.
    seed : int

    Returns
    -------
    SignFlip

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, missing values, an outcome without any spread, or fewer than 2
        permutations.

    References
    ----------
    .. [1] Nichols & Holmes 2002, Hum Brain Mapp 15:1-25.
    .. [2] Winkler et al. 2014, NeuroImage 92:381-397.

    Examples
    --------
    >>> result = sign_flip(np.array([[1.0], [2.0], [3.0]]))
    >>> float(result.p[0]), float(result.p_smallest[0]), result.arrangements, result.exact
    (0.25, 0.25, 8, True)
    """
    change = checked_changes(change)
    n, n_outcomes = change.shape
    signs, arrangements, exact = sign_patterns(n, permutations=permutations, seed=seed)
    # Flipping signs leaves the sum of squares alone, so |t| grows with the standardized |sum|.
    unit = change / np.sqrt((change**2).sum(axis=0))
    observed = np.abs(unit.sum(axis=0))
    reached = np.zeros(n_outcomes)
    largest = np.empty(len(signs))
    step = max(1, _BLOCK // n_outcomes)
    for start in range(0, len(signs), step):
        block = np.abs(signs[start : start + step].astype(float) @ unit)
        reached += (block >= observed - TIE).sum(axis=0)
        largest[start : start + step] = block.max(axis=1)
    still = (np.abs(change) == 0).sum(axis=0)
    return SignFlip(
        t=change.mean(axis=0) / change.std(axis=0, ddof=1) * np.sqrt(n),
        p=reached / len(signs),
        p_fwe=share_reaching(largest, observed - TIE),
        p_smallest=2.0 ** (still + 1 - n) if exact else np.full(n_outcomes, 1 / len(signs)),
        arrangements=arrangements,
        exact=exact,
    )


def sign_patterns(n: int, *, permutations: int, seed: int) -> tuple[IntArray, int, bool]:
    """Sign patterns of n persons, the observed one first.

    Parameters
    ----------
    n : int
    permutations : int
        How many to draw when enumeration is out of reach.
    seed : int

    Returns
    -------
    signs : array of int8, shape (n_patterns, n)
        All patterns with the first person unflipped when enumerated: the other half mirrors them
        and a two-sided statistic cannot tell them apart.
    arrangements : int
        Patterns that the rows stand for.
    exact : bool
    """
    if 2**n <= EXACT_LIMIT:
        codes = np.arange(2 ** (n - 1))
        flipped = codes[:, None] >> np.arange(n - 1, -1, -1) & 1
        return (1 - 2 * flipped).astype(np.int8), 2**n, True
    if permutations < 2:
        raise StatisticsError(
            "permutations", str(permutations), "at least 2, usually 10,000", "ask for more"
        )
    signs = np.random.default_rng(seed).integers(0, 2, (permutations, n), dtype=np.int8) * 2 - 1
    signs[0] = 1
    return signs.astype(np.int8), permutations, False


def share_reaching(null: FloatArray, observed: FloatArray) -> FloatArray:
    """Share of the null values that reach each observed one.

    Examples
    --------
    >>> share_reaching(np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 9.0]))
    array([0.75, 0.  ])
    """
    below = np.searchsorted(np.sort(null), observed, side="left")
    return np.asarray(1 - below / len(null))
