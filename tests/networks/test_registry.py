from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.ngsc import ngsc
from petfmri.networks.phases import kuramoto_order, metastability, phases
from petfmri.networks.registry import (
    METRICS,
    NODAL,
    metrics_for,
    network_metrics,
    nodal_metrics,
)
from petfmri.networks.segregation import segregation

NETWORKS = ["Vis"] * 4 + ["SomMot"] * 5 + ["Default"] * 6
STRUCTURES = ["cortex"] * 15


def test_every_metric_has_its_function_value(rng):
    series = rng.normal(size=(100, 15)) @ rng.normal(size=(15, 15))
    values = network_metrics(series, NETWORKS)
    z = fisher_z(correlate(series))
    assert values["segregation"] == segregation(z, NETWORKS)
    assert values["ngsc"] == ngsc(series)
    assert values["within_fc_Vis"] == pytest.approx(z[:4, :4][np.triu_indices(4, 1)].mean())
    assert values["between_fc_Default_SomMot"] == pytest.approx(z[4:9, 9:].mean())
    assert (values["n_frames"], values["n_parcels"]) == (100, 15)
    names = [metric.name for metric in metrics_for(NETWORKS)]
    assert len(set(names)) == len(names)
    assert set(values) == {*names, "n_frames", "n_parcels"}
    assert np.isfinite(list(values.values())).all()
    assert all(metric.label and metric.unit and metric.description for metric in METRICS)


def test_only_the_cortex_enters(rng):
    series = rng.normal(size=(100, 18))
    values = network_metrics(
        series,
        [*NETWORKS, "Subcortex", "Subcortex", "Cerebellum"],
        [*STRUCTURES, "subcortex", "subcortex", "cerebellum"],
    )
    assert values == network_metrics(series[:, :15], NETWORKS)


def test_missing_parcels_are_counted_and_a_lost_network_is_nan(rng):
    series = rng.normal(size=(100, 15))
    series[:, :3] = np.nan
    values = network_metrics(series, NETWORKS)
    assert values["n_parcels"] == 12
    assert np.isnan(values["within_fc_Vis"])
    assert np.isfinite(values["within_fc"])


def test_an_atlas_without_these_networks_has_no_such_metric(rng):
    values = network_metrics(rng.normal(size=(50, 4)), ["A", "A", "B", "B"])
    assert "between_fc_Default_SomMot" not in values
    assert {"within_fc_A", "within_fc_B"} <= set(values)


def test_refuses_labels_that_do_not_fit(rng):
    with pytest.raises(DatasetError, match="16 columns for 15 network labels"):
        network_metrics(rng.normal(size=(50, 16)), NETWORKS)
    series = rng.normal(size=(50, 15))
    series[:, 4:] = np.nan
    with pytest.raises(DatasetError, match="at least two networks"):
        network_metrics(series, NETWORKS)


def test_core_comes_first_and_every_pair_of_networks_is_there():
    metrics = metrics_for(NETWORKS, rois=["PCC"])
    families = [metric.family for metric in metrics]
    assert families == sorted(families)  # core before detail
    names = [metric.name for metric in metrics]
    assert names[: families.index("detail")] == [
        "segregation", "within_fc", "between_fc", "between_fc_Default_SomMot", "participation",
        "participation_negative", "gbc", "ngsc", "kuramoto_order", "metastability",
        "strength_PCC", "eigenvector_centrality_PCC",
    ]  # fmt: skip
    pairs = {name for name in names if name.startswith("between_fc_")}
    assert pairs == {
        f"between_fc_{pair}" for pair in ("Default_SomMot", "Default_Vis", "SomMot_Vis")
    }
    described = (*metrics, *NODAL)
    assert all(one.label and one.unit and one.description for one in described)


def test_means_over_parcels_and_regions_of_interest(rng):
    """Regions count in all columns, also beside the cortex, and without missing parcels."""
    series = rng.normal(size=(100, 17)) @ rng.normal(size=(17, 17))
    series[:, 2] = np.nan
    labels, structures = [*NETWORKS, "Sub", "Sub"], [*STRUCTURES, "subcortex", "subcortex"]
    rois = {"PCC": [2, 3, 5], "Hippocampus": [16], "Lost": [2]}
    values = network_metrics(series, labels, structures, rois=rois)
    nodal = nodal_metrics(fisher_z(correlate(series)), labels)
    for measure in ("strength", "eigenvector_centrality"):
        assert values[f"{measure}_PCC"] == pytest.approx(nodal[measure][[3, 5]].mean(), abs=1e-12)
        assert values[f"{measure}_Hippocampus"] == pytest.approx(nodal[measure][16], abs=1e-12)
        assert np.isnan(values[f"{measure}_Lost"])
    cortex = nodal_metrics(fisher_z(correlate(series[:, :15])), NETWORKS)
    for measure in ("participation", "participation_negative", "gbc"):
        assert values[measure] == pytest.approx(np.nanmean(cortex[measure]), abs=1e-12)
    names = {metric.name for metric in metrics_for(NETWORKS, rois)}
    assert set(values) == {*names, "n_frames", "n_parcels"}


def test_phase_metrics_follow_the_time_line(rng):
    series = rng.normal(size=(140, 15))
    series[:, 4] = 7.0  # constant: no parcel of SomMot's
    times = np.concatenate([np.arange(0, 90), np.arange(20, 70)])
    values = network_metrics(series, NETWORKS, times=times)
    found = phases(series, times)
    assert len(found) == 70 + 30
    assert values["kuramoto_order"] == kuramoto_order(found)
    assert values["metastability_SomMot"] == pytest.approx(metastability(found[:, 5:9]), abs=1e-12)
    assert values["ngsc_SomMot"] == pytest.approx(ngsc(series[:, 5:9]), abs=1e-12)
    assert values != network_metrics(series, NETWORKS)


def test_runs_too_short_for_phases_lose_only_these(rng):
    values = network_metrics(rng.normal(size=(20, 15)), NETWORKS)
    phase = {metric.name for metric in metrics_for(NETWORKS) if metric.of == "phases"}
    assert len(phase) == 8
    assert {name for name, value in values.items() if np.isnan(value)} == phase


def test_a_network_of_one_parcel_has_no_detail_of_its_own(rng):
    values = network_metrics(rng.normal(size=(60, 5)), ["A", "B", "B", "B", "B"])
    lost = {f"{name}_A" for name in ("within_fc", "ngsc", "kuramoto_order", "metastability")}
    assert {name for name, value in values.items() if np.isnan(value)} == lost


def test_refuses_times_and_regions_that_do_not_fit(rng):
    series = rng.normal(size=(50, 15))
    with pytest.raises(DatasetError, match="50 whole numbers"):
        network_metrics(series, NETWORKS, times=np.arange(49))
    with pytest.raises(DatasetError, match="region of interest PCC"):
        network_metrics(series, NETWORKS, rois={"PCC": [15]})
