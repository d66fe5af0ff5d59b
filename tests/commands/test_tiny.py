"""The whole way from raw images on two coarse simulated people."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest

from petfmri.cli import main
from petfmri.errors import DenoisingError
from petfmri.study.files import read_json, read_table

STUDY = """\
name: tiny
bids: bids
output: out
symptoms: {table: phenotype/madrs.tsv, score: madrs}
multiverse: {pvc: [none, IY, GTM], reference: [semiovale, cerebellum]}
bold: {minimum_kept_s: 60, strategy: 24P, band_hz: [0.01, 0.2]}
pet: {psf_mm: 6}
simulation: {preset: tiny, participants: 2, seed: 1}
"""
SIZE = 216  # regions of the atlas


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def group(folder, name):
    return read_table(folder / f"out/group/{name}.tsv")


def values_of(folder, participant, session):
    regions = group(folder, "regions")
    chosen = regions["participant_id"].eq(participant) & regions["session_id"].eq(session)
    return regions[chosen]


def add_lesion(folder):
    """Give sub-01 a lesion of 15 mm in the left centrum semiovale."""
    (path,) = (folder / "bids/sub-01").rglob("*_T1w.nii.gz")
    image = nib.load(path)
    center = np.linalg.inv(image.affine) @ [-25, -20, 28, 1]
    lesion = np.zeros(image.shape, np.uint8)
    lesion[tuple(slice(round(at) - 2, round(at) + 3) for at in center[:3])] = 1
    nib.save(nib.Nifti1Image(lesion, image.affine), lesion_path(path))


def lesion_path(t1w):
    return t1w.with_name(t1w.name.replace("_T1w", "_label-lesion_mask"))


def reference_of(folder, participant):
    return read_json(
        folder / f"out/{participant}/anat/{participant}_desc-ref_label-semiovale_mask.json"
    )


def replace_by_noise(path):
    image = nib.load(path)
    noise = np.random.default_rng(1).uniform(0, 1000, image.shape).astype(np.float32)
    nib.save(nib.Nifti1Image(noise, image.affine, image.header), path)


def check_quantify(study, folder):
    """Curves drawn anew agree with the run's; what the scanner blurred is mostly undone."""
    regions = (folder / "out/group/regions.tsv").read_bytes()
    assert main(["quantify", study, "--n-procs", "1"]) == 0
    found = group(folder, "quantify/estimates").query("session_id == 'ses-pre'")
    values = found.pivot_table(
        index=["participant_id", "region"], columns=["reference", "pvc"], values="value"
    )
    assert len(values) == SIZE * 2 and values.notna().all(axis=None)
    ran = group(folder, "regions").set_index(["participant_id", "session_id", "region"])["suvr"]
    before = ran.xs("ses-pre", level="session_id").reindex(values.index)
    np.testing.assert_allclose(values["semiovale", "none"], before, rtol=1e-4)
    truth = read_table(folder / "bids/truth/regions.tsv").query("session_id == 'ses-pre'")
    truth = truth.set_index(["participant_id", "region"])["suvr_ideal"].reindex(values.index)
    off = (values["semiovale"].div(truth, axis=0) - 1).abs().median()
    assert off["IY"] < 0.75 * off["none"] and off["GTM"] < 0.75 * off["none"]
    (folder / "out/group/regions.tsv").write_bytes(regions)

    text = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(text.replace("pet: {", "pet: {pvc: IY, "))
    assert main(["quantify", study, "--n-procs", "1", "--no-maps"]) == 0
    table = group(folder, "regions")
    assert (table["suvr_iy"] / table["suvr"]).median() > 1.03  # corrected beside measured
    (folder / "study.yaml").write_text(text)
    (folder / "out/group/regions.tsv").write_bytes(regions)


@pytest.mark.slow
def no_confounds(*_, **__):
    raise DenoisingError("a run", "no noise tissue", "some", "look")


def test_two_people_from_raw_images_to_tables(folder, capsys, monkeypatch):
    study = str(folder / "study.yaml")
    run = ["run", study, "--n-procs", "1", "--profile", "linear"]
    assert main(["simulate", study, "--n-procs", "1"]) == 0
    add_lesion(folder)
    assert main(run) == 0
    with_lesion, without = (reference_of(folder, name) for name in ("sub-01", "sub-02"))
    assert len(with_lesion["LesionMasks"]) == 1 and without["LesionMasks"] == []
    assert "lesions" not in without["Steps"]
    *_, before, after = re.findall(r"([\d.]+) mL", with_lesion["Steps"])
    assert float(after) < float(before) - 1  # of 3.4 mL and the 4 mm around them
    assert with_lesion["SpillIn"]["PsfMm"] == [6.0] * 3
    assert 0 < with_lesion["SpillIn"]["GreyPercentOfSignal"] < 30
    regions, sessions = group(folder, "regions"), group(folder, "sessions")
    assert len(regions) == SIZE * 4 and len(sessions) == 4
    assert regions[["suvr", "suvr_boldref", "strength"]].notna().all(axis=None)
    assert regions["suvr"].between(0.3, 15).all()
    assert sessions[["suvr_grey", "segregation", "frames_kept"]].notna().all(axis=None)
    assert {path.name for path in (folder / "out").glob("*.html")} == {
        "index.html",
        "sub-01.html",
        "sub-02.html",
    }

    check_quantify(study, folder)

    capsys.readouterr()
    tables = (folder / "out/group/regions.tsv").read_bytes()
    assert main(run) == 0
    assert "2 participants are up to date; 0 steps executed." in capsys.readouterr().out
    assert (folder / "out/group/regions.tsv").read_bytes() == tables

    before = values_of(folder, "sub-01", "ses-post")
    for scan in (folder / "bids/sub-01/ses-post/func").glob("*_bold.*"):
        scan.unlink()
    (t1w,) = (folder / "bids/sub-02").rglob("*_T1w.nii.gz")
    replace_by_noise(t1w)
    assert main(run) == 1

    after = values_of(folder, "sub-01", "ses-post")
    np.testing.assert_allclose(after["suvr"], before["suvr"], rtol=1e-6)
    # Earlier results of a scan that is gone do not live on.
    assert after[["suvr_boldref", "bold_coverage", "strength"]].isna().all(axis=None)
    assert values_of(folder, "sub-01", "ses-pre")["strength"].notna().all()
    failed = [line for line in capsys.readouterr().err.splitlines() if line.startswith("failed:")]
    assert failed and all(line.startswith("failed: sub-02, ") for line in failed)
    assert all("crash-" in line for line in failed)
    assert values_of(folder, "sub-02", "ses-pre")[["suvr", "strength"]].isna().all(axis=None)
    assert "What failed" in (folder / "out/index.html").read_text(encoding="utf-8")

    # A step that fails late leaves the rest of its person to be looked at, and says why.
    (bold,) = (folder / "bids/sub-01/ses-pre/func").glob("*_bold.nii.gz")
    nib.save(nib.load(bold).slicer[..., :-1], bold)
    (folder / "out/sub-01.html").unlink()
    monkeypatch.setattr("petfmri.interfaces.bold.confounds_table", no_confounds)
    assert main(run) == 1
    assert "no noise tissue" in capsys.readouterr().err
    assert (folder / "out/sub-01.html").exists()
