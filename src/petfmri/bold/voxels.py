"""Voxels cleaned by the operator of their run, in single precision."""

from __future__ import annotations

import numpy as np

from petfmri.bold.operator import TemporalOperator
from petfmri.errors import DenoisingError
from petfmri.typing import FloatArray


def clean_voxels(
    operator: TemporalOperator, voxels: FloatArray, where: str = "BOLD run"
) -> FloatArray:
    """Clean every voxel of a run by one float32 matrix product.

    The mean of each voxel is taken out in float64 first. The operator removes it anyway, but in
    float32 a mean of 10,000 would leave its rounding behind, as large as the signal.

    Parameters
    ----------
    operator : TemporalOperator
    voxels : array of shape (n_kept, n_voxels)
        The kept frames, raw. Missing voxels are columns of NaN.
    where : str
        Names the run in errors.

    Returns
    -------
    float32 array of shape (n_kept, n_voxels)
        NaN where a voxel has a value that is not finite.

    Raises
    ------
    DenoisingError
        If the number of frames is not the operator's.

    Examples
    --------
    >>> halves = TemporalOperator(np.array([[0.5, -0.5], [-0.5, 0.5]]), 1.0, 1)
    >>> clean_voxels(halves, np.array([[10001.0, 7.0], [10003.0, 7.0]]))
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """
    voxels = np.asarray(voxels)
    if voxels.ndim != 2 or len(voxels) != len(operator.matrix):
        raise DenoisingError(
            f"{where}: voxels",
            f"shape {voxels.shape}",
            f"({len(operator.matrix)}, n_voxels), one row per kept frame",
            "give the frames that the operator was built for",
        )
    mean = voxels.mean(axis=0, dtype=float)
    centred = np.empty(voxels.shape, dtype=np.float32)
    for frame, values in enumerate(voxels):
        centred[frame] = values - mean
    return operator.matrix.astype(np.float32) @ centred
