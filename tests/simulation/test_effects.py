from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import InputError
from petfmri.simulation.effects import (
    BLOCK,
    Arm,
    Design,
    Effects,
    draw_people,
    person_scores,
    stream,
    whitened,
)


@pytest.mark.parametrize("seed", range(20))
def test_a_block_has_exactly_the_planted_moments(seed):
    effects = Effects()
    scores = person_scores(BLOCK, effects, seed)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.cov(scores.T), effects.correlation(), atol=1e-12)
    assert np.abs(scores).max() <= 2


def test_more_people_do_not_change_the_earlier_ones():
    few, many = (draw_people(n, Effects(), Design(), seed=4) for n in (3, 30))
    pd.testing.assert_frame_equal(pd.DataFrame(few), pd.DataFrame(many[:3]))
    assert many[0] != many[12]  # blocks differ


def test_mean_and_spread_of_what_people_receive():
    effects = Effects(change_cv=0.5)
    scales = np.array([p.vt_scale for p in draw_people(24, effects, Design(), seed=2)])
    assert scales.mean() == pytest.approx(1)
    assert scales[:12].std(ddof=1) == pytest.approx(0.5)


def test_an_arm_without_dose_receives_nothing():
    design = Design(arms=(Arm("ketamine", 0.5), Arm("placebo", 0.0)), missing_scores=0)
    people = draw_people(12, Effects(), design, seed=1)
    placebo = [person for person in people if person.arm.name == "placebo"]
    assert len(placebo) == 6
    assert all(p.vt_scale == 0 and p.segregation_scale == 0 for p in placebo)
    assert all(p.madrs[0] == p.madrs[1] for p in placebo)


def test_symptoms_fall_with_the_planted_changes_and_some_scores_are_missing():
    people = draw_people(12, Effects(), Design(), seed=3)
    madrs = np.array([person.madrs for person in people])
    complete = np.isfinite(madrs).all(axis=1)
    assert np.isnan(madrs).sum(axis=0).tolist() == [1, 1]
    fall = (madrs[:, 0] - madrs[:, 1])[complete]
    rise = np.array([person.vt_scale for person in people])[complete]
    assert fall.mean() == pytest.approx(12, abs=2)
    assert np.corrcoef(fall, rise)[0, 1] > 0.7
    assert np.nanmin(madrs) >= 0


def test_contradictory_correlations_are_refused():
    with pytest.raises(InputError, match="can hold at once"):
        person_scores(12, replace(Effects(), r_vt_symptoms=-0.9), seed=1)
    with pytest.raises(InputError, match="at least 1"):
        draw_people(0, Effects(), Design(), seed=1)


def test_the_first_fitting_pattern_decides():
    effects = Effects((("*_PFC_1", -3.0), ("*pfc*", 2.0)))
    names = pd.Series(["Default_PFC_1", "Cont_PFC_2", "Vis_1"])
    assert effects.vt_percent(names).tolist() == [-3.0, 2.0, 0.0]


def test_whitened_columns_and_settling_rows(rng):
    values = whitened(rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), settling=5)
    np.testing.assert_allclose(np.cov(values[5:].T), np.eye(3), atol=1e-12)


def test_streams_are_independent_of_one_another():
    first = stream(1, "pet", 0, 0).random(3)
    assert not np.isin(first, stream(1, "pet", 0, 1).random(3)).any()
    assert not np.isin(first, stream(1, "bold", 0, 0).random(3)).any()
    np.testing.assert_array_equal(first, stream(1, "pet", 0, 0).random(3))
