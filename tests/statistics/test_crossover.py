from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petfmri.errors import InputError, StatisticsError
from petfmri.simulation.crossover import CrossoverPlan, CrossoverTruth, crossover_values
from petfmri.statistics.crossover import compare_crossover
from petfmri.statistics.crossover_design import (
    baseline_covariates,
    baselines,
    crossover_of,
    visit_model,
)
from petfmri.statistics.crossover_mixed import mixed_tests
from petfmri.statistics.crossover_notes import design_notes
from petfmri.statistics.crossover_sequences import (
    interaction_test,
    over_times,
    period_differences,
    sequence_test,
)
from petfmri.statistics.families import Wanted
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.visits import Visits, visit_values


def study(plan=None, truth=None, n_outcomes=1, seed=0):
    plan, truth = plan or CrossoverPlan(), truth or CrossoverTruth()
    sessions = plan.sessions(seed)
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline=plan.baseline)
    return sessions, design, crossover_values(sessions, plan, truth, n_outcomes, seed)


def test_the_design_is_read_from_the_table():
    sessions, design, _ = study(CrossoverPlan(2, 3))
    assert design.times == ("50", "80", "165", "1440")
    assert design.sequences == {"ketamine-placebo": 2, "placebo-ketamine": 3}
    assert len(design.rows) == 5 * 8 and design.before.shape == (5, 2)
    assert (sessions["time"].iloc[design.before.ravel()] == "0").all()
    assert design.treated[(design.person == 0) & (design.period == 0)].all()
    assert not design.one_period


def test_a_person_of_one_period_has_a_sequence():
    sessions = CrossoverPlan(2, 2).sessions()
    sessions = sessions[(sessions["participant_id"] != "sub-04") | (sessions["period"] == 2)]
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline=0)
    assert design.one_period == ["sub-04"]
    assert design.first.tolist() == [True, True, False, False]
    assert design.before[3].tolist()[0] == -1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: t.drop(columns="period"), "no column period"),
        (lambda t: t.assign(treatment="ketamine"), "no visit with treatment placebo"),
        (lambda t: t.assign(period=t["time"]), "two periods"),
        (lambda t: t.assign(period=[1, 2] * (len(t) // 2)), "no single treatment per period"),
        (lambda t: pd.concat([t, t.iloc[[1]]]), "a visit given twice"),
        (lambda t: t[t["time"] == "0"], "no visit after a dose"),
    ],
)
def test_what_is_no_crossover_is_refused(change, found):
    sessions = change(CrossoverPlan(2, 2).sessions())
    with pytest.raises(StatisticsError, match=found):
        crossover_of(sessions, active="ketamine", control="placebo", baseline="0")


def test_contrasts_are_the_effects_by_hand():
    """Without noise every coefficient is what was planted."""
    truth = CrossoverTruth(0, 0, 1e-9, period=3.0, sequence=2.0, treatment=(4.0, 2.0, 1.0, 1.0))
    _, design, values = study(CrossoverPlan(2, 3, baseline=None), truth)
    model = visit_model(design)
    beta = np.linalg.lstsq(model.x, values[design.rows, 0], rcond=None)[0]
    single, joint = model.contrasts(0)
    assert (single @ beta).tolist() == pytest.approx([2, 4, 2, 1, 1], abs=1e-6)
    assert (joint @ beta).tolist() == pytest.approx([2, 0, -1], abs=1e-6)
    assert beta[1:3].tolist() == pytest.approx([2, 3], abs=1e-6)


def test_baseline_is_parted_within_and_between_by_hand():
    sessions = CrossoverPlan(1, 1, times=("50",)).sessions()
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline="0")
    values = np.array([[1.0], [0], [3], [0], [10], [0], [np.nan], [0]])
    within, between = baseline_covariates(values, design)[:, 0].T
    assert within.tolist() == [-1, 1, -1, 1]  # the other one, and the 2 between the periods
    assert between.tolist() == [-4.5, -4.5, 4.5, 4.5]


def test_missing_baselines_are_filled_beside_the_period_by_hand():
    sessions = CrossoverPlan(2, 2, times=("50",)).sessions()
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline="0")
    values = np.zeros((16, 3))
    values[design.before.ravel(), 0] = [1, 4, 3, 6, np.nan, 8, np.nan, np.nan]
    values[design.before.ravel(), 1] = [1, np.nan, np.nan, 6, 3, np.nan, np.nan, 8]
    values[design.before.ravel(), 2] = [1, np.nan, 3, np.nan, 5, np.nan, np.nan, np.nan]
    filled = baselines(values, design)
    assert filled[:, :, 0].tolist() == [[1, 4], [3, 6], [5, 8], [3, 6]]
    assert filled[:, :, 1].tolist() == [[1, 6], [1, 6], [3, 8], [3, 8]]  # nobody has both
    assert filled[:, :, 2].tolist() == [[1, 1], [3, 3], [5, 5], [3, 3]]  # nobody has the second


