"""The way of tidy tables: simulate, compare, predict; and PETPrep's curves straight to compare."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petfmri.cli import main
from petfmri.commands.context import config_problems, resolved
from petfmri.commands.tables import grey_matter
from petfmri.config import load_study
from petfmri.study.files import read_table

STUDY = """\
name: tables
bids: bids
output: out
symptoms: {table: phenotype/madrs.tsv, score: madrs}
primary: suvr:PCC
inference: {permutations: 200}
prediction: {folds: 3, repeats: 2, permutations: 100}
"""


def write(folder, extra="", text=STUDY):
    path = folder / "study.yaml"
    path.write_text(text + extra, encoding="utf-8")
    return str(path)


def primary_of(out):
    table = read_table(out / "group/compare/comparisons.tsv")
    (row,) = table[table["family"] == "primary"].to_dict("records")
    return row


def assert_self_contained(path):
    html = path.read_text(encoding="utf-8")
    assert "<script" not in html and "<link" not in html and "url(" not in html
    for target in re.findall(r"(?:src|href)=[\"']([^\"']+)", html):
        assert target.startswith("data:") or (path.parent / target).exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    study = write(folder, "simulation: {preset: tables, participants: 10, seed: 3}\n")
    statuses = [main([verb, study]) for verb in ("simulate", "compare", "predict")]
    assert statuses == [0, 0, 0]
    return folder / "out"


def test_the_tables_are_there_and_described(finished):
    regions, sessions = (
        read_table(finished / f"group/{name}.tsv") for name in ("regions", "sessions")
    )
    assert len(regions) == 10 * 2 * 216 and len(sessions) == 20
    assert regions[["suvr", "strength"]].notna().all(axis=None)
    for name in ("regions", "sessions", "compare/comparisons", "predict/prediction"):
        assert (finished / f"group/{name}.json").exists()


def test_the_planted_rise_is_the_primary_answer(finished):
    row = primary_of(finished)
    assert row["outcome"] == "suvr:PCC" and row["n"] == 10
    assert 2 < row["percent"] < 10  # +8 % of V_T, of which 60-90 min SUVR sees a part
    assert row["p"] <= 0.02 and row["n_rise"] >= 9
    assert row["p_smallest"] == pytest.approx(2 / 1024) and row["exact"] == "True"
    verdict = (finished / "group/compare/verdict.txt").read_text()
    assert verdict.startswith("SUVR PCC rose")


def test_lost_segregation_and_falling_symptoms_are_seen(finished):
    table = read_table(finished / "group/compare/comparisons.tsv").set_index("outcome")
    assert table.loc["segregation", "change"] < 0
    assert table.loc["madrs", "change"] < 0
    assert table.loc["madrs", "n"] < 10  # scores are missing on purpose


def test_every_prediction_is_held_out_and_scored(finished):
    scores = read_table(finished / "group/predict/prediction.tsv")
    assert scores["question"].nunique() == 2
    assert scores["p"].between(1 / 101, 1).all()
    predictions = read_table(finished / "group/predict/predictions.tsv")
    assert predictions["predicted"].notna().all()


@pytest.mark.parametrize(
    "page", ["index.html", "group/compare/compare.html", "group/predict/predict.html"]
)
def test_pages_are_self_contained(finished, page):
    assert_self_contained(finished / page)


def test_no_temporary_file_is_left(finished):
    assert not list(finished.rglob(".*"))


def test_a_planted_fall_is_a_fall(tmp_path):
    planted = "{vt_percent: -8, k1_change_percent: 0}"
    study = write(
        tmp_path,
        f"simulation: {{preset: tables, participants: 8, seed: 3, effects: {planted}}}\n",
    )
    assert main(["simulate", study]) == 0 and main(["compare", study]) == 0
    assert primary_of(tmp_path / "out")["percent"] < -2


@pytest.mark.parametrize("verb", ["compare", "predict"])
def test_before_a_run_there_is_nothing_to_read(tmp_path, capsys, verb):
    assert main([verb, write(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"petfmri {verb}:" in error and "`petfmri run` first" in error
    assert not (tmp_path / "out").exists()


def test_without_symptoms_there_is_nothing_to_predict(tmp_path, capsys):
    text = re.sub(r"symptoms:.*\n", "", STUDY)
    study = write(tmp_path, "simulation: {preset: tables, participants: 4}\n", text)
    assert main(["simulate", study]) == 0
    assert main(["predict", study]) == 2
    assert "symptoms: found nothing" in capsys.readouterr().err
    assert not (tmp_path / "out/group/predict").exists()


def test_a_primary_outcome_that_is_not_in_the_tables_is_refused(tmp_path, capsys):
    text = STUDY.replace("suvr:PCC", "suvr:Nowhere")
    study = write(tmp_path, "simulation: {preset: tables, participants: 4}\n", text)
    assert main(["simulate", study]) == 0
    assert main(["compare", study]) != 0
    assert "Nowhere" in capsys.readouterr().err
    assert not (tmp_path / "out/group/compare").exists()


def test_petprep_curves_give_the_known_fall(shared_data, tmp_path):
    """OpenNeuro ds004869: [11C]MC1 at baseline and blocked, ten people."""
    derivatives = shared_data / "pet_dynamic/ds004869/derivatives/petprep"
    text = f"""\
