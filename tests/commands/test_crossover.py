"""A crossover from given series to tables and page, and from tables alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml

from petfmri.atlases import load_atlas
from petfmri.cli import main
from petfmri.simulation.connectivity import network_model
from petfmri.simulation.crossover import CrossoverPlan
from petfmri.simulation.effects import Effects
from petfmri.study.files import read_table, write_table
from petfmri.study.names import derivative_path

NETWORKS = ["Vis"] * 8 + ["SomMot"] * 8 + ["Default"] * 8
NAMES = [f"{network}_{k}" for k, network in enumerate(NETWORKS)]
PLAN = CrossoverPlan(3, 3, times=("50", "165"))
EFFECTS = Effects(within_fc_change=-0.3, between_fc_change=0.1, default_sommot_fc_change=0.0)
SETS = "set\tconnection\ta\tb\nin\tVis\tVis_[0-3]\tVis_[4-7]\nout\tVis-Default\tVis_*\tDefault_*\n"


def write_study(folder, **settings):
    (folder / "sets.tsv").write_text(SETS)
    study = {
        "name": "crossover",
        "bids": "bids",
        "output": "out",
        "design": "crossover",
        "crossover": {"treatments": ["ketamine", "placebo"], "time": "time"},
        "connections": ["sets.tsv"],
        **settings,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Series of another program, one visit of 30 missing, visits of unequal length."""
    folder, rng = tmp_path_factory.mktemp("crossover"), np.random.default_rng(1)
    table = pd.DataFrame({"name": NAMES, "network": NETWORKS})
    table.to_csv(folder / "parcels.tsv", sep="\t", index=False)
    sessions = PLAN.sessions()
    for person, rows in sessions.groupby("participant_id"):
        path = folder / "bids" / person / f"{person}_sessions.tsv"
        path.parent.mkdir(parents=True)
        rows[["session_id", "treatment", "period", "time"]].to_csv(path, sep="\t", index=False)
    for number, row in enumerate(sessions.itertuples()):
        drug = row.treatment == "ketamine" and row.time != "0"
        model = network_model(pd.Series(NETWORKS), EFFECTS, float(drug), (0.0, 0.0))
        series = model.series(200 + 20 * (number % 3), 2.0, rng)
        name = f"{row.participant_id}_{row.session_id}_ts.tsv"
        if number != 4:
            pd.DataFrame(series, columns=NAMES).to_csv(folder / name, sep="\t", index=False)
    files = str(folder / "sub-{subject}_ses-{session}_ts.tsv")
    study = write_study(
        folder,
        series={"files": files, "parcels": "parcels.tsv", "tr_s": 2.0},
        regions_of_interest={},
        primary="segregation",
    )
    assert main(["networks", str(study), "--n-procs", "1"]) == 0
    assert main(["compare", str(study)]) == 0
    return folder


def test_networks_measures_every_visit_over_the_same_frames(given):
    table = read_table(given / "out/group/networks/sessions.tsv")
    assert len(table) == 35
    frames = table.groupby("participant_id")["n_frames"]
    assert (frames.max() == frames.min()).all()
    assert set(table["sequence"]) == {"ketamine-placebo", "placebo-ketamine"}
    assert set(table["time"].astype(int)) == {0, 50, 165}
    page = (given / "out/group/networks/networks.html").read_text()
    assert "35 visits of a crossover" in page and "Fewer than 3 persons" not in page


def test_compare_finds_the_planted_effects(given):
    folder = given / "out/group/compare"
    rows = read_table(folder / "comparisons.tsv").set_index(["outcome", "contrast"])
    primary = rows.loc[("segregation", "treatment")]
    assert primary["family"] == "primary" and primary["estimate"] < 0 and primary["p"] < 0.001
    assert primary["p_permutation"] == pytest.approx(0.1)  # 2 of the 20 ways
    assert (primary["n"], primary["visits"]) == (6, 23)
    assert rows.loc[("in:Vis", "treatment"), "estimate"] < -0.2
    assert rows.loc[("in minus out", "treatment"), "family"] == "set x treatment"
    assert rows.loc[("in minus out", "treatment"), "p"] < 0.01
    assert ("segregation", "treatment x time") in rows.index


