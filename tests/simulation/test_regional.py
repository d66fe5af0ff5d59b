from __future__ import annotations

import numpy as np
import pytest

from petfmri.atlases import load_atlas
from petfmri.simulation.effects import Design, Effects, draw_people
from petfmri.simulation.regional import (
    changed_kinetics,
    families,
    person_kinetics,
    typical_kinetics,
)


@pytest.fixture(scope="module")
def table():
    return load_atlas().table


def test_population_means_follow_johansen(table):
    kinetics = typical_kinetics(table["name"])
    cortex = (table["structure"] == "cortex").to_numpy()
    assert kinetics.vt[:-3][cortex].mean() == pytest.approx(19, rel=0.01)
    vt = dict(zip(table["name"], kinetics.vt[:-3], strict=True))
    order = ["Putamen_L", "Caudate_L", "Amygdala_L", "Thalamus_L", "Cerebellum_L", "Pallidum_L"]
    values = [vt[name] for name in order]
    assert values == sorted(values, reverse=True)
    assert vt["Thalamus_L"] == pytest.approx(19 * 352 / 575)
    white, csf, _ = kinetics.vt[-3:]
    assert (white, csf) == (5.0, 0.0)
    assert kinetics.k1[-3] / white == pytest.approx(0.031)


def test_people_vary_by_fifteen_percent_and_left_equals_right(table, rng):
    typical, names = typical_kinetics(table["name"]), families(table)
    drawn = np.array([person_kinetics(typical, names, 15.0, rng).vt for _ in range(1500)])
    cov = drawn[:, :-2].std(axis=0) / drawn[:, :-2].mean(axis=0)
    np.testing.assert_allclose(cov, 0.15, atol=0.012)
    np.testing.assert_allclose(drawn.mean(axis=0), typical.vt, rtol=0.02)
    rows = {name: i for i, name in enumerate(table["name"])}
    for region in ("Putamen", "Thalamus", "Cerebellum"):
        np.testing.assert_array_equal(drawn[:, rows[f"{region}_L"]], drawn[:, rows[f"{region}_R"]])
    left = drawn[:, rows["7Networks_LH_Default_pCunPCC_1"]]
    np.testing.assert_array_equal(left, drawn[:, rows["7Networks_RH_Default_pCunPCC_3"]])


def test_only_planted_regions_change_and_influx_stays(table, rng):
    own = person_kinetics(typical_kinetics(table["name"]), families(table), 15.0, rng)
    person = draw_people(1, Effects(), Design(), seed=1)[0]
    after = changed_kinetics(own, Effects(), person, table["name"])
    planted = np.append(table["name"].str.contains("pCunPCC"), [False] * 3)
    assert planted.sum() == 7
    percent = 100 * (after.vt[planted] / own.vt[planted] - 1)
    np.testing.assert_allclose(percent, 8 * person.vt_scale)
    np.testing.assert_array_equal(after.vt[~planted], own.vt[~planted])
    np.testing.assert_array_equal(after.k1, own.k1)


def test_flow_can_change_everywhere(table, rng):
    own = person_kinetics(typical_kinetics(table["name"]), families(table), 15.0, rng)
    effects = Effects(k1_change_percent=10.0)
    person = draw_people(1, effects, Design(), seed=1)[0]
    after = changed_kinetics(own, effects, person, table["name"])
    np.testing.assert_allclose(after.k1, 1.1 * own.k1)
