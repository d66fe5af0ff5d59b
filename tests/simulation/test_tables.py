from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.networks.registry import NODAL
from petfmri.simulation.effects import Arm, Design, Effects
from petfmri.simulation.tables import TableNoise, simulate_tables
from petfmri.study.group import REGION_COLUMNS

QUICK = TableNoise(n_frames=120)


def changes(regions: pd.DataFrame, sessions: pd.DataFrame) -> pd.DataFrame:
    """Per person: percent change of PCC and of the rest, changes of segregation and symptoms."""
    pcc = regions["region"].str.contains("pCunPCC")
    table = pd.DataFrame(
        {
            "pcc": regions[pcc].groupby(["participant_id", "session_id"])["suvr"].mean(),
            "rest": regions[~pcc].groupby(["participant_id", "session_id"])["suvr"].mean(),
        }
    ).join(sessions.set_index(["participant_id", "session_id"])[["segregation", "madrs"]])
    post, pre = (table.xs(f"ses-{label}", level="session_id") for label in ("post", "pre"))
    percent = 100 * (post[["pcc", "rest"]] / pre[["pcc", "rest"]] - 1)
    return percent.join((post - pre)[["segregation", "madrs"]])


def test_planted_effects_are_there():
    found = changes(*simulate_tables(12, seed=5, noise=QUICK))
    # 8 % of V_T appear as 4.8 % of SUVR; the noise of the reference region is common to both.
    assert (found["pcc"] - found["rest"]).mean() == pytest.approx(4.8, abs=1.0)
    assert found["rest"].mean() == pytest.approx(0, abs=2.0)
    assert found["segregation"].mean() == pytest.approx(-0.11, abs=0.03)
    assert found["madrs"].mean() == pytest.approx(-12, abs=1.5)


@pytest.mark.parametrize("seed", range(3))
def test_twelve_people_show_the_sign_of_every_planted_link(seed):
    found = changes(*simulate_tables(12, seed=seed, noise=QUICK))
    r = found.drop(columns="rest").corr()
    assert r.loc["pcc", "segregation"] < -0.3
    assert r.loc["pcc", "madrs"] < -0.3
    assert r.loc["segregation", "madrs"] > 0.3


def test_nothing_planted_nothing_found():
    found = changes(*simulate_tables(12, Effects.none(), seed=8, noise=QUICK))
    error = found.std(ddof=1) / np.sqrt(found.count())
    assert (found.drop(columns="madrs").mean().abs() < 3.5 * error.drop("madrs")).all()
    assert (found["madrs"].dropna() == 0).all()


def test_columns_are_those_of_the_group_tables():
    regions, sessions = simulate_tables(2, seed=1, noise=QUICK)
    assert list(regions.columns) == [*REGION_COLUMNS, *(metric.name for metric in NODAL)]
    expected = {"participant_id", "session_id", "role", "arm", "dose", "days_since_dose", "age",
                "sex", "suvr_grey", "segregation", "within_fc", "between_fc", "within_fc_Default",
                "between_fc_Default_SomMot", "ngsc", "mean_fd", "frames_kept", "frames_total",
                "df_effective", "madrs"}  # fmt: skip
    assert expected <= set(sessions.columns)
    assert sessions["role"].tolist() == ["pre", "post"] * 2
    assert regions.notna().all(axis=None)


def test_more_people_do_not_change_the_earlier_ones():
    few, many = (simulate_tables(n, seed=3, noise=QUICK) for n in (1, 2))
    for small, large in zip(few, many, strict=True):
        pd.testing.assert_frame_equal(small, large.iloc[: len(small)])


def test_arms_differ_in_the_planted_effect():
    design = Design(arms=(Arm("ketamine", 0.5), Arm("placebo", 0.0)))
    regions, sessions = simulate_tables(12, seed=2, design=design, noise=QUICK)
    found = changes(regions, sessions)
    arm = sessions.drop_duplicates("participant_id").set_index("participant_id")["arm"]
    means = found.groupby(arm)["pcc"].mean()
    assert means["ketamine"] - means["placebo"] > 2