def test_missing_baselines_do_not_turn_a_period_into_a_treatment_effect():
    # Persons and sequences that differ must not come in with the values that are there.
    truth = CrossoverTruth(4.0, 0.7, 1.0, period=3.0, sequence=3.0, treatment=(0.5,) * 4)
    _, design, values = study(None, truth, 3000, seed=14)
    values[design.before[np.flatnonzero(design.first)[:5], 0]] = np.nan
    estimate = mixed_tests(values, design).estimate[0]
    assert abs(estimate.mean() - 0.5) < 2 * estimate.std() / np.sqrt(3000)


def test_a_misspelt_baseline_is_refused_and_an_unnamed_one_warned_of():
    sessions = CrossoverPlan(2, 2).sessions()
    with pytest.raises(StatisticsError, match="no visit at time base, but at 0, 50, 80, 165, 1440"):
        crossover_of(sessions, active="ketamine", control="placebo", baseline="base")
    for name, suspect in (("0", True), ("-30", True), ("Pre-dose", True), ("30", False)):
        table = sessions.assign(time=sessions["time"].replace("0", name))
        design = crossover_of(table, active="ketamine", control="placebo")
        told = " ".join(design_notes(design))
        assert (f"Warning: visits at time {name} count as after the dose" in told) == suspect


def test_planted_effects_come_back_with_missing_visits():
    truth = CrossoverTruth(1.0, 0.6, 0.8, period=1.0, treatment=(1.0, 0.7, 0.4, 0.1))
    _, design, values = study(CrossoverPlan(missing=0.08), truth, 1500, seed=5)
    found = mixed_tests(values, design)
    assert found.visits[0] == len(design.rows) < 128
    assert found.estimate.mean(axis=1) == pytest.approx([0.55, 1.0, 0.7, 0.4, 0.1], abs=0.03)
    assert found.residual.mean() == pytest.approx(0.64, abs=0.02)
    # What the noisy value before the dose cannot tell: 0.36 (1 - 0.36 / (0.36 + 0.64)).
    assert found.period.mean() == pytest.approx(0.23, abs=0.03)
    _, design, values = study(CrossoverPlan(missing=0.08, baseline=None), truth, 1500, seed=5)
    found = mixed_tests(values, design)
    assert found.period.mean() == pytest.approx(0.36, abs=0.04)
    assert found.person.mean() == pytest.approx(1.0, abs=0.08)


def test_null_p_are_calibrated_only_with_the_variance_of_periods():
    _, design, values = study(None, CrossoverTruth(1.0, 0.7, 1.0, period=1.0), 2000, seed=6)
    found = mixed_tests(values, design)
    assert ((found.p < 0.05).mean(axis=1) > 0.035).all()
    assert ((found.p < 0.05).mean(axis=1) < 0.065).all()
    assert 0.035 < (found.f_p < 0.05).mean() < 0.065
    naive = mixed_tests(values, design, period_variance=False)
    assert (naive.p[0] < 0.05).mean() > 0.12


def test_outcomes_use_the_visits_that_they_have():
    _, design, values = study(None, None, 3, seed=7)
    some = values.copy()
    some[design.rows[design.time < 2], 1] = np.nan  # a score at the later times only
    some[:, 2] = np.nan
    found = mixed_tests(some, design)
    assert found.visits.tolist() == [128, 64, 0]
    assert np.isnan(found.t[1:3, 1]).all() and np.isfinite(found.t[[0, 3, 4], 1]).all()
    assert found.f_rank[1] == 1
    assert np.isnan(found.p[:, 2]).all()


def test_one_visit_per_period_leaves_its_variance_in_the_residual():
    _, design, values = study(
        CrossoverPlan(times=("50",), baseline=None), CrossoverTruth(treatment=(0.0,)), 5
    )
    found = mixed_tests(values, design)
    assert np.isnan(found.period).all() and np.isnan(found.f).all()
    difference = period_differences(values, design)[:, 0]
    by_hand = stats.ttest_ind(difference[design.first], difference[~design.first])
    inner = ~found.person_boundary
    assert found.p[0, inner] == pytest.approx(by_hand.pvalue[inner], rel=1e-5)


