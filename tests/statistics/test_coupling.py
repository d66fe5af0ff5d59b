from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.statistics.coupling import (
    correlate,
    critical_r,
    detectable_r,
    fisher_interval,
)
from petfmri.statistics.coupling_tables import couple
from petfmri.statistics.pairing import Paired
from petfmri.statistics.repeated import repeated_changes, repeated_measures_correlation


def test_enumeration_equals_brute_force(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))

    def table(order: tuple[int, ...]) -> np.ndarray:
        return np.corrcoef(x.T, y[list(order)].T)[:2, 2:]

    null = np.abs([table(order) for order in itertools.permutations(range(5))])
    r = table((0, 1, 2, 3, 4))
    result = correlate(x, y)
    np.testing.assert_allclose(result.r, r, atol=1e-12)
    np.testing.assert_allclose(result.p, (null >= np.abs(r) - 1e-9).mean(axis=0))
    largest = null.max(axis=(1, 2))
    family = [[np.mean(largest >= abs(value) - 1e-9) for value in row] for row in r]
    np.testing.assert_allclose(result.p_fwe, family)
    assert (result.arrangements, result.exact, result.p_smallest) == (120, True, 1 / 120)


def test_drawn_p_agrees_with_the_t_test(rng: np.random.Generator) -> None:
    x = rng.normal(size=(25, 1))
    y = x * [[0.0, 0.3, 0.6]] + rng.normal(size=(25, 3))
    result = correlate(x, y, permutations=20_000)
    expected = [stats.pearsonr(x[:, 0], column).pvalue for column in y.T]
    np.testing.assert_allclose(result.p[0], expected, atol=0.012)
    assert not result.exact


def test_planted_correlation_is_recovered(rng: np.random.Generator) -> None:
    shared = rng.normal(size=4000)
    x = shared + rng.normal(size=4000)
    y = -shared + rng.normal(size=4000)
    result = correlate(x[:, None], y[:, None], permutations=200)
    assert result.r[0, 0] == pytest.approx(-0.5, abs=0.04)
    assert result.p[0, 0] == 1 / 200


def test_interval_covers(rng: np.random.Generator) -> None:
    x = rng.normal(size=(12, 20_000))
    y = 0.6 * x + 0.8 * rng.normal(size=x.shape)
    zx, zy = stats.zscore(x), stats.zscore(y)
    low, high = fisher_interval((zx * zy).mean(axis=0), 12)
    assert np.mean((low <= 0.6) & (high >= 0.6)) == pytest.approx(0.95, abs=0.01)


def test_interval_of_a_perfect_correlation_is_finite() -> None:
    x = np.arange(5.0)[:, None]
    result = correlate(x, 2 * x)
    assert result.r[0, 0] == pytest.approx(1)
    assert 0.99 < result.low[0, 0] <= result.high[0, 0] <= 1


def test_null_calibration(rng: np.random.Generator) -> None:
    hits = np.array(
        [
            correlate(rng.normal(size=(6, 2)), rng.standard_t(3, (6, 4))).p_fwe.min() <= 0.05
            for _ in range(500)
        ]
    )
    assert 0.021 <= hits.mean() <= 0.079


def test_critical_and_detectable_r_are_those_of_the_design_table() -> None:
    for n, critical, detectable in ((11, 0.60, 0.76), (16, 0.50, 0.65), (20, 0.44, 0.59)):
        assert round(critical_r(n), 2) == critical
        assert round(detectable_r(n), 2) == detectable


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.arange(3.0), "3 persons"),
        (np.array([1.0, 2, np.nan, 4]), "1 missing"),
        (np.full(5, 0.1), "one value"),
    ],
)
def test_refuses_what_cannot_be_correlated(x: np.ndarray, found: str) -> None:
    with pytest.raises(StatisticsError, match=found):
        correlate(x[:, None], np.arange(len(x))[:, None] ** 2.0)


def paired(change: dict[str, list[float]]) -> Paired:
    post = pd.DataFrame(change, index=[f"sub-{i}" for i in range(1, 6)])
    return Paired(post * 0, post, pd.DataFrame(), pd.DataFrame(), ())


