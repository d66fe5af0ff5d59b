"""Partial correlation of parcel series."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import ledoit_wolf

from petfmri.networks.connectivity import standardized, usable_parcels
from petfmri.typing import FloatArray


def partial_correlation(series: FloatArray) -> tuple[FloatArray, float]:
    """Correlation of every pair of parcels with all other parcels held fixed.

    From the inverse P of the correlation matrix, −P_ij / √(P_ii P_jj). With about as many frames as
    parcels the matrix has no usable inverse; it is shrunk towards the identity by the weight of
    Ledoit and Wolf [1]_. They assume independent frames: band-passed frames are not, so the weight
    is smaller than it should be. It depends on the number of frames: compare sessions of equal
    length only.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Missing parcels are NaN and left out.

    Returns
    -------
    array of shape (n_parcels, n_parcels)
        Symmetric with 1 on the diagonal; rows and columns of missing parcels are NaN.
    float
        The weight of the identity, 0 to 1.

    Raises
    ------
    DatasetError
        As `usable_parcels`.

    References
    ----------
    .. [1] Ledoit O, Wolf M (2004). J Multivar Anal 88:365. doi:10.1016/S0047-259X(03)00096-4

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> chain = rng.normal(size=(20_000, 3)).cumsum(axis=1)  # 0 and 2 share only what 1 has
    >>> abs(partial_correlation(chain)[0][0, 2]) < 0.02
    np.True_
    """
    usable = usable_parcels(series)
    unit = standardized(np.asarray(series, dtype=float)[:, usable]) * np.sqrt(len(series))
    covariance, weight = ledoit_wolf(unit, assume_centered=True)
    precision = np.linalg.inv(covariance)
    scale = np.sqrt(np.diag(precision))
    partial = -precision / np.outer(scale, scale)
    partial = (partial + partial.T) / 2
    np.fill_diagonal(partial, 1.0)
    result = np.full((usable.size, usable.size), np.nan)
    result[np.ix_(usable, usable)] = partial
    return result, float(weight)
