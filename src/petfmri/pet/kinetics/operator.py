"""The integral of a curve of which only frame averages are known, as a matrix."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from petfmri.errors import FrameError
from petfmri.pet.frames import FrameSchedule
from petfmri.typing import FloatArray

LATEST_START_S = 30.0  # a scan that begins later has lost a part of its integrals
LARGEST_GAP = 0.2  # of the scan, that may be bridged by a straight line


def frame_integral(schedule: FrameSchedule) -> FloatArray:
    """Make the matrix that takes frame averages of a curve to frame averages of its integral.

    The integral since the injection is known exactly at frame edges. A cubic spline through it,
    which begins without slope because nothing has arrived yet, is averaged over each frame. Gaps
    between frames are bridged by a straight line.

    Parameters
    ----------
    schedule : FrameSchedule

    Returns
    -------
    array of shape (n_frames, n_frames), min

    Raises
    ------
    FrameError
        If the scan begins more than 30 s after the injection, has fewer than 4 frames, or has
        gaps of more than a fifth of its length: integrals are then not known.

    Examples
    --------
    >>> schedule = FrameSchedule(60.0 * np.arange(6), np.full(6, 60.0))
    >>> rising = 1 + 2 * np.arange(6)  # of 2 t, whose integral is t²
    >>> (frame_integral(schedule) @ rising).round(3)
    array([ 0.333,  2.333,  6.333, 12.333, 20.333, 30.333])
    """
    _check(schedule)
    edges_min, averages = _filled(schedule)
    durations = np.diff(edges_min)
    at_edges = np.vstack(
        [np.zeros(schedule.n_frames), np.cumsum(durations[:, None] * averages, axis=0)]
    )
    spline = CubicSpline(edges_min, at_edges, axis=0, bc_type=((1, at_edges[0]), "not-a-knot"))
    area = spline.antiderivative()
    start, end = schedule.start_s / 60, schedule.end_s / 60
    return np.asarray((area(end) - area(start)) / (end - start)[:, None])


def _check(schedule: FrameSchedule) -> None:
    length = schedule.end_s[-1] - max(schedule.start_s[0], 0.0)
    gaps = schedule.start_s[1:] - schedule.end_s[:-1]
    missing = float(gaps.clip(0).sum() / length)
    found = None
    if schedule.start_s[0] > LATEST_START_S:
        found = f"a scan that begins {schedule.start_s[0] / 60:g} min after the injection"
    elif schedule.n_frames < 4:
        found = f"{schedule.n_frames} frames"
    elif missing > LARGEST_GAP:
        found = f"gaps of {100 * missing:.0f} % of the scan"
    if found:
        raise FrameError(
            schedule.where,
            found,
            "a dynamic scan from the injection on",
            "use SUVR, which needs only a late window",
        )


def _filled(schedule: FrameSchedule) -> tuple[FloatArray, FloatArray]:
    """Edges without gaps (min), and each interval's average as weights of the frames."""
    identity = np.eye(schedule.n_frames)
    edges, rows = [min(schedule.start_s[0], 0.0)], []
    if schedule.start_s[0] > 0:
        edges.append(schedule.start_s[0])
        rows.append(0.5 * identity[0])  # a straight rise from nothing
    for k in range(schedule.n_frames):
        if k and schedule.start_s[k] - edges[-1] > 1e-6:
            edges.append(schedule.start_s[k])
            rows.append(0.5 * (identity[k - 1] + identity[k]))
        edges.append(schedule.end_s[k])
        rows.append(identity[k])
    return np.array(edges) / 60, np.array(rows)
