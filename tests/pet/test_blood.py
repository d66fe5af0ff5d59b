"""The input function: by hand, from planted curves, and from real samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.pet.blood import InputFunction, corrected_for_decay, input_function, plasma_ratio
from petfmri.pet.kinetics.estimates import Flag
from petfmri.pet.metabolites import fit_parent_fraction

MINUTES = np.array([3, 6, 10, 15, 20, 30, 40, 60, 90.0])
SAMPLED = 60 * MINUTES
TRUE = {
    "hill": ({"share": 0.75, "half_min": 18.0, "steepness": 1.4}, None),
    "power": ({"scale_min": 9.0, "exponent": 0.45}, None),
    "biexponential": ({"share": 0.55, "fast_per_min": 0.12, "slow_per_min": 0.006}, None),
}
CURVES = {
    "hill": lambda t: 1 - 0.75 * (t / 18) ** 1.4 / (1 + (t / 18) ** 1.4),
    "power": lambda t: (1 + (t / 9) ** 2) ** -0.45,
    "biexponential": lambda t: 0.55 * np.exp(-0.12 * t) + 0.45 * np.exp(-0.006 * t),
}


@pytest.mark.parametrize("model", CURVES)
@pytest.mark.parametrize("at_zero", [1.0, None])
def test_parent_fraction_comes_back(model, at_zero):
    start = 1.0 if at_zero else 0.97
    fit = fit_parent_fraction(SAMPLED, start * CURVES[model](MINUTES), model=model, at_zero=at_zero)
    assert fit.flags == 0
    assert fit.rmse < 1e-5
    assert fit.parameters["at_zero"] == pytest.approx(start, abs=1e-3)
    for name, value in TRUE[model][0].items():
        assert fit.parameters[name] == pytest.approx(value, rel=0.02)
    np.testing.assert_allclose(
        fit(np.array([0.0, 1500])), start * CURVES[model](np.array([0, 25])), atol=1e-3
    )


def test_weights_decide_between_samples():
    value = CURVES["power"](MINUTES)
    value[4] += 0.2
    weights = np.where(np.arange(9) == 4, 1e-6, 1.0)
    fit = fit_parent_fraction(SAMPLED, value, model="power", weights=weights)
    assert fit.parameters["exponent"] == pytest.approx(0.45, rel=1e-3)


def test_parent_fraction_refuses_and_flags():
    with pytest.raises(DatasetError, match="3 samples"):
        fit_parent_fraction(SAMPLED[:4], [0.9, 0.8, np.nan, 0.6], model="power")
    with pytest.raises(DatasetError, match="at least 5"):
        fit_parent_fraction(SAMPLED[:4], [0.9, 0.8, 0.7, 0.6], at_zero=None)
    with pytest.raises(DatasetError, match="percent"):
        fit_parent_fraction(SAMPLED, 100 * CURVES["hill"](MINUTES))
    with pytest.raises(DatasetError, match="biexponential"):
        fit_parent_fraction(SAMPLED, CURVES["hill"](MINUTES), model="spline")
    rising = fit_parent_fraction(SAMPLED, CURVES["hill"](MINUTES)[::-1])
    assert rising.flags


def test_ratio_models_by_hand():
    time, blood = np.array([100.0, 200, 300]), np.array([10.0, 10, 10])
    plasma = np.array([11.0, 12, 16])
    at = np.array([0.0, 150, 400])
    np.testing.assert_allclose(plasma_ratio(time, plasma, blood, model="constant")(at), 1.2)
    np.testing.assert_allclose(
        plasma_ratio(time, plasma, blood, model="interpolated")(at), [1.1, 1.15, 1.6]
    )
    np.testing.assert_allclose(plasma_ratio(time, plasma, blood)(at), [0.8, 1.175, 1.8])
    with pytest.raises(DatasetError, match="plasma ratio"):
        plasma_ratio(time, plasma, [np.nan, np.nan, 10])


def test_sampler_then_manual_by_hand():
    made = input_function(
        [60, 120, 600],
        [6, 4, 2],
        [5, 5, 2.5],
        parent=lambda s: np.full_like(s, 0.5),
        sampler=([0, 10, 60], [0, 50, 5]),
        ratio="constant",
        interpolation="linear",
    )
    # Ratios 1.2, 0.8, 0.8: median 0.8. At 10 s, 50 x 0.8 x 0.5; at 120 s, the sample 4 x 0.5.
    aif, blood = made.at(np.array([-1.0, 5, 10, 120, 360, 600]))
    np.testing.assert_allclose(aif, [0, 10, 20, 2, 1.5, 1])
    np.testing.assert_allclose(blood, [0, 25, 50, 5, 3.75, 2.5])


def test_calibration_and_missing_parts_are_noted():
    t = np.array([60.0, 120, 300, 600])
    sampler = (
        np.arange(0.0, 301),
        2 * np.interp(np.arange(0.0, 301), [0, 20, 60, 300], [0, 90, 40, 10]),
    )
    blood = np.interp(t, [0, 20, 60, 300, 600], [0, 90, 40, 10, 6])
    made = input_function(t, 1.2 * blood, blood, parent=None, sampler=sampler)
    assert any("2.00 times" in note for note in made.notes)
    assert any("metabolites" in note for note in made.notes)
    early = np.array([5.0, 20, 60, 300])
    alone = input_function(early, [1, 90, 40, 10], np.full(4, np.nan), parent=None)
    assert alone.whole_blood_kbq_ml is None
    assert any("blood volume" in note for note in alone.notes)


def test_shift_moves_both_curves():
    inputs = InputFunction([0, 10, 20], [0, 4, 2], [0, 6, 3])
    later = inputs.shifted(5)
    np.testing.assert_array_equal(later.at(np.array([15.0])), [[4], [6]])
    np.testing.assert_array_equal(inputs.shifted(-5).at(np.array([5.0])), [[4], [6]])


def test_bad_input_functions_are_refused():
    for time, aif in (
        ([0, 10], [0, 1]),
        ([0, 10, 10], [0, 1, 1]),
        ([0, 10, np.nan], [0, 1, 1]),
        ([0, 10, 20], [0, np.nan, 1]),
        ([0, 10, 20], [0, 0, 0]),
        ([0, 10, 20], [0, -4, 2]),
        ([0, 10, 20], [0, 1]),
    ):
        with pytest.raises(DatasetError, match="input function"):
            InputFunction(time, aif)
    with pytest.raises(DatasetError) as caught:
        InputFunction([0, 10, 20], [0, np.nan, 1], [0, 0, 0])
    assert len(caught.value.problems) == 2


def test_a_missed_peak_is_refused():
    with pytest.raises(DatasetError, match="without the peak"):
        input_function([200, 600, 1200], [40, 10, 5], [30, 9, 5], parent=None)
    with pytest.raises(DatasetError, match="two samples at 60 s"):
        input_function([60, 60, 1200], [40, 10, 5], [30, 9, 5], parent=None)


def test_decay_correction_doubles_per_half_life():
    np.testing.assert_allclose(
        corrected_for_decay(np.ones(3), np.array([0, 1221.8, 2443.6]), 1221.8), [1, 2, 4]
    )


def test_real_samples(shared_data):
    """Peak, area and metabolites of twenty real scans; the shape of an input function in each."""
    folder = shared_data / "pet_dynamic/ds004869"
    paths = sorted(folder.glob("sub-*/ses-*/pet/*_blood.tsv"))
    assert len(paths) == 20
    for path in paths:
        table = pd.read_csv(path, sep="\t", na_values="n/a")
        parent = fit_parent_fraction(
            table["time"], table["metabolite_parent_fraction"], at_zero=None
        )
        rises = path.name[:14] in ("sub-03_ses-bas", "sub-03_ses-blo", "sub-07_ses-blo")
        assert parent.flags == (Flag.IMPLAUSIBLE if rises else 0)
        assert parent.rmse < 0.04
        made = input_function(
            table["time"],
            table["plasma_radioactivity"],
            table["whole_blood_radioactivity"],
            parent=parent,
        )
        late = path.name.startswith("sub-01_ses-blo")  # first sample at 58 s
        assert (len(made.notes) == 1) == (rises or late)
        assert (
            made.notes in ((), ("parent fraction: implausible value",)) or "69 %" in made.notes[0]
        )
        measured = table["plasma_radioactivity"] * table["metabolite_parent_fraction"]
        aif, blood = made.at(table["time"].to_numpy())
        np.testing.assert_allclose(blood, table["whole_blood_radioactivity"], rtol=1e-6)
        assert np.abs(aif - measured).max() < 0.06 * measured.max()
        assert 30 < made.time_s[made.aif_kbq_ml.argmax()] < 200
        area = np.trapezoid(made.aif_kbq_ml, made.time_s)
        assert area == pytest.approx(np.trapezoid(measured, table["time"]), rel=0.08)


def test_real_samples_without_the_peak(shared_data):
    path = shared_data / "pet_dynamic/ps11/raw/sub-PS11_ses-baseline_recording-manual_blood.tsv"
    table = pd.read_csv(path, sep="\t")
    plasma, blood = (table[f"{kind}_radioactivity"] / 1000 for kind in ("plasma", "whole_blood"))
    with pytest.raises(DatasetError, match=r"47\.1 kBq/mL, in the first sample at 175\.8 s"):
        input_function(table["time"], plasma, blood, parent=None)
