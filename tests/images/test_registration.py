from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm

from petfmri.errors import InputError, RegistrationError
from petfmri.images.registration import (
    Greedy,
    _greedy,
    _linear_levels,
    alignment_score,
    centers_aligned,
    head_center,
)
from petfmri.images.resampling import Grid, carry_mask, resample
from petfmri.images.transforms import Affine, Warp, rigid

GREEDY = Greedy()
TURN = rigid((9, -6, 5), (6, -4, 8), (0, -15, 10))


@pytest.fixture(scope="module")
def epi(anatomy) -> nib.Nifti1Image:
    """T2*-like, 6 mm, moved by TURN."""
    contrast = anatomy.weighted(gm=600, wm=470, csf=900, rest=200)
    return acquired(contrast, TURN, anatomy.grid.spaced(6.0), noise=10)


def test_center_ignores_the_neck() -> None:
    data = np.zeros((40, 40, 80), np.float32)
    data[10:30, 10:30, 50:70] = 1  # head, 80 mm high
    data[15:25, 15:25, :20] = 1  # far below the vertex
    image = nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1]))
    np.testing.assert_allclose(head_center(image), [78, 78, 238], atol=1e-3)


def test_centers_meet(anatomy, epi: nib.Nifti1Image) -> None:
    shift = centers_aligned(epi, anatomy.head)
    np.testing.assert_allclose(shift.map(head_center(epi)[None])[0], head_center(anatomy.head))


def test_empty_image_has_no_center() -> None:
    with pytest.raises(RegistrationError, match="no signal"):
        head_center(nib.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)))


def test_score_of_an_image_with_itself_is_two_and_with_a_constant_one(anatomy) -> None:
    flat = nib.Nifti1Image(np.ones(anatomy.grid.shape, np.float32), anatomy.grid.affine)
    assert alignment_score(anatomy.head, anatomy.head, Affine()) == pytest.approx(2, abs=1e-6)
    assert alignment_score(anatomy.head, flat, Affine()) == pytest.approx(1, abs=1e-6)
    empty = nib.Nifti1Image(np.zeros(anatomy.grid.shape, np.uint8), anatomy.grid.affine)
    assert alignment_score(anatomy.head, anatomy.head, Affine(), empty) == 1


def test_score_falls_with_every_millimetre(anatomy, epi: nib.Nifti1Image) -> None:
    scores = [alignment_score(epi, anatomy.head, ~TURN @ rigid((x, 0, 0))) for x in (0, 3, 6, 12)]
    assert scores == sorted(scores, reverse=True)


def test_rigid_across_contrasts_and_orientations(
    anatomy, epi: nib.Nifti1Image, orient: Callable[[nib.Nifti1Image], nib.Nifti1Image]
) -> None:
    found = GREEDY.rigid(orient(epi), anatomy.head)
    assert np.linalg.det(found.matrix) == pytest.approx(1, abs=1e-4)
    assert distance_mm(found, ~TURN, TURN.map(anatomy.brain_points)) < 1.0


def test_rigid_result_maps_fixed_to_moving_whichever_is_finer(
    anatomy, epi: nib.Nifti1Image
) -> None:
    found = GREEDY.rigid(anatomy.head, epi, fixed_mask=anatomy.mask)
    assert distance_mm(found, TURN, anatomy.brain_points) < 1.0


def test_affine_recovers_the_size_of_a_head(anatomy) -> None:
    growth = Affine(TURN.matrix @ np.diag([1.08, 0.94, 1.05, 1]))
    subject = acquired(anatomy.head, growth, anatomy.grid, noise=2)
    found = GREEDY.affine(anatomy.head, subject)
    assert distance_mm(found, growth, anatomy.brain_points) < 0.5


def test_two_rigid_runs_agree_bit_for_bit(anatomy, epi: nib.Nifti1Image) -> None:
    first, second = (GREEDY.rigid(epi, anatomy.head).matrix for _ in range(2))
    assert np.array_equal(first, second)


@pytest.fixture(scope="module")
def deformed(anatomy) -> tuple[nib.Nifti1Image, Affine, Warp]:
    """A head after a warp of RMS 4 mm and an affine, with the two."""
    points = anatomy.grid.points()
    phases = np.stack(
        [
            np.sin(points @ np.array(k) + 1)
            for k in ([0.07, 0.03, 0.02], [0.02, 0.06, -0.04], [-0.03, 0.02, 0.07])
        ],
        -1,
    )
    warp = Warp((3.3 * phases).reshape(*anatomy.grid.shape, 3), anatomy.grid.affine)
    growth = Affine(rigid((4, -3, 2), (3, 4, -2)).matrix @ np.diag([1.04, 0.97, 1.02, 1]))
    return acquired(anatomy.head, growth @ warp, anatomy.grid, noise=1), growth, warp


