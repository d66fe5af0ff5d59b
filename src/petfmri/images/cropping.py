"""Smaller copies of an image for work that does not need all of it."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

Box = tuple[slice, slice, slice]


def shrunk(image: nib.Nifti1Image, spacing_mm: float) -> nib.Nifti1Image:
    """Average blocks of voxels that together measure about `spacing_mm` along each axis.

    Parameters
    ----------
    image : Nifti1Image, 3-D
    spacing_mm : float, mm
        Axes that are already as coarse stay as they are.

    Returns
    -------
    Nifti1Image, float32
        Without the voxels at the far end that do not fill a block.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.eye(4))
    >>> coarse = shrunk(image, 2.0)
    >>> float(coarse.dataobj[0, 0, 0]), coarse.affine[0].tolist()
    (3.5, [2.0, 0.0, 0.0, 0.5])
    """
    spacing = voxel_sizes(image.affine)
    block = np.clip(np.round(spacing_mm / spacing).astype(int), 1, image.shape)
    shape = np.array(image.shape) // block
    data = np.asarray(image.dataobj, dtype=np.float32)[tuple(map(slice, shape * block))]
    split = data.reshape(shape[0], block[0], shape[1], block[1], shape[2], block[2])
    step = np.diag([*block, 1.0])
    step[:3, 3] = (block - 1) / 2
    return nib.Nifti1Image(split.mean(axis=(1, 3, 5), dtype=np.float32), image.affine @ step)


def box_around(mask: nib.Nifti1Image, margin_mm: float) -> Box:
    """Return the smallest box of voxels that holds a mask and a margin.

    Raises
    ------
    ValueError
        If the mask is empty.

    Examples
    --------
    >>> mask = np.zeros((9, 9, 9))
    >>> mask[4, 4, 4] = 1
    >>> box_around(nib.Nifti1Image(mask, np.diag([2.0, 1, 1, 1])), 2.0)[:2]
    (slice(3, 6, None), slice(2, 7, None))
    """
    found = ndimage.find_objects((np.asarray(mask.dataobj) > 0).astype(np.uint8))
    if not found:
        raise ValueError("the mask is empty")
    margin = np.ceil(margin_mm / voxel_sizes(mask.affine)).astype(int)
    x, y, z = (
        slice(max(0, side.start - int(extra)), min(size, side.stop + int(extra)))
        for side, extra, size in zip(found[0], margin, mask.shape)
    )
    return x, y, z


def cropped(image: nib.Nifti1Image, box: Box) -> nib.Nifti1Image:
    """Cut a box out of an image; its voxels stay where they are in the world."""
    return image.slicer[box]


def grown(mask: nib.Nifti1Image, distance_mm: float) -> nib.Nifti1Image:
    """Add all voxels nearer than `distance_mm` to a mask (uint8)."""
    outside = np.asarray(mask.dataobj) <= 0
    distance = ndimage.distance_transform_edt(outside, sampling=voxel_sizes(mask.affine))
    return nib.Nifti1Image((distance <= distance_mm).astype(np.uint8), mask.affine)
