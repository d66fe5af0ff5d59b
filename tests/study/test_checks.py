"""Broken datasets: each defect is one error that names file, finding, expectation and remedy."""

from __future__ import annotations

import gzip
import shutil

import nibabel as nib
import numpy as np
import pytest

from petfmri.cli import main
from petfmri.study.bids import read_cohort
from petfmri.study.check_bold import BoldNeeds
from petfmri.study.check_images import inspect_image
from petfmri.study.checks import check_cohort

PET, PET_JSON = "sub-01_ses-pre_trc-UCBJ_pet.nii.gz", "sub-01_ses-pre_trc-UCBJ_pet.json"
BOLD, BOLD_JSON = "sub-01_ses-pre_task-rest_bold.nii.gz", "task-rest_bold.json"
WINDOW_S = (3600, 5400)


def problems_of(dataset, **options):
    cohort = read_cohort(
        dataset.root,
        sessions=dataset.sessions,
        symptoms=options.pop("symptoms", "phenotype/madrs.tsv"),
    )
    given = {"columns": ("dose_mg_kg", "arm"), "score": "madrs", "window_s": WINDOW_S}
    return check_cohort(cohort, **given | options)


def only(problems, severity="error"):
    (problem,) = problems
    assert problem.severity == severity
    assert problem.remedy
    return str(problem)


def truncated(dataset):
    path = dataset.root / dataset.pet()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def truncated_uncompressed(dataset):
    path = dataset.root / dataset.pet()
    content = gzip.decompress(path.read_bytes())
    path.unlink()
    path.with_name(PET.removesuffix(".gz")).write_bytes(content[:-4000])


def bit_flipped(dataset):
    path = dataset.root / dataset.pet()
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum
    path.write_bytes(bytes(content))


def nan(dataset):
    def edit(data):
        data[3, 4, 5, 7] = np.nan

    dataset.image(dataset.pet(), (16,), edit=edit, scale=1e4)


def pet_3d(dataset):
    dataset.image(dataset.pet(), (), scale=1e4)


def bold_3d(dataset):
    dataset.image(dataset.bold(), ())


def minutes(dataset):
    fields = read_fields(dataset)
    dataset.change(
        dataset.pet(extension="json"),
        FrameTimesStart=[value / 60 for value in fields["FrameTimesStart"]],
        FrameDuration=[value / 60 for value in fields["FrameDuration"]],
    )


def one_frame_too_many(dataset):
    starts = read_fields(dataset)["FrameTimesStart"]
    dataset.change(dataset.pet(extension="json"), FrameTimesStart=[*starts, 5400])


def thousandfold_activity(dataset):
    dataset.change(
        dataset.pet(extension="json"),
        InjectedRadioactivity=774040,
        InjectedRadioactivityUnits="Bq",
        RadionuclideTotalDose=774040000,
    )


def zero_weight(dataset):
    dataset.change(dataset.pet(extension="json"), BodyWeight=0)


def zero_weight_in_table(dataset):
    path = dataset.root / "participants.tsv"
    path.write_text(path.read_text().replace("75", "0", 1))


def short_field_of_view(dataset):
    dataset.image(dataset.pet(), (16,), shape=(12, 14, 7), scale=1e4)


def duplicate_participant(dataset):
    with (dataset.root / "participants.tsv").open("a") as stream:
        stream.write("sub-01\t31\tF\t75\n")


def copied_scan(dataset):
    shutil.copy(dataset.root / dataset.pet("02", "post"), dataset.root / dataset.pet())


def carriage_returns(dataset):
    path = dataset.root / "participants.tsv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r"))


def read_fields(dataset):
    return (
        read_cohort(dataset.root, sessions=dataset.sessions)
        .participant("01")
        .session("pre")
        .pet[0]
        .sidecar
    )


