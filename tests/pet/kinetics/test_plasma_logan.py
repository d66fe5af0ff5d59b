"""Logan's plot with plasma input against curves integrated step by step."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import FrameError
from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.kinetics.plasma_logan import logan_tstar, plasma_logan

VT = np.array([4.0, 10, 18, 25])
K1 = np.array([0.15, 0.3, 0.4, 0.5])


@pytest.fixture(scope="module")
def one(truth):
    return truth.curves(K1, K1 / VT)


@pytest.fixture(scope="module")
def two(truth):
    k3, k4 = np.full(4, 0.08), np.full(4, 0.05)
    return truth.curves(K1, K1 / VT * (1 + k3 / k4), k3, k4)


def test_slope_by_hand():
    # Plasma 1 and a tissue that follows it at once: area 5 t over 5 is t, V_T 5, intercept 0.
    schedule = FrameSchedule(np.arange(0, 600, 60), np.full(10, 60.0))
    inputs = InputFunction([0, 300, 600], [1, 1, 1])
    tissue = 5 + 1e-9 * np.arange(10)[None]
    fit = plasma_logan(tissue, schedule, inputs, tstar_s=120)
    assert fit.values["vt"][0] == pytest.approx(5, abs=1e-4)
    assert fit.values["intercept"][0] == pytest.approx(0, abs=1e-4)


def test_one_tissue_is_exact(one, truth, inputs):
    fit = plasma_logan(one, truth.schedule, inputs.shifted(12.0), vb=0.05)
    np.testing.assert_allclose(fit.values["vt"], VT, rtol=2e-4)
    assert fit.usable.all()
    assert fit.model == "Logan"


def test_two_tissues_approach_the_line_from_below(two, truth, inputs):
    shifted = inputs.shifted(12.0)
    bias = [
        plasma_logan(two, truth.schedule, shifted, tstar_s=60.0 * m, vb=0.05).values["vt"] / VT - 1
        for m in (10, 30, 60)
    ]
    assert (np.diff(np.abs(bias), axis=0) < 0).all()
    assert np.abs(bias[2]).max() < 0.03


def test_noise_lowers_vt_a_little(one, truth, inputs, rng):
    sd = 0.02 * np.sqrt(one * one.mean(axis=1, keepdims=True) * 300 / truth.schedule.duration_s)
    noisy = np.repeat(one, 50, axis=0)
    noisy = noisy + np.repeat(sd, 50, axis=0) * rng.normal(size=noisy.shape)
    fit = plasma_logan(noisy, truth.schedule, inputs.shifted(12.0), vb=0.05)
    relative = fit.values["vt"].reshape(4, 50) / VT[:, None] - 1
    assert (np.abs(relative.mean(axis=1)) < 0.015).all()
    covered = np.abs(relative * VT[:, None]) < 1.96 * fit.standard_errors["vt"].reshape(4, 50)
    assert 0.6 < covered.mean() < 0.99  # both axes hold the same noise: too narrow, as published


def test_t_star(one, two, truth, inputs):
    shifted = inputs.shifted(12.0)
    assert logan_tstar(one, truth.schedule, shifted, vb=0.05) <= 120
    late = logan_tstar(two, truth.schedule, shifted, vb=0.05)
    strict = logan_tstar(two, truth.schedule, shifted, vb=0.05, max_error=0.01)
    assert 120 < late < strict
    with pytest.raises(FrameError, match="straight"):
        logan_tstar(np.zeros((1, 30)), truth.schedule, shifted)


def test_garbage_is_flagged(one, truth, inputs):
    curve = one[1]
    bad = np.tile(curve, (6, 1))
    bad[0, 5] = np.nan
    bad[1] = 0
    bad[2] = -curve
    bad[3] = np.minimum(curve, 0.6 * curve.max())
    bad[4, 20:] = 0.0
    bad[5, 20] = -1.0
    fit = plasma_logan(bad, truth.schedule, inputs.shifted(12.0), vb=0.05)
    assert not fit.usable.any()
    assert np.isnan(fit.values["vt"]).all()
    alone = plasma_logan(np.array([[5.0]]), FrameSchedule([0], [600]), inputs)
    assert alone.flags.tolist() == [Flag.TOO_FEW_FRAMES]
    late = plasma_logan(one, truth.schedule, inputs, tstar_s=6000)
    assert (late.flags & Flag.TOO_FEW_FRAMES).all()


def test_a_late_scan_is_refused(inputs):
    schedule = FrameSchedule(np.arange(3600, 6000, 300), np.full(8, 300.0))
    with pytest.raises(FrameError, match="compartment model"):
        plasma_logan(np.ones((1, 8)), schedule, inputs)
