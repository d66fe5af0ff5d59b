from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import fft

from petfmri.atlases import load_atlas
from petfmri.errors import InputError
from petfmri.networks.connectivity import correlate
from petfmri.simulation.connectivity import (
    BAND_HZ,
    network_model,
    person_networks,
    slow_noise,
    true_metrics,
)
from petfmri.simulation.effects import Design, Effects, draw_people


@pytest.fixture(scope="module")
def table():
    return load_atlas().table


def test_series_have_the_planted_connectivity(table, rng):
    model = network_model(table["network"], Effects(), 1.0, (0.0, 0.0))
    truth = model.matrix()
    found = np.mean(
        [correlate(model.series(200, 2.0, rng, settling=4)[4:]) for _ in range(30)], axis=0
    )
    assert (
        np.abs(found - truth).max() < 0.12
    )  # single edges: 30 scans of about 60 degrees of freedom
    for row in range(len(model.blocks)):
        for column in range(len(model.blocks)):
            edges = np.ix_(model.codes == row, model.codes == column)
            off = ~np.eye(len(truth), dtype=bool)[edges]
            mean = found[edges][off].mean()
            assert mean == pytest.approx(truth[edges][off].mean(), abs=0.02)


def test_network_courses_are_exact_within_one_scan(table, rng):
    model = network_model(table["network"], Effects(), 0.0, (0.0, 0.0))
    series = model.series(150, 2.0, rng, settling=4)[4:]
    np.testing.assert_allclose(series.std(axis=0, ddof=1), 1, atol=0.2)
    means = np.stack([series[:, model.codes == k].mean(axis=1) for k in range(len(model.blocks))])
    large = np.bincount(model.codes) >= 10  # in small networks the parcels' own courses remain
    found, truth = np.corrcoef(means)[np.ix_(large, large)], model.course_correlation
    np.testing.assert_allclose(found, truth[np.ix_(large, large)], atol=0.12)


def test_segregation_falls_with_the_planted_scale(table):
    values = [
        true_metrics(network_model(table["network"], Effects(), s, (0.0, 0.0)).matrix(), table)
        for s in (0.0, 1.0, 2.2)
    ]
    segregation = [value["segregation"] for value in values]
    assert segregation[0] > segregation[1] + 0.08 > segregation[2] + 0.16
    assert values[1]["within_fc_Default"] < values[0]["within_fc_Default"]
    assert values[1]["between_fc_Default_SomMot"] > values[0]["between_fc_Default_SomMot"] + 0.05


def test_every_default_cohort_can_be_planted(table):
    for seed in range(40):
        for person in draw_people(12, Effects(), Design(), seed):
            model = person_networks(person, table["network"], Effects(), after=True)
            assert np.diag(model.matrix()) == pytest.approx(1)


def test_effects_that_no_correlation_matrix_allows_are_refused():
    networks = pd.Series(["Vis", "Vis", "Default", "SomMot"])
    with pytest.raises(InputError, match="smaller change"):
        network_model(networks, Effects(between_fc_change=0.6), 1.0, (0.0, 0.0))
    with pytest.raises(InputError, match="smaller change"):
        network_model(networks, Effects(within_fc_change=-0.7), 1.0, (0.0, 0.0))


def test_too_short_a_scan_is_refused(table, rng):
    model = network_model(table["network"], Effects(), 0.0, (0.0, 0.0))
    with pytest.raises(InputError, match="longer scan"):
        model.series(24, 2.0, rng)


def test_slow_noise_stays_in_its_band(rng):
    power = np.abs(fft.rfft(slow_noise(2000, 20, 2.0, rng), axis=0)) ** 2
    frequency = fft.rfftfreq(2000, 2.0)
    inside = (frequency >= BAND_HZ[0] - 0.002) & (frequency <= BAND_HZ[1] + 0.002)
    assert power[inside].sum() / power[1:].sum() > 0.98
    assert slow_noise(4000, 20, 2.0, rng).std() == pytest.approx(1, abs=0.05)
