"""The network-based statistic: groups of connected edges that are too large for chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import Arrangements
from petfmri.statistics.permutation import arranged_t, share_reaching
from petfmri.typing import FloatArray, IntArray

Size = Literal["extent", "intensity"]
Tails = Literal["apart", "together"]
_AT_A_TIME = 1 << 21
_TIE = 1e-9


@dataclass(frozen=True)
class Component:
    """Connected edges above the threshold.

    Attributes
    ----------
    edges : array of int, shape (n_edges,)
        Columns of the outcomes.
    nodes : array of int, shape (n_nodes,)
    direction : int
        1 or -1; 0 where the tails are together.
    size : float
        Edges, or the sum of their excess over the threshold.
    p_fwe : float
        Corrected over components, and over both directions.
    """

    edges: IntArray
    nodes: IntArray
    direction: int
    size: float
    p_fwe: float


@dataclass(frozen=True)
class NetworkTest:
    """Result of `network_test` at one threshold.

    Attributes
    ----------
    threshold : float
        Of |t|.
    components : tuple of Component
        Of at least one edge, the largest first.
    largest : array of shape (n_arrangements,)
        Size of the largest component in every arrangement, the observed one first.
    smallest : float
        The smallest p that these arrangements allow.
    """

    threshold: float
    components: tuple[Component, ...]
    largest: FloatArray
    smallest: float


def network_test(
    y: FloatArray,
    x: FloatArray,
    pairs: IntArray,
    *,
    arrangements: Arrangements,
    thresholds: Sequence[float],
    nuisance: FloatArray | None = None,
    size: Size = "extent",
    tails: Tails = "apart",
) -> tuple[NetworkTest, ...]:
    """Test components of edges with a large t, corrected by the largest component [1]_.

    A component as a whole is significant, never one edge of it.

    Parameters
    ----------
    y : array of shape (n_rows, n_edges)
    x, arrangements, nuisance
        As `permutation_test`.
    pairs : array of int, shape (n_edges, 2)
        The nodes of each edge.
    thresholds : sequence of float
        Of |t|, exceeded by the edges of a component. Which one counts must be declared before
        looking: p is not corrected over several.
    size : "extent" or "intensity"
        Edges, or the sum of their excess over the threshold.
    tails : "apart" or "together"
        Apart: edges of a component have one direction, as in the one-sided contrasts of the NBS
        toolbox, and the null takes the larger of both, so that p is two-sided. Together: edges of
        both directions join, as by ``tail="both"`` of the Brain Connectivity Toolbox.

    Returns
    -------
    tuple of NetworkTest
        One for each threshold.

    Raises
    ------
    StatisticsError
        If there is not one pair for each edge, a threshold is not above 0, or as
        `permutation_test`.

    References
    ----------
    .. [1] Zalesky A, Fornito A, Bullmore ET (2010). NeuroImage 53:1197.
       doi:10.1016/j.neuroimage.2010.06.041

    Examples
    --------
    >>> from petfmri.statistics.arrangements import sign_patterns
    >>> change = np.array([[1.0, 2, 9], [2, 1, -8], [3, 3, 9], [2, 4, -9]])
    >>> pairs = np.array([[0, 1], [1, 2], [0, 3]])
    >>> found, = network_test(change, np.ones(4), pairs, thresholds=[3.0],
    ...     arrangements=sign_patterns(4))
    >>> [(one.edges.tolist(), one.p_fwe) for one in found.components]
    [([0, 1], 0.125)]
    """
    if len(pairs) != y.shape[1] or min(thresholds, default=0) <= 0:
        raise StatisticsError(
            "network-based statistic",
            f"{len(pairs)} pairs for {y.shape[1]} edges, thresholds {list(thresholds)}",
            "one pair of nodes for each edge, and thresholds of |t| above 0",
            "correct them",
        )
    maps = arranged_t(y, x, arrangements=arrangements, nuisance=nuisance)
    found: list[list[FloatArray]] = [[] for _ in thresholds]
    observed = np.empty(0)
    for some in _batches(maps, max(1, _AT_A_TIME // y.shape[1])):
        observed = observed if observed.size else some[0]
        above = _Above.of(some, min(thresholds))
        for sizes, threshold in zip(found, thresholds, strict=True):
            parts = _Parts.of(above, pairs, threshold, size, tails)
            sizes.append(parts.largest(len(some)))
    return tuple(
        _test(observed, pairs, threshold, np.concatenate(sizes), arrangements.smallest, size, tails)
        for threshold, sizes in zip(thresholds, found, strict=True)
    )


def _test(
    t: FloatArray,
    pairs: IntArray,
    threshold: float,
    largest: FloatArray,
    smallest: float,
    size: Size,
    tails: Tails,
) -> NetworkTest:
    """Describe the components of the observed map."""
    parts = _Parts.of(_Above.of(t[None], threshold), pairs, threshold, size, tails)
    components = []
    for label in np.unique(parts.label):
        edges = parts.edge[parts.label == label]
        direction = int(np.sign(t[edges[0]])) if tails == "apart" else 0
        reached = float(parts.size[label])
        p = float(share_reaching(largest, np.array([reached * (1 - _TIE)]))[0])
        components.append(Component(edges, np.unique(pairs[edges]), direction, reached, p))
    components.sort(key=lambda one: -one.size)
    return NetworkTest(threshold, tuple(components), largest, smallest)


@dataclass(frozen=True)
class _Above:
    """What of many maps is above the lowest threshold.

    Attributes
    ----------
    n_maps : int
    which, edge : array of int, shape (n_above,)
    value : array of shape (n_above,)
    """

    n_maps: int
    which: IntArray
    edge: IntArray
    value: FloatArray

    @classmethod
    def of(cls, maps: FloatArray, threshold: float) -> _Above:
        places = np.flatnonzero((maps > threshold) | (maps < -threshold))
        which, edge = np.divmod(places, maps.shape[1])
        return cls(len(maps), which, edge, maps.ravel()[places])


@dataclass(frozen=True)
class _Parts:
    """Components of many maps at once.

    Attributes
    ----------
    which, edge, label : array of shape (n_above,)
        Map, edge and component of everything above the threshold.
    size : array of shape (n_components,)
    """

    which: IntArray
    edge: IntArray
    label: IntArray
    size: FloatArray

    @classmethod
    def of(
        cls, above: _Above, pairs: IntArray, threshold: float, size: Size, tails: Tails
    ) -> _Parts:
        n_nodes, higher = int(pairs.max()) + 1, np.abs(above.value) > threshold
        which, edge, value = above.which[higher], above.edge[higher], above.value[higher]
        block = which + above.n_maps * (value < 0) if tails == "apart" else which
        ends = block[:, None] * n_nodes + pairs[edge]
        used, place = np.unique(ends, return_inverse=True)
        ones, others = place.reshape(ends.shape).T
        graph = sparse.csr_array((np.ones(len(edge), np.int8), (ones, others)), (len(used),) * 2)
        label = csgraph.connected_components(graph, directed=False)[1][ones]
        weight = None if size == "extent" else np.abs(value) - threshold
        return cls(which, edge, label, np.bincount(label, weight).astype(float))

    def largest(self, n_maps: int) -> FloatArray:
        """Size of the largest component of each map; 0 where nothing is above the threshold."""
        found = np.zeros(n_maps)
        np.maximum.at(found, self.which, self.size[self.label])
        return found


def _batches(maps: Iterator[FloatArray], step: int) -> Iterator[FloatArray]:
    while some := list(islice(maps, step)):
        yield np.array(some)
