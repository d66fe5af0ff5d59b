from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm

from petfmri.errors import InputError, RegistrationError
from petfmri.images.motion import (
    bold_motion,
    estimate_motion,
    framewise_displacement,
    motion_parameters,
    signal_mask,
)
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, rigid

CENTER = (0, -15, 10)


def move(*parameters: float) -> Affine:
    return rigid(parameters[:3], parameters[3:], CENTER)


MOVES = [
    Affine(),
    move(0.05, 0, 0.02, 0, 0.03, 0),
    move(0.1, 0.1, 0, 0.1, 0, 0),
    move(1.5, -0.8, 0.5, 0.5, -0.4, 0.8),  # a spike
    move(0.1, 0.15, 0, 0.1, 0, 0.05),
    move(0.1, 0.15, 0.1, 0.15, 0, 0.05),
]


@pytest.fixture(scope="module")
def epi(anatomy) -> nib.Nifti1Image:
    return anatomy.weighted(gm=600, wm=470, csf=900, rest=200)


@pytest.fixture(scope="module")
def volumes(anatomy, epi: nib.Nifti1Image) -> list[nib.Nifti1Image]:
    """Six volumes with a temporal signal-to-noise ratio of 60."""
    return [acquired(epi, step, anatomy.grid, noise=10, seed=n) for n, step in enumerate(MOVES)]


def arrays(images: list[nib.Nifti1Image]) -> list[np.ndarray]:
    return [np.asarray(image.dataobj) for image in images]


def test_parameters_have_the_order_and_units_of_fmriprep() -> None:
    found = motion_parameters([rigid((1, 2, 3), (10, 20, 30))])
    np.testing.assert_allclose(found, [[1, 2, 3, *np.deg2rad([10, 20, 30])]])


def test_parameters_about_the_head_do_not_turn_rotation_into_shift() -> None:
    turn = rigid(rotation_deg=(0, 0, 5), center=CENTER)
    np.testing.assert_allclose(motion_parameters([turn], center=CENTER)[0, :3], 0, atol=1e-12)
    assert np.abs(motion_parameters([turn])[0, :3]).max() > 1


def test_displacement_adds_shifts_and_arcs() -> None:
    degree = np.rad2deg(0.01)  # 0.01 rad on a sphere of 50 mm are 0.5 mm
    motion = [Affine(), rigid((0.1, -0.2, 0)), rigid((0.1, -0.2, 0), (degree, 0, -degree))]
    np.testing.assert_allclose(framewise_displacement(motion), [0, 0.3, 1.0])
    np.testing.assert_allclose(framewise_displacement(motion, radius_mm=80), [0, 0.3, 1.6])


def test_recovery_in_any_orientation(
    anatomy,
    volumes: list[nib.Nifti1Image],
    orient: Callable[[nib.Nifti1Image], nib.Nifti1Image],
) -> None:
    images = [orient(volume) for volume in volumes]
    reference = np.asarray(images[0].dataobj)
    mask = signal_mask(reference, images[0].affine)
    found = estimate_motion(arrays(images), images[0].affine, reference=reference, mask=mask)
    for estimate, truth in zip(found, MOVES, strict=True):
        assert distance_mm(estimate, truth, anatomy.brain_points) < 0.08


def test_two_passes_recover_bold_motion(anatomy, volumes: list[nib.Nifti1Image]) -> None:
    found = bold_motion(arrays(volumes), anatomy.grid.affine)
    assert found.reliable.all()
    for estimate, truth in zip(found.transforms, MOVES, strict=True):
        relative = estimate @ ~found.transforms[0] @ MOVES[0]
        assert distance_mm(relative, truth, anatomy.brain_points) < 0.06
    true_fd = framewise_displacement(MOVES, center=found.center)
    fd = framewise_displacement(found.transforms, center=found.center)
    np.testing.assert_allclose(fd, true_fd, atol=0.1)


def test_two_runs_agree_bit_for_bit(anatomy, volumes: list[nib.Nifti1Image]) -> None:
    first, second = (bold_motion(arrays(volumes), anatomy.grid.affine).transforms for _ in range(2))
    assert all(np.array_equal(a.matrix, b.matrix) for a, b in zip(first, second, strict=True))


def test_scaled_volume_has_not_moved(anatomy, epi: nib.Nifti1Image) -> None:
    data = np.asarray(epi.dataobj)
    mask = signal_mask(data, epi.affine)
    (found,) = estimate_motion([1.3 * data], epi.affine, reference=data, mask=mask)
    assert distance_mm(found, Affine(), anatomy.brain_points) < 1e-3


def test_frames_are_read_once_and_one_at_a_time(anatomy, epi: nib.Nifti1Image) -> None:
    data = np.asarray(epi.dataobj)
    frames = (data for _ in range(3))
    mask = signal_mask(data, epi.affine)
    assert len(estimate_motion(frames, epi.affine, reference=data, mask=mask)) == 3


def test_nan_in_a_frame_names_it(anatomy, epi: nib.Nifti1Image) -> None:
    data = np.asarray(epi.dataobj)
    broken = data.copy()
    broken[3, 3, 3] = np.nan
    with pytest.raises(InputError, match="frame 1 of the series"):
        estimate_motion(
            [data, broken], epi.affine, reference=data, mask=signal_mask(data, epi.affine)
        )


def test_mask_covers_the_brain_and_little_air(anatomy, volumes: list[nib.Nifti1Image]) -> None:
    mask = signal_mask(np.asarray(volumes[0].dataobj), anatomy.grid.affine)
    brain = np.asarray(anatomy.mask.dataobj) > 0.5
    assert mask[brain].mean() > 0.97
    assert mask.sum() < 1.6 * brain.sum()


@pytest.mark.parametrize("name", ["anat/someones_epi.nii.gz", "anat/niivue_fmri.nii.gz"])
def test_mask_of_a_real_epi_is_one_head(name: str, shared_data: Path) -> None:
    epi = nib.load(shared_data / name)
    data = np.asarray(epi.dataobj, dtype=np.float32)
    data = data if data.ndim == 3 else data[..., 0]
    litres = signal_mask(data, epi.affine).sum() * Grid.of(epi).spacing_mm.prod() / 1e6
    assert 0.8 < litres < 2.5


def test_empty_reference_has_no_mask() -> None:
    with pytest.raises(RegistrationError, match="no signal"):
        signal_mask(np.zeros((5, 5, 5)), np.eye(4))
