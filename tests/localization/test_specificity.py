from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse, stats

from petfmri.errors import DatasetError, StatisticsError
from petfmri.localization.group import contrast_maps, covered_by_all
from petfmri.localization.labels import label_permutation
from petfmri.localization.localize import Contrast, Localization, localize, null_requests
from petfmri.localization.null import RandomNull, Rule, judge, random_null
from petfmri.localization.overlap import NetworkMap, dice
from petfmri.localization.preview import preview
from petfmri.localization.robustness import leave_one_study_out
from petfmri.localization.seeds import Person, seed_z, unit_run
from petfmri.localization.similarity import connectome_degree, similarity_table
from petfmri.localization.space import Space, of_labels, of_mask

from .conftest import two_networks

RULE = Rule(min_voxels=10)


def contrasts_in(
    space: Space, where: np.ndarray, direction: str, rng: np.random.Generator, n: int = 6
) -> list[Contrast]:
    points = space.ijk[where] @ space.affine[:3, :3].T + space.affine[:3, 3]
    return [
        Contrast(
            f"{direction} {k}", f"study {k}", direction, points[rng.integers(0, len(points), 3)]
        )
        for k in range(n)
    ]


@pytest.fixture(scope="module")
def planted() -> tuple[Space, np.ndarray, Localization]:
    """Increase in the front network, decrease in the back one."""
    rng = np.random.default_rng(3)
    mask = np.zeros((14, 16, 14), dtype=bool)
    mask[1:13, 1:15, 1:13] = True
    space = of_mask(
        mask, np.array([[-3.0, 0, 0, 20], [0, 3, 0, -22], [0, 0, 3, -20], [0, 0, 0, 1]])
    )
    people, front = two_networks(space, rng)
    contrasts = [
        *contrasts_in(space, front, "increase", rng),
        *contrasts_in(space, ~front, "decrease", rng),
    ]
    return space, front, localize(people, contrasts, space, RULE, draws=99)


def test_planted_networks_come_back(planted: tuple[Space, np.ndarray, Localization]) -> None:
    space, front, found = planted
    increase, decrease = found.directions
    assert (increase.name, decrease.name) == ("increase", "decrease")
    assert dice(increase.network.inside, front, space) > 0.98
    assert dice(decrease.network.inside, ~front, space) > 0.98
    for one, inside in ((increase, front), (decrease, ~front)):
        assert (one.judgement.p[inside] < 0.3).mean() > 0.9
        assert np.median(one.judgement.p_fwe[inside]) <= 0.05
        assert (one.judgement.p_fwe[~inside] > 0.5).all()
        assert one.studies["dice"].min() > 0.98
        assert one.variants.loc[one.variants["declared"], "dice"].tolist() == [1.0]
        assert len(one.variants) == 9
    assert found.labels is not None and found.labels.exact
    assert found.labels.arrangements == 924
    assert found.labels.p_fwe[front].max() == pytest.approx(2 / 924)
    assert found.labels.p_maps == pytest.approx(2 / 924)


def test_same_network_gives_no_difference_of_labels() -> None:
    rng = np.random.default_rng(8)
    space = of_mask(np.ones((10, 12, 10), dtype=bool), np.diag([3.0, 3, 3, 1]))
    people, front = two_networks(space, rng, 8)
    contrasts = [
        *contrasts_in(space, front, "increase", rng, 4),
        *contrasts_in(space, front, "decrease", rng, 4),
    ]
    found = localize(people, contrasts, space, RULE, draws=5)
    assert found.labels is not None
    assert found.labels.p_fwe.min() > 0.05 and found.labels.p_maps > 0.05


def test_table_and_notes(planted: tuple[Space, np.ndarray, Localization]) -> None:
    table = planted[2].table()
    assert len(table) == 12 and (table["peaks_outside"] == 0).all()
    assert table["share_connected"].between(0.4, 0.65).all()
    assert any("99 draws" in note for note in planted[2].notes())


