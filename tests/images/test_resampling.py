from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from petfmri.errors import InputError
from petfmri.images import resampling
from petfmri.images.resampling import (
    Grid,
    carry_labels,
    carry_mask,
    carry_probability,
    inside,
    resample,
    resample_frames,
    sampled_warp,
)
from petfmri.images.transforms import Affine, Warp, rigid


def line(*values: float) -> nib.Nifti1Image:
    """An image with one row of 1 mm voxels along x."""
    return nib.Nifti1Image(np.array(values, dtype=np.float32).reshape(-1, 1, 1), np.eye(4))


def row(image: nib.Nifti1Image) -> list[float]:
    return np.asarray(image.dataobj).ravel().tolist()


def test_grid_points_follow_the_affine() -> None:
    affine = np.array([[-2.0, 0, 0, 10], [0, 3, 0, 0], [0, 0, 4, 5], [0, 0, 0, 1]])
    points = Grid((2, 2, 1), affine).points()
    assert points.tolist() == [[10, 0, 5], [10, 3, 5], [8, 0, 5], [8, 3, 5]]


def test_spaced_grid_covers_the_same_box() -> None:
    grid = Grid((10, 4, 6), np.diag([1.0, 1, 1, 1]))
    coarse = grid.spaced(2.0)
    assert coarse.shape == (5, 2, 3)
    np.testing.assert_allclose(coarse.points()[0], [0.5, 0.5, 0.5])


@pytest.mark.parametrize("order", [0, 1, 3])
def test_identity_returns_the_image(order: int) -> None:
    data = np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32)
    image = nib.Nifti1Image(data, np.diag([2.0, 2, 3, 1]))
    out = resample(image, Affine(), Grid.of(image), order=order)
    np.testing.assert_allclose(np.asarray(out.dataobj), data, atol=1e-5)


def test_transform_maps_grid_points_to_image_points() -> None:
    assert row(resample(line(1, 2, 3, 4), rigid((1, 0, 0)), Grid.of(line(1, 2, 3, 4)))) == (
        pytest.approx([2, 3, 4, 0], abs=1e-5)
    )


def test_half_a_voxel_beyond_the_last_center_is_still_inside() -> None:
    image = line(1, 2)
    grid = Grid((4, 1, 1), np.diag([0.5, 1, 1, 1]) + np.outer([1, 0, 0, 0], [0, 0, 0, -0.6]))
    assert inside(Affine(), grid, Grid.of(image)).ravel().tolist() == [False, True, True, True]
    assert row(resample(image, Affine(), grid, order=1, fill=-9)) == pytest.approx(
        [-9, 1, 1.4, 1.9], abs=1e-6
    )


def test_cubic_spline_follows_a_smooth_function_better_than_lines() -> None:
    x = np.arange(30.0)
    image = line(*np.sin(x / 2))
    moved = {
        order: row(resample(image, rigid((0.5, 0, 0)), Grid.of(image), order=order))
        for order in (1, 3)
    }
    truth = np.sin((x + 0.5) / 2)[4:-4]
    errors = {
        order: np.abs(np.array(values)[4:-4] - truth).max() for order, values in moved.items()
    }
    assert errors[3] < 0.002 < 0.02 < errors[1]


