"""The sum over all heights of how large the cluster of each element is, on the tree of clusters.

With numba the elements join one by one; without, whole arrays are used: every element climbs to a
peak, peaks meet at passes, and only the passes are merged one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from petfmri.statistics.neighbours import Neighbours
from petfmri.typing import BoolArray, FloatArray, IntArray


def sum_with_arrays(
    steps: FloatArray,
    order: IntArray,
    positive: BoolArray,
    neighbours: Neighbours,
    extent_power: float,
) -> FloatArray:
    """Sum extent^E over the heights below each element.

    Parameters
    ----------
    steps : array of shape (n + 1,)
        The integral of the weight of heights up to each element, the highest first, and 0.
    order : array of int, shape (n,)
        The elements, the highest first.
    positive : bool array of shape (n,)
        Of each element; clusters hold elements of one sign.
    neighbours : Neighbours
    extent_power : float

    Returns
    -------
    array of shape (n,)
        By element.
    """
    n = len(order)
    leaf, start, parent = _tree(order, positive, neighbours)
    branch = _branches(leaf, start, parent)
    own = np.bincount(branch, minlength=len(start))
    first = np.cumsum(own) - own
    listed = np.argsort(branch, kind="stable")  # by branch, the highest first
    of = branch[listed]
    size = np.arange(1, n + 1) - first[of] + _in_children(own, parent)[of]
    lower = np.append(steps[listed[1:]], 0.0)
    last = np.append(of[1:] != of[:-1], True)
    lower[last] = steps[start[parent[of[last]]]]
    gain = size**extent_power * (steps[listed] - lower)
    passed = np.append(np.cumsum(gain[::-1])[::-1], 0.0)
    within = passed[:-1] - passed[(first + own)[of]]
    whole = np.bincount(of, gain, minlength=len(start)).astype(float)
    below = _path_sums(whole, parent)
    found = np.empty(n)
    found[order[listed]] = within + below[parent[of]]
    return found


def _tree(
    order: IntArray, positive: BoolArray, neighbours: Neighbours
) -> tuple[IntArray, IntArray, IntArray]:
    """Peaks and the passes where they meet, as branches; the last one holds the whole.

    Returns
    -------
    leaf : array of int, shape (n,)
        Branch of the peak above each element, by rank.
    start : array of int, shape (n_branches,)
        Rank of the highest element of each branch: its peak or its pass.
    parent : array of int, shape (n_branches,)
    """
    n = len(order)
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    ones, others = rank[neighbours.ones], rank[neighbours.others]
    alike = positive[neighbours.ones] == positive[neighbours.others]
    up = np.empty(n, dtype=np.int64)
    up[rank] = np.minimum.reduceat(np.where(alike, others, n), neighbours.starts[:-1])
    while True:
        higher = up[up]
        if np.array_equal(higher, up):
            break
        up = higher
    peaks = np.flatnonzero(up == np.arange(n))
    leaf = np.searchsorted(peaks, up)
    meet = alike & (ones < others)
    meet[meet] = leaf[ones[meet]] != leaf[others[meet]]
    start, parent = _merged(peaks, leaf[ones[meet]], leaf[others[meet]], others[meet])
    return leaf, np.append(start, n), parent


def _merged(
    peaks: IntArray, ones: IntArray, others: IntArray, passes: IntArray
) -> tuple[IntArray, IntArray]:
    """Merge peaks at their highest passes, the highest pass first."""
    n_peaks = len(peaks)
    scale = int(passes.max(initial=0)) + 1
    pair = np.minimum(ones, others) * n_peaks + np.maximum(ones, others)
    pair, rank = np.divmod(np.sort(pair * scale + passes), scale)
    best = np.append(True, pair[1:] != pair[:-1])[: len(pair)]
    places = np.divmod(pair[best], n_peaks)
    graph = sparse.csr_array((rank[best] + 1.0, places), shape=(n_peaks, n_peaks))
    links = csgraph.minimum_spanning_tree(graph).tocoo()
    inside = np.argsort(links.data)
    start = np.concatenate([peaks, links.data[inside].astype(np.int64) - 1])
    whole = len(start)
    parent, joined = [whole] * (whole + 1), list(range(whole))
    one_by_one = zip(links.row[inside].tolist(), links.col[inside].tolist(), strict=True)
    for new, sides in enumerate(one_by_one, n_peaks):
        for side in sides:
            while joined[side] != side:
                joined[side] = side = joined[joined[side]]
            joined[side] = parent[side] = new
    return start, np.array(parent)


def _branches(leaf: IntArray, start: IntArray, parent: IntArray) -> IntArray:
    """Branch that holds each element: the lowest on the way from its peak that starts above it."""
    leaps = [parent]
    while not (leaps[-1] == len(parent) - 1).all():
        leaps.append(leaps[-1][leaps[-1]])
    branch = leaf.copy()
    rank = np.flatnonzero(start[parent[leaf]] <= np.arange(len(leaf)))
    at = leaf[rank]
    for leap in reversed(leaps):
        further = leap[at]
        at = np.where(start[further] <= rank, further, at)
    branch[rank] = at
    return branch


def _in_children(own: IntArray, parent: IntArray) -> IntArray:
    """Elements in all branches above each."""
    above = [0] * len(own)
    for branch, (count, at) in enumerate(zip(own.tolist(), parent.tolist(), strict=True)):
        above[at] += count + above[branch]
    return np.array(above)


def _path_sums(values: FloatArray, parent: IntArray) -> FloatArray:
    """Sum of the values of each branch and of all below it."""
    total, at = values.copy(), parent
    while not (at == len(parent) - 1).all():
        total += total[at]
        at = at[at]
    return total


# --------------------------------------------------------------------------------- with numba


@cache
def sum_compiled() -> Callable[..., FloatArray] | None:
    """Return the compiled form of `sum_with_arrays`, or None where numba is not installed."""
    if find_spec("numba") is None:
        return None
    from numba import njit

    kernel = njit(cache=True)(_one_by_one)

    def compiled(
        steps: FloatArray,
        order: IntArray,
        positive: BoolArray,
        neighbours: Neighbours,
        extent_power: float,
    ) -> FloatArray:
        powers = np.arange(len(order) + 1) ** extent_power
        given = (order, positive, neighbours.starts, neighbours.others)
        found: FloatArray = kernel(steps, *given, powers)
        return found

    return compiled


def _one_by_one(steps, order, positive, starts, others, powers):  # type: ignore[no-untyped-def]
    """Let elements join the clusters that they touch, the highest first."""
    n = len(order)
    level = np.zeros(n + 1)
    parent = np.full(n, n, np.int32)  # in the tree of clusters
    joined = np.arange(n).astype(np.int32)  # towards the element that stands for the cluster
    lowest = joined.copy()  # of the cluster that the element stands for
    count = np.ones(n, np.int32)
    size = np.ones(n, np.int32)  # of the cluster when the element joined
    side = np.zeros(n, np.int8)  # 0 until it joins
    for k in range(n):
        element = order[k]
        level[element] = steps[k]
        sign = 1 if positive[element] else 2
        own = element
        for place in range(starts[element], starts[element + 1]):
            top = others[place]
            if side[top] != sign:
                continue
            while joined[top] != top:
                joined[top] = joined[joined[top]]
                top = joined[top]
            if top == own:
                continue
            parent[lowest[top]] = element
            size[element] += count[top]
            if count[top] > count[own]:
                own, top = top, own
            joined[top] = own
            count[own] += count[top]
        lowest[own] = element
        side[element] = sign
    found = np.zeros(n + 1)
    for k in range(n - 1, -1, -1):
        element = order[k]
        below = parent[element]
        found[element] = powers[size[element]] * (steps[k] - level[below]) + found[below]
    return found[:n]
