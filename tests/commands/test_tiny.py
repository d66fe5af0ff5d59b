"""The whole way from raw images on two coarse simulated people."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.cli import main
from petfmri.study.files import read_table

STUDY = """\
name: tiny
bids: bids
output: out
symptoms: {table: phenotype/madrs.tsv, score: madrs}
bold: {minimum_kept_s: 60, strategy: 24P, band_hz: [0.01, 0.2]}
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


def replace_by_noise(path):
    image = nib.load(path)
    noise = np.random.default_rng(1).uniform(0, 1000, image.shape).astype(np.float32)
    nib.save(nib.Nifti1Image(noise, image.affine, image.header), path)


@pytest.mark.slow
def test_two_people_from_raw_images_to_tables(folder, capsys):
    study = str(folder / "study.yaml")
    run = ["run", study, "--n-procs", "1", "--profile", "linear"]
    assert main(["simulate", study, "--n-procs", "1"]) == 0
    assert main(run) == 0
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
