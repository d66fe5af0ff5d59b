"""One look at a tile of correlations: the largest of each arrangement, and how many reach the first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np

from petfmri.typing import FloatArray, IntArray

Tally: TypeAlias = Callable[[FloatArray, FloatArray, float], IntArray]


def tally(r: FloatArray, largest: FloatArray, tie: float) -> IntArray:
    """Raise the largest |r| of each arrangement, and count those that reach the observed |r|.

    Parameters
    ----------
    r : array of shape (n_outcomes, n_arrangements)
        The observed arrangement first; overwritten.
    largest : array of shape (n_arrangements,)
        Of |r|; raised in place.
    tie : float
        What is less by no more than this is equal.

    Returns
    -------
    array of int, shape (n_outcomes,)

    Examples
    --------
    >>> largest = np.zeros(3)
    >>> tally(np.array([[-1.0, 0.5, 1.0], [0.2, -0.3, 0.1]]), largest, 1e-9), largest
    (array([2, 2], dtype=uint32), array([1. , 0.5, 1. ]))
    """
    np.abs(r, out=r)
    np.maximum(largest, r.max(axis=0), out=largest)
    eights = np.bitwise_count(np.packbits(r >= r[:, :1] - tie, axis=1))
    return np.asarray(eights.sum(axis=1, dtype=np.uint32))


@cache
def compiled_tally() -> Tally:
    """Return `tally` compiled, or as it is where numba is not installed: for many outcomes."""
    if find_spec("numba") is None:
        return tally
    from numba import njit

    kernel = njit(cache=True)(_by_rows)

    def compiled(r: FloatArray, largest: FloatArray, tie: float) -> IntArray:
        reached = np.empty(len(r), dtype=np.uint32)
        kernel(r, largest, r.dtype.type(tie), reached)
        return reached

    return compiled


def _by_rows(r, largest, tie, reached):  # type: ignore[no-untyped-def]
    """Do so row by row, while it is in cache."""
    for outcome in range(r.shape[0]):
        row = r[outcome]
        observed = abs(row[0]) - tie
        count = np.int32(0)
        for k in range(len(row)):
            count += np.int32(abs(row[k]) >= observed)
        reached[outcome] = count
        for k in range(len(row)):
            size = abs(row[k])
            largest[k] = max(largest[k], size)
