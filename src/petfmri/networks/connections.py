"""Connectivity of named connections: nodes of several regions, averaged in Fisher z."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.typing import FloatArray, IntArray


def connection_means(z: FloatArray, nodes: Sequence[tuple[IntArray, IntArray]]) -> FloatArray:
    """Average the connectivity between the regions of two nodes.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher z; NaN for parcels without a signal.
    nodes : sequence of (rows of node a, rows of node b)
        A region that is in both is not held against itself.

    Returns
    -------
    array of shape (len(nodes),), Fisher z
        Means over the pairs of regions that have a signal, NaN if none has.

    Examples
    --------
    >>> z = np.array([[9.0, 0.2, 0.4], [0.2, 9.0, 0.8], [0.4, 0.8, 9.0]])
    >>> connection_means(z, [(np.array([0]), np.array([1, 2])), (np.array([0, 1]), np.array([1]))])
    array([0.3, 0.2])
    """
    found = []
    for a, b in nodes:
        block = z[np.ix_(a, b)]
        used = np.isfinite(block) & (a[:, None] != b)
        found.append(block[used].mean() if used.any() else np.nan)
    return np.array(found)
