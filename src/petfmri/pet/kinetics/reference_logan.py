"""Logan's graphical analysis with a reference region."""

from __future__ import annotations

import numpy as np

from petfmri.errors import FrameError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.curves import Curves, assemble, checked_k2prime
from petfmri.pet.kinetics.estimates import Estimates
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.typing import FloatArray, IntArray

TSTAR_S = 1800.0
MIN_FRAMES = 4
TOLERANCE = 0.1


def reference_logan(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    *,
    k2prime: float | None,
    tstar_s: float = TSTAR_S,
    fitted: bool = False,
) -> Estimates:
    """Take DVR as the slope of ∫C/C against (∫C' + C'/k2')/C from t* on.

    Parameters
    ----------
    tac, reference, schedule
        As for `srtm`.
    k2prime : float or None, 1/min
        Without it the term is left out, which for slow tracers such as those of SV2A
        under-estimates DVR by a fifth and more.
    tstar_s : float, s
        Frames that start here or later are used.
    fitted : bool
        Keep the line, as ∫C/C at every frame.

    Returns
    -------
    Estimates
        ``dvr`` and ``bpnd`` = DVR - 1. Intervals from the standard errors cover far less than
        they say when curves are noisy, and noise biases DVR downwards.

    Raises
    ------
    FrameError
        If the scan does not begin at the injection or fewer than 4 frames start after t*.
    DatasetError
        As for `srtm2`.

    References
    ----------
    Logan J et al (1996). J Cereb Blood Flow Metab 16:834. doi:10.1097/00004647-199609000-00008

    Examples
    --------
    >>> schedule = FrameSchedule(60.0 * np.arange(90), np.full(90, 60.0))
    >>> t = schedule.mid_s / 60
    >>> reference = t * np.exp(-t / 20)
    >>> fit = reference_logan(np.array([1.5 * reference]), reference, schedule, k2prime=0.03)
    >>> fit.values["dvr"].round(2)
    array([1.5])
    """
    curves = Curves.of(tac, reference, None, schedule, 0)
    late = schedule.start_s >= tstar_s - 1e-6
    if late.sum() < MIN_FRAMES:
        raise FrameError(
            f"{schedule.where}: t*",
            f"{late.sum()} frames from {tstar_s / 60:g} min on",
            f"at least {MIN_FRAMES}",
            "choose an earlier t*",
        )
    integral = frame_integral(schedule)
    driver = integral @ curves.reference
    if k2prime is not None:
        driver = driver + curves.reference / checked_k2prime(k2prime)

    def fit(chunk: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray], IntArray]:
        inverse = 1 / chunk[:, late]
        x, y = driver[late] * inverse, (chunk @ integral[late].T) * inverse
        x -= x.mean(axis=1, keepdims=True)
        y_mean = y.mean(axis=1, keepdims=True)
        squared = np.einsum("ij,ij->i", x, x)
        slope = np.einsum("ij,ij->i", x, y) / squared
        left = np.einsum("ij,ij->i", y - y_mean, y - y_mean) - slope**2 * squared
        error = np.sqrt(np.maximum(left, 0) / (int(late.sum()) - 2) / squared)
        intercept = y_mean[:, 0] - slope * (driver[late] * inverse).mean(axis=1)
        values = {"dvr": slope, "bpnd": slope - 1, "intercept": intercept}
        return values, {"dvr": error, "bpnd": error}, np.zeros(len(chunk), dtype=np.int64)

    def curve(values: dict[str, FloatArray]) -> FloatArray:
        area = np.asarray(curves.tac, dtype=float) @ integral.T
        with np.errstate(divide="ignore", invalid="ignore"):
            modelled = (area - values["dvr"][:, None] * driver) / values["intercept"][:, None]
        return np.asarray(np.where(late, modelled, curves.tac))

    return assemble("Logan", curves, fit, curve if fitted else None, whole=False)


def find_tstar(
    tac: FloatArray, reference: FloatArray, schedule: FrameSchedule, *, k2prime: float
) -> float:
    """Find the earliest t* from which no point leaves the line by more than 10 %, s.

    Parameters
    ----------
    tac, reference, schedule, k2prime
        As for `reference_logan`. Nine of ten curves must agree.

    Raises
    ------
    FrameError
        If there is no such time with 4 frames left.
    """
    curves = Curves.of(tac, reference, None, schedule, 0)
    integral = frame_integral(schedule)
    driver = integral @ curves.reference + curves.reference / checked_k2prime(k2prime)
    values = np.asarray(curves.tac, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = driver / values, (values @ integral.T) / values
    good = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1) & (values > 0).all(axis=1)
    x, y = (x[good], y[good]) if good.any() else (x, y)
    for start in range(schedule.n_frames - MIN_FRAMES + 1):
        late = slice(start, None)
        dx = x[:, late] - x[:, late].mean(axis=1, keepdims=True)
        mean = y[:, late].mean(axis=1, keepdims=True)
        slope = np.sum(dx * y[:, late], axis=1) / np.sum(dx**2, axis=1)
        off = np.abs(y[:, late] / (mean + slope[:, None] * dx) - 1).max(axis=1)
        if good.any() and np.mean(off <= TOLERANCE) >= 1 - TOLERANCE:
            return float(schedule.start_s[start])
    raise FrameError(
        f"{schedule.where}: t*",
        "no time from which the plot is straight within 10 %",
        f"at least {MIN_FRAMES} frames on a line",
        "use SRTM2, which needs no t*",
    )
