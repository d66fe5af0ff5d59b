from __future__ import annotations

import pandas as pd
import pytest

from petfmri.study.files import write_json, write_table
from petfmri.study.group import REGION_COLUMNS, region_rows, session_row
from petfmri.study.layout import Names

REGIONS = ["LH_Vis_1", "RH_Default_1", "thalamus_L"]
ATLAS = pd.DataFrame(
    {
        "index": [1, 2, 3],
        "name": REGIONS,
        "network": ["Vis", "Default", "Subcortex"],
        "hemisphere": ["L", "R", "L"],
        "structure": ["cortex", "cortex", "subcortex"],
    }
)


@pytest.fixture
def names(tmp_path):
    return Names(tmp_path, "sub-01", "Mine", "UCBJ", "semiovale", "rest")


def delivered(path, **columns):
    write_table(pd.DataFrame(columns), path)


def deliver_pet(names, session="ses-pre"):
    seg = names.seg
    # In another order than the atlas, and without the thalamus, which lay outside.
    delivered(
        names.suvr(session, "kinpar", ".tsv", seg=seg),
        name=REGIONS[1::-1],
        volume_mm3=[200.0, 100.0],
        suvr=[2.2, 1.1],
        coverage=[1.0, 0.9],
    )
    write_json({"volume_ml": 21.5}, names.suvr(session, "uptake", ".json", desc="ref"))
    delivered(
        names.pet(session, "timeseries", ".tsv", desc="confounds"),
        framewise_displacement=[None, 0.2, 0.4],
    )


def deliver_bold(names, session="ses-pre"):
    seg = names.seg
    for run, seen in (("1", [1.0, 0.5, 0.8]), ("2", [0.6, 0.7, 0.8])):
        path = names.func(session, "coverage", ".tsv", run=run, seg=seg)
        delivered(path, name=REGIONS, coverage=seen)
    strength = names.func(session, "metrics", ".tsv", seg=seg, desc="nodal")
    delivered(strength, name=REGIONS[::-1], strength=[0.3, 0.2, 0.1])
    delivered(names.func(session, "metrics", ".tsv", desc="network"), segregation=[0.4])
    delivered(
        names.func(session, "metrics", ".tsv", desc="denoising"), mean_fd=[0.15], frames_kept=[90]
    )


def rows_of(names, session="ses-pre", runs=("1", "2")):
    rows = region_rows(names, session, ATLAS, runs=runs)
    assert list(rows)[: len(REGION_COLUMNS)] == list(REGION_COLUMNS)
    assert rows["region"].tolist() == REGIONS
    assert (rows["participant_id"] == "sub-01").all() and (rows["session_id"] == session).all()
    return rows.set_index("region")


def test_values_find_their_region_by_name(names):
    deliver_pet(names)
    deliver_bold(names)
    rows = rows_of(names)
    assert rows["network"].tolist() == ["Vis", "Default", "Subcortex"]
    assert rows["suvr"].tolist()[:2] == [1.1, 2.2]
    assert rows["volume_mm3"].tolist()[:2] == [100, 200]
    assert rows["pet_coverage"].tolist()[:2] == [0.9, 1.0]
    assert rows["strength"].tolist() == [0.1, 0.2, 0.3]


def test_a_region_that_was_not_measured_is_missing(names):
    deliver_pet(names)
    thalamus = rows_of(names).loc["thalamus_L"]
    assert thalamus[["suvr", "volume_mm3", "pet_coverage"]].isna().all()


def test_the_join_has_its_own_column(names):
    deliver_pet(names)
    joined = names.suvr("ses-pre", "kinpar", ".tsv", space="boldref", seg=names.seg)
    delivered(joined, name=REGIONS, suvr_boldref=[1.2, 2.3, 3.4])
    rows = rows_of(names)
    assert rows["suvr_boldref"].tolist() == [1.2, 2.3, 3.4]
    assert rows["suvr"].tolist()[:2] == [1.1, 2.2]


def test_coverage_is_that_of_the_run_that_saw_least(names):
    deliver_bold(names)
    assert rows_of(names)["bold_coverage"].tolist() == [0.6, 0.5, 0.8]
    assert rows_of(names, runs=("1",))["bold_coverage"].tolist() == [1.0, 0.5, 0.8]


@pytest.mark.parametrize(
    ("deliver", "there", "missing"),
    [
        (deliver_pet, ["suvr", "pet_coverage"], ["suvr_boldref", "bold_coverage"]),
        (deliver_bold, ["strength", "bold_coverage"], ["suvr", "suvr_boldref", "volume_mm3"]),
    ],
)
def test_a_missing_modality_leaves_the_other(names, deliver, there, missing):
    deliver(names)
    rows = rows_of(names)
    assert rows[there].iloc[:2].notna().all(axis=None)
    assert rows[missing].isna().all(axis=None)


def test_another_sessions_results_do_not_leak(names):
    deliver_pet(names, "ses-pre")
    deliver_bold(names, "ses-pre")
    measured = rows_of(names, "ses-post").drop(columns=["participant_id", "session_id"])
    assert measured.drop(columns=["network", "hemisphere", "structure"]).isna().all(axis=None)
    assert session_row(names, "ses-post") == {"participant_id": "sub-01", "session_id": "ses-post"}


def test_sessions_with_and_without_a_modality_join_into_one_table(names):
    deliver_pet(names, "ses-pre")
    deliver_bold(names, "ses-post")
    both = pd.concat([rows_of(names, "ses-pre"), rows_of(names, "ses-post")])
    assert both["suvr"].notna().sum() == 2 and both["strength"].notna().sum() == 3


def test_measures_without_a_region_stand_in_one_row(names):
    deliver_pet(names)
    deliver_bold(names)
    row = session_row(names, "ses-pre")
    assert row["reference_ml"] == 21.5
    assert row["pet_fd"] == pytest.approx(0.3)  # the first frame has none
    assert (row["segregation"], row["mean_fd"], row["frames_kept"]) == (0.4, 0.15, 90)


def test_one_modality_gives_its_own_measures_only(names):
    deliver_bold(names)
    assert set(session_row(names, "ses-pre")) == {
        "participant_id",
        "session_id",
        "segregation",
        "mean_fd",
        "frames_kept",
    }
