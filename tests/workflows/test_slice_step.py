from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.images.volumes import Volumes
from petfmri.interfaces.bold import BoldSignals

N, TR_S = 60, 2.0
TIMES = [0.0, 1.2, 0.4, 1.6]  # of the slices from below, s
MIDDLE_S = 0.8
FROM_BELOW = np.diag([3.0, 3, 4, 1])


def signal(t):
    return 100 + np.sin(2 * np.pi * 0.05 * t) + np.cos(2 * np.pi * 0.09 * t)


def series(slope=0.0):
    """Slices along the last axis but one, each sampled at its own time."""
    t = TR_S * np.arange(N) + np.array(TIMES)[:, None]
    return np.broadcast_to(signal(t), (2, 3, 4, N)).astype(np.float32)


STORED = {
    "k": (series(), FROM_BELOW, "k", TIMES),
    "k-, times from above": (series(), FROM_BELOW, "k-", TIMES[::-1]),
    "stored from above": (
        series()[:, :, ::-1],
        FROM_BELOW @ [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 3], [0, 0, 0, 1]],
        "k",
        TIMES[::-1],
    ),
    "slices along j": (
        np.moveaxis(series(), 2, 1),
        FROM_BELOW[:, [0, 2, 1, 3]],
        "j",
        TIMES,
    ),
    "slices along j, times from above": (
        np.moveaxis(series(), 2, 1),
        FROM_BELOW[:, [0, 2, 1, 3]],
        "j-",
        TIMES[::-1],
    ),
}


@pytest.mark.parametrize("how", STORED)
def test_slices_meet_in_the_middle_however_they_are_stored(how, tmp_path):
    data, affine, direction, times = STORED[how]
    nib.save(nib.Nifti1Image(data, affine), tmp_path / "bold.nii.gz")
    step = BoldSignals(slice_times_s=times, slice_direction=direction, tr_s=TR_S, dummy=0)
    found = np.array(list(step._in_time(Volumes(tmp_path / "bold.nii.gz"))))
    truth = signal(TR_S * np.arange(N) + MIDDLE_S)[:, None, None, None]
    inner = slice(8, -8)
    assert np.abs(found - truth)[inner].max() < 0.02
    assert np.abs(np.moveaxis(series(), -1, 0) - truth)[inner].max() > 0.3


def test_without_times_the_volumes_are_read_as_they_are(tmp_path):
    nib.save(nib.Nifti1Image(series(), FROM_BELOW), tmp_path / "bold.nii.gz")
    volumes = Volumes(tmp_path / "bold.nii.gz")
    assert BoldSignals()._in_time(volumes) is volumes
