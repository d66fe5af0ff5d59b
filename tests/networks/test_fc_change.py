from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.fc_change import fc_change, fc_distance


def test_distance_by_hand():
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    b[0, 1] = b[1, 0] = 0.3
    b[1, 2] = b[2, 1] = -0.4
    assert fc_distance(a, b) == pytest.approx(0.5 / np.sqrt(3), abs=1e-12)
    b[2] = b[:, 2] = np.nan
    assert fc_distance(a, b) == pytest.approx(0.3, abs=1e-12)
    assert np.isnan(fc_distance(a, np.full((3, 3), np.nan)))


def test_change_is_the_mean_of_four_pairs_over_one(rng):
    halves = rng.normal(size=(4, 40, 5))
    z = [fisher_z(correlate(half)) for half in halves]
    across = [fc_distance(z[i], z[j]) for i in (0, 1) for j in (2, 3)]
    expected = np.mean(across) / fc_distance(z[0], z[1])
    assert fc_change(halves[:2], halves[2:]) == pytest.approx(expected, abs=1e-12)


def test_recovers_a_planted_change(rng):
    """z of T independent frames has variance 1 / (T − 3): c = √(1 + δ² / 2 s²)."""
    n, T = 60, 400
    variance = 1 / (T / 2 - 3)
    for r in (0.0, 0.2, 0.5):
        mixing = np.linalg.cholesky(np.where(np.eye(n), 1.0, r)).T
        mixing = mixing if r else np.eye(n)
        own = np.linalg.cholesky(np.kron(np.eye(30), [[1, r], [r, 1]])).T  # 30 of 1,770 pairs
        values = [
            fc_change(rng.normal(size=(2, T // 2, n)), rng.normal(size=(2, T // 2, n)) @ own)
            for _ in range(5)
        ]
        delta = 30 / (n * (n - 1) / 2) * np.arctanh(r) ** 2
        assert np.mean(values) == pytest.approx(np.sqrt(1 + delta / (2 * variance)), abs=0.03)


def test_parcels_missing_from_any_count_in_none(rng):
    halves = rng.normal(size=(4, 40, 6))
    expected = fc_change(halves[:2, :, :4], halves[2:, :, :4])
    halves[0, :, 4], halves[3, :, 5] = np.nan, np.nan
    assert fc_change(halves[:2], halves[2:]) == pytest.approx(expected, abs=1e-12)


def test_refuses_unequal_sessions(rng):
    pre = rng.normal(size=(2, 40, 6))
    with pytest.raises(DatasetError, match=r"\(35, 6\) and \(40, 6\)"):
        fc_change(pre, pre[:, :35])
    with pytest.raises(DatasetError, match="1 parcels"):
        fc_change(pre[..., :1], pre[..., :1])
