"""The network metrics by name. To add one, write its function in a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
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
from petfmri.networks.nodal import NODAL, NodalMetric, nodal_metrics
from petfmri.networks.phases import (
    ComplexArray,
    frame_times,
    kuramoto_order,
    metastability,
    phase_frames,
    phases,
)
from petfmri.networks.segregation import segregation
from petfmri.typing import BoolArray, FloatArray, IntArray

MetricFunction: TypeAlias = Callable[..., float]
ArrayKind: TypeAlias = Literal["connectivity", "series", "phases"]

__all__ = [
    "METRICS",
    "NODAL",
    "Metric",
    "NodalMetric",
    "metrics_for",
    "network_metrics",
    "nodal_metrics",
    "roi_metrics",
]


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
    of : "connectivity", "series" or "phases"
        What the array is: Fisher-z connectivity, the series themselves, or their `phases`.
    family : "core" or "detail"
        Numbers of the whole cortex or declared beforehand; or one of many, per network or pair.
    needs : tuple of str
        Networks that the atlas must have.
    """

    name: str
    label: str
    unit: str
    description: str
    function: MetricFunction
    of: ArrayKind = "connectivity"
    family: Literal["core", "detail"] = "core"
    needs: tuple[str, ...] = ()


OVER_PARCELS = ("participation", "participation_negative", "gbc")
OVER_REGION = ("strength", "eigenvector_centrality")
OF_EACH_NETWORK = ("ngsc", "kuramoto_order", "metastability")


def _mean_of(measure: NodalMetric) -> Metric:
    """Make the mean of a measure over all parcels a metric."""
    return Metric(
        measure.name,
        measure.label,
        measure.unit,
        f"{measure.description}; mean over parcels",
        lambda z, networks: _mean(measure.function(z, networks)),
    )


def _mean(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


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
    *(_mean_of(measure) for measure in NODAL if measure.name in OVER_PARCELS),
    Metric(
        "ngsc",
        "Normalized global spatial complexity",
        "1",
        "Entropy of the spatial principal components, 0 one pattern, 1 all equally strong",
        lambda series, networks: ngsc(series),  # noqa: ARG005
        of="series",
    ),
    Metric(
        "kuramoto_order",
        "Kuramoto order",
        "1",
        "Mean over time of the synchrony of the parcels' phases, 0 none, 1 all alike",
        lambda phases, networks: kuramoto_order(phases),  # noqa: ARG005
        of="phases",
    ),
    Metric(
        "metastability",
        "Metastability",
        "1",
        "Standard deviation over time of the synchrony of the parcels' phases",
        lambda phases, networks: metastability(phases),  # noqa: ARG005
        of="phases",
    ),
)


def metrics_for(
    networks: Sequence[str], rois: Collection[str] | Mapping[str, Sequence[int]] = ()
) -> tuple[Metric, ...]:
    """List the metrics for an atlas: core first, then details.

    Core are those of `METRICS` whose networks the atlas has, and `roi_metrics`. Details are
    connectivity within each network and between each other pair, and NGSC, Kuramoto order and
    metastability of each network.

    Examples
    --------
    >>> [metric.name for metric in metrics_for(["Vis", "Vis", "Default"])][-4:]
    ['kuramoto_order_Default', 'kuramoto_order_Vis', 'metastability_Default', 'metastability_Vis']
    """
    core = (metric for metric in METRICS if set(metric.needs) <= set(networks))
    return (*core, *roi_metrics(rois), *_details(sorted(set(networks))))


def roi_metrics(rois: Collection[str] | Mapping[str, Sequence[int]]) -> tuple[Metric, ...]:
    """List the metrics of regions of interest: means of `OVER_REGION` over a region's parcels.

    Parameters
    ----------
    rois : mapping of name to columns, or names
        Names alone suffice to describe the metrics, whose functions then give NaN.

    Examples
    --------
    >>> [metric.name for metric in roi_metrics(["PCC"])]
    ['strength_PCC', 'eigenvector_centrality_PCC']
    """
    parcels = rois if isinstance(rois, Mapping) else dict.fromkeys(rois, ())
    return tuple(
        Metric(
            f"{measure.name}_{roi}",
            f"{measure.label} of {roi}",
            measure.unit,
            f"{measure.description}; mean over the parcels of {roi}",
            partial(_over_region, measure=measure, columns=tuple(columns)),
        )
        for roi, columns in parcels.items()
        for measure in NODAL
        if measure.name in OVER_REGION
    )


