"""Tracer kinetics with exact integrals: plasma input, one-tissue compartment, frame averages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petfmri.errors import FrameError, InputError
from petfmri.typing import FloatArray

CARBON_11_HALF_LIFE_S = 1221.8
SUV_SCALE = 0.034  # kBq/mL per unit of the curve and injected MBq/kg: cortex SUV of about 7
RESONANCE = 1e-6  # k2 this close (relative) to a plasma rate is moved away from it


@dataclass(frozen=True)
class PlasmaInput:
    """Parent activity in arterial plasma, decay corrected, after Feng.

    ``Cp(t) = (a1 s - a2 - a3) exp(-l1 s) + a2 exp(-l2 s) + a3 exp(-l3 s)``, ``s = t - delay``.
    The shape is that of the paper; it gives a cortical curve that peaks later than measured
    SV2A curves do, and the sensitivities of uptake ratios to flow that the methods page states.

    Parameters
    ----------
    scale : float, kBq/mL
        Multiplies the curve.
    amplitudes : a1 (per min), a2, a3
    rates_per_min : l1, l2, l3
    delay_s : float, s
        Arrival after the start of the injection.

    References
    ----------
    Feng D, Huang SC, Wang X. Models for computer simulation studies of input functions for
    tracer kinetic modeling with positron emission tomography. Int J Biomed Comput
    1993;32:95-110.

    Examples
    --------
    >>> PlasmaInput()(np.array([0.0, 60.0])).round()
    array([ 0., 53.])
    """

    scale: float = 1.0
    amplitudes: tuple[float, float, float] = (851.1, 21.88, 20.81)
    rates_per_min: tuple[float, float, float] = (4.134, 0.1191, 0.0104)
    delay_s: float = 0.0

    @classmethod
    def injected(cls, activity_mbq: float, weight_kg: float, delay_s: float = 0.0) -> PlasmaInput:
        """Scale the curve to an injected activity and a body weight."""
        return replace(cls(), scale=SUV_SCALE * activity_mbq / weight_kg, delay_s=delay_s)

    def terms(self) -> list[tuple[float, float, int]]:
        """Return the curve as (coefficient, rate per min, power of time) terms."""
        a1, a2, a3 = (self.scale * amplitude for amplitude in self.amplitudes)
        l1, l2, l3 = self.rates_per_min
        return [(a1, l1, 1), (-(a2 + a3), l1, 0), (a2, l2, 0), (a3, l3, 0)]

    def __call__(self, time_s: FloatArray) -> FloatArray:
        """Return the activity, kBq/mL, at times after the start of the injection, s."""
        minutes = np.maximum(np.asarray(time_s, dtype=float) - self.delay_s, 0) / 60
        return np.asarray(
            sum(c * minutes**power * np.exp(-rate * minutes) for c, rate, power in self.terms())
        )


def tissue_curve(
    vt: FloatArray, k1: FloatArray, plasma: PlasmaInput, time_s: FloatArray
) -> FloatArray:
    """Return one-tissue compartment curves at given times, decay corrected.

    Parameters
    ----------
    vt : array of shape (n_regions,), mL/cm³
        Distribution volume; 0 for tissue without uptake.
    k1 : array of shape (n_regions,), mL/cm³/min
        Influx; the efflux rate is ``k1 / vt``.
    plasma : PlasmaInput
    time_s : array of shape (n_times,), s

    Returns
    -------
    array of shape (n_regions, n_times), kBq/mL
    """
    minutes = np.maximum(np.asarray(time_s, dtype=float) - plasma.delay_s, 0) / 60
    curves = np.zeros((len(vt), len(minutes)))
    for coefficient, rate, power in _response_terms(vt, k1, plasma):
        basis = minutes**power * np.exp(-np.outer(rate, minutes))
        curves += coefficient[:, None] * basis
    return curves


def frame_averages(
    vt: FloatArray,
    k1: FloatArray,
    plasma: PlasmaInput,
    frame_start_s: FloatArray,
    frame_duration_s: FloatArray,
    half_life_s: float = CARBON_11_HALF_LIFE_S,
) -> FloatArray:
    """Return what a scanner reports per frame for one-tissue regions: exact, without noise.

    The scanner counts decays: the mean of the *decaying* activity over a frame, multiplied by
    the factor that undoes decay from the start of the injection and within the frame.

    Parameters
    ----------
    vt, k1, plasma
        As in `tissue_curve`.
    frame_start_s, frame_duration_s : array of shape (n_frames,), s
        From the start of the injection.
    half_life_s : float, default=1221.8
        Of the radionuclide (carbon-11).

    Returns
    -------
    array of shape (n_regions, n_frames), kBq/mL

    Raises
    ------
    FrameError
        If a frame starts before the injection or lasts no time.

    Examples
    --------
    >>> tac = frame_averages(np.array([19.0, 5.0]), np.array([0.33, 0.155]), PlasmaInput(),
    ...                      np.array([3600.0]), np.array([1800.0]))
    >>> float(tac[0, 0] / tac[1, 0])  # SUVR 60-90 min lags behind the true ratio, 3.8
    3.35...
    """
    start = np.asarray(frame_start_s, dtype=float)
    duration = np.asarray(frame_duration_s, dtype=float)
    if (start < 0).any() or (duration <= 0).any():
        raise FrameError(
            "frame schedule",
            f"starts from {start.min()} s, durations from {duration.min()} s",
            "frames after the injection that last some time",
            "correct the schedule",
        )
    decay = np.log(2) / half_life_s * 60
    begin = np.maximum(start - plasma.delay_s, 0) / 60
    end = np.maximum(start + duration - plasma.delay_s, 0) / 60
    counts = np.zeros((len(vt), len(start)))
    for coefficient, rate, power in _response_terms(vt, k1, plasma):
        total_rate = (rate + decay)[:, None]
        area = _antiderivative(total_rate, end, power) - _antiderivative(total_rate, begin, power)
        counts += coefficient[:, None] * area
    # Counts decay from the arrival of the tracer on, the scanner corrects from the injection.
    arrival = np.exp(-decay * plasma.delay_s / 60)
    return np.asarray(
        arrival * counts / (duration / 60) * decay_factor(start, duration, half_life_s)
    )


def decay_factor(
    frame_start_s: FloatArray,
    frame_duration_s: FloatArray,
    half_life_s: float = CARBON_11_HALF_LIFE_S,
) -> FloatArray:
    """Return the factor per frame that corrects decay before and during the frame.

    Examples
    --------
    >>> float(decay_factor(np.array([1221.8]), np.array([1e-3])).round(4)[0])
    2.0
    """
    decay = np.log(2) / half_life_s
    duration = np.asarray(frame_duration_s, dtype=float)
    start = np.asarray(frame_start_s, dtype=float)
    return np.asarray(np.exp(decay * start) * decay * duration / -np.expm1(-decay * duration))


def window_mean(
    tac: FloatArray, frame_start_s: FloatArray, frame_duration_s: FloatArray, window_s: FloatArray
) -> FloatArray:
    """Average frames that lie within a window, weighted by their duration.

    Parameters
    ----------
    tac : array of shape (n_regions, n_frames)
    frame_start_s, frame_duration_s : array of shape (n_frames,), s
    window_s : start and end, s

    Returns
    -------
    array of shape (n_regions,)

    Raises
    ------
    FrameError
        If no frame lies within the window.
    """
    start, duration = np.asarray(frame_start_s), np.asarray(frame_duration_s)
    inside = (start >= window_s[0] - 1e-6) & (start + duration <= window_s[1] + 1e-6)
    if not inside.any():
        raise FrameError(
            "frame schedule",
            "no frame within the window",
            f"frames from {window_s[0]} to {window_s[1]} s",
            "choose a schedule that covers the window",
        )
    return np.asarray(tac[:, inside] @ duration[inside] / duration[inside].sum())


def _response_terms(
    vt: FloatArray, k1: FloatArray, plasma: PlasmaInput
) -> list[tuple[FloatArray, FloatArray, int]]:
    """Convolve every plasma term with ``k1 exp(-k2 t)``; return terms of the same kinds."""
    vt, k1 = np.asarray(vt, dtype=float), np.asarray(k1, dtype=float)
    if vt.shape != k1.shape or (vt < 0).any() or (k1 < 0).any() or ((vt > 0) & (k1 == 0)).any():
        raise InputError(
            "kinetic parameters",
            f"vt of shape {vt.shape} from {vt.min()}, k1 of shape {k1.shape} from {k1.min()}",
            "equal shapes, no negative value, k1 above zero where vt is",
            "correct the regional values",
        )
    influx = np.where(vt > 0, k1, 0.0)
    efflux = np.where(vt > 0, k1 / np.where(vt > 0, vt, 1.0), 1.0)
    terms: list[tuple[FloatArray, FloatArray, int]] = []
    for coefficient, rate, power in plasma.terms():
        gap = efflux - rate
        near = np.abs(gap) < RESONANCE * rate
        efflux_off = np.where(near, rate * (1 + RESONANCE), efflux)
        gap = efflux_off - rate
        weight = influx * coefficient
        constant = np.full_like(gap, rate)
        if power == 0:
            terms += [(weight / gap, constant, 0), (-weight / gap, efflux_off, 0)]
        else:
            terms += [
                (weight / gap, constant, 1),
                (-weight / gap**2, constant, 0),
                (weight / gap**2, efflux_off, 0),
            ]
    return terms


def _antiderivative(rate: FloatArray, minutes: FloatArray, power: int) -> FloatArray:
    """Integrate ``t**power exp(-rate t)`` from 0, for a power of 0 or 1."""
    if power == 0:
        return np.asarray(-np.expm1(-rate * minutes) / rate)
    growth = rate * minutes
    return np.asarray((1 - (1 + growth) * np.exp(-growth)) / rate**2)