def test_couple_keeps_the_persons_with_both() -> None:
    nan = float("nan")
    table, notes = couple(
        paired({"suvr:PCC": [1, 2, 3, 4, nan], "segregation": [4, 3, 2, 1, 9]}),
        ["suvr:PCC"],
        ["segregation"],
    )
    assert table is not None
    row = table.iloc[0]
    assert (row["x"], row["y"], row["n"], row["arrangements"]) == ("suvr:PCC", "segregation", 4, 24)
    assert row["r"] == pytest.approx(-1)
    assert row["p"] == pytest.approx(2 / 24)
    assert notes == ["left out for missing values: sub-5."]


def test_couple_says_when_it_cannot() -> None:
    nan = float("nan")
    few = paired({"a": [1, 2, 3, nan, nan], "b": [4, 3, 2, 1, 9]})
    assert couple(few, ["a"], ["b"]) == (
        None,
        ["left out for missing values: sub-4, sub-5.", "no correlation with 3 persons."],
    )
    flat = paired({"a": [1, 1, 1, 1, 1], "b": [4, 3, 2, 1, 9]})
    assert couple(flat, ["a"], ["b"])[0] is None


def test_partial_correlation_is_that_of_residuals(rng: np.random.Generator) -> None:
    z = rng.normal(size=(20, 2))
    x, y = (
        z @ [[1.0], [2.0]] + rng.normal(size=(20, 1)),
        z @ [[1.0], [2.0]] + rng.normal(size=(20, 1)),
    )
    design = np.column_stack([np.ones(20), z])
    hat = design @ np.linalg.pinv(design)
    expected = np.corrcoef((x - hat @ x)[:, 0], (y - hat @ y)[:, 0])[0, 1]
    found = correlate(x, y, covariates=z, permutations=500)
    assert found.r[0, 0] == pytest.approx(expected)
    assert found.free == 18
    assert correlate(x, y, permutations=500).p[0, 0] < 0.01 < found.p[0, 0]


def test_ranks_are_spearmans_and_one_person_does_not_carry_them(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(12, 1)), rng.normal(size=(12, 1))
    x[0], y[0] = 50, 50
    found = correlate(x, y, ranks=True, permutations=500)
    assert found.r[0, 0] == pytest.approx(stats.spearmanr(x[:, 0], y[:, 0]).statistic)
    assert found.p[0, 0] > 0.05 > correlate(x, y, permutations=500).p[0, 0]


def test_repeated_measures_with_two_visits_is_the_same_either_way(rng: np.random.Generator) -> None:
    pre, post = rng.normal(size=(2, 9, 2))
    persons = [*range(9), *range(9)]
    once = repeated_measures_correlation(
        persons, np.r_[pre[:, 0], post[:, 0]], np.r_[pre[:, 1], post[:, 1]]
    )
    change = post - pre
    pairs = repeated_changes(change[:, :1], change[:, 1:])
    for name in ("r", "low", "high", "p"):
        np.testing.assert_allclose(getattr(once, name), getattr(pairs, name), atol=1e-12)
    assert (once.arrangements, pairs.arrangements) == (512, 512)


def test_repeated_measures_recover_the_slope_within_persons(rng: np.random.Generator) -> None:
    persons = np.repeat(np.arange(40), 5)
    level = rng.normal(0, 5, 40)[persons]
    within = rng.normal(size=200)
    x = level + within
    y = -level + 0.6 * within + 0.8 * rng.normal(size=200)
    found = repeated_measures_correlation(persons, x, y, permutations=999)
    assert np.corrcoef(x, y)[0, 1] < -0.5
    assert found.r[0, 0] == pytest.approx(0.6, abs=0.12)
    assert found.low[0, 0] < 0.6 < found.high[0, 0] and found.p[0, 0] < 0.01
    null = [
        repeated_measures_correlation(persons[:40], x_, y_, permutations=100).p[0, 0]
        for x_, y_ in rng.normal(size=(200, 2, 40))
    ]
    assert np.mean(np.array(null) <= 0.05) < 0.1