def _details(networks: Sequence[str]) -> list[Metric]:
    """List the metrics of single networks and pairs."""
    detail = partial(Metric, family="detail")
    within = [
        detail(
            f"within_fc_{network}",
            f"Connectivity within {network}",
            "Fisher z",
            f"Mean over all pairs of parcels of the network {network}",
            partial(within_network_fc, network=network),
        )
        for network in networks
    ]
    between = [
        detail(
            f"between_fc_{first}_{second}",
            f"Connectivity of {first} and {second}",
            "Fisher z",
            f"Mean over all pairs of a parcel of {first} and one of {second}",
            partial(between_network_fc, first=first, second=second),
        )
        for first, second in combinations(networks, 2)
        if (first, second) != ("Default", "SomMot")
    ]
    own = [
        detail(
            f"{metric.name}_{network}",
            f"{metric.label} of {network}",
            metric.unit,
            f"{metric.description}; parcels of the network {network} only",
            partial(_over_network, metric=metric, network=network),
            of=metric.of,
        )
        for metric in METRICS
        if metric.name in OF_EACH_NETWORK
        for network in networks
    ]
    return [*within, *between, *own]


def _over_region(
    z: FloatArray, networks: Sequence[str], *, measure: NodalMetric, columns: Sequence[int]
) -> float:
    return _mean(measure.function(z, networks)[list(columns)])


def _over_network(
    values: FloatArray | ComplexArray, networks: Sequence[str], *, metric: Metric, network: str
) -> float:
    """Apply a metric to the present parcels of a network; NaN with fewer than two."""
    inside = (np.asarray(networks) == network) & np.isfinite(values).all(axis=0)
    if np.count_nonzero(inside) < 2:
        return float("nan")
    return metric.function(values[:, inside], [network] * np.count_nonzero(inside))


def network_metrics(
    series: FloatArray,
    networks: Sequence[str],
    structures: Sequence[str] | None = None,
    *,
    times: IntArray | None = None,
    rois: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Compute every metric for one session.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Denoised; runs pooled; missing parcels are columns of NaN. Kuramoto order and metastability
        mean something only if band-passed.
    networks : sequence of str, of length n_parcels
        The network of each parcel, in the order of the columns.
    structures : sequence of str, of length n_parcels, optional
        If given, only parcels of the structure "cortex" enter: networks, segregation and NGSC are
        defined on the cortex, and neither subcortex nor cerebellum is one network.
    times : int array of shape (n_frames,), optional
        Number of each frame in its run's time line, as `phases`.
    rois : mapping of name to columns, optional
        Regions of interest. Their measures are those of `nodal_metrics` over all columns, so that
        a region may lie outside the cortex.

    Returns
    -------
    dict of metric name to value
        Also ``n_frames`` and ``n_parcels``, the frames and present parcels behind the values.
        NaN for a metric whose network is missing from the field of view, and for phase metrics of
        runs too short for `phases`; left out if the atlas does not have the network at all.

    Raises
    ------
    DatasetError
        If labels, times or regions do not fit the series, or less than two networks are present.

    References
    ----------
    See the functions of `metrics_for`.
    """
    series, labels = np.asarray(series, dtype=float), np.asarray(networks, dtype=str)
    rois, times = rois or {}, frame_times(len(series), times)
    _require_fitting(series.shape[1], labels, rois)
    every, every_label = series, labels.tolist()
    if structures is not None:
        is_cortex = np.asarray(structures) == "cortex"
        series, labels = series[:, is_cortex], labels[is_cortex]
    usable = usable_parcels(series)
    _require_networks(labels, usable)
    series = np.where(usable, series, np.nan)
    z = fisher_z(correlate(series))
    no_phase = np.full((0, usable.size), np.nan, dtype=complex)
    arrays = {
        "series": series,
        "connectivity": z,
        "phases": phases(series, times) if phase_frames(times).any() else no_phase,
    }
    values = {
        metric.name: metric.function(arrays[metric.of], labels.tolist())
        for metric in metrics_for(labels.tolist())
    }
    if rois:
        whole = fisher_z(correlate(every))
        values |= {one.name: one.function(whole, every_label) for one in roi_metrics(rois)}
    return {**values, "n_frames": float(len(series)), "n_parcels": float(usable.sum())}


def _require_fitting(n_columns: int, labels: np.ndarray, rois: Mapping[str, Sequence[int]]) -> None:
    if labels.shape != (n_columns,):
        raise DatasetError(
            "parcel series",
            f"{n_columns} columns for {labels.size} network labels",
            "one label per column",
            "use the atlas the series were made with",
        )
    for roi, columns in rois.items():
        if not all(0 <= column < n_columns for column in columns):
            raise DatasetError(
                f"region of interest {roi}",
                f"columns {list(columns)} of {n_columns}",
                f"columns from 0 to {n_columns - 1}",
                "use the atlas the series were made with",
            )


def _require_networks(labels: np.ndarray, usable: BoolArray) -> None:
    found = sorted(set(labels[usable].tolist()))
    if len(found) < 2:
        raise DatasetError(
            "parcel series",
            f"{usable.sum()} parcels with signal, of networks {found}",
            "parcels of at least two networks",
            "check the coverage of the run and the atlas table",
        )
