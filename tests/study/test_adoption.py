"""What is found in folders with the real file names of fMRIPrep and PETPrep."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petfmri.study.adoption import find_adopted, sources_of
from petfmri.study.bids import Participant, Scan, Session
from petfmri.study.derivatives import DerivativeFolder

ANAT = (
    "desc-preproc_T1w.nii.gz desc-preproc_T1w.json desc-brain_mask.nii.gz dseg.nii.gz"
    " label-GM_probseg.nii.gz label-WM_probseg.nii.gz label-CSF_probseg.nii.gz"
    " from-MNI152NLin2009cAsym_to-T1w_mode-image_xfm.h5"
    " from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5"
    " from-fsnative_to-T1w_mode-image_xfm.txt"
    " space-MNI152NLin2009cAsym_res-2_desc-preproc_T1w.nii.gz"
    " space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz"
    " space-MNI152NLin2009cAsym_res-2_label-GM_probseg.nii.gz"
)
FUNC = (
    "desc-confounds_timeseries.tsv desc-confounds_timeseries.json desc-brain_mask.nii.gz"
    " desc-coreg_boldref.nii.gz desc-hmc_boldref.nii.gz desc-preproc_bold.nii.gz"
    " from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"
    " from-orig_to-boldref_mode-image_desc-hmc_xfm.txt"
    " space-T1w_boldref.nii.gz space-T1w_desc-preproc_bold.nii.gz"
    " space-T1w_desc-brain_mask.nii.gz"
    " space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz"
    " space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz"
)
PET = (
    "desc-hmc_petref.nii.gz desc-preproc_pet.nii.gz space-T1w_desc-preproc_pet.nii.gz"
    " from-orig_to-petref_mode-image_desc-hmc_xfm.txt from-petref_to-T1w_mode-image_xfm.txt"
    " desc-confounds_timeseries.tsv desc-preproc_seg-gtm_tacs.tsv"
)
NATIVE, T1W, MNI = "native", "T1w", "MNI152NLin2009cAsym"


def person(run: str = "") -> Participant:
    """sub-01 with one PET and one run in each of two sessions."""
    sessions = []
    for role in ("pre", "post"):
        stem = f"sub-01_ses-{role}"
        entities = {"sub": "01", "ses": role}
        pet = Scan(Path(f"{stem}_trc-UCBJ_pet.nii.gz"), entities | {"trc": "UCBJ"}, {})
        own = entities | {"task": "rest"} | ({"run": run} if run else {})
        bold = Scan(Path(f"{stem}_task-rest_bold.nii.gz"), own, {})
        sessions.append(Session(f"ses-{role}", role, (), (pet,), (bold,)))
    return Participant("sub-01", (), tuple(sessions))


@pytest.fixture
def tree(tmp_path):
    def write(place: str, stem: str, names: str, *, without: str = "") -> None:
        folder = tmp_path / place
        folder.mkdir(parents=True, exist_ok=True)
        for name in names.split():
            if not without or without not in name:
                (folder / f"{stem}_{name}").write_text("a\tb\n")

    return write


def names(adopted_part) -> set[str]:
    return {path.name.split("_task-rest_")[-1].split("UCBJ_")[-1] for path in adopted_part.files}


def found(tmp_path, *, run: str = "", **options):
    folders = {
        name: DerivativeFolder(tmp_path / name) if (tmp_path / name).is_dir() else None
        for name in ("fmriprep", "petprep")
    }
    return find_adopted(person(run), **folders, **options)


def one(mapping, role):
    return next(part for path, part in mapping.items() if f"ses-{role}" in path.name)


def whole_tree(tree, **options):
    tree("fmriprep/sub-01/anat", "sub-01", ANAT)
    for role in ("pre", "post"):
        stem = f"sub-01_ses-{role}_task-rest"
        tree(f"fmriprep/sub-01/ses-{role}/func", stem, FUNC, **options)
        tree(f"petprep/sub-01/ses-{role}/pet", f"sub-01_ses-{role}_trc-UCBJ", PET)


def test_a_complete_tree_is_adopted_completely(tree, tmp_path):
    whole_tree(tree)
    adopted = found(tmp_path)
    assert names(adopted.anat) == {
        f"sub-01_{name}"
        for name in ANAT.split()
        if "space" not in name and "json" not in name and "fsnative" not in name
    } - {"sub-01_dseg.nii.gz"}
    run = one(adopted.runs, "pre")
    assert run.space == NATIVE and not run.xfm_moves_t1w
    assert names(run) == {
        "desc-preproc_bold.nii.gz",
        "desc-brain_mask.nii.gz",
        "desc-confounds_timeseries.tsv",
        "desc-coreg_boldref.nii.gz",
        "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt",
    }
    scan = one(adopted.scans, "post")
    assert scan.space == T1W
    assert names(scan) == set(PET.split()) - {
        "desc-preproc_pet.nii.gz",
        "desc-preproc_seg-gtm_tacs.tsv",
    }
    sources = sources_of(adopted, {"fmriprep": tmp_path / "fmriprep"})
    assert (
        sources["anatomy"]["brain mask"]
        == "bids:fmriprep:sub-01/anat/sub-01_desc-brain_mask.nii.gz"
    )
    assert sources["sub-01_ses-pre_trc-UCBJ_pet.nii.gz"]["regional curves"] == "computed"
    assert adopted.notes == ()


@pytest.mark.parametrize(
    ("without", "space", "series"),
    [
        ("_desc-preproc_bold", T1W, "space-T1w_desc-preproc_bold.nii.gz"),
        ("nothing", NATIVE, "desc-preproc_bold.nii.gz"),
    ],
)
def test_native_volumes_come_before_those_in_t1w_space(tree, tmp_path, without, space, series):
    whole_tree(tree)
    if space == T1W:
        for path in tmp_path.rglob("*task-rest_desc-preproc_bold.nii.gz"):
            path.unlink()
    run = one(found(tmp_path).runs, "pre")
    assert run.space == space and run.series.name.endswith(series)
    assert run.mask.name.endswith(series.replace("preproc_bold", "brain_mask"))


def test_template_space_volumes_of_an_old_tree(tree, tmp_path):
    tree("fmriprep/sub-01/anat", "sub-01", ANAT)
    old = (
        "desc-confounds_regressors.tsv from-T1w_to-scanner_mode-image_xfm.txt"
        " space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    )
    tree("fmriprep/sub-01/ses-pre/func", "sub-01_ses-pre_task-rest_run-1", old)
    run = one(found(tmp_path, run="01").runs, "pre")  # run-01 is run-1
    assert run.space == MNI and run.xfm_moves_t1w and len(names(run)) == 3
    assert not one(found(tmp_path, run="2").runs, "pre")


NEWEST = (  # fMRIPrep 26
    "desc-confounds_timeseries.tsv space-run_boldref.nii.gz space-run_desc-brain_mask.nii.gz"
    " space-orig_desc-hmc_boldref.nii.gz from-run_to-T1w_mode-image_desc-coreg_xfm.txt"
    " from-orig_to-run_mode-image_desc-hmc_xfm.txt"
)


def test_the_names_of_the_newest_version(tree, tmp_path):
    tree("fmriprep/sub-01/anat", "sub-01", ANAT)
    place, stem = "fmriprep/sub-01/ses-pre/func", "sub-01_ses-pre_task-rest"
    tree(place, stem, NEWEST)
    run = one(found(tmp_path).runs, "pre")
    assert names(run) == set(NEWEST.split()) - {
        "space-orig_desc-hmc_boldref.nii.gz",
        "space-run_desc-brain_mask.nii.gz",
    }
    tree(place, stem, "desc-preproc_bold.nii.gz echo-1_desc-preproc_bold.nii.gz")
    run = one(found(tmp_path).runs, "pre")
    assert run.space == NATIVE and run.mask.name.endswith("space-run_desc-brain_mask.nii.gz")
    tree(place, stem, "from-run_to-auto00000_mode-image_desc-fmap_xfm.txt")
    (tmp_path / place / f"{stem}_desc-preproc_bold.nii.gz").unlink()
    assert one(found(tmp_path).runs, "pre").motion is None  # echoes are not the combined series


def test_without_series_the_transforms_are_used_unless_distortion_was_corrected(tree, tmp_path):
    tree("fmriprep/sub-01/anat", "sub-01", ANAT)
    place, stem = "fmriprep/sub-01/ses-pre/func", "sub-01_ses-pre_task-rest"
    tree(place, stem, FUNC, without="preproc_bold")
    run = one(found(tmp_path).runs, "pre")
    assert run.series is None and run.motion and run.xfm and run.reference and run.confounds
    tree(place, stem, "from-boldref_to-auto00000_mode-image_xfm.txt")
    adopted = found(tmp_path)
    run = one(adopted.runs, "pre")
    assert names(run) == {"desc-confounds_timeseries.tsv"}
    assert "distortion" in adopted.notes[0]


def test_only_the_anatomy_and_only_the_function(tree, tmp_path):
    tree("fmriprep/sub-01/ses-pre/anat", "sub-01_ses-pre", ANAT)
    adopted = found(tmp_path)
    assert adopted.anat.t1w and adopted.anat.session is None
    assert not any(adopted.runs.values())

    tree("fmriprep/sub-01/ses-post/func", "sub-01_ses-post_task-rest", FUNC)
    adopted = found(tmp_path)
    assert one(adopted.runs, "post").xfm and not one(adopted.runs, "pre")

    for path in (tmp_path / "fmriprep/sub-01/ses-pre/anat").iterdir():
        path.unlink()
    run = one(found(tmp_path).runs, "post")
    assert run.series and run.reference and run.xfm is None  # it is to a T1w that is not there


def test_an_anatomy_per_session_serves_its_own_session(tree, tmp_path):
    for role in ("pre", "post"):
        tree(f"fmriprep/sub-01/ses-{role}/anat", f"sub-01_ses-{role}", ANAT)
        tree(f"fmriprep/sub-01/ses-{role}/func", f"sub-01_ses-{role}_task-rest", FUNC)
    adopted = found(tmp_path)
    assert adopted.anat.session == "ses-pre"
    assert one(adopted.runs, "pre").xfm and not one(adopted.runs, "post").xfm


def test_several_t1w_are_told_as_several(tree, tmp_path):
    tree("fmriprep/sub-01/anat", "sub-01_acq-a", "desc-preproc_T1w.nii.gz")
    tree("fmriprep/sub-01/anat", "sub-01_acq-b", "desc-preproc_T1w.nii.gz")
    adopted = found(tmp_path)
    assert not adopted.anat
    assert adopted.notes == (
        "fMRIPrep: 2 desc-preproc_T1w in sub-01/anat (sub-01_acq-a_desc-preproc_T1w.nii.gz,"
        " sub-01_acq-b_desc-preproc_T1w.nii.gz): none is used",
    )


def test_another_template_is_told_and_not_used(tree, tmp_path):
    tree("fmriprep/sub-01/anat", "sub-01", ANAT.replace("MNI152NLin2009cAsym", "MNI152NLin6Asym"))
    adopted = found(tmp_path)
    assert adopted.anat.t1w and not adopted.anat.to_template
    assert "MNI152NLin6Asym" in adopted.notes[0]
    (tmp_path / "fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz").unlink()
    adopted = found(tmp_path)
    assert not adopted.anat and "no desc-preproc_T1w" in adopted.notes[0]


def test_petprep_frames_need_the_t1w_that_they_were_aligned_with(tree, tmp_path):
    tree("petprep/sub-01/ses-pre/pet", "sub-01_ses-pre_trc-UCBJ", PET)
    scan = one(found(tmp_path).scans, "pre")
    assert scan.space == NATIVE and scan.xfm is None and scan.motion and scan.reference
    for name, shift in (("fmriprep", 0.0), ("petprep", 0.0)):
        tree(f"{name}/sub-01/anat", "sub-01", ANAT)
        t1w(tmp_path / name, shift)
    assert one(found(tmp_path).scans, "pre").space == T1W
    t1w(tmp_path / "petprep", 1.0)  # another grid: another head position
    scan = one(found(tmp_path).scans, "pre")
    assert scan.space == NATIVE and scan.xfm is None


def t1w(root, shift):
    affine = np.eye(4)
    affine[0, 3] = shift
    image = nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), affine)
    nib.save(image, root / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")


def test_petprep_curves_count_where_every_region_has_one(tree, tmp_path):
    whole_tree(tree)
    table = (
        tmp_path / "petprep/sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_desc-preproc_seg-A_tacs.tsv"
    )
    table.write_text("frame_start\tframe_end\tx\ty\n0\t1\t2\t3\n")
    for regions, there in ((["x", "y"], True), (["x", "z"], False)):
        scan = one(found(tmp_path, seg="A", regions=regions).scans, "pre")
        assert (scan.curves is not None) == there
