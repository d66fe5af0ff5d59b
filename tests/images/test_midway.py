from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.linalg import logm
from tests.images.conftest import acquired, turned

from petfmri.errors import RegistrationError
from petfmri.images.midway import Midway, balanced, midway_t1w
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, rigid

GREEDY = Greedy(finest_mm=3.0)
MOVES = (rigid((4, -6, 5), (6, -4, 3)), rigid((-5, 4, -3), (-5, 4, -6)))  # anatomy to each scan
NOISE = 12.0


@pytest.fixture(scope="module")
def scans(anatomy) -> list[nib.Nifti1Image]:
    """Two visits of one head, the second twice as bright and stored from right to left."""
    first, second = (
        acquired(anatomy.head, move, anatomy.grid, NOISE, seed) for seed, move in enumerate(MOVES)
    )
    bright = nib.Nifti1Image(2 * np.asarray(second.dataobj), second.affine)
    return [abs_of(first), turned(abs_of(bright), "LAS")]


def abs_of(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.abs(np.asarray(image.dataobj)), image.affine)


@pytest.fixture(scope="module")
def joined(scans) -> Midway:
    return midway_t1w(scans, GREEDY)


def test_one_image_passes_untouched(scans) -> None:
    alone = midway_t1w(scans[:1], GREEDY)
    assert alone.t1w is scans[0]
    assert alone.xfms == (Affine(),)


def test_balanced_by_hand() -> None:
    """Of two, each moves by half; of three, the turns of 0, 10 and 20 degrees become -10, 0, 10."""
    turns = balanced([rigid((0, 0, 0), (0, 0, angle)) for angle in (0, 10, 20)])
    for found, angle in zip(turns, (-10, 0, 10), strict=True):
        np.testing.assert_allclose(found.matrix, rigid((0, 0, 0), (0, 0, angle)).matrix, atol=1e-9)
    mixed = balanced([Affine(), *MOVES])
    assert np.abs(np.sum([logm(xfm.matrix).real for xfm in mixed], axis=0)).max() < 1e-8
    between = (~mixed[1] @ MOVES[0]).matrix  # what they share is one shift
    np.testing.assert_allclose(between, (~mixed[2] @ MOVES[1]).matrix, atol=1e-8)


def test_the_way_between_two_scans_is_found_and_halved(anatomy, joined: Midway) -> None:
    near, far = joined.xfms
    np.testing.assert_allclose((near @ far).matrix, np.eye(4), atol=1e-6)
    points = MOVES[0].map(anatomy.brain_points)
    found, true = (far @ ~near).map(points), (MOVES[1] @ ~MOVES[0]).map(points)
    assert np.linalg.norm(found - true, axis=1).mean() < 0.3  # 3 mm voxels


@pytest.mark.slow
def test_order_does_not_matter(anatomy, scans, joined: Midway) -> None:
    other = midway_t1w(scans[::-1], GREEDY)
    points = anatomy.brain_points
    for one, same in zip(joined.xfms, other.xfms[::-1], strict=True):
        assert np.linalg.norm(one.map(points) - same.map(points), axis=1).mean() < 0.1
    assert Grid.of(other.t1w).shape == Grid.of(joined.t1w).shape


def test_agreement_is_that_of_one_person(joined: Midway) -> None:
    assert 0.85 < joined.agreement < 1


def test_noise_shrinks_and_brightness_is_shared(anatomy, scans, joined: Midway) -> None:
    """White matter, deep inside: the mean of two is less noisy than either."""
    mean = np.asarray(joined.t1w.dataobj)
    wm = np.asarray(anatomy.wm.dataobj)
    deep = anatomy.grid.points()[wm.ravel() > 0.97]
    spreads = []
    for image, to_image in ((scans[0], MOVES[0]), (joined.t1w, ~joined.xfms[0] @ MOVES[0])):
        data = np.asarray(image.dataobj)
        voxels = np.rint((~Affine(image.affine)).map(to_image.map(deep))).astype(int)
        values = data[tuple(voxels.T)]
        spreads.append(values.std() / values.mean())
    assert spreads[1] < 0.85 * spreads[0]
    assert 1.2 < np.percentile(mean, 99) / np.percentile(np.asarray(scans[0].dataobj), 99) < 1.8


@pytest.mark.slow
def test_another_contrast_is_refused(scans) -> None:
    data = np.asarray(scans[1].dataobj)
    inverse = np.where(data > 60, np.maximum(560 - data, 0), data).astype(np.float32)
    with pytest.raises(RegistrationError, match="correlation"):
        midway_t1w([scans[0], nib.Nifti1Image(inverse, scans[1].affine)], GREEDY)


@pytest.mark.slow
def test_three_scans_of_any_storage(anatomy, scans, joined: Midway) -> None:
    third = turned(abs_of(acquired(anatomy.head, Affine(), anatomy.grid, NOISE, 5)), "oblique")
    found = midway_t1w([*scans, third], GREEDY)
    points = anatomy.brain_points
    for xfm, move in zip(found.xfms[:2], MOVES, strict=True):
        there = (xfm @ ~found.xfms[2]).map(points)
        assert np.linalg.norm(there - move.map(points), axis=1).mean() < 0.4
