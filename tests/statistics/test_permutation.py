from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.statistics import arrangements, permutation
from petfmri.statistics.permutation import share_reaching, sign_flip


def brute_force(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and p_fwe over all sign patterns, with t computed the long way."""
    observed = np.abs(stats.ttest_1samp(change, 0).statistic)
    null = np.array(
        [
            np.abs(stats.ttest_1samp(change * np.array(signs)[:, None], 0).statistic)
            for signs in itertools.product((1, -1), repeat=len(change))
        ]
    )
    reaches = null >= observed - 1e-9
    family = null.max(axis=1)[:, None] >= observed - 1e-9
    return reaches.mean(axis=0), family.mean(axis=0)


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_enumeration_equals_brute_force(shift: float, rng: np.random.Generator) -> None:
    change = rng.normal(shift, 1, (7, 5))
    result = sign_flip(change)
    p, p_fwe = brute_force(change)
    np.testing.assert_allclose(result.p, p, atol=1e-12)
    np.testing.assert_allclose(result.p_fwe, p_fwe, atol=1e-12)
    np.testing.assert_allclose(result.t, stats.ttest_1samp(change, 0).statistic)
    assert (result.arrangements, result.exact) == (128, True)


def test_ties_of_whole_numbers_count(rng: np.random.Generator) -> None:
    change = rng.integers(-3, 4, (6, 3)).astype(float) * 0.1
    change[0] = [0.1, 0.2, 0.3]
    p, p_fwe = brute_force(change)
    result = sign_flip(change)
    np.testing.assert_allclose(result.p, p, atol=1e-12)
    np.testing.assert_allclose(result.p_fwe, p_fwe, atol=1e-12)


def test_all_fall() -> None:
    change = -np.arange(1.0, 11.0)[:, None]
    result = sign_flip(change)
    assert result.p[0] == result.p_smallest[0] == result.p_fwe[0] == 2 / 1024


def test_persons_without_change_raise_the_smallest_p() -> None:
    change = np.array([[0.0], [0.0], [1.0], [2.0], [3.0]])
    result = sign_flip(change)
    assert result.p[0] == result.p_smallest[0] == 0.25


def test_switch_from_enumeration_to_drawing(rng: np.random.Generator) -> None:
    assert sign_flip(rng.normal(size=(14, 1))).arrangements == 16_384
    drawn = sign_flip(rng.normal(size=(15, 1)), permutations=500)
    assert (drawn.arrangements, drawn.exact, drawn.p_smallest[0]) == (500, False, 1 / 500)


def test_drawn_p_is_near_the_exact_one(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = rng.normal(0.4, 1, (12, 20))
    exact = sign_flip(change)
    monkeypatch.setattr(arrangements, "EXACT_LIMIT", 1)
    drawn = sign_flip(change, permutations=20_000)
    assert not drawn.exact
    for name in ("p", "p_fwe"):
        p = getattr(exact, name)
        error = np.sqrt(p * (1 - p) / 20_000)
        assert (np.abs(getattr(drawn, name) - p) <= 4 * error + 1e-4).all()


def test_drawing_includes_the_observed_pattern() -> None:
    change = 5 + np.linspace(-0.1, 0.1, 25)[:, None]
    assert sign_flip(change, permutations=100).p[0] == 0.01


def test_same_seed_same_p_whatever_the_block(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = rng.normal(0.2, 1, (20, 9))
    first = sign_flip(change, permutations=999, seed=7)
    monkeypatch.setattr(permutation, "_BLOCK", 50)
    second = sign_flip(change, permutations=999, seed=7)
    np.testing.assert_array_equal(first.p, second.p)
    np.testing.assert_array_equal(first.p_fwe, second.p_fwe)
    assert (sign_flip(change, permutations=999, seed=8).p != first.p).any()


def test_units_do_not_matter(rng: np.random.Generator) -> None:
    change = rng.normal(0.5, 1, (9, 3))
    scaled = sign_flip(change * [1e-6, 1, 1e6])
    np.testing.assert_allclose(scaled.p_fwe, sign_flip(change).p_fwe)


def test_finds_what_was_planted_and_nothing_else(rng: np.random.Generator) -> None:
    change = rng.normal(0, 1, (14, 60))
    change[:, :3] += 2.5
    significant = sign_flip(change).p_fwe < 0.05
    assert significant[:3].all()
    assert significant[3:].sum() <= 1


def family_wise_errors(studies: int, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of null studies with any p_fwe, and with the first p, at most .05."""
    any_family, first = 0, 0
    for _ in range(studies):
        shared = rng.normal(0, 1, (8, 1))
        change = shared + rng.normal(0, 1, (8, 30)) * rng.uniform(0.5, 3, 30)
        result = sign_flip(change)
        any_family += bool((result.p_fwe <= 0.05).any())
        first += bool(result.p[0] <= 0.05)
    return any_family / studies, first / studies


def test_null_calibration(rng: np.random.Generator) -> None:
    family, single = family_wise_errors(600, rng)
    # 256 arrangements: the exact level is 12 / 256 = .047; three standard errors are .026
    assert 0.021 <= family <= 0.073
    assert 0.021 <= single <= 0.073


@pytest.mark.slow
def test_null_calibration_of_many_studies(rng: np.random.Generator) -> None:
    family, single = family_wise_errors(6000, rng)
    assert 0.039 <= family <= 0.055
    assert 0.039 <= single <= 0.055


@pytest.mark.parametrize("n", [1, 2])
def test_refuses_too_few_persons(n: int) -> None:
    with pytest.raises(StatisticsError, match="at least 3"):
        sign_flip(np.arange(1.0, n + 1)[:, None])


def test_refuses_missing_values_and_too_few_permutations(rng: np.random.Generator) -> None:
    change = rng.normal(size=(16, 2))
    with pytest.raises(StatisticsError, match="at least 2"):
        sign_flip(change, permutations=1)
    change[3, 1] = np.nan
    with pytest.raises(StatisticsError, match="1 missing"):
        sign_flip(change)


def test_share_reaching_counts_equals() -> None:
    np.testing.assert_allclose(
        share_reaching(np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 6.0, 0.0])), [0.75, 0, 1]
    )
