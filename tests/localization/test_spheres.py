from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.localization.space import Space, of_labels, of_mask
from petfmri.localization.spheres import random_peaks, seeds_at
from petfmri.localization.talairach import mni_to_talairach, talairach_to_mni

OBLIQUE = nib.affines.from_matvec(
    nib.eulerangles.euler2mat(0.3, -0.2, 0.4) @ np.diag([2.0, 3.0, 3.5]), [-30, -40, -35]
)
GRIDS = {
    "RAS": nib.affines.from_matvec(np.diag([3.0, 3, 3]), [-30, -45, -30]),
    "LAS": nib.affines.from_matvec(np.diag([-3.0, 3, 3]), [30, -45, -30]),
    "anisotropic": nib.affines.from_matvec(np.diag([2.0, 3, 4]), [-20, -45, -40]),
    "oblique": OBLIQUE,
}


def box(affine: np.ndarray, shape: tuple[int, int, int] = (21, 31, 21)) -> Space:
    return of_mask(np.ones(shape, dtype=bool), affine)


def covered(seed_weights: np.ndarray) -> set[int]:
    return set(np.flatnonzero(seed_weights).tolist())


@pytest.mark.parametrize(("radius", "voxels"), [(1, 1), (4, 7), (7, 57), (10, 171)])
@pytest.mark.parametrize("grid", ["RAS", "LAS"])
def test_voxels_on_a_centre(grid: str, radius: float, voxels: int) -> None:
    space = box(GRIDS[grid])
    centre = nib.affines.apply_affine(space.affine, [10, 15, 10])
    assert seeds_at([centre[None]], radius, space).n_voxels.tolist() == [voxels]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("radius", [4.0, 6.3, 9.0])
def test_union_is_every_centre_within_the_radius(
    grid: str, radius: float, rng: np.random.Generator
) -> None:
    space = box(GRIDS[grid])
    inner = rng.uniform(4, 16, (5, 3))
    peaks = nib.affines.apply_affine(space.affine, inner)
    centres = nib.affines.apply_affine(space.affine, space.ijk)
    distance = np.linalg.norm(centres[:, None] - peaks[None], axis=2).min(axis=1)
    seeds = seeds_at([peaks], radius, space)
    assert covered(seeds.weights.toarray()[0]) == set(np.flatnonzero(distance <= radius).tolist())
    assert set(seeds.weights.data) == {1.0}  # a union: overlapping spheres count once


@pytest.mark.parametrize("grid", GRIDS)
def test_small_sphere_takes_the_nearest_voxel(grid: str) -> None:
    space = box(GRIDS[grid])
    peak = nib.affines.apply_affine(space.affine, [10.4, 15.45, 9.6])
    centres = nib.affines.apply_affine(space.affine, space.ijk)
    seeds = seeds_at([peak[None]], 0.2, space)
    assert covered(seeds.weights.toarray()[0]) == {
        int(np.linalg.norm(centres - peak, axis=1).argmin())
    }
    assert seeds.nearest[0].tolist() == [0]


def test_peaks_outside_are_named() -> None:
    space = box(GRIDS["RAS"])
    peaks = np.array([[0.0, 0, 0], [500, 0, 0], [0, 0, -200]])
    seeds = seeds_at([peaks, peaks[1:2], np.empty((0, 3))], 4, space)
    assert [one.tolist() for one in seeds.outside] == [[1, 2], [0], []]
    assert seeds.n_voxels.tolist() == [7, 0, 0]
    with pytest.raises(DatasetError, match="finite"):
        seeds_at([np.array([[np.nan, 0, 0]])], 4, space)
    with pytest.raises(DatasetError, match="radius"):
        seeds_at([peaks], 0, space)


def test_a_sphere_weighs_parcels_by_covered_voxels() -> None:
    labels = np.zeros((9, 9, 9), dtype=int)
    labels[:4], labels[4:] = 7, 3
    space = of_labels(labels, np.array([3, 7]), np.diag([3.0, 3, 3, 1]))
    seeds = seeds_at([np.array([[12.0, 12, 12]])], 4, space)
    assert seeds.weights.toarray().tolist() == [[6.0, 1.0]]


def test_random_peaks_lie_in_the_mask_and_where_allowed(rng: np.random.Generator) -> None:
    mask = np.zeros((21, 31, 21), dtype=bool)
    mask[5:9, 6:20, 3:9] = True
    space = of_mask(mask, OBLIQUE)
    allowed = space.ijk[:, 1] < 10
    points = random_peaks(space, [3, 400], rng, allowed)
    assert [len(one) for one in points] == [3, 400]
    back = nib.affines.apply_affine(np.linalg.inv(OBLIQUE), points[1])
    found = np.round(back).astype(int)
    assert mask[tuple(found.T)].all() and (found[:, 1] < 10).all()
    assert np.abs(back - found).max() > 0.4  # between centres, as published peaks are


def test_talairach_there_and_back(rng: np.random.Generator) -> None:
    points = rng.uniform(-70, 70, (50, 3))
    np.testing.assert_allclose(mni_to_talairach(talairach_to_mni(points)), points, atol=1e-10)
    # row sums of the published matrix, by hand: the point (100, 0, 0)
    np.testing.assert_allclose(
        mni_to_talairach(np.array([[100.0, 0, 0]])), [[92.5277, -2.044, 4.6775]], atol=1e-9
    )
