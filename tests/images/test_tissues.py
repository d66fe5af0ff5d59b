from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import block_mean

from petfmri.atlases import Template, load_template
from petfmri.errors import InputError, SegmentationError
from petfmri.images.resampling import Grid
from petfmri.images.tissues import Tissues, carry_tissues, segment_tissues
from petfmri.images.transforms import rigid

T1W = np.array([300.0, 720.0, 1000.0])  # CSF, grey, white


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def shares(tissues: Tissues) -> np.ndarray:
    return np.stack([np.asarray(t.dataobj) for t in (tissues.csf, tissues.gm, tissues.wm)])


def scanned(
    true: np.ndarray, noise: float, affine: np.ndarray
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """The T1w and the mask of a brain of known tissue shares."""
    data = np.tensordot(T1W, true, 1) + np.random.default_rng(5).normal(0, noise, true.shape[1:])
    mask = (true.sum(axis=0) > 0.5).astype(np.uint8)
    return nib.Nifti1Image(np.abs(data).astype(np.float32), affine), nib.Nifti1Image(mask, affine)


@pytest.fixture(scope="module")
def shells() -> np.ndarray:
    """White matter of radius 34 mm in grey (50) in CSF (55), on 2 mm: true shares."""
    radius = np.sqrt(((np.indices((120, 120, 120), dtype=np.float32) - 59.5) ** 2).sum(axis=0))
    kinds = np.stack([(radius >= 50) & (radius < 55), (radius >= 34) & (radius < 50), radius < 34])
    return kinds.reshape(3, 60, 2, 60, 2, 60, 2).mean(axis=(2, 4, 6))


SHELL_AFFINE = np.diag([2.0, 2, 2, 1])


def test_partial_volume_of_a_phantom_is_recovered(shells: np.ndarray) -> None:
    image, mask = scanned(shells, 40, SHELL_AFFINE)
    found, inside = shares(segment_tissues(image, mask)), np.asarray(mask.dataobj) > 0
    for k in range(3):
        assert dice(found[k] > 0.5, (shells[k] > 0.5) & inside) > 0.96
    volume = found[:, inside].sum(axis=1) / shells[:, inside].sum(axis=1)
    np.testing.assert_allclose(volume, 1, atol=0.05)
    assert np.abs(found - shells)[:, inside].mean() < 0.03
    np.testing.assert_allclose(found.sum(axis=0)[inside], 1, atol=1e-5)
    assert not found[:, ~inside].any()


def test_without_noise_a_mixed_voxel_gets_its_fractions(shells: np.ndarray) -> None:
    found = shares(segment_tissues(*scanned(shells, 1, SHELL_AFFINE)))
    mixed = (shells[1] > 0.2) & (shells[2] > 0.2)
    assert mixed.sum() > 1000
    assert np.abs(found[2] - shells[2])[mixed].mean() < 0.06


@pytest.fixture(scope="module")
def true_shares(template: Template) -> np.ndarray:
    """CSF, grey and white of a crisp brain at 3 mm, in the order of `shares`."""
    maps = np.stack([np.asarray(t.dataobj) for t in (template.csf, template.gm, template.wm)])
    kinds = np.where(np.asarray(template.mask.dataobj) > 0, maps.argmax(axis=0), -1)
    affine = template.mask.affine
    fine = [nib.Nifti1Image((kinds == k).astype(np.float32), affine) for k in range(3)]
    return np.stack([np.asarray(block_mean(one, 3).dataobj) for one in fine])


@pytest.fixture(scope="module")
def scan(anatomy, true_shares: np.ndarray) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    return scanned(true_shares, 40, anatomy.grid.affine)


@pytest.mark.parametrize("misplaced_mm", [None, 0, 3])
def test_tissues_of_a_brain_with_and_without_priors(
    template, scan, true_shares: np.ndarray, misplaced_mm: float | None
) -> None:
    priors = None
    if misplaced_mm is not None:
        priors = carry_tissues(template, rigid((misplaced_mm, 0, 0)), scan[1])
    found, inside = shares(segment_tissues(*scan, priors)), np.asarray(scan[1].dataobj) > 0
    for tissue in (1, 2):
        assert dice(found[tissue] > 0.5, (true_shares[tissue] > 0.5) & inside) > 0.92
    volumes = found[1:, inside].sum(axis=1) / true_shares[1:, inside].sum(axis=1)
    np.testing.assert_allclose(volumes, 1, atol=0.08)


def test_priors_find_grey_matter_that_looks_half_white(anatomy, template, scan) -> None:
    """A nucleus half way from grey to white: intensity alone calls it a mixture."""
    image, mask = scan
    points = anatomy.grid.points().reshape(*image.shape, 3)
    nucleus = np.linalg.norm(points - [26, -30, 26], axis=-1) < 8
    data = np.where(nucleus, 860, np.asarray(image.dataobj)).astype(np.float32)
    bright = nib.Nifti1Image(data, image.affine)
    carried = carry_tissues(template, rigid(), mask)
    values = [np.where(nucleus, k == 0, np.asarray(p.dataobj)) for k, p in enumerate(carried)]
    priors = Tissues(*(nib.Nifti1Image(v.astype(np.float32), image.affine) for v in values))
    without, with_them = (
        np.asarray(segment_tissues(bright, mask, p).gm.dataobj)[nucleus] for p in (None, priors)
    )
    assert with_them.mean() > without.mean() + 0.05


def test_storage_does_not_matter(
    scan, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    image, mask = (orient(one) for one in scan)
    mask = nib.Nifti1Image((np.asarray(mask.dataobj) > 0.5).astype(np.uint8), mask.affine)
    tissues = segment_tissues(image, mask)
    assert all(Grid.of(one) == Grid.of(image) for one in tissues)
    found = shares(tissues).sum(axis=(1, 2, 3)) * Grid.of(image).spacing_mm.prod()
    expected = shares(segment_tissues(*scan)).sum(axis=(1, 2, 3)) * 27
    np.testing.assert_allclose(found[1:], expected[1:], rtol=0.06)


def test_two_runs_agree_bit_for_bit(scan) -> None:
    first, second = (shares(segment_tissues(*scan)) for _ in range(2))
    assert np.array_equal(first, second)


def test_priors_are_those_of_the_template(anatomy, template, scan) -> None:
    carried = carry_tissues(template, rigid(), scan[1])
    inside = np.asarray(scan[1].dataobj) > 0
    known = np.stack([np.asarray(t.dataobj) for t in (anatomy.csf, anatomy.gm, anatomy.wm)])
    assert np.abs(shares(carried) - known)[:, inside].mean() < 0.05
    assert not np.asarray(carried.gm.dataobj)[~inside].any()


@pytest.mark.parametrize("noise", [0, 50])
def test_an_image_without_tissues_is_refused(shells: np.ndarray, noise: float) -> None:
    mask = scanned(shells, 1, SHELL_AFFINE)[1]
    values = 500 + np.random.default_rng(3).normal(0, noise, mask.shape)
    with pytest.raises(SegmentationError, match="expected"):
        segment_tissues(nib.Nifti1Image(values.astype(np.float32), SHELL_AFFINE), mask)


def test_unfit_mask_or_priors_are_refused(scan) -> None:
    image, mask = scan
    small = nib.Nifti1Image(np.ones((4, 4, 4)), np.eye(4))
    with pytest.raises(InputError, match="grid"):
        segment_tissues(image, small)
    with pytest.raises(SegmentationError, match="voxels"):
        segment_tissues(image, nib.Nifti1Image(np.zeros(image.shape), image.affine))
    with pytest.raises(InputError, match="priors"):
        segment_tissues(image, mask, Tissues(small, small, small))
