"""`petfmri networks` from files to tables and page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.bold.test_denoise import confound_frame

from petfmri.bold.denoise import Cleaning
from petfmri.bold.sessions import Run
from petfmri.cli import main
from petfmri.commands.network_person import Options, person_networks
from petfmri.simulation.connectivity import network_model
from petfmri.simulation.effects import Effects
from petfmri.study.files import read_table

NETWORKS = ["Vis"] * 12 + ["SomMot"] * 12 + ["Default"] * 12 + ["Cont"] * 12
NAMES = [f"{network}_{k}" for k, network in enumerate(NETWORKS)]
EFFECTS = Effects(within_fc_change=-0.25, between_fc_change=0.1, default_sommot_fc_change=0.0)
TR_S = 2.0


def write_study(folder, rng, *, people=5, frames=(220, 220), raw=True, **settings):
    """People whose networks lose within-network connectivity; BOLD with mean 1000."""
    pd.DataFrame({"name": NAMES, "network": NETWORKS}).to_csv(
        folder / "parcels.tsv", sep="\t", index=False
    )
    model = {
        name: network_model(pd.Series(NETWORKS), EFFECTS, scale, (0.0, 0.0))
        for name, scale in (("pre", 0.0), ("post", 1.0))
    }
    for person in range(1, people + 1):
        for (session, one), n in zip(model.items(), frames):
            stem = folder / f"sub-{person:02d}_ses-{session}_run-1"
            series = one.series(n, TR_S, rng) + 1.5 * rng.normal(size=(n, len(NAMES)))
            table = confound_frame(rng, n)
            table.to_csv(f"{stem}_confounds.tsv", sep="\t", index=False, na_rep="n/a")
            pd.DataFrame(1000 + 10 * series, columns=NAMES).to_csv(
                f"{stem}_ts.tsv", sep="\t", index=False
            )
    pattern = str(folder / "sub-{subject}_ses-{session}_run-{run}")
    series = {"files": f"{pattern}_ts.tsv", "parcels": "parcels.tsv", "tr_s": TR_S}
    if raw:
        series["confounds"] = f"{pattern}_confounds.tsv"
    study = {
        "name": "loss of segregation",
        "output": "out",
        "series": series,
        "primary": "segregation",
        "regions_of_interest": {"Core": ["Default_2*"]},
        "bold": {"strategy": "24P", "band_hz": [0.008, 0.12]},
        **settings,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def table(folder, name):
    return read_table(folder / "out" / "group" / "networks" / f"{name}.tsv")


def test_a_planted_loss_of_segregation_comes_back(tmp_path, rng):
    study = write_study(tmp_path, rng, frames=(220, 180))
    assert main(["networks", str(study), "--n-procs", "2"]) == 0
    sessions = table(tmp_path, "sessions")
    assert len(sessions) == 10
    assert set(sessions["n_frames"]) == {180}  # the guard
    assert sessions["df_effective"].between(10, 60).all()
    metrics = ["segregation", "ngsc", "strength_Core", "metastability"]
    assert sessions[metrics].notna().all(axis=None)
    compared = table(tmp_path, "comparisons").set_index("outcome")
    assert compared.loc["segregation", "family"] == "primary"
    assert compared.loc["segregation", "n_fall"] == 5
    assert compared.loc["within_fc_Vis", "family"] == "network details"
    assert compared.loc["within_fc", "change"] < 0 < compared.loc["between_fc", "change"]
    assert (table(tmp_path, "fc_change")["fc_change"] > 0.9).all()
    assert {"half"} == set(table(tmp_path, "reliability")["kind"])
    page = (tmp_path / "out/group/networks/networks.html").read_text()
    assert "segregation fell" in page
    assert (
        "No gradients: their template, the mean over sessions, has groups of" in page
    )  # too few parcels
    matrix = read_table(
        tmp_path / "out/sub-01/ses-pre/func"
        "/sub-01_ses-pre_task-rest_seg-parcels_stat-pearsoncorrelation_relmat.tsv"
    )
    assert list(matrix.columns) == ["name", *NAMES]


def test_a_multiverse_shows_every_choice_beside_the_declared(tmp_path, rng):
    many = {"strategy": ["24P", "32P"], "global_signal": [False, True], "scrub": [True, False]}
    study = write_study(tmp_path, rng, people=3, multiverse=many)
    assert main(["networks", str(study), "--n-procs", "1"]) == 0
    found = table(tmp_path, "multiverse")
    rows = found[found["metric"] == "segregation"]
    assert len(rows) == 8
    assert rows["declared"].astype(str).str.lower().tolist() == ["true", *["false"] * 7]
    assert rows["choice"].iloc[0] == "24P, scrubbed, parcels"
    assert (rows["change"] < 0).all()
    assert rows["g"].notna().all()
    assert "36P, all frames, parcels" in set(rows["choice"])


def test_a_choice_that_loses_everybody_is_still_told(tmp_path, rng):
    study = write_study(
        tmp_path, rng, people=3, multiverse={"scrub": [False, True]},
        bold={"strategy": "24P", "fd_threshold_mm": None},
    )  # fmt: skip
    for path in tmp_path.glob("*_confounds.tsv"):
        moved = read_table(path)
        moved["framewise_displacement"] = 2.0
        moved.to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(["networks", str(study), "--n-procs", "1"]) == 0
    rows = table(tmp_path, "multiverse").set_index(["metric", "choice"]).loc["ngsc"]
    assert rows["n"].to_dict() == {"24P, all frames, parcels": 3, "24P, scrubbed, parcels": 0}
    assert rows["lost"].tolist() == [0, 3]
    page = (tmp_path / "out/group/networks/networks.html").read_text()
    assert "With 24P, scrubbed, parcels, left out: sub-01 ses-pre, run 1" in page


def test_persons_are_not_told_apart_by_the_length_of_their_scans(tmp_path, rng):
    """One noise for all, 130 to 300 frames: reliability near 0, over equally many frames."""
    study, mixing = (
        write_study(tmp_path, rng, people=8, raw=False),
        rng.normal(size=(4, len(NAMES))),
    )
    for person, n in enumerate((130, 150, 170, 190, 220, 250, 280, 300), 1):
        for session in ("pre", "post"):
            shared = rng.normal(size=(n, 4)) @ mixing
            pd.DataFrame(shared + 2 * rng.normal(size=shared.shape), columns=NAMES).to_csv(
                tmp_path / f"sub-{person:02d}_ses-{session}_run-1_ts.tsv", sep="\t", index=False
            )
    assert main(["networks", str(study), "--n-procs", "2"]) == 0
    found = table(tmp_path, "reliability").set_index("metric").loc["ngsc"]
    assert (found["n"], found["frames"]) == (8, 65)
    assert found["icc_low"] < 0.2


def test_runs_with_too_little_left_are_listed_not_measured(tmp_path, rng, capsys):
    study = write_study(tmp_path, rng, people=4)
    path = tmp_path / "sub-02_ses-post_run-1_confounds.tsv"
    moved = read_table(path)
    moved["framewise_displacement"] = 2.0
    moved.to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(["networks", str(study), "--n-procs", "1"]) == 0
    assert "left out: sub-02 ses-post, run 1: 0 s kept" in capsys.readouterr().err
    assert table(tmp_path, "excluded")["run"].tolist() == ["sub-02 ses-post, run 1"]
    sessions = table(tmp_path, "sessions")
    assert len(sessions) == 7
    assert table(tmp_path, "comparisons")["n"].max() == 3


def test_one_person_is_described_and_not_tested(tmp_path, rng):
    study = write_study(tmp_path, rng, people=1, raw=False)
    assert main(["networks", str(study)]) == 0
    folder = tmp_path / "out/group/networks"
    assert not (folder / "comparisons.tsv").exists()
    assert not (folder / "reliability.tsv").exists()
    assert "described, not tested" in (folder / "verdict.txt").read_text()
    assert table(tmp_path, "sessions")["strategy"].tolist() == ["as given"] * 2


def test_everything_that_cannot_be_done_is_said_at_once(tmp_path, rng, capsys):
    study = write_study(
        tmp_path, rng, people=1, raw=False,
        multiverse={"strategy": ["36P"], "atlas": ["Other"]}, connectivity={"sv2a": "own"},
    )  # fmt: skip
    assert main(["networks", str(study)]) == 2
    said = capsys.readouterr().err
    for part in (
        "multiverse: found strategies",
        "multiverse.atlas",
        "connectivity.sv2a: found own",
    ):
        assert part in said


def test_names_that_refer_to_nothing_are_errors(tmp_path, rng, capsys):
    study = write_study(
        tmp_path, rng, people=1, primary="ngscc", networks=["Default", "SomMot", "Visual"],
        regions_of_interest={"Core": ["Deflt_*"]}, multiverse={"strategy": ["24P", "32P"]},
    )  # fmt: skip
    for path in tmp_path.glob("*_confounds.tsv"):
        read_table(path).drop(columns="csf").to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(["networks", str(study)]) == 2
    said = capsys.readouterr().err
    for part in (
        "networks: found Visual", "regions_of_interest.Core: found no region like Deflt_*",
        "primary: found ngscc", "sub-01 ses-pre, run 1: 32P: confounds: found no column csf",
        "sub-01 ses-post, run 1: 32P",
    ):  # fmt: skip
        assert part in said, part
    assert not (tmp_path / "out").exists()


def test_a_choice_that_cannot_censor_is_told_before_anything_is_computed(tmp_path, rng, capsys):
    study = write_study(
        tmp_path, rng, people=1, multiverse={"scrub": [True, False]},
        bold={"strategy": "24P", "fd_threshold_mm": None},
    )  # fmt: skip
    for path in tmp_path.glob("*_confounds.tsv"):
        table = read_table(path).drop(columns="framewise_displacement")
        table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(["networks", str(study)]) == 2
    assert "framewise_displacement: found no such column" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_parcels_without_a_network_are_subcortex_or_an_error(tmp_path, rng, capsys):
    study = write_study(tmp_path, rng, people=1, raw=False)
    parcels = pd.DataFrame({"name": NAMES, "network": NETWORKS, "structure": "cortex"})
    parcels.loc[40:, ["network", "structure"]] = ["n/a", "subcortex"]
    parcels.to_csv(tmp_path / "parcels.tsv", sep="\t", index=False)
    assert main(["networks", str(study)]) == 0
    assert set(table(tmp_path, "sessions")["n_parcels"]) == {40}  # metrics are of the cortex
    parcels.loc[3, "network"] = "n/a"
    parcels.to_csv(tmp_path / "parcels.tsv", sep="\t", index=False)
    assert main(["networks", str(study)]) == 2
    assert f"found no network of {NAMES[3]}" in capsys.readouterr().err


def test_results_of_an_earlier_call_go(tmp_path, rng):
    study = write_study(tmp_path, rng, people=2, raw=False, connectivity={"partial": True})
    assert main(["networks", str(study)]) == 0
    for path in tmp_path.glob("sub-02_*"):
        path.unlink()
    (tmp_path / "out/group/networks/notes.txt").write_text("mine")
    assert main(["networks", str(study)]) == 0
    assert not list((tmp_path / "out" / "sub-02").rglob("*.tsv"))
    assert (tmp_path / "out/group/networks/notes.txt").exists()  # which is the user's
    assert len(list((tmp_path / "out" / "sub-01").rglob("*partial*.tsv"))) == 2


def test_a_repetition_time_that_the_sidecar_contradicts_is_refused(tmp_path, rng, capsys):
    study = write_study(tmp_path, rng, people=1)
    (tmp_path / "sub-01_ses-pre_run-1_ts.json").write_text('{"RepetitionTime": 0.8}')
    assert main(["networks", str(study)]) == 2
    assert "series.tr_s: found 2 s; expected 0.8 s, as beside" in capsys.readouterr().err


def test_an_unknown_displacement_is_no_obstacle_where_nothing_is_censored(tmp_path, rng):
    study = write_study(tmp_path, rng, people=1, bold={"strategy": "24P", "fd_threshold_mm": None})
    path = tmp_path / "sub-01_ses-pre_run-1_confounds.tsv"
    moved = read_table(path)
    moved.loc[7, "framewise_displacement"] = np.nan
    moved.to_csv(path, sep="\t", index=False, na_rep="n/a")
    assert main(["networks", str(study)]) == 0
    assert table(tmp_path, "sessions")["mean_fd"].isna().tolist() == [True, False]


def test_an_error_names_the_person_and_the_session(tmp_path, rng, capsys):
    study = write_study(tmp_path, rng, people=3, raw=False)
    path = tmp_path / "sub-02_ses-post_run-1_ts.tsv"
    series = read_table(path)
    series[NAMES[5]] = 2 * series[NAMES[4]]
    series.to_csv(path, sep="\t", index=False)
    assert main(["networks", str(study), "--n-procs", "1"]) == 2
    assert "sub-02 ses-post: parcel series: found parcels 4 and 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns=NAMES[3]), NAMES[3]),
        (lambda t: t.iloc[:-5], "225 rows|220 rows|215"),
    ],
)
def test_damaged_series_are_refused_by_name(tmp_path, rng, capsys, change, said):
    study = write_study(tmp_path, rng, people=2)
    path = tmp_path / "sub-02_ses-post_run-1_ts.tsv"
    change(read_table(path)).to_csv(path, sep="\t", index=False)
    status = main(["networks", str(study)])
    err = capsys.readouterr().err
    assert any(part in err for part in said.split("|")), (status, err)
    assert status in (1, 2)


def test_sessions_of_different_repetition_times_are_refused(tmp_path, rng):
    from petfmri.networks.comparability import incomparable

    rows = pd.DataFrame(
        {
            "participant_id": ["sub-01"] * 2,
            "session_id": ["ses-pre", "ses-post"],
            "n_frames": [200, 200],
            "tr_s": [2.0, 2.5],
            "strategy": ["24P", "36P"],
        }
    )
    (problem,) = incomparable(rows)
    assert problem.found == (
        "tr_s 2.0 in ses-pre, 2.5 in ses-post; strategy 24P in ses-pre, 36P in ses-post"
    )
    assert incomparable(rows.assign(tr_s=2.0, strategy="24P")) == []


def test_connectivity_that_does_not_change_has_moved_by_one(rng):
    """Halves cleaned together would give 1.1; the mean of sixteen people is within 0.04."""
    atlas = pd.DataFrame({"name": NAMES, "network": NETWORKS, "structure": "cortex"})
    mixing = rng.normal(size=(6, len(NAMES)))
    moved = []
    for _ in range(16):
        sessions = {
            f"ses-{name}": [
                Run(
                    name,
                    1000
                    + rng.normal(size=(300, 6)) @ mixing
                    + 3 * rng.normal(size=(300, len(NAMES))),
                    TR_S,
                    confound_frame(rng, 300),
                )
            ]
            for name in ("pre", "post")
        }
        moved.append(person_networks(sessions, atlas, Options(Cleaning("24P"))).fc_change)
    assert np.mean(moved) == pytest.approx(1, abs=0.04)
