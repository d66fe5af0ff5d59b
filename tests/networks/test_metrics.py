"""Hand-worked graphs of four parcels, then planted networks."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.network_fc import (
    between_fc,
    between_network_fc,
    within_fc,
    within_network_fc,
)
from petfmri.networks.segregation import segregation
from petfmri.networks.strength import nodal_strength

NETWORKS = ["Default", "Default", "SomMot", "SomMot"]
Z = np.array(
    [
        [0.0, 0.9, 0.3, -0.1],
        [0.9, 0.0, 0.1, 0.2],
        [0.3, 0.1, 0.0, 0.5],
        [-0.1, 0.2, 0.5, 0.0],
    ]
)
LOST = Z.copy()
LOST[3] = LOST[:, 3] = np.nan


def test_within_and_between_by_hand():
    assert within_network_fc(Z, NETWORKS, "Default") == pytest.approx(0.9, abs=1e-12)
    assert within_network_fc(Z, NETWORKS, "SomMot") == pytest.approx(0.5, abs=1e-12)
    assert within_fc(Z, NETWORKS) == pytest.approx(0.7, abs=1e-12)
    assert between_fc(Z, NETWORKS) == pytest.approx((0.3 - 0.1 + 0.1 + 0.2) / 4, abs=1e-12)
    assert between_network_fc(Z, NETWORKS, "SomMot", "Default") == pytest.approx(0.125, abs=1e-12)


def test_segregation_by_hand():
    """W = (0.9 + 0.5) / 2; B = (0.3 + 0 + 0.1 + 0.2) / 4: the negative value is a zero."""
    assert segregation(Z, NETWORKS) == pytest.approx((0.7 - 0.15) / 0.7, abs=1e-12)


def test_segregation_pools_pairs_and_not_networks():
    """Three pairs of one network outweigh the one pair of the other: W = (3·0.8 + 0.4) / 4."""
    networks = ["A", "A", "A", "B", "B"]
    z = np.full((5, 5), 0.2)
    z[:3, :3], z[3:, 3:] = 0.8, 0.4
    np.fill_diagonal(z, 0)
    assert segregation(z, networks) == pytest.approx((0.7 - 0.2) / 0.7, abs=1e-12)


def test_strength_by_hand():
    np.testing.assert_allclose(nodal_strength(Z) * 3, [1.2, 1.2, 0.9, 0.7], atol=1e-12)


def test_a_missing_parcel_is_left_out():
    assert within_fc(LOST, NETWORKS) == pytest.approx(0.9, abs=1e-12)
    assert np.isnan(within_network_fc(LOST, NETWORKS, "SomMot"))
    assert segregation(LOST, NETWORKS) == pytest.approx((0.9 - 0.2) / 0.9, abs=1e-12)
    np.testing.assert_allclose(nodal_strength(LOST) * 2, [1.2, 1.0, 0.4, np.nan], atol=1e-12)


def test_limits_of_segregation():
    assert segregation(np.where(Z == 0, 0, 0.4), NETWORKS) == pytest.approx(0, abs=1e-12)
    assert segregation(Z * np.kron(np.eye(2), np.ones((2, 2))), NETWORKS) == 1
    assert np.isnan(segregation(-np.abs(Z), NETWORKS))


def planted(within, between, n_networks=4, size=10):
    labels = np.repeat(np.arange(n_networks), size).astype(str)
    r = np.where(labels[:, None] == labels, within, between)
    np.fill_diagonal(r, 1.0)
    return r, labels.tolist()


@pytest.mark.parametrize(("within", "between"), [(0.6, 0.1), (0.45, 0.2), (0.3, 0.3)])
def test_recovers_planted_networks(rng, within, between):
    r, labels = planted(within, between)
    series = rng.normal(size=(8000, 40)) @ np.linalg.cholesky(r).T
    z = fisher_z(correlate(series))
    w, b = np.arctanh([within, between])
    assert within_fc(z, labels) == pytest.approx(w, abs=0.02)
    assert between_fc(z, labels) == pytest.approx(b, abs=0.02)
    assert segregation(z, labels) == pytest.approx(1 - b / w, abs=0.03)
    assert nodal_strength(z).mean() == pytest.approx((9 * w + 30 * b) / 39, abs=0.02)


def test_loss_of_segregation_is_monotone_at_the_length_of_a_scan(rng):
    estimates = []
    for loss in (0.0, 0.05, 0.1, 0.15, 0.2):
        r, labels = planted(0.45 - loss, 0.1 + loss / 2)
        L = np.linalg.cholesky(r).T
        runs = [rng.normal(size=(250, 40)) @ L for _ in range(10)]
        estimates.append(np.mean([segregation(fisher_z(correlate(x)), labels) for x in runs]))
    assert np.all(np.diff(estimates) < -0.05)
