from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from petfmri.errors import RegistrationError
from petfmri.images.coregistration import SECOND_STARTS_DEG, align_rigidly, keep_identity
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid, resample
from petfmri.images.transforms import Affine, rigid

SHAPE, SPACING_MM = (26, 30, 24), 5.0


def head(rng) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """An ellipsoid with structure of about 10 mm, and its mask."""
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    points = Affine(affine).map(np.moveaxis(np.indices(SHAPE), 0, -1).reshape(-1, 3).astype(float))
    inside = (np.linalg.norm(points / [45, 55, 40], axis=1) < 1).reshape(SHAPE)
    texture = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.5)
    data = np.where(inside, 100 + 60 * texture / texture.std(), 0).clip(0).astype(np.float32)
    return nib.Nifti1Image(data, affine), nib.Nifti1Image(inside.astype(np.uint8), affine)


@pytest.fixture
def pair(rng):
    """A T1w, its mask, and the same head in another place, contrast and grid."""
    t1w, mask = head(rng)
    truth = rigid(np.array([4.0, -3.0, 2.0]), rotation_deg=(4, -3, 5))
    affine = t1w.affine @ np.diag([-1.0, 1.0, 1.0, 1.0])  # LAS
    affine[0, 3] = -t1w.affine[0, 3]
    moved = resample(t1w, truth, Grid(SHAPE, affine), order=1)
    data = np.sqrt(np.asarray(moved.dataobj).clip(0) * 200).astype(np.float32)
    return nib.Nifti1Image(data, affine), t1w, mask, truth


class Engine:
    """Returns the given transforms one after another, the last one for ever."""

    def __init__(self, *answers: Affine) -> None:
        self.answers = list(answers)
        self.starts: list[Affine] = []

    def rigid(self, fixed, moving, *, fixed_mask=None, initial=None):
        self.starts.append(initial)
        return self.answers[min(len(self.starts), len(self.answers)) - 1]

    def affine(self, *images, **options):
        raise AssertionError("one person is aligned rigidly")

    deformable = affine


def wrong(truth: Affine) -> Affine:
    return rigid(np.array([15.0, 10.0, 0.0])) @ truth


def test_a_right_alignment_is_taken_at_once(pair):
    fixed, moving, mask, truth = pair
    engine = Engine(truth)
    found = align_rigidly(fixed, moving, moving_mask=mask, registration=engine)
    assert found.xfm is truth and len(engine.starts) == found.starts == 1
    assert 1 < found.shifted_score < found.score <= 2 and found.notes == ()


def test_the_first_start_puts_the_heads_on_each_other(pair):
    fixed, moving, mask, truth = pair
    engine = Engine(truth)
    align_rigidly(fixed, moving, moving_mask=mask, registration=engine)
    corners = np.array([[0.0, 0, 0], [40, 0, 0], [0, 40, 0], [0, 0, 40]])
    off = np.linalg.norm(engine.starts[0].map(corners) - truth.map(corners), axis=1)
    assert off.max() < 6  # what is left are the 7 degrees of rotation, over 40 mm


def test_a_wrong_alignment_leads_to_the_second_start(pair):
    fixed, moving, mask, truth = pair
    engine = Engine(wrong(truth), truth)
    found = align_rigidly(fixed, moving, moving_mask=mask, registration=engine)
    assert found.xfm is truth and len(engine.starts) == found.starts == 2
    at_once = align_rigidly(fixed, moving, moving_mask=mask, registration=Engine(truth))
    assert found.score == at_once.score
    assert len(found.notes) == 1 and "when shifted" in found.notes[0]
    turned = engine.starts[1].matrix[:3, :3] @ engine.starts[0].matrix[:3, :3].T
    assert np.rad2deg(np.arccos((np.trace(turned) - 1) / 2)) == pytest.approx(20)


def test_no_alignment_is_an_error_after_every_start(pair):
    fixed, moving, mask, truth = pair
    engine = Engine(wrong(truth))
    with pytest.raises(RegistrationError, match="when shifted after 5 starts"):
        align_rigidly(fixed, moving, moving_mask=mask, registration=engine)
    assert len(engine.starts) == 1 + len(SECOND_STARTS_DEG)
    assert len({start.matrix.tobytes() for start in engine.starts}) == len(engine.starts)


def test_a_brain_outside_the_field_of_view_is_not_aligned(pair):
    fixed, moving, mask, _ = pair
    engine = Engine(rigid(np.array([500.0, 0, 0])))
    with pytest.raises(RegistrationError, match=r"score of 1\.000"):
        align_rigidly(fixed, moving, moving_mask=mask, registration=engine)


def test_identity_is_kept_and_confirmed_where_it_holds(pair):
    _, moving, mask, _ = pair
    found = keep_identity(moving, moving, moving_mask=mask, registration=Engine(Affine()))
    assert found.xfm.is_identity and found.starts == 0 and found.notes == ()
    assert found.is_clear and found.displacement_mm == 0


def test_identity_is_kept_but_contradicted_where_it_does_not_hold(pair):
    fixed, moving, mask, truth = pair
    found = keep_identity(fixed, moving, moving_mask=mask, registration=Engine(truth))
    assert found.xfm.is_identity
    assert "a registration displaces the brain by" in found.notes[-1]
    assert found.displacement_mm is not None and found.displacement_mm > 2
    lost = keep_identity(fixed, moving, moving_mask=mask, registration=Engine(wrong(truth)))
    assert lost.xfm.is_identity and "no registration" in lost.notes[-1]


@pytest.mark.slow
def test_greedy_recovers_a_known_movement(pair):
    fixed, moving, mask, truth = pair
    xfm = align_rigidly(fixed, moving, moving_mask=mask, registration=Greedy()).xfm
    inside = np.argwhere(np.asarray(mask.dataobj) > 0).astype(float)
    points = (~truth).map(Affine(moving.affine).map(inside))
    off = np.linalg.norm(xfm.map(points) - truth.map(points), axis=1)
    assert off.mean() < 1 and off.max() < 2  # voxels are 5 mm
