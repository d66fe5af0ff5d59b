"""Susceptibility distortion of an EPI without a fieldmap: registration along the phase encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from petfmri.errors import InputError, RegistrationError
from petfmri.images.boundary import boundary_cost, find_boundary, refine
from petfmri.images.cropping import shrunk
from petfmri.images.frame_alignment import FWHM_TO_SIGMA
from petfmri.images.resampling import Grid, carry_probability, resample
from petfmri.images.spline_field import SplineField
from petfmri.images.transforms import Affine, Transform, Warp
from petfmri.typing import BoolArray, FloatArray

KNOTS_MM = 12.0
GAIN_MM = 3.5  # SD of the window in which the EPI may be brighter or darker than the model
# Smoothing (FWHM, mm), voxels by which the brain is grown, stiffness, steps: from coarse to fine.
LEVELS = ((8.0, 2, 1.0, 8), (5.0, 0, 3.0, 8), (3.0, -1, 3.0, 4))
SHRUNK = 2 / 3  # voxel size of the tissues, relative to the EPI
MARGIN_VOXELS = 4  # around the brain
ROUNDS = 2  # of field and position
LEAST_GAIN = 0.002  # relative fall of the boundary cost from which a correction is believed
VOLUME_MM3 = 27.0  # that weighs 1 against the stiffness, whatever the size of voxels
OUTLIER_SD = 2.0  # residuals beyond it weigh less
LARGEST_SQUEEZE = 0.7


@dataclass(frozen=True)
class Undistorted:
    """How an EPI lies on the T1w, and the verdict on its distortion.

    Parameters
    ----------
    xfm : Affine
        Points of the EPI, freed of distortion, to points of the T1w.
    distortion : Warp or None
        Points of the EPI to where they would lie without distortion; None when what was found
        does not fit the EPI better than none.
    cost_before, cost_after : float
        Of the white matter boundary (`boundary_cost`), without and with what was found.
    """

    xfm: Affine
    distortion: Warp | None
    cost_before: float
    cost_after: float

    @property
    def largest_mm(self) -> float:
        """The largest displacement that is corrected, mm."""
        return (
            0.0
            if self.distortion is None
            else float(np.linalg.norm(self.distortion.displacement, axis=-1).max())
        )

    @property
    def verdict(self) -> str:
        """One sentence for a sidecar."""
        change = 100 * (self.cost_after / self.cost_before - 1)
        told = f"the cost of the white matter boundary changed by {change:+.1f} %"
        if self.distortion is None:
            return f"What was found is not used: {told}."
        return f"Corrected: {told}."

    @property
    def to_t1w(self) -> Transform:
        """Points of the EPI as it is to points of the T1w."""
        return self.xfm if self.distortion is None else self.xfm @ self.distortion


def undistort(
    epi: nib.Nifti1Image, start: Affine, tissues: Sequence[nib.Nifti1Image], *, axis: int
) -> Undistorted:
    """Find how distortion moved the voxels of an EPI along its phase encoding, and judge it.

    Field and position are found in turns. The field fits the EPI to an EPI made of the tissues,
    the position and the verdict follow the boundary of white matter (`refine`): two measures that
    do not know of each other.

    Parameters
    ----------
    epi : Nifti1Image, 3-D
        The BOLD reference.
    start : Affine
        Points of `epi` to points of the T1w, refined as if there were no distortion.
    tissues : three Nifti1Image, 3-D
        Shares of grey matter, white matter and CSF on the grid of the T1w.
    axis : int
        Voxel axis of the phase encoding; its sign does not matter.

    Returns
    -------
    Undistorted
        The start itself, without field, when the cost of the boundary falls by less than 0.2 % or
        the field found folds.
        Brightness is not corrected for stretching: a series is never compared across voxels.

    Raises
    ------
    RegistrationError
        If the maps have no boundary.

    References
    ----------
    Studholme C, Constable RT, Duncan JS. Accurate alignment of functional EPI data to anatomical
    MRI using a physics-based distortion model. IEEE Trans Med Imaging 2000;19:1115-1127.
    """
    grey, white, _ = tissues
    boundary = find_boundary(grey, white)
    before = boundary_cost(epi, start, boundary)
    xfm, grid = start, Grid.of(epi)
    for _ in range(ROUNDS):
        into_epi = distortion_field(epi, xfm, tissues, axis=axis)
        xfm = refine(resample(epi, into_epi, grid), xfm, grey, white)
    try:
        back = ~into_epi
    except RegistrationError:  # it folds
        return Undistorted(start, None, before, before)
    found = Undistorted(xfm, back, before, boundary_cost(epi, xfm @ back, boundary))
    if found.cost_after > (1 - LEAST_GAIN) * before:
        return Undistorted(start, None, before, found.cost_after)
    return found


def distortion_field(
    epi: nib.Nifti1Image, to_t1w: Affine, tissues: Sequence[nib.Nifti1Image], *, axis: int
) -> Warp:
    """Fit a smooth displacement along one voxel axis, so that the EPI fits the tissues.

    Least squares (Gauss-Newton, residuals weighed by Huber) between the EPI and a sum of tissue
    shares whose brightnesses, and a local gain, are fitted along; cubic B-splines 12 mm apart with
    a price on bending.

    Parameters
    ----------
    epi : Nifti1Image, 3-D
    to_t1w : Affine
        Points of `epi`, freed of distortion, to points of the T1w.
    tissues : sequence of Nifti1Image, 3-D
        Shares of grey matter, white matter and CSF on the grid of the T1w.
    axis : int
        Voxel axis of the phase encoding.

    Returns
    -------
    Warp
        Points without distortion to points of `epi`, on the grid of `epi`.

    Raises
    ------
    InputError
        If no tissue lies in the EPI.
    """
    grid = Grid.of(epi)
    coarse = [shrunk(tissue, SHRUNK * float(grid.spacing_mm.mean())) for tissue in tissues]
    shares = [np.asarray(carry_probability(part, to_t1w, grid).dataobj) for part in coarse]
    box = _box(np.sum(shares, axis=0) > 0.1)
    shares = [share[box] for share in shares]
    brain: FloatArray = np.sum(shares, axis=0)
    parts = np.stack([*shares, 1 - np.clip(brain, 0, 1)])
    values = np.asarray(epi.dataobj, dtype=np.float32)[box]
    fit = _Fit(values, parts, grid.spacing_mm, axis)
    for fwhm_mm, growth, stiffness, steps in LEVELS:
        fit.run(fwhm_mm, _grown(brain > 0.5, growth), stiffness, steps)
    beside = [(part.start, size - part.stop) for part, size in zip(box, grid.shape, strict=True)]
    shift = np.pad(fit.shift_mm, beside, mode="edge")
    along = grid.affine[:3, axis] / grid.spacing_mm[axis]
    return Warp(shift[..., None] * along, grid.affine)


class _Fit:
    """The field and its fit to the EPI, from level to level."""

    def __init__(
        self, values: FloatArray, parts: FloatArray, spacing_mm: FloatArray, axis: int
    ) -> None:
        self.values, self.parts, self.spacing_mm, self.axis = values, parts, spacing_mm, axis
        x, y, z = values.shape
        self.splines = SplineField((x, y, z), spacing_mm, KNOTS_MM)
        self.coefficients = np.zeros(self.splines.shape, dtype=np.float32)
        self.gain = np.ones_like(values)

    @property
    def shift_mm(self) -> FloatArray:
        """The displacement of every voxel."""
        return self.splines.values(self.coefficients)

    def run(self, fwhm_mm: float, where: BoolArray, stiffness: float, steps: int) -> None:
        """Take some steps at one smoothing; the model has the resolution of a voxel besides."""
        smooth = self._blurred(self.values, fwhm_mm * FWHM_TO_SIGMA)
        image = ndimage.spline_filter1d(smooth, 3, self.axis, np.float32, "mirror")
        width = float(np.hypot(fwhm_mm, self.spacing_mm.mean())) * FWHM_TO_SIGMA
        parts = np.stack([self._blurred(part, width) for part in self.parts])
        for _ in range(steps):
            curvature, slope = self._derivatives(image, parts, where)
            self.coefficients = self.coefficients + self.splines.step(
                curvature, slope, self.coefficients, stiffness
            )

    def _derivatives(
        self, image: FloatArray, parts: FloatArray, where: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return second and first derivative of half the cost by the shift, per mm."""
        shift = self.shift_mm / self.spacing_mm[self.axis]
        there = np.indices(shift.shape, dtype=np.float32, sparse=True)[self.axis] + shift
        read = _read_along(image, there, self.axis)
        seen = where & (there >= 0) & (there <= shift.shape[self.axis] - 1)
        model = self._modelled(read, parts, seen)
        residual = read - model
        scale = 1.4826 * float(np.median(np.abs(residual[seen]))) + 1e-6
        weight = seen / np.maximum(1, np.abs(residual) / (OUTLIER_SD * scale))
        stretch = np.maximum(1 + np.gradient(shift, axis=self.axis), 1 - LARGEST_SQUEEZE)
        rise = (
            np.gradient(read, axis=self.axis) / stretch + np.gradient(model, axis=self.axis)
        ) / 2
        rise = rise / self.spacing_mm[self.axis]
        weight = weight * float(self.spacing_mm.prod()) / (VOLUME_MM3 * scale**2)
        return weight * rise**2, weight * rise * residual

    def _modelled(self, read: FloatArray, parts: FloatArray, seen: BoolArray) -> FloatArray:
        """Fit the brightness of the tissues, then the local gain; return the model."""
        design = (self.gain * parts)[:, seen].T
        brightness = np.linalg.lstsq(design, read[seen], rcond=None)[0]
        model = np.tensordot(brightness.astype(np.float32), parts, axes=1)
        below = self._blurred(seen * model**2, GAIN_MM)
        least = 1e-6 * float((model**2).mean()) + 1e-12
        self.gain = self._blurred(seen * read * model, GAIN_MM) / np.maximum(below, least)
        return np.asarray(self.gain * model)

    def _blurred(self, values: FloatArray, sigma_mm: float) -> FloatArray:
        sigma = sigma_mm / self.spacing_mm
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3))


