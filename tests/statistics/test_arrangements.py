from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import person_orders, regroupings, sign_patterns
from petfmri.statistics.permutation import arranged_t, permutation_test


def test_every_assignment_to_groups_comes_once_and_the_observed_first():
    labels = list("aabbbab")
    found = regroupings(labels)
    seen = {tuple(np.array(labels)[order]) for order in found.orders}
    assert len(found) == found.total == len(seen) == math.comb(7, 3)
    assert found.orders[0].tolist() == list(range(7))
    assert found.smallest == 1 / 35  # no mirror image with groups of 3 and 4


@pytest.mark.parametrize("labels", [[0] * 4 + [1] * 4, [1, 0, 0, 1, 0, 0, 0], [0, 1] * 4])
def test_the_exact_p_is_that_of_every_split_of_the_persons(rng, labels):
    labels = np.array(labels)
    y = rng.normal(size=(len(labels), 5))
    found = permutation_test(
        y,
        labels.astype(float),
        nuisance=np.ones((len(labels), 1)),
        arrangements=regroupings(labels.tolist()),
    )
    splits = [list(one) for one in itertools.combinations(range(len(labels)), labels.sum())]
    rest = [np.setdiff1d(np.arange(len(labels)), one) for one in splits]
    size = np.abs([y[a].mean(axis=0) - y[b].mean(axis=0) for a, b in zip(splits, rest)])
    observed = np.abs(y[labels == 1].mean(axis=0) - y[labels == 0].mean(axis=0))
    np.testing.assert_allclose(found.p, (size >= observed - 1e-9).mean(axis=0))


def test_sixteen_persons_in_two_sequences_are_enumerated():
    found = regroupings([0] * 8 + [1] * 8)
    assert found.exact and found.total == 12_870
    assert found.smallest == 2 / 12_870


def test_strata_keep_their_own_labels():
    strata = [0, 0, 0, 1, 1, 1, 1]
    labels = [0, 1, 1, 0, 0, 1, 1]
    found = regroupings(labels, strata=strata)
    assert found.total == 3 * 6
    for order in found.orders:
        assert np.array(labels)[order][:3].sum() == 2
        assert set(order[:3]) == {0, 1, 2}


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_other_than_two_groups_are_refused(labels):
    with pytest.raises(StatisticsError, match="two groups"):
        regroupings(labels)


def test_blocks_move_whole():
    found = person_orders(6, blocks=[0, 1, 0, 1, 2, 2])
    values = np.array([10, 20, 11, 21, 30, 31])
    for order in found.orders:
        moved = values[order]
        for rows in ([0, 2], [1, 3], [4, 5]):
            assert moved[rows[1]] - moved[rows[0]] == 1
    assert found.total == 6
    with pytest.raises(StatisticsError, match="one size"):
        person_orders(5, blocks=[0, 0, 1, 1, 2])


def test_rows_of_a_block_take_one_sign():
    signs = sign_patterns(6, blocks=[3, 3, 1, 1, 2, 2]).signs
    assert len(signs) == 4
    assert (signs[:, 0] == signs[:, 1]).all()


def brute(y, x, z, orders, signs):
    """Refit by lstsq after each arrangement of the residuals."""
    fitted = z @ np.linalg.lstsq(z, y, rcond=None)[0] if z.size else 0 * y
    design, out = np.column_stack([x, z]), []
    for which in range(len(orders) if orders is not None else len(signs)):
        moved = y - fitted
        moved = moved[orders[which]] if orders is not None else moved
        moved = moved * signs[which][:, None] if signs is not None else moved
        beta, *_ = np.linalg.lstsq(design, moved, rcond=None)
        rest = moved - design @ beta
        df = len(y) - design.shape[1]
        variance = (rest**2).sum(0) / df * np.linalg.inv(design.T @ design)[0, 0]
        out.append(beta[0] / np.sqrt(variance))
    return np.array(out)


@pytest.mark.parametrize("kind", ["orders", "groups", "signs", "no constant"])
def test_freedman_lane_is_the_refitted_model(rng, kind):
    n = 9
    y, z = rng.normal(size=(n, 5)), rng.normal(size=(n, 2))
    x = np.array([0.0, 0, 0, 0, 1, 1, 1, 1, 1]) if kind == "groups" else rng.normal(size=n)
    if kind == "signs":
        x, z = np.ones(n), z - z.mean(axis=0)
        found = sign_patterns(n)
    elif kind == "groups":
        z, found = np.column_stack([np.ones(n), z]), regroupings(x, adjusted=True, permutations=200)
    else:
        z = z if kind == "no constant" else np.column_stack([np.ones(n), z])
        found = person_orders(n, permutations=200)
    expected = brute(y, x, z, found.orders, found.signs)
    maps = np.array(list(arranged_t(y, x, nuisance=z, arrangements=found)))
    np.testing.assert_allclose(maps, expected, rtol=1e-9)
    result = permutation_test(y, x, nuisance=z, arrangements=found)
    np.testing.assert_allclose(result.t, expected[0], rtol=1e-9)
    size = np.abs(expected)
    tie = 1e-9
    np.testing.assert_allclose(result.p, (size >= size[0] - tie).mean(axis=0))
    largest = size.max(axis=1)
    np.testing.assert_allclose(result.p_fwe, [(largest >= one - tie).mean() for one in size[0]])


def test_a_planted_group_difference_comes_back_beside_a_covariate(rng):
    n = 40
    group, age = np.repeat([0.0, 1.0], n // 2), rng.normal(50, 10, n)
    y = 0.1 * age[:, None] + 1.5 * group[:, None] + rng.normal(size=(n, 3))
    z = np.column_stack([np.ones(n), age])
    found = permutation_test(
        y, group, nuisance=z, arrangements=regroupings(group, permutations=1000, adjusted=True)
    )
    np.testing.assert_allclose(found.estimate, 1.5, atol=0.9)
    assert (found.p_fwe < 0.05).all()


def test_many_outcomes_in_single_precision_give_the_p_of_double(rng):
    change = rng.normal(0.3, 1, (10, 5000))
    few = permutation_test(change[:, :10], np.ones(10), arrangements=sign_patterns(10))
    many = permutation_test(change, np.ones(10), arrangements=sign_patterns(10))
    np.testing.assert_array_equal(many.p[:10], few.p)
    np.testing.assert_array_equal(many.t[:10], few.t)


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        ([1.0, 2, 3, 4], [[1.0], [2], [3], [4]], "determine"),
        ([1.0, 2, 3, 4], [[1.0, 1, 3], [1, 2, 1], [1, 3, 4], [1, 5, 9]], "degree of freedom"),
        ([1.0, np.nan, 3, 4], [[1.0]] * 4, "tested variable: found 1 missing"),
    ],
)
def test_models_that_cannot_be_fitted_are_refused(rng, x, z, message):
    with pytest.raises(StatisticsError, match=message):
        permutation_test(
            rng.normal(size=(4, 2)),
            np.array(x),
            nuisance=np.array(z),
            arrangements=person_orders(4),
        )


def test_an_outcome_without_spread_is_refused():
    with pytest.raises(StatisticsError, match="without spread"):
        permutation_test(
            np.ones((4, 1)), np.arange(4.0), nuisance=np.ones((4, 1)), arrangements=person_orders(4)
        )
