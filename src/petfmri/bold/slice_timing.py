"""Slice timing: every slice read at the same moment, by interpolation in time alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from petfmri.errors import DatasetError
from petfmri.typing import FloatArray

REACH = 7  # volumes to either side that a value is made of


def slice_shifts(
    times_s: Sequence[float], tr_s: float, *, falling: bool = False, where: str = "BOLD run"
) -> FloatArray:
    """Tell how far each slice was taken from the middle of the acquisition.

    The middle lies half way between the first and the last slice, as in fMRIPrep with its
    ``--slice-time-ref 0.5``; without a pause between volumes that is the middle of the TR.

    Parameters
    ----------
    times_s : sequence of float, s
        BIDS' ``SliceTiming``: after the start of the volume.
    tr_s : float, s
    falling : bool
        Whether `times_s` begin with the last slice of the volume, as those of a
        ``SliceEncodingDirection`` with ``-`` do.
    where : str
        Names the run in errors.

    Returns
    -------
    array of shape (n_slices,)
        By slice: the middle minus the time of the slice, in units of the TR.

    Raises
    ------
    DatasetError
        If a time is not finite or lies outside the TR.

    Examples
    --------
    >>> slice_shifts([0.0, 1.0, 0.5, 1.5], 2.0, falling=True)
    array([-0.375,  0.125, -0.125,  0.375])
    """
    times = np.asarray(times_s, dtype=float)
    if times.ndim != 1 or not times.size or not ((times >= 0) & (times <= tr_s)).all():
        raise _unusable(where, f"SliceTiming {list(times_s)}", f"seconds from 0 to {tr_s:g}")
    middle = (times.min() + times.max()) / 2
    return np.asarray((middle - (times[::-1] if falling else times)) / tr_s)


def interpolate_slices(
    volumes: Iterable[FloatArray],
    axis: int,
    shifts: FloatArray,
    *,
    skip: int = 0,
    where: str = "BOLD run",
) -> Iterator[FloatArray]:
    """Read each slice of a series at a moment that all slices share.

    A sinc, tapered to 7 volumes on either side, through the series of each raw voxel [1]_: in time
    only, so that the one interpolation in space is still to come. The series is mirrored at its
    ends. At most 15 volumes are in memory.

    Parameters
    ----------
    volumes : iterable of arrays of shape (x, y, z)
        In order; read once.
    axis : int
        Of the slices.
    shifts : array of shape (n_slices,), in units of the TR
        As `slice_shifts` tells them.
    skip : int
        Leading volumes, before the steady state: passed on as they are, and kept out of the others.

    Yields
    ------
    array of shape (x, y, z), float32

    Raises
    ------
    DatasetError
        If a volume has another number of slices.

    References
    ----------
    .. [1] Parker DB, Razlighi QR (2019). The benefit of slice timing correction in common fMRI
       preprocessing pipelines. Front Neurosci 13:821. doi:10.3389/fnins.2019.00821

    Examples
    --------
    >>> times = np.arange(40.0)
    >>> series = [np.array([[[0.1 * t, 0.1 * (t + 0.4)]]]) for t in times]  # one line, two slices
    >>> shifted = list(interpolate_slices(series, 2, np.array([0.2, -0.2])))
    >>> shifted[20].round(2)
    array([[[2.02, 2.02]]], dtype=float32)
    """
    source = iter(volumes)
    yield from islice(source, skip)
    along = [1, 1, 1]
    along[axis] = len(shifts)
    weights = [row.reshape(along) for row in _kernel(shifts)]
    held, first, number = deque(islice(source, REACH + 1)), 0, 0
    if held and held[0].shape[axis] != len(shifts):
        found = f"{held[0].shape[axis]} slices and {len(shifts)} slice times"
        raise _unusable(where, found, "one time for each slice")
    while number < first + len(held):
        last = first + len(held) - 1
        total = np.zeros(held[0].shape, dtype=np.float32)
        for step, weight in enumerate(weights, -REACH):
            total += weight * held[_mirrored(number + step, last) - first]
        yield total
        held.extend(islice(source, 1))
        number += 1
        if number - REACH > first:
            held.popleft()
            first += 1


def _kernel(shifts: FloatArray) -> FloatArray:
    """Return the weights of 2 REACH + 1 volumes for each slice; they sum to 1."""
    distance = np.asarray(shifts)[None] - np.arange(-REACH, REACH + 1)[:, None]
    weights = np.sinc(distance) * np.sinc(distance / (REACH + 1))
    return np.asarray(weights / weights.sum(axis=0), dtype=np.float32)


def _mirrored(number: int, last: int) -> int:
    """Reflect an index into 0..last without repeating the ends."""
    if last == 0:
        return 0
    number = abs(number) % (2 * last)
    return min(number, 2 * last - number)


def _unusable(where: str, found: str, expected: str) -> DatasetError:
    return DatasetError(
        f"{where}: slice timing", found, expected, "correct the sidecar or set slice_timing: false"
    )
