from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError, FrameError
from petfmri.study.bids import Scan, read_cohort
from petfmri.study.check_pet import sidecar_problems
from petfmri.study.files import read_json, write_table
from petfmri.study.petprep import petprep_participants, read_petprep_study, read_petprep_tacs
from petfmri.study.tables import cohort_table

START, END = [0.0, 600.0, 1800.0], [600.0, 1800.0, 3600.0]
CURVES = {"Left-Cortex": [1000.0, 3000.0, 2000.0], "Right-Cortex": [1100.0, 3100.0, 2100.0]}


def write_tacs(
    folder,
    columns=("frame_start", "frame_end"),
    name="desc-preproc_seg-gtm_tacs",
    ses="ses-pre",
    **changes,
):
    table = pd.DataFrame({columns[0]: START, columns[1]: END} if columns else {})
    curves = {**CURVES, **changes}
    path = folder / f"sub-01/{ses}/pet/sub-01_{ses}_{name}.tsv"
    write_table(pd.concat([table, pd.DataFrame(curves)], axis=1), path)
    path.with_suffix(".json").write_text(json.dumps({"Units": "Bq/mL"}))
    return path


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        (("frame_start", "frame_end"), "desc-preproc_seg-gtm_tacs"),
        (("FrameTimesStart", "FrameTimesEnd"), "desc-preproc_seg-gtm_tacs"),
        (("FrameTimesStart", "FrameTimesEnd"), "desc-preproc_seg-gtm_timeseries"),
    ],
)
def test_all_spellings_are_read(tmp_path, columns, name):
    write_tacs(tmp_path, columns, name)
    (tmp_path / "sub-01/ses-pre/pet/sub-01_ses-pre_desc-confounds_timeseries.tsv").write_text(
        "a\n1\n"
    )
    for sub, ses in (("01", "pre"), ("sub-01", "ses-pre")):
        found = read_petprep_tacs(tmp_path, sub, ses)
        assert found.tacs.loc["Right-Cortex"].tolist() == [1.1, 3.1, 2.1]
        assert found.tacs.shape == (2, 3)
        assert (found.frame_start_s.tolist(), found.frame_end_s.tolist()) == (START, END)
        assert found.volumes_mm3 is None
    assert petprep_participants(tmp_path) == {"sub-01": ("ses-pre",)}


def test_times_may_come_from_the_sidecar(tmp_path):
    path = write_tacs(tmp_path, None)
    times = {"FrameTimesStart": START, "FrameDuration": [600, 1200, 1800]}
    path.with_suffix(".json").write_text(json.dumps({"Units": "kBq/mL", **times}))
    found = read_petprep_tacs(tmp_path, "01", "pre")
    assert found.frame_end_s.tolist() == END
    assert found.tacs.loc["Left-Cortex"].tolist() == [1000, 3000, 2000]
    path.with_suffix(".json").write_text('{"Units": "Bq/mL"}')
    with pytest.raises(FrameError, match="expected frame_start and frame_end"):
        read_petprep_tacs(tmp_path, "01", "pre")


def test_the_table_is_chosen_by_entities(tmp_path):
    for name in (
        "desc-preproc_seg-gtm",
        "desc-preproc_seg-wm",
        "pvc-agtm_desc-preproc_seg-gtm",
        "ref-cerebellum_desc-preproc_seg-gtm",
    ):
        write_tacs(tmp_path, name=f"{name}_tacs")
    with pytest.raises(DatasetError, match=r"2 fitting tables.*choose by|2 fitting tables"):
        read_petprep_tacs(tmp_path, "01", "pre")
    plain = read_petprep_tacs(tmp_path, "01", "pre", seg="gtm").path.name
    assert plain == "sub-01_ses-pre_desc-preproc_seg-gtm_tacs.tsv"
    assert "pvc-agtm" in read_petprep_tacs(tmp_path, "01", "pre", pvc="agtm").path.name
    with pytest.raises(TypeError, match="tracer"):
        read_petprep_tacs(tmp_path, "01", "pre", tracer="MC1")


@pytest.mark.parametrize(
    "values", [[np.nan] * 3, [1.0, np.nan, 2.0], [0.0] * 3, [1.0, np.inf, 2.0]]
)
def test_empty_curves_are_refused_by_name(tmp_path, values):
    write_tacs(tmp_path, Pons=values)
    with pytest.raises(DatasetError, match=r"in Pons; expected a number for every frame"):
        read_petprep_tacs(tmp_path, "01", "pre")


