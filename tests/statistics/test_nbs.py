"""The network-based statistic against brute force, and planted networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import regroupings, sign_patterns
from petfmri.statistics.nbs import network_test
from petfmri.statistics.permutation import permutation_test


def edges_of(n):
    return np.array(list(itertools.combinations(range(n), 2)))


def components(chosen, pairs, weight):
    """Sizes of connected sets of edges, by growing each from one edge."""
    left, sizes = set(np.flatnonzero(chosen)), []
    while left:
        grown, nodes = set(), set(pairs[min(left)])
        while new := {e for e in left - grown if nodes & set(pairs[e])}:
            grown |= new
            nodes |= {node for e in new for node in pairs[e]}
        left -= grown
        sizes.append(sum(weight[e] for e in grown))
    return sizes


def largest(t, pairs, threshold, size, tails):
    weight = np.abs(t) - threshold if size == "intensity" else np.ones(len(t))
    sides = [np.abs(t) > threshold] if tails == "together" else [t > threshold, t < -threshold]
    return [found for side in sides for found in components(side, pairs, weight)]


@pytest.mark.parametrize("size", ["extent", "intensity"])
@pytest.mark.parametrize("tails", ["apart", "together"])
def test_p_equals_full_enumeration_at_eight_persons(size, tails):
    rng = np.random.default_rng(5)
    pairs = edges_of(9)
    change = rng.normal(0, 1, (8, len(pairs))) + 0.8 * (pairs < 4).all(axis=1)
    found = network_test(
        change, np.ones(8), pairs, arrangements=sign_patterns(8), thresholds=[1.5, 2.5],
        size=size, tails=tails,
    )  # fmt: skip
    for test in found:
        null, observed = [], []
        for signs in itertools.product((1, -1), repeat=8):
            moved = change * np.array(signs)[:, None]
            t = moved.mean(0) / moved.std(0, ddof=1) * np.sqrt(8)
            sizes = largest(t, pairs, test.threshold, size, tails)
            observed = sizes if not null else observed
            null.append(max(sizes, default=0))
        assert len(null) == 256
        expected = sorted(observed, reverse=True)
        np.testing.assert_allclose([one.size for one in test.components], expected, rtol=1e-9)
        p = [(np.array(null) >= one * (1 - 1e-9)).mean() for one in expected]
        np.testing.assert_allclose([one.p_fwe for one in test.components], p, atol=1e-12)
        assert test.smallest == 2 / 256


def test_a_planted_network_between_groups():
    rng = np.random.default_rng(6)
    pairs = edges_of(20)
    planted = (pairs < 6).all(axis=1)
    group = np.repeat([0.0, 1.0], 12)
    y = rng.normal(size=(24, len(pairs))) - 1.2 * np.outer(group, planted)
    (found,) = network_test(
        y, group, pairs, nuisance=np.ones((24, 1)), thresholds=[2.5],
        arrangements=regroupings(list(group), permutations=500),
    )  # fmt: skip
    first, *others = found.components
    assert first.p_fwe <= 0.01
    assert first.direction == -1
    assert planted[first.edges].mean() > 0.8
    assert set(range(6)) <= set(first.nodes.tolist())
    assert all(other.p_fwe > 0.05 for other in others)


def test_nothing_above_the_threshold():
    change = np.random.default_rng(7).normal(size=(6, 3))
    (found,) = network_test(
        change, np.ones(6), edges_of(3), arrangements=sign_patterns(6), thresholds=[1000.0]
    )
    assert found.components == ()
    assert not found.largest.any()
    with pytest.raises(StatisticsError, match="2 pairs for 3 edges"):
        network_test(
            change, np.ones(6), edges_of(3)[:2], arrangements=sign_patterns(6), thresholds=[2.0]
        )


def test_false_discovery_rate_by_hand():
    change = np.array([[1.0, 1, 1], [1.1, -1.1, 1.3], [1.2, 1.2, 1.2], [1.3, -1.3, 1.1]])
    found = permutation_test(change, np.ones(4), arrangements=sign_patterns(4))
    assert found.p.tolist() == [0.125, 0.875, 0.125]
    np.testing.assert_allclose(found.p_fdr, [0.1875, 0.875, 0.1875])
