"""Edges, parcels and voxels of `petfmri compare`, from delivered files to tables, images and page."""

from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import load_atlas
from petfmri.commands.compare_edges import read_matrices
from petfmri.commands.compare_levels import level_sections, levels_of
from petfmri.config import load_study
from petfmri.errors import ConfigError, DatasetError
from petfmri.reports.page import Page
from petfmri.study.files import read_json, read_table, write_table

PEOPLE, NAMES = 7, [f"p{i}" for i in range(12)]
AFFINE = np.array([[4.0, 0, 0, -36], [0, 4, 0, -72], [0, 0, 4, 0], [0, 0, 0, 1]])
STEM = "sub-{:02d}_ses-{}_trc-UCBJ_space-MNI152NLin2009cAsym_res-2_ref-semiovale_pvc-none_meas-SUVR"


def study_in(folder, text="", people=PEOPLE, shape=(14, 14, 12)):
    """Write matrices in which parcels 0-4 part, and maps in which a block rises."""
    rng = np.random.default_rng(3)
    for person in range(1, people + 1):
        base = rng.normal(0, 0.3, (12, 12))
        uptake = rng.normal(2, 0.2, shape)
        for session in ("pre", "post"):
            z = base + rng.normal(0, 0.05, base.shape)
            image = uptake + rng.normal(0, 0.05, shape)
            if session == "post":
                z[:5, :5] -= 0.4
                image[4:9, 4:9, 4:9] += 0.3
            z = np.triu(z, 1) + np.triu(z, 1).T
            image[0] = 0
            home = folder / f"out/sub-{person:02d}/ses-{session}"
            table = pd.DataFrame(np.tanh(z) + np.eye(12), columns=NAMES)
            table.insert(0, "name", NAMES)
            name = f"sub-{person:02d}_ses-{session}_task-rest_seg-Schaefer200_stat-pearsoncorrelation_relmat.tsv"
            write_table(table, home / "func" / name)
            (home / "pet").mkdir(parents=True, exist_ok=True)
            path = home / "pet" / f"{STEM.format(person, session)}_mimap.nii.gz"
            nib.save(nib.Nifti1Image(image.astype(np.float32), AFFINE), path)
    path = folder / "study.yaml"
    path.write_text(f"name: x\nbids: bids\noutput: out\n{text}")
    return load_study(path)


REGIONS = pd.DataFrame({"region": NAMES, "network": ["Default"] * 5 + ["Vis"] * 7})


def parcel_changes():
    """Changes of ten neighbouring parcels of the atlas that rise a little, and the rest."""
    atlas, rng = load_atlas().table, np.random.default_rng(4)
    outcomes = [f"suvr:{name}" for name in atlas["name"]]
    change = rng.normal(0, 0.1, (PEOPLE, len(outcomes)))
    change[:, :10] += 0.15
    changes = pd.DataFrame(
        {
            "participant_id": np.repeat([f"sub-{i:02d}" for i in range(PEOPLE)], len(outcomes)),
            "outcome": outcomes * PEOPLE,
            "change": change.ravel(),
        }
    )
    comparisons = pd.DataFrame(
        {
            "outcome": outcomes, "region": atlas["name"], "network": atlas["network"], "n": PEOPLE,
            "family": "regions", "change": change.mean(axis=0), "p_fwe": 1.0,
            "t": change.mean(axis=0) / change.std(axis=0, ddof=1) * PEOPLE**0.5,
        }
    )  # fmt: skip
    return SimpleNamespace(comparisons=comparisons, changes=changes)


def test_every_level_to_tables_images_and_page(tmp_path):
    study = study_in(tmp_path, "edges: {threshold_t: 6}\nvoxels: {fwhm_mm: 5}\n")
    levels = levels_of(study, parcel_changes(), REGIONS)
    folder = tmp_path / "out/group/compare"
    components = read_table(folder / "components.tsv")
    first = components.iloc[0]
    assert (first["threshold_t"], first["edges"], first["direction"]) == (6, 10, "fall")
    assert first["p_fwe"] == first["p_smallest"] == 2 / 2**PEOPLE
    edges = read_table(folder / "edges.tsv")
    assert set(edges["parcel_1"]) | set(edges["parcel_2"]) >= set(NAMES[:5])
    assert read_table(folder / "edges_t.tsv").shape == (12, 13)
    parcels = read_table(folder / "parcels.tsv")
    assert parcels["outcome"].iloc[0].startswith("suvr:7Networks_LH_Vis")
    assert parcels["p_tfce"].between(2 / 2**PEOPLE, 1).all()
    t, logp = (nib.load(folder / f"voxels_{name}.nii.gz") for name in ("t", "logptfce"))
    np.testing.assert_array_equal(t.affine, AFFINE)
    assert not t.get_fdata()[0].any()
    inside = logp.get_fdata()[5:8, 5:8, 5:8]
    np.testing.assert_allclose(inside, -np.log10(2 / 2**PEOPLE), rtol=1e-5)
    about = read_json(folder / "voxels_logptfce.json")
    assert about["SmoothingFWHM_mm"] == 5 and about["Tests"] == 13 * 14 * 12
    peak = read_table(folder / "peaks.tsv").iloc[0]
    assert peak["direction"] == "rise" and peak["p_tfce"] == 2 / 2**PEOPLE
    page = Page("t")
    level_sections(page, levels)
    html = page.html()
    assert [section.title for section in page.sections] == [
        "Every connection", "Regions and their neighbours", "Every voxel"
    ]  # fmt: skip
    assert "all 128 sign patterns of 7 persons" in html and "66 tests" in html


