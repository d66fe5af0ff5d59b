from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import from_matvec

from petfmri.images.erosion import deep_tissue


def ball(spacing, radius_mm, *, turn=None):
    """A ball of sure tissue in the middle of a lattice, and each voxel's distance from its centre."""
    shape = [2 * round((radius_mm + 6) / size) + 1 for size in spacing]
    steps = np.moveaxis(np.indices(shape), 0, -1) - (np.array(shape) - 1) / 2
    distance = np.linalg.norm(steps * spacing, axis=-1)
    matrix = (np.eye(3) if turn is None else turn) * np.array(spacing)
    data = (distance <= radius_mm).astype(np.float32)
    return nib.Nifti1Image(data, from_matvec(matrix)), distance


def test_depth_is_in_millimetres_along_every_axis():
    data = np.zeros((11, 11, 11), np.float32)
    data[1:10, 1:10, 1:10] = 1
    deep = deep_tissue(nib.Nifti1Image(data, np.diag([1.0, 2.0, 4.0, 1.0])), 4.0, smooth_mm=0)
    expected = np.zeros((11, 11, 11), np.uint8)
    expected[4:7, 2:9, 1:10] = 1  # 4, 2 and 1 voxels from the nearest voxel outside
    np.testing.assert_array_equal(np.asarray(deep.dataobj), expected)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.5, 3.0)])
@pytest.mark.parametrize("oblique", [False, True])
def test_a_ball_shrinks_by_the_depth(spacing, oblique):
    angle = np.deg2rad(30)
    turn = np.array(
        [[-np.cos(angle), -np.sin(angle), 0], [np.sin(angle), -np.cos(angle), 0], [0, 0, 1]]
    )
    image, distance = ball(spacing, 15.0, turn=turn if oblique else None)
    deep = deep_tissue(image, 5.0, smooth_mm=0)
    np.testing.assert_array_equal(deep.affine, image.affine)
    kept = np.asarray(deep.dataobj) > 0
    # The nearest voxel outside is at most one diagonal beyond the surface.
    assert kept[distance < 10].all()
    assert not kept[distance > 10 + np.linalg.norm(spacing)].any()


def test_only_sure_tissue_counts():
    image, _ = ball((2.0, 2.0, 2.0), 10.0)
    unsure = nib.Nifti1Image(0.85 * np.asarray(image.dataobj), image.affine)
    assert not np.asarray(deep_tissue(unsure, 1.0).dataobj).any()
    assert np.asarray(deep_tissue(unsure, 1.0, threshold=0.8).dataobj).any()


def holed() -> nib.Nifti1Image:
    data = np.ones((9, 9, 9), np.float32)
    data[4, 4, 4] = 0
    return nib.Nifti1Image(data, np.eye(4))


def test_the_edge_of_the_image_is_not_the_edge_of_the_tissue():
    deep = np.asarray(deep_tissue(holed(), 3.0, smooth_mm=0).dataobj)
    assert deep[0, 0, 0] == 1 and deep[4, 4, 7] == 1 and deep[4, 4, 6] == 0


def test_one_noisy_voxel_does_not_perforate_a_tissue():
    # At 1 mm a Gaussian of 3 mm FWHM gives its centre 3 %: the rest is sure, 97 %.
    assert np.asarray(deep_tissue(holed(), 1.0).dataobj)[4, 4, 4] == 1


def test_a_real_cavity_stays_open():
    data = np.ones((21, 21, 21), np.float32)
    data[6:15, 6:15, 6:15] = 0
    deep = np.asarray(deep_tissue(nib.Nifti1Image(data, np.eye(4)), 1.0).dataobj)
    assert not deep[7:14, 7:14, 7:14].any() and deep[0].all()