def _read_along(coefficients: FloatArray, voxels: FloatArray, axis: int) -> FloatArray:
    """Evaluate cubic spline coefficients at other places along one axis; the ends continue."""
    below = np.floor(voxels)
    t = voxels - below
    weights = ((1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * (t + t**2 - t**3), t**3)
    total = np.zeros_like(voxels)
    for step, weight in enumerate(weights, -1):
        place = np.clip(below + step, 0, voxels.shape[axis] - 1).astype(np.intp)
        total += weight / 6 * np.take_along_axis(coefficients, place, axis)
    return total


def _box(brain: BoolArray) -> tuple[slice, ...]:
    """Return the box of a brain, with a margin."""
    found = ndimage.find_objects(brain.astype(np.uint8))
    if not found:
        raise InputError(
            "EPI to undistort",
            "no tissue in it",
            "the brain",
            "check the alignment that it starts from",
        )
    return tuple(
        slice(max(0, part.start - MARGIN_VOXELS), min(size, part.stop + MARGIN_VOXELS))
        for part, size in zip(found[0], brain.shape, strict=True)
    )


def _grown(brain: BoolArray, voxels: int) -> BoolArray:
    """Dilate a mask by some voxels, or erode it when negative."""
    if voxels == 0:
        return brain
    change = ndimage.binary_dilation if voxels > 0 else ndimage.binary_erosion
    return np.asarray(change(brain, iterations=abs(voxels)))
