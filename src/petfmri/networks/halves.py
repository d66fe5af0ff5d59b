"""The runs of a session, and their halves."""

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
    first, second = np.zeros(times.size, dtype=bool), np.zeros(times.size, dtype=bool)
    for run in runs_of(times):
        half = run.size // 2
        first[run[:half]] = True
        second[run[half : 2 * half]] = True
    return first, second


def runs_of(times: IntArray) -> list[IntArray]:
    """List the frames of each run.

    Examples
    --------
    >>> [run.tolist() for run in runs_of(np.array([0, 1, 4, 0, 1]))]
    [[0, 1, 2], [3, 4]]
    """
    return np.split(np.arange(times.size), np.flatnonzero(np.diff(times) <= 0) + 1)
