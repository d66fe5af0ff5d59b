"""Refine the alignment of an EPI to a T1w along the boundary of white and grey matter."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage, optimize

from petfmri.errors import RegistrationError
from petfmri.images.transforms import Affine, Transform, rigid
from petfmri.typing import BoolArray, FloatArray

_DEPTH_MM = 2.0  # how far from the boundary the EPI is read, to both sides
_SLOPE = 0.05  # of the cost, per percent of contrast
_POINTS = 15_000
_LEAST_POINTS = 500
_STAGES = ((8, 2.0), (2, 0.5), (1, 0.15))  # thinning of the points; first step in mm and degrees
_SEED = 0


@dataclass(frozen=True)
class Boundary:
    """Points between white and grey matter.

    Parameters
    ----------
    points : array of shape (n, 3), RAS mm
    normals : array of shape (n, 3)
        Unit vectors from white to grey matter.
    """

    points: FloatArray
    normals: FloatArray


def refine(
    epi: nib.Nifti1Image,
    start: Affine,
    grey: nib.Nifti1Image,
    white: nib.Nifti1Image,
    *,
    grey_brighter: bool = True,
) -> Affine:
    """Move an EPI by what raises its contrast across the white matter boundary.

    The outcome costs no more than `start`: where nothing better is found, `start` returns.

    Parameters
    ----------
    epi : Nifti1Image, 3-D
        The BOLD reference.
    start : Affine
        Points of `epi` to points of the T1w, a few millimetres off at most.
    grey, white : Nifti1Image, 3-D
        Tissue probabilities on the grid of the T1w.
    grey_brighter : bool, default=True
        Whether grey matter is the brighter one in the EPI, as in T2* contrast.

    Returns
    -------
    Affine
        Points of `epi` to points of the T1w.

    Raises
    ------
    RegistrationError
        If the maps have no boundary, or the EPI does not contain it.

    References
    ----------
    Greve DN, Fischl B. Accurate and robust brain image alignment using boundary-based
    registration. NeuroImage 2009;48:63-72.
    """
    boundary = find_boundary(grey, white)
    to_epi = ~start
    center = boundary.points.mean(axis=0)

    def moved(parameters: FloatArray) -> Affine:
        return to_epi @ rigid(parameters[:3], parameters[3:], center)

    values = np.asarray(epi.dataobj, dtype=np.float32)
    to_voxels = ~Affine(epi.affine)

    def cost(parameters: FloatArray, part: Boundary) -> float:
        return _cost(values, to_voxels @ moved(parameters), part, grey_brighter)

    best = np.zeros(6)
    for thin, first_step in _STAGES:
        part = Boundary(boundary.points[::thin], boundary.normals[::thin])
        found = optimize.minimize(
            cost,
            best,
            args=(part,),
            method="Powell",
            options={
                "xtol": 0.01 * first_step,
                "ftol": 1e-5,
                "maxiter": 8,
                "direc": np.eye(6) * first_step,
            },
        )
        best = found.x
    better = cost(best, boundary) < cost(np.zeros(6), boundary)
    return ~moved(best) if better else start


def boundary_cost(
    epi: nib.Nifti1Image, xfm: Transform, boundary: Boundary, *, grey_brighter: bool = True
) -> float:
    """Measure how badly the contrast of an EPI fits a boundary, 0 (best) to 2.

    Parameters
    ----------
    epi : Nifti1Image, 3-D
    xfm : Transform
        Points of `epi` to points of the T1w.
    boundary : Boundary
        In the space of the T1w.
    grey_brighter : bool, default=True

    Raises
    ------
    RegistrationError
        If the EPI contains too little of the boundary.
    """
    values = np.asarray(epi.dataobj, dtype=np.float32)
    to_voxels = ~Affine(epi.affine) @ ~xfm
    return _cost(values, to_voxels, boundary, grey_brighter)


def edge_agreement(
    image: nib.Nifti1Image, xfm: Transform, boundary: Boundary, *, grey_brighter: bool = True
) -> float:
    """Tell in which share of a boundary an image has the contrast that is expected there.

    Parameters
    ----------
    image : Nifti1Image, 3-D
        A BOLD or PET reference.
    xfm : Transform
        Points of the T1w to points of `image`.
    boundary : Boundary
        In the space of the T1w.
    grey_brighter : bool, default=True

    Returns
    -------
    float
        0.5 by chance, 1 when grey matter is the brighter side of every point that is seen.

    Raises
    ------
    RegistrationError
        If the image contains too little of the boundary.
    """
    values = np.asarray(image.dataobj, dtype=np.float32)
    contrast = _contrast(values, (~Affine(image.affine)) @ xfm, boundary)
    return float(np.mean((contrast > 0) if grey_brighter else (contrast < 0)))


def find_boundary(grey: nib.Nifti1Image, white: nib.Nifti1Image) -> Boundary:
    """Find where the white matter probability falls through 0.5 next to grey matter.

    Parameters
    ----------
    grey, white : Nifti1Image, 3-D
        Probabilities on one grid.

    Returns
    -------
    Boundary
        Up to 15,000 points, chosen with a fixed seed.

    Raises
    ------
    RegistrationError
        If there are fewer than 500 of them.
    """
    inner = ndimage.gaussian_filter(np.asarray(white.dataobj, dtype=np.float32), 0.7)
    to_voxels = np.linalg.inv(white.affine)
    near_grey = ndimage.maximum_filter(np.asarray(grey.dataobj, dtype=np.float32), 5) > 0.6
    is_white = inner > 0.5
    voxels = np.argwhere(is_white & ~ndimage.binary_erosion(is_white) & near_grey)
    where = tuple(voxels.T)
    slopes = np.stack([slope[where] for slope in np.gradient(inner)], 1) @ to_voxels[:3, :3]
    steepness = np.linalg.norm(slopes, axis=1)
    usable = np.flatnonzero(steepness > 0.05)
    if len(usable) < _LEAST_POINTS:
        raise RegistrationError(
            "boundary of white matter",
            f"{len(usable)} points",
            f"at least {_LEAST_POINTS}",
            "look at the tissue maps of this person",
        )
    chosen = np.random.default_rng(_SEED).permutation(usable)[:_POINTS]
    normals = -slopes[chosen] / steepness[chosen, None]
    reach = float(np.mean(voxel_sizes(white.affine)))
    depth = np.clip((inner[where][chosen] - 0.5) / steepness[chosen], -reach, reach)
    points = Affine(white.affine).map(voxels[chosen].astype(float)) + normals * depth[:, None]
    return Boundary(points, normals)


def _cost(
    values: FloatArray, to_voxels: Transform, boundary: Boundary, grey_brighter: bool
) -> float:
    """Average 1 - tanh(slope × contrast in percent) over the points that the EPI contains."""
    sign = 1 if grey_brighter else -1
    contrast = _contrast(values, to_voxels, boundary)
    return float((1 - np.tanh(_SLOPE * sign * contrast)).mean())


def _contrast(values: FloatArray, to_voxels: Transform, boundary: Boundary) -> FloatArray:
    """Contrast across the boundary, outer minus inner side, percent, where it is seen."""
    offset = _DEPTH_MM * boundary.normals
    outer, outer_seen = _read(values, to_voxels.map(boundary.points + offset))
    inner, inner_seen = _read(values, to_voxels.map(boundary.points - offset))
    seen = outer_seen & inner_seen
    if seen.mean() < 0.1:
        raise RegistrationError(
            "EPI against the white matter boundary",
            f"{100 * seen.mean():.0f} % of the boundary in its field of view",
            "at least 10 %",
            "check the alignment from which it starts",
        )
    contrast = 200 * (outer - inner) / (np.abs(outer + inner) + 1e-6)
    return np.asarray(contrast[seen])


def _read(values: FloatArray, voxels: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Read linearly at voxel positions; tell which lie inside."""
    last = np.asarray(values.shape) - 1
    seen = np.asarray(((voxels >= 0) & (voxels <= last)).all(axis=1))
    return ndimage.map_coordinates(values, voxels.T, order=1, mode="nearest", output=float), seen
