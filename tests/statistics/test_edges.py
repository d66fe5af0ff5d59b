"""Edges of two matrices per person: what is listed, and a planted network."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.edges import compare_edges, critical_t


def matrices(rng, n, k, shift=None):
    upper = np.triu(rng.normal(0, 0.2, (n, k, k)), 1)
    if shift is not None:
        upper = upper + np.triu(shift, 1)
    return upper + upper.transpose(0, 2, 1)


def test_four_persons_three_parcels_by_hand():
    """One edge rises by 1, 2, 3, 4: t = 2.5 / (1.2910 / 2); all of one sign, so p = 2 / 16."""
    pre = np.zeros((4, 3, 3))
    post = np.random.default_rng(1).normal(size=(4, 3, 3)) * 1e-3
    post[:, 0, 1] = [1, 2, 3, 4]
    post = np.triu(post, 1) + np.triu(post, 1).transpose(0, 2, 1)
    found = compare_edges(pre, post, ["a", "b", "c"], ["X", "X", "Y"], threshold_t=3.0)
    first = found.edges.iloc[0]
    assert (first["parcel_1"], first["parcel_2"], first["listed"]) == ("a", "b", "largest |t|")
    assert first["t"] == pytest.approx(3.873, abs=1e-3)
    assert first["p"] == 0.125
    assert found.t[0, 1] == found.t[1, 0] == first["t"]
    assert np.isnan(found.t.diagonal()).all() and not found.shown.any()
    (declared,) = found.components.query("declared").itertuples()
    assert (declared.edges, declared.nodes, declared.direction) == (1, 2, "rise")
    assert declared.p_smallest == 0.125 and declared.networks == "X–X 1"
    assert "3 tests" in found.notes[0] and "0.12" in found.notes[0]


def test_a_planted_network_comes_back_as_a_component():
    rng, k = np.random.default_rng(2), 30
    planted = np.zeros((k, k))
    planted[:7, :7] = -0.35
    pre, post = matrices(rng, 16, k), matrices(rng, 16, k, planted)
    names = [f"p{i}" for i in range(k)]
    found = compare_edges(
        pre, post, names, ["Default"] * 7 + ["Vis"] * 23, threshold_t=3.0, permutations=1000
    )
    first = found.components.iloc[0]
    assert first["direction"] == "fall" and first["p_fwe"] <= 0.005
    assert first["networks"].startswith("Default–Default ")
    inside = found.shown[:7, :7][np.triu_indices(7, 1)]
    assert inside.mean() > 0.6 and found.shown[7:, 7:].sum() == 0
    listed = found.edges[found.edges["component"].eq(1)]
    assert len(listed) == first["edges"]
    assert listed["change"].mean() == pytest.approx(-0.35, abs=0.08)
    assert set(found.edges["listed"]) <= {"family-wise", "FDR", "component"}


def test_what_is_missing_in_anybody_is_not_tested_and_counted():
    rng = np.random.default_rng(3)
    pre, post = matrices(rng, 5, 6), matrices(rng, 5, 6)
    pre[2, 4], pre[2, :, 4] = np.nan, np.nan
    found = compare_edges(pre, post, list("abcdef"), ["X"] * 6)
    assert "10 tests; 5 others are missing" in found.notes[0]
    assert np.isnan(found.t[4]).all() and np.isfinite(found.t[0, 1])
    assert found.components.iloc[0]["threshold_t"] == pytest.approx(critical_t(0.001, 4), abs=1e-9)


def test_nothing_above_a_threshold_is_said():
    rng = np.random.default_rng(4)
    found = compare_edges(
        matrices(rng, 5, 4), matrices(rng, 5, 4), list("abcd"), ["X"] * 4, threshold_t=500.0
    )
    assert found.components.iloc[0][["edges", "p_fwe"]].tolist() == [0, 1.0]
    assert "|t| > 500.00: no edge" in found.notes[1]
    with pytest.raises(StatisticsError, match="2 persons with matrices"):
        compare_edges(matrices(rng, 2, 4), matrices(rng, 2, 4), list("abcd"), ["X"] * 4)


def test_beside_covariates_t_is_that_of_the_intercept():
    rng, n, k = np.random.default_rng(5), 12, 6
    motion = rng.normal(0.2, 0.1, n)
    pre = matrices(rng, n, k)
    post = pre + 2.0 * motion[:, None, None] * (1 - np.eye(k)) + matrices(rng, n, k) * 0.2
    names, networks = [f"p{i}" for i in range(k)], ["X"] * k
    plain = compare_edges(pre, post, names, networks, permutations=2000)
    found = compare_edges(pre, post, names, networks, covariates=motion[:, None], permutations=2000)
    design = np.column_stack([np.ones(n), motion])
    change = (post - pre)[:, 0, 1]
    beta, rest, *_ = np.linalg.lstsq(design, change, rcond=None)
    se = np.sqrt(rest[0] / (n - 2) * np.linalg.inv(design.T @ design)[0, 0])
    assert found.t[0, 1] == pytest.approx(beta[0] / se)
    assert plain.components.query("declared")["p_fwe"].iloc[0] <= 0.01
    assert found.components.query("declared")["p_fwe"].iloc[0] > 0.05
    assert "of 11 persons" in found.notes[0]
