from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError, FrameError
from petfmri.pet.activity import decay_factors
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.kinetics.k2prime import scan_k2prime
from petfmri.pet.kinetics.mrtm2 import mrtm2
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.pet.kinetics.reference_logan import find_tstar, reference_logan
from petfmri.pet.kinetics.srtm import srtm
from petfmri.pet.kinetics.srtm2 import srtm2
from petfmri.pet.kinetics.weights import frame_weights
from petfmri.simulation.tracer import CARBON_11_HALF_LIFE_S, PlasmaInput, frame_averages

NO_DECAY_S = 1e12
K2PRIME = 0.03
DURATIONS = np.array([30.0] * 6 + [60.0] * 3 + [120.0] * 2 + [300.0] * 19)
SCHEDULE = FrameSchedule(np.cumsum(DURATIONS) - DURATIONS, DURATIONS)  # 105 min
SHORT = FrameSchedule(SCHEDULE.start_s[:-3], DURATIONS[:-3])  # 90 min
GIVEN = {
    "srtm": (srtm, {}),
    "srtm2": (srtm2, {"k2prime": K2PRIME}),
    "mrtm2": (mrtm2, {"k2prime": K2PRIME}),
    "logan": (reference_logan, {"k2prime": K2PRIME}),
}


def scan(vt, k1, schedule=SCHEDULE):
    """Exact frame averages of one-tissue curves: SRTM describes their ratio exactly."""
    vt, k1 = np.atleast_1d(vt).astype(float), np.atleast_1d(k1).astype(float)
    return frame_averages(vt, k1, PlasmaInput(), schedule.start_s, schedule.duration_s, NO_DECAY_S)


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(3)
    r1, bpnd = rng.uniform(0.7, 3, 1000), rng.uniform(0.2, 5, 1000)
    reference = scan(0.3 / K2PRIME, 0.3)[0]
    return r1, bpnd, scan(0.3 / K2PRIME * (1 + bpnd), 0.3 * r1), reference


def with_noise(tac, percent, seed=1, schedule=SCHEDULE):
    """Variance in proportion to activity, decay and 1 / duration; typical SD after 10 min as given."""
    sd = np.sqrt(tac * decay_factors(schedule, CARBON_11_HALF_LIFE_S) / schedule.duration_s)
    late = schedule.mid_s > 600
    sd *= percent / 100 / np.median((sd / tac)[:, late], axis=1, keepdims=True)
    return tac + sd * np.random.default_rng(seed).standard_normal(tac.shape)


# ------------------------------------------------------------------------------- the integral


def test_the_integral_of_a_known_curve():
    edges = np.r_[SCHEDULE.start_s, SCHEDULE.end_s[-1]] / 60
    primitive = lambda t: -np.exp(-t / 9) * (9 * t + 81)  # noqa: E731  of t exp(-t / 9)
    second = lambda t: np.exp(-t / 9) * (81 * t + 1458)  # noqa: E731  its own primitive
    widths = np.diff(edges)
    averages = np.diff(primitive(edges)) / widths
    expected = np.diff(second(edges)) / widths + 81  # primitive(0) = -81
    np.testing.assert_allclose(frame_integral(SCHEDULE) @ averages, expected, rtol=2e-3, atol=2e-3)


def test_a_gap_is_bridged_and_a_late_scan_refused():
    kept = np.r_[0:18, 19:30]
    gap = FrameSchedule(SCHEDULE.start_s[kept], SCHEDULE.duration_s[kept])
    tac = scan([20.0], [0.3])[0]
    np.testing.assert_allclose(
        frame_integral(gap) @ tac[kept], (frame_integral(SCHEDULE) @ tac)[kept], rtol=1e-3
    )
    with pytest.raises(FrameError, match="begins 60 min after the injection"):
        frame_integral(FrameSchedule([3600, 4200, 4800, 5400], [600] * 4))
    with pytest.raises(FrameError, match="gaps of"):
        frame_integral(FrameSchedule([0, 60, 120, 4800], [60, 60, 60, 600]))


# ------------------------------------------------------------------------------- exact recovery


