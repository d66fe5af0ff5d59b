"""The network that contrasts share: probability map, threshold, clusters, networks, peaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from petfmri.errors import DatasetError
from petfmri.localization.space import Space
from petfmri.typing import BoolArray, FloatArray, IntArray

NEIGHBOURS = ndimage.generate_binary_structure(3, 2)
"""18 of 26: voxels that share a face or an edge, as SPM counts them."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class NetworkMap:
    """Share of contrasts connected to each element, and where it is large enough.

    Attributes
    ----------
    probability : array of shape (n_elements,)
        From 0 to 1.
    inside : bool array of shape (n_elements,)
        At least the declared share, in a cluster of at least the declared size.
    contrasts : int
    """

    probability: FloatArray
    inside: BoolArray
    contrasts: int


def network_map(
    masks: BoolArray, space: Space, *, share: float = 0.6, min_voxels: int = 30
) -> NetworkMap:
    """Average the masks of the contrasts, keep large shares in large clusters.

    Parameters
    ----------
    masks : bool array of shape (n_contrasts, n_elements)
        See `ContrastMaps.inside`.
    space : Space
    share : float
        Of the contrasts, at least.
    min_voxels : int
        Smaller clusters are dropped. Voxels that share a face or an edge are neighbours (18). In a
        space of parcels, clusters are counted in their voxels too.

    Returns
    -------
    NetworkMap

    Raises
    ------
    DatasetError
        If there is no contrast, or the share is not above 0 and at most 1.

    References
    ----------
    Mo F et al. 2024, Schizophr Bull. doi:10.1093/schbul/sbae020

    Examples
    --------
    >>> from petfmri.localization.space import of_mask
    >>> space = of_mask(np.ones((1, 1, 4), dtype=bool), np.eye(4))
    >>> masks = np.array([[1, 1, 0, 1], [1, 1, 0, 0], [0, 1, 1, 1]], dtype=bool)
    >>> result = network_map(masks, space, min_voxels=2)
    >>> result.probability.round(2), result.inside
    (array([0.67, 1.  , 0.33, 0.67]), array([ True,  True, False, False]))
    """
    masks = np.asarray(masks, dtype=bool)
    if masks.ndim != 2 or not len(masks):
        raise DatasetError("contrasts", f"masks of shape {masks.shape}", "one a row", "add some")
    if not 0 < share <= 1:
        raise DatasetError("share", f"{share:g}", "above 0, at most 1, usually 0.6", "correct it")
    return from_counts(masks.sum(axis=0), len(masks), space, share=share, min_voxels=min_voxels)


def from_counts(
    counts: IntArray, contrasts: int, space: Space, *, share: float, min_voxels: int
) -> NetworkMap:
    """`network_map` from the number of contrasts that reach each element."""
    inside = counts >= share * contrasts - ROUNDING
    return NetworkMap(counts / contrasts, large_clusters(inside, space, min_voxels), contrasts)


def large_clusters(inside: BoolArray, space: Space, min_voxels: int) -> BoolArray:
    """Drop the elements of clusters below `min_voxels`."""
    if min_voxels <= 1 or not inside.any():
        return np.asarray(inside, dtype=bool)
    number = _clusters(inside, space)
    large = np.bincount(number) >= min_voxels
    large[0] = False
    kept = np.zeros(space.n_elements, dtype=bool)
    kept[space.element[large[number]]] = True
    return kept


def _clusters(inside: BoolArray, space: Space) -> IntArray:
    """Cluster number of each voxel, from 1, array of shape (n_voxels,)."""
    number, _ = ndimage.label(space.paint(inside), NEIGHBOURS)
    return np.asarray(number[space.mask])


