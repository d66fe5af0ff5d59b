"""PET predicted from a T1w, and the last step of their alignment: PET to its own prediction."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from petfmri.images.cropping import box_around, cropped, shrunk
from petfmri.images.frame_alignment import FWHM_TO_SIGMA, FrameAligner
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.transforms import Affine
from petfmri.typing import BoolArray, FloatArray

PSF_MM = 5.5  # resolution that the prediction has; errors of 3 mm hardly matter
_CLASSES = 8  # of T1w intensity in the brain, equally large
_SPACING_MM = 2.0  # to which finer classes are brought
_FWHM_MM = 5.0  # smoothing of both, lest a PET sharper than predicted converges slowly
_PASSES = 2
_SAMPLES = 12000
FARTHEST_MM = 4.0  # a refinement that moves the brain by more is not believed


def refine_by_prediction(
    fixed: nib.Nifti1Image,
    xfm: Affine,
    moving: nib.Nifti1Image,
    moving_mask: nib.Nifti1Image,
) -> Affine:
    """Refine the alignment of PET with a T1w, to a fraction of what mutual information reaches.

    The brain in the T1w is cut into classes of intensity, and the PET is written as a sum of
    these, each blurred like a PET. That sum looks like the PET and lies where the T1w lies; the
    PET is aligned to it by least squares with a brightness that may vary over the head.

    Parameters
    ----------
    fixed : Nifti1Image, 3-D
        PET.
    xfm : Affine
        Points of `fixed` to points of `moving`, right to a few millimetres.
    moving : Nifti1Image, 3-D
        The T1w.
    moving_mask : Nifti1Image
        Brain, on the grid of `moving`.

    Returns
    -------
    Affine
        `xfm` itself when no refinement is found, or only one of more than 4 mm.
    """
    near = carry_mask(moving_mask, xfm, Grid.of(fixed))
    if not np.asarray(near.dataobj).any():
        return xfm
    fixed = cropped(fixed, box_around(near, 2 * PSF_MM))
    pet = np.asarray(fixed.dataobj, dtype=np.float32)
    classes, affine = _blurred_classes(moving, moving_mask)
    refined = xfm
    for _ in range(_PASSES):
        voxels = np.linalg.inv(affine) @ refined.matrix @ fixed.affine
        parts = [_read(part, voxels, pet.shape) for part in classes]
        prediction, brain = _prediction(pet, np.stack(parts))
        if not brain.any():
            return xfm
        aligner = FrameAligner(
            prediction, fixed.affine, brain, _FWHM_MM, samples=_SAMPLES, contrast_changes=True
        )
        found = aligner.fit(pet, Affine())
        if not found.is_believed:
            return xfm
        refined = refined @ ~found.transform
    moved = np.linalg.norm(refined.map(aligner.points) - xfm.map(aligner.points), axis=1)
    return refined if moved.mean() <= FARTHEST_MM else xfm


def _blurred_classes(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image
) -> tuple[list[FloatArray], FloatArray]:
    """Map where the T1w is outside the brain, and in each class of intensity, as PET would.

    Returns
    -------
    maps : list of arrays of shape (x, y, z), 0..1
        They add up to 1.
    affine : array of shape (4, 4)
        Of the maps.
    """
    box = box_around(mask, 3 * PSF_MM)
    t1w, mask = cropped(t1w, box), cropped(mask, box)
    inside = np.asarray(mask.dataobj) > 0
    values = np.asarray(t1w.dataobj, dtype=np.float32)
    edges = np.quantile(values[inside], np.linspace(0, 1, _CLASSES + 1)[1:-1])
    number = np.where(inside, np.digitize(values, edges) + 1, 0)
    shares = [
        shrunk(nib.Nifti1Image((number == one).astype(np.uint8), t1w.affine), _SPACING_MM)
        for one in range(_CLASSES + 1)
    ]
    sigma = PSF_MM * FWHM_TO_SIGMA / Grid.of(shares[0]).spacing_mm
    blurred = [
        ndimage.gaussian_filter(np.asarray(share.dataobj), sigma, mode="nearest", truncate=3)
        for share in shares
    ]
    return blurred, shares[0].affine


def _read(part: FloatArray, voxels: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Read a map on the grid of the PET; `voxels` maps voxels of the PET to voxels of the map."""
    return np.asarray(
        ndimage.affine_transform(
            part, voxels[:3, :3], voxels[:3, 3], output_shape=shape, order=1, mode="nearest"
        )
    )


def _prediction(pet: FloatArray, parts: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Weight the classes (the first is what is not brain) so that they add up to the PET.

    Returns
    -------
    prediction : float32 array of shape `pet.shape`
    brain : bool array of shape `pet.shape`
        Where the weights were fitted: more than half brain.
    """
    brain: BoolArray = np.asarray(parts[1:].sum(axis=0) > 0.5)
    inside = parts[:, brain].astype(float)
    weights = np.linalg.pinv(inside @ inside.T, hermitian=True) @ (inside @ pet[brain])
    return np.tensordot(weights, parts, 1).astype(np.float32), brain
