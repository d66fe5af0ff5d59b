from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.tacs import regional_means, with_curves

LABELS = np.array([[0, 7, 7], [2035, 2035, 3]])
REGIONS = {2035: "insula", 7: "cerebellum"}


def test_by_hand():
    frames = np.array([[[9.0, 1, 3], [10, 20, 99]], [[9.0, 2, 4], [30, 30, 99]]])
    tacs = regional_means(frames, LABELS, REGIONS, voxel_volume_mm3=8.0)
    assert tacs.names == ("insula", "cerebellum")
    np.testing.assert_array_equal(tacs.mean, [[15, 30], [2, 3]])
    np.testing.assert_array_equal(tacs.sd, [[5, 0], [1, 1]])
    np.testing.assert_array_equal(tacs.volume_mm3, [16, 16])
    np.testing.assert_array_equal(tacs.coverage, [1, 1])
    assert tacs.notes == ()


def test_frames_may_stream():
    frames = np.arange(18.0).reshape(3, 2, 3)
    whole = regional_means(frames, LABELS, REGIONS, voxel_volume_mm3=1.0)
    streamed = regional_means((f for f in frames), LABELS, REGIONS, voxel_volume_mm3=1.0)
    np.testing.assert_array_equal(whole.mean, streamed.mean)


def test_recovery_from_noise(rng):
    """True curves within 4 standard errors, 40 regions of 500 voxels, 10 frames."""
    labels = np.repeat(np.arange(1, 41), 500)
    truth = rng.uniform(5, 30, size=(40, 10))
    noisy = truth.T[:, labels - 1] + rng.normal(scale=2.0, size=(10, labels.size))
    regions = {label: str(label) for label in range(1, 41)}
    tacs = regional_means(noisy, labels, regions, voxel_volume_mm3=1.0)
    assert np.abs(tacs.mean - truth).max() < 4 * 2.0 / np.sqrt(500)
    np.testing.assert_allclose(tacs.sd, 2.0, rtol=0.2)


def test_spread_is_exact_beside_a_large_mean():
    values = np.array([[1e8, 1e8 + 1]])
    tacs = regional_means(values, np.array([1, 1]), {1: "a"}, voxel_volume_mm3=1.0)
    assert tacs.sd[0, 0] == pytest.approx(0.5)


def test_field_of_view_of_the_worst_frame_counts():
    frames = np.ones((2, 10))
    frames[1, 6:] = np.nan
    labels = np.array([1] * 8 + [2] * 2)
    tacs = regional_means(frames, labels, {1: "cut", 2: "lost"}, voxel_volume_mm3=1.0)
    np.testing.assert_array_equal(tacs.coverage, [0.75, 0.0])
    np.testing.assert_array_equal(tacs.mean[0], [1, 1])
    assert np.isnan(tacs.mean[1]).all()
    assert tacs.notes == ("lost: 0 % inside the field of view",)


def test_a_remnant_is_not_the_region():
    frames = np.array([[1.0, np.nan, np.nan]])
    labels = np.ones(3, dtype=int)
    tacs = regional_means(frames, labels, {1: "a"}, voxel_volume_mm3=1.0)
    assert np.isnan(tacs.mean).all()
    assert tacs.notes == ("a: 33 % inside the field of view",)
    lenient = regional_means(frames, labels, {1: "a"}, voxel_volume_mm3=1.0, min_coverage=0.3)
    assert lenient.mean[0, 0] == 1.0


def test_region_without_voxels_is_named():
    for regions in ({7: "there", 5: "gone"}, {5: "gone", 9000: "far", 7: "there"}):
        tacs = regional_means(np.ones((1, 2, 3)), LABELS, regions, voxel_volume_mm3=1.0)
        gone = tacs.names.index("gone")
        assert tacs.volume_mm3[gone] == 0
        assert np.isnan(tacs.mean[gone, 0])
        assert tacs.notes[0] == "gone: no voxels in the label image"
        assert tacs.mean[tacs.names.index("there"), 0] == 1


def test_min_coverage_zero_still_never_averages_nothing():
    frames = np.full((1, 2), np.nan)
    labels = np.ones(2, dtype=int)
    tacs = regional_means(frames, labels, {1: "a"}, voxel_volume_mm3=1.0, min_coverage=0.0)
    assert len(tacs.notes) == 1


def test_tables():
    tacs = regional_means(np.ones((2, 2, 3)), LABELS, REGIONS, voxel_volume_mm3=8.0)
    table = tacs.frame_table(FrameSchedule([0, 300], [300, 600]))
    assert list(table) == ["frame_start", "frame_end", "insula", "cerebellum"]
    assert table["frame_end"].tolist() == [300, 900]
    expected = pd.DataFrame(
        {"index": REGIONS.keys(), "name": REGIONS.values(), "volume_mm3": 16.0, "coverage": 1.0}
    )
    pd.testing.assert_frame_equal(tacs.region_table(), expected)
    with pytest.raises(DatasetError, match="2, as the curves have"):
        tacs.frame_table(FrameSchedule([0], [300]))


def test_errors():
    with pytest.raises(DatasetError, match="integer labels"):
        regional_means(np.ones((1, 2)), np.ones(2), {1: "a"}, voxel_volume_mm3=1.0)
    with pytest.raises(DatasetError, match="no frames"):
        regional_means([], LABELS, REGIONS, voxel_volume_mm3=1.0)
    with pytest.raises(DatasetError, match="on one grid"):
        regional_means(np.ones((1, 3, 2)), LABELS, REGIONS, voxel_volume_mm3=1.0)


def test_curves_from_elsewhere_replace_means_but_not_missing_ones():
    frames = [np.array([1.0, 3.0, np.nan]), np.array([2.0, 4.0, np.nan])]
    tacs = regional_means(frames, np.array([1, 2, 3]), {1: "a", 2: "b", 3: "c"}, voxel_volume_mm3=1)
    found = with_curves(tacs, {"a": [7.0, 8.0], "c": [1.0, 1.0], "frame_start": [0, 1]})
    np.testing.assert_array_equal(found.mean, [[7, 8], [3, 4], [np.nan, np.nan]])
    with pytest.raises(DatasetError, match="3 frames"):
        with_curves(tacs, {"a": [1.0, 2, 3]})
