from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage
from tests.images.conftest import acquired, distance_mm, other_shape, turned

from petfmri.atlases import Template, load_template
from petfmri.errors import RegistrationError, SegmentationError
from petfmri.images.brain import Brain, extract_brain, template_affine
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Transform, rigid

QUICK = "40x20x6"
GREEDY = Greedy(iterations=QUICK)


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def voxels(mask: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(mask.dataobj) > 0.5


def litres(mask: nib.Nifti1Image) -> float:
    return float(voxels(mask).sum() * Grid.of(mask).spacing_mm.prod() / 1e6)


@pytest.fixture(scope="module")
def person(anatomy) -> tuple[nib.Nifti1Image, nib.Nifti1Image, Transform]:
    """A head of another size and shape, 3 mm, its brain and how the template reaches it."""
    points = anatomy.grid.points()
    growth, warp = other_shape(anatomy)
    head = acquired(anatomy.head, growth @ warp, anatomy.grid, noise=4, seed=7)
    x, y, z = np.moveaxis(points.reshape(*anatomy.grid.shape, 3), -1, 0) / 100
    shaded = np.abs(np.asarray(head.dataobj)) * np.exp(0.2 * y - 0.15 * z + 0.1 * x)
    mask = acquired(anatomy.mask, growth @ warp, anatomy.grid, noise=0)
    return nib.Nifti1Image(shaded.astype(np.float32), head.affine), mask, growth @ warp


@pytest.fixture(scope="module")
def found(template, person) -> Brain:
    return extract_brain(person[0], template, GREEDY)


def test_the_template_alone_for_a_brain_that_is_known(anatomy, template, person) -> None:
    head, _, to_person = person
    xfm = template_affine(head, template, GREEDY)
    points = to_person.map(anatomy.brain_points)
    assert distance_mm(xfm, ~to_person, points) < 6  # the rest is the head's own shape


def test_brain_of_a_head_of_another_shape(anatomy, person, found: Brain) -> None:
    _, true, to_person = person
    assert dice(voxels(found.mask), voxels(true)) > 0.96
    points = to_person.map(anatomy.brain_points)
    assert distance_mm(found.xfm, ~to_person, points) < 2.0
    assert distance_mm(found.affine, found.xfm, points) < 4.5


def test_mask_is_one_piece_without_holes_on_the_grid_of_the_image(person, found: Brain) -> None:
    assert Grid.of(found.mask) == Grid.of(person[0])
    assert ndimage.label(voxels(found.mask))[1] == 1
    assert ndimage.label(~voxels(found.mask))[1] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("orientation", "with_truth", "with_original"),
    [("LAS", 0.95, 0.98), ("oblique", 0.95, 0.98), ("anisotropic", 0.93, 0.93)],
)
def test_storage_does_not_matter(
    template, person, found: Brain, orientation: str, with_truth: float, with_original: float
) -> None:
    """Thick slices cost a little."""
    head, true, _ = person
    mask = extract_brain(turned(head, orientation), template, GREEDY).mask
    assert dice(voxels(mask), voxels(turned(true, orientation))) > with_truth
    same = turned(nib.Nifti1Image(voxels(found.mask).astype(np.float32), head.affine), orientation)
    assert dice(voxels(mask), voxels(same)) > with_original


@pytest.mark.slow
def test_two_runs_agree_bit_for_bit(template, person, found: Brain) -> None:
    again = extract_brain(person[0], template, GREEDY)
    assert np.array_equal(voxels(again.mask), voxels(found.mask))
    assert np.array_equal(again.affine.matrix, found.affine.matrix)


class Misled(Greedy):
    """An engine that turns the head away when it is not told where to start."""

    def rigid(self, *args: Any, initial: Affine | None = None, **kwargs: Any) -> Affine:
        if initial is None:
            return rigid((0, 70, 60), (70, 0, 0))
        return super().rigid(*args, initial=initial, **kwargs)


class Lost(Greedy):
    """An engine that gives up when it is not told where to start."""

    def rigid(self, *args: Any, initial: Affine | None = None, **kwargs: Any) -> Affine:
        if initial is None:
            raise RegistrationError("greedy", "no transform", "one", "look")
        return super().rigid(*args, initial=initial, **kwargs)


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Misled, Lost])
def test_a_second_start_saves_a_failed_first(template, person, engine: type[Greedy]) -> None:
    head, true, _ = person
    mask = extract_brain(head, template, engine(iterations=QUICK)).mask
    assert dice(voxels(mask), voxels(true)) > 0.95


