from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError, StatisticsError
from petfmri.statistics.baseline import errors_in_variables, oldham
from petfmri.statistics.covariates import change_covariates
from petfmri.statistics.families import Wanted
from petfmri.statistics.influence import leave_one_out, most_influential
from petfmri.statistics.mean_beside import mean_beside
from petfmri.statistics.prepost import compare
from petfmri.statistics.retest import Retest, beyond_retest, retest_columns


def sessions_of(n, rng, *, gain=0.0, motion=0.0):
    """NGSC rises by `gain`, and by `motion` for each mm that motion rose."""
    rows = []
    for i in range(n):
        level, moved = rng.normal(5, 0.5), rng.normal(0.1, 0.05)
        for role in ("pre", "post"):
            after = role == "post"
            rows.append(
                {
                    "participant_id": f"sub-{i:02d}",
                    "session_id": f"ses-{role}",
                    "role": role,
                    "mean_fd": 0.2 + moved * after,
                    "age": 20.0 + i,
                    "sex": "MF"[i % 2],
                    "days_since_dose": float(i % 4) if after else None,
                    "ngsc": level + after * (gain + motion * moved) + rng.normal(0, 0.02),
                }
            )
    return pd.DataFrame(rows)


def compared(sessions, **settings):
    return compare(None, sessions, Wanted("ngsc", (), ["ngsc"]), permutations=500, **settings)


# ------------------------------------------------------------------------------- covariates


def test_what_differs_between_sessions_enters_as_its_change(rng):
    found = change_covariates(["mean_fd", "age", "sex", "days_since_dose"], sessions_of(6, rng))
    assert found.centred == ("age", "sex", "days_since_dose")
    values, kept, _ = found.of(found.values.index)
    assert kept.all() and values["age"].mean() == pytest.approx(0)
    assert found.values["mean_fd"].mean() == pytest.approx(0.1, abs=0.05)
    assert sorted(values["sex"].unique()) == [-0.5, 0.5]
    assert values["days_since_dose"].mean() == pytest.approx(0)


def test_motion_that_explains_the_change_is_adjusted_away(rng):
    plain = compared(sessions_of(40, rng, motion=2.0), covariates=["mean_fd"])
    assert plain.comparisons["p"].iloc[0] < 0.01
    assert plain.adjusted["p"].iloc[0] > 0.05
    assert plain.adjusted["change"].iloc[0] == pytest.approx(0, abs=0.03)
    real = compared(sessions_of(40, rng, gain=0.3, motion=2.0), covariates=["mean_fd"])
    assert real.adjusted["change"].iloc[0] == pytest.approx(0.3, abs=0.03)
    assert real.adjusted["p"].iloc[0] < 0.01


def test_a_regional_covariate_adjusts_its_own_region(rng):
    sessions, rows = sessions_of(12, rng), []
    for person in sessions["participant_id"].unique():
        flow = rng.normal(0.2, 0.1, 3)
        for role in ("pre", "post"):
            for k in range(3):
                after = role == "post"
                rows.append(
                    (person, f"ses-{role}", f"R{k}", 2 + after * 0.5 * flow[k] + rng.normal(0, 0.01),
                     1 + after * flow[k])
                )  # fmt: skip
    regions = pd.DataFrame(rows, columns=["participant_id", "session_id", "region", "suvr", "r1"])
    found = compare(regions, sessions, Wanted("suvr:R0"), covariates=["r1"])
    table = found.adjusted.set_index("outcome")
    assert found.comparisons.set_index("outcome").loc["suvr:R1", "change"] > 0.05
    assert abs(table.loc["suvr:R1", "change"]) < 0.05
    assert table.loc["suvr:R1", "covariates"] == "r1"
    assert set(found.comparisons["measure"]) == {"suvr"}  # a covariate is no outcome


def test_wrong_covariates_are_told_at_once(rng):
    sessions = sessions_of(6, rng).assign(name=[*"abcdefghijkl"])
    with pytest.raises(DatasetError) as error:
        change_covariates(["agee", "name"], sessions)
    assert "Did you mean 'age'" in str(error.value) and "or two groups" in str(error.value)


def test_groups_are_coded_alike_in_both_sessions(rng):
    sessions = sessions_of(6, rng)
    sessions["drug"] = ["A", "B", "A", "B", "B", "B", "B", "B", "A", "B", "B", "B"]
    found = change_covariates(["drug"], sessions).values["drug"]
    assert found.tolist() == [1, 1, 0, 0, 1, 0]


def test_rows_names_are_no_covariates(rng):
    with pytest.raises(DatasetError, match="no such covariate"):
        change_covariates(["participant_id"], sessions_of(6, rng))


def test_few_persons_beside_many_covariates_pass_no_more_often(rng):
    p = np.array(
        [mean_beside(rng.normal(size=(11, 1)), rng.normal(size=(11, 4))).p[0] for _ in range(1000)]
    )
    assert np.mean(p <= 0.05) == pytest.approx(0.045, abs=0.02)
    assert mean_beside(rng.normal(size=(11, 1)), rng.normal(size=(11, 6))).arrangements == 32


