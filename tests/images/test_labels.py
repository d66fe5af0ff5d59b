from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.images.labels import labels_in_grey
from petfmri.images.resampling import (
    Grid,
    carry_labels,
    fraction_on_grid,
    label_samples,
    spline_samples,
)
from petfmri.images.transforms import Affine, rigid


def image(values, affine=None):
    return nib.Nifti1Image(np.asarray(values), np.eye(4) if affine is None else affine)


def test_labels_keep_their_grey_voxels_only():
    labels = image(np.array([[[1, 1, 1, 2, 2, 0]]], dtype=np.int16))
    grey = image(np.array([[[0.5, 0.49, 0.9, 0.2, 0.8, 1.0]]]))
    assert np.asarray(labels_in_grey(labels, grey).dataobj).ravel().tolist() == [1, 0, 1, 0, 2, 0]


def test_a_nucleus_that_looks_like_white_matter_stays_whole():
    labels = image(np.full((1, 1, 10), 7, dtype=np.int16))
    grey = np.zeros((1, 1, 10))
    grey[..., 0] = 1
    assert (np.asarray(labels_in_grey(labels, image(grey)).dataobj) == 7).all()
    grey[..., :2] = 1
    assert (np.asarray(labels_in_grey(labels, image(grey)).dataobj) == 7).sum() == 2


def ribbon():
    """A sheet of label 3, 1 mm thick, in a block of 12 mm."""
    values = np.zeros((12, 12, 12), dtype=np.int16)
    values[5] = 3
    return image(values), Grid(
        (4, 4, 4), np.array([[3.0, 0, 0, 1], [0, 3, 0, 1], [0, 0, 3, 1], [0, 0, 0, 1]])
    )


def test_a_thin_label_survives_on_a_coarse_grid_when_asked():
    labels, coarse = ribbon()
    lost = np.asarray(carry_labels(labels, Affine(), coarse, samples=3).dataobj)
    kept = np.asarray(carry_labels(labels, Affine(), coarse, samples=3, least=1 / 3).dataobj)
    assert not lost.any()
    assert (kept[1] == 3).all() and not kept[[0, 2, 3]].any()


def test_points_of_a_label_weigh_voxels_by_what_it_covers():
    labels, coarse = ribbon()
    points = label_samples(labels, Affine(), coarse)
    assert points.shape == (27, 64)
    covered = (points == 3).mean(axis=0).reshape(4, 4, 4)
    assert covered[1] == pytest.approx(1 / 3)
    values = np.arange(64.0)
    weighted = np.broadcast_to(values, points.shape)[points == 3].mean()
    assert weighted == pytest.approx(np.average(values, weights=covered.ravel()))


def test_a_line_is_read_between_voxels_and_what_is_not_asked_or_seen_stays_missing():
    values = np.tile(np.arange(20.0)[:, None, None], (1, 3, 3))
    values[-1] = np.nan  # outside the field of view
    where = np.zeros((27, values.size), dtype=bool)
    where[[0, 26]] = True  # the corners at -1/3 and +1/3 of a voxel
    read = spline_samples(values, where).reshape(27, *values.shape)
    np.testing.assert_allclose(read[0, 8:12, 1, 1], np.arange(8, 12) - 1 / 3, atol=1e-3)
    np.testing.assert_allclose(read[26, 8:12, 1, 1], np.arange(8, 12) + 1 / 3, atol=1e-3)
    assert np.isnan(read[13]).all() and np.isnan(read[:, -1]).all()
    assert np.isfinite(read[0, :-1]).all()


def test_thin_sheets_keep_their_mean_on_a_coarse_grid():
    """Sheets of 2 mm in all positions, seen at 5.5 mm resolution, on 3 mm voxels."""
    fine = Grid((96, 12, 12), np.diag([0.5, 0.5, 0.5, 1]))
    coarse, sigma = fine.spaced(3.0), 5.5 / 2.3548
    centers = coarse.points()[:, 0].reshape(coarse.shape)
    errors = []
    for first in range(40, 46):
        labels = np.zeros(fine.shape, np.int16)
        labels[first : first + 4] = 1
        middle = (first + 1.5) / 2  # mm
        seen = np.exp(-((centers - middle) ** 2) / (2 * sigma**2))
        points = label_samples(image(labels, fine.affine), Affine(), coarse)
        true = np.exp(-(np.array([-0.75, -0.25, 0.25, 0.75]) ** 2) / (2 * sigma**2)).mean()
        whole = np.broadcast_to(seen.ravel(), points.shape)[points == 1].mean()
        between = spline_samples(seen, points > 0)[points == 1].mean()
        errors.append([whole / true - 1, between / true - 1])
    whole, between = np.mean(errors, axis=0)
    assert abs(between) < 0.035 < 0.055 < abs(whole)


def test_what_a_short_grid_cuts_off_counts_as_missing():
    values = np.zeros((10, 10, 10), np.int16)
    values[2:8, :, 0:10] = 1
    values[2:8, :, 8:] = 2
    short = Grid((10, 10, 6), np.eye(4))  # z from 0 to 5 of 10
    index = np.array([2, 1, 9])
    assert fraction_on_grid(image(values), Affine(), short, index).tolist() == [0, 6 / 8, 0]
    moved = rigid((0, 0, -4))  # points of the labels to points of the grid
    assert fraction_on_grid(image(values), moved, short, index).tolist() == [1, 4 / 8, 0]
