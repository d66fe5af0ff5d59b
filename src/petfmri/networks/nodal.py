"""The measures of single parcels by name. To add one, write its function in a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from petfmri.networks.centrality import eigenvector_centrality
from petfmri.networks.gbc import gbc
from petfmri.networks.participation import participation, participation_negative
from petfmri.networks.strength import nodal_strength
from petfmri.typing import FloatArray

NodalFunction: TypeAlias = Callable[[FloatArray, Sequence[str]], FloatArray]


@dataclass(frozen=True)
class NodalMetric:
    """One number per parcel and session.

    Attributes
    ----------
    name, label, unit, description : str
        For readers; the name is a column of the tables.
    function : callable
        Of Fisher-z connectivity and the network of each parcel; array of shape (n_parcels,).
    """

    name: str
    label: str
    unit: str
    description: str
    function: NodalFunction


NODAL: tuple[NodalMetric, ...] = (
    NodalMetric(
        "strength",
        "Nodal strength",
        "Fisher z",
        "Mean positive connectivity with all other parcels, negatives as zero",
        lambda z, networks: nodal_strength(z),  # noqa: ARG005
    ),
    NodalMetric(
        "eigenvector_centrality",
        "Eigenvector centrality",
        "1",
        "Leading eigenvector of the positive connectivity, Euclidean norm 1",
        lambda z, networks: eigenvector_centrality(z),  # noqa: ARG005
    ),
    NodalMetric(
        "participation",
        "Participation coefficient",
        "1",
        "How evenly positive connectivity is spread over the networks, 0 all to one",
        participation,
    ),
    NodalMetric(
        "participation_negative",
        "Participation coefficient of negative connectivity",
        "1",
        "How evenly negative connectivity is spread over the networks, 0 all to one or none",
        participation_negative,
    ),
    NodalMetric(
        "gbc",
        "Global brain connectivity",
        "Fisher z",
        "Mean connectivity with all other parcels, negatives as they are",
        lambda z, networks: gbc(z),  # noqa: ARG005
    ),
)


def nodal_metrics(z: FloatArray, networks: Sequence[str]) -> dict[str, FloatArray]:
    """Compute every measure of `NODAL` over all parcels given.

    Parameters
    ----------
    z : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN.
    networks : sequence of str, of length n_parcels

    Returns
    -------
    dict of name to array of shape (n_parcels,)
        NaN for missing parcels.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[0, 0.8, 0.2], [0.8, 0, -0.4], [0.2, -0.4, 0]])
    >>> nodal_metrics(z, ["Default", "Default", "SomMot"])["strength"]
    array([0.5, 0.4, 0.1])
    """
    return {measure.name: measure.function(z, networks) for measure in NODAL}
