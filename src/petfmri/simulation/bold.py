"""A BOLD run of a simulated head: parcel series, contrast, dummy scans, movement, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Warp, rigid
from petfmri.simulation.anatomy import AIR, CSF, GREY, SOFT, WHITE, Head, bias_field, grid_around
from petfmri.simulation.connectivity import NetworkModel, slow_noise
from petfmri.simulation.distortion import draw_distortion, squeeze
from petfmri.simulation.motion import Movement, bold_movement, head_offset
from petfmri.simulation.presets import Preset
from petfmri.simulation.sampling import Sampler, blur, spline
from petfmri.typing import FloatArray, IntArray

FIELD_OF_VIEW_MM = (200.0, 224.0, 172.0)
SLICE_PITCH_DEG = -8.0  # slices tilted backwards: an oblique affine
INTENSITY = {AIR: 0.0, CSF: 900.0, GREY: 600.0, WHITE: 470.0, SOFT: 200.0}  # T2*-weighted
EXCESS = {AIR: 0.0, CSF: 0.9, GREY: 0.45, WHITE: 0.3, SOFT: 0.4}  # of the first volume
EQUILIBRIUM_S = 1.3
RECEIVE_BIAS_PERCENT = 15.0
SIGNAL_PERCENT = 1.0  # SD of parcel series in grey matter
PHYSIOLOGY_PERCENT = {AIR: 0.0, CSF: 0.6, GREY: 0.1, WHITE: 0.1, SOFT: 0.0}
DRIFT_PERCENT = 0.5
SMALLEST_WEIGHT = 0.02  # of a region in a voxel; less is left out
SMALLEST_PHYSIOLOGY = 0.05  # units of the image
SAMPLED = 25  # of how many grey-matter voxels one is looked at to set the noise
SMALLEST_NOISE = 0.2  # share of the noise that remains where signal alone exceeds the tSNR


@dataclass(frozen=True, eq=False)
class BoldModel:
    """What every run of a person shares, as spline coefficients on the head's grid.

    Parameters
    ----------
    baseline, excess : array of shape `head.grid.shape`
        Contrast in the steady state; what the first volume has on top.
    voxels : int array of shape (n,)
        Flat indices of the voxels that fluctuate.
    weights : sparse array of shape (n, n_regions + 1)
        How these voxels follow the regions and, in the last column, physiology.
    """

    baseline: FloatArray
    excess: FloatArray
    voxels: IntArray
    weights: sparse.csr_array


@dataclass(frozen=True, eq=False)
class BoldRun:
    """A simulated BOLD run.

    Parameters
    ----------
    grid : Grid
    volumes : int16 array of shape (x, y, z, n_volumes)
    from_boldref_to_t1w : Affine
        Moves the BOLD image (its motion reference) onto the T1w image: maps points of the T1w
        image to points of BOLD.
    movement : Movement
        Maps points of the motion reference to points of each volume.
    series : array of shape (n_volumes, n_regions)
        True parcel series, SD 1.
    noise_sd : float
        SD of the thermal noise, in units of the image.
    distortion : Warp, optional
        Maps points of the motion reference to where they would lie without distortion, which is
        where `from_boldref_to_t1w` takes points of the T1w image to.
    """

    grid: Grid
    volumes: IntArray
    from_boldref_to_t1w: Affine
    movement: Movement
    series: FloatArray
    noise_sd: float
    distortion: Warp | None = None


def simulate_bold(
    head: Head,
    networks: NetworkModel,
    preset: Preset,
    rng: np.random.Generator,
    model: BoldModel | None = None,
) -> BoldRun:
    """Scan a head whose parcels follow series with known connectivity.

    Parameters
    ----------
    head : Head
    networks : NetworkModel
    preset : Preset
    rng : Generator
    model : BoldModel, optional
        Of the same head, to make it once for several runs.
    """
    from_boldref_to_t1w = head_offset(*preset.bold_offset, head.center, rng)
    center = from_boldref_to_t1w.map(head.center[None])[0]
    movement = bold_movement(preset.n_volumes, preset.mean_fd_mm, center, rng)
    axes = rigid(rotation_deg=(SLICE_PITCH_DEG, 0, 0)).matrix[:3, :3]
    grid = grid_around(center, FIELD_OF_VIEW_MM, preset.bold_mm, axes)
    series = networks.series(
        preset.n_volumes, preset.repetition_time_s, rng, settling=preset.n_dummies
    )
    model = bold_model(head, preset.bold_mm) if model is None else model
    gain = bias_field(grid, RECEIVE_BIAS_PERCENT, rng)
    drift, excess, physiology = _whole_head_courses(preset, rng)
    margin_mm = movement.reach_mm + preset.bold_mm + preset.bold_distortion_mm
    distortion = None
    if preset.bold_distortion_mm > 0:
        distortion = draw_distortion(
            head, from_boldref_to_t1w, grid, preset.bold_distortion_mm, rng.spawn(1)[0]
        )
        gain = gain * squeeze(distortion, grid)
    sampler = Sampler(head, from_boldref_to_t1w, grid, margin_mm, distortion)
    courses = np.column_stack([series * SIGNAL_PERCENT / 100, physiology]).astype(np.float32)
    noise_sd = np.float32(thermal_noise_sd(model, courses, preset.tsnr))
    volumes = np.empty((*grid.shape, preset.n_volumes), dtype=np.int16, order="F")
    coefficients = model.baseline.copy()
    resting = coefficients.ravel()[model.voxels]
    for number in range(preset.n_volumes):
        coefficients.ravel()[model.voxels] = resting + model.weights @ courses[number]
        volume = sampler.read(coefficients, movement[number])
        if excess[number] > 0:
            volume += excess[number] * sampler.read(model.excess, movement[number])
        volume *= drift[number] * gain
        volume += noise_sd * rng.standard_normal(grid.shape, dtype=np.float32)
        volumes[..., number] = np.rint(np.abs(volume))
    return BoldRun(
        grid, volumes, from_boldref_to_t1w, movement, series, float(noise_sd), distortion
    )


def bold_model(head: Head, fwhm_mm: float) -> BoldModel:
    """Prepare what every run of a person shares: images as spline coefficients.

    Parameters
    ----------
    head : Head
    fwhm_mm : float, mm
        How far a BOLD voxel mixes its surroundings.
    """
    contrast = blur(_of_tissue(INTENSITY, head), head.grid, fwhm_mm)
    excess = blur(_of_tissue(INTENSITY, head) * _of_tissue(EXCESS, head), head.grid, fwhm_mm)
    physiology = blur(
        _of_tissue(INTENSITY, head) * _of_tissue(PHYSIOLOGY_PERCENT, head) / 100, head.grid, fwhm_mm
    )
    weights = sparse.hstack(
        [_region_weights(head, contrast, fwhm_mm), _column(spline(physiology))], format="csr"
    )
    voxels = np.flatnonzero(np.diff(weights.indptr))
    return BoldModel(spline(contrast), spline(excess), voxels, weights[voxels])


def _region_weights(head: Head, contrast: FloatArray, fwhm_mm: float) -> sparse.csc_array:
    """Return spline coefficients of contrast times the blurred mask of every region's grey matter.

    Returns
    -------
    sparse array of shape (n_voxels, n_regions), float32
    """
    regions = np.where(head.tissue == GREY, head.compartment, 0)
    margin = int(np.ceil(2 * fwhm_mm / head.grid.spacing_mm.min()))
    numbers = np.arange(head.grid.size).reshape(head.grid.shape)
    rows, values, counts = [], [], np.zeros(head.n_regions, dtype=int)
    boxes = ndimage.find_objects(regions, max_label=head.n_regions)
    for region, box in enumerate(boxes):
        if box is None:
            continue
        wide = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in box)
        share = blur((regions[wide] == region + 1).astype(np.float32), head.grid, fwhm_mm)
        weight = spline(contrast[wide] * share)
        kept = np.abs(weight) > SMALLEST_WEIGHT * INTENSITY[GREY]
        rows.append(numbers[wide][kept])
        values.append(weight[kept])
        counts[region] = kept.sum()
    return sparse.csc_array(
        (np.concatenate(values), np.concatenate(rows), np.concatenate([[0], counts.cumsum()])),
        shape=(head.grid.size, head.n_regions),
    )


def _column(image: FloatArray) -> sparse.csc_array:
    flat = np.where(np.abs(image) > SMALLEST_PHYSIOLOGY, image, 0).reshape(-1, 1)
    return sparse.csc_array(flat)


def thermal_noise_sd(model: BoldModel, courses: FloatArray, tsnr: float) -> float:
    """Return the noise SD that, on top of signal and physiology, gives grey matter its tSNR.

    Parameters
    ----------
    model : BoldModel
    courses : array of shape (n_volumes, n_regions + 1)
        What the weights of the model are multiplied with.
    tsnr : float
        Median over grey matter of mean over temporal SD, without movement.
    """
    mean = model.baseline.ravel()[model.voxels]
    grey = np.flatnonzero(np.abs(mean / INTENSITY[GREY] - 1) < 0.05)[::SAMPLED]
    varying = (model.weights[grey] @ courses.T).std(axis=1) / mean[grey]
    others = float(np.median(varying) ** 2)
    return INTENSITY[GREY] * float(np.sqrt(max(tsnr**-2 - others, (SMALLEST_NOISE / tsnr) ** 2)))


def _whole_head_courses(
    preset: Preset, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return scanner drift (around 1), approach to equilibrium (from 1), physiology (SD 1)."""
    time = np.arange(preset.n_volumes) * preset.repetition_time_s
    progress = np.linspace(-1, 1, preset.n_volumes)
    drift = 1 + DRIFT_PERCENT / 100 * (rng.normal() * progress + rng.normal() * progress**2)
    excess = np.exp(-time / EQUILIBRIUM_S)
    excess[excess < 1e-4] = 0
    physiology = slow_noise(preset.n_volumes, 1, preset.repetition_time_s, rng)[:, 0]
    return drift.astype(np.float32), excess.astype(np.float32), physiology


def _of_tissue(values: dict[int, float], head: Head) -> FloatArray:
    """Give every voxel the value of its tissue."""
    table = np.zeros(max(values) + 1, dtype=np.float32)
    table[list(values)] = list(values.values())
    return np.asarray(table[head.tissue])
