from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from tests.images.conftest import Anatomy

from petfmri.errors import InputError
from petfmri.images import boundary, distortion
from petfmri.images.distortion import distortion_field, undistort
from petfmri.images.resampling import Grid, resample
from petfmri.images.transforms import Affine, Transform, Warp, rigid

TRUTH = rigid((4, -3, 2), (3, -2, 4), (0, -15, 10))  # T1w points to EPI points
AXIS = 1
COARSE_SHAPE = (38, 46, 38)


@pytest.fixture
def quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps, fewer points, one round."""
    monkeypatch.setattr(distortion, "LEVELS", ((8.0, 2, 1.0, 6), (5.0, 0, 3.0, 5)))
    monkeypatch.setattr(distortion, "ROUNDS", 1)
    monkeypatch.setattr(boundary, "_POINTS", 4000)


def bumps(grid: Grid, largest_mm: float) -> Warp:
    """EPI points to points without distortion: two bumps along the second voxel axis."""
    points = grid.points()
    frontal, temporal = (
        np.exp(-((points - site) ** 2).sum(axis=1) / (2 * width**2))
        for site, width in (((2, 33, -8), 25.0), ((-45, -20, -15), 22.0))
    )
    size = largest_mm * (frontal - 0.6 * temporal).reshape(grid.shape)
    along = grid.affine[:3, AXIS] / grid.spacing_mm[AXIS]
    return Warp(size[..., None] * along, grid.affine)


def distorted(anatomy: Anatomy, grid: Grid, field: Warp) -> nib.Nifti1Image:
    contrast = anatomy.weighted(gm=600, wm=470, csf=900, rest=200)
    image = np.asarray(resample(contrast, ~TRUTH @ field, grid).dataobj)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    noise = np.random.default_rng(1).normal(0, 4, grid.shape)
    uneven = image * (1 + 0.1 * x - 0.1 * y * z)
    return nib.Nifti1Image((uneven + noise).astype(np.float32), grid.affine)


def errors_mm(found: Transform, field: Warp, points: np.ndarray) -> np.ndarray:
    """Of where points without distortion lie in the EPI."""
    return np.linalg.norm(found.map(points) - (~field).map(points), axis=1)


def test_a_shift_by_one_voxel_is_one_voxel_everywhere(rng: np.random.Generator) -> None:
    shape, affine = (20, 24, 18), np.diag([-3.0, 3, 3, 1])
    mixed = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 1.2) for _ in range(3)])
    inside = np.zeros(shape, dtype=bool)
    inside[3:-3, 4:-4, 3:-3] = True
    shares = inside * np.exp(8 * mixed) / np.exp(8 * mixed).sum(axis=0)
    tissues = [nib.Nifti1Image(share.astype(np.float32), affine) for share in shares]
    epi = 600 * shares[0] + 470 * shares[1] + 900 * shares[2] + 50 * ~inside
    moved = nib.Nifti1Image(np.roll(epi, 1, axis=1).astype(np.float32), affine)
    found = distortion_field(moved, Affine(), tissues, axis=1)
    middle = found.displacement[6:-6, 7:-7, 6:-6]
    np.testing.assert_allclose(middle, np.broadcast_to([0, 3, 0], middle.shape), atol=0.25)
    assert not found.displacement[..., [0, 2]].any()


@pytest.mark.usefixtures("quicker")
def test_distortion_comes_back_in_any_orientation(
    anatomy: Anatomy, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    empty = nib.Nifti1Image(np.zeros(COARSE_SHAPE), anatomy.grid.spaced(5).affine)
    grid = Grid.of(orient(empty))
    truth_field = bumps(grid, 8.0)
    epi = distorted(anatomy, grid, truth_field)
    points = TRUTH.map(anatomy.brain_points)
    size = errors_mm(Affine(), truth_field, points)
    found = distortion_field(epi, ~TRUTH, (anatomy.gm, anatomy.wm, anatomy.csf), axis=AXIS)
    errors = errors_mm(found, truth_field, points)
    far = size > 2
    assert far.sum() > 100
    assert np.median(errors[far]) < 0.35 * np.median(size[far])
    assert np.median(errors[~far]) < 0.4


@pytest.mark.usefixtures("quicker")
def test_field_and_position_together(anatomy: Anatomy) -> None:
    grid = anatomy.grid.spaced(5)
    truth_field = bumps(grid, 8.0)
    start = ~TRUTH @ rigid((0.3, 0.8, -0.4), (0.5, 0, 0))
    tissues = (anatomy.gm, anatomy.wm, anatomy.csf)
    found = undistort(distorted(anatomy, grid, truth_field), start, tissues, axis=AXIS)
    assert found.distortion is not None and 3 < found.largest_mm < 11
    assert found.verdict.startswith("Corrected: the cost of the white matter boundary changed by -")
    points = anatomy.brain_points
    truth = (~truth_field).map(TRUTH.map(points))
    before, after = (
        np.linalg.norm((~xfm).map(points) - truth, axis=1) for xfm in (start, found.to_t1w)
    )
    assert np.median(after) < 0.5 * np.median(before)
    assert np.percentile(after, 95) < 0.5 * np.percentile(before, 95)
    np.testing.assert_allclose(found.to_t1w.map((~found.to_t1w).map(points)), points, atol=0.05)


@pytest.mark.usefixtures("quicker")
def test_what_does_not_help_is_not_used(anatomy: Anatomy) -> None:
    grid = anatomy.grid.spaced(5)
    epi = distorted(anatomy, grid, bumps(grid, 0.0))
    tissues = (anatomy.gm, anatomy.wm, anatomy.csf)
    found = undistort(epi, ~TRUTH, tissues, axis=AXIS)
    assert found.distortion is None and found.largest_mm == 0
    assert found.to_t1w == ~TRUTH
    assert "not used" in found.verdict


def test_an_epi_elsewhere(anatomy: Anatomy) -> None:
    grid = anatomy.grid.spaced(8)
    with pytest.raises(InputError, match="no tissue"):
        tissues = (anatomy.gm, anatomy.wm, anatomy.csf)
        epi = nib.Nifti1Image(np.ones(grid.shape, np.float32), grid.affine)
        distortion_field(epi, rigid((500, 0, 0)), tissues, axis=AXIS)
