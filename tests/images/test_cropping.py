from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.images.cropping import box_around, cropped, grown, shrunk
from petfmri.images.transforms import Affine


def image(data: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)) -> nib.Nifti1Image:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -7, 3, 11
    return nib.Nifti1Image(data.astype(np.float32), affine)


def test_blocks_keep_mean_and_place() -> None:
    ramp = np.add.outer(np.add.outer(np.arange(8), np.arange(6)), np.arange(5)) * 1.0
    coarse = shrunk(image(ramp, (1, 1, 2)), 2.0)
    assert coarse.shape == (4, 3, 5)
    assert np.asarray(coarse.dataobj).mean() == pytest.approx(ramp.mean())
    center = Affine(coarse.affine).map(np.array([[1.0, 1, 1]]))  # of voxels 2, 3 by 2, 3
    np.testing.assert_allclose(center, [[-7 + 2.5, 3 + 2.5, 11 + 2]])


def test_incomplete_blocks_are_left_out_and_coarse_axes_stay() -> None:
    assert shrunk(image(np.ones((7, 5, 4))), 2.0).shape == (3, 2, 2)
    assert shrunk(image(np.ones((7, 5, 4)), (4, 4, 4)), 2.0).shape == (7, 5, 4)


def test_box_and_crop_keep_the_world() -> None:
    data = np.zeros((10, 9, 8))
    data[4:6, 3, 2] = 1
    mask = image(data, (1, 2, 1))
    box = box_around(mask, 2.0)
    assert box == (slice(2, 8), slice(2, 5), slice(0, 5))
    part = cropped(mask, box)
    inside = np.argwhere(np.asarray(part.dataobj) > 0).astype(float)
    expected = np.argwhere(data > 0).astype(float)
    np.testing.assert_allclose(Affine(part.affine).map(inside), Affine(mask.affine).map(expected))


def test_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="empty"):
        box_around(image(np.zeros((3, 3, 3))), 1.0)


def test_a_mask_grows_by_millimetres() -> None:
    data = np.zeros((9, 9, 9))
    data[4, 4, 4] = 1
    bigger = np.asarray(grown(image(data, (1, 2, 1)), 2.0).dataobj)
    assert bigger[4, :, 4].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert bigger[:, 4, 4].tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]
