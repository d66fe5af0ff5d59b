"""How much memory a step needs, from the size of the images that it reads."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

PROCESS_GB = 0.4  # Python with its libraries: in every worker, and in the process that leads them
_VOLUME_GB = 0.08  # per million voxels of one volume: measured 0.02 to 0.07, by step
_SERIES_GB = 0.0015  # per million voxels and volume, since voxels of noise tissue are kept


def step_gb(*images: Path) -> float:
    """Estimate from above what a step takes that reads some images, GB.

    4-D images are read one volume after another: their length costs little.

    Parameters
    ----------
    *images : Path
        The T1w and one scan, say. What cannot be read counts nothing: the step will tell.
    """
    total = PROCESS_GB
    for path in images:
        try:
            shape = nib.load(path).shape
        except (OSError, ImageFileError):
            continue
        millions = float(np.prod(shape[:3])) / 1e6
        total += millions * (_VOLUME_GB + _SERIES_GB * float(np.prod(shape[3:])))
    return total
