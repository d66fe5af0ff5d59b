"""Phase synchrony of parcels: Kuramoto order and metastability."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.signal import hilbert

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import usable_parcels
from petfmri.typing import BoolArray, FloatArray, IntArray

ComplexArray: TypeAlias = NDArray[np.complexfloating[Any, Any]]

EDGE_FRAMES = 10


def phases(series: FloatArray, times: IntArray | None = None) -> ComplexArray:
    """Instantaneous phase e^{iθ} of each parcel, by the Hilbert transform [1]_.

    Each run by itself: frames missing from the time line are filled in by linear interpolation,
    the mean is taken away, and the analytic signal is divided by its amplitude. The first and last
    10 frames of a run are then dropped, because the transform joins its two ends, and so are the
    frames that were filled in. A run shorter than that gives nothing.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        **Band-passed** (0.01 to 0.1 Hz or narrower): the phase of a broad-band signal means
        nothing. Missing parcels are NaN.
    times : int array of shape (n_frames,), optional
        Number of each frame in its run's time line; it jumps where frames were censored, and a
        value not above the one before begins a new run. Default: 0 to n_frames − 1, one run.

    Returns
    -------
    complex array of shape (n_kept, n_parcels)
        Of modulus 1. Columns of parcels that are missing, or constant in one of the runs, are NaN.

    Raises
    ------
    DatasetError
        If no frame is left, or `times` does not fit the series.

    References
    ----------
    .. [1] Cabral J et al (2017). Sci Rep 7:5135. doi:10.1038/s41598-017-05425-7

    Examples
    --------
    >>> course = np.cos(2 * np.pi * np.arange(100) / 20)[:, None]
    >>> found = phases(course)
    >>> found.shape, round(float(found[0, 0].real), 6)  # from frame 10 on, half a turn
    ((80, 1), -1.0)
    """
    series = np.asarray(series, dtype=float)
    times = frame_times(len(series), times)
    inside = phase_frames(times)
    if not inside.any():
        raise DatasetError(
            "parcel series",
            f"no frame {EDGE_FRAMES} or more away from both ends of its run, of {len(series)}",
            f"runs longer than {2 * EDGE_FRAMES} frames",
            "leave the phase metrics out, or censor less",
        )
    runs = [run for run in _runs(times) if inside[run].any()]
    usable = np.logical_and.reduce([usable_parcels(series[run]) for run in runs])
    found = [_run_phases(series[run][:, usable], times[run])[inside[run]] for run in runs]
    unit = np.full((np.count_nonzero(inside), usable.size), complex(np.nan, np.nan))
    unit[:, usable] = np.concatenate(found)
    return unit


def phase_frames(times: IntArray) -> BoolArray:
    """Tell which frames lie far enough from both ends of their run to have a phase.

    Examples
    --------
    >>> phase_frames(np.array([0, 1, 12, 13, 22, 0, 1])).tolist()
    [False, False, True, False, False, False, False]
    """
    first, last = (
        np.concatenate([np.full(run.size, times[run[end]]) for run in _runs(times)])
        for end in (0, -1)
    )
    return np.asarray((times - first >= EDGE_FRAMES) & (last - times >= EDGE_FRAMES))


def frame_times(n_frames: int, times: IntArray | None) -> IntArray:
    """Check the numbers of the frames, or count them from 0.

    Raises
    ------
    DatasetError
        Unless there is one whole number per frame.
    """
    if times is None:
        return np.arange(n_frames)
    times = np.asarray(times)
    if times.shape != (n_frames,) or not np.issubdtype(times.dtype, np.integer):
        raise DatasetError(
            "frame times",
            f"{times.dtype} of shape {times.shape}",
            f"{n_frames} whole numbers, one per frame of the series",
            "give the number of each kept frame in its run",
        )
    return times


def kuramoto_order(phases: ComplexArray) -> float:
    """Mean synchrony: mean over time of R(t) = |mean over parcels of e^{iθ(t)}| [1]_.

    Parcels without any relation still give R ≈ √(π / 4n), so compare the same parcels.

    Parameters
    ----------
    phases : complex array of shape (n_frames, n_parcels)
        As from `phases`; missing parcels (NaN) are left out.

    Returns
    -------
    float
        0 (phases spread evenly) to 1 (all alike); NaN with fewer than 2 parcels or no frame.

    References
    ----------
    .. [1] Kuramoto Y (1984). Chemical Oscillations, Waves, and Turbulence. Springer.
       doi:10.1007/978-3-642-69689-3

    Examples
    --------
    >>> kuramoto_order(np.array([[1, 1], [1, -1], [1j, 1j], [1j, -1j]]))
    0.5
    """
    order = _order(phases)
    return float(order.mean()) if order.size else float("nan")


def metastability(phases: ComplexArray) -> float:
    """Variability of synchrony: standard deviation over time (n − 1) of R(t) [1]_ [2]_.

    R(t) as in `kuramoto_order`. Not the "metastability" of Carhart-Harris et al (2014)
    (doi:10.3389/fnhum.2014.00020), which is the variance of the signals themselves within a
    network, in units of the signal.

    Parameters
    ----------
    phases : complex array of shape (n_frames, n_parcels)
        As from `phases`; missing parcels (NaN) are left out.

    Returns
    -------
    float
        0 if synchrony never changes; NaN with fewer than 2 parcels or 2 frames.

    References
    ----------
    .. [1] Shanahan M (2010). Chaos 20:013108. doi:10.1063/1.3305451
    .. [2] Deco G et al (2017). Sci Rep 7:3095. doi:10.1038/s41598-017-03073-5

    Examples
    --------
    >>> round(metastability(np.array([[1, 1], [1, -1], [1j, 1j], [1j, -1j]])), 4)  # of 1 0 1 0
    0.5774
    """
    order = _order(phases)
    return float(order.std(ddof=1)) if order.size > 1 else float("nan")


def _order(phases: ComplexArray) -> FloatArray:
    """Give R(t), of shape (n_frames,); empty with fewer than 2 parcels."""
    present = np.isfinite(phases).all(axis=0)
    if np.count_nonzero(present) < 2:
        return np.empty(0)
    return np.abs(phases[:, present].mean(axis=1))


def _runs(times: IntArray) -> list[IntArray]:
    """List the frames of each run."""
    return np.split(np.arange(times.size), np.flatnonzero(np.diff(times) <= 0) + 1)


def _run_phases(series: FloatArray, times: IntArray) -> ComplexArray:
    """Give the phases of the frames of one run, of shape (n_frames, n_parcels)."""
    line = np.arange(times[0], times[-1] + 1)
    filled = make_interp_spline(times, series, k=1)(line)
    analytic = hilbert(filled - filled.mean(axis=0), axis=0)[times - times[0]]
    return np.asarray(analytic / np.abs(analytic))
