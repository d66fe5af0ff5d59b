from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from petfmri.bold.series_files import read_run
from petfmri.errors import ConfigError, DatasetError
from petfmri.study.run_inputs import find_fmriprep, find_series

SESSIONS = ("pre", "ses-post")
PATTERN = "sub-{subject}/sub-{subject}_ses-{session}_task-rest_run-{run}_bold.npy"
MNI = "space-MNI152NLin2009cAsym"


@pytest.fixture
def series(tmp_path):
    """Two people, two sessions, two runs; the second person's post session is absent."""
    for sub, ses in (("01", "pre"), ("01", "post"), ("02", "pre"), ("01", "other")):
        for run in ("1", "02"):
            stem = tmp_path / f"sub-{sub}" / f"sub-{sub}_ses-{ses}_task-rest_run-{run}"
            stem.parent.mkdir(exist_ok=True)
            np.save(f"{stem}_bold.npy", np.ones((3, 2)))
            stem.with_name(f"{stem.name}_confounds.tsv").write_text("fd\n0\n0\n0\n")
    return tmp_path


def test_series_by_pattern(series):
    (series / "sub-01" / "sub-01_ses-pre_task-rest_run-1_bold.json").write_text(
        '{"RepetitionTime": 2.5}'
    )
    runs, warnings = find_series(
        series / PATTERN, SESSIONS, confounds=series / PATTERN.replace("bold.npy", "confounds.tsv")
    )
    assert [(run.participant, run.session, run.run) for run in runs] == [
        ("sub-01", "ses-pre", "1"),
        ("sub-01", "ses-pre", "2"),
        ("sub-01", "ses-post", "1"),
        ("sub-01", "ses-post", "2"),
        ("sub-02", "ses-pre", "1"),
        ("sub-02", "ses-pre", "2"),
    ]
    assert runs[1].series.name == "sub-01_ses-pre_task-rest_run-02_bold.npy"
    assert runs[1].confounds.name == "sub-01_ses-pre_task-rest_run-02_confounds.tsv"
    assert [run.tr_s for run in runs] == [2.5] + 5 * [None]
    (warning,) = warnings
    assert (warning.where, warning.severity) == ("sub-02", "warning")
    assert "no run of ses-post" in warning.found


def test_series_without_runs_and_with_stars(series):
    runs, _ = find_series(
        series / "*" / "sub-{subject}_ses-{session}_*_run-1_*.npy",
        SESSIONS,
        tr_s=2.0,
        denoised=True,
    )
    assert [(run.run, run.tr_s, run.denoised) for run in runs] == 3 * [(None, 2.0, True)]


@pytest.mark.parametrize(
    ("pattern", "sessions", "message"),
    [
        (
            PATTERN.replace("rest", "rset"),
            SESSIONS,
            "nearest name there is sub-0._ses-.*task-rest_run-.*bold.npy",
        ),
        ("s-{subject}/{session}.npy", SESSIONS, "nearest name there is sub-0"),
        ("{subject}/{session}/x", SESSIONS, r"nothing like \{session\} in 2 folders"),
        (PATTERN, ("pre", "pots"), "found runs of ses-other, ses-post, ses-pre.*is ses-post"),
        ("sub-{subject}/sub-{subject}_ses-{session}*.npy", SESSIONS, "run-02_bold.npy and .*run-1"),
    ],
)
def test_series_that_are_not_there_or_there_twice(series, pattern, sessions, message):
    with pytest.raises(DatasetError, match=message):
        find_series(series / pattern, sessions)


def test_all_missing_confounds_at_once(series):
    for path in series.glob("sub-01/*_run-1_confounds.tsv"):
        path.unlink()
    with pytest.raises(DatasetError) as raised:
        find_series(
            series / PATTERN,
            SESSIONS,
            confounds=series / PATTERN.replace("bold.npy", "confounds.tsv"),
        )
    severities = [problem.severity for problem in raised.value.problems]
    assert sorted(severities) == ["error", "error", "warning"]


@pytest.mark.parametrize(
    ("pattern", "confounds", "message"),
    [
        ("sub-{sub}_ses-{session}.npy", None, r"the placeholder \{sub\}.*Write \{subject\}"),
        ("sub-{subject}.npy", None, r"no \{session\}"),
        (PATTERN, "sub-{subject}_ses-{session}.tsv", r"\{session\}, \{subject\}; expected .*run"),
    ],
)
def test_patterns_that_cannot_be_meant(series, pattern, confounds, message):
    with pytest.raises(ConfigError, match=message):
        find_series(series / pattern, SESSIONS, confounds=confounds)


