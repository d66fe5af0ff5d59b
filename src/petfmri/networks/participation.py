"""Participation coefficient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.typing import FloatArray


def participation(z: FloatArray, networks: Sequence[str]) -> FloatArray:
    """How evenly each parcel spreads its positive connectivity over the networks.

    P_i = 1 − Σ_s (k_is / k_i)², with k_is the sum of the positive weights from parcel i to network
    s and k_i their sum over all networks [1]_; negative weights have a coefficient of their own,
    `participation_negative` [2]_. Weights are Fisher z, the diagonal counts nowhere. Networks are
    those of the atlas, the same in every session: communities found in each session anew would
    move the measure by themselves. All weights count; there is no threshold on density.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN and left out.
    networks : sequence of str, of length n_parcels

    Returns
    -------
    array of shape (n_parcels,)
        0 if all weight goes to one network, or there is none; at most 1 − 1 / n_networks, if it
        is spread evenly. NaN for missing parcels.

    References
    ----------
    .. [1] Guimerà R, Amaral LAN (2005). Nature 433:895. doi:10.1038/nature03288
    .. [2] Rubinov M, Sporns O (2011). NeuroImage 56:2068. doi:10.1016/j.neuroimage.2011.03.069

    Examples
    --------
    >>> z = np.array([[0, 0.6, 0.2], [0.6, 0, -0.4], [0.2, -0.4, 0]])
    >>> participation(z, ["Default", "Default", "SomMot"]).round(3)  # 1 - 0.75² - 0.25², 0, 0
    array([0.375, 0.   , 0.   ])
    """
    return _coefficient(np.maximum(z, 0.0), networks)


def participation_negative(z: FloatArray, networks: Sequence[str]) -> FloatArray:
    """How evenly each parcel spreads its negative connectivity: `participation` of −z.

    Meaningful only where negative weights are: with global signal regression half are, without it
    few, and the value then hangs on those few.

    Examples
    --------
    >>> z = np.array([[0, -0.3, -0.1], [-0.3, 0, 0.4], [-0.1, 0.4, 0]])
    >>> participation_negative(z, ["Default", "Default", "SomMot"]).round(3)
    array([0.375, 0.   , 0.   ])
    """
    return _coefficient(np.maximum(-z, 0.0), networks)


def _coefficient(weights: FloatArray, networks: Sequence[str]) -> FloatArray:
    """Give the coefficients for weights that are not negative; missing parcels are NaN."""
    missing = np.isnan(np.diag(weights))
    weights = np.where(np.isnan(weights), 0.0, weights)
    np.fill_diagonal(weights, 0.0)
    names, network = np.unique(np.asarray(networks, dtype=str), return_inverse=True)
    to_network = weights @ np.eye(names.size)[network]
    total = to_network.sum(axis=1)
    share = to_network / np.where(total > 0, total, 1.0)[:, None]
    coefficient = np.where(total > 0, 1 - np.sum(share**2, axis=1), 0.0)
    return np.where(missing, np.nan, coefficient)
