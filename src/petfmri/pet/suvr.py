"""Standardised uptake value ratios over a time window.

A ratio is the duration-weighted mean activity of the target over that of the reference: the ratio
of the areas under the curves, not the mean of the ratios of single frames.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError, FrameError, ReferenceRegionError
from petfmri.pet.frames import FrameSchedule
from petfmri.typing import FloatArray

Value = TypeVar("Value", float, FloatArray, "pd.Series[float]")

MIN_VOLUME_COVERED = 0.9


def window_mean(frames: Iterable[FloatArray], weights: FloatArray) -> FloatArray:
    """Weighted mean over frames, holding one frame at a time.

    Parameters
    ----------
    frames : array of shape (n_frames, ...), or iterable of n_frames arrays of one shape
    weights : array of shape (n_frames,)
        From `FrameSchedule.window_weights`. A frame of weight 0 does not enter, not even its NaN;
        a voxel that is NaN in a frame that enters is NaN, so every voxel is over the same frames.

    Returns
    -------
    mean : array shaped like one frame

    Raises
    ------
    FrameError
        If the number of frames is not that of the weights.

    Examples
    --------
    >>> window_mean([[np.nan, np.nan], [2.0, 4.0], [4.0, 8.0]], np.array([0, 0.5, 0.5]))
    array([3., 6.])
    """
    total: FloatArray | None = None
    n_frames = 0
    for n_frames, frame in enumerate(frames, 1):
        if n_frames <= weights.size and weights[n_frames - 1] > 0:
            part = weights[n_frames - 1] * np.asarray(frame, dtype=float)
            total = part if total is None else total + part
    if n_frames != weights.size or total is None:
        raise FrameError(
            "window mean",
            f"{n_frames} frames, {weights.size} weights, {np.count_nonzero(weights)} above 0",
            "one weight per frame",
            "use the weights of the same scan's schedule",
        )
    return total


def suvr(target: Value, reference: float, where: str = "reference region") -> Value:
    """Ratio of the target's to the reference's mean activity.

    Parameters
    ----------
    target : float, array or Series
        Window means of voxels or regions. NaN, outside the field of view, remains NaN.
    reference : float
        Window mean of the reference region, in the same units.
    where : str
        What the error names.

    Raises
    ------
    ReferenceRegionError
        If the reference is not a number above zero.

    Examples
    --------
    A target at 60 and a reference at 90 kBq/mL:

    >>> round(suvr(60.0, 90.0), 4)
    0.6667
    """
    if not (np.isfinite(reference) and reference > 0):
        raise ReferenceRegionError(
            where, f"a mean uptake of {reference:g}", "above 0", "check the region and the image"
        )
    return target / float(reference)


def suvr_from_tacs(
    tacs: pd.DataFrame,
    schedule: FrameSchedule,
    window_s: tuple[float, float],
    reference_regions: Sequence[str],
    *,
    volumes_mm3: pd.Series[float] | None = None,
) -> pd.Series[float]:
    """SUVR of every region of a table of time-activity curves.

    Parameters
    ----------
    tacs : DataFrame of shape (n_frames, n_regions)
        Curves in any one unit; region names are the columns, without the time columns.
    schedule : FrameSchedule
        Of the same frames.
    window_s : (float, float), s
        Since the injection.
    reference_regions : sequence of str
        Columns that form the reference, such as the left and right cerebellar cortex.
    volumes_mm3 : Series, indexed by region, optional
        Where given, reference regions are averaged by volume, as one mask over all of them would
        be; without it they are averaged with equal weights.

    Returns
    -------
    suvr : Series, indexed by region
        A region with a missing value in a frame of the window is missing.

    Raises
    ------
    FrameError
        If table and schedule differ in frames, or the window does not fit the frames.
    ReferenceRegionError
        If a reference region is absent, missing or not above zero.

    Examples
    --------
    >>> tacs = pd.DataFrame({"target": [50.0, 60.0], "reference": [70.0, 90.0]})
    >>> schedule = FrameSchedule([0, 1800], [1800, 1800])
    >>> suvr_from_tacs(tacs, schedule, (1800, 3600), ["reference"]).round(3).to_dict()
    {'target': 0.667, 'reference': 1.0}
    """
    if len(tacs) != schedule.n_frames:
        raise FrameError(
            schedule.where,
            f"{schedule.n_frames} frames",
            f"{len(tacs)}, as the curves have",
            "use the schedule of the same scan",
        )
    names = _known_regions(tacs, reference_regions, schedule.where)
    mean = window_mean(tacs.to_numpy(dtype=float), schedule.window_weights(window_s))
    means = pd.Series(mean, index=tacs.columns.astype(str), name="suvr")
    shares = None if volumes_mm3 is None else _volumes(volumes_mm3, names, schedule.where)
    reference = float(np.average(means[names].to_numpy(), weights=shares))
    return suvr(means, reference, f"{schedule.where}: {', '.join(names)}")


def volume_weighted_mean(
    values: pd.Series[float], volumes_mm3: pd.Series[float], where: str = "grey matter"
) -> float:
    """Mean over regions by volume, as of the whole grey matter.

    Parameters
    ----------
    values, volumes_mm3 : Series, indexed by region
        Regions whose value is missing are left out.

    Raises
    ------
    DatasetError
        If a volume is missing, or less than 90 % of the volume has a value: the mean would depend
        on which regions the scan happened to cover.

    Examples
    --------
    >>> regions = ["large", "small"]
    >>> volume_weighted_mean(pd.Series([1.0, 2.0], regions), pd.Series([3.0, 1.0], regions))
    1.25
    """
    volumes = _volumes(volumes_mm3, [str(name) for name in values.index], where)
    known = values.notna().to_numpy()
    covered = volumes[known].sum() / volumes.sum()
    if covered < MIN_VOLUME_COVERED:
        raise DatasetError(
            where,
            f"values in {100 * covered:.0f} % of the volume",
            f"at least {100 * MIN_VOLUME_COVERED:.0f} %",
            "check the field of view and the registration",
        )
    return float(np.average(values.to_numpy(dtype=float)[known], weights=volumes[known]))


def _known_regions(tacs: pd.DataFrame, wanted: Sequence[str], where: str) -> list[str]:
    columns = [str(name) for name in tacs.columns]
    absent = [name for name in wanted if name not in columns]
    if wanted and not absent:
        return list(wanted)
    near = [match for name in absent for match in difflib.get_close_matches(name, columns, 3)]
    raise ReferenceRegionError(
        where,
        f"no region {', '.join(absent)}" if absent else "no reference region named",
        "one of the table's regions",
        f"choose for example {', '.join(near or columns[:3])}",
    )


def _volumes(volumes_mm3: pd.Series[float], names: Sequence[str], where: str) -> FloatArray:
    volumes = volumes_mm3.reindex(list(names)).to_numpy(dtype=float)
    bad = [name for name, volume in zip(names, volumes, strict=True) if not volume > 0]
    if bad:
        raise DatasetError(
            where, f"no volume of {', '.join(bad[:3])}", "a volume in mm³", "add it to the table"
        )
    return volumes
