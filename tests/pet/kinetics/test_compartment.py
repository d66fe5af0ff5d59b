"""Compartment models against curves integrated step by step, with delay, metabolites and noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError, FrameError
from petfmri.pet.blood import InputFunction, input_function
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.compartment import one_tissue, two_tissue
from petfmri.pet.kinetics.convolution import frame_kernel
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.kinetics.plasma_delay import fit_delay
from petfmri.pet.kinetics.plasma_logan import plasma_logan
from petfmri.pet.metabolites import fit_parent_fraction
from petfmri.simulation import tracer

N = 20


@pytest.fixture(scope="module")
def planted(truth):
    """Parameters of 20 one-tissue and 20 two-tissue curves, and the curves."""
    rng = np.random.default_rng(1)
    vt, k1 = np.linspace(4, 25, N), rng.permutation(np.linspace(0.1, 0.5, N))
    k3, k4 = rng.uniform(0.03, 0.15, N), rng.uniform(0.02, 0.06, N)
    k2 = k1 / vt * (1 + k3 / k4)
    none = np.zeros(N)
    curves = truth.curves(
        np.tile(k1, 2), np.append(k1 / vt, k2), np.append(none, k3), np.append(none, k4)
    )
    values = {"vt": vt, "k1": k1, "vb": np.full(N, 0.05)}
    return {
        "one": ({**values, "k2": k1 / vt}, curves[:N]),
        "two": ({**values, "k2": k2, "k3": k3, "k4": k4}, curves[N:]),
    }


MODELS = {"one": one_tissue, "two": two_tissue}


def percent_error(estimates, true, name):
    return 100 * np.abs(estimates.values[name] / true[name] - 1).max()


def test_frame_average_by_hand():
    # Plasma 1 from the start: tissue 1 - exp(-t), averaged from 0 to 1 and from 2 to 3 min.
    inputs = InputFunction([0, 50, 180], [1, 1, 1], [2, 2, 2])
    kernel = frame_kernel(inputs, FrameSchedule([0, 120], [60, 60]))
    by_hand = [np.exp(-1), 1 - np.exp(-2) + np.exp(-3)]
    np.testing.assert_allclose(kernel.exponentials(np.array(1.0)), by_hand, rtol=1e-4)
    np.testing.assert_allclose(kernel.blood, 2, rtol=1e-4)


def test_slow_and_fast_rates_agree_with_fine_steps():
    time = np.array([0, 20, 45, 100, 400.0])
    inputs = InputFunction(time, [0, 9, 4, 2, 1], None)
    kernel = frame_kernel(inputs, FrameSchedule([10, 60, 200], [50, 100, 200]))
    fine = np.linspace(0, 400, 400_001)
    plasma = np.interp(fine, time, inputs.aif_kbq_ml)
    step = fine[1] / 60
    for rate in (1e-3, 0.3, 8.0):
        weight = np.exp(rate * fine / 60)
        area = np.append(0, np.cumsum((plasma * weight)[1:] + (plasma * weight)[:-1])) * step / 2
        tissue = area / weight
        total = np.append(0, np.cumsum(tissue[1:] + tissue[:-1])) * step / 2
        edges = np.array([[10, 60], [60, 160], [200, 400]]) * 1000
        expected = (total[edges[:, 1]] - total[edges[:, 0]]) / ([50, 100, 200] / np.array(60))
        np.testing.assert_allclose(kernel.exponentials(np.array(rate)), expected, rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_noiseless_with_known_delay(planted, truth, inputs, model):
    true, curves = planted[model]
    fit = MODELS[model](curves, truth.schedule, inputs.shifted(12.0))
    assert (fit.flags == 0).all()
    assert percent_error(fit, true, "vt") < 0.01
    assert percent_error(fit, true, "k1") < 0.02
    for name in true:
        assert percent_error(fit, true, name) < 0.5
    np.testing.assert_allclose(fit.fitted, curves, rtol=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_from_samples_to_vt(planted, truth, blood_samples, model):
    """Sampler and manual samples, metabolites by Hill, delay fitted to the mean of all regions."""
    samples = dict(blood_samples)
    parent = fit_parent_fraction(samples["time_s"], samples.pop("fraction"))
    made = input_function(**samples, parent=parent)
    assert made.notes == ()
    true, curves = planted[model]
    delay = fit_delay(curves.mean(axis=0), truth.schedule, made)
    assert delay.flags == 0
    assert delay.delay_s == pytest.approx(12.0, abs=0.05)
    fit = MODELS[model](curves, truth.schedule, made.shifted(delay.delay_s))
    assert (fit.flags == 0).all()
    assert percent_error(fit, true, "vt") < 0.1
    assert percent_error(fit, true, "k1") < 0.1


def test_delay_keeps_its_way_in_noise(planted, truth, inputs, rng):
    curve = planted["two"][1].mean(axis=0)
    sd = 0.005 * np.sqrt(curve * curve.mean() * 300 / truth.schedule.duration_s)
    found = [
        fit_delay(curve + sd * rng.normal(size=curve.size), truth.schedule, inputs).delay_s
        for _ in range(4)
    ]
    assert np.abs(np.array(found) - 12).max() < 3


def test_one_tissue_model_on_two_tissues_is_flagged(planted, truth, inputs):
    fit = one_tissue(planted["two"][1], truth.schedule, inputs.shifted(12.0))
    assert (fit.flags & Flag.RUNS).astype(bool).mean() > 0.9


def test_decay_within_frames_matters_little(truth):
    """A scanner counts decays: the early part of a frame weighs more. The models do not know it."""
    schedule = truth.schedule
    plasma = tracer.PlasmaInput()
    time = np.unique(np.concatenate([np.arange(0, 600, 1.0), np.arange(600, 6301, 20.0)]))
    inputs = InputFunction(time, plasma(time), None)
    vt, k1 = np.array([5.0, 12, 25]), np.array([0.15, 0.3, 0.45])
    curves = tracer.frame_averages(vt, k1, plasma, schedule.start_s, schedule.duration_s)
    fit = one_tissue(curves, schedule, inputs, vb=0.0)
    assert percent_error(fit, {"vt": vt}, "vt") < 0.1
    assert percent_error(fit, {"k1": k1}, "k1") < 0.2


@pytest.mark.parametrize(("model", "repeats"), [("one", 10), ("two", 3)])
def test_noise_and_standard_errors(planted, truth, inputs, rng, model, repeats):
    true, curves = planted[model]
    sd = 0.02 * np.sqrt(curves * curves.mean(axis=1, keepdims=True) * 300)
    sd = sd / np.sqrt(truth.schedule.duration_s)
    noisy = np.concatenate([curves + sd * rng.normal(size=curves.shape) for _ in range(repeats)])
    weights = 1 / (sd**2).mean(axis=0)
    fit = MODELS[model](noisy, truth.schedule, inputs.shifted(12.0), weights=weights, vb=0.05)
    assert fit.usable.mean() > 0.9
    for name, bias in (("vt", 0.02), ("k1", 0.02)):
        error = fit.values[name] - np.tile(true[name], repeats)
        covered = np.abs(error) < 1.96 * fit.standard_errors[name]
        assert 0.85 < covered[fit.usable].mean() <= 1.0
        assert abs(np.nanmedian(error / np.tile(true[name], repeats))) < bias


def garbage(curve):
    bad = np.tile(curve, (9, 1))
    bad[0] = np.nan
    bad[1, 5] = np.nan
    bad[2] = 0
    bad[3] = -curve
    bad[4] = np.minimum(curve, 0.6 * curve.max())
    bad[5] = np.where(np.arange(curve.size) > curve.size // 2, 0.0, curve)
    bad[6] = np.arange(curve.size) == 3
    bad[7] = curve * 1e-3
    bad[8] = np.abs(np.random.default_rng(0).normal(size=curve.size))
    return bad


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("vb", [None, 0.05])
def test_garbage_is_flagged(planted, truth, inputs, model, vb):
    fit = MODELS[model](garbage(planted[model][1][9]), truth.schedule, inputs.shifted(12.0), vb=vb)
    assert not fit.usable.any()
    for values in (*fit.values.values(), *fit.standard_errors.values()):
        assert np.isnan(values).all()
    assert fit.flags[[0, 1]].tolist() == [Flag.MISSING, Flag.MISSING]
    assert fit.flags[[2, 3]].tolist() == [Flag.EMPTY, Flag.EMPTY]


@pytest.mark.parametrize("model", MODELS)
def test_too_few_frames(inputs, model):
    fit = MODELS[model](np.array([[5.0]]), FrameSchedule([0], [600]), inputs)
    assert fit.flags.tolist() == [Flag.TOO_FEW_FRAMES]
    assert np.isnan(fit.values["vt"]).all()


def test_delay_of_garbage(truth, inputs):
    noise = np.abs(np.random.default_rng(0).normal(size=truth.schedule.n_frames))
    assert fit_delay(noise, truth.schedule, inputs).flags
    empty = fit_delay(np.zeros(truth.schedule.n_frames), truth.schedule, inputs)
    assert empty.flags == Flag.EMPTY
    assert np.isnan(empty.delay_s)
    with pytest.raises(DatasetError, match="finite"):
        inputs.shifted(empty.delay_s)


def test_wrong_input_is_refused(planted, truth, inputs):
    curves, schedule = planted["one"][1], truth.schedule
    with pytest.raises(DatasetError, match="30 frames"):
        one_tissue(curves[:, :-1], schedule, inputs)
    with pytest.raises(DatasetError, match="weights"):
        one_tissue(curves, schedule, inputs, weights=-np.ones(30))
    with pytest.raises(DatasetError, match="fix the blood volume at 0"):
        one_tissue(curves, schedule, InputFunction(inputs.time_s, inputs.aif_kbq_ml))
    early = inputs.time_s < 3600
    with pytest.raises(FrameError, match=r"blood until 59\.8 min"):
        one_tissue(curves, schedule, InputFunction(inputs.time_s[early], inputs.aif_kbq_ml[early]))


def test_real_scans_agree_across_models(shared_data):
    """[11C]PBR28 with arterial blood: delay, blood volume and K1 as in people; V_T as Logan's."""
    folder = shared_data / "pet_dynamic/kinfitr"
    blood = pd.read_csv(folder / "pbr28_blooddata.csv").groupby("PET")
    curves = pd.read_csv(folder / "pbr28_tacdata.csv").query("Duration > 0").groupby("PET")
    for scan in ("cgyu_2", "flfp_1", "rwrd_2", "xehk_1"):
        samples, table = blood.get_group(scan), curves.get_group(scan)
        inputs = InputFunction(samples["Time"], samples["Cpl_metabcorr"], samples["Cbl_dispcorr"])
        schedule = FrameSchedule(table["StartTime"], table["Duration"])
        tac = table[["FC", "TC", "STR", "THA", "WB", "CBL"]].to_numpy().T
        weights = table["Weights"].to_numpy()
        delay = fit_delay(tac[4], schedule, inputs)
        assert abs(delay.delay_s) < 15
        shifted = inputs.shifted(delay.delay_s)
        fit = two_tissue(tac, schedule, shifted, weights=weights)
        assert fit.usable.all()
        assert ((fit.values["vb"] > 0.02) & (fit.values["vb"] < 0.09)).all()
        assert ((fit.values["k1"] > 0.05) & (fit.values["k1"] < 0.4)).all()
        assert (fit.standard_errors["vt"] < 0.2 * fit.values["vt"]).all()
        logan = plasma_logan(tac, schedule, shifted, weights=weights).values["vt"]
        np.testing.assert_allclose(fit.values["vt"], logan, rtol=0.15)