BROKEN = {
    truncated: (PET, "ended before", "a complete NIfTI image"),
    truncated_uncompressed: (PET[:-3], "truncated", "a complete NIfTI image"),
    bit_flipped: (PET, "CRC", "a complete NIfTI image"),
    nan: (PET, "NaN or infinite voxels (first in volume 8)", "finite numbers"),
    pet_3d: (PET, "a 3-D image", "16 frames"),
    bold_3d: (BOLD, "a 3-D image", "4-D"),
    minutes: (f"{PET_JSON}: FrameTimesStart", "look like minutes", "seconds"),
    one_frame_too_many: (f"{PET_JSON}: FrameTimesStart", "17 values", "16, one per FrameDuration"),
    thousandfold_activity: (PET_JSON, "774040 Bq, which is 0.774 MBq", "50 to 1000 MBq"),
    zero_weight: (f"{PET_JSON}: BodyWeight", "0 kg", "25 to 300 kg"),
    zero_weight_in_table: ("participants.tsv: sub-01, weight", "0 kg", "25 to 300 kg"),
    short_field_of_view: (PET, "84 mm bottom-top", "reference region"),
    duplicate_participant: ("participants.tsv", "sub-01 in more than one row", "one row"),
    copied_scan: ("sub-02_ses-post", "same voxels as in sub-01_ses-pre", "an image of its own"),
    carriage_returns: ("participants.tsv", "carriage return", "line feeds"),
}


def test_a_clean_dataset_has_no_problem(dataset):
    assert problems_of(dataset) == []


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_each_broken_dataset_gets_one_message(dataset, broken):
    broken(dataset)
    where, found, expected = BROKEN[broken]
    message = only(problems_of(dataset))
    assert message.startswith(where)
    assert found in message.partition("; expected")[0]
    assert expected in message.partition("; expected")[2]


@pytest.mark.parametrize("verb", ["check", "run"])
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_dataset_stops_the_command(dataset, broken, verb, tmp_path, capsys):
    broken(dataset)
    study = tmp_path / "study.yaml"
    study.write_text(
        "name: broken\nbids: bids\noutput: out\n"
        "sessions: {pre: pre, post: post}\nsymptoms: {score: madrs}\n"
    )
    assert main([verb, str(study)]) == 2
    said = capsys.readouterr().err
    (message,) = {line.split(": ", 1)[1] for line in said.splitlines() if "warning: " not in line}
    assert all(part in message for part in BROKEN[broken])
    assert "found" in message and "expected" in message
    assert not (tmp_path / "out").exists()


def test_every_problem_is_reported_at_once(dataset):
    for broken in (
        bold_3d,
        nan,
        thousandfold_activity,
        duplicate_participant,
        zero_weight_in_table,
    ):
        broken(dataset)
    assert len(problems_of(dataset)) == 5


def test_headers_alone_leave_the_voxels_unread(dataset):
    nan(dataset)
    assert problems_of(dataset, voxels=False) == []


def test_the_activity_message_names_the_likely_cause(dataset):
    thousandfold_activity(dataset)
    message = only(problems_of(dataset))
    assert "774040 kBq would be plausible; RadionuclideTotalDose says 774 MBq" in message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Units": ..., "FrameDuration": ...}, "found no FrameDuration, Units;"),
        ({"Units": "SUV"}, "Units: found 'SUV'; expected Bq/mL"),
        ({"FrameDuration": "60"}, "FrameDuration: found '60'; expected a list of numbers"),
        ({"FrameTimesStart": [0, "x"]}, "FrameTimesStart: found [0, 'x']; expected a list"),
        ({"FrameDuration": [60] * 15}, "found 16 values; expected 15"),
        ({"FrameDuration": [60] * 15 + [-1]}, "a frame of -1 s; expected durations above 0"),
        ({"FrameDuration": [120] + [60] * 15}, "frame 2 beginning 60 s before frame 1 ends"),
        ({"InjectionStart": 600}, "frames from -10 to 80 min after injection, 67 % of the window"),
        ({"ImageDecayCorrected": "yes"}, "found 'yes'; expected true or false"),
        ({"InjectedRadioactivityUnits": "Ci"}, "found 370.0 Ci; expected a number in Bq, kBq"),
    ],
)
def test_faults_of_the_pet_sidecar(dataset, fields, message):
    dataset.change(dataset.pet(extension="json"), **fields)
    assert message in only(p for p in problems_of(dataset) if p.severity == "error")


@pytest.mark.parametrize(
    ("starts", "durations", "unit"),
    [
        ([60], [30], "minutes"),
        ([3600], [30], "minutes"),
        ([0, 600, 1200], [10, 10, 10], "seconds mixed with minutes"),
        ([0, 10, 20], [600, 600, 600], "seconds mixed with minutes"),
        ([0, 2_700_000], [2_700_000, 2_700_000], "milliseconds"),
    ],
)
def test_times_in_other_units_than_seconds(dataset, starts, durations, unit):
    dataset.change(dataset.pet(extension="json"), FrameTimesStart=starts, FrameDuration=durations)
    dataset.image(dataset.pet(), (len(starts),), scale=1e4)
    assert f"look like {unit};" in only(problems_of(dataset))


