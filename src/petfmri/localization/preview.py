"""A look ahead without normative people: mean connectivity of parcels, and no inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray

STATEMENT = (
    "Preview: threshold on the mean r of a group-mean parcel connectome, no inference. The masks "
    "hold no p value, the seed is a mean of parcels' r and not the r of a mean series, and a "
    "parcel is coarser than the spheres. Use it to check coordinates, not as a result."
)


@dataclass(frozen=True)
class Preview:
    """Mean connectivity of each contrast, cut at a threshold.

    Attributes
    ----------
    r : array of shape (n_contrasts, n_parcels)
        Mean over the seed's parcels, weighted by covered voxels, of the group-mean r.
    inside : bool array of shape (n_contrasts, n_parcels)
        r at or above the threshold; for `network_map`.
    threshold : float
    statement : str
        What this is and is not; belongs beside every figure of it.
    """

    r: FloatArray
    inside: BoolArray
    threshold: float
    statement: str = STATEMENT


def preview(weights: sparse.csr_array, mean_r: FloatArray, threshold: float = 0.2) -> Preview:
    """Map contrasts with a group-mean connectome, where there are no normative people.

    Parameters
    ----------
    weights : sparse array of shape (n_contrasts, n_parcels)
        `Seeds.weights` in a space of parcels.
    mean_r : array of shape (n_parcels, n_parcels)
        Mean correlation over people. The diagonal counts as 1.
    threshold : float
        On mean r.

    Returns
    -------
    Preview

    Raises
    ------
    DatasetError
        If the matrix is not square, of other parcels, or not of correlations, or a contrast has
        no voxel.

    Examples
    --------
    >>> found = preview(sparse.csr_array([[3.0, 1.0]]), np.array([[1.0, 0.2], [0.2, 1.0]]), 0.5)
    >>> found.r, found.inside
    (array([[0.8, 0.4]]), array([[ True, False]]))
    """
    mean_r = np.array(mean_r, dtype=float)
    n = weights.shape[1]
    if mean_r.shape != (n, n) or not np.isfinite(mean_r).all() or np.abs(mean_r).max() > 1 + 1e-6:
        raise DatasetError(
            "group-mean connectome",
            f"shape {mean_r.shape}" if mean_r.shape != (n, n) else "values that are not r",
            f"({n}, {n}) correlations between -1 and 1",
            "give mean r, not z, of the same atlas",
        )
    np.fill_diagonal(mean_r, 1.0)
    total = np.asarray(weights.sum(axis=1))
    if not (total > 0).all():
        raise DatasetError(
            "contrasts",
            f"no voxel in contrast {np.flatnonzero(total <= 0).tolist()} (counted from 0)",
            "at least one peak in the atlas",
            "leave these contrasts out",
        )
    r = np.asarray(weights @ mean_r) / total[:, None]
    return Preview(r, r >= threshold, threshold)
