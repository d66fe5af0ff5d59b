"""Correlation within persons over repeated measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.coupling import MIN_PERSONS, Coupling, fisher_interval
from petfmri.statistics.permutation import TIE, share_reaching
from petfmri.typing import FloatArray


def repeated_measures_correlation(
    persons: Sequence[object],
    x: FloatArray,
    y: FloatArray,
    *,
    permutations: int = 10_000,
    seed: int = 1,
) -> Coupling:
    """Correlate two measures over the visits of each person, with one slope for all [1]_.

    Differences between persons are taken out; what everybody shares over time is not: where all
    rise in both from one visit to the next, the two correlate. The test exchanges the visits of
    ``y`` within persons, so its null is that visits are exchangeable.

    Parameters
    ----------
    persons : sequence of length n_rows
        Who each row is of; persons with one row carry nothing and are left out.
    x, y : array of shape (n_rows,)
        Complete.
    permutations, seed : int
        Random exchanges, the observed one included; with two visits each all sign patterns, if
        they are at most 20,000.

    Returns
    -------
    Coupling
        Arrays of shape (1, 1).

    Raises
    ------
    StatisticsError
        With fewer than 4 persons with several visits, missing values, or no spread.

    References
    ----------
    .. [1] Bakdash JZ, Marusich LR (2017). Front Psychol 8:456. doi:10.3389/fpsyg.2017.00456

    Examples
    --------
    >>> persons = ["a", "a", "b", "b", "c", "c", "d", "d"]
    >>> x = np.array([1.0, 2, 5, 6, 3, 5, 8, 7])
    >>> found = repeated_measures_correlation(persons, x, 2 * x + np.repeat([0.0, 9, 4, 1], 2))
    >>> round(float(found.r[0, 0]), 6), found.arrangements
    (1.0, 16)
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    labels = np.unique(np.asarray(persons, dtype=str), return_inverse=True)[1]
    rows = [found for k in range(labels.max() + 1) if len(found := np.flatnonzero(labels == k)) > 1]
    if len(rows) < MIN_PERSONS or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise StatisticsError(
            "repeated-measures correlation",
            f"{len(rows)} persons with several visits"
            if len(rows) < MIN_PERSONS
            else "missing values",
            f"complete values of at least {MIN_PERSONS} persons with several visits",
            "leave out what is missing, and say which",
        )
    cx = np.concatenate([x[part] - x[part].mean() for part in rows])
    cy = np.concatenate([y[part] - y[part].mean() for part in rows])
    sizes = [len(part) for part in rows]
    norm = float(np.sqrt((cx @ cx) * (cy @ cy)))
    if norm == 0:
        raise StatisticsError(
            "repeated-measures correlation",
            "values that do not change within persons",
            "values that do",
            "correlate persons instead",
        )
    if set(sizes) == {2}:
        arranged = sign_patterns(len(rows), permutations=permutations, seed=seed)
        products = (cx * cy).reshape(-1, 2).sum(axis=1)
        null = np.asarray(arranged.signs, float) @ products / norm
        total, exact, smallest = arranged.total, arranged.exact, arranged.smallest
    else:
        null = _exchanged(cx, cy, sizes, permutations, seed) / norm
        total, exact, smallest = permutations, False, 1 / permutations
    df = len(cx) - len(rows) - 1
    r = np.array([[cx @ cy / norm]])
    low, high = fisher_interval(r, df + 2)
    p = share_reaching(np.abs(null), np.abs(r) - TIE)
    return Coupling(np.clip(r, -1, 1), low, high, p, p, smallest, total, exact, df + 2)


def _exchanged(
    cx: FloatArray, cy: FloatArray, sizes: Sequence[int], permutations: int, seed: int
) -> FloatArray:
    """Products of x with y whose visits are exchanged within persons, the observed one first."""
    rng = np.random.default_rng(seed)
    null, start = np.zeros(permutations), 0
    for size in sizes:
        part = slice(start, start + size)
        moved = np.tile(cy[part], (permutations, 1))
        moved[1:] = rng.permuted(moved[1:], axis=1)
        null += moved @ cx[part]
        start += size
    return null


def repeated_changes(
    dx: FloatArray, dy: FloatArray, *, permutations: int = 10_000, seed: int = 1
) -> Coupling:
    """`repeated_measures_correlation` of two visits, of every pair of columns, from their changes.

    Parameters
    ----------
    dx : array of shape (n_persons, n_x)
    dy : array of shape (n_persons, n_y)

    Returns
    -------
    Coupling
        Arrays of shape (n_x, n_y); p_fwe is corrected over all pairs by the largest |r|.
    """
    n = len(dx)
    ux, uy = (d / np.sqrt((d**2).sum(axis=0)) for d in (dx, dy))
    arranged = sign_patterns(n, permutations=permutations, seed=seed)
    products = (ux[:, :, None] * uy[:, None, :]).reshape(n, -1)
    null = np.abs(np.asarray(arranged.signs, float) @ products)
    r = products.sum(axis=0)
    size = np.abs(r) - TIE
    shape = (dx.shape[1], dy.shape[1])
    low, high = fisher_interval(r, n + 1)  # 2 n rows - n persons - 1 degrees of freedom
    return Coupling(
        r=np.clip(r, -1, 1).reshape(shape),
        low=low.reshape(shape),
        high=high.reshape(shape),
        p=(null >= size).mean(axis=0).reshape(shape),
        p_fwe=share_reaching(null.max(axis=1), size).reshape(shape),
        p_smallest=arranged.smallest,
        arrangements=arranged.total,
        exact=arranged.exact,
        free=n + 1,
    )