def test_draws_made_in_parts_are_the_same_draws(space: Space, rng: np.random.Generator) -> None:
    people, front = two_networks(space, rng, 6)
    contrasts = contrasts_in(space, front, "increase", rng, 3)
    (peaks,) = null_requests(contrasts, space, RULE).values()
    assert peaks == [3, 3, 3]
    whole = random_null(people, space, peaks, RULE, draws=7, at_once=6)
    parts = [random_null(people, space, peaks, RULE, draws=n, first=k) for k, n in ((0, 4), (4, 3))]
    joined = RandomNull.join(parts)
    np.testing.assert_array_equal(joined.counts, whole.counts)
    np.testing.assert_array_equal(joined.sizes, whole.sizes)
    given = localize(people, contrasts, space, RULE, nulls={"increase": joined})
    assert given.draws == 7 and given.labels is None
    here = localize(people, contrasts, space, RULE, draws=7)
    np.testing.assert_array_equal(here.directions[0].null.counts, joined.counts)
    np.testing.assert_array_equal(covered_by_all(people), here.maps.covered)
    with pytest.raises(DatasetError, match="iterator"):
        random_null(iter(people), space, peaks, RULE, draws=2)


def test_p_of_random_coordinates_equal_counting(rng: np.random.Generator) -> None:
    space = of_mask(np.ones((1, 1, 30), dtype=bool), np.eye(4))
    counts = rng.integers(0, 6, (40, 30)).astype(np.uint16)
    own = rng.integers(0, 6, 30)
    null = RandomNull(counts, (counts >= 3).sum(axis=1), 5)
    found = judge(NetworkMap(own / 5, own >= 3, 5), null, space)
    every = np.vstack([own, counts]).astype(float)
    np.testing.assert_allclose(found.p, (every >= own).mean(axis=0))
    scaled = (every - every.mean(axis=0)) / (every.std(axis=0) + 1)
    expected = [(scaled.max(axis=1) >= value - 1e-9).mean() for value in scaled[0]]
    np.testing.assert_allclose(found.p_fwe, expected)
    assert found.p_size == (((every >= 3).sum(axis=1)) >= (own >= 3).sum()).mean()


def test_label_permutation_equals_brute_force(rng: np.random.Generator) -> None:
    masks = rng.random((7, 40)) < 0.5
    first = np.array([1, 0, 1, 0, 1, 0, 0], dtype=bool)
    found = label_permutation(masks, first)
    null = []
    for members in itertools.combinations(range(7), 3):
        chosen = np.isin(np.arange(7), members)
        null.append(masks[chosen].mean(axis=0) - masks[~chosen].mean(axis=0))
    own = masks[first].mean(axis=0) - masks[~first].mean(axis=0)
    size = np.abs(np.array(null))
    np.testing.assert_allclose(found.difference, own)
    np.testing.assert_allclose(found.p, (size >= np.abs(own) - 1e-9).mean(axis=0))
    np.testing.assert_allclose(
        found.p_fwe, [(size.max(axis=1) >= abs(value) - 1e-9).mean() for value in own]
    )
    assert found.p_maps == ((size**2).sum(axis=1) >= (own**2).sum() - 1e-9).mean()
    assert (found.arrangements, found.exact, found.p_smallest) == (35, True, 1 / 35)
    drawn = label_permutation(np.tile(masks, (3, 1)), np.tile(first, 3), permutations=500)
    assert (drawn.arrangements, drawn.exact) == (500, False)
    with pytest.raises(StatisticsError, match="1 and 6"):
        label_permutation(masks, np.arange(7) == 0)


def test_degree_is_the_mean_positive_connection(rng: np.random.Generator) -> None:
    people = []
    for number in range(3):
        series = rng.normal(size=(40, 9))
        series[:, 8] = 1.0
        people.append(Person(str(number), [unit_run(series)]))
    found = connectome_degree(people, 9)
    z = np.array([seed_z(one, sparse.csr_array(np.eye(9)[:8])) for one in people])[:, :, :8]
    z[:, np.arange(8), np.arange(8)] = 0
    np.testing.assert_allclose(found[:8], np.maximum(z.mean(axis=0), 0).sum(axis=0) / 7, rtol=1e-5)
    assert np.isnan(found[8])


