from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError, InputError, StatisticsError
from petfmri.statistics.arms import compare_arms
from petfmri.statistics.families import Wanted
from petfmri.statistics.groups import group_g, group_rows

WANTED = Wanted("ngsc", measures=(), networks=("ngsc", "segregation", "strength"))


def study(rng, n=20, effect=2.0, baseline=0.0, site=False):
    """Half the persons get ketamine; segregation falls by `effect` SD of the changes in them."""
    rows = []
    for i in range(n):
        active = i % 2 == 0
        level = rng.normal(0, 2, 3) + baseline * active
        for role in ("pre", "post"):
            change = rng.normal(0, 1, 3) * (role == "post")
            change[1] -= effect * active * (role == "post")
            values = dict(zip(("ngsc", "segregation", "strength"), level + change))
            rows.append(
                {
                    "participant_id": f"sub-{i:02d}",
                    "session_id": f"ses-{role}",
                    "role": role,
                    "arm": "ketamine" if active else "placebo",
                    "mean_fd": rng.uniform(0.1, 0.3),
                    "age": 30.0 + i,
                    "site": f"{i // 10}",
                    **values,
                }
            )
    return pd.DataFrame(rows)


def compare(sessions, **settings):
    settings = {"active": "ketamine", "control": "placebo", "permutations": 500} | settings
    return compare_arms(None, sessions, settings.pop("wanted", WANTED), **settings)


def test_the_difference_is_that_of_the_mean_changes(rng):
    sessions = study(rng)
    result = compare(sessions)
    wide = sessions.pivot_table(index="participant_id", columns="role", values="segregation")
    change = wide["post"] - wide["pre"]
    active = (
        sessions.drop_duplicates("participant_id").set_index("participant_id")["arm"] == "ketamine"
    )
    row = result.comparisons.set_index("outcome").loc["segregation"]
    assert row["difference"] == pytest.approx(change[active].mean() - change[~active].mean())
    assert (row["n_active"], row["n_control"]) == (10, 10)
    assert row["arrangements"] == 500


def test_group_p_by_hand():
    values = np.array([[1.0], [2], [3], [10], [11], [12]])
    active = np.array([False] * 3 + [True] * 3)
    (row,) = group_rows(values, active, ["x"], alone=True).to_dict("records")
    assert row["p"] == row["p_smallest"] == 2 / 20
    assert row["difference"] == pytest.approx(9)
    assert row["t"] == pytest.approx(9 / np.sqrt(1 * 2 / 3))
    assert np.isnan(row["p_fwe"])


def test_g_interval_covers(rng):
    inside = 0
    for _ in range(400):
        active = np.arange(24) < 10
        values = rng.normal(size=(24, 1)) + 0.8 * active[:, None]
        _, low, high = group_g(values, active)
        inside += bool(low[0] <= 0.8 <= high[0])
    assert inside / 400 == pytest.approx(0.95, abs=0.03)


def test_a_planted_difference_is_found_and_only_it(rng):
    result = compare(study(rng, n=40, effect=2.0), permutations=2000)
    table = result.comparisons.set_index("outcome")
    assert table.loc["segregation", "difference"] == pytest.approx(-2, abs=0.9)
    assert table.loc["segregation", "p_fwe"] < 0.01
    assert table.loc["segregation", "p_fwe_adjusted"] < 0.01
    assert table.loc["strength", "p_fwe"] > 0.05
    assert (result.baseline["p"] > 0.01).all()


def test_adjusted_is_the_analysis_of_covariance(rng):
    sessions = study(rng)
    result = compare(sessions, covariates=["age", "mean_fd"])
    wide = sessions.pivot_table(
        index="participant_id", columns="role", values=["segregation", "mean_fd"]
    )
    people = sessions.drop_duplicates("participant_id").set_index("participant_id")
    design = np.column_stack(
        [
            people["arm"] == "ketamine",
            np.ones(20),
            wide["segregation"]["pre"],
            people["age"],
            wide["mean_fd"]["post"] - wide["mean_fd"]["pre"],
        ]
    ).astype(float)
    beta = np.linalg.lstsq(design, wide["segregation"]["post"].to_numpy(), rcond=None)[0]
    row = result.comparisons.set_index("outcome").loc["segregation"]
    assert row["difference_adjusted"] == pytest.approx(beta[0])
    assert row["adjusted_for"] == "baseline, age, mean_fd"


def test_patients_and_controls_at_baseline_without_a_second_session(rng):
    sessions = study(rng, baseline=4.0)
    sessions = sessions[(sessions["arm"] == "ketamine") | (sessions["role"] == "pre")]
    result = compare(sessions)
    assert result.comparisons.empty
    assert (result.baseline["n_control"] == 10).all()
    assert result.baseline.set_index("outcome").loc["ngsc", "difference"] == pytest.approx(4, abs=2)
    assert any("placebo: nobody has a session after" in note for note in result.notes)


def test_strata_are_kept(rng):
    result = compare(study(rng), strata="site")
    assert any("within site" in note for note in result.notes)


def test_wrong_arms_are_told(rng):
    sessions = study(rng)
    with pytest.raises(InputError, match="Did you mean 'placebo'"):
        compare(sessions, control="placebos")
    sessions.loc[sessions["session_id"] == "ses-post", "arm"] = "placebo"
    with pytest.raises(StatisticsError, match="crossover"):
        compare(sessions)
    with pytest.raises(StatisticsError, match="groups of"):
        compare(study(rng, n=4))


def test_a_shift_between_strata_is_no_difference_between_arms(rng):
    site = np.array([0] * 7 + [1] * 7)
    active = np.array([1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0]) > 0
    rows = group_rows(
        rng.normal(size=(14, 400)) + 3 * site[:, None],
        active,
        [f"x{j}" for j in range(400)],
        alone=False,
        strata=site.tolist(),
    )
    assert rows["difference"].mean() == pytest.approx(0, abs=0.15)
    assert rows["g"].mean() == pytest.approx(0, abs=0.15)
    assert np.mean(rows["p"] <= 0.05) <= 0.08
    effect = group_rows(
        rng.normal(size=(14, 200)) + 3 * site[:, None] + 1.5 * active[:, None],
        active,
        [f"x{j}" for j in range(200)],
        alone=False,
        strata=site.tolist(),
    )
    assert np.mean(effect["p"] <= 0.05) > 0.5


def test_a_missing_stratum_is_told(rng):
    sessions = study(rng)
    sessions.loc[sessions["participant_id"] == "sub-03", "site"] = None
    with pytest.raises(InputError, match="nothing for sub-03"):
        compare(sessions, strata="site")


def test_groups_at_baseline_are_adjusted_and_unknown_covariates_told(rng):
    sessions = study(rng, baseline=4.0)
    sessions = sessions[(sessions["arm"] == "ketamine") | (sessions["role"] == "pre")]
    result = compare(sessions, covariates=["age"])
    row = result.baseline.set_index("outcome").loc["ngsc"]
    assert row["adjusted_for"] == "age"
    assert row["difference_adjusted"] == pytest.approx(row["difference"], abs=1.0)
    assert row["arrangements_adjusted"] == 500
    with pytest.raises(DatasetError, match="agee"):
        compare(sessions, covariates=["agee"])
