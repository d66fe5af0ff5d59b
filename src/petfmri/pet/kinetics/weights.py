"""How much each frame tells: counts fall with decay and rise with duration."""

from __future__ import annotations

import numpy as np

from petfmri.pet.activity import decay_factors
from petfmri.pet.frames import FrameSchedule
from petfmri.typing import FloatArray

FLOOR = 0.05  # of the largest activity: an early frame of almost no counts is not almost certain


def frame_weights(
    schedule: FrameSchedule, half_life_s: float, typical: FloatArray | None = None
) -> FloatArray:
    """Weights in inverse proportion to the variance of decay-corrected frame averages.

    The variance of a frame average is its activity times the decay correction over the duration.
    One set of weights serves all curves of a scan.

    Parameters
    ----------
    schedule : FrameSchedule
    half_life_s : float, s
    typical : array of shape (n_frames,), optional
        A curve that stands for the scan, such as the mean of all regions; without it activity is
        taken as constant.

    Returns
    -------
    array of shape (n_frames,)
        With mean 1.

    Examples
    --------
    >>> schedule = FrameSchedule([0, 60], [60, 1200])
    >>> frame_weights(schedule, half_life_s=1223.0).round(2)
    array([0.13, 1.87])
    """
    variance = decay_factors(schedule, half_life_s) / schedule.duration_s
    if typical is not None:
        activity = np.asarray(typical, dtype=float)
        variance = variance * np.maximum(activity, FLOOR * activity.max())
    weights = 1 / variance
    return np.asarray(weights / weights.mean())
