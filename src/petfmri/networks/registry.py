"""The network metrics by name. To add one, write its function in a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import numpy as np

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z, usable_parcels
from petfmri.networks.network_fc import (
    between_fc,
    between_network_fc,
    within_fc,
    within_network_fc,
)
from petfmri.networks.ngsc import ngsc
from petfmri.networks.segregation import segregation
from petfmri.typing import FloatArray

MetricFunction: TypeAlias = Callable[[FloatArray, Sequence[str]], float]


@dataclass(frozen=True)
class Metric:
    """One number per session.

    Attributes
    ----------
    name : str
        Column of the tables.
    label, unit, description : str
        For readers.
    function : callable
        Of one array and the network of each parcel.
    of : "connectivity" or "series"
        What the array is: Fisher-z connectivity or the series themselves.
    needs : tuple of str
        Networks that the atlas must have.
    """

    name: str
    label: str
    unit: str
    description: str
    function: MetricFunction
    of: Literal["connectivity", "series"] = "connectivity"
    needs: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric(
        "segregation",
        "System segregation",
        "1",
        "(W − B) / W of mean connectivity within and between networks, negatives as zero",
        segregation,
    ),
    Metric(
        "within_fc",
        "Connectivity within networks",
        "Fisher z",
        "Mean over all pairs of parcels that share a network",
        within_fc,
    ),
    Metric(
        "between_fc",
        "Connectivity between networks",
        "Fisher z",
        "Mean over all pairs of parcels of different networks",
        between_fc,
    ),
    Metric(
        "between_fc_Default_SomMot",
        "Connectivity of default and somatomotor network",
        "Fisher z",
        "Mean over all pairs of a default and a somatomotor parcel",
        partial(between_network_fc, first="Default", second="SomMot"),
        needs=("Default", "SomMot"),
    ),
    Metric(
        "ngsc",
        "Normalized global spatial complexity",
        "1",
        "Entropy of the spatial principal components, 0 one pattern, 1 all equally strong",
        lambda series, networks: ngsc(series),  # noqa: ARG005
        of="series",
    ),
)


def metrics_for(networks: Sequence[str]) -> tuple[Metric, ...]:
    """List the metrics for an atlas.

    Of `METRICS` those whose networks it has, and one ``within_fc_<network>`` per network.

    Examples
    --------
    >>> [metric.name for metric in metrics_for(["Vis", "Vis", "Default"])][-2:]
    ['within_fc_Default', 'within_fc_Vis']
    """
    each = [
        Metric(
            f"within_fc_{network}",
            f"Connectivity within {network}",
            "Fisher z",
            f"Mean over all pairs of parcels of the network {network}",
            partial(within_network_fc, network=network),
        )
        for network in sorted(set(networks))
    ]
    return (*(metric for metric in METRICS if set(metric.needs) <= set(networks)), *each)


def network_metrics(
    series: FloatArray, networks: Sequence[str], structures: Sequence[str] | None = None
) -> dict[str, float]:
    """Compute every metric for one session.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Denoised; runs pooled; missing parcels are columns of NaN.
    networks : sequence of str, of length n_parcels
        The network of each parcel, in the order of the columns.
    structures : sequence of str, of length n_parcels, optional
        If given, only parcels of the structure "cortex" enter: networks, segregation and NGSC are
        defined on the cortex, and neither subcortex nor cerebellum is one network.

    Returns
    -------
    dict of metric name to value
        Also ``n_frames`` and ``n_parcels``, the frames and present parcels behind the values.
        NaN for a metric whose network is missing from the field of view; left out if the atlas
        does not have the network at all.

    Raises
    ------
    DatasetError
        If labels and columns differ in number, or less than two networks are present.

    References
    ----------
    See the functions of `metrics_for`.
    """
    series, labels = np.asarray(series, dtype=float), np.asarray(networks, dtype=str)
    if labels.shape != (series.shape[1],):
        raise DatasetError(
            "parcel series",
            f"{series.shape[1]} columns for {labels.size} network labels",
            "one label per column",
            "use the atlas the series were made with",
        )
    if structures is not None:
        is_cortex = np.asarray(structures) == "cortex"
        series, labels = series[:, is_cortex], labels[is_cortex]
    usable = usable_parcels(series)
    if len(set(labels[usable])) < 2:
        raise DatasetError(
            "parcel series",
            f"{usable.sum()} parcels with signal, of networks {sorted(set(labels[usable]))}",
            "parcels of at least two networks",
            "check the coverage of the run and the atlas table",
        )
    arrays = {"series": series, "connectivity": fisher_z(correlate(series))}
    values = {
        metric.name: metric.function(arrays[metric.of], labels.tolist())
        for metric in metrics_for(labels.tolist())
    }
    return {**values, "n_frames": float(len(series)), "n_parcels": float(usable.sum())}