def test_sequence_p_is_that_of_every_assignment():
    _, design, values = study(CrossoverPlan(3, 4, baseline=None), None, 6, seed=8)
    difference = over_times(period_differences(values, design))
    found = sequence_test(difference, design)
    assert found.arrangements == 35 and found.exact
    size = []
    for chosen in itertools.combinations(range(7), 3):
        one = np.isin(np.arange(7), chosen)
        size.append(stats.ttest_ind(difference[one], difference[~one]).statistic)
    size = np.abs(size)
    observed = np.abs(stats.ttest_ind(difference[design.first], difference[~design.first])[0])
    assert found.p == pytest.approx((size >= observed - 1e-9).mean(axis=0))
    fwe = (size.max(axis=1)[:, None] >= observed - 1e-9).mean(axis=0)
    assert found.p_fwe == pytest.approx(fwe)
    spread = np.sqrt(
        (2 * difference[design.first].var(axis=0, ddof=1) + 3 * difference[~design.first].var(axis=0, ddof=1)) / 5
    )  # fmt: skip
    effect = difference[design.first].mean(axis=0) - difference[~design.first].mean(axis=0)
    assert found.g == pytest.approx(effect / 2 / spread * 0.8408, rel=1e-3)


def test_sixteen_persons_have_12870_assignments():
    _, design, values = study(None, None, 2)
    found = sequence_test(over_times(period_differences(values, design)), design)
    assert (found.arrangements, found.exact) == (12_870, True)
    assert found.p_smallest[0] == pytest.approx(2 / 12_870)


def test_a_period_effect_is_no_treatment_effect():
    """Unbalanced sequences: sign flips take it for one, sequences given anew do not."""
    plan = CrossoverPlan(11, 5, times=("50",), baseline=None)
    truth = CrossoverTruth(1.0, 0.0, 1.0, period=np.sqrt(2.0), treatment=(0.0,))
    _, design, values = study(plan, truth, 2000, seed=9)
    difference = over_times(period_differences(values, design))
    found = sequence_test(difference, design)
    assert 0.035 < (found.p <= 0.05).mean() < 0.065
    naive = sign_flip(difference * np.where(design.first, 1, -1)[:, None], permutations=2000)
    assert (naive.p <= 0.05).mean() > 0.08


def test_adjusting_for_baseline_is_exact_and_stronger():
    truth = CrossoverTruth(1.0, 1.5, 0.5, treatment=(1.0,) * 4)
    _, design, values = study(None, truth, 400, seed=10)
    difference = over_times(period_differences(values, design))
    before = values[design.before[:, 0]] - values[design.before[:, 1]]
    plain, adjusted = (
        sequence_test(difference, design),
        sequence_test(difference, design, before=before),
    )
    assert (adjusted.p <= 0.05).mean() > (plain.p <= 0.05).mean() + 0.2
    assert np.median(adjusted.g) > np.median(plain.g) + 0.3


def test_effects_that_differ_between_times_are_found():
    truth = CrossoverTruth(1.0, 0.5, 0.3, treatment=(1.0, 0.5, 0.0, -0.5))
    _, design, values = study(None, truth, 3, seed=11)
    values[:, 2] = study(None, CrossoverTruth(1.0, 0.5, 0.3), 1, seed=12)[2][:, 0]
    p, fwe = interaction_test(period_differences(values, design), design)
    assert (fwe[:2] < 0.01).all() and p[2] > 0.01
    assert (fwe >= p).all()


def test_comparison_has_one_row_per_outcome_and_contrast():
    sessions, design, values = study(None, CrossoverTruth(treatment=(2.0,) * 4), 3, seed=13)
    sessions = sessions.assign(ngsc=values[:, 0], segregation=values[:, 1], madrs=values[:, 2])
    visits = visit_values(None, sessions, metrics=["ngsc", "segregation", "madrs"])
    wanted = Wanted("ngsc", (), ["ngsc", "segregation"], (), "madrs")
    found = compare_crossover(visits, design, wanted)
    rows = found.comparisons.set_index(["outcome", "contrast"])
    assert len(rows) == 3 * 6
    assert set(rows["family"]) == {"primary", "symptoms", "networks"}
    main = rows.loc[("ngsc", "treatment")]
    assert main["p_permutation"] < 0.01 and np.isnan(main["p_fwe"])
    assert main["estimate"] == pytest.approx(2, abs=1)
    assert np.isfinite(rows.loc[("segregation", "treatment at 80"), "p_fwe"])
    assert rows.loc[("madrs", "treatment x time"), "f_rank"] == 3
    told = " ".join(found.notes)
    assert "8 persons ketamine then placebo" in told and "12,870" in told
    assert "Carry-over is not tested" in told and "at the edge of .05 the two may disagree" in told
    assert "permutation p of" not in told  # nobody is missing
    again = compare_crossover(visits, design, wanted, more={"mine": ["ngsc"], "yours": ["madrs"]})
    assert len(again.comparisons) == len(rows)  # each outcome in the first family that claims it
    with pytest.raises(InputError, match="Did you mean 'ngsc'"):
        compare_crossover(visits, design, Wanted("ngsx", (), ["ngsc"]))


