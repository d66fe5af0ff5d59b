"""Planted beside recovered, on a truth small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.simulation.recovery import recovered_effects, unplanted_changes
from petfmri.study.files import write_json, write_table

RISE = [2.0, 4.0, 6.0]  # % of blurred SUVR
LOSS = [-0.1, -0.2, -0.3]  # of segregation
FALL = [-5.0, -10.0, -15.0]  # of the score


@pytest.fixture
def truth(tmp_path):
    people = [
        {
            "participant_id": f"sub-{number}",
            "suvr_blurred_percent": rise,
            "segregation_ses-pre": 0.8,
            "segregation_ses-post": 0.8 + loss,
            "madrs": [30.0, 30.0 + fall],
        }
        for number, (rise, loss, fall) in enumerate(zip(RISE, LOSS, FALL))
    ]
    planted = {
        "people": people,
        "design": {"sessions": ["pre", "post"]},
        "planted_mean_percent": {"vt": 8.0, "suvr_blurred": 4.0},
        "planted_regions": ["A"],
    }
    write_json(planted, tmp_path / "planted.json")
    rows = [
        {
            "participant_id": f"sub-{n}",
            "session_id": f"ses-{label}",
            "region": region,
            "suvr_blurred": v,
        }
        for n in range(3)
        for region, pair in {"A": (2, 2.08), "B": (2, 2.02), "C": (2, 2)}.items()
        for label, v in zip(("pre", "post"), pair)
    ]
    write_table(pd.DataFrame(rows), tmp_path / "regions.tsv")
    return tmp_path


def found(rise, loss, fall):
    rows = [
        {"participant_id": f"sub-{person}", "outcome": outcome, "change": change, "percent": change}
        for outcome, values in (("suvr:PCC", rise), ("segregation", loss), ("madrs", fall))
        for person, change in enumerate(values)
    ]
    changes = pd.DataFrame(rows)
    means = changes.groupby("outcome")[["change", "percent"]].mean().reset_index()
    return means, changes


def test_a_perfect_analysis_recovers_everything(truth):
    table = recovered_effects(truth, *found(RISE, LOSS, FALL), score="madrs")
    assert table["sign_recovered"].all()
    np.testing.assert_allclose(table["recovered"], table["visible"])
    np.testing.assert_allclose(table["planted"], [8, -0.2, -10, -1, -1, 1])


def test_a_wrong_direction_is_told(truth):
    table = recovered_effects(truth, *found(RISE[::-1], LOSS, FALL), score="madrs")
    assert table["sign_recovered"].tolist() == [True, True, True, False, False, True]
    table = recovered_effects(truth, *found([-x for x in RISE], LOSS, FALL), score="madrs")
    assert not table["sign_recovered"][0]


def test_a_missing_score_is_left_out_of_the_truth(truth):
    table = recovered_effects(truth, *found(RISE, LOSS, [np.nan, *FALL[1:]]), score="madrs")
    assert table["recovered"].iloc[2] == pytest.approx(-12.5)


def test_only_unplanted_single_regions_count_as_unplanted(truth):
    comparisons = pd.DataFrame(
        {
            "measure": ["suvr", "suvr", "suvr", "suvr", "strength"],
            "region": ["A", "B", "C", "PCC", "B"],
            "percent": [4.0, 0.1, -0.2, 3.9, 9.0],
        }
    )
    table = unplanted_changes(truth, comparisons)
    assert table.index.tolist() == ["B", "C"]
    assert table["found"].tolist() == [0.1, -0.2]
    np.testing.assert_allclose(table["visible"], [1, 0], atol=1e-9)
