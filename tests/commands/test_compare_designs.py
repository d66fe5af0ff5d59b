"""`petfmri compare` with covariates, noise and arms, on simulated tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.cli import main
from petfmri.config import load_study
from petfmri.errors import ConfigError
from petfmri.study.files import read_table, write_table
from petfmri.study.group import SESSION_COLUMNS

STUDY = """\
name: designs
bids: bids
output: out
symptoms: {table: phenotype/madrs.tsv, score: madrs}
primary: suvr:PCC
inference: {permutations: 200}
simulation: {preset: tables, participants: 12, seed: 3}
"""
PARALLEL = "design: parallel\narms: {active: ketamine, control: placebo}\n"


def write(folder, extra=""):
    path = folder / "study.yaml"
    path.write_text(STUDY + extra, encoding="utf-8")
    return str(path)


def two_arms(folder):
    """Every second person of the simulated study becomes a control who did not change."""
    sessions = read_table(folder / "out/group/sessions.tsv")
    regions = read_table(folder / "out/group/regions.tsv")
    people = sorted(sessions["participant_id"].unique())
    control = set(people[::2])
    sessions["arm"] = np.where(sessions["participant_id"].isin(control), "placebo", "ketamine")
    rng = np.random.default_rng(0)
    for table, keys in ((sessions, ["participant_id"]), (regions, ["participant_id", "region"])):
        still = table["participant_id"].isin(control)
        numbers = [c for c in table.select_dtypes("float") if c not in ("dose", "days_since_dose")]
        numbers = [c for c in numbers if not c.startswith(("n_", "frames", "df"))]
        before = table[still & (table["session_id"] == "ses-pre")].set_index(keys)[numbers]
        after = still & (table["session_id"] == "ses-post")
        rows = (
            pd.MultiIndex.from_frame(table.loc[after, keys])
            if len(keys) > 1
            else table.loc[after, keys[0]]
        )
        noise = 1 + 0.01 * rng.normal(size=(after.sum(), len(numbers)))
        table.loc[after, numbers] = before.loc[rows].to_numpy() * noise
    write_table(sessions, folder / "out/group/sessions.tsv", SESSION_COLUMNS)
    write_table(regions, folder / "out/group/regions.tsv", {})


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("designs")
    extra = (
        "covariates: [mean_fd, age]\ntest_retest: {suvr: {sd: 3, n: 20, source: our own rescans}}\n"
    )
    study = write(folder, extra)
    assert [main([verb, study]) for verb in ("simulate", "compare")] == [0, 0]
    return folder / "out/group/compare"


def test_everything_beside_a_change_is_written_and_described(compared):
    for name in ("adjusted", "influence", "baseline", "spatial"):
        assert len(read_table(compared / f"{name}.tsv")), name
        assert (compared / f"{name}.json").exists()
    table = read_table(compared / "comparisons.tsv").set_index("outcome")
    assert table.loc["suvr:PCC", "noise_sd"] == 3
    assert bool(table.loc["suvr:PCC", "exceeds_noise"])
    assert table.loc["suvr:PCC", "p_loo"] >= table.loc["suvr:PCC", "p"]
    adjusted = read_table(compared / "adjusted.tsv").set_index("outcome")
    assert adjusted.loc["suvr:PCC", "covariates"] == "mean_fd, age"
    notes = (compared / "notes.txt").read_text()
    for said in ("our own rescans", "The change of mean_fd is a covariate", "age is a covariate",
                 "same variogram", "noise alone makes negative"):  # fmt: skip
        assert said in notes
    html = (compared / "compare.html").read_text()
    for title in ("Adjusted for covariates", "Does it hang on one person", "where people started",
                  "Do the same regions change?"):  # fmt: skip
        assert title in html


def test_arms_are_compared(tmp_path):
    assert main(["simulate", write(tmp_path)]) == 0
    two_arms(tmp_path)
    assert main(["compare", write(tmp_path, PARALLEL)]) == 0
    folder = tmp_path / "out/group/compare"
    table = read_table(folder / "comparisons.tsv").set_index("outcome")
    row = table.loc["suvr:PCC"]
    assert row["difference"] > 0 and row["p"] <= 0.01
    assert (row["n_active"], row["n_control"]) == (6, 6)
    assert row["arrangements"] == 924
    assert len(read_table(folder / "baseline_groups.tsv"))
    assert "ketamine against placebo" in (folder / "compare.html").read_text()
    assert "rose in ketamine against placebo by" in (folder / "verdict.txt").read_text()
    assert "allocated at random" in (folder / "notes.txt").read_text()


def test_unknown_arms_and_covariates_are_told(tmp_path, capsys):
    assert main(["simulate", write(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["compare", write(tmp_path, "covariates: [mean_fdd]\n")]) == 2
    assert "Did you mean 'mean_fd'" in capsys.readouterr().err
    assert main(["compare", write(tmp_path, PARALLEL)]) == 2
    assert "arms: placebo: found nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("design: parallel\n", "design: parallel needs arms"),
        ("arms: {active: a, control: b}\n", "no other design has them"),
        ("design: parallel\narms: {active: a, control: a}\n", "two different arms"),
        ("baseline_dependence: correlation\n", "noise alone makes negative"),
        ("baseline_dependence: {reliability: 2, source: x}\n", "oldham"),
        ("test_retest: {suvr: {sd: 3, n: 20}}\n", "configs/ explains"),
        ("power: {n: []}\n", "at least 1 item"),
    ],
)
def test_wrong_designs_are_refused(tmp_path, extra, message):
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, extra))
