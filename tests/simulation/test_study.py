from __future__ import annotations

import filecmp
import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.images.transform_files import read_affine, read_warp
from petfmri.simulation import study as study_module
from petfmri.simulation.effects import Effects
from petfmri.simulation.presets import STATIC_60_90
from petfmri.simulation.sidecars import pet_sidecar
from petfmri.simulation.study import simulate_study
from petfmri.study.bids import read_cohort
from petfmri.study.checks import check_cohort
from petfmri.study.files import read_json, read_table

PET = "sub-01/ses-post/pet/sub-01_ses-post_trc-UCBJ"


def files_of(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def test_same_bytes_whatever_the_processes_and_the_other_people(study, tiny, tmp_path):
    simulate_study(tmp_path / "again", replace(tiny, n_people=1), seed=11)
    names = [name for name in files_of(study) if "sub-01" in name.parts]
    assert len(names) > 30
    _, different, missing = filecmp.cmpfiles(study, tmp_path / "again", names, shallow=False)
    assert (different, missing) == ([], [])


def test_the_dataset_passes_its_own_check(study):
    cohort = read_cohort(
        study, sessions={"pre": "pre", "post": "post"}, symptoms="phenotype/madrs.tsv"
    )
    columns = ("dose_mg_kg", "arm", "days_since_dose")
    problems = check_cohort(cohort, columns=columns, score="madrs", window_s=(3600, 5400))
    assert [str(problem) for problem in problems if problem.severity == "error"] == []
    assert [person.id for person in cohort.participants] == ["sub-01", "sub-02"]


def test_pet_is_in_becquerel_and_its_sidecar_says_when(study, tiny):
    image, sidecar = nib.load(study / f"{PET}_pet.nii.gz"), read_json(study / f"{PET}_pet.json")
    assert image.shape[3] == len(sidecar["FrameDuration"]) == len(tiny.frame_durations_s)
    assert 300 <= sidecar["InjectedRadioactivity"] <= 400
    suv = image.get_fdata() / (
        1e6 * sidecar["InjectedRadioactivity"] / (1e3 * sidecar["BodyWeight"])
    )
    assert 5 < np.percentile(suv[..., -1], 99.5) < 12


def test_a_static_scan_starts_at_sixty_minutes(tiny):
    start, durations = STATIC_60_90
    static = replace(tiny, scan_start_s=start, frame_durations_s=durations)
    sidecar = pet_sidecar(static, 350.0, 70.0)
    assert (sidecar["FrameTimesStart"], sidecar["FrameDuration"]) == ([3600.0], [1800.0])
    assert sidecar["ScanStart"] == 3600.0


def test_truth_of_regions_obeys_the_algebra(study):
    table = read_table(study / "truth" / "regions.tsv")
    np.testing.assert_allclose(table["bpnd"], table["dvr"] - 1, rtol=1e-6)
    assert len(table) == 2 * 2 * 216
    assert table.notna().all(axis=None)
    planted = read_json(study / "truth" / "planted.json")
    pcc = table["region"].isin(planted["planted_regions"])
    wide = table.pivot_table(
        ["vt", "k1", "suvr_ideal", "suvr_blurred"], ["participant_id", "region"], "session_id"
    )
    change = 100 * (wide.xs("ses-post", axis=1, level=1) / wide.xs("ses-pre", axis=1, level=1) - 1)
    scale = {person["participant_id"]: person["vt_scale"] for person in planted["people"]}
    for (sub, region), row in change.iterrows():
        expected = 8 * scale[sub] if region in planted["planted_regions"] else 0.0
        assert row["vt"] == pytest.approx(expected, abs=1e-6)
        assert row["k1"] == pytest.approx(0, abs=1e-6)
    unplanted = change.loc[~change.index.get_level_values("region").isin(table["region"][pcc])]
    # Ideal ratios move a little without a change: the tracer arrives some seconds later or earlier.
    assert unplanted["suvr_ideal"].abs().max() < 0.5
    # The resolution lets neighbours see the planted change, not the rest.
    assert unplanted["suvr_blurred"].abs().median() < 0.3
    of_planted = change.loc[change.index.get_level_values("region").isin(table["region"][pcc])]
    visible = of_planted["suvr_blurred"].groupby("participant_id").mean()
    for sub, percent in visible.items():
        assert 0.35 < percent / (8 * scale[sub]) < 0.62


def test_planted_summary_is_that_of_the_tables(study):
    planted = read_json(study / "truth" / "planted.json")
    sessions = read_table(study / "truth" / "sessions.tsv").set_index(
        ["participant_id", "session_id"]
    )
    madrs = read_table(study / "phenotype" / "madrs.tsv").set_index(
        ["participant_id", "session_id"]
    )
    for person in planted["people"]:
        for number, label in enumerate(("ses-pre", "ses-post")):
            key = (person["participant_id"], label)
            assert person[f"segregation_{label}"] == pytest.approx(sessions.loc[key, "segregation"])
            score = madrs.loc[key, "madrs"]
            assert person["madrs"][number] == (None if np.isnan(score) else score)
        assert person["vt_percent"] == pytest.approx(8 * person["vt_scale"])
    assert (sessions["mean_fd"] - 0.2).abs().max() < 1e-6


def test_transforms_on_disk_are_inverse_and_carry_the_parcels(study):
    truth = study / "truth"
    for folder, stem, space in (("pet", "trc-UCBJ", "pet"), ("func", "task-rest", "boldref")):
        base = f"sub-01/ses-pre/{folder}/sub-01_ses-pre_{stem}"
        to, back = (
            read_affine(truth / f"{base}_from-{a}_to-{b}_mode-image_xfm.txt")
            for a, b in ((space, "T1w"), ("T1w", space))
        )
        assert (to @ back).is_identity
    name = "truth/sub-01/anat/sub-01"
    space = "MNI152NLin2009cAsym"
    to_template = read_warp(study / f"{name}_from-{space}_to-T1w_mode-image_xfm.nii.gz")
    to_person = read_warp(study / f"{name}_from-T1w_to-{space}_mode-image_xfm.nii.gz")
    parcels = nib.load(study / f"{name}_seg-Schaefer200_dseg.nii.gz")
    points = nib.affines.apply_affine(
        parcels.affine, np.argwhere(np.asanyarray(parcels.dataobj) > 0)[::50]
    )
    error = np.linalg.norm(to_person.map(to_template.map(points)) - points, axis=1)
    assert error.mean() < 0.15


def test_sessions_table(study):
    table = read_table(study / "sub-01" / "sub-01_sessions.tsv")
    assert table["session_id"].tolist() == ["ses-pre", "ses-post"]
    assert table["dose_mg_kg"].tolist() == [0.0, 0.5]
    assert np.isnan(table["days_since_dose"][0]) and 1 <= table["days_since_dose"][1] <= 8
    assert (pd.to_datetime(table["acq_time"]).dt.year < 1925).all()


def test_a_folder_with_content_is_left_alone(study, tiny):
    before = files_of(study)
    with pytest.raises(DatasetError, match="content"):
        simulate_study(study, tiny, seed=11)
    assert files_of(study) == before


def test_a_failure_leaves_nothing(tiny, tmp_path, monkeypatch):
    def fail(*_):
        raise DatasetError("disk", "full", "room", "make some")

    monkeypatch.setattr(study_module, "simulate_participant", fail)
    with pytest.raises(DatasetError, match="disk"):
        simulate_study(tmp_path / "bids", tiny, seed=1)
    assert list(tmp_path.iterdir()) == []


def test_impossible_effects_are_refused_before_work(tiny, tmp_path):
    with pytest.raises(Exception, match="smaller change"):
        simulate_study(tmp_path / "bids", tiny, seed=1, effects=Effects(between_fc_change=0.9))
    assert list(tmp_path.iterdir()) == []


def test_sidecars_are_valid_json_without_nan(study):
    paths = list(study.rglob("*.json"))
    assert len(paths) > 10
    for path in paths:
        json.loads(path.read_text(), parse_constant=pytest.fail)
