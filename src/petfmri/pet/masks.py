"""Masks and tissue maps in millimetres: distances, blurring, and the box that holds them."""

from __future__ import annotations

import numpy as np
from nibabel import io_orientation
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from petfmri.typing import BoolArray, FloatArray

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))


def distance_mm(region: BoolArray, voxel_mm: ArrayLike, limit_mm: float) -> FloatArray:
    """Distance from each voxel's centre to the nearest face of a voxel of `region`.

    Exact up to `limit_mm`, for any voxel sizes; beyond it only known to be farther.

    Parameters
    ----------
    region : bool array of shape (x, y, z)
    voxel_mm : (float, float, float), mm
    limit_mm : float, mm

    Returns
    -------
    distance : array of shape (x, y, z), mm
        0 inside `region`.

    Examples
    --------
    >>> row = np.array([True, False, False, False]).reshape(4, 1, 1)
    >>> distance_mm(row, (2.0, 1.0, 1.0), limit_mm=5.0).ravel()
    array([0., 1., 3., 5.])
    """
    squared = np.where(region, 0.0, np.inf)
    for axis, size in enumerate(np.asarray(voxel_mm, dtype=float)):
        before = np.moveaxis(squared, axis, 0)
        after = before.copy()
        for step in range(1, min(int(limit_mm / size + 0.5) + 1, len(before))):
            cost = ((step - 0.5) * size) ** 2
            np.minimum(after[step:], before[:-step] + cost, out=after[step:])
            np.minimum(after[:-step], before[step:] + cost, out=after[:-step])
        squared = np.moveaxis(after, 0, axis)
    return np.sqrt(squared)


def blurred(
    image: ArrayLike, affine: FloatArray, fwhm_mm: ArrayLike, *, mode: str = "reflect"
) -> FloatArray:
    """Blur an image by a Gaussian.

    Parameters
    ----------
    image : array of shape (x, y, z)
    affine : array of shape (4, 4)
    fwhm_mm : float or (float, float, float), mm
        Left to right, back to front and bottom to top; on an oblique grid along the nearest axes.
    mode : str
        What lies beyond the image, as in `scipy.ndimage.gaussian_filter`.

    Returns
    -------
    blurred : float32 array of shape (x, y, z)
    """
    world = io_orientation(affine)[:, 0].astype(int)
    along = np.broadcast_to(np.asarray(fwhm_mm, dtype=float), 3)[world]
    sigma = along / FWHM_PER_SIGMA / voxel_sizes(affine)
    return np.asarray(gaussian_filter(np.asarray(image, dtype=np.float32), sigma, mode=mode))


def apart(region: BoolArray, affine: FloatArray, least_mm: float) -> BoolArray:
    """Voxels whose centre is at least `least_mm` from every voxel of `region`."""
    tolerance = 1e-3  # of voxel sizes that an affine in single precision gives
    distance = distance_mm(region, voxel_sizes(affine), least_mm)
    return ~region & (distance >= least_mm - tolerance)


def box_around(mask: BoolArray, affine: FloatArray, margin_mm: float) -> tuple[slice, ...]:
    """Bounding box of `mask`, wider by `margin_mm` and a voxel on every side."""
    occupied = np.nonzero(mask)
    if not occupied[0].size:
        return (slice(0, 1),) * mask.ndim
    margins = [int(np.ceil(margin_mm / size)) + 1 for size in voxel_sizes(affine)]
    return tuple(
        slice(max(int(places.min()) - margin, 0), int(places.max()) + margin + 1)
        for places, margin in zip(occupied, margins, strict=True)
    )


def as_mask(mask: ArrayLike) -> BoolArray:
    """Voxels above 0."""
    return np.asarray(mask) > 0


def voxel_ml(affine: FloatArray) -> float:
    """Volume of a voxel, mL."""
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0
