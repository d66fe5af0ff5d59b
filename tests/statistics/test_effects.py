from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.statistics.effects import (
    detectable_effect,
    hedges_g,
    paired_effects,
    percent_change,
    small_sample_correction,
    varies,
)


def with_t(t: float, n: int) -> np.ndarray:
    """Changes of n persons whose paired t is exactly t."""
    change = np.linspace(-1, 1, n)
    change = change / change.std(ddof=1) + t / np.sqrt(n)
    return change[:, None]


def test_effects_by_hand() -> None:
    pre = np.array([[10.0], [20.0], [40.0]])
    post = np.array([[11.0], [18.0], [44.0]])
    effects = paired_effects(pre, post)
    assert effects.change[0] == pytest.approx(1.0)
    assert effects.sd_change[0] == pytest.approx(3.0)
    assert effects.percent[0] == pytest.approx(10 / 3)  # not 100 * 1 / 23.3
    assert effects.t[0] == pytest.approx(1 / np.sqrt(3))
    assert effects.g[0] == pytest.approx(1 / 3 * np.sqrt(1 / np.pi))  # J(2) = 1 / sqrt(pi)
    assert (effects.n_rise[0], effects.n_fall[0]) == (2, 1)


def test_t_is_that_of_scipy(rng: np.random.Generator) -> None:
    pre, post = rng.normal(5, 1, (9, 4)), rng.normal(6, 1, (9, 4))
    np.testing.assert_allclose(
        paired_effects(pre, post).t, stats.ttest_rel(post, pre).statistic, rtol=1e-12
    )


def test_correction_against_its_usual_approximation() -> None:
    for df in (10, 20, 60):
        assert small_sample_correction(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=4e-4)


def test_interval_against_a_published_example() -> None:
    # Kelley 2007, MBESS: t = 2.83 with 126 df has noncentrality 0.8337502 to 4.8153594
    _, low, high = hedges_g(with_t(2.83, 127))
    assert low[0] * np.sqrt(127) == pytest.approx(0.8337502, abs=1e-6)
    assert high[0] * np.sqrt(127) == pytest.approx(4.8153594, abs=1e-6)


@pytest.mark.parametrize("n", [3, 9, 11, 30])
@pytest.mark.parametrize("t", [-8.2, -0.5, 0.0, 2.2, 20.0])
def test_interval_against_the_noncentral_t_distribution(n: int, t: float) -> None:
    _, low, high = hedges_g(with_t(t, n))
    assert stats.nct.cdf(t, n - 1, low[0] * np.sqrt(n)) == pytest.approx(0.975, abs=1e-5)
    assert stats.nct.cdf(t, n - 1, high[0] * np.sqrt(n)) == pytest.approx(0.025, abs=1e-5)


@pytest.mark.parametrize(("n", "d_z"), [(11, 0.8), (6, 0.0), (20, 2.0)])
def test_interval_covers_and_g_is_unbiased(n: int, d_z: float, rng: np.random.Generator) -> None:
    g, low, high = hedges_g(rng.normal(d_z, 1, (n, 20_000)))
    assert np.mean((low <= d_z) & (d_z <= high)) == pytest.approx(0.95, abs=0.005)
    assert g.mean() == pytest.approx(d_z, abs=0.015)


def test_detectable_effect_is_that_of_the_design_table() -> None:
    for n, d_z in {9: 1.07, 11: 0.94, 16: 0.75, 20: 0.66, 30: 0.53}.items():
        assert round(detectable_effect(n), 2) == d_z


def test_detectable_effect_is_detected_in_four_of_five_studies(rng: np.random.Generator) -> None:
    change = rng.normal(detectable_effect(11), 1, (11, 20_000))
    p = stats.ttest_1samp(change, 0).pvalue
    assert np.mean(p < 0.05) == pytest.approx(0.80, abs=0.01)


def test_no_percentage_of_a_baseline_around_zero() -> None:
    pre = np.array([[2.0, -0.1], [4.0, 0.2]])
    percent = percent_change(pre, pre + 1)
    np.testing.assert_allclose(percent[:, 0], [50, 25])
    assert np.isnan(percent[:, 1]).all()


def test_rounding_is_not_variation() -> None:
    pre = np.ones((5, 2))
    post = np.ones((5, 2))
    post[:, 0] += 1e-15 * np.arange(5)
    post[:, 1] += 1e-3 * np.arange(5)
    assert varies(pre, post).tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (np.ones((2, 1)), "2 persons"),
        (np.ones((1, 1)), "1 person "),
        (np.array([[1.0], [np.nan], [2.0]]), "1 missing"),
        (np.ones((4, 1)), "the same change"),
        (np.ones((4, 0)), "shape"),
    ],
)
def test_refuses_what_cannot_be_tested(change: np.ndarray, found: str) -> None:
    with pytest.raises(StatisticsError, match=found):
        hedges_g(change)


def test_detectable_effect_needs_three_persons() -> None:
    with pytest.raises(StatisticsError):
        detectable_effect(2)
