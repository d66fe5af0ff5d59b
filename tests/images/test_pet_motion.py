from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm
from tests.images.test_motion import move

from petfmri.errors import InputError, RegistrationError
from petfmri.images.frame_alignment import AlignedFrame, FrameAligner, _spline_slope
from petfmri.images.pet_motion import _averaged, no_motion, pet_motion
from petfmri.images.transforms import Affine, rigid

PET_MOVES = [
    *[Affine()] * 3,
    *[move(0, 0, 0.5, 0.3, 0, 0)] * 2,
    *[move(0.5, 0, 1, 0.6, 0, 0)] * 2,
    *[move(0.5, 6, 1, 0.6, 2, 0)] * 3,  # a jump of 6 mm
]
PET_DURATIONS = np.array([10, 30, 60, 120, 300, 300, 300, 300, 300, 300.0])


@pytest.fixture(scope="module")
def pet_frames(anatomy) -> list[np.ndarray]:
    """An empty first frame, a perfusion-like early phase, then grey matter rising."""
    frames = []
    for number, (gm, wm, noise) in enumerate(
        [(0, 0, 3.0), (2, 1, 3.0), (6, 2.5, 2.0), *[(10 + n, 3, 1.0) for n in range(7)]]
    ):
        image = anatomy.weighted(gm=gm, wm=wm, csf=0.2, rest=0.3 * gm)
        frame = acquired(image, PET_MOVES[number], anatomy.grid.spaced(4.0), noise, seed=number)
        frames.append(np.asarray(frame.dataobj))
    return frames


def test_pet_motion_comes_back_and_the_empty_frame_is_flagged(anatomy, pet_frames) -> None:
    affine = anatomy.grid.spaced(4.0).affine
    found = pet_motion(pet_frames, affine, durations_s=PET_DURATIONS)
    assert 0 in found.borrowed
    assert max(found.borrowed) < 2
    gauge = ~found.transforms[-1] @ PET_MOVES[-1]
    for estimate, truth in list(zip(found.transforms, PET_MOVES, strict=True))[2:]:
        assert distance_mm(estimate @ gauge, truth, anatomy.brain_points) < 0.35
    nearest = int(found.motion_from[0])
    assert found.motion_from[nearest] == nearest
    assert found.transforms[0] == found.transforms[nearest]
    assert found.reference.shape == pet_frames[0].shape


def test_durations_of_another_scan(pet_frames) -> None:
    with pytest.raises(InputError, match="found 2 values; expected 10"):
        pet_motion(pet_frames, np.eye(4), durations_s=np.ones(2))


@pytest.mark.parametrize("wrong", [0.0, -60.0, np.nan, np.inf])
def test_durations_that_are_none_name_the_field_of_the_sidecar(wrong: float) -> None:
    frames, durations = [np.ones((2, 2, 2))] * 2, np.array([60.0, wrong])
    for align in (pet_motion, no_motion):
        with pytest.raises(InputError, match=f"FrameDuration: found {wrong:g} s in frame 1"):
            align(frames, np.eye(4), durations_s=durations)


@pytest.mark.parametrize("wrong", [np.full((3, 3, 3), np.nan), np.ones((3, 3, 1))])
@pytest.mark.parametrize("number", [0, 2])
def test_broken_frames_are_refused_without_motion_too(wrong: np.ndarray, number: int) -> None:
    frames = [np.ones((3, 3, 3))] * 3
    frames[number] = wrong
    with pytest.raises(InputError, match=r"frame [012] of the series"):
        no_motion(frames, np.eye(4), durations_s=np.array([60.0, 60, 60]))


def test_series_of_noise_cannot_be_aligned(anatomy, rng: np.random.Generator) -> None:
    frames = [rng.normal(0, 1, (20, 20, 20)).astype(np.float32) for _ in range(4)]
    frames[0] += 5  # even the mean has no structure to hold on to
    with pytest.raises(RegistrationError, match="no frame that could be aligned"):
        pet_motion(frames, np.diag([4.0, 4, 4, 1]), durations_s=np.ones(4))


class Passes:
    """Frames that can only be read in order, one at a time; counts how often that happens."""

    def __init__(self, frames: list[np.ndarray]) -> None:
        self.frames, self.passes = frames, 0

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        self.passes += 1
        yield from self.frames


def test_frames_are_read_in_two_passes(anatomy, pet_frames) -> None:
    scan = Passes(pet_frames[-4:])
    pet_motion(scan, anatomy.grid.spaced(4.0).affine, durations_s=PET_DURATIONS[-4:])
    assert scan.passes == 2


def test_voxels_as_wide_as_the_smoothing(anatomy) -> None:
    """Steps that were too long went back and forth here, and good frames borrowed motion."""
    grid = anatomy.grid.spaced(6.0)
    image = anatomy.weighted(gm=10, wm=3, csf=0.5, rest=1)
    moves = [Affine(), move(1, -1, 0.5, 0.5, 0, 0.5), move(-3, 4, -4, 1, -0.5, 0.5)]
    frames = [
        np.asarray(acquired(image, pose, grid, noise=0.3, seed=seed).dataobj)
        for seed, pose in enumerate(moves)
    ]
    found = pet_motion(frames, grid.affine, durations_s=np.array([2700, 900.0, 900]))
    assert found.borrowed == []
    gauge = ~found.transforms[0] @ moves[0]
    for estimate, truth in zip(found.transforms, moves, strict=True):
        assert (
            distance_mm(estimate @ gauge, truth, anatomy.brain_points) < 0.6
        )  # a tenth of a voxel


