from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import load_template
from petfmri.localization.contrasts import contrasts_of, in_mni, place_problems, read_peaks
from petfmri.localization.talairach import mni_to_talairach
from petfmri.study.coordinates import read_coordinates
from petfmri.study.files import write_table


def peaks(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    names = ["study", "contrast", "direction", "space", "x", "y", "z"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(file="peaks.tsv", row=range(2, 2 + len(table)), stated=True, n=np.nan)


def place(table: pd.DataFrame) -> list[str]:
    mask = load_template().mask
    found = place_problems(in_mni(table), np.asarray(mask.dataobj) > 0, mask.affine)
    return [f"{problem.severity} {problem}" for problem in found]


def test_contrasts_are_named_by_what_tells_them_apart():
    table = in_mni(
        peaks(
            [
                ("A", "x", "increase", "MNI", 1.0, 2.0, 3.0),
                ("A", "x", "increase", "MNI", 1.0, 2.0, 3.0),
                ("A", "x", "decrease", "MNI", 4.0, 5.0, 6.0),
                ("B", "y", "decrease", "MNI", 4.0, 5.0, 6.0),
            ]
        )
    )
    found = contrasts_of(table)
    assert [(one.name, one.direction, len(one.peaks)) for one in found] == [
        ("A increase", "increase", 1),
        ("A decrease", "decrease", 1),
        ("B", "decrease", 1),
    ]


def test_talairach_comes_back():
    points = np.array([[-42.0, -20.0, 30.0], [5.0, 50.0, -10.0]])
    rows = [("A", "", "increase", "Talairach", *point) for point in mni_to_talairach(points)]
    assert contrasts_of(in_mni(peaks(rows)))[0].peaks == pytest.approx(points)


def test_peaks_that_no_brain_has():
    rows = [
        ("A", "", "increase", "MNI", *point) for point in ((-40, 0, 0), (0, 0, 95), (0, 0, 200))
    ]
    (warning,) = (one for one in place(peaks(rows)) if one.startswith("warning"))
    (error,) = (one for one in place(peaks(rows)) if one.startswith("error"))
    assert "row 3" in warning and "row 4" in error


def test_voxel_indices_are_suspected_but_not_a_right_frontal_study():
    voxels = [("A", "", "increase", "MNI", *p) for p in ((45, 60, 38), (20, 72, 51), (66, 72, 30), (30, 80, 41))]  # fmt: skip
    (found,) = place(peaks(voxels))
    assert found.startswith("error") and "voxel indices" in found and "minus signs" in found
    right = [("A", "", "increase", "MNI", *p) for p in ((40, 30, 20), (44, 10, 30), (20, 50, 10), (6, 20, 50))]  # fmt: skip
    assert place(peaks(right)) == []


def test_a_study_in_neurosynth_that_lost_its_signs(shared_data):
    path = shared_data / "coordinates" / "neuroquery_v1_ketamine.tsv"
    table, _ = read_coordinates([path])
    (found,) = [one for one in place(table) if one.startswith("error")]
    assert "25554429" in found


def test_names_that_are_numbers_stay_text(tmp_path):
    table = in_mni(peaks([("0123", "", "increase", "MNI", 1.0, 2.0, 3.0)]))
    again = read_peaks(write_table(table, tmp_path / "peaks.tsv"))
    assert contrasts_of(again)[0].name == "0123"


def test_joined_names_that_are_alike_stay_apart():
    rows = [
        {"study": "A", "contrast": "1", "direction": "increase"},
        {"study": "A", "contrast": "2", "direction": "increase"},
        {"study": "A 1", "contrast": "", "direction": "decrease"},
    ]
    table = pd.DataFrame([{**row, "space": "MNI", "x": 1.0, "y": 2.0, "z": 3.0} for row in rows])
    found = contrasts_of(in_mni(table))
    assert [(one.name, one.direction) for one in found] == [
        ("A 1", "increase"), ("A 2", "increase"), ("A 1 (2)", "decrease"),
    ]  # fmt: skip