def test_two_persons_are_not_compared():
    sessions, design, values = study(CrossoverPlan(1, 1))
    visits = visit_values(None, sessions.assign(ngsc=values[:, 0]), metrics=["ngsc"])
    with pytest.raises(StatisticsError, match="2 persons with both periods"):
        compare_crossover(visits, design, Wanted(None, (), ["ngsc"]))


def test_regions_and_their_means_are_gathered_by_visit():
    sessions = pd.DataFrame({"participant_id": ["a", "a"], "session_id": ["ses-2", "ses-1"]})
    regions = pd.DataFrame(
        {
            "participant_id": "a",
            "session_id": ["ses-1", "ses-1", "ses-2"],
            "region": ["x", "y", "x"],
            "suvr": [1.0, 3.0, 5.0],
        }
    )
    found = visit_values(regions, sessions, rois={"both": ["x", "y"]}, measures=["suvr"])
    assert isinstance(found, Visits)
    assert found.names("region") == ["suvr:x", "suvr:y"]
    np.testing.assert_equal(
        found.columns(["suvr:both", "suvr:x", "suvr:y"]), [[np.nan, 5, np.nan], [2, 1, 3]]
    )
    with pytest.raises(StatisticsError, match="twice"):
        visit_values(pd.concat([regions, regions]), sessions, measures=["suvr"])


def test_gaps_of_a_contrast_name_persons_and_the_smallest_p():
    sessions, design, values = study(CrossoverPlan(4, 4), None, 1, seed=15)
    who, time = sessions["participant_id"], sessions["time"]
    values[who.isin(["sub-01", "sub-08"]) & (time == "1440")] = np.nan
    values[who.isin(["sub-01", "sub-02", "sub-05", "sub-06"]) & (time == "165")] = np.nan
    values[~who.isin(["sub-03", "sub-07"]) & (time == "80")] = np.nan
    visits = visit_values(None, sessions.assign(ngsc=values[:, 0]), metrics=["ngsc"])
    found = compare_crossover(visits, design, Wanted(None, (), ["ngsc"]))
    told = [note for note in found.notes if "permutation p" in note and "(networks)" in note]
    persons = [f"sub-0{k}" for k in range(1, 9)]
    at = {
        name: next(note for note in told if f"treatment {name} (networks)" in note)
        for name in ("at 80", "at 165", "at 1440", "x time")
    }
    assert len(told) == 4
    assert (
        f"rests on 6 persons ({', '.join(persons[1:7])}), without sub-01, sub-08" in at["at 1440"]
    )
    assert "reach is 0.1, so it cannot pass .05" in at["at 1440"]
    assert "4 persons (sub-03, sub-04, sub-07, sub-08)" in at["at 165"]
    assert "0.33, so it cannot pass .05" in at["at 165"]
    assert "has no permutation p: 2 persons (sub-03, sub-07)" in at["at 80"]
    rows = found.comparisons.set_index("contrast")
    assert rows.loc["treatment at 1440", "p_smallest"] == pytest.approx(0.1)
    assert rows.loc["treatment at 1440", "n_permuted"] == 6


def test_an_overall_test_of_few_says_that_it_cannot_pass():
    sessions, design, values = study(CrossoverPlan(3, 3), None, 1, seed=16)
    visits = visit_values(None, sessions.assign(ngsc=values[:, 0]), metrics=["ngsc"])
    told = " ".join(compare_crossover(visits, design, Wanted(None, (), ["ngsc"])).notes)
    assert (
        "treatment (networks) rests on 6 persons: the smallest that they can reach is 0.1, so"
        in told
    )


@pytest.mark.parametrize("wrong", ["high", np.inf])
def test_text_and_infinity_are_no_numbers(wrong):
    sessions = pd.DataFrame({"participant_id": ["a", "b"], "session_id": "ses-1"})
    values = pd.Series([1.0, wrong], dtype=object)
    with pytest.raises(StatisticsError, match=r"sessions: ngsc: \('b', 'ses-1'\)"):
        visit_values(None, sessions.assign(ngsc=values), metrics=["ngsc"])
    regions = sessions.assign(region="x", suvr=values)
    with pytest.raises(StatisticsError, match=r"regions: suvr: .*'b', 'ses-1', 'x'"):
        visit_values(regions, sessions, measures=["suvr"])
