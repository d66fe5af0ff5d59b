from __future__ import annotations

from collections.abc import Callable

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm

from petfmri.errors import RegistrationError
from petfmri.images import boundary
from petfmri.images.boundary import (
    Boundary,
    boundary_cost,
    edge_agreement,
    find_boundary,
    refine,
)
from petfmri.images.transforms import Affine, rigid

TRUTH = rigid((4, -3, 2), (3, -2, 4), (0, -15, 10))  # T1w points to EPI points
NEAR = ~TRUTH @ rigid((1.5, -1, 1), (1, 1, -1), (0, -15, 10))


@pytest.fixture(autouse=True)
def fewer_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the points, for speed."""
    monkeypatch.setattr(boundary, "_POINTS", 4000)


@pytest.fixture(scope="module")
def epi(anatomy) -> nib.Nifti1Image:
    contrast = anatomy.weighted(gm=600, wm=470, csf=900, rest=200)
    return acquired(contrast, TRUTH, anatomy.grid, noise=8)


def ball(radius_mm: float) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """A ball of white matter in grey matter, 2 mm voxels: grey and white."""
    affine = np.diag([2.0, 2, 2, 1]) + np.outer([1, 1, 1, 0], [0, 0, 0, -40])
    x = np.stack(np.meshgrid(*[np.arange(-40, 42, 2)] * 3, indexing="ij"), -1)
    white = np.clip((radius_mm - np.linalg.norm(x, axis=-1)) / 2 + 0.5, 0, 1)
    return nib.Nifti1Image(1 - white, affine), nib.Nifti1Image(white, affine)


def test_boundary_of_a_ball_is_its_surface_pointing_outwards() -> None:
    surface = find_boundary(*ball(24))
    radius = np.linalg.norm(surface.points, axis=1)
    assert np.abs(radius - 24).max() < 0.6
    outwards = (surface.normals * surface.points).sum(axis=1) / radius
    assert outwards.min() > 0.98


def test_cost_of_a_step_is_the_formula() -> None:
    """Left of x = 0 the EPI is 90, right of it 110: a contrast of 20 %."""
    data = np.full((11, 3, 3), 90.0, np.float32)
    data[6:] = 110
    epi = nib.Nifti1Image(data, np.diag([1.0, 1, 1, 1]) - np.outer([1, 0, 0, 0], [0, 0, 0, 5.5]))
    edge = Boundary(np.array([[0.0, 1, 1]]), np.array([[1.0, 0, 0]]))
    assert boundary_cost(epi, Affine(), edge) == pytest.approx(1 - np.tanh(1.0))
    assert boundary_cost(epi, Affine(), edge, grey_brighter=False) == pytest.approx(1 + np.tanh(1))


def test_edges_agree_where_grey_is_brighter() -> None:
    """Three points of an edge at x = 0; the image is brighter to its right at two of them."""
    data = np.full((11, 3, 3), 90.0, np.float32)
    data[6:, :2] = 110
    data[6:, 2] = 70
    image = nib.Nifti1Image(data, np.diag([1.0, 1, 1, 1]) - np.outer([1, 0, 0, 0], [0, 0, 0, 5.5]))
    edge = Boundary(np.array([[0.0, y, 1] for y in range(3)]), np.array([[1.0, 0, 0]] * 3))
    assert edge_agreement(image, Affine(), edge) == pytest.approx(2 / 3)
    assert edge_agreement(image, Affine(), edge, grey_brighter=False) == pytest.approx(1 / 3)


def test_edges_of_an_aligned_image_agree_more_than_those_of_a_shifted_one(anatomy, epi) -> None:
    edge = find_boundary(anatomy.gm, anatomy.wm)
    right, off = (edge_agreement(epi, xfm, edge) for xfm in (TRUTH, rigid((0, 0, 6)) @ TRUTH))
    assert right > 0.9
    assert off < right - 0.1


def test_refinement_finds_the_truth_in_any_orientation(
    anatomy, epi: nib.Nifti1Image, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    points = TRUTH.map(anatomy.brain_points)
    assert distance_mm(NEAR, ~TRUTH, points) > 2
    found = refine(orient(epi), NEAR, anatomy.gm, anatomy.wm)
    assert distance_mm(found, ~TRUTH, points) < 0.6


def test_refinement_with_t1_like_contrast(anatomy) -> None:
    epi = acquired(anatomy.weighted(gm=470, wm=600, csf=200), TRUTH, anatomy.grid, noise=8)
    found = refine(epi, NEAR, anatomy.gm, anatomy.wm, grey_brighter=False)
    assert distance_mm(found, ~TRUTH, TRUTH.map(anatomy.brain_points)) < 0.6


def test_refinement_never_costs_more_than_its_start(anatomy) -> None:
    edge = find_boundary(anatomy.gm, anatomy.wm)
    noise = acquired(anatomy.weighted(gm=500, wm=500, csf=500), TRUTH, anatomy.grid, noise=50)
    found = refine(noise, NEAR, anatomy.gm, anatomy.wm)
    assert boundary_cost(noise, found, edge) <= boundary_cost(noise, NEAR, edge)


def test_image_without_contrast_keeps_its_start(anatomy) -> None:
    flat = nib.Nifti1Image(np.ones(anatomy.grid.shape, np.float32), anatomy.grid.affine)
    assert refine(flat, NEAR, anatomy.gm, anatomy.wm) is NEAR


def test_two_runs_agree_bit_for_bit(anatomy, epi: nib.Nifti1Image) -> None:
    first, second = (refine(epi, NEAR, anatomy.gm, anatomy.wm).matrix for _ in range(2))
    assert np.array_equal(first, second)


def test_maps_without_boundary() -> None:
    empty = nib.Nifti1Image(np.zeros((9, 9, 9), np.float32), np.eye(4))
    with pytest.raises(RegistrationError, match="found 0 points"):
        find_boundary(empty, empty)


def test_epi_elsewhere(anatomy, epi: nib.Nifti1Image) -> None:
    with pytest.raises(RegistrationError, match="field of view"):
        refine(epi, rigid((500, 0, 0)), anatomy.gm, anatomy.wm)
