"""One anatomy in several orientations, and simulated scans of it with known transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from petfmri.atlases import load_template
from petfmri.images.resampling import Grid, resample
from petfmri.images.transforms import Affine, Transform, Warp, rigid

ORIENTATIONS = ["RAS", "LAS", "LPS", "oblique", "anisotropic"]


@dataclass(frozen=True)
class Anatomy:
    """The template at 3 mm: float32 images on one RAS grid."""

    head: nib.Nifti1Image
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image
    wm: nib.Nifti1Image
    csf: nib.Nifti1Image

    @property
    def grid(self) -> Grid:
        return Grid.of(self.head)

    @property
    def brain_points(self) -> np.ndarray:
        """Some hundred points of the brain, RAS mm."""
        return self.grid.points()[np.asarray(self.mask.dataobj).ravel() > 0.5][::71]

    def weighted(self, *, gm: float, wm: float, csf: float, rest: float = 0.0) -> nib.Nifti1Image:
        """An image with the given intensities of the tissues and of what is not brain."""
        parts = zip((gm, wm, csf), (self.gm, self.wm, self.csf), strict=True)
        data = sum(value * np.asarray(tissue.dataobj) for value, tissue in parts)
        outside = (np.asarray(self.mask.dataobj) < 0.5) * np.asarray(self.head.dataobj)
        return nib.Nifti1Image((data + rest * outside / 255).astype(np.float32), self.grid.affine)


def block_mean(image: nib.Nifti1Image, size: int) -> nib.Nifti1Image:
    """Average blocks of `size` voxels along each axis."""
    data = np.asarray(image.dataobj, dtype=np.float32)
    x, y, z = (length // size for length in data.shape)
    data = data[: x * size, : y * size, : z * size]
    data = data.reshape(x, size, y, size, z, size).mean(axis=(1, 3, 5))
    scale = np.diag([size, size, size, 1.0])
    scale[:3, 3] = (size - 1) / 2
    return nib.Nifti1Image(data, image.affine @ scale)


def acquired(
    image: nib.Nifti1Image, xfm: Transform, grid: Grid, noise: float, seed: int = 0
) -> nib.Nifti1Image:
    """Scan an anatomy that `xfm` (anatomy points to scan points) has moved."""
    data = np.asarray(resample(image, ~xfm, grid).dataobj)
    noisy = data + np.random.default_rng(seed).normal(0, noise, grid.shape)
    return nib.Nifti1Image(noisy.astype(np.float32), grid.affine)


def turned(image: nib.Nifti1Image, orientation: str) -> nib.Nifti1Image:
    """The same anatomy in the world, stored in another way."""
    grid = Grid.of(image)
    if orientation == "oblique":
        center = grid.points().mean(axis=0)
        turn = rigid(rotation_deg=(12, -8, 10), center=center)
        return resample(image, Affine(), Grid(grid.shape, turn.matrix @ grid.affine))
    if orientation == "anisotropic":
        x, y, z = grid.shape
        thick = Grid((x, y, -(-z * 2 // 3)), grid.affine @ np.diag([1, 1, 1.5, 1]))
        return resample(image, Affine(), thick)
    change = ornt_transform(io_orientation(image.affine), axcodes2ornt(tuple(orientation)))
    return image.as_reoriented(change)


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    template = load_template()
    names = ("head", "mask", "gm", "wm", "csf")
    return Anatomy(**{name: block_mean(getattr(template, name), 3) for name in names})


@pytest.fixture(params=ORIENTATIONS)
def orient(request: pytest.FixtureRequest) -> Callable[[nib.Nifti1Image], nib.Nifti1Image]:
    return lambda image: turned(image, request.param)


def distance_mm(one: Transform, other: Transform, points: np.ndarray) -> float:
    """Mean distance between where two transforms bring points."""
    return float(np.linalg.norm(one.map(points) - other.map(points), axis=1).mean())


def other_shape(anatomy: Anatomy) -> tuple[Affine, Warp]:
    """How the template becomes a head of another size and shape: growth after a warp."""
    points = anatomy.grid.points()
    waves = ([0.05, 0.03, 0.02], [0.02, 0.05, -0.04], [-0.03, 0.02, 0.05])
    bumps = 4.0 * np.stack([np.sin(points @ np.array(wave) + 1) for wave in waves], -1)
    warp = Warp(bumps.reshape(*anatomy.grid.shape, 3), anatomy.grid.affine)
    growth = rigid((6, -8, 12), (8, -5, 6)).matrix @ np.diag([1.07, 0.93, 1.04, 1])
    return Affine(growth), warp
