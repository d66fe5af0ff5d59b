from __future__ import annotations

import pytest

from petfmri.cli import main
from petfmri.study.files import read_table

STUDY = "name: plan\nbids: bids\noutput: out\nprimary: {}\n{}"


def planned(tmp_path, capsys, primary, extra=""):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(primary, extra), encoding="utf-8")
    assert main(["power", str(path)]) == 0
    return read_table(tmp_path / "out/group/power/power.tsv"), capsys.readouterr().out


def test_declared_noise_goes_first(tmp_path, capsys):
    extra = "test_retest: {suvr: {sd: 4, n: 12, source: our phantom study}}\npower: {n: [11, 20]}\n"
    table, told = planned(tmp_path, capsys, "suvr:PCC", extra)
    rows = table[table["outcome"] == "suvr:PCC"]
    assert (rows["sd"] == 4).all() and "our phantom study" in rows["source"].iloc[0]
    assert rows[rows["question"] == "detectable"]["effect"].tolist() == pytest.approx(
        [3.75, 2.64], abs=0.01
    )
    assert "n = 11 sees 3.75 %" in told
    assert "ngsc" not in set(table["outcome"])  # the simulator does not know how it wanders
    assert "No spread is known of segregation" in told


def test_published_noise_of_the_tracer(tmp_path, capsys):
    table, _ = planned(tmp_path, capsys, "suvr:PCC", "pet: {tracer: UCBJ}\n")
    rows = table[table["outcome"] == "suvr:PCC"]
    assert (rows["sd"] == 12.0).all()
    assert rows["source"].str.contains("of DVR").all()


def test_observed_changes_serve_after_compare(tmp_path, capsys):
    path = tmp_path / "study.yaml"
    extra = "simulation: {preset: tables, participants: 8}\ninference: {permutations: 100}\n"
    path.write_text(STUDY.format("suvr:PCC", extra), encoding="utf-8")
    assert [main([verb, str(path)]) for verb in ("simulate", "compare", "power")] == [0, 0, 0]
    table = read_table(tmp_path / "out/group/power/power.tsv")
    assert table["source"].str.contains("observed in this study").all()
