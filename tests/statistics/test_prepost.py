from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import InputError, StatisticsError
from petfmri.statistics.families import Wanted
from petfmri.statistics.prepost import Comparison, compare

REGIONS = [f"R{i}" for i in range(12)]


def study(n: int = 10, seed: int = 5) -> tuple[pd.DataFrame, pd.DataFrame]:
    """PCC +8 %, segregation falls with it, symptoms fall with it; everything else is noise."""
    rng = np.random.default_rng(seed)
    regions, sessions = [], []
    for i in range(n):
        person, gain = f"sub-{i + 1:02d}", rng.normal(0.08, 0.03)
        level = rng.normal(2.0, 0.2)
        for role in ("pre", "post"):
            after = role == "post"
            suvr = level * (1 + rng.normal(0, 0.01, len(REGIONS)))
            suvr[:2] *= 1 + gain * after
            regions += [
                (person, f"ses-{role}", name, "Default" if k < 2 else "Vis", value)
                for k, (name, value) in enumerate(zip(REGIONS, suvr))
            ]
            sessions.append(
                {
                    "participant_id": person,
                    "session_id": f"ses-{role}",
                    "role": role,
                    "arm": "ketamine",
                    "days_since_dose": float(1 + i % 3) if after else None,
                    "suvr_grey": suvr.mean(),
                    "segregation": 0.5 - after * (0.02 + 1.5 * gain) + rng.normal(0, 0.004),
                    "ngsc": rng.normal(0, 1),
                    "mean_fd": rng.uniform(0.1, 0.3),
                    "madrs": 30 - after * 200 * gain + rng.normal(0, 0.5),
                }
            )
    columns = ["participant_id", "session_id", "region", "network", "suvr"]
    return pd.DataFrame(regions, columns=columns), pd.DataFrame(sessions)


