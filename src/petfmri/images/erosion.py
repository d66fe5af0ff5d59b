"""The inside of a tissue, by distance in millimetres."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

DEEP = 0.9
SMOOTH_MM = 3.0  # FWHM: the noise of single voxels must not perforate a tissue


def deep_tissue(
    probability: nib.Nifti1Image,
    depth_mm: float,
    *,
    threshold: float = DEEP,
    smooth_mm: float = SMOOTH_MM,
) -> nib.Nifti1Image:
    """Keep what is sure to be a tissue and lies inside it.

    Parameters
    ----------
    probability : Nifti1Image, 3-D, 0..1
    depth_mm : float, mm
        Least distance from a voxel's centre to the centre of the nearest voxel below `threshold`.
    threshold : float
        Least probability, of a voxel or of its surroundings.
    smooth_mm : float, mm
        FWHM of these surroundings.

    Returns
    -------
    Nifti1Image, uint8

    Examples
    --------
    >>> row = np.array([0, 1, 1, 1, 1, 1, 0.5]).reshape(7, 1, 1)
    >>> deep = deep_tissue(nib.Nifti1Image(row, np.diag([2.0, 1, 1, 1])), 3.0, smooth_mm=0)
    >>> np.asarray(deep.dataobj).ravel()
    array([0, 0, 1, 1, 1, 0, 0], dtype=uint8)
    """
    spacing = voxel_sizes(probability.affine)
    values = np.asarray(probability.dataobj, dtype=np.float32)
    smooth = ndimage.gaussian_filter(values, smooth_mm / 2.3548 / spacing, mode="nearest")
    depth = ndimage.distance_transform_edt(
        (values >= threshold) | (smooth >= threshold), sampling=spacing
    )
    return nib.Nifti1Image((depth >= depth_mm).astype(np.uint8), probability.affine)