def test_too_few_persons_are_said_and_levels_can_be_off(tmp_path):
    empty = SimpleNamespace(
        comparisons=pd.DataFrame({"family": [], "region": []}), changes=pd.DataFrame()
    )
    levels = levels_of(study_in(tmp_path, people=2), empty, REGIONS)
    assert levels.notes == [
        "Edges are not tested: 2 persons have matrices of both sessions.",
        "Voxels are not tested: 2 persons have maps of both sessions in one standard space.",
    ]
    page = Page("t")
    level_sections(page, levels)
    assert [section.title for section in page.sections] == ["Every connection", "Every voxel"]
    off = study_in(tmp_path, "edges: {test: false}\nvoxels: {test: false}\n", people=2)
    assert levels_of(off, empty, REGIONS).notes == []


def test_maps_of_the_user_and_maps_on_another_grid(tmp_path):
    pattern = f"out/sub-{{subject}}/ses-{{session}}/pet/{STEM.replace('{:02d}', '{subject}').replace('{}', '{session}')}_mimap.nii.gz"
    text = f"pet: {{model: SRTM2}}\nprimary: bpnd:PCC\nedges: {{test: false}}\nvoxels: {{maps: '{pattern}', fwhm_mm: 0}}\n"
    study = study_in(tmp_path, text)
    empty = SimpleNamespace(
        comparisons=pd.DataFrame({"family": [], "region": []}), changes=pd.DataFrame()
    )
    found = levels_of(study, empty, REGIONS)
    assert found.voxels is not None and found.voxels.found.mask.sum() == 13 * 14 * 12
    assert "unsmoothed" in found.notes[-1]
    path = next((tmp_path / "out/sub-03/ses-post/pet").iterdir())
    image = nib.load(path)
    nib.save(nib.Nifti1Image(image.get_fdata(), AFFINE + np.diag([1, 0, 0, 0])), path)  # fmt: skip
    with pytest.raises(DatasetError, match="another grid"):
        levels_of(study, empty, REGIONS)
    with pytest.raises(ConfigError, match=r"where \{subject\} and"):
        study_in(tmp_path, "voxels: {maps: 'maps/sub-{subject}.nii.gz'}\n", people=0)


def test_matrices_are_those_of_persons_with_both_sessions(tmp_path):
    study = study_in(tmp_path, people=3)
    for path in (tmp_path / "out/sub-02/ses-post/func").iterdir():
        path.unlink()
    found = read_matrices(study, REGIONS)
    assert found.of["pre"].shape == (2, 12, 12)
    assert found.networks == REGIONS["network"].tolist()


def test_covariates_of_the_sessions_adjust_edges_parcels_and_voxels(tmp_path):
    study = study_in(tmp_path, "covariates: [mean_fd, r1]\n")
    rng = np.random.default_rng(8)
    people = [f"sub-{person:02d}" for person in range(1, PEOPLE + 1)]
    sessions = pd.DataFrame(
        [
            {"participant_id": who, "session_id": f"ses-{role}", "role": role, "mean_fd": rng.uniform(0.1, 0.3)}
            for who in people
            for role in ("pre", "post")
        ]
    )  # fmt: skip
    sessions.loc[0, "mean_fd"] = np.nan
    levels = levels_of(study, parcel_changes(), REGIONS, sessions)
    for level in ("connection", "voxel"):
        told = " ".join(levels.told[level])
        assert "Adjusted for mean_fd." in told
        assert "because a covariate is missing: sub-01." in told
        assert "of 5 persons" in told  # six persons, one covariate
    assert levels.edges.edges["n"].iloc[0] == 6
    plain = levels_of(study, parcel_changes(), REGIONS)
    assert not any("Adjusted" in note for note in plain.notes)
