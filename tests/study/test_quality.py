"""The quality table of a participant."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.study.files import write_json, write_table
from petfmri.study.layout import Names
from petfmri.study.quality import QUALITY_COLUMNS, SCORES, Score, quality_table


@pytest.fixture
def names(tmp_path):
    return Names(tmp_path, "sub-01", "Mine", "UCBJ", "semiovale", "rest")


def delivered(path, **columns):
    write_table(pd.DataFrame(columns), path)


def test_a_score_outside_its_limits_says_by_which():
    score = Score("brain", "mL", 900, 2000)
    assert [score.flag(value) for value in (899, 900, 2000, 2001)] == [
        "below 900", "", "", "above 2000",
    ]  # fmt: skip


def test_every_step_has_its_rows(names):
    delivered(names.anat("metrics", ".tsv", desc="quality"), brain_ml=[2500.0], cjv=[0.4])
    delivered(names.pet("ses-pre", "metrics", ".tsv", desc="quality"), edge_agreement=[0.8])
    delivered(
        names.pet("ses-pre", "timeseries", ".tsv", desc="confounds"),
        framewise_displacement=[0.0, 0.2, 0.4],
        alignment=["borrowed", "aligned", "aligned"],
    )
    delivered(
        names.func("ses-pre", "timeseries", ".tsv", run="2", desc="confounds"),
        framewise_displacement=[0.0, 0.3, 0.9],
        std_dvars=[np.nan, 5.0, 1.5],
        non_steady_state_outlier00=[1.0, 0, 0],
    )
    delivered(names.anat("metrics", ".tsv", desc="midway"), t1w_agreement=[0.8])
    xfm = names.pet("ses-pre", "xfm", ".json", from_="T1w", to="petref", mode="image")
    write_json({"RegistrationDisplacement_mm": 4.0}, xfm)
    table = quality_table(names, {"ses-pre": ["1", "2"]})
    assert list(table) == list(QUALITY_COLUMNS)
    found = table.set_index(["image", "score"])
    assert found.loc[("T1w", "brain_ml"), "flag"] == "above 2000"
    assert found.loc[("T1w", "cjv"), "flag"] == ""
    assert found.loc[("pet", "frames_borrowed"), "value"] == 1
    assert found.loc[("pet", "frames_borrowed"), "flag"] == ""
    assert found.loc[("pet", "frames_borrowed_share"), "flag"] == "above 0.2"
    assert found.loc[("pet", "fd_mean"), "value"] == pytest.approx(0.2)
    assert found.loc[("bold", "dvars_std_mean"), "value"] == 1.5  # after the dummy
    assert found.loc[("bold", "fd_max"), "run"] == "2"
    assert found.loc[("pet", "identity_mm"), "flag"] == "above 2"
    assert found.loc[("T1w", "t1w_agreement"), "flag"] == "below 0.85"
    assert set(table["score"]) <= set(SCORES)


def test_nothing_delivered_gives_no_rows(names):
    assert quality_table(names, {"ses-pre": [None]}).empty
