"""Volumes before the magnetization reached its steady state."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from petfmri.errors import DenoisingError
from petfmri.typing import FloatArray

WINDOW = 50
THRESHOLD = 3.5


def count_dummy_volumes(
    global_signal: FloatArray,
    *,
    setting: int | Literal["auto"] = "auto",
    declared: int | None = None,
    where: str = "BOLD run",
) -> int:
    """Count the volumes to leave out at the start of a run.

    Parameters
    ----------
    global_signal : array of shape (n_frames,)
        Mean of each volume over the brain or the whole image.
    setting : int or "auto"
        A number decides; "auto" takes `declared`, else detects.
    declared : int, optional
        How many such volumes are *still in the file*. BIDS' ``NumberOfVolumesDiscardedByScanner``
        and ``...ByUser`` count volumes that are already gone: never pass them here.
    where : str
        Names the run in errors.

    Returns
    -------
    int
        Detected: the length of the leading stretch of volumes whose global signal lies more than
        3.5 modified z-scores from the median of the first 50, the rule of fMRIPrep [1]_.

    Raises
    ------
    DenoisingError
        If the count is negative or leaves no volume, or the signal is not finite.

    References
    ----------
    .. [1] Iglewicz B, Hoaglin D (1993). How to detect and handle outliers.

    Examples
    --------
    >>> signal = np.array([130.0, 112, 100, 101, 99, 100, 101, 99])
    >>> count_dummy_volumes(signal)
    2
    >>> count_dummy_volumes(signal, setting=4)
    4
    """
    signal = np.asarray(global_signal, dtype=float)
    if signal.size == 0 or not np.isfinite(signal).all():
        raise DenoisingError(
            f"{where}: global signal",
            f"{np.count_nonzero(~np.isfinite(signal))} of {signal.size} values not finite",
            "a finite value for every volume",
            "look for damaged volumes in the image",
        )
    if setting != "auto":
        count = setting
    elif declared is not None:
        count = declared
    else:
        count = _leading_outliers(signal[:WINDOW])
    if not 0 <= count < signal.size:
        raise DenoisingError(
            f"{where}: dummy volumes",
            str(count),
            f"0 to {signal.size - 1}, the run has {signal.size} volumes",
            "correct the number",
        )
    return count


def marked_dummy_volumes(confounds: pd.DataFrame) -> int:
    """Count the volumes that fMRIPrep marked as before the steady state, a column for each.

    Examples
    --------
    >>> marked_dummy_volumes(pd.DataFrame(columns=["csf", "non_steady_state_outlier00"]))
    1
    """
    return sum(str(name).startswith("non_steady_state_outlier") for name in confounds)


def _leading_outliers(signal: FloatArray) -> int:
    distance = np.abs(signal - np.median(signal))
    is_outlier = 0.6745 * distance > THRESHOLD * np.median(distance)
    return int(np.argmin(is_outlier)) if not is_outlier.all() else 0
