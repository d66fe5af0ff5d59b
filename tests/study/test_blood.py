"""BIDS blood: what is read, and that everything wrong is said at once."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.study.blood import blood_files, read_blood, read_input_function

STEM = "sub-01_ses-pre_recording-"
MANUAL = {
    "time": [20, 60, 300, 1200, 2400, 3600],
    "plasma_radioactivity": [0, 60, 20, 8, 6, 5],
    "whole_blood_radioactivity": [0, 5e4, 18e3, 7e3, 5e3, "n/a"],
    "metabolite_parent_fraction": ["n/a", 0.95, 0.8, 0.5, 0.4, 0.3],
}
SIDECAR = {
    "PlasmaAvail": True,
    "WholeBloodAvail": True,
    "MetaboliteAvail": True,
    "DispersionCorrected": False,
    "time": {"Units": "s"},
    "plasma_radioactivity": {"Units": "kBq/mL"},
    "whole_blood_radioactivity": {"Units": "Bq/mL"},
}


@pytest.fixture
def scan(tmp_path):
    folder = tmp_path / "sub-01/ses-pre/pet"
    folder.mkdir(parents=True)
    image = folder / "sub-01_ses-pre_trc-UCBJ_pet.nii.gz"
    write(folder / f"{STEM}manual_blood.tsv", MANUAL, SIDECAR)
    return image


def write(path, columns, sidecar):
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False)
    if sidecar is not None:
        path.with_suffix(".json").write_text(json.dumps(sidecar))


def rewrite(scan, columns=None, sidecar=None):
    columns = {name: v for name, v in (MANUAL | (columns or {})).items() if v is not None}
    fields = {name: v for name, v in (SIDECAR | (sidecar or {})).items() if v is not None}
    write(scan.parent / f"{STEM}manual_blood.tsv", columns, fields)


def problems(scan, **options):
    with pytest.raises(DatasetError) as caught:
        read_blood(scan, **options)
    return [str(problem).lower() for problem in caught.value.problems]


def test_manual_samples_in_our_units(scan):
    blood = read_blood(scan, injection_start_s=5)
    assert blood.manual["time_s"].tolist() == [15, 55, 295, 1195, 2395, 3595]
    assert blood.manual["plasma_kbq_ml"].tolist() == [0, 60, 20, 8, 6, 5]
    np.testing.assert_allclose(blood.manual["whole_blood_kbq_ml"][:3], [0, 50, 18])
    assert blood.manual["whole_blood_kbq_ml"].isna().tolist() == [False] * 5 + [True]
    assert blood.manual["parent_fraction"].isna().tolist() == [True] + [False] * 5
    assert blood.sampler is None
    assert blood.warnings == ()


def test_sampler_and_inherited_sidecar(scan, tmp_path):
    path = scan.parent / f"{STEM}autosampler_blood.tsv"
    write(path, {"time": [0, 1, 30], "whole_blood_radioactivity": [0, 1, 9]}, None)
    inherited = {"whole_blood_radioactivity": {"Units": "kBq/mL"}, "DispersionCorrected": False}
    (tmp_path / "recording-autosampler_blood.json").write_text(json.dumps(inherited))
    blood = read_blood(scan)
    assert blood.sampler["whole_blood_kbq_ml"].tolist() == [0, 1, 9]
    assert len(blood.paths) == 2
    assert [w.severity for w in blood.warnings] == ["warning"]
    assert "dispersion" in str(blood.warnings[0])


def test_other_scans_blood_is_left_alone(scan):
    write(scan.parent / "sub-01_ses-pre_trc-PIB_recording-manual_blood.tsv", MANUAL, SIDECAR)
    assert list(blood_files(scan)) == ["manual"]


def test_everything_wrong_is_said_at_once(scan):
    rewrite(
        scan,
        {
            "time": [20, 60, 300, 1200, 0, 0],
            "plasma_radioactivity": None,
            "metabolite_parent_fraction": [95, 95, 80, 50, 40, 30],
        },
        {"whole_blood_radioactivity": {"Units": "counts"}},
    )
    found = problems(scan)
    assert len(found) == 4
    for expected in ("plasmaavail true", "0 s after 1200 s", "'counts'", "divide percent by 100"):
        assert any(expected in text for text in found), expected


@pytest.mark.parametrize(
    ("columns", "sidecar", "expected"),
    [
        ({"time": [0.3, 1, 5, 20, 40, 60]}, None, "multiply by 60"),
        ({"time": [0, 60, 300, "n/a", 2400, 3600]}, None, "missing times"),
        ({"plasma_radioactivity": [0, "hot", 2, 3, 4, 5]}, None, "'hot'"),
        ({"plasma_radioactivity": [0, 6e4, 2e4, 8e3, 6e3, 5e3]}, None, "easily exchanged"),
        ({"plasma_radioactivity": ["n/a"] * 6}, None, "no values in plasma_radioactivity"),
        (None, {"time": {"Units": "min"}}, "units 'min'"),
        (None, {"plasma_radioactivity": None}, "found none; expected such as kbq/ml"),
    ],
)
def test_one_fault(scan, columns, sidecar, expected):
    rewrite(scan, columns, sidecar)
    found = problems(scan)
    assert len(found) == 1
    assert expected in found[0]


def test_no_blood_or_too_much(scan):
    write(scan.parent / f"{STEM}venous_blood.tsv", MANUAL, SIDECAR)
    assert "2 recordings" in problems(scan)[0]
    for path in scan.parent.glob("*_blood.*"):
        path.unlink()
    assert "no *_blood.tsv" in problems(scan)[0]


def test_samples_of_draw_time_are_suspected(scan):
    decayed = np.array([0, 60, 20, 8, 6, 5]) * np.exp2(-np.array(MANUAL["time"]) / 1221.8)
    rewrite(scan, {"plasma_radioactivity": decayed})
    assert (
        "correct the samples for decay"
        in str(read_blood(scan, half_life_s=1221.8).warnings[0]).lower()
    )
    assert read_blood(scan, half_life_s=6586.2).warnings == ()
    rewrite(scan)
    assert read_blood(scan, half_life_s=1221.8).warnings == ()


def test_ready_input_function(tmp_path):
    path = tmp_path / "sub-01_inputfunction.tsv"
    columns = {
        "time": [0, 10, 300],
        "whole_blood_radioactivity": [0, 5e4, 9e3],
        "plasma_radioactivity": [0, 6e4, 1e4],
        "AIF": [0, 5e4, 5e3],
    }
    units = {name: {"Units": "Bq"} for name in columns} | {"time": {"Units": "s"}}
    write(path, columns, units)
    made = read_input_function(path, injection_start_s=2)
    assert made["time_s"].tolist() == [-2, 8, 298]
    assert made["aif_kbq_ml"].tolist() == [0, 50, 5]
    assert made["whole_blood_kbq_ml"].tolist() == [0, 50, 9]
    write(path, columns | {"AIF": [0, "n/a", 1], "time": [10, 0, 300]}, units | {"AIF": {}})
    with pytest.raises(DatasetError) as caught:
        read_input_function(path)
    assert len(caught.value.problems) == 3
    write(path, {"time": [0, 10, 300]}, units)
    with pytest.raises(DatasetError, match="AIF"):
        read_input_function(path)


def test_real_blood(shared_data):
    folder = shared_data / "pet_dynamic"
    scans = sorted((folder / "ds004869").glob("sub-*/ses-*/pet/*_pet.json"))
    assert len(scans) == 20
    for scan in scans:
        if scan.name.startswith("sub-01_ses-blocked"):  # says Bq/mL of numbers in kBq/mL
            assert "peak of 0.0775 kbq/ml" in problems(scan)[0]
            continue
        blood = read_blood(scan, half_life_s=1221.8)
        assert blood.warnings == ()
        assert 18 <= len(blood.manual) <= 19
        assert 80 < blood.manual["plasma_kbq_ml"].max() < 250
        assert blood.manual["parent_fraction"].between(0, 1).all()
    alone = read_blood(folder / "ps11/raw/sub-PS11_ses-baseline_pet.json").manual
    assert alone["plasma_kbq_ml"].iloc[0] == pytest.approx(47.1365, rel=1e-4)  # file in Bq/mL
