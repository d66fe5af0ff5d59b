"""Regional time-activity curves, one frame at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from petfmri.errors import DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.typing import BoolArray, FloatArray, IntArray

MIN_COVERAGE = 0.5


@dataclass(frozen=True, eq=False)
class RegionalTacs:
    """Time-activity curves of regions, with what they rest on.

    Attributes
    ----------
    index : array of shape (n_regions,)
        Label of each region in the image.
    names : tuple of str
    mean : array of shape (n_regions, n_frames), units of the frames
        NaN marks a missing curve; `notes` then says why.
    sd : array of shape (n_regions, n_frames), units of the frames
        Standard deviation over the region's voxels (n in the denominator).
    volume_mm3 : array of shape (n_regions,), mm³
        Of the whole region, inside the field of view or not.
    coverage : array of shape (n_regions,)
        Fraction of the region's voxels inside the field of view, in the frame that saw least.
    notes : tuple of str
        One sentence per missing curve.
    """

    index: IntArray
    names: tuple[str, ...]
    mean: FloatArray
    sd: FloatArray
    volume_mm3: FloatArray
    coverage: FloatArray
    notes: tuple[str, ...]

    def frame_table(self, schedule: FrameSchedule) -> pd.DataFrame:
        """One row per frame, as PETPrep writes it: frame_start, frame_end (s), one column a region.

        Raises
        ------
        DatasetError
            If the schedule has another number of frames.
        """
        if schedule.n_frames != self.mean.shape[1]:
            raise DatasetError(
                schedule.where,
                f"{schedule.n_frames} frames",
                f"{self.mean.shape[1]}, as the curves have",
                "use the schedule of the same scan",
            )
        times = pd.DataFrame({"frame_start": schedule.start_s, "frame_end": schedule.end_s})
        return pd.concat([times, pd.DataFrame(self.mean.T, columns=list(self.names))], axis=1)

    def region_table(self) -> pd.DataFrame:
        """One row per region: index, name, volume_mm3 and coverage."""
        return pd.DataFrame(
            {
                "index": self.index,
                "name": self.names,
                "volume_mm3": self.volume_mm3,
                "coverage": self.coverage,
            }
        )


def regional_means(
    frames: Iterable[FloatArray],
    labels: IntArray,
    regions: Mapping[int, str],
    *,
    voxel_volume_mm3: float,
    min_coverage: float = MIN_COVERAGE,
) -> RegionalTacs:
    """Average each frame over each region, holding one frame at a time.

    Voxels that are not finite lie outside the field of view and do not count.

    Parameters
    ----------
    frames : iterable of n_frames arrays shaped like `labels`
        An array of shape (n_frames, ...) is one. Any units, usually kBq/mL.
    labels : int array of any shape
        0 and labels that `regions` does not name are ignored.
    regions : mapping of label to name
        Its order is the order of the result.
    voxel_volume_mm3 : float, mm³
    min_coverage : float
        A region of which any frame saw less than this fraction is missing, with a note.

    Raises
    ------
    DatasetError
        If labels are not integers, shapes differ, or there are no frames or regions.

    Examples
    --------
    >>> tacs = regional_means([np.array([1.0, 3.0, 5.0, np.nan])], np.array([1, 1, 2, 2]),
    ...                       {1: "left", 2: "right"}, voxel_volume_mm3=8.0)
    >>> tacs.mean.ravel(), tacs.coverage, tacs.volume_mm3
    (array([2., 5.]), array([1. , 0.5]), array([16., 16.]))
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or not regions:
        found = f"{labels.dtype} labels, {len(regions)} regions"
        raise DatasetError("label image", found, "integer labels and at least one region", "fix it")
    index = np.array(list(regions), dtype=np.int64)
    where, position = _positions(labels, index)
    n_voxels = np.bincount(position, minlength=index.size)
    columns = [
        _frame_statistics(_selected(frame, labels, where), position, index.size) for frame in frames
    ]
    if not columns:
        raise DatasetError("PET image", "no frames", "at least one", "use a complete image")
    mean, sd, seen = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    coverage = seen.min(axis=1) / np.maximum(n_voxels, 1)
    missing = coverage < max(min_coverage, np.finfo(float).tiny)
    mean[missing], sd[missing] = np.nan, np.nan
    names = tuple(regions.values())
    notes = _notes(names, missing, n_voxels, coverage)
    return RegionalTacs(index, names, mean, sd, n_voxels * voxel_volume_mm3, coverage, notes)


def with_curves(tacs: RegionalTacs, curves: Mapping[str, ArrayLike]) -> RegionalTacs:
    """Take the means of named regions from elsewhere; missing regions stay missing.

    Parameters
    ----------
    tacs : RegionalTacs
    curves : mapping of name to array of shape (n_frames,)
        In the units of `tacs`; names that it lacks keep their own.

    Raises
    ------
    DatasetError
        If a curve has another number of frames.
    """
    mean = tacs.mean.copy()
    for region, name in enumerate(tacs.names):
        if name not in curves or np.isnan(mean[region]).all():
            continue
        curve = np.asarray(curves[name], dtype=float)
        if curve.shape != mean[region].shape:
            raise DatasetError(
                f"curve of {name}",
                f"{curve.size} frames",
                f"{mean.shape[1]}, as the scan has",
                "use the curves of the same scan",
            )
        mean[region] = curve
    return replace(tacs, mean=mean)


def _positions(labels: IntArray, index: IntArray) -> tuple[BoolArray, IntArray]:
    """Where `labels` names a region, and the region's position in `index` at those voxels."""
    order = np.argsort(index)
    place = np.minimum(np.searchsorted(index, labels, sorter=order), index.size - 1)
    position = order[place]
    where = (index[position] == labels) & (labels != 0)
    return where, position[where]


def _selected(frame: FloatArray, labels: IntArray, where: BoolArray) -> FloatArray:
    frame = np.asarray(frame)
    if frame.shape != labels.shape:
        raise DatasetError(
            "PET frame",
            f"shape {frame.shape}",
            f"{labels.shape}, as the labels have",
            "put image and labels on one grid",
        )
    return frame[where].astype(float, copy=False)


def _frame_statistics(
    values: FloatArray, position: IntArray, n_regions: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Mean, standard deviation and number of voxels seen, of every region."""
    finite = np.isfinite(values)
    if not finite.all():
        values, position = values[finite], position[finite]
    seen = np.bincount(position, minlength=n_regions)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(position, weights=values, minlength=n_regions) / seen
        squares = (values - mean[position]) ** 2
        sd = np.sqrt(np.bincount(position, weights=squares, minlength=n_regions) / seen)
    return mean, sd, seen


def _notes(
    names: tuple[str, ...], missing: BoolArray, n_voxels: IntArray, coverage: FloatArray
) -> tuple[str, ...]:
    return tuple(
        f"{names[region]}: no voxels in the label image"
        if n_voxels[region] == 0
        else f"{names[region]}: {100 * coverage[region]:.0f} % inside the field of view"
        for region in np.flatnonzero(missing)
    )
