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
    pre, post = rng.normal(size=(2, 81, 5))
    z = [fisher_z(correlate(part)) for part in (pre[:40], pre[40:80], post[:40], post[40:80])]
    across = [fc_distance(z[i], z[j]) for i in (0, 1) for j in (2, 3)]
    expected = np.mean(across) / fc_distance(z[0], z[1])
    assert fc_change(pre, post) == pytest.approx(expected, abs=1e-12)


def test_recovers_a_planted_change(rng):
    """z of T independent frames has variance 1 / (T − 3): c = √(1 + δ² / 2 s²)."""
    n, T = 60, 400
    variance = 1 / (T / 2 - 3)
    for r in (0.0, 0.2, 0.5):
        mixing = np.linalg.cholesky(np.where(np.eye(n), 1.0, r)).T
        mixing = mixing if r else np.eye(n)
        own = np.linalg.cholesky(np.kron(np.eye(30), [[1, r], [r, 1]])).T  # 30 of 1,770 pairs
        values = [
            fc_change(rng.normal(size=(T, n)), rng.normal(size=(T, n)) @ own) for _ in range(5)
        ]
        delta = 30 / (n * (n - 1) / 2) * np.arctanh(r) ** 2
        assert np.mean(values) == pytest.approx(np.sqrt(1 + delta / (2 * variance)), abs=0.03)


def test_parcels_missing_from_either_count_in_neither(rng):
    pre, post = rng.normal(size=(2, 80, 6))
    expected = fc_change(pre[:, :4], post[:, :4])
    pre[:, 4], post[:, 5] = np.nan, np.nan
    assert fc_change(pre, post) == pytest.approx(expected, abs=1e-12)


def test_refuses_unequal_sessions(rng):
    with pytest.raises(DatasetError, match=r"\(80, 6\) and \(70, 6\)"):
        fc_change(rng.normal(size=(80, 6)), rng.normal(size=(70, 6)))
    with pytest.raises(DatasetError, match="1 parcels"):
        fc_change(rng.normal(size=(80, 1)), rng.normal(size=(80, 1)))