def run(regions: pd.DataFrame | None, sessions: pd.DataFrame, **settings: object) -> Comparison:
    settings = {
        "primary": "suvr:PCC",
        "rois": {"PCC": ["R0", "R1"], "visual": ["R4", "R5"]},
        "networks": ["segregation", "ngsc"],
        "symptom": "madrs",
        "tracer": "UCBJ",
        "permutations": 500,
    } | settings
    names = [field.name for field in fields(Wanted)]
    wanted = Wanted(**{name: settings.pop(name) for name in names if name in settings})  # type: ignore[arg-type]
    return compare(regions, sessions, wanted, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result() -> Comparison:
    return run(*study())


def row(result: Comparison, outcome: str) -> pd.Series:
    (found,) = [r for _, r in result.comparisons.iterrows() if r["outcome"] == outcome]
    return found


def test_every_outcome_is_in_one_family(result: Comparison) -> None:
    families = result.comparisons.groupby("family", sort=False)["outcome"].agg(list)
    assert families["primary"] == ["suvr:PCC"]
    assert families["global"] == ["suvr_grey"]
    assert families["symptoms"] == ["madrs"]
    assert families["roi"] == ["suvr:visual"]
    assert families["regions"] == [f"suvr:{name}" for name in REGIONS]
    assert families["networks"] == ["segregation", "ngsc"]
    assert result.comparisons["outcome"].is_unique


def test_planted_changes_are_found(result: Comparison) -> None:
    primary = row(result, "suvr:PCC")
    assert primary["percent"] == pytest.approx(8, abs=2)
    assert primary["p"] == primary["p_smallest"] == 2 / 1024
    assert (primary["n"], primary["n_rise"], primary["arrangements"]) == (10, 10, 1024)
    regions = result.comparisons.query("family == 'regions'")
    assert regions.loc[regions["p_fwe"] < 0.05, "region"].tolist() == ["R0", "R1"]
    assert row(result, "segregation")["p_fwe"] < 0.05
    assert row(result, "ngsc")["p_fwe"] > 0.05
    assert row(result, "madrs")["change"] < -10


def test_corrected_only_where_there_is_a_family(result: Comparison) -> None:
    alone = result.comparisons["family"].isin(["primary", "global", "symptoms"])
    assert result.comparisons.loc[alone, "p_fwe"].isna().all()
    rest = result.comparisons[~alone]
    assert (rest["p_fwe"] >= rest["p"]).all()


def test_only_percentages_are_ever_missing(result: Comparison) -> None:
    families = ["p_fwe", "p_fdr"]
    noise = ["noise_sd", "n_beyond_noise"]  # of SUVR none is published
    numbers = result.comparisons.select_dtypes("number").drop(columns=families + noise)
    gaps = numbers.columns[numbers.isna().any()].tolist()
    assert gaps == ["percent", "detectable_percent"]
    assert np.isnan(row(result, "ngsc")["percent"])
    assert any("No percent change" in note and "ngsc" in note for note in result.notes)


def test_changes_add_up(result: Comparison) -> None:
    changes = result.changes[result.changes["outcome"] == "suvr:PCC"]
    np.testing.assert_allclose(changes["change"], changes["post"] - changes["pre"])
    np.testing.assert_allclose(changes["percent"], 100 * changes["change"] / changes["pre"])
    primary = row(result, "suvr:PCC")
    assert primary["percent"] == pytest.approx(changes["percent"].mean())
    assert primary["mean_pre"] == pytest.approx(changes["pre"].mean())
    sd = changes["percent"].std()
    assert primary["detectable_percent"] == pytest.approx(primary["detectable_g"] * sd)


def test_planted_couplings_are_found(result: Comparison) -> None:
    methods = result.couplings.groupby("method")
    assert {len(rows) for _, rows in methods} == {3 * 2 + 3 + 2}
    assert set(methods.groups) == {"pearson", "spearman", "repeated measures"}
    pairs = methods.get_group("pearson").set_index(["x", "y"])
    assert pairs.loc[("suvr:PCC", "segregation"), "r"] < -0.8
    assert pairs.loc[("suvr:PCC", "segregation"), "p_fwe"] < 0.05
    assert pairs.loc[("suvr:PCC", "madrs"), "r"] < -0.8
    assert pairs.loc[("segregation", "madrs"), "r"] > 0.8
    assert not set(pairs.index.get_level_values("x")) & {"suvr:R0"}
    assert len(pairs) == 3 * 2 + 3 + 2


def test_notes_say_what_a_reviewer_asks(result: Comparison) -> None:
    text = " ".join(result.notes)
    for said in (
        "10 persons have a pre and a post session",
        "no control arm",
        "Every number here is a change",
        "1 to 3 days after the dose",
        "suvr:PCC was declared before looking",
        "all 1,024 sign patterns of 10 persons",
        "smallest attainable two-sided p is 0.002",
        "n = 10 a mean change of 1.00 SD",
        "10 % change of blood flow",
        "8.5 %",
        "framewise displacement",
        "|r| of at least 0.63",
    ):
        assert said in text
    assert "drug effect" not in text
    assert "effect of" not in text


def test_missing_sessions_and_values_are_named() -> None:
    regions, sessions = study()
    sessions = sessions[~((sessions["participant_id"] == "sub-03") & (sessions["role"] == "post"))]
    regions.loc[(regions["region"] == "R7") & (regions["participant_id"] == "sub-05"), "suvr"] = (
        None
    )
    sessions.loc[sessions["participant_id"] == "sub-06", ["segregation", "ngsc"]] = None
    sessions.loc[sessions["participant_id"] == "sub-08", "madrs"] = None
    result = run(regions, sessions)
    n = result.comparisons.groupby("family")["n"].unique().map(list)
    assert (n["primary"], n["regions"], n["networks"], n["symptoms"]) == ([9], [9], [8], [8])
    assert "suvr:R7" not in set(result.comparisons["outcome"])
    for said in (
        "Left out because they have no post session: sub-03.",
        "Left out of regions (suvr) because not every person has a value in both sessions: suvr:R7.",
        "Left out of networks because fewer than half of it was measured in both sessions: sub-06.",
        "Left out of symptoms because it was not measured in both sessions: sub-08.",
        "SV2A with networks: left out for missing values: sub-06.",
    ):
        assert said in result.notes


def test_pet_alone_and_fmri_alone() -> None:
    regions, sessions = study()
    bare = sessions[["participant_id", "session_id", "role"]]
    pet = run(regions, bare, networks=[], symptom=None)
    assert set(pet.comparisons["family"]) == {"primary", "roi", "regions"}
    assert pet.couplings.empty
    fmri = run(
        None, sessions.drop(columns="suvr_grey"), primary="segregation", rois=None, symptom=None
    )
    assert fmri.comparisons["outcome"].tolist() == ["segregation", "ngsc"]
    assert not any("SUVR" in note for note in fmri.notes)


def test_family_that_was_never_measured_is_said_not_invented() -> None:
    regions, sessions = study()
    result = run(regions, sessions.assign(segregation=None, ngsc=None))
    assert "networks" not in set(result.comparisons["family"])
    assert any(note.startswith("No test of networks: 0 persons") for note in result.notes)


def test_region_that_is_its_own_reference_is_left_out() -> None:
    regions, sessions = study()
    regions.loc[regions["region"] == "R9", "suvr"] = 1.0
    result = run(regions, sessions)
    assert "suvr:R9" not in set(result.comparisons["outcome"])
    assert any("own reference" in note and "suvr:R9" in note for note in result.notes)


def test_primary_may_be_a_region_or_a_metric() -> None:
    regions, sessions = study()
    result = run(regions, sessions, primary="suvr:R3")
    assert row(result, "suvr:R3")["family"] == "primary"
    assert result.comparisons["outcome"].is_unique
    assert row(run(regions, sessions, primary="suvr_grey"), "suvr_grey")["family"] == "primary"


def test_arms_are_said_to_be_pooled() -> None:
    regions, sessions = study()
    sessions.loc[sessions["participant_id"] < "sub-04", "arm"] = "placebo"
    notes = run(regions, sessions).notes
    assert any("ketamine, placebo are pooled" in note for note in notes)
    assert not any("no control arm" in note for note in notes)


def test_small_n_says_what_it_cannot_reach() -> None:
    notes = run(*study(4)).notes
    assert any("nothing here can reach p < .05" in note for note in notes)


def test_refuses_an_unknown_or_untestable_primary() -> None:
    regions, sessions = study(4)
    with pytest.raises(InputError, match="Did you mean 'suvr:PCC'"):
        run(regions, sessions, primary="suvr:PPC")
    with pytest.raises(InputError, match="Did you mean 'segregation'"):
        run(regions, sessions, primary="segregaton")
    with pytest.raises(StatisticsError, match="primary outcome suvr:PCC: found 2 persons"):
        run(*study(2))
    flat = regions.assign(suvr=1.0)
    with pytest.raises(StatisticsError, match="the same change in every person"):
        run(flat, sessions)


def test_other_tracer_gets_no_borrowed_noise() -> None:
    regions, sessions = study()
    notes = run(regions, sessions, tracer="MC1").notes
    assert any("No test-retest noise of MC1" in note for note in notes)
    assert not any("Tuncel" in note for note in notes)


@pytest.fixture(scope="module")
def ds004869(shared_data: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """SUVR 30-60 min over cerebellum cortex, read plainly from the PETPrep tables."""
    folder = shared_data / "pet_dynamic" / "ds004869" / "derivatives" / "petprep"
    regions, sessions = [], []
    for file in sorted(folder.glob("sub-*/ses-*/pet/*_seg-gtm_tacs.tsv")):
        person, session = file.name.split("_")[:2]
        tacs = pd.read_csv(file, sep="\t")
        tacs = tacs[(tacs["frame_start"] >= 1800) & (tacs["frame_end"] <= 3600)]
        length = tacs["frame_end"] - tacs["frame_start"]
        mean = tacs.mul(length, axis=0).sum() / length.sum()
        reference = mean[["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"]].mean()
        cortex = mean[mean.index.str.startswith("ctx-")] / reference
        regions.append(
            pd.DataFrame(
                {
                    "participant_id": person,
                    "session_id": session,
                    "region": cortex.index,
                    "suvr": cortex.to_numpy(),
                }
            )
        )
        role = {"ses-baseline": "pre", "ses-blocked": "post"}[session]
        sessions.append({"participant_id": person, "session_id": session, "role": role})
    return pd.concat(regions, ignore_index=True), pd.DataFrame(sessions)


def test_real_blocking_study(ds004869: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    pcc = ["ctx-lh-posteriorcingulate", "ctx-rh-posteriorcingulate"]
    result = compare(*ds004869, Wanted("suvr:PCC"), rois={"PCC": pcc}, tracer="MC1")
    primary = row(result, "suvr:PCC")
    assert primary["percent"] == pytest.approx(-20.2, abs=0.1)
    assert (primary["n"], primary["n_fall"]) == (10, 10)
    assert primary["p"] == 2 / 1024
    assert primary["exact"]
    regions = result.comparisons.query("family == 'regions'").set_index("region")
    assert len(regions) == 68
    assert abs((regions["p_fwe"] <= 0.01).sum() - 25) <= 1
    assert regions.loc[pcc[0], "p_fwe"] == pytest.approx(0.0078, abs=1e-4)
    assert regions.loc[pcc[1], "p_fwe"] == pytest.approx(0.0039, abs=1e-4)


def test_a_person_without_the_primary_outcome_does_not_cost_its_couplings() -> None:
    regions, sessions = study(12)
    gap = (regions["participant_id"] == "sub-03") & regions["region"].isin(["R0", "R1"])
    result = run(regions.assign(suvr=regions["suvr"].mask(gap)), sessions)
    pairs = result.couplings[result.couplings["x"] == "suvr:PCC"]
    assert set(pairs["y"]) == {"segregation", "ngsc", "madrs"}
    assert (pairs["n"] == 11).all()
