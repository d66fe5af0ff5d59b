"""Maps of two sessions per person: a planted blob, and peaks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from petfmri.errors import StatisticsError
from petfmri.statistics.maps import compare_maps, peaks

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 2, 0, -10], [0, 0, 4, 0], [0, 0, 0, 1]])


def noise(rng, n, shape):
    field = ndimage.gaussian_filter(rng.normal(size=(n, *shape)), (0, 1, 1, 1))
    return field / field.std()


@pytest.fixture(scope="module")
def blob():
    rng, shape = np.random.default_rng(1), (16, 15, 14)
    planted = np.zeros(shape)
    planted[3:8, 6:11, 2:6] = 1.6
    mask = np.ones(shape, dtype=bool)
    mask[:, 0] = False
    pre = 2 + noise(rng, 12, shape)
    post = pre + noise(rng, 12, shape) + planted
    found = compare_maps(pre[:, mask], post[:, mask], mask, permutations=1000)
    return found, planted[mask] > 0


def test_a_planted_rise_is_found_where_it_is(blob):
    found, planted = blob
    assert found.significant[planted].mean() > 0.8
    assert found.significant[~planted].mean() < 0.05
    assert found.change[planted].mean() == pytest.approx(1.6, abs=0.25)
    assert "all 4,096 sign patterns of 12 persons" in found.notes[0]
    assert "500 of all 4,096" in found.notes[1] and "0.002" in found.notes[1]


def test_the_peak_in_millimetres_of_any_axes(blob):
    found, _ = blob
    first = peaks(found, AFFINE).iloc[0]
    place = np.linalg.inv(AFFINE) @ [first["x"], first["y"], first["z"], 1]
    index = tuple(np.rint(place[:3]).astype(int))
    assert found.volume(found.t)[index] == first["t"] > 0
    assert 3 <= index[0] < 8 and 6 <= index[1] < 11 and 2 <= index[2] < 6
    assert first["volume_ml"] == pytest.approx(first["voxels"] * 24 / 1000)
    assert first["direction"] == "rise" and first["p_fwe"] <= 0.05


def test_no_effect_lists_the_highest_peaks_without_a_cluster():
    rng, shape = np.random.default_rng(5), (12, 12, 12)
    mask = np.ones(shape, dtype=bool)
    pre, post = (rng.normal(size=(4, mask.sum())) for _ in range(2))
    found = compare_maps(pre, post, mask)
    table = peaks(found, np.eye(4))
    assert table["cluster"].isna().all() and 1 <= len(table) <= 10
    assert table["t"].abs().iloc[0] == np.abs(found.t).max()
    assert table["t"].abs().is_monotonic_decreasing


def test_voxels_that_do_not_vary_leave_the_mask():
    rng = np.random.default_rng(6)
    mask = np.ones((3, 3, 3), dtype=bool)
    pre = rng.normal(5, 1, (5, 27))
    post = pre + rng.normal(0, 1, (5, 27))
    post[:, 0] = pre[:, 0]
    found = compare_maps(pre, post, mask)
    assert found.mask.sum() == 26 and not found.mask[0, 0, 0]
    with pytest.raises(StatisticsError, match="2 persons with maps"):
        compare_maps(pre[:2], post[:2], mask)


def test_a_rise_that_a_covariate_explains_is_adjusted_away(blob):
    rng, shape = np.random.default_rng(7), (8, 8, 8)
    mask, motion = np.ones(shape, dtype=bool), rng.normal(1, 0.3, 14)
    pre = 2 + noise(rng, 14, shape).reshape(14, -1)
    post = pre + motion[:, None] + 0.3 * noise(rng, 14, shape).reshape(14, -1)
    settings = {"permutations": 500, "tfce_permutations": 100}
    assert compare_maps(pre, post, mask, **settings).significant.mean() > 0.9
    found = compare_maps(pre, post, mask, covariates=motion[:, None], **settings)
    assert found.significant.mean() < 0.05
    assert np.abs(found.change).mean() < 0.5
