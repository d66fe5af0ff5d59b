"""A dynamic PET scan of a simulated head: kinetics, resolution, movement, counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine
from petfmri.simulation.anatomy import Head, grid_around
from petfmri.simulation.motion import Movement, head_offset, pet_movement
from petfmri.simulation.presets import Preset
from petfmri.simulation.sampling import Sampler, blur, spline
from petfmri.simulation.tracer import decay_factor
from petfmri.typing import FloatArray, IntArray

FIELD_OF_VIEW_MM = (222.0, 258.0, 210.0)
RADIOLOGICAL = np.diag([-1.0, 1.0, 1.0])  # PET is stored with x to the left
RANK_TOLERANCE = 1e-4  # of the largest activity
LARGEST_RANK = 8
NOISE_FWHM_MM = 4.0  # correlation that reconstruction leaves in the noise
NOISE_FLOOR = 0.02  # activity, relative to the largest, that noise outside the head answers to
HEADROOM = 1.6  # of the integer range over the largest true activity


@dataclass(frozen=True, eq=False)
class PetScan:
    """A simulated PET scan.

    Parameters
    ----------
    grid : Grid
    frames : int16 array of shape (x, y, z, n_frames)
        Multiply by `slope` to get Bq/mL, decay corrected to the injection.
    slope : float
    from_pet_to_t1w : Affine
        Moves the PET image (its motion reference) onto the T1w image: maps points of the T1w
        image to points of PET.
    movement : Movement
        Maps points of the motion reference to points of each frame.
    blurred : array of shape (n_labels, n_frames), kBq/mL
        Mean over each mask that was asked for, after the resolution of the scanner and before
        movement and noise.
    """

    grid: Grid
    frames: IntArray
    slope: float
    from_pet_to_t1w: Affine
    movement: Movement
    blurred: FloatArray


def simulate_pet(
    head: Head, tac: FloatArray, masks: IntArray, preset: Preset, rng: np.random.Generator
) -> PetScan:
    """Scan a head whose compartments follow known curves.

    Parameters
    ----------
    head : Head
    tac : array of shape (n_compartments, n_frames), kBq/mL
        Curves of compartments 1, 2, ... of `head.compartment`.
    masks : int array of shape `head.grid.shape`
        Labels 1, 2, ... over which the blurred truth is averaged.
    preset : Preset
    rng : Generator
    """
    weights, courses = low_rank(tac)
    from_pet_to_t1w = head_offset(*preset.pet_offset, head.center, rng)
    center = from_pet_to_t1w.map(head.center[None])[0]
    middle = preset.frame_start_s + preset.frame_duration_s / 2
    movement = pet_movement(middle, preset.pet_drift_mm, preset.pet_jump_mm, center, rng)
    grid = grid_around(center, FIELD_OF_VIEW_MM, preset.pet_mm, RADIOLOGICAL)
    sampler = Sampler(head, from_pet_to_t1w, grid, movement.reach_mm + preset.psf_fwhm_mm)
    truth, splines = [], []
    for column in weights.T:
        image = blur(paint(column, head.compartment), head.grid, preset.psf_fwhm_mm)
        truth.append(region_means(image, masks))
        splines.append(spline(image))
    slope = 1000 * HEADROOM * float(tac.max()) / np.iinfo(np.int16).max
    frames = np.empty((*grid.shape, tac.shape[1]), dtype=np.int16, order="F")
    sd = _noise_scale(tac, preset).astype(np.float32)
    for number, course in enumerate(courses.T.astype(np.float32)):
        coefficients = sum(c * s for c, s in zip(course, splines, strict=True))
        image = sampler.read(np.asarray(coefficients), movement[number])
        image += sd[number] * _correlated_noise(image, float(tac.max()), grid, rng)
        levels = np.rint(image * np.float32(1000 / slope))
        frames[..., number] = np.clip(levels, -(2**15), 2**15 - 1)
    blurred = np.stack(truth, axis=1) @ courses
    return PetScan(grid, frames, slope, from_pet_to_t1w, movement, blurred)


def low_rank(tac: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Write curves as few spatial weights times time courses: what is blurred and moved.

    Returns
    -------
    weights : array of shape (n_compartments, rank)
    courses : array of shape (rank, n_frames)
        ``weights @ courses`` equals `tac` to 1e-4 of its largest value.

    Examples
    --------
    >>> weights, courses = low_rank(np.outer([1.0, 2.0, 5.0], [3.0, 2.0]))
    >>> weights.shape, courses.shape
    ((3, 1), (1, 2))
    """
    left, size, right = np.linalg.svd(tac, full_matrices=False)
    for rank in range(1, len(size) + 1):
        weights, courses = left[:, :rank] * size[:rank], right[:rank]
        if np.abs(weights @ courses - tac).max() <= RANK_TOLERANCE * np.abs(tac).max():
            break
    if rank > LARGEST_RANK:
        raise AssertionError(f"smooth curves need {rank} basis images, not at most {LARGEST_RANK}")
    return weights, courses


def paint(values: FloatArray, compartment: IntArray) -> FloatArray:
    """Give every voxel the value of its compartment (1, 2, ...), and 0 to compartment 0."""
    return np.concatenate([[0.0], values]).astype(np.float32)[compartment]


def region_means(image: FloatArray, labels: IntArray) -> FloatArray:
    """Average an image over labels 1, 2, ...; NaN for a label without voxels."""
    flat = labels.ravel()
    count = np.bincount(flat)
    total = np.bincount(flat, weights=image.ravel())
    with np.errstate(invalid="ignore"):
        return np.asarray((total / count)[1:])


def _noise_scale(tac: FloatArray, preset: Preset) -> FloatArray:
    """Return the noise SD per frame at the largest activity, kBq/mL: counts follow Poisson."""
    factor = decay_factor(preset.frame_start_s, preset.frame_duration_s)
    standard = decay_factor(np.array([4350.0]), np.array([300.0]))
    relative = np.sqrt(factor / preset.frame_duration_s / (standard / 300.0))
    return np.asarray(preset.pet_noise_percent / 100 * float(tac.max()) * relative)


def _correlated_noise(
    activity: FloatArray, largest: float, grid: Grid, rng: np.random.Generator
) -> FloatArray:
    """Draw noise with variance in proportion to activity, SD 1 at the largest, and correlated."""
    white = rng.standard_normal(activity.shape, dtype=np.float32)
    smooth = blur(white, grid, NOISE_FWHM_MM)
    smooth /= smooth.std()
    level = np.sqrt(np.maximum(activity / np.float32(largest), np.float32(NOISE_FLOOR)))
    return np.asarray(smooth * level)
