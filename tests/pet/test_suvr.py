from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError, FrameError, ReferenceRegionError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.suvr import suvr, suvr_from_tacs, volume_weighted_mean, window_mean

SCHEDULE = FrameSchedule([0, 1800, 3000], [1800, 1200, 600])
TACS = pd.DataFrame(
    {"target": [10.0, 50.0, 80.0], "left": [1.0, 90.0, 90.0], "right": [1.0, 30.0, 30.0]}
)


def test_by_hand():
    """A target at 60 over a reference at 90 kBq/mL is 2/3."""
    ratios = suvr_from_tacs(TACS, SCHEDULE, (1800, 3600), ["left"])
    assert ratios["target"] == pytest.approx(60 / 90)
    assert ratios.name == "suvr"


def test_several_reference_regions():
    plain = suvr_from_tacs(TACS, SCHEDULE, (1800, 3600), ["left", "right"])
    assert plain["target"] == pytest.approx(1.0)
    volumes = pd.Series({"left": 1.0, "right": 3.0, "target": 9.0})
    weighted = suvr_from_tacs(TACS, SCHEDULE, (1800, 3600), ["left", "right"], volumes_mm3=volumes)
    assert weighted["target"] == pytest.approx(60 / 45)


def test_ratio_of_means_not_mean_of_ratios():
    tacs = pd.DataFrame({"target": [10.0, 40.0], "reference": [10.0, 20.0]})
    schedule = FrameSchedule([0, 600], [600, 600])
    assert suvr_from_tacs(tacs, schedule, (0, 1200), ["reference"])["target"] == pytest.approx(
        5 / 3
    )


def test_recovery_of_a_known_ratio(rng):
    """Curves that are exact multiples of the reference give the multiple to 1e-12."""
    schedule = FrameSchedule(np.arange(12) * 450, np.full(12, 450))
    reference = rng.uniform(2, 30, 12)
    truth = rng.uniform(0.3, 6, 50)
    tacs = pd.DataFrame(np.outer(reference, truth), columns=[f"r{i}" for i in range(50)])
    tacs["reference"] = reference
    estimate = suvr_from_tacs(tacs, schedule, (3600, 5400), ["reference"])
    np.testing.assert_allclose(estimate.iloc[:-1], truth, rtol=1e-12)


def test_missing_frames_make_missing_regions():
    tacs = TACS.assign(early=[np.nan, 60.0, 60.0], late=[1.0, np.nan, 60.0])
    ratios = suvr_from_tacs(tacs, SCHEDULE, (1800, 3600), ["left"])
    assert ratios["early"] == pytest.approx(60 / 90)
    assert np.isnan(ratios["late"])
    with pytest.raises(ReferenceRegionError, match="mean uptake of nan"):
        suvr_from_tacs(tacs, SCHEDULE, (1800, 3600), ["late"])


def test_reference_must_be_known_and_positive():
    with pytest.raises(ReferenceRegionError, match="for example left"):
        suvr_from_tacs(TACS, SCHEDULE, (1800, 3600), ["lefty"])
    with pytest.raises(ReferenceRegionError, match="no reference region named"):
        suvr_from_tacs(TACS, SCHEDULE, (1800, 3600), [])
    for value in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ReferenceRegionError, match="above 0"):
            suvr(np.ones(2), value)


def test_table_and_schedule_must_agree():
    with pytest.raises(FrameError, match="found 3 frames; expected 2"):
        suvr_from_tacs(TACS.iloc[:2], SCHEDULE, (1800, 3600), ["left"])
    with pytest.raises(FrameError, match="covered"):
        suvr_from_tacs(TACS, SCHEDULE, (3600, 5400), ["left"])


def test_window_mean_streams_and_ignores_frames_outside():
    frames = np.array([[np.nan, 1.0], [2.0, 4.0], [6.0, np.nan]])
    weights = np.array([0.0, 0.25, 0.75])
    mean = window_mean(iter(frames), weights)
    assert mean[0] == 5.0
    assert np.isnan(mean[1])
    for count in (2, 4):
        with pytest.raises(FrameError, match="one weight per frame"):
            window_mean(np.ones((count, 2)), weights)


def test_voxels_outside_the_field_of_view_stay_outside():
    ratios = suvr(np.array([3.0, np.nan]), 2.0)
    assert ratios[0] == 1.5
    assert np.isnan(ratios[1])


def test_global_mean_by_volume():
    volumes = pd.Series({"a": 60.0, "b": 35.0, "c": 5.0})
    values = pd.Series({"b": 2.0, "a": 1.0, "c": np.nan})
    assert volume_weighted_mean(values, volumes) == pytest.approx((60 + 70) / 95)
    with pytest.raises(DatasetError, match="65 % of the volume"):
        volume_weighted_mean(pd.Series({"a": 1.0, "b": np.nan, "c": 1.0}), volumes)
    with pytest.raises(DatasetError, match="no volume of d"):
        volume_weighted_mean(pd.Series({"d": 1.0}), volumes)
