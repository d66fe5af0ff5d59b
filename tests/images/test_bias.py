from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest

from petfmri.errors import InputError, SegmentationError
from petfmri.images.bias import correct_bias
from petfmri.images.resampling import Grid


@pytest.fixture(scope="module")
def mask(anatomy) -> nib.Nifti1Image:
    inside = (np.asarray(anatomy.mask.dataobj) > 0.5).astype(np.uint8)
    return nib.Nifti1Image(inside, anatomy.grid.affine)


@pytest.fixture(scope="module")
def shaded(anatomy) -> tuple[nib.Nifti1Image, np.ndarray]:
    """A brain with CSF 300, grey 720, white 1000 and noise 20, and its field of about ± 40 %."""
    clean = np.asarray(anatomy.weighted(gm=720, wm=1000, csf=300, rest=800).dataobj)
    x, y, z = np.moveaxis(anatomy.grid.points().reshape(*anatomy.grid.shape, 3), -1, 0) / 80
    field = np.exp(0.24 * y - 0.16 * z + 0.12 * x * y - 0.1 * z**2)
    noisy = clean * field + np.random.default_rng(1).normal(0, 20, clean.shape)
    return nib.Nifti1Image(np.abs(noisy).astype(np.float32), anatomy.grid.affine), field


def spread(field: np.ndarray, mask: nib.Nifti1Image) -> float:
    inside = field[np.asarray(mask.dataobj) > 0.5]
    return float(inside.std() / inside.mean())


def test_known_field_is_removed_and_the_mean_stays(shaded, mask) -> None:
    image, field = shaded
    corrected = np.asarray(correct_bias(image, mask).dataobj)
    assert spread(field, mask) > 0.12
    assert spread(corrected / np.asarray(image.dataobj) * field, mask) < 0.03
    inside = np.asarray(mask.dataobj) > 0
    assert corrected[inside].mean() == pytest.approx(np.asarray(image.dataobj)[inside].mean())
    assert np.array_equal(corrected, np.asarray(correct_bias(image, mask).dataobj))


def test_without_a_mask_a_field_is_weakened(shaded, mask) -> None:
    image, field = shaded
    left = np.asarray(correct_bias(image).dataobj) / np.asarray(image.dataobj) * field
    assert spread(left, mask) < 0.75 * spread(field, mask)


def test_storage_does_not_matter(
    shaded, mask, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    image, turned_mask = orient(shaded[0]), orient(mask)
    field = orient(nib.Nifti1Image(shaded[1].astype(np.float32), mask.affine))
    inside = (np.asarray(turned_mask.dataobj) > 0.5).astype(np.uint8)
    corrected = correct_bias(image, nib.Nifti1Image(inside, turned_mask.affine))
    assert Grid.of(corrected) == Grid.of(image)
    left = np.asarray(corrected.dataobj) * np.asarray(field.dataobj)
    left = left[inside > 0] / np.maximum(np.asarray(image.dataobj)[inside > 0], 1e-3)
    assert left.std() / left.mean() < 0.04


def test_mask_on_another_grid_is_refused(anatomy) -> None:
    other = nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4))
    with pytest.raises(InputError, match="grid"):
        correct_bias(anatomy.head, other)


def test_empty_image_is_refused() -> None:
    with pytest.raises(SegmentationError, match="no signal"):
        correct_bias(nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)))