@pytest.mark.parametrize(
    ("starts", "durations"),
    [
        ([3600], [1800]),
        ([3600, 4500], [900, 900]),
        ([0, 20], [20, 5380]),
    ],
)
def test_static_scans_and_coarse_frames_are_fine(dataset, starts, durations):
    dataset.change(dataset.pet(extension="json"), FrameTimesStart=starts, FrameDuration=durations)
    dataset.image(dataset.pet(), (len(starts),) if len(starts) > 1 else (), scale=1e4)
    assert problems_of(dataset) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"TracerName": ..., "TimeZero": ...}, "found no TracerName, TimeZero"),
        ({"ImageDecayCorrected": False}, "the frames will be corrected from their times"),
        ({"Units": "kBq/mL"}, None),
        ({"FrameDuration": [60] * 5 + [300] * 5 + [600] * 5 + [560]}, "98 % of the window"),
        ({"FrameDuration": [60] * 5 + [300] * 4 + [290] + [600] * 6}, "found 1 gap of 10 s after"),
        (
            {"FrameDuration": [50, 50, *[60] * 3] + [300] * 5 + [600] * 6},
            "2 gaps, the first of 10 s",
        ),
    ],
)
def test_warnings_of_the_pet_sidecar(dataset, fields, message):
    dataset.change(dataset.pet(extension="json"), **fields)
    problems = problems_of(dataset)
    if message is None:
        assert problems == []
    else:
        assert message in only(problems, "warning")


def test_an_image_a_thousandfold_too_dim_for_its_dose_is_suspected(dataset):
    dataset.image(dataset.pet(), (16,), scale=10.0)
    assert "SUV 0.002" in only(problems_of(dataset), "warning")


@pytest.mark.parametrize(
    ("seconds", "message"),
    [(..., "no such field"), (2000, "2000, which looks like ms"), ("2", "'2'"), (0, "0;")],
)
def test_the_repetition_time_is_needed_in_seconds(dataset, seconds, message):
    dataset.change(BOLD_JSON, RepetitionTime=seconds)
    assert all(message in str(problem) for problem in problems_of(dataset))
    assert problems_of(dataset)


def test_one_wrong_value_in_an_inherited_sidecar_is_one_problem(dataset):
    dataset.change(BOLD_JSON, RepetitionTime=2000)
    assert only(problems_of(dataset)).startswith("task-rest_bold.json: RepetitionTime")


def test_a_repetition_time_that_contradicts_the_header(dataset):
    dataset.image(dataset.bold(), (20,), frame_s=1.5)
    assert "1.5 s between volumes in the header; expected 2 s" in only(problems_of(dataset))


@pytest.mark.parametrize("name", ["pet", "bold"])
def test_a_header_without_geometry(dataset, name):
    path = dataset.root / getattr(dataset, name)()
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    image = nib.load(path)
    image.header["sform_code"], image.header["qform_code"] = 0, 0
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)
    assert "header without geometry" in only(problems_of(dataset))


def test_the_field_of_view_follows_the_orientation(dataset):
    """An image of 84 mm front to back, stored with that axis last."""
    path = dataset.image(dataset.pet(), (16,), shape=(12, 12, 7), scale=1e4)
    image = nib.load(path)
    affine = np.array([[0.0, 12, 0, 0], [0, 0, 12, 0], [12, 0, 0, 0], [0, 0, 0, 1]])
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    assert "84 mm back-front" in only(problems_of(dataset))


def test_a_tight_field_of_view_is_a_warning(dataset):
    dataset.image(dataset.pet(), (16,), shape=(12, 14, 9), scale=1e4)
    assert "108 mm bottom-top" in only(problems_of(dataset), "warning")


def test_a_bold_slab_is_a_warning_and_a_t1w_series_an_error(dataset):
    dataset.image(dataset.bold(), (20,), shape=(12, 14, 7), frame_s=2.0)
    assert "84 mm bottom-top" in only(problems_of(dataset), "warning")
    dataset.image("sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz", (2,))
    assert "2 volumes; expected one 3-D image" in str(problems_of(dataset)[0])


def test_a_trailing_axis_of_one_is_no_axis(dataset):
    name = "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz"
    dataset.image(name, (1,))
    dataset.image(name.replace("T1w", "label-lesion_mask"), ())
    assert problems_of(dataset) == []
    dataset.image(dataset.bold(), (20, 1), frame_s=2.0)
    dataset.image(name.replace("T1w", "label-lesion_mask"), (1, 1))
    assert problems_of(dataset) == []


