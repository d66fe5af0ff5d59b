"""Measures of single parcels: hand-worked graphs, planted ones, and bctpy's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from tests.networks.test_metrics import LOST, NETWORKS, Z

from petfmri.networks.centrality import eigenvector_centrality
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.gbc import gbc
from petfmri.networks.participation import participation, participation_negative
from petfmri.networks.registry import NODAL, nodal_metrics
from petfmri.networks.strength import nodal_strength


def test_participation_by_hand():
    expected = [
        1 - (0.9 / 1.2) ** 2 - (0.3 / 1.2) ** 2,
        1 - (0.9 / 1.2) ** 2 - (0.3 / 1.2) ** 2,
        1 - (0.4 / 0.9) ** 2 - (0.5 / 0.9) ** 2,
        1 - (0.2 / 0.7) ** 2 - (0.5 / 0.7) ** 2,
    ]
    np.testing.assert_allclose(participation(Z, NETWORKS), expected, atol=1e-12)
    np.testing.assert_array_equal(participation_negative(Z, NETWORKS), 0)  # one weight, one network


def test_participation_at_its_limits():
    apart = np.where(np.equal.outer(NETWORKS, NETWORKS), 0.4, 0.0)
    np.testing.assert_array_equal(participation(apart, NETWORKS), 0)
    np.testing.assert_array_equal(participation(np.zeros((4, 4)), NETWORKS), 0)
    even = np.full((6, 6), 0.4)  # with the parcel itself left out, 2 to its own and 3 to the other
    np.testing.assert_allclose(participation(even, list("aaabbb")), 1 - (4 + 9) / 25, atol=1e-12)
    np.testing.assert_allclose(
        participation_negative(-even, list("aaabbb")), 1 - (4 + 9) / 25, atol=1e-12
    )


def test_gbc_keeps_negative_values():
    np.testing.assert_allclose(gbc(Z) * 3, [1.1, 1.2, 0.9, 0.6], atol=1e-12)


def test_eigenvector_centrality_by_hand():
    """A path of three: √2 to 1 to 1; two parcels alike; a negative weight counts as none."""
    path = np.array([[0, 0.3, -0.2], [0.3, 0, 0.3], [-0.2, 0.3, 0]])
    np.testing.assert_allclose(eigenvector_centrality(path), [0.5, np.sqrt(0.5), 0.5], atol=1e-12)
    np.testing.assert_allclose(eigenvector_centrality(np.full((9, 9), 0.2)), 1 / 3, atol=1e-12)


def test_eigenvector_centrality_is_an_eigenvector(rng):
    z = fisher_z(correlate(rng.normal(size=(60, 30)) @ rng.normal(size=(30, 30))))
    v, weights = eigenvector_centrality(z), np.maximum(z, 0)
    largest = np.linalg.eigvalsh(weights)[-1]
    np.testing.assert_allclose(weights @ v, largest * v, atol=1e-12)
    assert np.linalg.norm(v) == pytest.approx(1, abs=1e-12)
    assert (v >= 0).all()


def test_eigenvector_centrality_without_an_answer():
    two_pairs = np.kron(np.eye(2), [[0, 0.5], [0.5, 0]])
    for z in (two_pairs, np.zeros((3, 3)), -np.abs(Z)):
        assert np.isnan(eigenvector_centrality(z)).all()


def test_a_missing_parcel_changes_no_other():
    found = nodal_metrics(LOST, NETWORKS)
    alone = nodal_metrics(Z[:3, :3], NETWORKS[:3])
    assert set(found) == {measure.name for measure in NODAL}
    for name, values in found.items():
        assert np.isnan(values[3])
        np.testing.assert_array_equal(values[:3], alone[name])
    nothing = np.full((4, 4), np.nan)
    assert np.isnan(list(nodal_metrics(nothing, NETWORKS).values())).all()


def test_the_diagonal_counts_nowhere():
    ones = Z + np.eye(4)
    for name, values in nodal_metrics(ones, NETWORKS).items():
        np.testing.assert_array_equal(values, nodal_metrics(Z, NETWORKS)[name])


def test_recovers_a_planted_connector(rng):
    """Parcel 0 follows four networks alike, the others one: P is 3/4 against that of the truth."""
    labels = [f"n{number}" for number in np.repeat(np.arange(4), 10)]
    courses = rng.normal(size=(20_000, 4))
    series = courses[:, np.repeat(np.arange(4), 10)] + rng.normal(size=(20_000, 40))
    series[:, 0] = courses.sum(axis=1) + rng.normal(size=20_000)
    z = fisher_z(correlate(series))
    p, centrality = participation(np.where(z < 0.05, 0, z), labels), eigenvector_centrality(z)
    own, hub = np.arctanh(0.5), np.arctanh(np.sqrt(1 / 10))
    shares = np.array([9, 10, 10, 10]) / 39
    assert p[0] == pytest.approx(1 - np.sum(shares**2), abs=0.005)
    expected = 1 - ((9 * own) ** 2 + hub**2) / (9 * own + hub) ** 2
    assert p[10:].mean() == pytest.approx(expected, abs=0.005)
    assert gbc(z)[0] == pytest.approx(hub, abs=0.01)
    assert centrality.argmax() == 0


def test_against_bctpy(rng):
    bct = pytest.importorskip("bct", reason="bctpy not installed")
    for n in (30, 216):
        z = fisher_z(correlate(rng.normal(size=(150, n)) @ rng.normal(size=(n, n))))
        module = rng.integers(0, 7, size=n) + 1
        positive, negative = bct.participation_coef_sign(z, module)
        labels = [str(number) for number in module]
        np.testing.assert_allclose(participation(z, labels), positive, atol=1e-12)
        np.testing.assert_allclose(participation_negative(z, labels), negative, atol=1e-12)
        strength = bct.strengths_und_sign(z)[0] / (n - 1)
        np.testing.assert_allclose(nodal_strength(z), strength, atol=1e-12)
        centrality = bct.eigenvector_centrality_und(np.maximum(z, 0)).ravel()
        np.testing.assert_allclose(eigenvector_centrality(z), centrality, atol=1e-12)