def test_degree_of_some_targets_is_near_that_of_all(rng: np.random.Generator) -> None:
    space = of_mask(np.ones((12, 14, 12), dtype=bool), np.diag([3.0, 3, 3, 1]))
    points = space.ijk @ space.affine[:3, :3].T
    centres = points[rng.choice(len(points), 5)]
    loading = np.exp(-((np.linalg.norm(points[:, None] - centres[None], axis=2) / 12) ** 2))
    people = []
    for number in range(6):
        signal = rng.normal(size=(80, 5)) @ (loading * np.linspace(1.5, 0.5, 5)).T
        people.append(Person(str(number), [unit_run(signal + 0.7 * rng.normal(size=signal.shape))]))
    every = connectome_degree(people, space.n_elements, targets=space.n_elements)
    some = connectome_degree(people, space.n_elements, targets=100)
    assert np.corrcoef(every, some)[0, 1] > 0.95


def test_similarity_is_judged_against_random_maps(rng: np.random.Generator) -> None:
    degree = rng.random(300)
    alike = [np.round(5 * degree + rng.normal(size=300)).clip(0, 5) for _ in range(60)]
    null = RandomNull(np.array(alike[1:]).astype(np.uint16), np.zeros(59, dtype=int), 5)
    other = {"degree": degree, "gap": np.where(degree > 0.5, degree, np.nan)}
    network = NetworkMap(alike[0] / 5, degree > 2, 5)
    table = similarity_table(network, null, other).set_index(["reference", "method"])
    row = table.loc[("degree", "spearman")]
    assert row["r"] == pytest.approx(stats.spearmanr(alike[0], degree).statistic)
    assert row["r"] > 0.7 and row["p"] > 0.05  # like degree, but no more than random maps
    reverse = similarity_table(NetworkMap(1 - alike[0] / 5, degree > 2, 5), null, other)
    np.testing.assert_allclose(reverse["p"], 2 / 60)
    known = np.isfinite(other["gap"])
    assert table.loc[("gap", "pearson"), "r"] == pytest.approx(
        np.corrcoef(alike[0][known], degree[known])[0, 1]
    )


def test_a_study_that_carries_the_map_shows() -> None:
    space = of_mask(np.ones((1, 2, 50), dtype=bool), np.eye(4))
    masks = np.zeros((4, 100), dtype=bool)
    masks[:3, :40] = True
    table = leave_one_study_out(masks, ["a", "a", "b", "c"], space, RULE).set_index("study")
    assert table.loc["a", "voxels"] == 0 and table.loc["c", "share_kept"] == 1
    assert table.loc["a", "contrasts"] == 2


def test_preview_says_what_it_is() -> None:
    labels = np.arange(1, 5).reshape(1, 1, 4)
    space = of_labels(labels, np.arange(1, 5), np.eye(4))
    matrix = np.full((4, 4), 0.1)
    matrix[:2, :2] = matrix[2:, 2:] = 0.6
    found = preview(sparse.csr_array([[1.0, 0, 0, 0]]), matrix, 0.3)
    assert found.inside.tolist() == [[True, True, False, False]]
    assert "no inference" in found.statement
    assert space.n_elements == 4
    with pytest.raises(DatasetError, match="not r"):
        preview(sparse.csr_array([[1.0, 0, 0, 0]]), 3 * matrix)


def test_coordinates_elsewhere_and_repeated_names(space: Space, rng: np.random.Generator) -> None:
    people, front = two_networks(space, rng, 4)
    inside = contrasts_in(space, front, "increase", rng, 2)
    far = Contrast("far", "s", "increase", np.array([[900.0, 0, 0]]))
    found = localize(people, [*inside, far], space, RULE, draws=2)
    assert found.dropped == ["far"] and len(found.contrasts) == 2
    with pytest.raises(DatasetError, match="without a peak"):
        localize(people, [far], space, RULE)
    with pytest.raises(DatasetError, match="twice"):
        localize(people, [far, far], space, RULE)


def test_one_person_on_another_grid_is_refused(space: Space, rng: np.random.Generator) -> None:
    people, _ = two_networks(space, rng, 3)
    odd = Person("odd", [unit_run(rng.normal(size=(20, 7)))])
    weights = sparse.csr_array(np.eye(space.n_elements)[:1])
    with pytest.raises(DatasetError, match="one grid"):
        contrast_maps([*people, odd], weights)