def test_compare_writes_edges_notes_and_a_page(given):
    folder = given / "out/group/compare"
    matrix = read_table(folder / "edges_estimate_treatment_at_165.tsv").set_index("name")
    within = matrix.loc["Vis_0", "Vis_3"]
    assert matrix.shape == (24, 24) and within < -0.1
    notes = (folder / "notes.txt").read_text()
    assert "3 persons ketamine then placebo" in notes and "276 edges" in notes
    assert "no evidence that the sets differ" in notes
    page = (folder / "compare.html").read_text()
    assert "Do the sets respond differently?" in page and "ketamine minus placebo" in page
    assert (folder / "verdict.txt").read_text().startswith("segregation: ketamine minus placebo")


def test_a_multiverse_is_refused(tmp_path, given, capsys):
    text = yaml.safe_load((given / "study.yaml").read_text())
    text |= {"multiverse": {"strategy": ["24P", "32P"]}, "series": text["series"]}
    path = given / "many.yaml"
    path.write_text(yaml.safe_dump(text))
    assert main(["networks", str(path)]) == 2
    assert "one way, in a crossover" in capsys.readouterr().err


def test_rescanning_noise_is_refused(given, capsys):
    text = yaml.safe_load((given / "study.yaml").read_text())
    noise = {"mean": 0.0, "sd": 0.1, "n": 10, "source": "ours"}
    path = given / "noise.yaml"
    path.write_text(yaml.safe_dump(text | {"test_retest": {"segregation": noise}}))
    assert main(["compare", str(path)]) == 2
    told = capsys.readouterr().err
    assert "test_retest" in told and "what rescanning alone gives is in both" in told


def test_connections_of_a_prepost_study(tmp_path, rng):
    atlas = load_atlas().table
    names = [
        name for name in atlas["name"] if name.split("_")[0] in ("Thalamus", "Putamen", "Caudate")
    ]
    mixing, rows = rng.normal(size=(3, len(names))), []
    for person in range(8):
        for role in ("pre", "post"):
            who = {"participant_id": f"sub-{person:02d}", "session_id": f"ses-{role}"}
            rows.append({**who, "role": role, "segregation": rng.normal()})
            series = rng.normal(size=(80, 3)) @ mixing + rng.normal(size=(80, len(names)))
            if role == "post":
                series[:, 0] += 3 * series[:, 1]
            matrix = pd.DataFrame(np.corrcoef(series.T), columns=names)
            matrix.insert(0, "name", names)
            path = derivative_path(
                tmp_path / "out", sub=who["participant_id"], ses=role, datatype="func",
                suffix="relmat", extension=".tsv", task="rest", seg="Schaefer200",
                stat="pearsoncorrelation",
            )  # fmt: skip
            write_table(matrix, path)
    sessions = pd.DataFrame(rows)
    region = sessions[["participant_id", "session_id"]].assign(region=names[0], network="x")
    write_table(sessions, tmp_path / "out/group/sessions.tsv")
    write_table(region.assign(suvr=1.0), tmp_path / "out/group/regions.tsv")
    (tmp_path / "sets.tsv").write_text(
        f"set\tconnection\ta\tb\nA\tone\t{names[0]}\t{names[1]}\nB\ttwo\t{names[2]}\t{names[3]}\n"
    )
    study = {"name": "a", "bids": "bids", "output": "out", "primary": "segregation",
             "connections": ["sets.tsv"], "edges": {"test": False}}  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    assert main(["compare", str(path)]) == 0
    found = read_table(tmp_path / "out/group/compare/connections.tsv").set_index("outcome")
    assert found.loc["A:one", "p"] == pytest.approx(2 / 2**8)
    assert found.loc["A minus B", "family"] == "set x change"
    assert "claim of specificity" in (tmp_path / "out/group/compare/compare.html").read_text()


def test_unknown_regions_of_connections_name_the_nearest(tmp_path, capsys):
    path = write_study(tmp_path)
    (tmp_path / "sets.tsv").write_text("set\tconnection\ta\tb\nA\tone\tThalmus_L\tPutamen_L\n")
    table = PLAN.sessions().assign(ngsc=1.0)
    write_table(table, tmp_path / "out/group/sessions.tsv")
    assert main(["compare", str(path)]) == 2
    told = capsys.readouterr().err
    assert "Thalmus_L" in told and "Thalamus_L" in told
