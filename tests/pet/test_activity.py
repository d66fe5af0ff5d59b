from __future__ import annotations

import json

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.pet import activity
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.nuclides import nuclide

SIDECAR = {
    "TimeZero": "10:00:00",
    "ScanStart": 0,
    "InjectionStart": 0,
    "TracerRadionuclide": "C11",
    "FrameTimesStart": [0, 1800, 3600],
    "FrameDuration": [1800, 1800, 1800],
    "Units": "Bq/mL",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "InjectedRadioactivity": 370,
    "InjectedRadioactivityUnits": "MBq",
    "BodyWeight": 70,
}


def one_problem(changes, **more):
    sidecar = {name: value for name, value in {**SIDECAR, **changes}.items() if value is not ...}
    problems = activity.sidecar_problems(sidecar, 3, "pet.json", **more)
    assert len(problems) == 1, problems
    return str(problems[0])


def test_a_good_sidecar_has_no_problems():
    assert activity.sidecar_problems(SIDECAR, 3) == []


def test_each_fault_is_one_problem():
    assert "InjectionStart" in one_problem({"InjectionStart": ...})
    assert "0.37 MBq" in one_problem({"InjectedRadioactivity": 0.37})
    assert "0 kg" in one_problem({"BodyWeight": 0})
    assert "'SUV'" in one_problem({"Units": "SUV"})
    assert "minutes" in one_problem({"FrameTimesStart": [0, 30, 60], "FrameDuration": [30] * 3})
    assert "4 values" in one_problem({"FrameTimesStart": [0, 1800, 3600, 5400]})
    assert "RadionuclideHalfLife" in one_problem({"RadionuclideHalfLife": 6586})
    assert "ImageDecayCorrected" in one_problem({"ImageDecayCorrected": "yes"})


def test_faults_are_reported_together():
    broken = {**SIDECAR, "Units": "counts", "BodyWeight": 0, "FrameDuration": [0, 1, 1]}
    assert len(activity.sidecar_problems(broken, 3)) == 3


def test_weight_of_the_participants_table():
    assert "0 kg" in one_problem({"BodyWeight": ...}, weight_kg=0.0)
    without = {name: value for name, value in SIDECAR.items() if name != "BodyWeight"}
    assert activity.sidecar_problems(without, 3, weight_kg=np.nan) == []


def test_the_thousandfold_activity():
    sidecar = {
        "InjectedRadioactivity": 774040.0,
        "InjectedRadioactivityUnits": "Bq",
        "RadionuclideTotalDose": 774040000.0,
        "TracerRadionuclide": "11C",
    }
    with pytest.raises(DatasetError, match=r"0\.77404 MBq.*RadionuclideTotalDose says 774.04 MBq"):
        activity.injected_activity(sidecar)


def test_units():
    assert activity.concentration_scale("kBq/ml") == 1.0
    assert activity.concentration_scale("nCi/mL") == pytest.approx(0.037)
    mci = {**SIDECAR, "InjectedRadioactivity": 10, "InjectedRadioactivityUnits": "mCi"}
    assert activity.injected_activity(mci) == pytest.approx(370)
    with pytest.raises(DatasetError, match="units such as MBq"):
        activity.injected_activity({**SIDECAR, "InjectedRadioactivityUnits": None})


def test_suv_by_hand():
    """370 MBq spread evenly over 74 kg is 5 kBq/mL."""
    np.testing.assert_allclose(activity.suv(np.array([5.0, 10.0]), 370.0, 74.0), [1.0, 2.0])


def test_unknown_nuclide():
    with pytest.raises(DatasetError, match="'11B'"):
        nuclide("11B")


def test_decay_by_hand():
    """A frame of one half-life from the injection: mean activity 1/(2 ln 2) of the start's."""
    schedule = FrameSchedule([0.0], [1200.0])
    np.testing.assert_allclose(activity.decay_factors(schedule, 1200.0), 2 * np.log(2))


def test_decay_recovery():
    """Constant tissue activity measured while it decays comes back to 1e-9."""
    half_life = activity.half_life(SIDECAR)
    schedule = FrameSchedule([-30, 0, 30, 600, 3600], [30, 30, 300, 900, 1800])
    nodes, quadrature = np.polynomial.legendre.leggauss(20)
    times = schedule.mid_s[:, None] + schedule.duration_s[:, None] / 2 * nodes
    measured = (7.0 * np.exp2(-times / half_life)) @ (quadrature / 2)
    corrected = measured * activity.decay_factors(schedule, half_life)
    np.testing.assert_allclose(corrected, 7.0, rtol=1e-9)


def test_calibration():
    schedule = FrameSchedule.from_sidecar(SIDECAR, 3)
    np.testing.assert_allclose(activity.calibration(SIDECAR, schedule), 1e-3)
    half_life = nuclide("11C").half_life_s
    late = {**SIDECAR, "ImageDecayCorrectionTime": half_life}
    np.testing.assert_allclose(activity.calibration(late, schedule), 2e-3)
    raw = {**SIDECAR, "ImageDecayCorrected": False}
    expected = 1e-3 * activity.decay_factors(schedule, half_life)
    np.testing.assert_allclose(activity.calibration(raw, schedule), expected)
    with pytest.raises(DatasetError, match="ImageDecayCorrectionTime"):
        activity.calibration({**SIDECAR, "ImageDecayCorrectionTime": "scan"}, schedule)


def test_decay_factors_of_a_scanner(shared_data):
    """Factors of a real 33-frame scan that started 2 s after the injection.

    The scanner takes the decay at mid-frame; the mean over a 5 min frame of 11C is 0.12 % less.
    """
    path = shared_data / "pet_dynamic/ps11/raw/sub-PS11_ses-baseline_pet.json"
    sidecar = json.loads(path.read_text())
    schedule = FrameSchedule.from_sidecar(sidecar, 33)
    half_life = activity.half_life(sidecar)
    shifted = FrameSchedule(schedule.start_s + sidecar["ScanStart"], schedule.duration_s)
    ours = activity.decay_factors(shifted, half_life)
    half_frame = np.log(2) / half_life * schedule.duration_s / 2
    at_mid_frame = ours * np.sinh(half_frame) / half_frame
    np.testing.assert_allclose(at_mid_frame, sidecar["DecayFactor"], rtol=2e-5)
    np.testing.assert_allclose(ours, sidecar["DecayFactor"], rtol=1.3e-3)


def test_real_sidecars_with_the_thousandfold_trap(shared_data):
    """Every scan of ds004869 states a thousandth of its activity; nothing else is reported."""
    paths = sorted((shared_data / "pet_dynamic/ds004869").glob("sub-*/ses-*/pet/*_pet.json"))
    assert len(paths) == 20
    for path in paths:
        problems = activity.sidecar_problems(json.loads(path.read_text()), 33, path.name)
        assert ["InjectedRadioactivity" in problem.where for problem in problems] == [True]
