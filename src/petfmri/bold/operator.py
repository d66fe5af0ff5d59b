"""Censoring, filtering and confound regression as one matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.linalg import qr
from scipy.signal import butter, sosfiltfilt

from petfmri.bold.confounds import cosine_drift
from petfmri.errors import DenoisingError, ExcludedRunError
from petfmri.typing import BoolArray, FloatArray

Band: TypeAlias = tuple[float | None, float | None]
Interpolation: TypeAlias = Literal["linear", "cubic"]

FILTER_ORDER = 5
VANISHED = 1e-8


@dataclass(frozen=True)
class TemporalOperator:
    """The linear map from kept raw frames to denoised frames.

    Attributes
    ----------
    matrix : array of shape (n_kept, n_kept)
        M = A − Q Qᵀ A.
    df_effective : float
        tr(MMᵀ)² / tr((MMᵀ)²): how many independent frames white noise is worth afterwards.
    n_regressors : int
        Rank of Q, the constant included.
    """

    matrix: FloatArray
    df_effective: float
    n_regressors: int


def temporal_operator(
    confounds: FloatArray,
    kept: BoolArray,
    *,
    tr_s: float,
    band_hz: Band = (0.01, 0.1),
    interpolation: Interpolation = "linear",
    where: str = "BOLD run",
) -> TemporalOperator:
    """Build the operator that censors, filters and regresses in one step.

    A = C F D J: J fills censored frames from the kept ones, D removes mean and linear trend, F is
    the zero-phase Butterworth filter, C keeps the kept frames. Confounds pass through A as the
    data do, so that regression brings back no frequency that the filter removed [1]_. Neither data
    nor confounds of censored frames enter anywhere. Without an upper limit nothing needs filling:
    A is C, and mean, trend and slow cosines join the confounds.

    Parameters
    ----------
    confounds : array of shape (n_frames, n_confounds)
        Only rows of kept frames are read.
    kept : bool array of shape (n_frames,)
        False for censored frames, which stand in the time line; leave dummy volumes out entirely.
    tr_s : float
        Repetition time.
    band_hz : (low, high)
        Either may be None.
    interpolation : "linear" or "cubic"
        "cubic" is what nilearn and XCP-D use, but a spline amplifies the noise beside a gap: with
        15 % of frames censored in bursts of up to 4, the error of a correlation grows by half or
        more, in bursts of 12 tenfold. Frames before the first and after the last kept one take
        its value.

    Raises
    ------
    DenoisingError
        If the band does not fit the sampling or a kept frame has a confound that is not finite.
    ExcludedRunError
        If the run is shorter than the filter's own padding, or the confounds leave no frame.

    References
    ----------
    .. [1] Lindquist MA et al (2019). Hum Brain Mapp 40:2358. doi:10.1002/hbm.24528

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> kept = np.ones(120, dtype=bool)
    >>> operator = temporal_operator(rng.normal(size=(120, 3)), kept, tr_s=2.0, band_hz=(0.01, 0.1))
    >>> operator.matrix.shape, operator.n_regressors, round(operator.df_effective)
    ((120, 120), 4, 29)
    """
    n_frames = kept.size
    _check_band(band_hz, n_frames, tr_s, where)
    confounds = _scaled(np.asarray(confounds, dtype=float)[kept], where)
    low, high = band_hz
    constant = np.ones((confounds.shape[0], 1))
    if high is None:
        A = np.eye(confounds.shape[0])
        trend = np.linspace(-1, 1, n_frames)[kept, None]
        slow = cosine_drift(n_frames, tr_s, low)[kept] if low else trend[:, :0]
        Q = _basis(np.hstack([constant, trend, slow, confounds]))
    else:
        A = (_filter(n_frames, tr_s, band_hz) @ _detrend(_fill(kept, interpolation)))[kept]
        Q = _basis(np.hstack([constant, A @ confounds]))
    n_regressors = Q.shape[1]
    if n_regressors >= confounds.shape[0]:
        raise ExcludedRunError(
            where,
            f"{n_regressors} independent regressors for {confounds.shape[0]} kept frames",
            "more frames than regressors",
            "choose a smaller strategy, censor less or leave the run out",
        )
    M = A - Q @ (Q.T @ A)
    covariance = M @ M.T
    df_effective = float(np.trace(covariance) ** 2 / np.sum(covariance**2))
    return TemporalOperator(M, df_effective, n_regressors)


def _scaled(confounds: FloatArray, where: str) -> FloatArray:
    """Bring the confounds of the kept frames to mean 0 and norm 1; constant ones drop out."""
    damaged = ~np.isfinite(confounds).all(axis=0)
    if damaged.any():
        raise DenoisingError(
            f"{where}: confounds",
            f"values not finite in {np.count_nonzero(damaged)} columns",
            "finite values in every kept frame",
            "repair the confound table or choose a strategy without these columns",
        )
    centred = confounds - confounds.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    varies = norm > VANISHED * np.abs(confounds).max(axis=0, initial=0.0)
    return np.asarray(centred[:, varies] / norm[varies])


def _check_band(band_hz: Band, n_frames: int, tr_s: float, where: str) -> None:
    low, high = band_hz
    nyquist = 0.5 / tr_s
    edges = [edge for edge in (low, high) if edge is not None]
    if any(not 0 < edge < nyquist for edge in edges) or edges != sorted(set(edges)):
        raise DenoisingError(
            f"{where}: band_hz",
            f"{band_hz}",
            f"0 < low < high < {nyquist:.4g}, half the sampling rate of TR {tr_s:g} s",
            "set other limits, or null for none",
        )
    padding = 6 * FILTER_ORDER + 3
    if high is not None and n_frames <= padding:
        raise ExcludedRunError(
            where, f"{n_frames} frames", f"more than {padding} for the filter", "leave the run out"
        )


def _fill(kept: BoolArray, interpolation: Interpolation) -> FloatArray:
    """Give J, of shape (n_frames, n_kept)."""
    frames = np.flatnonzero(kept)
    time = np.clip(np.arange(kept.size), frames[0], frames[-1])
    if interpolation == "cubic":
        spline: FloatArray = CubicSpline(frames, np.eye(frames.size))(time)
        return spline
    after = np.searchsorted(frames, time).clip(1)
    step = (time - frames[after - 1]) / (frames[after] - frames[after - 1])
    J = np.zeros((kept.size, frames.size))
    J[np.arange(kept.size), after - 1] = 1 - step
    J[np.arange(kept.size), after] = step
    return J


def _detrend(series: FloatArray) -> FloatArray:
    time = np.linspace(-1, 1, len(series))
    basis = np.linalg.qr(np.column_stack([np.ones_like(time), time]))[0]
    return series - basis @ (basis.T @ series)


def _filter(n_frames: int, tr_s: float, band_hz: Band) -> FloatArray:
    """Give F, of shape (n_frames, n_frames)."""
    low, high = band_hz
    edges, kind = (high, "lowpass") if low is None else ([low, high], "bandpass")
    sos = butter(FILTER_ORDER, edges, btype=kind, fs=1 / tr_s, output="sos")
    response: FloatArray = sosfiltfilt(sos, np.eye(n_frames), axis=0)
    return response


def _basis(columns: FloatArray) -> FloatArray:
    """Give an orthonormal basis, without directions that the filter has all but removed."""
    norm = np.linalg.norm(columns, axis=0)
    columns = columns[:, norm > VANISHED] / norm[norm > VANISHED]
    Q, R, _ = qr(columns, mode="economic", pivoting=True)
    return Q[:, np.abs(np.diag(R)) > VANISHED]