def test_deformable_recovers_a_warp_and_its_inverse(anatomy, deformed) -> None:
    subject, growth, warp = deformed
    subject_mask = carry_mask(anatomy.mask, ~(growth @ warp), anatomy.grid)
    found = replace(GREEDY, finest_mm=3.0).deformable(
        anatomy.head, subject, initial=growth, fixed_mask=anatomy.mask, moving_mask=subject_mask
    )
    points = anatomy.brain_points
    assert distance_mm(growth, growth @ warp, points) > 3.0
    assert distance_mm(found, growth @ warp, points) < 1.0
    there_and_back = (~found).map(found.map(points))
    assert np.abs(there_and_back - points).max() < 0.3


def test_deformable_repeats_bit_for_bit_on_any_number_of_threads(anatomy, deformed) -> None:
    subject, growth, _ = deformed
    runs = [
        replace(GREEDY, threads=threads, finest_mm=8.0).deformable(
            anatomy.head, subject, initial=growth
        )
        for threads in (1, 2)
    ]
    fields = [run.parts[1].displacement for run in runs]
    assert np.array_equal(fields[0], fields[1])


def test_engine_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(RegistrationError, match=r"absent.nii.* does not exist"):
        _greedy(tmp_path, "-a -i absent.nii absent.nii -o out.mat")


def test_image_with_nan_is_refused(anatomy) -> None:
    broken = nib.Nifti1Image(np.full((9, 9, 9), np.nan, np.float32), np.eye(4))
    with pytest.raises(InputError, match="729 voxels that are NaN"):
        GREEDY.rigid(anatomy.head, broken, initial=Affine())


def test_real_epi_and_t1w_of_one_person(shared_data: Path) -> None:
    """The two were acquired in register: starts 20° off come back to it."""
    t1w = nib.load(shared_data / "anat" / "someones_anatomy.nii.gz")
    epi = nib.load(shared_data / "anat" / "someones_epi.nii.gz")
    center = head_center(epi)
    found = GREEDY.rigid(epi, t1w, initial=rigid((6, 5, -4), (20, 0, -10), center))
    points = Grid.of(epi).points()[::501]
    assert distance_mm(found, Affine(), points) < 1.0
    score = alignment_score(epi, t1w, found)
    for shift in np.vstack([np.eye(3), -np.eye(3)]) * 6:
        assert alignment_score(epi, t1w, rigid(shift) @ found) < score - 0.01


def test_resampled_deformation_looks_like_the_subject(anatomy, deformed) -> None:
    subject, growth, warp = deformed
    back = resample(subject, growth @ warp, anatomy.grid)
    brain = np.asarray(anatomy.mask.dataobj) > 0.9
    pair = [np.asarray(image.dataobj)[brain] for image in (back, anatomy.head)]
    assert np.corrcoef(pair)[0, 1] > 0.97


def test_rounding_of_voxel_sizes_does_not_decide_which_image_is_held_still(monkeypatch) -> None:
    still = []

    def keep(self, freedom, fixed, moving, *rest) -> Affine:
        still.append(fixed)
        return Affine()

    monkeypatch.setattr(Greedy, "_run_linear", keep)
    box = np.zeros((8, 8, 8), np.float32)
    box[2:6, 2:6, 2:6] = 1
    one = nib.Nifti1Image(box, np.diag([3.0, 3, 3, 1]))
    other = nib.Nifti1Image(box, np.diag([3.0001, 3, 3, 1]))
    fine = nib.Nifti1Image(box, np.diag([2.0, 2, 2, 1]))
    GREEDY.rigid(one, other)
    GREEDY.rigid(other, one)
    GREEDY.rigid(fine, one)
    assert still == [one, other, one]


def test_levels_follow_the_voxel_size_and_the_start() -> None:
    head = nib.Nifti1Image(np.zeros((4, 4, 4)), np.diag([3.0, 3, 3, 1]))
    rough = nib.Nifti1Image(np.zeros((4, 4, 4)), np.diag([6.0, 6, 6, 1]))
    assert _linear_levels(head, near=False) == "100x50x10"
    assert _linear_levels(rough, near=False) == "100x50"
    assert _linear_levels(head, near=True) == "50x10"
