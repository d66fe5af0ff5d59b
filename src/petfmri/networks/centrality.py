"""Eigenvector centrality."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from petfmri.typing import FloatArray

TIE = 1e-12


def eigenvector_centrality(z: FloatArray) -> FloatArray:
    """How strongly each parcel connects to parcels that are themselves strongly connected.

    The non-negative vector v of Euclidean norm 1 with W v = λ v and λ the largest eigenvalue of W,
    the positive weights with 0 on the diagonal [1]_ [2]_. Negative connectivity counts as zero, as
    in `nodal_strength`. Values fall with the number of parcels (1 / √n if all are equal): compare
    sessions over the same parcels.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN and left out.

    Returns
    -------
    array of shape (n_parcels,)
        NaN for missing parcels; all NaN where v is not unique: no positive weight, or separate
        groups of parcels whose largest eigenvalues tie.

    References
    ----------
    .. [1] Bonacich P (1972). J Math Sociol 2:113. doi:10.1080/0022250X.1972.9989806
    .. [2] Lohmann G et al (2010). PLoS ONE 5:e10232. doi:10.1371/journal.pone.0010232

    Examples
    --------
    >>> star = np.array([[0, 0.5, 0.5], [0.5, 0, -0.2], [0.5, -0.2, 0]])
    >>> eigenvector_centrality(star).round(4)  # (√2, 1, 1) / 2
    array([0.7071, 0.5   , 0.5   ])
    """
    present = np.flatnonzero(~np.isnan(np.diag(z)))
    centrality = np.full(len(z), np.nan)
    if present.size < 2:
        return centrality
    weights = np.maximum(z[np.ix_(present, present)], 0.0)
    np.fill_diagonal(weights, 0.0)
    n = present.size
    (second, largest), vectors = eigh(weights, subset_by_index=[n - 2, n - 1])
    if largest - second > TIE * largest:
        centrality[present] = np.abs(vectors[:, -1])
    return centrality