def noise(grid: Grid) -> nib.Nifti1Image:
    data = np.random.default_rng(0).normal(100, 30, grid.shape)
    return nib.Nifti1Image(data.astype(np.float32), grid.affine)


def ball(grid: Grid) -> nib.Nifti1Image:
    away = np.linalg.norm(grid.points() - grid.points().mean(axis=0), axis=1)
    data = np.where(away < 85, 600.0, 0.0).reshape(grid.shape)
    return nib.Nifti1Image(data.astype(np.float32), grid.affine)


@pytest.mark.parametrize("make", [noise, pytest.param(ball, marks=pytest.mark.slow)])
def test_what_is_no_head_is_refused(
    anatomy, template, make: Callable[[Grid], nib.Nifti1Image]
) -> None:
    with pytest.raises(SegmentationError, match=r"second start.*expected"):
        extract_brain(make(anatomy.grid), template, GREEDY)


@pytest.mark.parametrize(("value", "found"), [(0.0, "0 everywhere"), (np.nan, "not finite")])
def test_an_image_without_values_is_refused(anatomy, template, value: float, found: str) -> None:
    empty = nib.Nifti1Image(np.full(anatomy.grid.shape, value, dtype=np.float32), np.eye(4))
    with pytest.raises(SegmentationError, match=found):
        extract_brain(empty, template, GREEDY)


@pytest.mark.slow
@pytest.mark.parametrize("turn", [(30, 0, 0), (-30, 0, 0), (0, -30, 20)])
def test_a_tilted_head_is_found(template, person, turn: tuple[float, float, float]) -> None:
    head, true, _ = person
    tilted = nib.Nifti1Image(head.dataobj, rigid((5, 0, 10), turn).matrix @ head.affine)
    assert dice(voxels(extract_brain(tilted, template, GREEDY).mask), voxels(true)) > 0.95


@pytest.mark.slow
def test_another_contrast_is_refused(template, person) -> None:
    """Like T2: what is dark in a T1w is bright."""
    head, _, _ = person
    data = np.asarray(head.dataobj)
    inverse = np.where(data > 20, 260 - data, data).clip(0)
    with pytest.raises(SegmentationError, match="resembles"):
        extract_brain(nib.Nifti1Image(inverse, head.affine), template, GREEDY)


@pytest.mark.slow
def test_half_a_head_is_refused(template, person) -> None:
    head, _, _ = person
    with pytest.raises(SegmentationError, match="brain"):
        extract_brain(head.slicer[: head.shape[0] // 2], template, GREEDY)


@pytest.mark.slow
def test_an_upside_down_header_is_refused_or_solved(template, person) -> None:
    head, true, _ = person
    flip = np.diag([1.0, -1, -1, 1])
    wrong = nib.Nifti1Image(np.asarray(head.dataobj), flip @ head.affine)
    try:
        mask = extract_brain(wrong, template, GREEDY).mask
    except SegmentationError:
        return
    assert dice(voxels(mask), voxels(true)) > 0.9


@pytest.mark.slow
def test_published_brain_of_colin27(template, shared_data: Path) -> None:
    head = nib.load(shared_data / "anat" / "colin27_ch2.nii.gz")
    published = np.asarray(nib.load(shared_data / "anat" / "colin27_brain.nii.gz").dataobj) > 0
    assert dice(voxels(extract_brain(head, template, GREEDY).mask), published) > 0.93


@pytest.mark.slow
def test_long_neck_stays_outside(template, shared_data: Path) -> None:
    head = nib.load(shared_data / "anat" / "niivue_T1_head_ext2.nii.gz")
    brain = extract_brain(head, template, GREEDY)
    assert 0.9 < litres(brain.mask) < 1.9
    points = Affine(head.affine).map(np.argwhere(voxels(brain.mask)).astype(float))
    assert np.ptp(points[:, 2]) < 160  # mm from vertex to the end of the brain stem


@pytest.mark.slow
def test_coarse_whole_head(template, shared_data: Path) -> None:
    head = nib.load(shared_data / "anat" / "someones_anatomy.nii.gz")
    assert 1.2 < litres(extract_brain(head, template, GREEDY).mask) < 2.0
