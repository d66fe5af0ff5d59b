from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.prediction.chance import permutation_p, shuffled_targets, targets_without_features

PEOPLE = ["b", "b", "a", "c", "d", "c"]


def test_targets_are_dealt_to_persons_not_rows() -> None:
    target = np.array([2.0, 2.0, 1.0, 3.0, 4.0, 3.0])
    dealt = shuffled_targets(target, PEOPLE, permutations=300, seed=1)
    assert dealt.shape == (6, 300)
    np.testing.assert_array_equal(dealt[0], dealt[1])
    np.testing.assert_array_equal(dealt[3], dealt[5])
    np.testing.assert_array_equal(np.sort(dealt[[0, 2, 3, 4]], axis=0).T, [[1, 2, 3, 4]] * 300)
    assert len({tuple(column) for column in dealt[[0, 2, 3, 4]].T}) == 24


def test_targets_keep_what_covariates_explain(rng: np.random.Generator) -> None:
    people = [f"sub-{i}" for i in range(30)]
    C = rng.normal(size=(30, 1))
    dealt = targets_without_features(
        5 + 2 * C[:, 0] + 0.1 * rng.normal(size=30), C, people, permutations=50, seed=1
    )
    for column in dealt.T:
        slope, level = np.polyfit(C[:, 0], column, 1)
        assert slope == pytest.approx(2, abs=0.1)
        assert level == pytest.approx(5, abs=0.1)
    assert np.ptp(dealt, axis=1).min() > 0


def test_targets_without_covariates_are_shuffled(rng: np.random.Generator) -> None:
    people = list("abcdefgh")
    y = rng.normal(size=8)
    plain = shuffled_targets(y, people, permutations=20, seed=3)
    beyond = targets_without_features(y, np.empty((8, 0)), people, permutations=20, seed=3)
    np.testing.assert_allclose(beyond, plain, atol=1e-12)


def test_refuses_a_person_with_two_outcomes() -> None:
    with pytest.raises(StatisticsError, match="b: found rows with different"):
        shuffled_targets(np.arange(6.0), PEOPLE, permutations=5, seed=1)


def test_p_counts_the_observed_one() -> None:
    assert permutation_p(1.0, np.zeros(99)) == 0.01
    assert permutation_p(0.0, np.zeros(99)) == 1.0
