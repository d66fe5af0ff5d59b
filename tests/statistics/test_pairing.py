from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.pairing import Paired, complete_cases, pair_outcomes, pair_sessions


def sessions() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("sub-02", "ses-b", "post", 0.2, 9.0),
            ("sub-01", "ses-a", "pre", 0.5, 30.0),
            ("sub-01", "ses-b", "post", 0.4, None),
            ("sub-02", "ses-a", "pre", 0.3, 28.0),
            ("sub-02", "ses-c", None, 9.9, 9.0),
            ("sub-03", "ses-a", "pre", 0.1, 20.0),
            ("sub-04", "ses-b", "post", 0.1, 20.0),
        ],
        columns=["participant_id", "session_id", "role", "segregation", "madrs"],
    )


def regions() -> pd.DataFrame:
    rows = [
        (person, session, name, network, offset + value)
        for person, offset in (("sub-01", 0.0), ("sub-02", 10.0), ("sub-03", 20.0))
        for session, value in (("ses-a", 1.0), ("ses-b", 2.0), ("ses-c", 7.0))
        for name, network in (("L_PCC", "Default"), ("R_PCC", "Default"), ("V1", "Vis"))
    ]
    table = pd.DataFrame(
        rows, columns=["participant_id", "session_id", "region", "network", "suvr"]
    )
    table.loc[table["region"] == "R_PCC", "suvr"] += 0.5
    return table


def test_pairs_by_role_and_names_who_is_left_out() -> None:
    paired, notes = pair_sessions(sessions())
    assert sorted(paired["participant_id"].unique()) == ["sub-01", "sub-02"]
    assert notes == [
        "Left out because they have no pre session: sub-04.",
        "Left out because they have no post session: sub-03.",
    ]


def test_outcomes_are_regions_rois_and_metrics() -> None:
    paired = pair_outcomes(
        regions(), sessions(), rois={"PCC": ["L_PCC", "R_PCC"]}, metrics=["segregation", "madrs"]
    )
    assert paired.pre.loc["sub-01", "suvr:PCC"] == 1.25
    assert paired.post.loc["sub-02", "suvr:PCC"] == 12.25
    assert paired.post.loc["sub-02", "suvr:V1"] == 12.0
    assert paired.pre["segregation"].to_dict() == {"sub-01": 0.5, "sub-02": 0.3}
    assert np.isnan(paired.post.loc["sub-01", "madrs"])
    assert paired.names("roi") == ["suvr:PCC"]
    assert paired.names("region", "suvr") == ["suvr:L_PCC", "suvr:R_PCC", "suvr:V1"]
    assert paired.outcomes.loc["suvr:V1", "network"] == "Vis"


def test_roi_is_missing_when_one_of_its_regions_is() -> None:
    table = regions()
    table.loc[1, "suvr"] = None
    paired = pair_outcomes(table, sessions(), rois={"PCC": ["L_PCC", "R_PCC"]})
    assert np.isnan(paired.pre.loc["sub-01", "suvr:PCC"])
    assert paired.post.notna().all().all()


def test_works_without_regions() -> None:
    paired = pair_outcomes(None, sessions(), metrics=["segregation"])
    assert list(paired.pre) == ["segregation"]


def test_region_of_one_person_only_is_missing_in_the_others() -> None:
    table = regions()
    table = table[~((table["region"] == "V1") & (table["participant_id"] == "sub-01"))]
    paired = pair_outcomes(table, sessions())
    assert np.isnan(paired.pre.loc["sub-01", "suvr:V1"])
    assert paired.pre.loc["sub-02", "suvr:V1"] == 11.0


def test_refuses_ambiguous_or_wrong_tables() -> None:
    twice = pd.concat([sessions(), sessions().iloc[[1]].assign(session_id="ses-z")])
    with pytest.raises(StatisticsError, match="sub-01: found several pre sessions"):
        pair_sessions(twice)
    with pytest.raises(StatisticsError, match="nobody with both"):
        pair_sessions(sessions().query("role == 'pre'"))
    with pytest.raises(StatisticsError, match="several rows"):
        pair_outcomes(pd.concat([regions(), regions().iloc[[0]]]), sessions())
    with pytest.raises(StatisticsError, match="Did you mean 'segregation'"):
        pair_outcomes(regions(), sessions(), metrics=["segregaton"])
    with pytest.raises(StatisticsError, match="Did you mean 'L_PCC'"):
        pair_outcomes(regions(), sessions(), rois={"PCC": ["L_PC"]})
    with pytest.raises(StatisticsError, match="name of a region"):
        pair_outcomes(regions(), sessions(), rois={"V1": ["L_PCC"]})
    with pytest.raises(StatisticsError, match="'many'; expected a number"):
        pair_outcomes(regions(), sessions().replace(0.5, "many"), metrics=["segregation"])
    with pytest.raises(StatisticsError, match="no outcome"):
        pair_outcomes(None, sessions())
    with pytest.raises(StatisticsError, match="rows of the pre sessions only"):
        pair_outcomes(regions().query("session_id == 'ses-a'"), sessions())


def test_infinite_values_are_refused() -> None:
    with pytest.raises(StatisticsError, match="inf"):
        pair_outcomes(None, sessions().replace(0.5, np.inf), metrics=["segregation"])


def test_complete_cases_share_one_n() -> None:
    nan = float("nan")
    pre = pd.DataFrame(
        {"a": [1.0, 2, 3, nan], "b": [1.0, 2, nan, nan], "c": [1.0, 2, 3, 4], "d": [nan] * 4},
        index=["sub-1", "sub-2", "sub-3", "sub-4"],
    )
    case = complete_cases(Paired(pre, pre + 1, pd.DataFrame(), pd.DataFrame(), ()), list("abcd"))
    assert case.persons == ["sub-1", "sub-2", "sub-3"]  # sub-4 has one of the three measured
    assert case.outcomes == ["a", "c"]
    assert (case.lost_persons, case.lost_outcomes) == (["sub-4"], ["b", "d"])
    np.testing.assert_array_equal(case.post, [[2, 2], [3, 3], [4, 4]])


def test_complete_cases_of_nothing() -> None:
    pre = pd.DataFrame({"a": [np.nan, np.nan]}, index=["sub-1", "sub-2"])
    case = complete_cases(Paired(pre, pre, pd.DataFrame(), pd.DataFrame(), ()), ["a"])
    assert (case.persons, case.outcomes, case.lost_outcomes) == ([], [], ["a"])