def test_orientation_on_disk_does_not_matter(
    anatomy, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    data = ndimage.gaussian_filter(np.asarray(anatomy.head.dataobj), 3)
    smooth, move = nib.Nifti1Image(data, anatomy.grid.affine), rigid((3, -4, 2), (5, 0, -7))
    target = anatomy.grid.spaced(6.0)
    expected = np.asarray(resample(smooth, move, target).dataobj)
    found = np.asarray(resample(orient(smooth), move, target).dataobj)
    brain = np.asarray(resample(anatomy.mask, move, target).dataobj) > 0.9
    error = np.abs(found - expected)[brain]  # an oblique copy cuts the neck, which rings
    assert np.percentile(error, 99) < 0.02 * expected[brain].std()
    assert error.max() < 0.1 * expected[brain].std()


def test_small_slabs_change_nothing(anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
    move = rigid((3, -4, 2), (5, 0, -7))
    whole = resample(anatomy.head, move, anatomy.grid)
    monkeypatch.setattr(resampling, "SLAB_POINTS", 1)
    pieces = resample(anatomy.head, move, anatomy.grid)
    assert np.array_equal(np.asarray(whole.dataobj), np.asarray(pieces.dataobj))


def test_frames_follow_their_own_motion_and_are_read_one_by_one() -> None:
    read = []

    def frames():
        for number in range(3):
            read.append(number)
            yield np.asarray(line(1, 2, 3, 4).dataobj)

    image, motion = line(1, 2, 3, 4), [rigid((shift, 0, 0)) for shift in (0, 1, 2)]
    moved = resample_frames(
        frames(), image.affine, Affine(), Grid.of(image), motion=motion, order=1
    )
    assert next(moved).ravel().tolist() == [1, 2, 3, 4]
    assert read == [0]
    assert [frame.ravel().tolist() for frame in moved] == [[2, 3, 4, 0], [3, 4, 0, 0]]


def test_frames_through_a_warp_equal_the_composed_transform(anatomy) -> None:
    bump = np.zeros((4, 4, 4, 3))
    bump[1:3, 1:3, 1:3] = [6, -3, 2]
    corner = np.append(anatomy.grid.points().min(axis=0), 1)
    field_affine = np.diag([50.0, 60, 50, 1])
    field_affine[:, 3] = corner
    warp, move = Warp(bump, field_affine), rigid((2, 0, 1), (0, 4, 0))
    data = np.asarray(anatomy.head.dataobj)
    shared = next(resample_frames([data], anatomy.grid.affine, warp, anatomy.grid, motion=[move]))
    composed = resample(anatomy.head, move @ warp, anatomy.grid)
    np.testing.assert_allclose(shared, np.asarray(composed.dataobj), atol=0.01)


def test_more_frames_than_motion() -> None:
    image = line(1, 2)
    frames = resample_frames(
        [np.ones((2, 1, 1))] * 2, image.affine, Affine(), Grid.of(image), motion=[Affine()]
    )
    with pytest.raises(InputError, match="one transform for each frame"):
        list(frames)


def test_nan_is_refused_with_the_number_of_voxels() -> None:
    with pytest.raises(InputError, match="found 1 voxels that are NaN"):
        resample(line(1, np.nan, 2), Affine(), Grid((3, 1, 1), np.eye(4)))


def test_series_is_refused() -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 3), dtype=np.float32), np.eye(4))
    with pytest.raises(InputError, match="3-D"):
        resample(image, Affine(), Grid.of(image))


def test_labels_are_never_mixed() -> None:
    labels = nib.Nifti1Image(np.array([5, 5, 100, 0], np.int32).reshape(4, 1, 1), np.eye(4))
    moved = carry_labels(labels, rigid((0.4, 0, 0)), Grid.of(labels))
    assert row(moved) == [5, 5, 100, 0]
    moved = carry_labels(labels, rigid((0.6, 0, 0)), Grid.of(labels))
    assert row(moved) == [5, 100, 0, 0]


def test_majority_of_the_labels_in_a_coarse_voxel() -> None:
    labels = nib.Nifti1Image(np.array([3, 7, 7, 2, 2, 9], np.int16).reshape(6, 1, 1), np.eye(4))
    coarse = Grid.of(labels).spaced(3.0)
    assert coarse.shape == (2, 1, 1)
    assert row(carry_labels(labels, Affine(), coarse, samples=3)) == [7, 2]


def test_mask_becomes_the_share_of_each_voxel() -> None:
    mask = line(1, 1, 1, 0, 0, 0, 0, 1)
    coarse = Grid((2, 1, 1), np.diag([4.0, 1, 1, 1]) + np.outer([1, 0, 0, 0], [0, 0, 0, 1.5]))
    share = carry_probability(mask, Affine(), coarse, samples=4)
    assert row(share) == pytest.approx([0.75, 0.25], abs=0.01)
    assert row(carry_mask(mask, Affine(), coarse, samples=4)) == [1, 0]


def test_field_sampled_from_a_transform_maps_as_it_does(anatomy) -> None:
    move = rigid((2, -3, 1), (3, 2, -4))
    warp = sampled_warp(move, anatomy.grid, anatomy.grid)
    points = anatomy.brain_points
    np.testing.assert_allclose(warp.map(points), move.map(points), atol=1e-3)
    np.testing.assert_allclose((~warp).map(points), (~move).map(points), atol=1e-3)