name: ds004869
output: out
derivatives: {{petprep: {derivatives.as_posix()}}}
sessions: {{pre: baseline, post: blocked}}
regions_of_interest: {{PCC: ["ctx-?h-posteriorcingulate"]}}
pet: {{window_min: [30, 60], reference: {{regions: ["*-Cerebellum-Cortex"]}}}}
primary: suvr:PCC
inference: {{permutations: 200}}
"""
    assert main(["compare", write(tmp_path, text=text)]) == 0
    row = primary_of(tmp_path / "out")
    assert row["percent"] == pytest.approx(-20.2, abs=0.1)
    assert (row["n"], row["n_fall"], row["n_rise"]) == (10, 10, 0)
    assert row["p"] == pytest.approx(2 / 1024)
    assert_self_contained(tmp_path / "out/group/compare/compare.html")


def test_regions_that_curves_cannot_hold_are_refused_as_reference(shared_data, tmp_path, capsys):
    derivatives = (shared_data / "pet_dynamic/ds004869/derivatives/petprep").as_posix()
    for reference in ("semiovale", "wholebrain"):
        text = f"""\
name: ds004869
output: out
derivatives: {{petprep: {derivatives}}}
sessions: {{pre: baseline, post: blocked}}
pet: {{window_min: [30, 60], reference: {reference}}}
"""
        assert main(["compare", write(tmp_path, text=text)]) == 2
        assert f"pet.reference: found {reference}" in capsys.readouterr().err


def test_responders_are_counted_by_the_declared_rules(finished):
    people = read_table(finished / "group/compare/symptoms.tsv")
    known = people.dropna(subset=["pre", "post"])
    assert 0 < len(known) < len(people) == 10  # scores are missing on purpose
    fall = 100 * (known["pre"] - known["post"]) / known["pre"]
    response = known["response"].astype(str).eq("True")
    assert response.tolist() == (fall >= 50).tolist()
    assert people.loc[~people.index.isin(known.index), "response"].isna().all()
    page = (finished / "group/compare/compare.html").read_text(encoding="utf-8")
    assert f"Response (a fall of at least 50 %): {response.sum()} of {len(known)}." in page


@pytest.mark.parametrize(
    ("primary", "advice"), [("suvr:PPC", "suvr:PCC"), ("segregaton", "segregation")]
)
def test_a_mistyped_primary_is_told_before_hours_of_processing(tmp_path, primary, advice):
    text = STUDY.replace("primary: suvr:PCC", f"primary: {primary}")
    (problem,) = config_problems(load_study(Path(write(tmp_path, text=text))))
    assert problem.where == "primary" and f"Did you mean '{advice}'" in str(problem)


def test_an_output_that_cannot_be_written_is_one_message(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    text = STUDY.replace("output: out", "output: file/out")
    study = write(tmp_path, "simulation: {preset: tables, participants: 4}\n", text)
    assert main(["simulate", study]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_tables_made_with_other_settings_are_refused(finished, tmp_path, capsys):
    (tmp_path / "out").symlink_to(finished)
    study = write(tmp_path)
    record = finished / "group/study.yaml"
    record.write_text(resolved(load_study(Path(study))), encoding="utf-8")
    try:
        assert main(["compare", write(tmp_path, "pet: {window_min: [30, 45]}\n")]) == 2
    finally:
        record.unlink()
    assert "call `petfmri run` again" in capsys.readouterr().err.casefold()


def test_a_misspelt_score_is_told(finished, tmp_path, capsys):
    (tmp_path / "out").symlink_to(finished)
    text = STUDY.replace("score: madrs", "score: madrsx")
    assert main(["compare", write(tmp_path, text=text)]) == 2
    assert "found no column madrsx" in capsys.readouterr().err


def test_a_cut_off_brain_costs_its_session_the_global_mean_and_no_more(capsys):
    rows = pd.DataFrame(
        {
            "region": ["a", "b", "empty"],
            "suvr": [2.0, np.nan, np.nan],
            "volume_mm3": [95.0, 5.0, 0.0],
        }
    )
    assert grey_matter(rows, "sub-01 ses-pre") == 2
    assert grey_matter(rows.assign(volume_mm3=[80.0, 20.0, 0.0]), "sub-01 ses-pre") is None
    assert "sub-01 ses-pre: grey matter: found values in 80 %" in capsys.readouterr().err