def network_shares(
    inside: BoolArray, networks: IntArray, names: Mapping[int, str], space: Space
) -> pd.DataFrame:
    """Count the map's voxels in each network.

    Parameters
    ----------
    inside : bool array of shape (n_elements,)
    networks : int array of shape (n_elements,)
        Label of the network of each element, such as Yeo's seven and the subcortex; 0 is none.
        See `Space.labels_of`.
    names : mapping of label to name
        In the order of the table.

    Returns
    -------
    DataFrame
        A row per network and one "none", where that has voxels: ``network``, ``voxels`` of the
        map in it, ``share_of_map``, ``network_voxels`` and ``share_of_network``. Both shares are
        needed: large networks hold a large part of any map.

    Examples
    --------
    >>> from petfmri.localization.space import of_mask
    >>> space = of_mask(np.ones((1, 1, 4), dtype=bool), np.eye(4))
    >>> inside = np.array([True, True, True, False])
    >>> network_shares(inside, np.array([1, 1, 2, 2]), {1: "Vis", 2: "Default"}, space)
       network  voxels  share_of_map  network_voxels  share_of_network
    0      Vis       2      0.666667               2               1.0
    1  Default       1      0.333333               2               0.5
    """
    sizes, rows = space.sizes, []
    total = int(sizes[inside].sum())
    known = np.isin(networks, list(names))
    parts = {name: networks == label for label, name in names.items()} | {"none": ~known}
    for name, part in parts.items():
        voxels, whole = int(sizes[inside & part].sum()), int(sizes[part].sum())
        if name == "none" and not whole:
            continue
        rows.append(
            {
                "network": name,
                "voxels": voxels,
                "share_of_map": voxels / total if total else np.nan,
                "network_voxels": whole,
                "share_of_network": voxels / whole if whole else np.nan,
            }
        )
    return pd.DataFrame(rows)


def cluster_peaks(
    result: NetworkMap,
    space: Space,
    labels: IntArray | None = None,
    mean_t: FloatArray | None = None,
) -> pd.DataFrame:
    """List the clusters of a map, largest first, each with its peak.

    Parameters
    ----------
    result : NetworkMap
    space : Space
    labels : int array of shape (n_elements,), optional
        Atlas labels, for the column ``label`` of the peak.
    mean_t : array of shape (n_elements,), optional
        Orders places of one probability, of which there are many: the peak is that with the
        largest. Without it, the one nearest to the cluster's centre.

    Returns
    -------
    DataFrame
        ``cluster``, ``voxels``, ``volume_mm3``, ``x_mm``, ``y_mm``, ``z_mm``, ``probability`` and
        ``label``.
    """
    number = _clusters(result.inside, space)
    volume = abs(float(np.linalg.det(space.affine[:3, :3])))
    sizes = np.bincount(number)
    rows = []
    for rank, cluster in enumerate(np.argsort(-sizes[1:], kind="stable") + 1):
        voxels = np.flatnonzero(number == cluster)
        element = space.element[voxels]
        points = space.ijk[voxels] @ space.affine[:3, :3].T + space.affine[:3, 3]
        off_centre = np.linalg.norm(points - points.mean(axis=0), axis=1)
        second = -off_centre if mean_t is None else np.nan_to_num(mean_t[element], nan=-np.inf)
        best = np.lexsort((-off_centre, second, result.probability[element]))[-1]
        x, y, z = (round(float(value), 1) for value in points[best])
        rows.append(
            {
                "cluster": rank + 1,
                "voxels": int(voxels.size),
                "volume_mm3": volume * voxels.size,
                "x_mm": x,
                "y_mm": y,
                "z_mm": z,
                "probability": float(result.probability[element[best]]),
                "label": 0 if labels is None else int(labels[element[best]]),
            }
        )
    columns = ["cluster", "voxels", "volume_mm3", "x_mm", "y_mm", "z_mm", "probability", "label"]
    return pd.DataFrame(rows, columns=columns)


def dice(one: BoolArray, other: BoolArray, space: Space) -> float:
    """Overlap of two maps in voxels, from 0 to 1; NaN if both are empty."""
    both = int(space.sizes[one].sum() + space.sizes[other].sum())
    return 2 * int(space.sizes[one & other].sum()) / both if both else float("nan")
