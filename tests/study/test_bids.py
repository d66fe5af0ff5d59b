from __future__ import annotations

import json
import time

import pytest

from petfmri.errors import DatasetError
from petfmri.study.bids import read_cohort


def test_the_cohort_is_who_was_scanned_when(dataset):
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    assert [person.id for person in cohort.participants] == ["sub-01", "sub-02"]
    person = cohort.participant("01")
    assert person.columns["weight"] == 75
    assert [(visit.role, visit.id) for visit in person.sessions] == [
        ("pre", "ses-pre"),
        ("post", "ses-post"),
    ]
    post = person.session("post")
    assert (len(post.pet), len(post.bold), len(post.t1w), len(person.t1w)) == (1, 1, 0, 1)
    assert post.columns["days_since_dose"] == 1
    assert post.missing == ()
    assert cohort.problems == ()


@pytest.mark.parametrize("sessions", [{"pre": "ses-pre"}, {"pre": "pre"}])
@pytest.mark.parametrize("label", ["01", "sub-01"])
def test_prefixes_may_be_left_out(dataset, sessions, label):
    cohort = read_cohort(dataset.root, sessions=sessions, participants=[label])
    assert [person.id for person in cohort.participants] == ["sub-01"]
    assert cohort.roles == {"pre": "ses-pre"}
    assert cohort.participants[0].session("pre").pet


def test_sidecars_inherit_and_the_nearest_wins(dataset):
    dataset.json("bold.json", {"RepetitionTime": 9.0, "EchoTime": 0.03, "FlipAngle": 80})
    dataset.json("sub-01/sub-01_task-rest_bold.json", {"FlipAngle": 70})
    dataset.json("sub-01/ses-pre/func/sub-01_ses-pre_task-rest_bold.json", {"FlipAngle": 60})
    dataset.json("task-nback_bold.json", {"EchoTime": 9.9})
    dataset.json("sub-01/ses-pre/sub-01_ses-pre_pet.json", {"EchoTime": 8.8})
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    pre, post = (cohort.participant("01").session(role).bold[0] for role in ("pre", "post"))
    assert pre.sidecar == {
        "RepetitionTime": 2.0,
        "EchoTime": 0.03,
        "FlipAngle": 60,
        "TaskName": "rest",
    }
    assert post.sidecar["FlipAngle"] == 70
    assert cohort.participant("02").session("pre").bold[0].sidecar["FlipAngle"] == 80
    assert pre.where("RepetitionTime") == "task-rest_bold.json: RepetitionTime"
    assert pre.where("SliceTiming") == "sub-01_ses-pre_task-rest_bold.json: SliceTiming"


def test_runs_are_ordered_by_number_and_other_tasks_and_phase_left_out(dataset):
    for entity in ("_run-2", "_run-10", "_run-1", "_run-1_part-phase"):
        dataset.image(dataset.bold("01", "pre", entity), (3,))
    dataset.image("sub-01/ses-pre/func/sub-01_ses-pre_task-nback_bold.nii.gz", (3,))
    dataset.image("sub-01/ses-pre/func/sub-01_ses-pre_task-rest_sbref.nii.gz", ())
    (dataset.root / "sub-01/ses-pre/func/._sub-01_ses-pre_task-rest_bold.nii.gz").touch()
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    runs = [scan.entities.get("run") for scan in cohort.participant("01").session("pre").bold]
    assert runs == [None, "1", "2", "10"]


@pytest.mark.parametrize("tracer", ["UCBJ", "UCB-J", "[11C]UCB-J"])
def test_the_tracer_is_matched_by_entity_or_by_name(dataset, tracer):
    plain = dataset.pet("02").replace("_trc-UCBJ", "")
    (dataset.root / dataset.pet("02")).rename(dataset.root / plain)
    (dataset.root / dataset.pet("02", extension="json")).rename(
        dataset.root / plain.replace("nii.gz", "json")
    )
    dataset.image(dataset.pet().replace("UCBJ", "FDG"), (3,))
    cohort = read_cohort(dataset.root, sessions=dataset.sessions, tracer=tracer)
    assert [len(person.session("pre").pet) for person in cohort.participants] == [1, 1]
    assert cohort.problems == ()


def test_a_tracer_that_nobody_had_is_a_problem(dataset):
    cohort = read_cohort(dataset.root, sessions=dataset.sessions, tracer="SynVesT1")
    (problem,) = cohort.problems
    assert "PET of UCBJ; expected of SynVesT1" in str(problem)


def test_a_t1w_outside_sessions_or_in_another_session_serves_the_person(dataset):
    (dataset.root / "sub-01/ses-pre/anat").rename(dataset.path("sub-01/ses-mri/anat"))
    dataset.image("sub-02/anat/sub-02_T1w.nii.gz", ())
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    assert len(cohort.participant("01").t1w) == 1
    names = [scan.path.name for scan in cohort.participant("02").t1w]
    assert names == ["sub-02_T1w.nii.gz", "sub-02_ses-pre_T1w.nii.gz"]


def test_someone_with_one_modality_or_session_missing_stays_in(dataset):
    (dataset.root / dataset.bold("01", "post")).unlink()
    (dataset.root / dataset.pet("02", "post")).unlink()
    (dataset.root / dataset.bold("02", "post")).unlink()
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    assert cohort.participant("01").session("post").missing == ("bold",)
    assert cohort.participant("02").session("post").missing == ("pet", "bold")


def test_unreadable_files_are_collected_not_raised(dataset):
    (dataset.root / dataset.pet(extension="json")).write_text("{")
    (dataset.root / "sub-02/sub-02_sessions.tsv").write_text("visit\nses-pre\n")
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    found = sorted(str(problem) for problem in cohort.problems)
    assert len(found) == 2
    assert found[0].startswith("sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_pet.json: found invalid")
    assert found[1].startswith("sub-02/sub-02_sessions.tsv: found columns visit")
    assert not cohort.participant("01").session("pre").pet[0].readable


def test_a_folder_without_participants_and_an_unknown_participant_are_refused(dataset, tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        read_cohort(tmp_path / "nowhere", sessions=dataset.sessions)
    with pytest.raises(DatasetError, match="no sub-"):
        read_cohort(tmp_path, sessions=dataset.sessions)
    with pytest.raises(DatasetError, match=r"no sub-1;.*sub-01"):
        read_cohort(dataset.root, sessions=dataset.sessions, participants=["1"])


def test_sixty_people_are_indexed_in_well_under_a_second(tmp_path):
    for number in range(60):
        for ses in ("pre", "post"):
            stem = f"sub-{number:03d}_ses-{ses}"
            for folder, suffix in (("anat", "T1w"), ("pet", "pet"), ("func", "task-rest_bold")):
                place = tmp_path / f"sub-{number:03d}/ses-{ses}/{folder}"
                place.mkdir(parents=True)
                (place / f"{stem}_{suffix}.nii.gz").touch()
                (place / f"{stem}_{suffix}.json").write_text(json.dumps({"a": list(range(30))}))
    start = time.process_time()
    cohort = read_cohort(tmp_path, sessions={"pre": "pre", "post": "post"})
    assert time.process_time() - start < 0.6
    assert sum(len(visit.pet) for person in cohort.participants for visit in person.sessions) == 120
