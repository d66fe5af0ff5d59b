"""Named denoising strategies: from raw parcel series to the frames that count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pandas as pd

from petfmri.bold.confounds import MOTION
from petfmri.bold.operator import Band, Interpolation, TemporalOperator, temporal_operator
from petfmri.errors import DenoisingError
from petfmri.typing import BoolArray, FloatArray

EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
MOTION_24 = tuple(name + suffix for suffix in EXPANSIONS for name in MOTION)
SIGNALS_12 = tuple(
    name + suffix for suffix in EXPANSIONS for name in ("global_signal", "white_matter", "csf")
)

#: Columns of the confound table that each strategy regresses out: motion with differences and
#: squares (Friston 1996), with aCompCor (Behzadi 2007), or with the mean signals including the
#: global one (Satterthwaite 2013, Ciric 2017: global signal regression).
STRATEGIES: dict[str, tuple[str, ...]] = {
    "24P": MOTION_24,
    "24P+aCompCor": MOTION_24 + tuple(f"a_comp_cor_{k:02d}" for k in range(5)),
    "36P": MOTION_24 + SIGNALS_12,
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
    df_effective : float
        Independent frames that white noise would be worth; summed over runs.
    n_regressors : int
        Independent regressors; summed over runs.
    mean_fd : float, mm
        Over all volumes but the dummies, before censoring; NaN where it is not known.
    """

    series: FloatArray
    kept: BoolArray
    df_effective: float
    n_regressors: int
    mean_fd: float

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
    *,
    tr_s: float,
    strategy: str | Sequence[str] = "24P+aCompCor",
    band_hz: Band = (0.01, 0.1),
    fd_threshold_mm: float | None = 0.5,
    dummy: int = 0,
    minimum_kept_s: float = 240.0,
    minimum_df: float = 10.0,
    interpolation: Interpolation = "linear",
    where: str = "BOLD run",
) -> Denoised:
    """Denoise the parcel series of one run.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Missing parcels are columns of NaN.
    confounds : DataFrame of n_frames rows
        As `confounds_table` makes it or fMRIPrep writes it. The first row of differences
        (``*derivative1*``, framewise displacement), which have no volume before them, counts as 0.
    tr_s : float
        Repetition time.
    strategy : str or sequence of str
        A name in `STRATEGIES` or the columns themselves.
    band_hz : (low, high)
        Either may be None.
    fd_threshold_mm : float, optional
        Frames with a framewise displacement above it are censored; None censors none.
    dummy : int
        Leading volumes to drop.
    minimum_kept_s : float
        Shortest acceptable time after censoring, in seconds (240 as in XCP-D).
    minimum_df : float
        Least acceptable effective degrees of freedom. At 10 a correlation has a standard error of
        about 0.3.
    interpolation
        See `temporal_operator`.
    where : str
        Names the run in errors.

    Raises
    ------
    DenoisingError
        If the tables do not fit each other, a column is missing, or too little is left: with the
        counts.
    """
    series = np.asarray(series, dtype=float)
    if len(series) != len(confounds):
        raise DenoisingError(
            f"{where}: confounds",
            f"{len(confounds)} rows",
            f"{len(series)} as the series has frames",
            "use the confounds of this run, without cutting either",
        )
    columns = _columns(strategy, confounds, where)
    table = _without_first_gap(confounds)
    fd = _framewise_displacement(table, fd_threshold_mm, where)
    kept = np.arange(len(series)) >= dummy
    if fd_threshold_mm is not None:
        kept &= fd <= fd_threshold_mm
    _check_kept(kept, dummy, tr_s, minimum_kept_s, fd_threshold_mm, where)

    operator = temporal_operator(
        table[columns].to_numpy(dtype=float)[dummy:],
        kept[dummy:],
        tr_s=tr_s,
        band_hz=band_hz,
        interpolation=interpolation,
        where=where,
    )
    _check_df(operator, kept, minimum_df, band_hz, where)
    return Denoised(
        series=_apply(operator.matrix, series[kept], where),
        kept=kept,
        df_effective=operator.df_effective,
        n_regressors=operator.n_regressors,
        mean_fd=float(fd[dummy:].mean()),
    )


def _columns(strategy: str | Sequence[str], confounds: pd.DataFrame, where: str) -> list[str]:
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise DenoisingError(
                f"{where}: strategy",
                repr(strategy),
                f"one of {', '.join(STRATEGIES)}",
                "name one of them or list the columns",
            )
        strategy = STRATEGIES[strategy]
    present = [str(name) for name in confounds.columns]
    absent = [name for name in strategy if name not in present]
    if absent:
        nearest = get_close_matches(absent[0], present, n=1) or present[:1]
        raise DenoisingError(
            f"{where}: confounds",
            f"no column {', '.join(absent)}; the nearest is {', '.join(nearest)}",
            "every column of the strategy",
            "choose another strategy, or see why the signal is absent (an empty tissue mask?)",
        )
    return list(strategy)


def _without_first_gap(confounds: pd.DataFrame) -> pd.DataFrame:
    table = confounds.copy()
    for name in table.columns:
        if "derivative1" in str(name) or name == "framewise_displacement":
            values = table[name].to_numpy(dtype=float, copy=True)
            values[:1] = np.nan_to_num(values[:1], nan=0.0)
            table[name] = values
    return table


def _framewise_displacement(
    confounds: pd.DataFrame, threshold_mm: float | None, where: str
) -> FloatArray:
    name = "framewise_displacement"
    if name in confounds:
        fd = confounds[name].to_numpy(dtype=float)
        if np.isfinite(fd).all():
            return fd
    elif threshold_mm is None:
        return np.full(len(confounds), np.nan)
    raise DenoisingError(
        f"{where}: {name}",
        "missing values" if name in confounds else "no such column",
        "a finite value for every frame",
        "repair the confound table, or censor nothing",
    )


def _check_kept(
    kept: BoolArray,
    dummy: int,
    tr_s: float,
    minimum_kept_s: float,
    fd_threshold_mm: float | None,
    where: str,
) -> None:
    n_kept = int(kept.sum())
    if n_kept < 3 or n_kept * tr_s < minimum_kept_s:
        censored = kept.size - dummy - n_kept
        raise DenoisingError(
            where,
            f"{n_kept * tr_s:g} s kept ({kept.size} frames, {dummy} dummies, {censored} censored "
            f"at framewise displacement > {fd_threshold_mm} mm)",
            f"at least {minimum_kept_s:g} s",
            "leave the run out, or lower the minimum knowing what that means",
        )


def _check_df(
    operator: TemporalOperator, kept: BoolArray, minimum_df: float, band_hz: Band, where: str
) -> None:
    if operator.df_effective < minimum_df:
        raise DenoisingError(
            where,
            f"{operator.df_effective:.1f} effective degrees of freedom after {kept.sum()} kept of "
            f"{kept.size} frames, {operator.n_regressors} regressors and the band {band_hz} Hz",
            f"at least {minimum_df:g}",
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
