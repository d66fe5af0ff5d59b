"""The halves of a session."""

from __future__ import annotations

import numpy as np

from petfmri.typing import BoolArray, IntArray


def half_frames(times: IntArray) -> tuple[BoolArray, BoolArray]:
    """Split every run in the middle: the first halves of all runs, and the second halves.

    Each half then holds all runs of the session, so that halves differ by time within a run and
    not by run.

    Parameters
    ----------
    times : int array of shape (n_frames,)
        Number of each frame in its run; a value not above the one before begins a new run.

    Returns
    -------
    two bool arrays of shape (n_frames,)
        With equally many True in each run; the last frame of an odd run is in neither.

    Examples
    --------
    >>> first, second = half_frames(np.array([0, 1, 2, 3, 0, 1, 2]))
    >>> first.astype(int), second.astype(int)
    (array([1, 1, 0, 0, 1, 0, 0]), array([0, 0, 1, 1, 0, 1, 0]))
    """
    times = np.asarray(times)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(times) <= 0]))
    first, second = np.zeros(times.size, dtype=bool), np.zeros(times.size, dtype=bool)
    for start, stop in zip(starts, [*starts[1:], times.size], strict=True):
        half = (stop - start) // 2
        first[start : start + half] = True
        second[start + half : start + 2 * half] = True
    return first, second
