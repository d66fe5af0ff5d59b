from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ive

from petfmri.errors import DatasetError
from petfmri.networks.phases import kuramoto_order, metastability, phase_frames, phases


def unit(turns):
    return np.exp(2j * np.pi * np.asarray(turns, dtype=float))


def test_order_and_metastability_by_hand():
    """R is 1, 0 and 1/2: three parcels alike, at thirds of a turn, and two against one third."""
    found = unit([[0.1, 0.1, 0.1], [0, 1 / 3, 2 / 3], [0, 1 / 3, 1 / 6]])
    found[2] = [1, 1j, -0.5 - 0.5j + 1]
    found[2, 2] /= abs(found[2, 2])
    last = abs(1 + 1j + (0.5 - 0.5j) / np.sqrt(0.5)) / 3
    assert kuramoto_order(found) == pytest.approx((1 + 0 + last) / 3, abs=1e-12)
    assert metastability(found[:2]) == pytest.approx(np.sqrt(0.5), abs=1e-12)


def test_a_missing_parcel_is_left_out_and_one_parcel_is_no_synchrony():
    found = unit(np.random.default_rng(0).random((20, 4)))
    wider = np.column_stack([found, np.full(20, np.nan + 0j)])
    assert kuramoto_order(wider) == kuramoto_order(found)
    assert metastability(wider) == metastability(found)
    assert np.isnan(kuramoto_order(found[:, :1]))
    assert np.isnan(metastability(found[:1]))
    assert np.isnan(kuramoto_order(found[:0]))


def test_phase_of_a_sine_is_its_phase():
    time = np.arange(200)
    shift = np.array([0, 0.2, 0.45])
    series = 5 + np.cos(2 * np.pi * (time[:, None] / 25 + shift))
    found = phases(series)
    assert found.shape == (180, 3)
    np.testing.assert_allclose(found, unit(time[10:-10, None] / 25 + shift), atol=1e-9)


def test_runs_are_transformed_by_themselves():
    time = np.arange(100)
    first, second = (np.cos(2 * np.pi * (time[:, None] / 20 + s)) for s in ([0, 0.3], [0.5, 0.1]))
    both = phases(np.vstack([first, second]), np.tile(time, 2))
    np.testing.assert_allclose(both, np.vstack([phases(first), phases(second)]), atol=1e-12)
    late = phases(np.vstack([first, second]), np.concatenate([time, time + 7]))
    np.testing.assert_allclose(late, both, atol=1e-12)


def test_censored_frames_are_bridged_and_not_counted():
    """A slow sine with 15 % of its frames gone keeps its phase within a few degrees."""
    time = np.arange(300)
    series = np.cos(2 * np.pi * (time[:, None] / 30 + np.array([0, 0.25])))
    gone = np.zeros(300, dtype=bool)
    for start in range(20, 290, 20):
        gone[start : start + 3] = True
    found = phases(series[~gone], time[~gone])
    inside = ~gone[10:-10]
    assert len(found) == np.count_nonzero(inside)
    error = np.abs(np.angle(found / unit(time[10:-10, None] / 30 + [0, 0.25])[inside]))
    assert np.degrees(error.max()) < 5
    squeezed = np.abs(np.angle(phases(series[~gone])[:, 0] / unit(time / 30)[~gone][10:-10]))
    assert np.degrees(squeezed.max()) > 15  # what taking no notice of the gaps would do


def test_recovers_planted_synchrony(rng):
    """Phases round a common one, von Mises with κ = 2: R = I₁(κ) / I₀(κ); without, √(π / 4n)."""
    common = rng.uniform(-np.pi, np.pi, size=(4000, 1))
    found = np.exp(1j * (common + rng.vonmises(0, 2.0, size=(4000, 200))))
    assert kuramoto_order(found) == pytest.approx(ive(1, 2.0) / ive(0, 2.0), abs=0.003)
    assert metastability(found) < 0.05
    apart = unit(rng.random((4000, 200)))
    assert kuramoto_order(apart) == pytest.approx(np.sqrt(np.pi / 800), abs=0.002)


def test_recovers_planted_metastability(rng):
    """Synchrony that comes and goes in halves of the time: SD is half the difference."""
    kappa = np.where(np.arange(4000) // 50 % 2, 5.0, 0.5)[:, None]
    found = np.exp(
        1j * rng.vonmises(0, 1, size=(4000, 1)) + 1j * rng.vonmises(0, kappa, (4000, 400))
    )
    high, low = (ive(1, k) / ive(0, k) for k in (5.0, 0.5))
    assert metastability(found) == pytest.approx((high - low) / 2, abs=0.01)
    assert kuramoto_order(found) == pytest.approx((high + low) / 2, abs=0.01)


def test_missing_parcels_and_those_silent_in_one_run_are_nan(rng):
    series = rng.normal(size=(120, 4))
    series[:, 1] = np.nan
    series[60:, 2] = 3.0
    found = phases(series, np.tile(np.arange(60), 2))
    np.testing.assert_array_equal(np.isnan(found).any(axis=0), [False, True, True, False])
    np.testing.assert_allclose(np.abs(found[:, [0, 3]]), 1, atol=1e-12)


def test_short_runs_give_nothing_and_nothing_left_is_an_error(rng):
    series = rng.normal(size=(40, 3))
    times = np.concatenate([np.arange(30), np.arange(10)])
    assert phase_frames(times).sum() == len(phases(series, times)) == 10
    with pytest.raises(DatasetError, match="runs longer than 20 frames"):
        phases(series[:20])
    with pytest.raises(DatasetError, match="40 whole numbers"):
        phases(series, np.arange(40) / 2)
