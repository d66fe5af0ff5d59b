"""Every adopted file that cannot be used, at once; and what is said of each person."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.cli import main
from petfmri.commands.adoption import adoption_line, adoption_problems, adoptions
from petfmri.commands.check import find_problems
from petfmri.commands.context import cohort_of, petprep_curves
from petfmri.commands.run import _largest_step_gb, _provenance, _scans, settings_of
from petfmri.config import load_study
from petfmri.errors import ConfigError
from petfmri.images.transform_files import write_affine, write_affines
from petfmri.images.transforms import Affine, rigid
from petfmri.study.adoption import sources_of

N_BOLD, N_PET, SHAPE = 12, 3, (5, 5, 5)
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
ENDS = ("", "_derivative1", "_power2", "_derivative1_power2")
STUDY = """\
name: adopted
bids: bids
output: out
derivatives: {fmriprep: fmriprep, petprep: petprep}
bold: {strategy: 24P}
"""


def image(path, *frames, shape=SHAPE, shift=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([3.0, 3, 3, 1])
    affine[0, 3] = shift
    data = np.random.default_rng(1).random((*shape, *frames)).astype(np.float32)
    nib.save(nib.Nifti1Image(data, affine), path)


def stem_of(root, kind, session="ses-pre"):
    entity = {"func": "task-rest", "pet": "trc-UCBJ"}[kind]
    return root / f"sub-01/{session}/{kind}" / f"sub-01_{session}_{entity}"


def named(stem, end):
    return stem.with_name(f"{stem.name}_{end}")


@pytest.fixture
def folder(tmp_path):
    """One person, one session, everything there."""
    (tmp_path / "study.yaml").write_text(STUDY)
    for kind, n in (("func", N_BOLD), ("pet", N_PET)):
        raw = stem_of(tmp_path / "bids", kind)
        image(named(raw, {"func": "bold.nii.gz", "pet": "pet.nii.gz"}[kind]), n)
        named(raw, {"func": "bold.json", "pet": "pet.json"}[kind]).write_text(
            '{"RepetitionTime": 2.0, "TracerName": "UCBJ"}'
        )
    image(tmp_path / "bids/sub-01/ses-pre/anat/sub-01_ses-pre_T1w.nii.gz")
    anat = tmp_path / "fmriprep/sub-01/anat"
    for end in (
        "desc-preproc_T1w",
        "desc-brain_mask",
        *(f"label-{t}_probseg" for t in ("GM", "WM", "CSF")),
    ):
        image(anat / f"sub-01_{end}.nii.gz")
    func, pet = stem_of(tmp_path / "fmriprep", "func"), stem_of(tmp_path / "petprep", "pet")
    image(named(func, "desc-coreg_boldref.nii.gz"))
    image(named(func, "desc-preproc_bold.nii.gz"), N_BOLD)
    write_affine(rigid((1, 2, 3)), named(func, "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt"))
    columns = {name + end: np.zeros(N_BOLD) for name in MOTION for end in ENDS}
    table = pd.DataFrame(columns | {"framewise_displacement": np.zeros(N_BOLD)})
    table.to_csv(named(func, "desc-confounds_timeseries.tsv"), sep="\t", index=False)
    image(named(pet, "desc-hmc_petref.nii.gz"))
    write_affines([Affine()] * N_PET, named(pet, "from-orig_to-petref_mode-image_desc-hmc_xfm.txt"))
    write_affine(rigid((1, 2, 3)), named(pet, "from-petref_to-T1w_mode-image_xfm.txt"))
    return tmp_path


def found(folder):
    study = load_study(folder / "study.yaml")
    cohort = cohort_of(study)
    adopted = adoptions(study, cohort)
    return adopted, adoption_problems(study, cohort, adopted)


def test_what_fits_has_no_problem_and_one_line(folder):
    adopted, problems = found(folder)
    assert problems == []
    line = adoption_line("sub-01", adopted["sub-01"])
    assert line == (
        "sub-01: adopted T1w without bias field, brain mask, tissues, PET motion, PET to T1w, "
        "BOLD motion, BOLD to T1w, BOLD interpolation, confounds; computed T1w to template, "
        "PET interpolation, regional curves"
    )


def test_everything_that_does_not_fit_is_told_at_once(folder, capsys):
    func, pet = stem_of(folder / "fmriprep", "func"), stem_of(folder / "petprep", "pet")
    image(folder / "fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz", shift=3.0)
    image(named(func, "desc-preproc_bold.nii.gz"), N_BOLD - 1)
    image(named(func, "desc-coreg_boldref.nii.gz"), shape=(4, 5, 5))
    table = named(func, "desc-confounds_timeseries.tsv")
    table.write_text(
        "\n".join(table.read_text().replace("trans_x\t", "shift_x\t").split("\n")[:-3])
    )
    flat = "Transform: AffineTransform_double_3_3\nParameters: " + "0 " * 12
    flat = f"#Insight Transform File V1.0\n#Transform 0\n{flat}\nFixedParameters: 0 0 0\n"
    named(func, "from-boldref_to-T1w_mode-image_desc-coreg_xfm.txt").write_text(flat)
    write_affines([Affine()] * 2, named(pet, "from-orig_to-petref_mode-image_desc-hmc_xfm.txt"))
    named(pet, "desc-hmc_petref.nii.gz").write_bytes(b"no image")
    _, problems = found(folder)
    told = {
        (problem.where.split("_", 2)[-1].split("UCBJ_")[-1], problem.found) for problem in problems
    }
    words = "\n".join(map(str, problems))
    assert all(problem.severity == "error" and problem.remedy for problem in problems)
    for where, what in (
        ("desc-brain_mask.nii.gz", "another grid"),
        ("desc-preproc_bold.nii.gz", "11 volumes"),
        ("desc-preproc_bold.nii.gz", "another grid"),
        ("desc-confounds_timeseries.tsv", "10 rows"),
        ("desc-confounds_timeseries.tsv", "no column trans_x"),
        ("desc-coreg_xfm.txt", "cannot be inverted"),
        ("desc-hmc_xfm.txt", "2 transforms"),
        ("desc-hmc_petref.nii.gz", "damaged"),
    ):
        assert any(where in one.where and what in one.found for one in problems), (where, words)
    assert len(told) >= 8
    assert main(["check", str(folder / "study.yaml")]) == 2
    assert "another grid" in capsys.readouterr().err


def test_a_folder_that_is_none_or_of_somebody_else(folder):
    (folder / "petprep/sub-01").rename(folder / "petprep/sub-99")
    _, (problem,) = found(folder)
    assert problem.severity == "error" and problem.where == "derivatives.petprep"
    (folder / "bids/sub-99").mkdir()  # of the dataset, but not among those who are run
    study = load_study(folder / "study.yaml")
    cohort = cohort_of(study, ["01"])
    (problem,) = adoption_problems(study, cohort, adoptions(study, cohort))
    assert problem.severity == "warning"
    (folder / "petprep").rename(folder / "elsewhere")
    with pytest.raises(ConfigError, match=r"derivatives\.petprep.*no folder"):
        found(folder)


def test_a_change_of_an_adopted_file_is_one_of_the_input(folder):
    study = load_study(folder / "study.yaml")
    cohort = cohort_of(study)

    def made_from():
        one = adoptions(study, cohort)["sub-01"]
        roots = {"fmriprep": folder / "fmriprep", "petprep": folder / "petprep"}
        settings = settings_of(study, cohort)
        return _provenance(cohort.participants[0], cohort, one, roots, settings)

    first = made_from()
    assert first.sources["anatomy"]["tissues"] == (
        "bids:fmriprep:sub-01/anat/sub-01_label-GM_probseg.nii.gz"
    )
    assert first.sources["anatomy"]["T1w to template"] == "computed"
    assert made_from().key == first.key
    image(folder / "fmriprep/sub-01/anat/sub-01_label-CSF_probseg.nii.gz", shift=1e-3)
    second = made_from()
    assert second.key != first.key
    stem = stem_of(folder / "petprep", "pet")
    named(stem, "from-petref_to-T1w_mode-image_xfm.txt").unlink()
    assert made_from().key != second.key


def test_petprep_curves_are_compared_until_a_run_has_used_the_images(folder):
    study = load_study(folder / "study.yaml")
    assert petprep_curves(study) == folder / "petprep"
    record = folder / "out/sub-01/sub-01_provenance.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert petprep_curves(study) is None


def test_memory_is_asked_for_the_series_that_are_read(folder):
    study = load_study(folder / "study.yaml")
    cohort = cohort_of(study)
    person, adopted = cohort.participants[0], adoptions(study, cohort)["sub-01"]
    before = _largest_step_gb(person, adopted)
    func = stem_of(folder / "fmriprep", "func")
    image(named(func, "desc-preproc_bold.nii.gz"), N_BOLD, shape=(60, 60, 60))
    assert _largest_step_gb(person, adopted) > before + 0.01


def test_a_folder_above_the_right_one_is_refused_and_the_right_one_named(folder):
    (folder / "derivatives/fmriprep/sourcedata/sub-01/mri").mkdir(parents=True)
    (folder / "fmriprep").rename(folder / "derivatives/fmriprep-25")
    change(folder, "fmriprep: fmriprep", "fmriprep: derivatives")
    _, (problem,) = found(folder)
    assert problem.severity == "error"
    assert f"did you mean {folder / 'derivatives/fmriprep-25'}?" in problem.remedy


def change(folder, old, new):
    path = folder / "study.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_options_that_touch_no_adopted_run_ask_nothing_and_say_so(folder):
    change(folder, "strategy: 24P", "strategy: 24P, slice_timing: true, distortion: registration")
    study = load_study(folder / "study.yaml")
    cohort = cohort_of(study)
    adopted = adoptions(study, cohort)
    words = "\n".join(map(str, find_problems(study, cohort, adopted=adopted)))
    assert "SliceTiming" not in words and "PhaseEncoding" not in words
    raw = "sub-01_ses-pre_task-rest_bold.nii.gz"
    line = adoption_line("sub-01", adopted["sub-01"])
    assert line.endswith(
        f"; slice timing as fMRIPrep left it in {raw}; distortion as fMRIPrep left it in {raw}"
    )
    (run,) = _scans(cohort.participants[0].sessions[0], adopted["sub-01"], study.bold).runs
    assert run.slice_times_s == ()
    roots = {"fmriprep": folder / "fmriprep"}
    told = sources_of(adopted["sub-01"], roots)[raw]
    assert told["slice timing"] == (
        "as fMRIPrep left it, bids:fmriprep:sub-01/ses-pre/func/"
        "sub-01_ses-pre_task-rest_desc-preproc_bold.nii.gz"
    )


@pytest.mark.parametrize("derivatives", ["{fmriprep: fmriprep}", "{petprep: petprep}", "{}"])
def test_what_no_folder_is_named_for_is_computed(folder, derivatives):
    change(folder, "{fmriprep: fmriprep, petprep: petprep}", derivatives)
    study = load_study(folder / "study.yaml")
    adopted = adoptions(study, cohort_of(study))["sub-01"]
    line = adoption_line("sub-01", adopted).partition("computed ")[2]
    assert ("PET motion" in line) == ("petprep" not in derivatives)
    assert ("BOLD motion" in line) == ("fmriprep" not in derivatives)
    sources = sources_of(adopted, {})
    assert sources.keys() == {
        "anatomy",
        "sub-01_ses-pre_trc-UCBJ_pet.nii.gz",
        "sub-01_ses-pre_task-rest_bold.nii.gz",
    }


def test_sessions_that_are_not_adopted_alike_are_told(folder):
    for name in ("bids", "fmriprep", "petprep"):
        shutil.copytree(folder / name / "sub-01/ses-pre", folder / name / "sub-01/ses-post")
        for path in (folder / name / "sub-01/ses-post").rglob("*.*"):
            path.rename(path.with_name(path.name.replace("ses-pre", "ses-post")))
    assert found(folder)[1] == []
    named(stem_of(folder / "fmriprep", "func"), "desc-confounds_timeseries.tsv").unlink()
    pet = stem_of(folder / "petprep", "pet", "ses-post")
    named(pet, "from-petref_to-T1w_mode-image_xfm.txt").unlink()
    _, (scans, runs) = found(folder)
    assert {scans.severity, runs.severity} == {"warning"}
    assert "its sessions are processed differently" in runs.remedy
    assert runs.where == "sub-01: BOLD adopted"
    first, second = runs.found.split(" | ")
    assert first == (
        "ses-pre, sub-01_ses-pre_task-rest_bold.nii.gz: nothing"
        " (sub-01_ses-pre_task-rest_desc-preproc_bold.nii.gz: no confounds beside it)"
    )
    assert second == (
        "ses-post, sub-01_ses-post_task-rest_bold.nii.gz: BOLD motion, BOLD to T1w,"
        " BOLD interpolation (native), confounds"
    )
    assert scans.found.endswith("PET motion (no other file of it is there)")