def test_lsd_series(shared_data):
    folder = shared_data / "fmri" / "lsd_ds003059" / "SchaeferTian232"
    runs, warnings = find_series(
        folder / "sub-{subject}_ses-{session}_task-rest_run-{run}_bold.mat",
        ("PLCB", "LSD"),
        tr_s=2.0,
        denoised=True,
    )
    assert [(run.session, run.run) for run in runs] == [
        ("ses-PLCB", "1"),
        ("ses-PLCB", "3"),
        ("ses-LSD", "1"),
        ("ses-LSD", "3"),
    ]
    assert not warnings
    read = read_run(runs[0], [f"parcel {k}" for k in range(232)], key="V_roi")
    assert read.series.shape == (217, 232)
    assert not read.missing


@pytest.fixture
def fmriprep(tmp_path):
    """fMRIPrep's names: two resolutions and native space beside each run."""
    for sub, ses in (("01", "pre"), ("01", "post"), ("02", "post")):
        for run in ("1", "2"):
            func = tmp_path / f"sub-{sub}" / f"ses-{ses}" / "func"
            func.mkdir(parents=True, exist_ok=True)
            stem = f"sub-{sub}_ses-{ses}_task-rest_run-{run}"
            image = nib.Nifti1Image(np.ones((2, 2, 2, 3), np.float32), np.eye(4))
            image.header.set_xyzt_units("mm", "sec")
            image.header["pixdim"][4] = 3.0
            for space in ("", f"_{MNI}_res-1", f"_{MNI}_res-2", "_space-T1w"):
                nib.save(image, func / f"{stem}{space}_desc-preproc_bold.nii.gz")
                nib.save(image.slicer[..., 0], func / f"{stem}{space}_desc-brain_mask.nii.gz")
            sidecar = func / f"{stem}_{MNI}_res-1_desc-preproc_bold.json"
            sidecar.write_text(json.dumps({"RepetitionTime": 2.0} if run == "1" else {}))
            (func / f"{stem}_desc-confounds_timeseries.tsv").write_text("csf\n1\n1\n1\n")
    return tmp_path


def test_fmriprep(fmriprep):
    runs, warnings = find_fmriprep(fmriprep, SESSIONS)
    assert [(r.participant, r.session, r.run, r.tr_s) for r in runs] == [
        ("sub-01", "ses-pre", "1", 2.0),
        ("sub-01", "ses-pre", "2", 3.0),
        ("sub-01", "ses-post", "1", 2.0),
        ("sub-01", "ses-post", "2", 3.0),
        ("sub-02", "ses-post", "1", 2.0),
        ("sub-02", "ses-post", "2", 3.0),
    ]
    for run in runs:
        assert run.series.name.endswith(f"_{MNI}_res-1_desc-preproc_bold.nii.gz")
        assert run.confounds.name.endswith(f"run-{run.run}_desc-confounds_timeseries.tsv")
        assert not run.denoised
    assert [warning.where for warning in warnings] == ["sub-02"]


def test_fmriprep_without_what_it_takes(fmriprep):
    with pytest.raises(DatasetError, match=r"task-nback.*nearest name is sub-.*task-rest"):
        find_fmriprep(fmriprep, SESSIONS, "nback")
    with pytest.raises(DatasetError, match="Correct the path"):
        find_fmriprep(fmriprep / "elsewhere", SESSIONS)
    func = fmriprep / "sub-01" / "ses-pre" / "func"
    next(func.glob("*run-1_desc-confounds*")).unlink()
    next(func.glob(f"*run-2_{MNI}_res-1*.json")).write_text('{"RepetitionTime": 2000}')
    with pytest.raises(DatasetError) as raised:
        find_fmriprep(fmriprep, SESSIONS)
    text = str(raised.value)
    assert "no confounds of this run" in text
    assert "a repetition time of 2000" in text


def test_runs_are_ordered_by_their_numbers(tmp_path):
    for session in ("pre", "post"):
        for run in (10, 2, 1):
            (tmp_path / f"sub-01_ses-{session}_run-{run}.tsv").write_text("a\tb\n1\t2\n")
    runs, _ = find_series(tmp_path / "sub-{subject}_ses-{session}_run-{run}.tsv", ("pre", "post"))
    assert [run.run for run in runs] == ["1", "2", "10"] * 2