def test_the_mean_beside_covariates_is_the_intercept_of_the_regression(rng):
    y, z = rng.normal(size=(12, 3)) + 1, rng.normal(size=(12, 2))
    design = np.column_stack([np.ones(12), z])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    rest = y - design @ beta
    se = np.sqrt((rest**2).sum(axis=0) / 9 * np.linalg.inv(design.T @ design)[0, 0])
    found = mean_beside(y, z)
    np.testing.assert_allclose(found.estimate, beta[0])
    np.testing.assert_allclose(found.t, beta[0] / se)
    assert found.df == 9


# -------------------------------------------------------------------------- test-retest noise


def test_a_mean_within_the_drift_of_rescanning_does_not_exceed_it():
    noise = Retest(-2.0, 8.0, 16, "")
    changes = np.column_stack([np.full(16, -7.9), np.full(16, -8.2)])
    exceeds, beyond = beyond_retest(changes, noise)  # limit 2.131 * 8 * sqrt(2/16) = 6.03
    assert exceeds.tolist() == [False, True] and beyond.tolist() == [0, 0]


def test_rescanned_persons_rarely_exceed_their_own_noise(rng):
    exceeding = []
    for _ in range(1000):
        reference = rng.normal(1, 8, 17)
        noise = Retest(reference.mean(), reference.std(ddof=1), 17, "")
        exceeding.append(beyond_retest(rng.normal(1, 8, (11, 1)), noise)[0][0])
    assert np.mean(exceeding) == pytest.approx(0.05, abs=0.02)


def test_noise_is_that_of_the_outcome_then_of_its_measure_then_published():
    own = {"suvr:PCC": Retest(0, 1.0, 10, ""), "suvr": Retest(0, 2.0, 10, ""),
           "ngsc": Retest(0, 0.1, 10, "", percent=False)}  # fmt: skip
    pre, post = np.full((3, 4), 2.0), np.full((3, 4), 2.5)
    table = retest_columns(["suvr:PCC", "suvr:R1", "ngsc", "vt:PCC"], pre, post, own, "UCBJ")
    assert table["noise_sd"].tolist() == [1.0, 2.0, 0.1, 8.5]
    assert table["noise_unit"].tolist() == ["%", "%", "of the measure", "%"]
    assert table["exceeds_noise"].all()
    none = retest_columns(["suvr:PCC"], pre[:, :1], post[:, :1], {}, "UCBJ")
    assert none["exceeds_noise"].isna().all()


# ------------------------------------------------------------------------------- influence


def test_a_change_that_hangs_on_one_person_is_seen():
    pre = np.zeros((8, 1))
    post = np.array([[0.1], [-0.1], [0.2], [-0.2], [0.15], [-0.12], [0.05], [9.0]])
    worst = most_influential(leave_one_out(pre, post, list("abcdefgh"), ["x"]))
    assert worst.loc["x", "change_loo_low"] == pytest.approx(post[:7].mean())
    assert worst.loc["x", "p_loo"] > 0.5


def test_influence_is_the_comparison_without_the_person(rng):
    sessions = sessions_of(8, rng, gain=0.02)
    full = compared(sessions)
    fewer = compared(sessions[sessions["participant_id"] != "sub-03"])
    row = full.influence.query("left_out == 'sub-03'").iloc[0]
    assert row["p"] == fewer.comparisons["p"].iloc[0]
    assert row["change"] == pytest.approx(fewer.comparisons["change"].iloc[0])


# ---------------------------------------------------------------------- baseline dependence


def test_oldham_by_hand():
    pre, post = np.array([[1.0], [2], [4], [5]]), np.array([[2.0], [2], [5], [4]])
    change, average = post - pre, (pre + post) / 2
    expected = np.corrcoef(change[:, 0], average[:, 0])[0, 1]
    assert oldham(pre, post).estimate[0] == pytest.approx(expected)


def test_oldham_finds_a_spread_that_shrank(rng):
    true = rng.normal(10, 2, (60, 1))
    pre = true + rng.normal(0, 0.5, (60, 1))
    post = 10 + 0.5 * (true - 10) + rng.normal(0, 0.5, (60, 1))
    found = oldham(pre, post, permutations=1000)
    assert found.p[0] < 0.01 and found.high[0] < 0


def test_errors_in_variables_recover_the_true_slope(rng):
    true = rng.normal(0, np.sqrt(0.6), (4000, 1))
    pre = true + rng.normal(0, np.sqrt(0.4), true.shape)
    post = 0.7 * true + rng.normal(0, 0.3, true.shape)
    found = errors_in_variables(pre, post, 0.6)
    assert found.estimate[0] == pytest.approx(-0.3, abs=0.05)
    assert found.low[0] < -0.3 < found.high[0] and found.p[0] < 0.001


def test_noise_alone_is_no_dependence(rng):
    true = rng.normal(0, np.sqrt(0.6), (24, 600))
    pre, post = (true + rng.normal(0, np.sqrt(0.4), true.shape) for _ in range(2))
    assert np.mean(oldham(pre, post, permutations=400).p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(errors_in_variables(pre, post, 0.6).p <= 0.05) == pytest.approx(0.05, abs=0.03)
    change = post - pre
    naive = [np.corrcoef(change[:, j], pre[:, j])[0, 1] for j in range(600)]
    assert np.mean(np.abs(naive) > 0.404) > 0.3


def test_an_impossible_reliability_is_refused():
    with pytest.raises(StatisticsError, match="above 0 and at most 1"):
        errors_in_variables(np.eye(5), np.eye(5) + 1, 1.5)
