from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import least_squares

from petfmri.errors import FrameError, InputError
from petfmri.simulation.presets import PRESETS, STATIC_60_90
from petfmri.simulation.tracer import (
    CARBON_11_HALF_LIFE_S,
    PlasmaInput,
    decay_factor,
    frame_averages,
    tissue_curve,
    window_mean,
)

LATE = 3600 + 300 * np.arange(6.0), np.full(6, 300.0)
WINDOW = np.array([3600.0, 5400.0])


def suvr(vt: float, k1: float, white_k1: float = 0.155) -> float:
    """SUVR 60-90 min over white matter with k2' = 0.031 per min."""
    tac = frame_averages(np.array([vt, 5.0]), np.array([k1, white_k1]), PlasmaInput(), *LATE)
    target, white = window_mean(tac, *LATE, WINDOW)
    return float(target / white)


def test_tissue_curve_solves_the_differential_equation():
    plasma = PlasmaInput(scale=0.2, delay_s=12.0)
    vt, k1 = np.array([19.0, 5.0, 11.4]), np.array([0.33, 0.155, 0.3])

    def slope(minutes, tissue):
        return k1 * plasma(np.array(minutes * 60)) - k1 / vt * tissue

    minutes = np.array([1.0, 5, 30, 60, 90])
    solved = solve_ivp(slope, (0.2, 90), np.zeros(3), t_eval=minutes, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(tissue_curve(vt, k1, plasma, minutes * 60), solved.y, rtol=1e-6)


@pytest.mark.parametrize("delay", [0.0, 20.0])
def test_frame_averages_are_the_decay_weighted_integrals(delay):
    plasma = PlasmaInput(delay_s=delay)
    vt, k1 = np.array([19.0]), np.array([0.33])
    start, duration = np.array([0.0, 30.0, 3600.0]), np.array([30.0, 300.0, 1800.0])
    rate = np.log(2) / CARBON_11_HALF_LIFE_S

    def decaying(second):
        return tissue_curve(vt, k1, plasma, np.array([second]))[0, 0] * np.exp(-rate * second)

    for i, found in enumerate(frame_averages(vt, k1, plasma, start, duration)[0]):
        counts = quad(decaying, start[i], start[i] + duration[i], points=[20.0], epsabs=1e-10)[0]
        undecayed = quad(lambda s: np.exp(-rate * s), start[i], start[i] + duration[i])[0]
        assert found == pytest.approx(counts / undecayed, rel=1e-6)


def test_decay_factor_by_hand():
    half_life = CARBON_11_HALF_LIFE_S
    # Over one half-life half of the atoms decay: a mean activity of 0.5 / ln 2 per initial one.
    factor = decay_factor(np.array([0.0, half_life]), np.full(2, half_life))
    np.testing.assert_allclose(factor, [2 * np.log(2), 4 * np.log(2)])


def test_planted_vt_comes_back_from_ideal_curves():
    preset = PRESETS["full"]
    frames = preset.frame_start_s, preset.frame_duration_s
    truth = np.array([[19.0, 0.33], [5.0, 0.155], [11.4, 0.28]])
    plasma = PlasmaInput.injected(350.0, 70.0)
    for vt, k1 in truth:
        tac = frame_averages(np.array([vt]), np.array([k1]), plasma, *frames)

        def misfit(x, tac=tac):
            return (frame_averages(x[:1], x[1:], plasma, *frames) - tac)[0]

        found = least_squares(misfit, [10.0, 0.2], bounds=(0.01, 50), xtol=1e-12).x
        np.testing.assert_allclose(found, [vt, k1], rtol=1e-5)


def test_suvr_sees_five_of_eight_percent_at_fixed_k1():
    assert 100 * (suvr(19 * 1.08, 0.33) / suvr(19, 0.33) - 1) == pytest.approx(5.0, abs=0.3)


@pytest.mark.parametrize(("vt", "percent"), [(15, 2.0), (20, 3.4), (25, 4.4)])
def test_ten_percent_more_flow_imitates_a_change(vt, percent):
    assert 100 * (suvr(vt, 0.363) / suvr(vt, 0.33) - 1) == pytest.approx(percent, abs=0.15)


def test_ten_percent_more_flow_everywhere():
    assert 2.6 <= 100 * (suvr(20, 0.363, 0.1705) / suvr(20, 0.33) - 1) <= 3.8


def test_uptake_ratio_at_transient_equilibrium():
    # SUVR = DVR (1 - beta / k2') / (1 - beta / k2) once plasma falls with one rate beta.
    vt, k1 = np.array([12.0, 5.0]), np.array([0.33, 0.155])
    beta, (k2, k2_white) = 0.0104, k1 / vt
    curve = tissue_curve(vt, k1, PlasmaInput(), np.array([60.0 * 60 * 20]))[:, 0]
    expected = vt[0] / vt[1] * (1 - beta / k2_white) / (1 - beta / k2)
    assert curve[0] / curve[1] == pytest.approx(expected, rel=1e-3)


def test_efflux_equal_to_a_plasma_rate_is_no_singularity():
    vt = 0.33 / np.array([0.0104 * (1 + 1e-3), 0.0104, 0.0104 * (1 - 1e-3)])
    tac = frame_averages(vt, np.full(3, 0.33), PlasmaInput(), *LATE)[:, 0]
    assert tac[1] == pytest.approx((tac[0] + tac[2]) / 2, rel=1e-5)


def test_tissue_without_uptake_stays_at_zero():
    assert not frame_averages(np.zeros(1), np.zeros(1), PlasmaInput(), *LATE).any()


def test_uptake_is_that_of_a_person():
    plasma = PlasmaInput.injected(370.0, 75.0)
    tac = frame_averages(np.array([19.0]), np.array([0.33]), plasma, *LATE)
    assert 6 < tac.mean() / (370 / 75) < 8  # SUV


@pytest.mark.parametrize(
    ("vt", "k1"), [([-1.0], [0.3]), ([5.0], [0.0]), ([5.0, 5.0], [0.3]), ([5.0], [-0.3])]
)
def test_impossible_kinetics_are_refused(vt, k1):
    with pytest.raises(InputError, match="kinetic parameters"):
        tissue_curve(np.array(vt), np.array(k1), PlasmaInput(), LATE[0])


def test_impossible_frames_are_refused():
    for start, duration in ((-60.0, 60.0), (0.0, 0.0)):
        with pytest.raises(FrameError):
            frame_averages(
                np.ones(1), np.ones(1), PlasmaInput(), np.array([start]), np.array([duration])
            )
    with pytest.raises(FrameError, match="window"):
        window_mean(np.ones((1, 2)), np.array([0.0, 60]), np.full(2, 60.0), WINDOW)


def test_window_mean_weighs_by_duration():
    mean = window_mean(
        np.array([[9.0, 1.0, 4.0]]),
        np.array([0.0, 3600, 4800]),
        np.array([3600.0, 1200, 600]),
        WINDOW,
    )
    np.testing.assert_allclose(mean, [2.0])


def test_static_schedule_starts_at_sixty_minutes():
    start, durations = STATIC_60_90
    assert (start, sum(durations)) == (3600.0, 1800.0)