def test_unknown_units_absent_tables_and_wrong_times_are_refused(tmp_path):
    path = write_tacs(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(DatasetError, match="Units: found None"):
        read_petprep_tacs(tmp_path, "01", "pre")
    with pytest.raises(DatasetError, match=r"0 fitting tables \(none\)"):
        read_petprep_tacs(tmp_path, "01", "post")
    with pytest.raises(DatasetError, match=r"no \*_tacs\.tsv"):
        petprep_participants(tmp_path / "sub-01")
    write_table(
        pd.DataFrame(
            {"frame_start": [0, 30], "frame_end": [30, 90], **{k: v[:2] for k, v in CURVES.items()}}
        ),
        path,
    )
    with pytest.raises(FrameError, match="look like minutes"):
        read_petprep_tacs(tmp_path, "01", "pre")


def test_problems_of_a_study_are_collected(tmp_path):
    write_tacs(tmp_path)
    write_tacs(tmp_path, ses="ses-post", Pons=[np.nan] * 3)
    scans, (error, warning) = read_petprep_study(
        tmp_path, {"pre": "pre", "post": "post", "late": "late"}
    )
    assert (error.severity, warning.severity) == ("error", "warning")
    assert "Pons" in error.found
    assert "ses-late" in warning.found
    assert list(scans) == [("sub-01", "ses-pre")]


# Real data: ten people, twenty scans


@pytest.fixture(scope="module")
def ds004869(shared_data):
    return shared_data / "pet_dynamic" / "ds004869"


def test_every_real_scan_is_read(ds004869):
    folder = ds004869 / "derivatives" / "petprep"
    people = petprep_participants(folder)
    assert list(people) == [f"sub-{n:02d}" for n in range(1, 11)]
    assert set(people.values()) == {("ses-baseline", "ses-blocked")}
    assert read_petprep_study(folder, {"pre": "baseline", "post": "blocked"})[1] == []
    for person in people:
        scans = [read_petprep_tacs(folder, person, ses) for ses in people[person]]
        for scan in scans:
            assert scan.tacs.shape[0] in (107, 108, 109)
            assert scan.tacs.shape[1] == len(scan.sidecar["FrameDuration"])
            assert (scan.frame_start_s[0], scan.frame_end_s[-1]) == (0, 7200)
            assert np.allclose(scan.frame_end_s - scan.frame_start_s, scan.sidecar["FrameDuration"])
            assert {"ctx-lh-posteriorcingulate", "Left-Cerebellum-Cortex"} <= set(scan.tacs.index)
            assert set(scan.tacs.index) == set(scan.volumes_mm3.index)
            assert 0.1 < scan.tacs.loc["Left-Putamen"].max() < 100


def test_the_real_blocking_effect_comes_out(ds004869):
    """SUVR 30-60 min over cerebellum cortex in the posterior cingulate: -20.2 %, 10 of 10 fall."""
    folder = ds004869 / "derivatives" / "petprep"

    def suvr(person, ses):
        scan = read_petprep_tacs(folder, person, ses)
        inside = (scan.frame_start_s >= 1800) & (scan.frame_end_s <= 3600)
        weights = (scan.frame_end_s - scan.frame_start_s)[inside]
        mean = (scan.tacs.loc[:, inside] * weights).sum(axis=1) / weights.sum()
        cingulate = mean[[f"ctx-{side}h-posteriorcingulate" for side in "lr"]].mean()
        return cingulate / mean[[f"{side}-Cerebellum-Cortex" for side in ("Left", "Right")]].mean()

    changes = [
        100 * (suvr(person, "blocked") / suvr(person, "baseline") - 1)
        for person in petprep_participants(folder)
    ]
    assert np.mean(changes) == pytest.approx(-20.2, abs=0.1)
    assert max(changes) < 0


def test_the_real_thousandfold_activity_is_found_in_every_sidecar(ds004869):
    cohort = read_cohort(ds004869, sessions={"pre": "baseline", "post": "blocked"})
    assert len(cohort_table(cohort)) == 20
    paths = sorted(ds004869.glob("sub-*/ses-*/pet/*_pet.json"))
    assert len(paths) == 20
    for path in paths:
        person = cohort.participant(path.name.split("_")[0])
        scan = Scan(path, {}, read_json(path))
        (problem,) = sidecar_problems(scan, person, (1800, 3600))
        assert "kBq would be plausible" in problem.remedy
        if "RadionuclideTotalDose" in scan.sidecar:
            assert "RadionuclideTotalDose says" in problem.remedy
