from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from petfmri.images.preprocessed import resample_scan
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, rigid
from petfmri.images.volumes import Volumes


def test_zeros_of_aligned_frames_lie_outside_the_field_of_view(tmp_path: Path) -> None:
    """Frames that are aligned already, with or without matrices that say so."""
    data = np.full((6, 6, 6, 2), 5.0, dtype=np.float32)
    data[..., 4:, :] = 0  # what the other program did not see
    data[0, 0, 0, 0] = 0  # empty in one frame only: seen
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "pet.nii.gz")
    scan = Volumes(tmp_path / "pet.nii.gz")
    grid = Grid((6, 6, 6), np.eye(4))
    for motion in (None, [Affine(), Affine()]):
        first, second = resample_scan(scan, scan, Affine(), grid, motion=motion)
        assert np.isnan(second[..., 4:]).all() and np.isfinite(second[..., :4]).all()
        assert abs(first[0, 0, 0]) < 1e-5
    moved = [Affine(), rigid((0.1, 0, 0))]  # raw: an empty voxel is a measured one
    first, _ = resample_scan(scan, scan, Affine(), grid, motion=moved)
    assert np.isfinite(first).all()
