"""Tables and maps as PETFit, PETsurfer-BIDS, petprep_km and petfmri name and fill them."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.study.files import write_table
from petfmri.study.kinpar import find_kinpars, one_measure, read_kinpar
from petfmri.study.mimap import find_mimaps, read_mimap, require_one_measure


def write(folder, name, columns, sidecar=None, ses="ses-pre"):
    path = folder / f"sub-01/{ses}/pet/sub-01_{name}_kinpar.tsv"
    write_table(pd.DataFrame(columns), path)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar))
    return path


def values(path):
    found = {}
    for row in read_kinpar(path).itertuples():
        found.setdefault(row.region, {})[row.measure] = row.value
    return found


PETFIT = {"region": ["Frontal", "PCC"], "R1": [0.9, 0.8], "BPnd": [2.0, 2.5], "BPnd-se": [0.1] * 2}
SURFER = {"ROI": ["Left-Putamen"], "k2": [0.12], "k2a": [0.04], "k2-k2a": [0.08]}
KM = {"name": ["Left-Putamen"], "K1": [0.1], "k2": [0.07], "vB": [0.1], "VT": [1.5], "VT_var": [1]}
OWN = {"name": ["PCC"], "volume_mm3": [900.0], "coverage": [1.0], "suvr": [3.2], "missing": [""]}


@pytest.mark.parametrize(
    ("name", "columns", "sidecar", "expected", "origin"),
    [
        ("model-SRTM2_desc-model1", PETFIT, {"ModelName": "SRTM2"},
         {"Frontal": {"BPND": 2.0, "R1": 0.9}, "PCC": {"BPND": 2.5, "R1": 0.8}},
         (None, "SRTM2", None, "none")),
        ("model_2TCM_irr_desc-model1", {"region": ["PCC"], "Vt": [19.0]}, None,
         {"PCC": {"VT": 19.0}}, (None, "2TCMirr", None, "none")),
        ("ses-pre_trc-UCBJ_model-MRTM2", SURFER, {"ReferenceRegion": ["lh-cer", "rh-cer"]},
         {"Left-Putamen": {"BPND": 2.0}}, ("UCBJ", "MRTM2", "lh-cer+rh-cer", "none")),
        ("ses-pre_seg-gtm_model-1tcm", KM, {"ModelName": "1tcm", "BloodType": "arterial"},
         {"Left-Putamen": {"VT": 1.5, "K1": 0.1}}, (None, "1tcm", None, "none")),
        ("ses-pre_trc-UCBJ_seg-S_ref-semiovale_pvc-none_meas-SUVR", OWN, None,
         {"PCC": {"SUVR": 3.2}}, ("UCBJ", "SUVR", "semiovale", "none")),
        ("ses-pre_seg-S_ref-cerebellum_pvc-IY_model-SRTM", {"name": ["PCC"], "bp": [2.0], "dvr": [3.0]},
         None, {"PCC": {"BPND": 2.0, "DVR": 3.0}}, (None, "SRTM", "cerebellum", "IY")),
    ],
)  # fmt: skip
def test_every_tool_in_one_form(tmp_path, name, columns, sidecar, expected, origin):
    path = write(tmp_path, name, columns, sidecar)
    assert values(path) == expected
    row = read_kinpar(path).iloc[0]
    assert (row["participant"], row["session"], row["path"]) == ("sub-01", "ses-pre", str(path))
    assert tuple(row[["tracer", "model", "reference", "pvc"]]) == origin
    assert find_kinpars(tmp_path) == (path,)


@pytest.mark.parametrize("spelling", ["bp", "BP", "bp_nd", "BPND", "BP_ND", "BPnd", "bp-nd"])
def test_spellings_of_a_column(tmp_path, spelling):
    path = write(tmp_path, "model-SRTM", {"region": ["PCC"], spelling: [2.5]})
    assert values(path) == {"PCC": {"BPND": 2.5}}


def test_binding_potential_from_rate_constants_comes_back(tmp_path, rng):
    """MRTM2: k2a = k2 / (1 + BP_ND); a k2a of 0 gives none."""
    truth, k2 = rng.uniform(0.2, 5, 40), rng.uniform(0.02, 0.2, 40)
    k2a = k2 / (1 + truth)
    k2a[0] = 0
    names = [f"R{number}" for number in range(40)]
    rows = read_kinpar(write(tmp_path, "model-MRTM2", {"ROI": names, "k2": k2, "k2a": k2a}))
    assert np.isnan(rows["value"][0])
    np.testing.assert_allclose(rows["value"][1:], truth[1:], rtol=1e-7)


def test_choosing_by_entities_and_what_is_passed_over(tmp_path):
    first, second = (
        write(tmp_path, f"ses-pre_model-{model}", {"region": ["PCC"], "bp": [2.0]})
        for model in ("MRTM2", "SRTM")
    )
    write(tmp_path, "desc-delayfit", {"region": ["PCC"], "inpshift": [2.0]})
    write(tmp_path, "ses-pre_space-boldref_meas-SUVR", {"name": ["PCC"], "suvr_boldref": [2.0]})
    assert find_kinpars(tmp_path) == (first, second)
    assert find_kinpars(tmp_path, model="SRTM") == (second,)
    with pytest.raises(DatasetError, match=r"no \*_model-Logan_kinpar"):
        find_kinpars(tmp_path, model="Logan")


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("model-SRTM", {"parcel": ["PCC"], "bp": [2.0]}, "expected one of region, name, ROI"),
        ("model-SRTM", {"region": ["PCC"], "k2": [2.0]}, "expected one of VT, DVR"),
        ("model-SRTM", {"region": ["PCC"], "bp": [2.0], "BPND": [2.0]}, "BPND in one column"),
        ("meas-DVR", {"region": ["PCC"], "bp": [2.0]}, "expected DVR"),
        ("model-SRTM", {"region": ["A", "A"], "bp": [2.0, 1.0]}, "A more than once"),
        ("model-SRTM", {"region": ["A", "B"], "bp": ["2.0", "fail"]}, "'fail'"),
        ("old_model", {"region": ["PCC"], "bp": [2.0]}, "not of key-value pairs"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, name, columns, message):
    with pytest.raises(DatasetError, match=message):
        read_kinpar(write(tmp_path, name, columns))


def test_a_missing_value_stays_missing(tmp_path):
    rows = read_kinpar(write(tmp_path, "model-SRTM", {"region": ["A", "B"], "bp": [2.0, None]}))
    assert rows["value"].isna().tolist() == [False, True]


def pair(tmp_path, name, columns, sidecar=None, first=("model-SRTM2_ref-cer", PETFIT, None)):
    paths = write(tmp_path, *first), write(tmp_path, name, columns, sidecar, ses="ses-post")
    return paths, [read_kinpar(path) for path in paths]


def test_two_sessions_of_one_measure_are_joined(tmp_path):
    _, tables = pair(tmp_path, "model-srtm2_ref-cer", PETFIT)
    rows = one_measure(tables)
    assert rows["measure"].unique().tolist() == ["BPND"] and len(rows) == 4
    assert one_measure(tables, "r1")["value"].tolist() == [0.9, 0.8, 0.9, 0.8]


@pytest.mark.parametrize(
    ("name", "columns", "measure", "message"),
    [
        ("model-SRTM2_ref-cer", {"region": ["PCC"], "DVR": [3.5]}, None, "measure BPND in .* DVR"),
        ("model-SRTM2_ref-cer", {"region": ["PCC"], "VT": [20]}, "BP_ND", "measure BPND in .* VT"),
        ("ref-cer_meas-SUVR", {"name": ["PCC"], "suvr": [3.5]}, None, "measure BPND in .* SUVR"),
        ("model-SRTM_ref-cer", PETFIT, None, "model SRTM2 in the one, SRTM in the other"),
        ("model-SRTM2_ref-semiovale", PETFIT, None, "reference cer in the one, semiovale"),
        ("model-SRTM2_ref-cer_pvc-IY", PETFIT, "R1", "pvc none in the one, IY in the other"),
        ("trc-UCBJ_model-SRTM2_ref-cer", PETFIT, None, "tracer not stated in the one, UCBJ"),
    ],
)
def test_mixtures_are_refused_and_both_files_named(tmp_path, name, columns, measure, message):
    paths, tables = pair(tmp_path, name, columns)
    with pytest.raises(DatasetError, match=message) as caught:
        one_measure(tables, measure)
    assert all(str(path) in str(caught.value) for path in paths)


def test_two_fits_of_one_session_are_not_joined(tmp_path):
    paths = [write(tmp_path, f"model-SRTM_desc-model{n}", PETFIT) for n in (1, 2)]
    with pytest.raises(DatasetError, match="Frontal of sub-01 ses-pre 2 times") as caught:
        one_measure([read_kinpar(path) for path in paths])
    assert all(str(path) in str(caught.value) for path in paths)


def test_several_outcomes_in_one_table_need_a_name(tmp_path):
    table = read_kinpar(write(tmp_path, "model-SRTM", {"region": ["A"], "bp": [2], "dvr": [3]}))
    with pytest.raises(DatasetError, match="BPND and DVR"):
        one_measure([table])
    assert one_measure([table], "DVR")["value"].tolist() == [3]
    with pytest.raises(DatasetError, match="at least one"):
        one_measure([])


def add_map(folder, name, sidecar=None, shape=(4, 5, 6), affine=None):
    path = folder / f"sub-01/ses-pre/pet/sub-01_ses-pre_{name}_mimap.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([-2.0, 2, 3, 1]) if affine is None else affine
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), path)
    if sidecar is not None:
        path.with_name(f"{path.name.removesuffix('.nii.gz')}.json").write_text(json.dumps(sidecar))
    return path


def test_maps_say_what_they_measure(tmp_path):
    surfer = add_map(
        tmp_path,
        "trc-UCBJ_space-MNI152NLin2009cAsym_desc-sm6_model-MRTM2_meas-BPND",
        {"ModelName": "MRTM2", "ReferenceRegion": ["cerebellum"]},
    )
    add_map(tmp_path, "hemi-L_space-fsaverage_model-MRTM2_meas-BPND", shape=(40, 1, 1))
    volume = add_map(tmp_path, "space-T1w_model-Logan_meas-VT", {"Units": "mL/cm3"})
    assert find_mimaps(tmp_path) == (volume, surfer)
    assert find_mimaps(tmp_path, meas="VT") == (volume,)
    bpnd, vt = read_mimap(surfer), read_mimap(volume)
    assert (bpnd.path, bpnd.measure, bpnd.units) == (surfer, "BPND", "unitless")
    assert (bpnd.model, bpnd.reference, bpnd.tracer) == ("MRTM2", "cerebellum", "UCBJ")
    assert (vt.measure, vt.units, vt.space) == ("VT", "mL/cm3", "T1w")
    require_one_measure([bpnd, bpnd])
    with pytest.raises(DatasetError, match="measure BPND in the one, VT") as caught:
        require_one_measure([bpnd, vt])
    assert str(surfer) in str(caught.value) and str(volume) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sidecar", "shape", "message"),
    [
        ("model-MRTM2", None, (4, 4, 4), "no meas- entity"),
        ("meas-SUVR", {"Measure": "DVR"}, (4, 4, 4), "SUVR and DVR"),
        ("meas-thickness", None, (4, 4, 4), "found thickness"),
        ("meas-SUVR", {"Units": "kBq/mL"}, (4, 4, 4), "unitless for SUVR"),
        ("meas-SUVR", None, (4, 4, 4, 2), "4 × 4 × 4 × 2 voxels"),
        ("hemi-L_meas-SUVR", None, (40, 1, 1), "a surface"),
    ],
)
def test_maps_that_cannot_be_used(tmp_path, name, sidecar, shape, message):
    with pytest.raises(DatasetError, match=message):
        read_mimap(add_map(tmp_path, name, sidecar, shape))


def test_maps_that_are_not_there_or_damaged(tmp_path):
    with pytest.raises(DatasetError, match=r"no \*_meas-VT_mimap"):
        find_mimaps(tmp_path, meas="VT")
    path = add_map(tmp_path, "meas-SUVR")
    path.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="damaged data"):
        read_mimap(path)
