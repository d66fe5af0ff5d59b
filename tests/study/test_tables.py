from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.study.bids import read_cohort
from petfmri.study.files import read_table
from petfmri.study.tables import cohort_table, symptom_change, symptom_scores

ROLES = {"pre": "ses-pre", "post": "ses-post"}


def cohort_of(dataset):
    return read_cohort(dataset.root, sessions=dataset.sessions, symptoms="phenotype/madrs.tsv")


def test_one_row_per_person_and_session(dataset):
    table = cohort_table(
        cohort_of(dataset), dose="dose_mg_kg", arm="arm", days="days_since_dose", score="madrs"
    )
    assert table.columns.tolist() == [
        *("participant_id", "session_id", "role", "arm", "dose", "days_since_dose"),
        *("age", "sex", "madrs"),
    ]
    assert len(table) == 4
    assert table.iloc[1].tolist() == ["sub-01", "ses-post", "post", "ketamine", 0.5, 1, 30, "F", 12]
    assert np.isnan(table.loc[0, "days_since_dose"])


def test_a_score_or_table_row_without_scans_keeps_its_row(dataset):
    (dataset.root / "sub-01/ses-post").rename(dataset.root / "gone")
    table = cohort_table(cohort_of(dataset), arm="arm")
    assert table["session_id"].tolist() == ["ses-pre", "ses-post"] * 2
    (dataset.root / "sub-01/sub-01_sessions.tsv").unlink()
    assert len(cohort_table(cohort_of(dataset))) == 3
    scored = cohort_table(cohort_of(dataset), score="madrs")
    assert scored["madrs"].tolist() == [30, 12, 30, 12]


def test_columns_may_stand_in_participants_tsv(dataset):
    dataset.table("participants.tsv", "participant_id age gender arm", "sub-01 30 F placebo")
    dataset.table("sub-01/sub-01_sessions.tsv", "session_id dose", "ses-pre 0")
    table = cohort_table(cohort_of(dataset), arm="arm").set_index("participant_id")
    assert table.loc["sub-01", "arm"].tolist() == ["placebo", "placebo"]
    assert table.loc["sub-01", "sex"].tolist() == ["F", "F"]
    assert table.loc["sub-02", "age"].isna().all()


def changes(pre, post, **options):
    table = pd.DataFrame(
        {
            "participant_id": np.repeat([f"sub-{n}" for n in range(len(pre))], 2),
            "role": ["pre", "post"] * len(pre),
            "s": np.ravel([pre, post], order="F").astype(float),
        }
    )
    return symptom_change(table, "s", **options)


def test_response_and_remission_at_their_limits():
    change = changes([30, 30, 20, 21, 12, 0, np.nan, 30], [15, 16, 10, 10, 14, 5, 8, np.nan])
    assert change["response"].tolist() == [True, False, True, True, False, pd.NA, pd.NA, pd.NA]
    assert change["remission"].tolist() == [False, False, True, True, False, True, True, pd.NA]
    assert change["change"].tolist()[:3] == [-15, -14, -10]
    assert change["fall_percent"].iloc[4] == pytest.approx(-16.6667, abs=1e-3)


@pytest.mark.parametrize("pre", range(1, 61))
def test_a_fall_of_exactly_the_limit_is_a_response_whatever_the_rounding(pre):
    change = changes([pre], [pre - pre * 0.3], response_percent=30)
    assert change["response"].tolist() == [True]


def test_limits_are_parameters():
    change = changes([30], [21], response_percent=30, remission=21)
    assert change[["response", "remission"]].to_numpy().tolist() == [[True, True]]
    assert changes([30], [0], remission=None)["remission"].isna().all()


def test_scores_long_and_wide_agree():
    long = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-01", "sub-02", "sub-02"],
            "session_id": ["ses-pre", "ses-post"] * 2,
            "bdi": [20.0, 10.0, 15.0, np.nan],
        }
    )
    wide = pd.DataFrame(
        {
            "participant_id": ["sub-01", "sub-02"],
            "bdi_ses-pre": [20, 15],
            "bdi_ses-post": [10, None],
        }
    )
    keys = ["participant_id", "session_id"]
    first, second = (
        symptom_scores(table, "bdi", ROLES).set_index(keys)["bdi"].sort_index()
        for table in (long, wide)
    )
    assert first.to_dict() == second.to_dict()
    assert len(first) == 3


def test_infinite_and_text_scores_are_refused():
    for value in ("inf", "NaN", "severe"):
        table = pd.DataFrame({"participant_id": ["a"], "session_id": ["b"], "s": [value]})
        with pytest.raises(DatasetError, match=f"'{value}'; expected numbers"):
            symptom_scores(table, "s", ROLES)


def test_a_real_table_with_missing_scores(shared_data):
    """ds003007, whose scores stand in participants.tsv, one column per session."""
    table = read_table(shared_data / "clinical/ds003007/participants.tsv")
    scores = symptom_scores(table, "MADRS", ROLES)
    given = table[["MADRS_ses-pre", "MADRS_ses-post"]]
    assert len(scores) == given.notna().to_numpy().sum() > 10
    roles = {label: role for role, label in ROLES.items()}
    change = symptom_change(scores.assign(role=scores["session_id"].map(roles)), "MADRS")
    both = given.dropna()
    assert change["change"].notna().sum() == len(both)
    fall = 1 - both["MADRS_ses-post"] / both["MADRS_ses-pre"]
    assert change["response"].sum() == (fall >= 0.5).sum()
