from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm

from petfmri.images.predicted_pet import _prediction, refine_by_prediction
from petfmri.images.transforms import Affine, rigid

POSE = rigid((5, -4, 6), (3, -5, 4), (0, -15, 10))
OFF = rigid((0.8, -0.6, 0.9), (0.5, 0.4, -0.6), (0, -15, 10))


@pytest.fixture(scope="module")
def pet(anatomy) -> nib.Nifti1Image:
    """Grey matter takes up four times as much as white matter, more in front than behind."""
    image = anatomy.weighted(gm=12, wm=3, csf=0.5, rest=2)
    front = anatomy.grid.points()[:, 1].reshape(image.shape) / 400
    brighter = nib.Nifti1Image(np.asarray(image.dataobj) * (1 + front), image.affine)
    return acquired(brighter, POSE, anatomy.grid.spaced(4.0), noise=0.3)


def test_refinement_in_any_orientation(anatomy, pet, orient) -> None:
    t1w, fuzzy = (orient(image) for image in (anatomy.head, anatomy.mask))
    mask = nib.Nifti1Image((np.asarray(fuzzy.dataobj) > 0.5).astype(np.uint8), fuzzy.affine)
    found = refine_by_prediction(pet, ~POSE @ OFF, t1w, mask)
    points = POSE.map(anatomy.brain_points)
    assert distance_mm(OFF, Affine(), points) > 1.2
    assert distance_mm(found, ~POSE, points) < 0.3  # voxels are 3 and 4 mm


def test_what_is_far_off_or_without_structure_stays(anatomy, pet) -> None:
    far = ~POSE @ rigid((9, 9, 0))
    empty = nib.Nifti1Image(np.zeros(pet.shape, np.float32), pet.affine)
    for image, start in ((pet, far), (empty, ~POSE), (pet, rigid((900, 0, 0)))):
        found = refine_by_prediction(image, start, anatomy.head, anatomy.mask)
        assert found is start


def test_weights_of_the_classes_are_found() -> None:
    inside = np.array([[1.0, 0, 0.5, 0.2], [0, 1, 0.5, 0.2]]).reshape(2, 4, 1, 1)
    parts = np.concatenate([1 - inside.sum(axis=0, keepdims=True), inside])
    pet = (3 * parts[1] + 7 * parts[2]).astype(np.float32)
    prediction, brain = _prediction(pet, parts)
    assert brain.ravel().tolist() == [True, True, True, False]
    np.testing.assert_allclose(prediction.ravel(), [3, 7, 5, 2], atol=1e-4)
