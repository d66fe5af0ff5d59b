from __future__ import annotations

import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.study.bids import read_cohort
from petfmri.study.check_crossover import crossover_problems, sequence_counts
from petfmri.study.checks import check_cohort
from petfmri.study.crossover import CrossoverColumns, crossover_sessions, sequences
from petfmri.study.tables import cohort_table

WHERE = CrossoverColumns("ketamine", "placebo")
TIMES = (0, 50, 165)


def person(dataset, label, order, *, skip=()):
    rows = []
    for period, treatment in enumerate(order, 1):
        for time in TIMES:
            session = f"p{period}t{time}"
            rows.append(f"ses-{session} {treatment} {period} {time}")
            if (period, time) not in skip:
                dataset.image(dataset.bold(label, session), (20,), frame_s=2.0)
    dataset.table(
        f"sub-{label}/sub-{label}_sessions.tsv", "session_id treatment period time_min", *rows
    )
    dataset.image(f"sub-{label}/anat/sub-{label}_T1w.nii.gz", ())


@pytest.fixture
def crossover(dataset):
    """Four persons, one missing visit, no PET."""
    for label in ("01", "02"):
        for path in sorted((dataset.root / f"sub-{label}").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    person(dataset, "01", ("ketamine", "placebo"))
    person(dataset, "02", ("placebo", "ketamine"), skip={(1, 165)})
    person(dataset, "03", ("placebo", "ketamine"))
    person(dataset, "04", ("ketamine", "placebo"))
    dataset.table(
        "participants.tsv",
        "participant_id age sex",
        *(f"sub-0{k} 30 F" for k in range(1, 5)),
    )
    dataset.table(
        "phenotype/madrs.tsv",
        "participant_id session_id madrs",
        *(f"sub-0{k} ses-p{p}t165 {10 * p + k}" for k in range(1, 5) for p in (1, 2)),
    )
    return dataset


def cohort_of(dataset):
    return read_cohort(
        dataset.root,
        sessions=crossover_sessions(dataset.root, "treatment"),
        symptoms="phenotype/madrs.tsv",
        paired=False,
    )


def test_every_session_with_a_treatment_is_of_the_study(crossover):
    cohort = cohort_of(crossover)
    assert list(cohort.roles) == [f"p{p}t{t}" for p in (1, 2) for t in TIMES]
    assert [len(one.sessions) for one in cohort.participants] == [6] * 4
    assert sum(len(s.bold) for one in cohort.participants for s in one.sessions) == 23
    assert sequence_counts(cohort, WHERE) == {"ketamine-placebo": 2, "placebo-ketamine": 2}


def test_missing_visits_absent_pet_and_scores_at_some_times_are_no_problem(crossover):
    cohort = cohort_of(crossover)
    problems = [*crossover_problems(cohort, WHERE), *check_cohort(cohort, score="madrs")]
    told = [str(problem) for problem in problems if "age" not in str(problem)]
    assert not [line for line in told if "sessions" in line or "PET" in line or "score" in line]


def test_group_table_says_who_got_what_when(crossover):
    table = cohort_table(cohort_of(crossover), score="madrs", crossover=WHERE)
    row = table[(table["participant_id"] == "sub-02") & (table["session_id"] == "ses-p2t165")]
    assert row.iloc[0][["treatment", "sequence"]].tolist() == ["ketamine", "placebo-ketamine"]
    assert float(row.iloc[0]["time"]) == 165 and row.iloc[0]["madrs"] == 22
    assert len(table) == 24


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("time_min", "minutes", "time_min: found no such column"),
        ("ketamine", "ketamin", "ketamin for sub-01"),
        ("ketamine\t1\t50", "placebo\t1\t50", "two treatments in one period"),
        ("placebo\t2", "placebo\t3", "periods 1, 2, 3"),
    ],
)
def test_what_is_wrong_with_the_tables_is_told(crossover, old, new, found):
    for label in ("01", "02", "03", "04") if old == "time_min" else ("01",):
        path = crossover.root / f"sub-{label}/sub-{label}_sessions.tsv"
        path.write_text(path.read_text().replace(old, new))
    told = " ".join(map(str, crossover_problems(cohort_of(crossover), WHERE)))
    assert found in told


def test_one_period_and_few_of_a_sequence_are_warned_of(crossover):
    for name in ("p2t0", "p2t50", "p2t165"):
        (crossover.root / crossover.bold("03", name)).unlink()
    path = crossover.root / "sub-04/sub-04_sessions.tsv"
    text = path.read_text().replace("ketamine", "x").replace("placebo", "ketamine")
    path.write_text(text.replace("x", "placebo"))
    problems = crossover_problems(cohort_of(crossover), WHERE)
    told = [str(problem) for problem in problems]
    assert {problem.severity for problem in problems} == {"warning"}
    assert "one period only of sub-03" in told[0]
    assert "1 persons ketamine-placebo, 3 persons placebo-ketamine" in told[1]


def test_a_dataset_without_treatments_is_refused(dataset):
    with pytest.raises(DatasetError, match="no session with a value of treatment"):
        crossover_sessions(dataset.root, "treatment")


def test_who_does_not_tell_has_no_sequence():
    table = pd.DataFrame(
        {"participant_id": ["a", "a"], "period": [1, 2], "treatment": ["ketamine", "ketamine"]}
    )
    assert sequences(table, ["ketamine", "placebo"]).isna().all()
