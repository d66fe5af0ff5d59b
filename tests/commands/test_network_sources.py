"""`petfmri networks` on fMRIPrep's and XCP-D's derivatives."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from tests.bold.test_denoise import confound_frame

from petfmri.cli import main
from petfmri.networks.connectivity import correlate
from petfmri.study.files import read_table

NETWORKS = ["Default"] * 9 + ["SomMot"] * 9
NAMES = [f"{network}_{k}" for k, network in enumerate(NETWORKS)]
GRID = np.array([[8.0, 0, 0, -48], [0, 8, 0, -48], [0, 0, 8, -48], [0, 0, 0, 1]])
SHAPE = (12, 12, 12)
N_FRAMES, TR_S = 160, 2.0
ORIENTATIONS = {
    "RAS": np.eye(4),
    "LAS": np.array([[-1.0, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
}
RUNS = {"RAS": "", "LAS": "_dir-AP_run-1"}


def labels():
    """18 boxes of 4 x 4 x 2 voxels."""
    values = np.zeros(SHAPE, np.int16)
    for k in range(18):
        x, y, z = k % 3, (k // 3) % 3, k // 9
        values[4 * x : 4 * x + 4, 4 * y : 4 * y + 4, 6 * z : 6 * z + 4] = k + 1
    return values


def write_atlas(folder):
    nib.save(nib.Nifti1Image(labels(), GRID), folder / "boxes_dseg.nii.gz")
    pd.DataFrame(
        {
            "index": range(1, 19),
            "name": NAMES,
            "network": NETWORKS,
            "hemisphere": "B",
            "structure": "cortex",
        }
    ).to_csv(folder / "boxes_dseg.tsv", sep="\t", index=False)


def parcel_courses(rng):
    shared = rng.normal(size=(N_FRAMES, 2))
    return shared[:, [int(n == "SomMot") for n in NETWORKS]] + rng.normal(size=(N_FRAMES, 18))


def write_fmriprep(root, rng, orientation):
    turned = GRID @ ORIENTATIONS[orientation]
    for session in ("pre", "post"):
        func = root / "sub-01" / f"ses-{session}" / "func"
        func.mkdir(parents=True)
        stem = func / f"sub-01_ses-{session}_task-rest{RUNS[orientation]}"
        courses = parcel_courses(rng)
        data = np.full((*SHAPE, N_FRAMES), 500.0)
        inside = labels() > 0
        data[inside] = 1000 + 10 * courses[:, labels()[inside] - 1].T
        data[inside] += rng.normal(size=(inside.sum(), N_FRAMES))
        if orientation == "LAS":
            data = data[::-1]
        image = nib.Nifti1Image(data.astype(np.float32), turned)
        image.header.set_zooms((8, 8, 8, TR_S))
        space = f"{stem}_space-MNI152NLin2009cAsym"
        nib.save(image, f"{space}_desc-preproc_bold.nii.gz")
        mask = nib.Nifti1Image((data[..., 0] > 700).astype(np.uint8), turned)
        nib.save(mask, f"{space}_desc-brain_mask.nii.gz")
        steps = func / f"{stem.name}_space-MNI152NLin2009cAsym_desc-preproc_bold.json"
        steps.write_text(json.dumps({"RepetitionTime": TR_S}))
        confound_frame(rng, N_FRAMES).to_csv(
            f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a"
        )


def study(folder, **settings):
    content = {
        "name": "networks of others",
        "output": "out",
        "regions_of_interest": {"Core": ["Default_1", "Default_2"]},
        "bold": {"strategy": "24P", "band_hz": [0.008, 0.12]},
        **settings,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("orientation", list(ORIENTATIONS))
def test_fmriprep_over_an_atlas_of_ones_own_with_maps(tmp_path, rng, orientation):
    write_fmriprep(tmp_path / "fmriprep", rng, orientation)
    write_atlas(tmp_path)
    density = np.where(labels() > 9, 1.0, 3.0) * (labels() > 0)  # SV2A: most in Default
    nib.save(nib.Nifti1Image(density, GRID), tmp_path / "sv2a.nii.gz")
    path = study(
        tmp_path,
        derivatives={"fmriprep": "fmriprep"},
        atlas={"image": "boxes_dseg.nii.gz", "table": "boxes_dseg.tsv"},
        connectivity={"sv2a": "sv2a.nii.gz", "partial": True},
    )
    assert main(["networks", str(path), "--n-procs", "1"]) == 0
    out = tmp_path / "out"
    sessions = read_table(out / "group/networks/sessions.tsv")
    assert sessions["n_parcels"].tolist() == [18, 18]
    assert (sessions["within_fc_Default"] > 0.3).all()
    assert (sessions["between_fc_Default_SomMot"].abs() < 0.25).all()
    regions = read_table(out / "group/networks/regions.tsv")
    assert regions["sv2a_fc"].notna().all()
    stem = out / "sub-01/ses-pre/func/sub-01_ses-pre_task-rest"
    space = "space-MNI152NLin2009cAsym"
    run = f"{stem}{RUNS[orientation]}"
    seed = nib.load(f"{run}_{space}_seed-Core_stat-fisherz_boldmap.nii.gz")
    sv2a = nib.load(f"{run}_{space}_desc-SV2A_stat-fisherz_boldmap.nii.gz")
    (partial,) = out.glob("sub-01/ses-pre/func/*partial*_relmat.tsv")
    assert partial.name == f"{stem.name}_seg-boxesdseg_stat-partialcorrelation_relmat.tsv"
    for image in (seed, sv2a):
        z = nib.as_closest_canonical(image).get_fdata()
        np.testing.assert_array_equal(z == 0, labels() == 0)
        parcels = [z[labels() == k].mean() for k in range(1, 19)]
        default, sommot = np.array(parcels[:9]), np.array(parcels[9:])
        assert default.mean() > sommot.mean() + 0.3  # where the seed lies, where SV2A is
    core = nib.as_closest_canonical(seed).get_fdata()
    assert core[(labels() == 2) | (labels() == 3)].mean() > core[labels() > 3].mean() + 0.3


def test_xcpd_series_as_they_are(tmp_path, rng):
    folder = tmp_path / "xcpd" / "atlases" / "atlas-4S18Parcels"
    folder.mkdir(parents=True)
    pd.DataFrame({"index": range(1, 19), "label": NAMES, "network_label": NETWORKS}).to_csv(
        folder / "atlas-4S18Parcels_dseg.tsv", sep="\t", index=False
    )
    censored = {"pre": 10, "post": 30}
    made = {}
    for session, lost in censored.items():
        func = tmp_path / "xcpd" / "sub-01" / f"ses-{session}" / "func"
        func.mkdir(parents=True)
        stem = f"sub-01_ses-{session}_task-rest"
        outliers = np.zeros(N_FRAMES, int)
        outliers[40 : 40 + lost] = 1
        made[session] = parcel_courses(rng)[outliers == 0]
        pd.DataFrame(made[session], columns=NAMES).to_csv(
            func / f"{stem}_space-MNI152NLin2009cAsym_seg-4S18Parcels_stat-mean_timeseries.tsv",
            sep="\t", index=False,
        )  # fmt: skip
        pd.DataFrame({"framewise_displacement": outliers}).to_csv(
            func / f"{stem}_outliers.tsv", sep="\t", index=False
        )
        pd.DataFrame({"framewise_displacement": [0.2] * N_FRAMES}).to_csv(
            func / f"{stem}_motion.tsv", sep="\t", index=False
        )
        steps = func / f"{stem}_space-MNI152NLin2009cAsym_desc-denoised_bold.json"
        steps.write_text(json.dumps({"RepetitionTime": TR_S, "NuisanceParameters": "36P"}))
    path = study(tmp_path, derivatives={"xcpd": "xcpd"}, atlas="4S18Parcels")
    assert main(["networks", str(path)]) == 0
    sessions = read_table(tmp_path / "out/group/networks/sessions.tsv").set_index("session_id")
    assert sessions["n_frames"].tolist() == [130, 130]
    assert sessions["mean_fd"].tolist() == pytest.approx([0.2, 0.2])
    assert sessions["strategy"].str.contains("36P").all()
    matrix = read_table(next((tmp_path / "out").glob("sub-01/ses-post/func/*_relmat.tsv")))
    np.testing.assert_allclose(
        matrix[NAMES].to_numpy(float), correlate(made["post"]), atol=1e-9
    )  # nothing was cut or cleaned there
