"""Everything that is measured of the sessions of one person, on equal terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError
from petfmri.networks.comparability import common_parcels
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.registry import network_metrics, nodal_metrics
from petfmri.typing import FloatArray, IntArray


@dataclass(frozen=True)
class SessionSeries:
    """Clean series of one session.

    Attributes
    ----------
    series : array of shape (n_frames, n_parcels)
        The same frames of the time line as every other session of the person has.
    times : int array of shape (n_frames,), optional
        Number of each frame in its run, a fall begins a run; None: consecutive.
    conditions : mapping
        How the series came about, of `CONDITIONS` and `CIRCUMSTANCES` what is known.
    """

    series: FloatArray
    times: IntArray | None = None
    conditions: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What was measured of one session.

    Attributes
    ----------
    connectivity : array of shape (n_parcels, n_parcels)
        Pearson correlation; rows and columns of missing parcels are NaN.
    row : mapping
        The metrics, and the conditions that travel with them.
    nodes : DataFrame of n_parcels rows
        ``name`` and the nodal metrics.
    """

    connectivity: FloatArray
    row: Mapping[str, object]
    nodes: pd.DataFrame


def measure_sessions(
    sessions: Mapping[str, SessionSeries],
    atlas: pd.DataFrame,
    *,
    networks: Sequence[str] = (),
    rois: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Measured]:
    """Measure the sessions of one person over the parcels that all of them have.

    Parameters
    ----------
    sessions : mapping of name to SessionSeries
    atlas : DataFrame of n_parcels rows
        ``name``, ``network`` and ``structure``, in the order of the columns of the series.
    networks : sequence of str
        Whose parcels the network metrics use; empty: all. Nodal metrics use all parcels.
    rois : mapping of name to region names, optional
        Whose strength and centrality are among the network metrics.

    Returns
    -------
    mapping of name to Measured

    Raises
    ------
    DatasetError
        As `network_metrics`.
    """
    labels = atlas["network"].astype(str).tolist()
    structures = atlas["structure"].astype(str).tolist()
    chosen = np.flatnonzero(atlas["network"].isin(list(networks)) if networks else labels)
    names = atlas["name"].iloc[chosen].tolist()
    places = {
        roi: [names.index(name) for name in members if name in names]
        for roi, members in (rois or {}).items()
    }
    shared = common_parcels([session.series for session in sessions.values()])
    measured = {}
    for (name, session), series in zip(sessions.items(), shared, strict=True):
        try:
            r = correlate(series)
            nodes = nodal_metrics(fisher_z(r), labels)
        except DatasetError as error:
            raise DatasetError.of(
                replace(problem, where=f"{name}: {problem.where}") for problem in error.problems
            ) from None
        metrics = network_metrics(
            series[:, chosen],
            [labels[k] for k in chosen],
            [structures[k] for k in chosen],
            times=session.times,
            rois=places,
        )
        missing = atlas["name"][np.isnan(np.diag(r))]
        row = {**metrics, **session.conditions, "missing_parcels": ", ".join(missing)}
        measured[name] = Measured(r, row, pd.DataFrame({"name": atlas["name"], **nodes}))
    return measured