def test_impossible_voxel_sizes(dataset):
    path = dataset.root / dataset.pet()
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), np.diag([0.012, 0.012, 0.012, 1])), path)
    assert "voxels of 0.012 × 0.012 × 0.012 mm" in only(problems_of(dataset))


def test_links_without_content_and_files_that_are_no_images(dataset):
    (dataset.root / dataset.pet()).unlink()
    (dataset.root / dataset.pet()).symlink_to("../../.git/annex/objects/absent")
    (dataset.root / dataset.bold()).write_text("/annex/objects/MD5E-s1--absent")
    bold, pet = sorted(map(str, problems_of(dataset)))
    assert "datalad get" in pet
    assert bold.startswith(BOLD)


def test_constant_and_complex_images(dataset, tmp_path):
    dataset.image(dataset.pet(), (16,), scale=0.0)
    assert "same value in every voxel" in only(problems_of(dataset))
    path = tmp_path / "c.nii"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.complex64), np.eye(4)), path)
    assert "complex64" in str(inspect_image(path).problem)


def test_a_pet_frame_without_signal_after_the_first_minute(dataset):
    def edit(data):
        data[..., [0, 3]] = 0.0
        data[..., 9] = 7.0

    dataset.image(dataset.pet(), (16,), edit=edit, scale=1e4)
    told = only(problems_of(dataset))
    assert told.startswith(f"{PET}: found the same value in every voxel of frames 3, 9 (from 0)")
    dataset.change(dataset.pet(extension="json"), InjectionStart=180)
    told = [str(problem) for problem in problems_of(dataset, window_s=None)]
    assert "every voxel of frame 9 (from 0)" in " ".join(told)


def test_a_bold_volume_without_signal(dataset):
    def edit(data):
        data[..., 19] = 0.0

    dataset.image(dataset.bold(), (20,), edit=edit, frame_s=2.0)
    told = only(problems_of(dataset))
    assert told.startswith(f"{BOLD}: found the same value in every voxel of volume 19 (from 0)")


def test_voxel_range_is_after_scaling(tmp_path):
    image = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "a.nii.gz")
    voxels = inspect_image(tmp_path / "a.nii.gz").voxels
    loaded = nib.load(tmp_path / "a.nii.gz").get_fdata()
    assert (voxels.minimum, voxels.maximum) == pytest.approx((loaded.min(), loaded.max()))


def test_a_file_longer_than_one_chunk_is_read_to_its_end(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("petfmri.study.check_images.CHUNK_BYTES", 2**14)
    data = rng.integers(0, 1000, (16, 16, 10, 30)).astype(np.int16)
    data[..., 12] = 5
    data[-1, -1, -1, -1] = 2000
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii.gz")
    found = inspect_image(tmp_path / "a.nii.gz")
    assert found.voxels.maximum == 2000
    assert found.voxels.constant == (12,)
    assert found.voxels.fingerprint[0] == data.nbytes
    data = data.astype(np.float32)
    data[0, 0, 0, 29] = np.inf
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "b.nii.gz")
    assert "first in volume 30" in inspect_image(tmp_path / "b.nii.gz").problem.found


# How sessions and modalities pair


def test_an_unpaired_session_is_a_warning_and_nobody_paired_an_error(dataset):
    shutil.rmtree(dataset.root / "sub-01/ses-post")
    dataset.table(
        "phenotype/madrs.tsv",
        "participant_id session_id madrs",
        "sub-01 ses-pre 30",
        "sub-02 ses-pre 30",
        "sub-02 ses-post 12",
    )
    messages = [str(problem) for problem in problems_of(dataset)]
    assert any(m.startswith("ses-post: found no PET or BOLD for sub-01") for m in messages)
    assert all(problem.severity == "warning" for problem in problems_of(dataset))
    shutil.rmtree(dataset.root / "sub-02/ses-pre/pet")
    shutil.rmtree(dataset.root / "sub-02/ses-pre/func")
    errors = [str(p) for p in problems_of(dataset) if p.severity == "error"]
    assert [error.partition(":")[0] for error in errors] == ["ses-pre", "ses-post"]


