"""Nodal strength."""

from __future__ import annotations

import numpy as np

from petfmri.networks.gbc import gbc
from petfmri.typing import FloatArray


def nodal_strength(z: FloatArray) -> FloatArray:
    """Mean positive connectivity of each parcel with all others.

    The strength of graph theory (the sum of positive weights [1]_) divided by the number of
    partners, so that a parcel missing in one session does not lower the others. Negative
    connectivity counts as zero, as in `segregation`.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN.

    Returns
    -------
    array of shape (n_parcels,)
        Fisher z; NaN for missing parcels.

    References
    ----------
    .. [1] Rubinov M, Sporns O (2010). NeuroImage 52:1059. doi:10.1016/j.neuroimage.2009.10.003

    Examples
    --------
    >>> nodal_strength(np.array([[0, 0.8, 0.2], [0.8, 0, -0.4], [0.2, -0.4, 0]]))
    array([0.5, 0.4, 0.1])
    """
    return gbc(np.where(z < 0, 0.0, z))
