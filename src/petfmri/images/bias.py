"""The smooth brightness error of a coil, estimated and divided out."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import niimath
import numpy as np

from petfmri.errors import InputError, SegmentationError
from petfmri.images.resampling import Grid
from petfmri.images.volumes import in_own_axes, require_volume
from petfmri.typing import BoolArray, FloatArray

LATTICE_MM = 4.0  # the field is estimated on voxels at least this far apart
HEAD_FRACTION = 0.15  # of the robust maximum: darker is air
SCHEDULE = "-iter 50x50x50 -convergence 1e-4 -fwhm 0.1"


def correct_bias(t1w: nib.Nifti1Image, mask: nib.Nifti1Image | None = None) -> nib.Nifti1Image:
    """Divide a T1-weighted image by its bias field (N4).

    Parameters
    ----------
    t1w : Nifti1Image, 3-D
        Not negative.
    mask : Nifti1Image, optional
        Where tissue is compared, on the grid of `t1w`: the brain serves best. Without it, all
        that is not air; the result is then good enough to look for the brain.

    Returns
    -------
    Nifti1Image, float32
        With the mean of `t1w` inside the mask.

    Raises
    ------
    InputError
        If the image is not 3-D, or the mask lies on another grid.
    SegmentationError
        If the image has no signal or N4 fails.

    References
    ----------
    Tustison NJ, Avants BB, Cook PA, et al. N4ITK: improved N3 bias correction. IEEE Trans Med
    Imaging 2010;29:1310-1320.
    """
    require_volume(t1w)
    data = np.asarray(t1w.dataobj, dtype=np.float32)
    if mask is not None and Grid.of(mask) != Grid.of(t1w):
        raise InputError(
            "mask of the bias correction",
            f"shape {mask.shape}",
            f"the grid of the image, shape {t1w.shape}",
            "resample the mask onto the image",
        )
    inside = _not_air(data) if mask is None else np.asarray(mask.dataobj) > 0
    inside = inside & (data > 0)  # N4 takes logarithms
    if not inside.any():
        raise _failed(t1w, "no signal")
    field = _field(in_own_axes(nib.Nifti1Image(data, t1w.affine))[0], inside)
    if not np.isfinite(field).all() or field.min() <= 0:
        raise _failed(t1w, "a field that is not positive")
    corrected = data / field
    corrected *= data[inside].mean() / corrected[inside].mean()
    return nib.Nifti1Image(corrected.astype(np.float32), t1w.affine)


def _not_air(data: FloatArray) -> BoolArray:
    return np.asarray(data > HEAD_FRACTION * np.percentile(data, 99.5))


def _field(t1w: nib.Nifti1Image, inside: BoolArray) -> FloatArray:
    """Run N4; return its multiplicative field."""
    shrink = max(1, int(np.ceil(LATTICE_MM / float(Grid.of(t1w).spacing_mm.mean()) - 0.01)))
    with tempfile.TemporaryDirectory(prefix="petfmri_") as folder:
        work = Path(folder)
        nib.save(t1w, work / "t1w.nii")
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), t1w.affine), work / "mask.nii")
        command = f"{niimath.bin} t1w.nii -gz 0 -p 1 -n4 -mask mask.nii -shrink {shrink} {SCHEDULE}"
        done = subprocess.run(
            [*command.split(), "-field", "field.nii", "corrected.nii"],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not (work / "field.nii").exists():
            raise _failed(t1w, (done.stderr + done.stdout).strip()[-300:] or "no field")
        return np.asarray(nib.load(work / "field.nii").dataobj, dtype=np.float32)


def _failed(t1w: nib.Nifti1Image, found: str) -> SegmentationError:
    name = t1w.get_filename() or "the T1w"
    return SegmentationError(f"bias field of {name}", found, "a smooth field", "look at the image")
