"""What chance alone would have predicted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.typing import FloatArray, IntArray


def shuffled_targets(
    target: FloatArray, groups: Sequence[str], *, permutations: int, seed: int
) -> FloatArray:
    """Targets dealt anew to the persons.

    Parameters
    ----------
    target : array of shape (n_rows,)
        One value per person, repeated in each of their rows.
    groups : sequence of str, length n_rows
        The person of each row.
    permutations, seed : int

    Returns
    -------
    array of shape (n_rows, permutations)

    Raises
    ------
    StatisticsError
        If the rows of one person differ in their target.
    """
    first, person = _persons(target[:, None], groups)
    orders = _orders(len(first), permutations, seed)
    return np.asarray(target[first][orders].T[person])


def targets_without_features(
    target: FloatArray,
    covariates: FloatArray,
    groups: Sequence[str],
    *,
    permutations: int,
    seed: int,
) -> FloatArray:
    """Targets that still depend on the covariates, but no longer on anything else.

    What the covariates leave unexplained is dealt anew to the persons, so features can only
    predict these targets through the covariates.

    Parameters
    ----------
    target, groups, permutations, seed
        As `shuffled_targets`.
    covariates : array of shape (n_rows, n_covariates)
        One value per person, repeated in each of their rows.

    Returns
    -------
    array of shape (n_rows, permutations)

    References
    ----------
    Freedman & Lane 1983, J Bus Econ Stat 1:292-298; Winkler et al. 2014, NeuroImage 92:381-397.
    """
    first, person = _persons(np.column_stack([target, covariates]), groups)
    Z = np.column_stack([np.ones(len(first)), covariates[first]])
    explained = Z @ (np.linalg.pinv(Z, rcond=1e-10) @ target[first])
    residual = target[first] - explained
    orders = _orders(len(first), permutations, seed)
    return np.asarray((explained + residual[orders]).T[person])


def permutation_p(observed: float, null: FloatArray) -> float:
    """Share of permutations that do as well as observed, the observed one included.

    Examples
    --------
    >>> permutation_p(0.3, np.array([0.1, 0.4, -0.2]))
    0.5
    """
    return float((1 + np.sum(null >= observed - 1e-12)) / (1 + len(null)))


def _orders(n: int, permutations: int, seed: int) -> IntArray:
    rows = np.tile(np.arange(n), (permutations, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1)


def _persons(values: FloatArray, groups: Sequence[str]) -> tuple[IntArray, IntArray]:
    names, first, person = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    differs = (values != values[first][person]).any(axis=1)
    if differs.any():
        raise StatisticsError(
            f"{names[person[differs.argmax()]]}",
            "rows with different targets or covariates",
            "one outcome and baseline per person",
            "predict one outcome per person",
        )
    return first, person
