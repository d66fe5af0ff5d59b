from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.study.bids import read_cohort
from petfmri.study.checks import check_cohort

AFFINE = np.diag([12.0, 12, 12, 1])  # of the dataset's T1w


def add_mask(dataset, name, shape=(12, 14, 12), affine=AFFINE):
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), affine), dataset.path(name))


def found(dataset, label="01"):
    cohort = read_cohort(dataset.root, sessions=dataset.sessions)
    return [path.name for path in cohort.participant(label).lesions]


def problems(dataset):
    return check_cohort(read_cohort(dataset.root, sessions=dataset.sessions))


@pytest.mark.parametrize(
    "name",
    [
        "sub-01/anat/sub-01_label-lesion_mask.nii.gz",
        "sub-01/anat/sub-01_desc-lesion_mask.nii",
        "sub-01/ses-pre/anat/sub-01_ses-pre_label-lesion_roi.nii.gz",
        "sub-01/anat/sub-01_T1w_label-lesion_roi.nii.gz",
        "derivatives/manual/sub-01/ses-pre/anat/sub-01_ses-pre_space-orig_label-lesion_mask.nii.gz",
    ],
)
def test_every_bids_spelling_is_found_for_its_person_alone(dataset, name):
    add_mask(dataset, name)
    assert found(dataset) == [name.rpartition("/")[2]]
    assert found(dataset, "02") == []
    assert problems(dataset) == []


@pytest.mark.parametrize(
    "name", ["sub-01_desc-brain_mask", "sub-01_label-lesion_probseg", "lesion"]
)
def test_other_images_are_none(dataset, name):
    add_mask(dataset, f"sub-01/anat/{name}.nii.gz")
    assert found(dataset) == []


def test_one_in_template_space_is_refused_unless_the_persons_own_is_there(dataset):
    own, warped = (
        f"derivatives/manual/sub-01/anat/sub-01_{space}label-lesion_mask.nii.gz"
        for space in ("", "space-MNI152NLin2009cAsym_")
    )
    add_mask(dataset, warped, shape=(19, 23, 19))
    (problem,) = problems(dataset)
    assert "19 × 23 × 19 voxels" in problem.found and "sub-01_ses-pre_T1w" in problem.expected
    add_mask(dataset, own)
    assert problems(dataset) == []


@pytest.mark.parametrize(
    ("shape", "affine", "message"),
    [
        ((12, 14, 13), AFFINE, "a lesion mask with 12 × 14 × 13 voxels"),
        ((12, 14, 12), AFFINE @ np.diag([-1.0, 1, 1, 1]), "another position or orientation"),
        ((12, 14, 12), AFFINE + np.eye(4, k=3), "another position or orientation"),
    ],
)
def test_another_grid_than_the_t1w_is_an_error(dataset, shape, affine, message):
    add_mask(dataset, "sub-02/anat/sub-02_label-lesion_mask.nii.gz", shape, affine)
    (problem,) = problems(dataset)
    assert problem.severity == "error" and message in problem.found
    assert problem.where == "sub-02_label-lesion_mask.nii.gz"


def test_a_damaged_mask_is_an_error(dataset):
    dataset.path("sub-01/anat/sub-01_label-lesion_mask.nii.gz").write_bytes(b"no image")
    (problem,) = problems(dataset)
    assert "damaged data" in problem.found
