from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.ngsc import ngsc
from petfmri.networks.registry import METRICS, metrics_for, network_metrics
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
