"""Global brain connectivity."""

from __future__ import annotations

import numpy as np

from petfmri.typing import FloatArray


def gbc(z: FloatArray) -> FloatArray:
    """Mean connectivity of each parcel with all others, negative values as they are.

    GBC_i = Σ_{j≠i} z_ij / (n − 1), over the n present parcels [1]_. Between parcels, not voxels,
    and so without the connectivity inside a parcel. Without global signal regression it follows
    the global signal closely; with it (GBCr [2]_) the mean over parcels is near zero by
    construction, and only differences between parcels tell anything.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN and left out.

    Returns
    -------
    array of shape (n_parcels,)
        Fisher z; NaN for missing parcels.

    References
    ----------
    .. [1] Cole MW et al (2010). NeuroImage 49:3132. doi:10.1016/j.neuroimage.2009.11.001
    .. [2] Abdallah CG et al (2017). Neuropsychopharmacology 42:1210. doi:10.1038/npp.2016.186

    Examples
    --------
    >>> gbc(np.array([[0, 0.8, 0.2], [0.8, 0, -0.4], [0.2, -0.4, 0]])).round(12)
    array([ 0.5,  0.2, -0.1])
    """
    missing = np.isnan(np.diag(z))
    weights = np.where(np.isnan(z), 0.0, z)
    np.fill_diagonal(weights, 0.0)
    partners = np.count_nonzero(~missing) - 1
    if partners < 1:
        return np.full(len(z), np.nan)
    return np.where(missing, np.nan, weights.sum(axis=1) / partners)
