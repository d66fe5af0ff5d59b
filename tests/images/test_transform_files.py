"""Files are read by ITK itself, through the SimpleITK that the registration engine brings."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.images.registration import _greedy
from petfmri.images.resampling import Grid, resample
from petfmri.images.transform_files import (
    read_affine,
    read_affines,
    read_warp,
    write_affine,
    write_affines,
    write_composite,
    write_warp,
)
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine, Warp, rigid

sitk = pytest.importorskip("SimpleITK")
LPS = np.array([-1.0, -1, 1])


@pytest.fixture
def affine() -> Affine:
    return Affine(rigid((3, -2, 5), (10, -5, 20)).matrix @ np.diag([1.1, 0.9, 1.05, 1]))


@pytest.fixture
def warp() -> Warp:
    """A random field on an oblique, anisotropic, left-handed grid."""
    grid_affine = rigid((5, 6, 7), (10, 20, 5)).matrix @ np.diag([-4.0, 5, 6, 1])
    field = np.random.default_rng(0).normal(0, 2, (6, 7, 8, 3))
    return Warp(field, grid_affine)


def test_itk_maps_points_as_we_do(affine: Affine, tmp_path: Path) -> None:
    written = sitk.ReadTransform(str(write_affine(affine, tmp_path / "xfm.txt")))
    point = np.array([11.0, -7, 23])
    np.testing.assert_allclose(
        np.array(written.TransformPoint(point * LPS)) * LPS, affine.map(point[None])[0]
    )


def test_affine_written_by_itk_with_a_center(affine: Affine, tmp_path: Path) -> None:
    itk = sitk.AffineTransform(3)
    itk.SetMatrix((LPS[:, None] * affine.matrix[:3, :3] * LPS).ravel())
    itk.SetTranslation((1, 2, 3))
    itk.SetCenter((10, 20, 30))
    sitk.WriteTransform(itk, str(tmp_path / "xfm.txt"))
    point = np.array([11.0, -7, 23])
    np.testing.assert_allclose(
        read_affine(tmp_path / "xfm.txt").map(point[None])[0],
        np.array(itk.TransformPoint(point * LPS)) * LPS,
    )


def test_motion_comes_back_in_order(tmp_path: Path) -> None:
    motion = [rigid((shift, 0, 0), (0, shift, 0)) for shift in range(4)]
    path = write_affines(motion, tmp_path / "motion.txt")
    assert read_affines(path) == motion
    with pytest.raises(DatasetError, match="found 4 transforms"):
        read_affine(path)


def test_itk_reads_the_field_as_we_do(warp: Warp, tmp_path: Path) -> None:
    path = write_warp(warp, tmp_path / "warp.nii.gz")
    assert nib.load(path).shape == (6, 7, 8, 1, 3)
    assert nib.load(path).header.get_intent()[0] == "vector"
    field = sitk.ReadImage(str(path), sitk.sitkVectorFloat64)
    itk = sitk.DisplacementFieldTransform(field)
    inner = np.random.default_rng(1).uniform(1, 4, (20, 3))
    points = Affine(warp.affine).map(inner)
    itk_points = [np.array(itk.TransformPoint(point * LPS)) * LPS for point in points]
    np.testing.assert_allclose(itk_points, warp.map(points), atol=1e-4)


def test_field_comes_back_with_its_inverse(warp: Warp, tmp_path: Path) -> None:
    path = write_warp(warp, tmp_path / "warp.nii.gz")
    other = write_warp(Warp(-warp.displacement, warp.affine), tmp_path / "inverse.nii.gz")
    found = read_warp(path, inverse=other)
    assert found == warp
    assert (~found).displacement == pytest.approx(-warp.displacement)


def test_greedy_reslices_through_our_files_as_we_do(anatomy, tmp_path: Path) -> None:
    """Its own affine and our warp file, against `resample` with the same order."""
    grid = anatomy.grid.spaced(6.0)
    head = resample(anatomy.head, Affine(), grid)
    smooth = np.stack([np.sin(grid.points() @ [0.03, 0.02, 0.01] + k) for k in range(3)], -1)
    warp = Warp(3 * smooth.reshape(*grid.shape, 3), grid.affine)
    move = rigid((4, -3, 2), (3, 5, -4))
    nib.save(head, tmp_path / "head.nii")
    write_warp(warp, tmp_path / "warp.nii.gz")
    np.savetxt(tmp_path / "move.mat", move.matrix)
    _greedy(tmp_path, "-rf head.nii -rm head.nii out.nii -r warp.nii.gz move.mat")
    itself = nib.load(tmp_path / "out.nii").get_fdata()
    ours = resample(head, move @ warp, grid, order=1).get_fdata()
    swapped = resample(head, warp @ move, grid, order=1).get_fdata()
    core = np.s_[4:-4, 4:-4, 4:-4]
    assert np.abs(itself - ours)[core].max() < 0.01 < 1 < np.abs(itself - swapped)[core].max()


@pytest.mark.parametrize(
    "text", ["", "1 0 0 0\n", "#Insight Transform File V1.0\nTransform: Euler3DTransform\n"]
)
def test_text_that_is_no_affine(text: str, tmp_path: Path) -> None:
    (tmp_path / "xfm.txt").write_text(text)
    with pytest.raises(DatasetError, match="ITK text file"):
        read_affines(tmp_path / "xfm.txt")


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no readable text"):
        read_affine(tmp_path / "xfm.txt")
    with pytest.raises(DatasetError, match="unreadable image"):
        read_warp(tmp_path / "warp.nii.gz")


def test_image_that_is_no_field(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3, 3), np.float32), np.eye(4)), tmp_path / "w.nii.gz")
    with pytest.raises(DatasetError, match="found shape"):
        read_warp(tmp_path / "w.nii.gz")


def test_composite_returns_through_the_reader_of_other_programs(tmp_path: Path) -> None:
    grid = Grid((7, 8, 9), rigid((3, -40, 5), (10, -5, 20)).matrix @ np.diag([-5.0, 4, 6, 1]))
    bumps = np.sin(grid.points() / 30).reshape(*grid.shape, 3)
    chain = rigid((4, 2, -1), (3, 8, -6)) @ Warp(bumps, grid.affine)
    points = grid.points()[::7] + 1.3  # the borders continue
    found = read_transform(write_composite(chain, tmp_path / "xfm.h5"))
    np.testing.assert_allclose(found.map(points), chain.map(points), atol=1e-4)
    back = (~found).map(found.map(points))
    np.testing.assert_allclose(back, points, atol=0.1)
    alone = rigid((4, 2, -1), (3, 8, -6))
    found = read_transform(write_composite(alone, tmp_path / "affine.h5"))
    np.testing.assert_allclose(found.map(points), alone.map(points), atol=1e-9)