def test_wrong_session_names_are_one_error_that_lists_those_there_are(dataset):
    cohort = read_cohort(dataset.root, sessions={"pre": "baseline", "post": "ketamine"})
    assert "sessions: found ses-post, ses-pre; expected PET or BOLD in ses-baseline" in only(
        check_cohort(cohort)
    )


def test_a_missing_modality_is_a_warning_and_a_missing_t1w_an_error(dataset):
    (dataset.root / dataset.bold("01", "post")).unlink()
    assert "sub-01 ses-post: found no bold image" in only(problems_of(dataset), "warning")
    shutil.rmtree(dataset.root / "sub-02/ses-pre/anat")
    assert "sub-02: found no T1w" in str(problems_of(dataset)[0])


def test_several_pet_images_tracers_echoes_and_copies_in_a_session(dataset):
    dataset.image(dataset.pet().replace("UCBJ", "FDG"), (16,), scale=1e4)
    dataset.json(dataset.pet(extension="json").replace("UCBJ", "FDG"), dict(read_fields(dataset)))
    for echo in ("_echo-1", "_echo-2"):
        dataset.image(dataset.bold("02", "pre", echo), (20,), frame_s=2.0)
    dataset.image(dataset.bold("02", "post").removesuffix(".gz"), (20,), frame_s=2.0)
    messages = " ".join(map(str, problems_of(dataset)))
    for found in (
        "2 PET images",
        "tracers FDG, UCBJ",
        "BOLD of 2 echoes",
        "as .nii and as .nii.gz",
    ):
        assert found in messages


def test_runs_whose_results_would_have_one_name_are_an_error(dataset):
    dataset.image(dataset.bold("02", "pre", "_dir-PA"), (20,), frame_s=2.0)
    (message,) = [str(problem) for problem in problems_of(dataset) if problem.severity == "error"]
    assert "runs told apart by run-" in message and "dir-PA" in message
    dataset.image(dataset.bold("02", "post", "_run-2"), (20,), frame_s=2.0)
    assert sum("told apart" in str(problem) for problem in problems_of(dataset)) == 1


def test_a_file_in_the_folder_of_another_person(dataset):
    name = dataset.bold("02", "post")
    (dataset.root / name).rename(dataset.root / name.replace("sub-02_", "sub-03_"))
    assert "sub-03 in its name, sub-02 as its folder" in only(problems_of(dataset))


def test_one_t1w_may_be_copied_to_both_sessions_of_a_person_only(dataset):
    source = dataset.root / "sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz"
    shutil.copy(source, dataset.path("sub-01/ses-post/anat/sub-01_ses-post_T1w.nii.gz"))
    assert problems_of(dataset) == []
    shutil.copy(source, dataset.path("sub-02/ses-pre/anat/sub-02_ses-pre_T1w.nii.gz"))
    assert "same voxels" in only(problems_of(dataset))


# Tables


def test_people_in_table_and_folders_differ(dataset):
    dataset.table("participants.tsv", "participant_id age sex weight", "01 30 F 75", "2 30 F 75")
    messages = [str(problem) for problem in problems_of(dataset)]
    assert "no row for sub-02" in messages[0]
    assert "sub-2 without a folder" in messages[1]
    (dataset.root / "participants.tsv").unlink()
    assert "age, sex and weight" in only(problems_of(dataset), "warning")


def test_columns_that_the_study_names_must_be_there(dataset):
    message = only(problems_of(dataset, columns=("dose_mg_kg", "dosage")))
    assert message.startswith("*_sessions.tsv: dosage: found no such column")
    (dataset.root / "sub-02/sub-02_sessions.tsv").unlink()
    assert "no value for sub-02 ses-pre, sub-02 ses-post" in only(
        problems_of(dataset, columns=("arm",))
    )
    assert problems_of(dataset, columns=("age",)) == []


def test_a_session_given_twice(dataset):
    with (dataset.root / "sub-01/sub-01_sessions.tsv").open("a") as stream:
        stream.write("ses-pre\tn/a\t0.5\tketamine\tn/a\n")
    assert only(problems_of(dataset)).startswith("sub-01_sessions.tsv: found ses-pre in more")