@pytest.mark.parametrize("name", GIVEN)
def test_noiseless_curves_come_back(name, truth):
    r1, bpnd, tac, reference = truth
    model, options = GIVEN[name]
    fit = model(tac, reference, SCHEDULE, **options)
    error = 100 * np.abs(fit.values["bpnd"] / bpnd - 1)
    assert fit.usable.all() and np.percentile(error, 95) < 0.05 and error.max() < 0.5
    if name != "logan":
        np.testing.assert_allclose(fit.values["r1"], r1, rtol=5e-4)
    if name == "srtm":
        np.testing.assert_allclose(fit.values["k2prime"], K2PRIME, rtol=5e-3)


@pytest.mark.parametrize("name", GIVEN)
def test_twice_the_reference_is_a_binding_of_one(name):
    reference = scan(10.0, 0.3)
    model, options = GIVEN[name]
    fit = model(2 * reference, reference[0], SCHEDULE, **options)
    assert fit.values["bpnd"][0] == pytest.approx(1.0, abs=1e-3)


def test_the_fitted_curve_is_the_curve(truth):
    _, _, tac, reference = truth
    for model, options in GIVEN.values():
        fit = model(tac[:50], reference, SCHEDULE, **options, fitted=True)
        assert np.abs(fit.fitted - tac[:50]).max() < 1e-3 * tac[:50].max()


# ------------------------------------------------------------------------------- noise


@pytest.mark.parametrize(("name", "spread"), [("srtm", 9), ("srtm2", 3)])
def test_intervals_cover_at_two_percent_noise(name, spread, truth):
    _, bpnd, tac, reference = truth
    model, options = GIVEN[name]
    weights = frame_weights(SCHEDULE, CARBON_11_HALF_LIFE_S, tac.mean(axis=0))
    fit = model(with_noise(tac, 2), reference, SCHEDULE, weights=weights, **options)
    good = fit.usable
    off = fit.values["bpnd"] - bpnd
    covered = np.abs(off[good]) < 2.06 * fit.standard_errors["bpnd"][good]
    assert good.mean() > 0.97 and 0.92 <= covered.mean() <= 0.97
    relative = 100 * off[good] / bpnd[good]
    assert abs(np.median(relative)) < 0.5
    assert 1.4826 * np.median(np.abs(relative - np.median(relative))) < spread


def test_weights_make_estimates_more_precise(truth):
    _, bpnd, tac, reference = truth
    noisy = with_noise(tac, 4)
    weights = frame_weights(SCHEDULE, CARBON_11_HALF_LIFE_S, tac.mean(axis=0))
    spread = [
        np.median(np.abs(fit.values["bpnd"] / bpnd - 1))
        for fit in (
            srtm2(noisy, reference, SCHEDULE, k2prime=K2PRIME, weights=w) for w in (weights, None)
        )
    ]
    assert spread[0] < spread[1]


# ------------------------------------------------------------------------------- k2' and flow


def flow_scan(k1_factor, reference_factor):
    vt, k1 = np.linspace(10, 24, 30), 0.33 * np.linspace(0.8, 1.2, 30)
    vt[0], k1[0] = 20.0, 0.33
    return scan(vt, k1 * k1_factor, SHORT), scan(5.0, 0.155 * reference_factor, SHORT)[0]


def test_k2prime_of_a_scan_follows_its_flow():
    before, after = scan_k2prime(*flow_scan(1, 1), SHORT), scan_k2prime(*flow_scan(1.1, 1.1), SHORT)
    assert before.value == pytest.approx(0.031, rel=1e-3)
    assert after.value == pytest.approx(0.0341, rel=1e-3)