def test_noisy_frames_do_not_hold_on_to_their_own_noise(anatomy) -> None:
    """A jump of 5 mm before the last two of six frames; each was part of its own reference."""
    grid = anatomy.grid.spaced(4.0)
    image = anatomy.weighted(gm=10, wm=3, csf=0.5, rest=1)
    moves = [*[Affine()] * 4, *[move(2, 4, 2, 1, 0, 1)] * 2]
    frames = [
        np.asarray(acquired(image, pose, grid, noise=8, seed=seed).dataobj)
        for seed, pose in enumerate(moves)
    ]
    found = pet_motion(frames, grid.affine, durations_s=np.full(6, 300.0))
    assert found.borrowed == []
    jumps = [
        ~found.transforms[first] @ found.transforms[last] for first in (2, 3) for last in (4, 5)
    ]
    errors = [distance_mm(jump, moves[-1], anatomy.brain_points) for jump in jumps]
    expected = np.hypot(found.expected_error_mm[3], found.expected_error_mm[4])
    assert np.mean(errors) < 2 * expected
    assert np.mean(found.expected_error_mm) > 0.1


def test_slope_is_that_of_the_spline() -> None:
    """Of a wave of six voxels: neighbours' differences give 0.83 of it."""
    wave = 2 * np.pi / 6
    volume = np.sin(wave * np.arange(49))[:, None, None] * np.ones((1, 4, 4))
    slope = _spline_slope(volume, 0)[12:37, 1, 1]
    np.testing.assert_allclose(slope, wave * np.cos(wave * np.arange(12, 37)), atol=0.02 * wave)
    np.testing.assert_allclose(_spline_slope(volume, 1), 0, atol=1e-5)


def test_static_scan_of_one_frame_has_not_moved(anatomy, pet_frames) -> None:
    affine = anatomy.grid.spaced(4.0).affine
    found = pet_motion(pet_frames[-1:], affine, durations_s=np.array([1800.0]))
    assert distance_mm(found.transforms[0], Affine(), anatomy.brain_points) < 1e-3
    assert found.borrowed == [] and found.averaged.tolist() == [1]
    np.testing.assert_allclose(found.reference, pet_frames[-1], rtol=1e-4, atol=1e-3)


def test_change_of_contrast_is_not_taken_for_motion(anatomy, orient) -> None:
    """Activity shifts from the front to the back of a head that lies still."""
    image = orient(anatomy.weighted(gm=10, wm=4, csf=1))
    data = np.asarray(image.dataobj)
    world = Affine(image.affine).map(np.argwhere(np.ones(data.shape)).astype(float))
    front = (world[:, 1] / 90).reshape(data.shape).astype(np.float32)
    frames = [data * (1 - 0.25 * front), data * (1 + 0.25 * front)]
    mask = data > 3
    for contrast_changes, limit_mm in ((True, 0.05), (False, np.inf)):
        aligner = FrameAligner(data, image.affine, mask, 6.0, contrast_changes=contrast_changes)
        moves = [fit.transform for fit in aligner.fit_all(frames)]
        error = [distance_mm(found, Affine(), anatomy.brain_points) for found in moves]
        assert max(error) < limit_mm
    assert min(error) > 0.15  # what one scale for the whole head would make of it


def test_expected_error_is_that_of_noisy_frames(anatomy) -> None:
    grid = anatomy.grid.spaced(4.0)
    image = anatomy.weighted(gm=10, wm=4, csf=1)
    reference = np.asarray(acquired(image, Affine(), grid, noise=0).dataobj)
    aligner = FrameAligner(
        reference, grid.affine, reference > 3, 6.0, samples=12000, contrast_changes=True
    )
    noisy = [acquired(image, Affine(), grid, noise=12.0, seed=n) for n in range(6)]
    fits = [aligner.fit(np.asarray(frame.dataobj), Affine()) for frame in noisy]
    moved = [fit.transform.map(aligner.points) - aligner.points for fit in fits]
    actual = np.sqrt(np.mean([(step**2).sum(axis=1).mean() for step in moved]))
    expected = np.sqrt(np.mean([fit.error_mm**2 for fit in fits]))
    assert actual > 0.05 and 0.6 < expected / actual < 1.6


def test_frames_within_a_minute_are_averaged_unless_the_head_moved(anatomy) -> None:
    data = np.asarray(anatomy.weighted(gm=10, wm=4, csf=1).dataobj)
    aligner = FrameAligner(data, anatomy.grid.affine, data > 3, 6.0)
    fits = [
        AlignedFrame(rigid((x, 0, 0)), error)
        for x, error in ((0.0, 0.2), (0.3, 0.1), (3.0, 0.1), (0.0, np.inf))
    ]
    moves, counts = _averaged(fits, np.array([10.0, 20.0, 30.0, 40.0]), aligner)
    assert [move.matrix[0, 3] for move in moves] == pytest.approx([0.24, 0.24, 3.0, 0.0])
    assert counts.tolist() == [2, 2, 1, 1]
    far, alone = _averaged(fits, np.array([10.0, 80.0, 150.0, 220.0]), aligner)
    assert [move.matrix[0, 3] for move in far] == [0, 0.3, 3, 0] and set(alone) == {1}


def test_motion_off_keeps_the_frames_where_they_are(pet_frames) -> None:
    scan = no_motion(pet_frames, np.diag([4.0, 4, 4, 1]), durations_s=PET_DURATIONS)
    assert all(move.is_identity for move in scan.transforms)
    late = np.average(pet_frames[6:], axis=0, weights=PET_DURATIONS[6:])
    np.testing.assert_allclose(scan.reference, late, rtol=1e-4, atol=1e-4)


def test_broken_frame_is_named(pet_frames) -> None:
    frames = [*pet_frames[:-1], np.full_like(pet_frames[-1], np.nan)]
    with pytest.raises(InputError, match="frame 9 of the series"):
        pet_motion(frames, np.diag([4.0, 4, 4, 1]), durations_s=PET_DURATIONS)
