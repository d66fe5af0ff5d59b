"""Parcel means of a run, from an array in memory or from one volume after another."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import get_blas_funcs

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray, IntArray

GROUP_BYTES = 400_000  # what stays in the processor's cache until it is summed
WIDEST = 1_000_000  # range of labels that are looked up in a table
LEAST_FRAMES = 3


@dataclass(frozen=True)
class ParcelSeries:
    """Mean signal of each parcel.

    Attributes
    ----------
    series : array of shape (n_frames, n_parcels)
        Columns in the order of the atlas table. A missing parcel is a column of NaN.
    coverage : array of shape (n_parcels,)
        Fraction of the parcel inside the field of view, with a signal that varies.
    missing : mapping of column number to reason
    """

    series: FloatArray
    coverage: FloatArray
    missing: Mapping[int, str]


def parcel_series(
    data: FloatArray,
    labels: IntArray,
    index: IntArray,
    *,
    in_fov: BoolArray | None = None,
    on_grid: FloatArray | None = None,
    min_coverage: float = 0.5,
    where: str = "BOLD run",
) -> ParcelSeries:
    """Average the voxels of each parcel of a run in memory.

    Each voxel's first value is taken off before summing: float32 then serves at any mean
    intensity, since differences of near values are exact.

    Parameters
    ----------
    data : array of shape (n_voxels, n_frames)
        Fast where a voxel's frames lie together (C order) or a frame's voxels do (Fortran order,
        as images are stored); other layouts are copied.
    labels : int array of shape (n_voxels,)
        Atlas labels on the BOLD grid.
    index : int array of shape (n_parcels,)
        Labels in the order of the atlas table: the columns of the result, always all of them.
    in_fov : bool array of shape (n_voxels,), optional
        True where *every* volume of the run has data; everywhere when absent.
    on_grid : array of shape (n_parcels,), optional
        Fraction of each parcel that the BOLD grid contains at all; 1 when absent.
    min_coverage : float
        Parcels with a smaller covered fraction are missing.
    where : str
        Names the run in errors.

    Raises
    ------
    DatasetError
        If lengths differ, the index repeats a label, a voxel in use is not finite, or there are
        fewer than 3 frames.

    Examples
    --------
    >>> data = np.array([[1.0, 3, 2], [3, 5, 4], [5, 7, 9], [0, 0, 0], [9, 9, 9]])
    >>> run = parcel_series(data, np.array([1, 1, 2, 2, 0]), np.array([2, 1, 3]))
    >>> run.series
    array([[ 5.,  2., nan],
           [ 7.,  4., nan],
           [ 9.,  3., nan]])
    >>> run.coverage, run.missing
    (array([0.5, 1. , 0. ]), {2: 'no voxel of this label on the BOLD grid'})
    """
    data, labels = np.asarray(data), np.asarray(labels)
    if data.ndim != 2 or data.shape[:1] != labels.shape:
        raise _other_shape(where, "data", data.shape, (*labels.shape, "n_frames"))
    if data.flags.f_contiguous:
        return stream_parcel_series(
            data.T,
            labels,
            index,
            in_fov=in_fov,
            on_grid=on_grid,
            min_coverage=min_coverage,
            where=where,
        )
    if data.shape[1] < LEAST_FRAMES:
        raise _too_few(where, data.shape[1])
    matrix = ParcelMatrix(labels, index, None if in_fov is None else np.asarray(in_fov), where)
    sums, baseline, varies = _sum_rows(_floating(np.ascontiguousarray(data)), matrix)
    for frame in np.flatnonzero(~np.isfinite(sums).all(axis=0))[:1]:
        matrix.check_finite(sums[:, frame], frame, data[matrix.voxels, frame])
    return matrix.finish(sums, baseline, varies, on_grid, min_coverage)


def stream_parcel_series(
    volumes: Iterable[ArrayLike],
    labels: IntArray,
    index: IntArray,
    *,
    in_fov: BoolArray | None = None,
    on_grid: FloatArray | None = None,
    min_coverage: float = 0.5,
    where: str = "BOLD run",
) -> ParcelSeries:
    """Average the voxels of each parcel, one volume in memory at a time.

    Parameters
    ----------
    volumes : iterable of arrays of one shape, flattened or (x, y, z)
        Read in the order in which they lie in memory, so that slices ``[..., t]`` of an image as
        nibabel gives them are not copied.
    labels : int array of that shape
    in_fov : bool array of that shape, optional
    index, on_grid, min_coverage, where
        See `parcel_series`.

    Raises
    ------
    DatasetError
        As `parcel_series`.

    Examples
    --------
    >>> volumes = ([1.0, 3, 5, 0], [3, 5, 7, 0], [2, 4, 9, 0])
    >>> stream_parcel_series(volumes, np.array([1, 1, 2, 2]), np.array([1, 2])).series
    array([[2., 5.],
           [4., 7.],
           [3., 9.]])
    """
    labels, sums = np.asarray(labels), []
    for frame, volume in enumerate(volumes):
        values = np.asarray(volume)
        if values.shape != labels.shape:
            raise _other_shape(where, f"volume {frame}", values.shape, labels.shape)
        if frame == 0:
            order: Literal["C", "F"] = "F" if values.flags.f_contiguous else "C"
            fov = None if in_fov is None else np.asarray(in_fov).ravel(order)
            matrix = ParcelMatrix(labels.ravel(order), index, fov, where)
            baseline = _floating(values.ravel(order).take(matrix.voxels, mode="clip"))
            still = np.arange(baseline.size)
        change = _floating(values.ravel(order).take(matrix.voxels, mode="clip"))
        change -= baseline
        still = still[change[still] == 0]
        sums.append(np.add.reduceat(change, matrix.starts[:-1]))
        matrix.check_finite(sums[-1], frame, change)
    if not sums:
        raise _too_few(where, 0)
    varies = np.ones(baseline.size, dtype=bool)
    varies[still] = False
    return matrix.finish(np.array(sums).T, baseline, varies, on_grid, min_coverage)


class ParcelMatrix:
    """The sparse matrix of parcels and voxels, row by row: one parcel's voxels after another's.

    Parameters
    ----------
    labels : int array of shape (n_voxels,)
    index : int array of shape (n_parcels,)
    in_fov : bool array of shape (n_voxels,), optional
    where : str

    Attributes
    ----------
    voxels : int array of shape (n_used,)
        Positions in the labels.
    present : int array of shape (n_present,)
        The columns that have voxels in use, ascending.
    starts : int array of shape (n_present + 1,)
        Where in `voxels` each of them begins, and the end.
    """

    def __init__(
        self, labels: IntArray, index: IntArray, in_fov: BoolArray | None, where: str
    ) -> None:
        index = np.asarray(index)
        check_index(index)
        if in_fov is not None and in_fov.shape != labels.shape:
            raise _other_shape(where, "field of view", in_fov.shape, labels.shape)
        self.where = where
        column = columns_of(labels, index)
        voxels = np.flatnonzero(column >= 0)
        column = column[voxels].astype(np.min_scalar_type(index.size))  # small: sorted by radix
        self._expected = np.bincount(column, minlength=index.size)
        if in_fov is not None:
            seen = in_fov.astype(bool)[voxels]
            voxels, column = voxels[seen], column[seen]
        count = np.bincount(column, minlength=index.size)
        self.voxels = voxels[np.argsort(column, kind="stable")]
        self.present = np.flatnonzero(count)
        self.starts = np.concatenate([[0], np.cumsum(count[self.present])])

    def groups(self, n_voxels: int) -> Iterator[list[tuple[int, slice]]]:
        """Group parcels up to so many voxels: the number of each among `present`, its voxels."""
        group: list[tuple[int, slice]] = []
        for parcel, (start, stop) in enumerate(itertools.pairwise(self.starts.tolist())):
            if group and stop - group[0][1].start > n_voxels:
                yield group
                group = []
            group.append((parcel, slice(start, stop)))
        if group:
            yield group

    def finish(
        self,
        sums: FloatArray,
        baseline: FloatArray,
        varies: BoolArray,
        on_grid: FloatArray | None,
        min_coverage: float,
    ) -> ParcelSeries:
        """Divide sums by voxels and name the missing parcels.

        Parameters
        ----------
        sums : array of shape (n_present, n_frames)
            Of what is above the baseline.
        baseline : array of shape (n_used,)
        varies : bool array of shape (n_used,)
        """
        if sums.shape[1] < LEAST_FRAMES:
            raise _too_few(self.where, sums.shape[1])
        n_parcels = self._expected.size
        column = np.repeat(self.present, np.diff(self.starts))
        alive = np.bincount(column[varies], minlength=n_parcels)
        level = np.bincount(column, np.where(varies, baseline, 0), minlength=n_parcels)
        whole = np.ones(n_parcels) if on_grid is None else np.asarray(on_grid)
        coverage = whole * alive / np.maximum(self._expected, 1)
        missing = missing_parcels(coverage, self._expected, min_coverage)
        series = np.full((n_parcels, sums.shape[1]), np.nan)
        series[self.present] = sums
        series += level[:, None]
        series /= np.maximum(alive, 1)[:, None]
        series[list(missing)] = np.nan
        return ParcelSeries(series.T, coverage, missing)

    def check_finite(self, sums: FloatArray, frame: int, values: FloatArray) -> None:
        """Refuse a frame if a voxel that its sums include is not finite."""
        if not np.isfinite(sums).all():
            raise DatasetError(
                f"{self.where}: volume {frame}",
                f"{np.count_nonzero(~np.isfinite(values))} voxels not finite",
                "finite values inside the field of view",
                "repair the image or leave the run out",
            )


def columns_of(labels: IntArray, index: IntArray) -> IntArray:
    """Give each voxel the column of its label, -1 where the atlas does not have it.

    Parameters
    ----------
    labels : int array of shape (n_voxels,)
    index : int array of shape (n_parcels,)

    Examples
    --------
    >>> columns_of(np.array([7, 7, 0, 2]), np.array([2, 7]))
    array([ 1,  1, -1,  0])
    """
    low, high = int(index.min()), int(index.max())
    if high - low > WIDEST:
        order = np.argsort(index)
        place = order[np.searchsorted(index, labels, sorter=order).clip(max=index.size - 1)]
        return np.where(index[place] == labels, place, -1)
    table: IntArray = np.full(high - low + 3, -1)
    table[index - low + 1] = np.arange(index.size)
    return table[np.clip(labels, low - 1, high + 1) - (low - 1)]


def check_index(index: IntArray) -> None:
    """Refuse an index without labels or with one that comes twice."""
    distinct = np.unique(index).size
    if distinct != index.size or index.size == 0:
        raise DatasetError(
            "atlas table: index",
            f"{index.size} labels, {distinct} of them distinct",
            "at least one, each once",
            "correct the atlas table",
        )


def missing_parcels(
    coverage: FloatArray, expected: IntArray, min_coverage: float
) -> dict[int, str]:
    """Say why parcels are missing: column number to reason.

    Parameters
    ----------
    coverage : array of shape (n_parcels,)
    expected : int array of shape (n_parcels,)
        Voxels of each on the grid.
    min_coverage : float
    """
    reasons = {}
    for column, (fraction, voxels) in enumerate(zip(coverage, expected)):
        if voxels == 0:
            reasons[column] = "no voxel of this label on the BOLD grid"
        elif fraction == 0:
            reasons[column] = "no voxel with signal inside the field of view"
        elif fraction < min_coverage:
            reasons[column] = f"coverage {fraction:.2f} below {min_coverage:.2f}"
    return reasons


def _sum_rows(data: FloatArray, matrix: ParcelMatrix) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Sum what each voxel has above its first value, a few parcels at a time, in three strokes.

    Returns what `ParcelMatrix.finish` takes.
    """
    n_frames, n_used = data.shape[1], matrix.voxels.size
    groups = list(matrix.groups(GROUP_BYTES // max(1, data.itemsize * n_frames)))
    largest = max((group[-1][1].stop - group[0][1].start for group in groups), default=0)
    rows: FloatArray = np.empty((largest, n_frames), data.dtype)
    ones: FloatArray = np.ones(max(largest, n_frames), data.dtype)
    sums: FloatArray = np.zeros((matrix.present.size, n_frames), data.dtype)
    first_two: FloatArray = np.empty((2, n_used), data.dtype)
    (add_outer,) = get_blas_funcs(("ger",), dtype=data.dtype)
    for group in groups:
        start, stop = group[0][1].start, group[-1][1].stop
        block, begin = rows[: stop - start], first_two[:, start:stop]
        data.take(matrix.voxels[start:stop], axis=0, out=block, mode="clip")
        begin[...] = block[:, :2].T
        add_outer(-1, ones[:n_frames], begin[0], a=block.T, overwrite_a=1)
        for parcel, own in group:
            part = block[own.start - start : own.stop - start]
            np.dot(ones[: len(part)], part, out=sums[parcel])
    baseline, second = first_two
    varies = second != baseline
    still = np.flatnonzero(~varies)
    varies[still] = (data[matrix.voxels[still]] != baseline[still, None]).any(axis=1)
    return sums, baseline, varies


def _floating(values: NDArray[Any]) -> FloatArray:
    """Leave float32 and float64 as they are; make anything else float64."""
    return values if values.dtype in (np.float32, np.float64) else values.astype(float)


def _too_few(where: str, count: int) -> DatasetError:
    return DatasetError(where, f"{count} volumes", "a 4-D series of at least 3", "check it")


def _other_shape(where: str, what: str, found: object, expected: object) -> DatasetError:
    return DatasetError(
        f"{where}: {what}",
        f"shape {found}",
        f"{expected} as the labels",
        "resample image, masks and labels onto one grid",
    )