def test_flow_moves_suvr_and_a_shared_k2prime_but_not_one_of_the_scan():
    window = SHORT.window_weights((3600, 5400))
    base = flow_scan(1, 1)
    k2prime = scan_k2prime(*base, SHORT).value
    before = srtm2(*base, SHORT, k2prime=k2prime).values["bpnd"][0] + 1

    def shift(scanned, k2prime):
        dvr = srtm2(*scanned, SHORT, k2prime=k2prime).values["bpnd"][0] + 1
        return 100 * (dvr / before - 1)

    target = flow_scan(1.1, 1)
    ratios = [(tac[0] @ window) / (ref @ window) for tac, ref in (base, target)]
    assert 100 * (ratios[1] / ratios[0] - 1) == pytest.approx(3.4, abs=0.3)
    assert abs(shift(target, scan_k2prime(*target, SHORT).value)) < 0.1
    everywhere = flow_scan(1.1, 1.1)
    assert abs(shift(everywhere, scan_k2prime(*everywhere, SHORT).value)) < 0.5
    assert shift(everywhere, k2prime) == pytest.approx(2.7, abs=0.2)


def test_the_standard_error_of_k2prime_is_its_spread():
    tac, reference = flow_scan(1, 1)
    weights = frame_weights(SHORT, CARBON_11_HALF_LIFE_S, tac.mean(axis=0))
    found = [
        scan_k2prime(with_noise(tac, 2, seed, SHORT), reference, SHORT, weights=weights)
        for seed in range(40)
    ]
    values = np.array([k.value for k in found])
    assert abs(values.mean() - 0.031) < 0.001
    assert 0.6 < np.mean([k.se for k in found]) / values.std(ddof=1) < 1.6


# ------------------------------------------------------------------------------- Logan and t*


def test_logan_without_k2prime_is_far_off_for_a_slow_tracer(truth):
    _, bpnd, tac, reference = truth
    fit = reference_logan(tac, reference, SCHEDULE, k2prime=None)
    assert np.median(fit.values["dvr"] / (1 + bpnd)) < 0.9


def test_tstar_is_where_the_plot_becomes_straight():
    rate = np.geomspace(0.15, 0.5, 20)  # 1/min: fast exchange that k2' of a slow tissue misjudges
    tac, reference = scan(5.0 / rate, np.full(20, 5.0)), scan(10.0, 0.3)[0]
    early = find_tstar(scan(20.0, 0.33), reference, SCHEDULE, k2prime=K2PRIME)
    wrong = find_tstar(tac, reference, SCHEDULE, k2prime=0.3)
    assert early <= 60 < wrong


def test_too_few_frames_after_tstar_is_an_error(truth):
    with pytest.raises(FrameError, match="2 frames from 95 min on"):
        reference_logan(truth[2], truth[3], SCHEDULE, k2prime=K2PRIME, tstar_s=5700)


# ------------------------------------------------------------------------------- bad curves


@pytest.mark.parametrize("name", GIVEN)
def test_curves_that_cannot_be_fitted_are_flagged_and_their_neighbours_kept(name, truth):
    _, bpnd, tac, reference = truth
    model, options = GIVEN[name]
    bad = tac[:6].copy()
    bad[1] = 0
    bad[2] = -bad[2]
    bad[3, 4] = np.nan
    bad[4, :-1] = 0  # one frame
    bad[5] = np.minimum(bad[5], 0.3 * bad[5].max())  # a clipped curve
    fit = model(bad, reference, SCHEDULE, **options, fitted=True)
    assert fit.values["bpnd"][0] == pytest.approx(bpnd[0], rel=1e-3)
    assert fit.flags[1] & Flag.EMPTY and fit.flags[2] & Flag.EMPTY and fit.flags[3] & Flag.MISSING
    assert fit.flags[4:].all()
    for values in fit.values.values():
        assert np.isnan(values[~fit.usable]).all() and np.isfinite(values[fit.usable]).all()


def test_shapes_references_and_rates_that_cannot_be_are_errors(truth):
    _, _, tac, reference = truth
    with pytest.raises(DatasetError, match="30 frames"):
        srtm(tac[:, :9], reference, SCHEDULE)
    with pytest.raises(DatasetError, match="no activity"):
        srtm(tac, 0 * reference, SCHEDULE)
    with pytest.raises(DatasetError, match="per min"):
        srtm2(tac, reference, SCHEDULE, k2prime=0.0005)  # per second
    with pytest.raises(DatasetError, match="no curve"):
        scan_k2prime(0 * tac, reference, SCHEDULE)