@pytest.mark.parametrize(
    ("rows", "severity", "message"),
    [
        (
            ("sub-01 ses-pre 30", "sub-01 ses-pre 31"),
            "error",
            "sub-01 ses-pre in more than one row",
        ),
        (("sub-01 ses-pre 30", "sub-01 ses-post x"), "error", "madrs.tsv: madrs: found 'x'"),
        (
            ("sub-1 ses-pre 30", "sub-2 ses-pre 30"),
            "error",
            "scores without scans for sub-1 ses-pre",
        ),
        (("sub-01 ses-0 30", "sub-02 ses-0 30"), "error", "no score of ses-pre, ses-post"),
        (
            ("01 pre 30", "01 post 12", "02 pre 30", "02 post n/a"),
            "warning",
            "no score for sub-02 ses-post",
        ),
        (
            ("01 pre 30", "01 post 12", "02 pre 30", "02 post 12", "03 pre 9"),
            "warning",
            "scores without scans for sub-03 ses-pre",
        ),
        (("01 pre 30", "01 post 12", "02 pre 30", "02 post 999"), "warning", "999 for sub-02"),
    ],
)
def test_symptoms_and_scans(dataset, rows, severity, message):
    dataset.table("phenotype/madrs.tsv", "participant_id session_id madrs", *rows)
    assert message in only(problems_of(dataset), severity)


def test_a_symptom_table_or_score_that_is_not_there(dataset):
    assert "no such file" in only(problems_of(dataset, symptoms="phenotype/bdi.tsv"))
    assert "session_id and bdi" in only(problems_of(dataset, score="bdi"))


def test_people_left_out_by_choice_are_no_problem(dataset):
    cohort = read_cohort(
        dataset.root, sessions=dataset.sessions, symptoms="phenotype/madrs.tsv", participants=["01"]
    )
    assert check_cohort(cohort, columns=("arm",), score="madrs") == []


SLICES = {"SliceTiming": [0.1 * n for n in range(12)]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"SliceTiming": "ascending"}, ["SliceTiming: found 'ascending'"]),
        ({"SliceTiming": [0.0, 1.0]}, ["SliceTiming: found 2 values; expected seconds"]),
        ({"SliceTiming": [0.0] * 11 + [2500]}, ["found 1 of 12 values such as 2500"]),
        ({"SliceTiming": [0.0] * 11 + [None]}, ["found 1 of 12 values such as None"]),
        (
            SLICES | {"SliceEncodingDirection": "j-"},
            ["12 values; expected seconds", "of 14 slices"],
        ),
        (SLICES | {"SliceEncodingDirection": "z"}, ["SliceEncodingDirection: found 'z'"]),
    ],
)
def test_slice_times_that_cannot_be_used(dataset, fields, expected):
    dataset.change(BOLD_JSON, **fields)
    told = only(problems_of(dataset, bold=BoldNeeds(slice_timing=True)))
    assert all(part in told for part in expected)


def test_absent_slice_times_are_told_of_every_run(dataset):
    found = problems_of(dataset, bold=BoldNeeds(slice_timing=True))
    assert len(found) == 4
    assert f"{BOLD.partition('.')[0]}.json: SliceTiming: found no such field" in str(found[0])


def test_slice_times_that_can_be_used_or_are_not_needed(dataset):
    assert not problems_of(dataset)
    dataset.change(BOLD_JSON, **SLICES, SliceEncodingDirection="k-")
    assert not problems_of(dataset, bold=BoldNeeds(slice_timing=True))


def test_what_is_adopted_needs_neither_slice_times_nor_a_direction(dataset):
    runs = list(dataset.root.rglob("*_bold.nii*"))
    needs = BoldNeeds(
        slice_timing=True,
        distortion="registration",
        resampled=frozenset(runs[:1]),
        aligned=frozenset(runs[:3]),
    )
    told = [str(problem) for problem in problems_of(dataset, bold=needs)]
    assert sum("SliceTiming" in text for text in told) == 3
    assert sum("PhaseEncodingDirection" in text for text in told) == 1


@pytest.mark.parametrize(
    ("option", "direction", "severity"),
    [
        ("none", ..., None),
        ("none", "AP", None),
        ("auto", ..., "warning"),
        ("auto", "AP", "error"),
        ("auto", "j-", None),
        ("registration", ..., "error"),
        ("registration", "AP", "error"),
        ("registration", "i", None),
    ],
)
def test_distortion_needs_the_phase_encoding(dataset, option, direction, severity):
    dataset.change(BOLD_JSON, PhaseEncodingDirection=direction)
    found = problems_of(dataset, bold=BoldNeeds(distortion=option))
    assert {problem.severity for problem in found} == ({severity} if severity else set())
    assert all(problem.where.endswith("_bold.json: PhaseEncodingDirection") for problem in found)
