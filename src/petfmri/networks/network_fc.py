"""Mean connectivity within and between networks.

All functions read Fisher-z connectivity of shape (n_parcels, n_parcels) and one network name per
parcel. Negative values count as they are. Missing parcels (NaN) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.typing import BoolArray, FloatArray


def within_network_fc(z: FloatArray, networks: Sequence[str], network: str) -> float:
    """Mean over the pairs of parcels of one network.

    Returns
    -------
    float
        Fisher z; NaN if fewer than two of its parcels are present.

    Examples
    --------
    >>> z = np.array([[0, 0.8, 0.1], [0.8, 0, -0.3], [0.1, -0.3, 0]])
    >>> within_network_fc(z, ["Default", "Default", "SomMot"], "Default")
    0.8
    """
    inside = np.asarray(networks) == network
    return _mean_pair(z, np.logical_and.outer(inside, inside))


def between_network_fc(z: FloatArray, networks: Sequence[str], first: str, second: str) -> float:
    """Mean over the pairs of a parcel of one network and a parcel of another.

    Returns
    -------
    float
        Fisher z; NaN if either has no parcel.

    Examples
    --------
    >>> z = np.array([[0, 0.8, 0.1], [0.8, 0, -0.3], [0.1, -0.3, 0]])
    >>> round(between_network_fc(z, ["Default", "Default", "SomMot"], "Default", "SomMot"), 3)
    -0.1
    """
    labels = np.asarray(networks)
    pairs = np.logical_and.outer(labels == first, labels == second)
    return _mean_pair(z, pairs | pairs.T)


def within_fc(z: FloatArray, networks: Sequence[str]) -> float:
    """Mean over all pairs of parcels that share a network, pooled over networks."""
    return _mean_pair(z, same_network(networks))


def between_fc(z: FloatArray, networks: Sequence[str]) -> float:
    """Mean over all pairs of parcels of different networks."""
    return _mean_pair(z, ~same_network(networks))


def same_network(networks: Sequence[str]) -> BoolArray:
    """Tell which pairs of parcels share a network, as a (n_parcels, n_parcels) mask."""
    labels = np.asarray(networks)
    return np.asarray(labels[:, None] == labels[None, :])


def _mean_pair(z: FloatArray, pairs: BoolArray) -> float:
    values = z[np.triu(pairs, 1)]
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
