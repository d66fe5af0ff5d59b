"""Series that another program has resampled: there, 0 means outside the field of view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce

import nibabel as nib
import numpy as np

from petfmri.images.resampling import Grid, carry_mask, resample_frames
from petfmri.images.transforms import Affine, Transform
from petfmri.images.volumes import Volumes
from petfmri.typing import BoolArray, FloatArray


def always_nonzero(volumes: Iterable[FloatArray]) -> BoolArray:
    """Tell where no volume is exactly 0: where all of a resampled series has data.

    Examples
    --------
    >>> always_nonzero([np.array([1.0, 0.0]), np.array([2.0, 3.0])])
    array([ True, False])
    """
    return reduce(np.logical_and, (np.asarray(volume != 0) for volume in volumes))


def ever_nonzero(volumes: Iterable[FloatArray]) -> BoolArray:
    """Tell where any volume is not 0: early PET frames have zeros inside the head, too.

    Examples
    --------
    >>> ever_nonzero([np.array([0.0, 0.0]), np.array([2.0, 0.0])])
    array([ True, False])
    """
    return reduce(np.logical_or, (np.asarray(volume != 0) for volume in volumes))


def resample_scan(
    frames: Iterable[FloatArray],
    volumes: Volumes,
    xfm: Transform,
    grid: Grid,
    *,
    motion: Sequence[Affine] | None,
    where: BoolArray | None = None,
) -> Iterator[FloatArray]:
    """Interpolate each frame of a scan once, raw with its motion or preprocessed without.

    Parameters
    ----------
    frames : iterable of arrays of shape (x, y, z)
        The values of `volumes`, calibrated.
    volumes : Volumes
    xfm : Transform
        Maps points of `grid` to points of the motion reference or of the preprocessed frames.
    grid : Grid
    motion : sequence of Affine or None
        None, or the identity for each, for preprocessed frames: what is 0 in all of them lies
        outside the field of view.
    where : bool array of shape `grid.shape`, optional
        Only these points are read.

    Yields
    ------
    array of shape `grid.shape`, or (number of points in `where`,), float32
        NaN outside the field of view.
    """
    resampled = resample_frames(
        frames, volumes.affine, xfm, grid, motion=motion, where=where, fill=np.nan
    )
    if motion is not None and not all(move.is_identity for move in motion):
        yield from resampled
        return
    view = nib.Nifti1Image(ever_nonzero(volumes).astype(np.uint8), volumes.affine)
    seen = np.asarray(carry_mask(view, xfm, grid).dataobj) > 0
    inside = seen if where is None else seen[where]
    for frame in resampled:
        yield np.where(inside, frame, np.float32(np.nan))
