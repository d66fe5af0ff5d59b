"""From raw parcel series to the frames that count, cleaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from petfmri.bold.censoring import FD, Censoring, kept_frames
from petfmri.bold.operator import Band, Interpolation, TemporalOperator, temporal_operator
from petfmri.bold.strategies import regresses_global_signal, strategy_columns
from petfmri.errors import DenoisingError, ExcludedRunError
from petfmri.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Cleaning:
    """How runs are denoised.

    Attributes
    ----------
    strategy : str or sequence of str
        A name in `STRATEGIES` or the columns themselves.
    band_hz : (low, high)
        Either may be None.
    censoring : Censoring
    minimum_kept_s : float
        Shortest acceptable time after censoring, in seconds (240 as in XCP-D).
    minimum_df : float
        Least acceptable effective degrees of freedom. At 10 a correlation has a standard error of
        about 0.3.
    interpolation : "linear" or "cubic"
        See `temporal_operator`.
    """

    strategy: str | Sequence[str] = "24P+aCompCor"
    band_hz: Band = (0.01, 0.1)
    censoring: Censoring = field(default_factory=Censoring)
    minimum_kept_s: float = 240.0
    minimum_df: float = 10.0
    interpolation: Interpolation = "linear"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Cleaning:
        """Make one of the values that `dataclasses.asdict` gave."""
        censoring = Censoring(**values["censoring"])
        return cls(**{**values, "censoring": censoring, "band_hz": tuple(values["band_hz"])})

    @property
    def conditions(self) -> dict[str, Any]:
        """What must be equal for two sessions to be compared."""
        named = self.strategy if isinstance(self.strategy, str) else ", ".join(self.strategy)
        return {
            "strategy": named,
            "global_signal": regresses_global_signal(self.strategy),
            "low_hz": self.band_hz[0],
            "high_hz": self.band_hz[1],
            "censoring": str(self.censoring),
        }


@dataclass(frozen=True)
class Denoised:
    """A denoised run, or several of one session pooled.

    Attributes
    ----------
    series : array of shape (frames_kept, n_parcels)
        Each present column with mean 0; missing parcels are NaN.
    kept : bool array of shape (frames_total,)
        False for dummy and censored volumes.
    times : int array of shape (frames_kept,)
        Frames since the first kept one of its run: 0 begins a run.
    df_effective : float
        Independent frames that white noise would be worth; summed over runs.
    n_regressors : int
        Independent regressors; summed over runs; NaN where another program took them out.
    mean_fd : float, mm
        From the first to the last kept frame, the censored between them included; NaN where it is
        not known.
    operators : tuple of TemporalOperator
        One for each run.
    """

    series: FloatArray
    kept: BoolArray
    times: IntArray
    df_effective: float
    n_regressors: float
    mean_fd: float
    operators: tuple[TemporalOperator, ...] = ()

    @property
    def circumstances(self) -> dict[str, float]:
        """What may differ between two sessions, and readers want to see."""
        return {
            "df_effective": self.df_effective,
            "n_regressors": self.n_regressors,
            "mean_fd": self.mean_fd,
        }

    @property
    def frames_kept(self) -> int:
        """Number of frames in the series."""
        return int(np.count_nonzero(self.kept))

    @property
    def frames_total(self) -> int:
        """Number of volumes scanned, dummies and censored ones included."""
        return self.kept.size


def denoise(
    series: FloatArray,
    confounds: pd.DataFrame,
    cleaning: Cleaning | None = None,
    *,
    tr_s: float,
    dummy: int = 0,
    where: str = "BOLD run",
) -> Denoised:
    """Censor and clean the parcel series of one run.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Missing parcels are columns of NaN.
    confounds : DataFrame of n_frames rows
        As `confounds_table` makes it or fMRIPrep writes it. The first row of differences
        (``*derivative1*``, framewise displacement), which have no volume before them, counts as 0.
    cleaning : Cleaning, optional
    tr_s : float
        Repetition time.
    dummy : int
        Leading volumes to drop.
    where : str
        Names the run in errors.

    Raises
    ------
    DenoisingError
        If the tables do not fit each other or a column is missing.
    ExcludedRunError
        If too little is left: with the counts.
    """
    cleaning = cleaning or Cleaning()
    kept = kept_frames(confounds, cleaning.censoring, dummy=dummy, where=where)
    require_kept(kept, cleaning, tr_s=tr_s, dummy=dummy, where=where)
    return clean(series, confounds, kept, cleaning, tr_s=tr_s, where=where)


def clean(
    series: FloatArray,
    confounds: pd.DataFrame,
    kept: BoolArray,
    cleaning: Cleaning,
    *,
    tr_s: float,
    where: str = "BOLD run",
) -> Denoised:
    """Clean the frames of one run that were chosen before.

    The time line is that from the first to the last kept frame: whatever lies outside has no part
    in filter or regression.

    Parameters
    ----------
    series, confounds, cleaning, tr_s, where
        As in `denoise`; `cleaning.censoring` is not read.
    kept : bool array of shape (n_frames,)
        At least one True.

    Raises
    ------
    DenoisingError, ExcludedRunError
        As `denoise`, but for the time kept.
    """
    series = np.asarray(series, dtype=float)
    _check_lengths(series, confounds, where)
    columns = strategy_columns(cleaning.strategy, list(map(str, confounds.columns)), where)
    times = np.flatnonzero(kept)
    line = slice(times[0], times[-1] + 1)
    operator = temporal_operator(
        np.column_stack([_without_first_gap(confounds, name) for name in columns])[line]
        if columns
        else np.empty((line.stop - line.start, 0)),
        kept[line],
        tr_s=tr_s,
        band_hz=cleaning.band_hz,
        interpolation=cleaning.interpolation,
        where=where,
    )
    _check_df(operator, kept, cleaning, where)
    return Denoised(
        series=_apply(operator.matrix, series[kept], where),
        kept=kept,
        times=times - times[0],
        df_effective=operator.df_effective,
        n_regressors=operator.n_regressors,
        mean_fd=_mean_fd(confounds, line),
        operators=(operator,),
    )


def require_kept(
    kept: BoolArray,
    cleaning: Cleaning,
    *,
    tr_s: float,
    dummy: int = 0,
    share: float = 1.0,
    by: str | None = None,
    where: str = "BOLD run",
) -> None:
    """Refuse a run that is too short after censoring.

    Parameters
    ----------
    kept : bool array of shape (n_frames,)
    cleaning : Cleaning
    tr_s : float
    dummy : int
    share : float
        Of `cleaning.minimum_kept_s` that this run must have.
    by : str, optional
        What censored, for the message; default: `cleaning.censoring`.
    where : str

    Raises
    ------
    ExcludedRunError
        With the counts.
    """
    n_kept, minimum_s = int(kept.sum()), cleaning.minimum_kept_s * share
    if n_kept < 3 or n_kept * tr_s < minimum_s:
        raise ExcludedRunError(
            where,
            f"{n_kept * tr_s:g} s kept ({kept.size} frames, {dummy} dummies, "
            f"{kept.size - dummy - n_kept} censored by {by or cleaning.censoring})",
            f"at least {minimum_s:g} s",
            "leave the run out, or lower the minimum knowing what that means",
        )


def _mean_fd(confounds: pd.DataFrame, line: slice) -> float:
    """Average framewise displacement; NaN where it is not known of every frame."""
    if FD not in confounds:
        return float("nan")
    return float(_without_first_gap(confounds, FD)[line].mean())


def _check_lengths(series: FloatArray, confounds: pd.DataFrame, where: str) -> None:
    if len(series) != len(confounds):
        raise DenoisingError(
            f"{where}: confounds",
            f"{len(confounds)} rows",
            f"{len(series)} as the series has frames",
            "use the confounds of this run, without cutting either",
        )


def _without_first_gap(confounds: pd.DataFrame, name: str) -> FloatArray:
    """Return a column; differences, which have no volume before the first, begin with 0."""
    values = np.array(confounds[name], dtype=float)
    if "derivative1" in name or name == FD:
        values[:1] = np.nan_to_num(values[:1])
    return values


def _check_df(operator: TemporalOperator, kept: BoolArray, cleaning: Cleaning, where: str) -> None:
    if operator.df_effective < cleaning.minimum_df:
        raise ExcludedRunError(
            where,
            f"{operator.df_effective:.1f} effective degrees of freedom after {kept.sum()} kept of "
            f"{kept.size} frames, {operator.n_regressors} regressors and the band "
            f"{cleaning.band_hz} Hz",
            f"at least {cleaning.minimum_df:g}",
            "choose a smaller strategy or a wider band, or leave the run out",
        )


def _apply(matrix: FloatArray, series: FloatArray, where: str) -> FloatArray:
    missing = np.isnan(series).all(axis=0)
    present = series[:, ~missing]
    if not np.isfinite(present).all():
        raise DenoisingError(
            f"{where}: parcel series",
            f"{np.count_nonzero(~np.isfinite(present).all(axis=0))} columns finite only in part",
            "columns all finite, or all NaN where the parcel is missing",
            "look for damaged volumes",
        )
    result = np.full_like(series, np.nan)
    result[:, ~missing] = matrix @ (present - present.mean(axis=0))
    return result
