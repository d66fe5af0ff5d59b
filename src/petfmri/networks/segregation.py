"""System segregation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.networks.network_fc import between_fc, within_fc
from petfmri.typing import FloatArray


def segregation(z: FloatArray, networks: Sequence[str]) -> float:
    """How much more networks connect within than between themselves.

    S = (W − B) / W, with W the mean over all pairs within a network (pooled over networks, not a
    mean of network means) and B over all pairs between networks. Negative connectivity is set to
    zero and stays in the means, as in the authors' R code [1]_.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN.
    networks : sequence of str, of length n_parcels

    Returns
    -------
    float
        1 if nothing connects between networks, 0 if networks do not matter; NaN if W is 0 or
        either kind of pair is absent.

    References
    ----------
    .. [1] Chan MY et al (2014). PNAS 111:E4997. doi:10.1073/pnas.1415122111

    Examples
    --------
    >>> z = np.array([[0, 0.8, 0.2, -0.5], [0.8, 0, 0.2, 0.2], [0.2, 0.2, 0, 0.4],
    ...               [-0.5, 0.2, 0.4, 0]])
    >>> round(segregation(z, ["Default", "Default", "SomMot", "SomMot"]), 12)  # W 0.6, B 0.15
    0.75
    """
    positive = np.where(z < 0, 0.0, z)
    within, between = within_fc(positive, networks), between_fc(positive, networks)
    return (within - between) / within if within > 0 else float("nan")
