from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.eulerangles import euler2mat

from petfmri.errors import DatasetError
from petfmri.pet.partial_volume import (
    geometric_transfer_matrix,
    gtm,
    iterative_yang,
    iterative_yang_tacs,
)
from petfmri.pet.psf import blur
from petfmri.pet.spill import complete_masks, label_spill, mask_spill
from petfmri.pet.tacs import regional_means

FWHM_MM = 6.0


def head(shape=(64, 75, 64), voxel_mm=3.0):
    """22 labels around a background of 0: white matter 1, CSF 2, 16 cortical and 4 deep regions."""
    axes = [(np.arange(size) - (size - 1) / 2) * voxel_mm for size in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt((x / 70) ** 2 + (y / 85) ** 2 + (z / 68) ** 2)
    sector = np.minimum((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 8, 7).astype(int)
    labels = np.select(
        [radius <= 0.9, radius <= 1, radius <= 1.07], [1, 3 + 2 * sector + (z > 0), 2]
    )
    for deep, center in enumerate([(-25, 10, 0), (25, 10, 0), (-25, -25, -8), (25, -25, -8)]):
        distance = np.sqrt(sum((a - c) ** 2 for a, c in zip((x, y, z), center, strict=True)))
        labels[distance <= 11] = 19 + deep
    return labels, np.diag([voxel_mm] * 3 + [1.0])


GREY = {label: f"grey {label}" for label in range(3, 23)}
ACTIVITY = np.array([0.0, 5, 2, *np.linspace(18, 30, 20)])


@pytest.fixture(scope="module")
def phantom():
    labels, affine = head()
    truth = ACTIVITY[labels]
    return labels, affine, truth, blur(truth, FWHM_MM, affine), label_spill(labels, affine, FWHM_MM)


@pytest.fixture(scope="module")
def boxes():
    """As PETPVC's own test: regions of 2, 3 and 4 on 0, voxels of 2×2.5×5 mm, PSF 5×6×7 mm."""
    labels = np.zeros((50, 40, 24), dtype=int)
    labels[8:42, 8:32, 5:19] = 1
    labels[12:22, 12:28, 8:16] = 2
    labels[28:38, 12:28, 8:16] = 3
    truth = np.array([0.0, 2, 3, 4])[labels]
    affine = np.diag([2, 2.5, 5, 1.0])
    return labels, affine, truth, blur(truth, (5, 6, 7), affine)


def straightforward_yang(pet, labels, affine, fwhm_mm, n_iterations):
    """Iterative Yang as it is written in the literature, with a blur per iteration."""
    estimate = pet
    for _ in range(n_iterations):
        sums = np.bincount(labels.ravel(), weights=estimate.ravel())
        painted = np.maximum(sums / np.maximum(np.bincount(labels.ravel()), 1), 0)[labels]
        blurred = blur(painted, fwhm_mm, affine)
        estimate = pet * np.divide(painted, blurred, out=np.ones_like(pet), where=blurred > 0)
    return estimate


def only(frames):
    (frame,) = frames
    return frame


# ------------------------------------------------------------------------------------- by hand


def test_two_regions_by_hand():
    """Labels 1 1 2 2 and a kernel of three weights: only the two voxels in the middle mix."""
    labels = np.array([1, 1, 2, 2]).reshape(4, 1, 1)
    spill = label_spill(labels, np.eye(4), 0.8)
    side = np.exp(-4 * np.log(2) / 0.8**2)  # weight a voxel away, over that of the peak
    side /= 1 + 2 * side
    np.testing.assert_array_equal(spill.mixed, [False, True, True, False])
    np.testing.assert_allclose(spill.blurred.toarray(), [[1 - side, side], [side, 1 - side]], 1e-4)
    by_hand = np.array([[1 - side / 2, side / 2], [side / 2, 1 - side / 2]])
    np.testing.assert_allclose(geometric_transfer_matrix(spill), by_hand, atol=1e-6)

    pet = np.array([2.0, 2 + 6 * side, 8 - 6 * side, 8.0]).reshape(4, 1, 1)
    found = gtm([pet], spill, {2: "high", 1: "low", 9: "gone"})
    np.testing.assert_allclose(found.tacs.mean[:2, 0], [8, 2], rtol=1e-6)
    assert np.isnan(found.tacs.mean[2, 0])
    once = only(iterative_yang([pet], spill, n_iterations=1)).image.ravel()
    low, high = 2 + 3 * side, 8 - 3 * side
    expected = (2 + 6 * side) * low / (low + (high - low) * side)
    assert once[1] == pytest.approx(expected, rel=1e-6)
    assert once[0] == 2


# ------------------------------------------------------------------------------ the head phantom


def test_bias_before_and_none_after(phantom):
    labels, _, truth, pet, spill = phantom
    before = regional_means([pet], labels, GREY, voxel_volume_mm3=27).mean[:, 0] / ACTIVITY[3:] - 1
    assert -0.3 < before.mean() < -0.18
    solved = gtm([pet], spill, GREY)
    np.testing.assert_allclose(solved.tacs.mean[:, 0], ACTIVITY[3:], rtol=1e-5)
    assert 1 < solved.condition < 10
    assert np.isnan(solved.tacs.sd).all()
    yang = iterative_yang_tacs([pet], spill, GREY)
    np.testing.assert_allclose(yang.mean[:, 0], ACTIVITY[3:], rtol=1e-3)
    assert yang.notes == solved.tacs.notes == ()
    np.testing.assert_allclose(only(iterative_yang([pet], spill)).image, truth, atol=0.01)


@pytest.mark.parametrize("n_iterations", [1, 4])
def test_equals_a_blur_per_iteration(phantom, n_iterations):
    labels, affine, _, pet, spill = phantom
    found = only(iterative_yang([pet], spill, n_iterations=n_iterations)).image
    expected = straightforward_yang(pet, labels, affine, FWHM_MM, n_iterations)
    inside = labels > 0
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-4)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_equals_a_blur_per_iteration_in_noise_up_to_the_edges(rng):
    labels = rng.integers(1, 4, size=(5, 4, 3)).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    affine = np.diag([2, 2, 3, 1.0])
    pet = rng.normal(10 * labels, 3.0)
    found = only(iterative_yang([pet], label_spill(labels, affine, (5, 6, 7)))).image
    expected = straightforward_yang(pet, labels, affine, (5, 6, 7), 20)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_4d_is_frame_by_frame_3d(phantom, rng):
    _, _, _, pet, spill = phantom
    frames = np.stack([pet, 0.3 * pet + rng.normal(size=pet.shape)]).astype(np.float32)
    both, means = iterative_yang(frames, spill), iterative_yang_tacs(frames, spill, GREY).mean
    solved = gtm(frames, spill, GREY).tacs.mean
    for number, frame in enumerate(frames):
        alone = only(iterative_yang(frame, spill))
        image = next(both).image
        np.testing.assert_array_equal(image, alone.image)
        assert image.dtype == np.float32
        by_image = regional_means([image], spill.labels, GREY, voxel_volume_mm3=27).mean
        np.testing.assert_array_equal(means[:, number], by_image[:, 0])
        np.testing.assert_allclose(solved[:, [number]], gtm(frame, spill, GREY).tacs.mean)


def test_noise_does_not_bias(phantom, rng):
    """Noise of 20 % of grey matter per voxel: no region off by more than 4 of its own SD."""
    _, affine, _, pet, spill = phantom
    noise = [blur(rng.normal(size=pet.shape), FWHM_MM, affine) for _ in range(8)]
    frames = [pet + 4.8 * n / n.std() for n in noise]
    for tacs in (iterative_yang_tacs(frames, spill, GREY), gtm(frames, spill, GREY).tacs):
        error = tacs.mean / ACTIVITY[3:, None] - 1
        standard_error = error.std(axis=1, ddof=1) / np.sqrt(8)
        assert np.abs(error.mean()) < 0.01
        assert (np.abs(error.mean(axis=1)) < 5 * standard_error).all()


# ------------------------------------------------------------------- anisotropic, LAS and oblique


def test_published_phantom(boxes):
    labels, affine, truth, pet = boxes
    spill = label_spill(labels, affine, (5, 6, 7))
    frame = only(iterative_yang([pet], spill, n_iterations=10))
    assert np.abs(frame.image - truth).max() < 1e-3  # the published limit is 0.01
    solved = gtm([pet], spill, {1: "a", 2: "b", 3: "c"}).tacs.mean[:, 0]
    np.testing.assert_allclose(solved, [2, 3, 4], rtol=1e-5)


@pytest.mark.parametrize(
    ("fwhm_mm", "sign", "worst"), [((4, 5, 5), -1, 0.7), ((6, 7, 8), 1, 0.7), ((5, 6, 7), 0, 0.001)]
)
def test_a_wrong_resolution_costs_a_few_percent(boxes, fwhm_mm, sign, worst):
    """1 mm off: means wrong by 1-5 %, single voxels by up to a third. Too narrow is too low."""
    labels, affine, truth, pet = boxes
    spill = label_spill(labels, affine, fwhm_mm)
    image = only(iterative_yang([pet], spill)).image
    error = np.array([image[labels == label].mean() / (label + 1) - 1 for label in (1, 2, 3)])
    assert np.abs(image - truth).max() <= worst
    if sign:
        assert ((np.sign(error) == sign) & (np.abs(error) > 0.01) & (np.abs(error) < 0.05)).all()
    else:
        assert np.abs(error).max() < 1e-5


def test_orientation_does_not_matter(boxes):
    labels, affine, _, pet = boxes
    as_it_is = only(iterative_yang([pet], label_spill(labels, affine, (5, 6, 7)))).image
    flipped = affine @ nib.affines.from_matvec(np.diag([-1, 1, 1]), [labels.shape[0] - 1, 0, 0])
    las = only(iterative_yang([pet[::-1]], label_spill(labels[::-1], flipped, (5, 6, 7))))
    np.testing.assert_allclose(las.image[::-1], as_it_is, rtol=1e-5)
    tilted = nib.affines.from_matvec(euler2mat(0.3, -0.2, 0.1), [5, 6, 7]) @ affine
    oblique = only(iterative_yang([pet], label_spill(labels, tilted, (5, 6, 7))))
    np.testing.assert_allclose(oblique.image, as_it_is, rtol=1e-5)
    turned = affine[:, [2, 0, 1, 3]]
    spill = label_spill(labels.transpose(2, 0, 1), turned, (7, 5, 6))
    moved = only(iterative_yang([pet.transpose(2, 0, 1)], spill))
    np.testing.assert_allclose(moved.image.transpose(1, 2, 0), as_it_is, rtol=1e-5)


# ---------------------------------------------------------------- zeros, negatives, field of view


def test_zero_stays_zero(boxes):
    labels, affine, _, pet = boxes
    spill = label_spill(labels, affine, (5, 6, 7))
    frame = only(iterative_yang([np.zeros_like(pet)], spill))
    assert (frame.image == 0).all()
    assert frame.uncorrected.all()
    assert (gtm([0 * pet], spill, {1: "a"}).tacs.mean == 0).all()


def test_a_negative_region_keeps_its_values(boxes):
    labels, affine, _, pet = boxes
    spill = label_spill(labels, affine, (5, 6, 7))
    noisy = np.where(labels == 2, -0.1, pet)
    frame = only(iterative_yang([noisy], spill))
    assert (frame.image[labels == 2] == -0.1).all()
    assert np.isfinite(frame.image).all()
    np.testing.assert_array_equal(frame.uncorrected, [False, False, True, False])
    tacs = iterative_yang_tacs([pet, noisy], spill, {2: "low", 3: "high"})
    assert tacs.notes == ("low: not corrected in 1 of 2 frames, where its mean is not above zero",)
    assert tacs.mean[0, 1] == pytest.approx(-0.1)


def test_the_edge_of_the_field_of_view_does_not_spread(boxes):
    labels, affine, truth, pet = boxes
    spill = label_spill(labels, affine, (5, 6, 7))
    cut = np.where(np.arange(pet.shape[2]) < 8, np.nan, pet)  # half of region 1 to 3 is seen
    frame = only(iterative_yang([cut], spill))
    np.testing.assert_array_equal(np.isnan(frame.image), np.isnan(cut))
    seen = np.isfinite(cut)
    assert np.abs(frame.image - truth)[seen].max() < 1e-3
    solved = gtm([cut, pet], spill, {1: "a", 2: "b"}).tacs
    np.testing.assert_allclose(solved.mean, [[2, 2], [3, 3]], rtol=1e-5)


def test_an_unseen_region_is_missing_and_spills_the_average(boxes):
    labels, affine, _, pet = boxes
    spill = label_spill(labels, affine, (5, 6, 7))
    cut = np.where(labels == 3, np.nan, pet)
    solved = gtm([cut], spill, {1: "a", 2: "b", 3: "c"}).tacs
    assert np.isnan(solved.mean[2]).all()
    assert solved.notes == ("c: 0 % inside the field of view",)
    yang = iterative_yang_tacs([cut], spill, {1: "a", 2: "b", 3: "c"})
    for tacs in (solved, yang):
        np.testing.assert_allclose(tacs.mean[:2, 0], [2, 3], rtol=0.06)
    assert yang.mean[0, 0] > 2  # spill-in from the unseen region, which is hotter, remains


# -------------------------------------------------------------------------------- masks and flags


def test_masks_are_made_to_sum_to_one(rng):
    masks = rng.dirichlet(np.ones(4), size=(4, 5, 6)).transpose(3, 0, 1, 2)[:3]
    complete = complete_masks(masks * 1.03)
    np.testing.assert_allclose(complete.sum(axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(complete[1:] / complete[1], masks / masks[0], rtol=1e-4)
    with pytest.raises(DatasetError, match=r"at most 1\.05"):
        complete_masks(np.stack([masks[0] + 0.5, 1 - masks[0]]))
    with pytest.raises(DatasetError, match="Use probabilities"):
        complete_masks(masks - 0.5)


def test_crisp_masks_equal_labels(boxes):
    labels, affine, _, pet = boxes
    masks = np.stack([labels == label for label in (1, 2, 3)]).astype(float)
    by_mask = mask_spill(masks, affine, (5, 6, 7))
    by_label = label_spill(labels, affine, (5, 6, 7))
    np.testing.assert_array_equal(by_mask.labels, labels)
    np.testing.assert_array_equal(by_mask.index, by_label.index)
    np.testing.assert_allclose(
        geometric_transfer_matrix(by_mask), geometric_transfer_matrix(by_label), atol=2e-6
    )
    found, expected = (only(iterative_yang([pet], spill)).image for spill in (by_mask, by_label))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_probabilities_are_recovered(boxes):
    """Half-resolved tissue borders: regional activities come back, through mixed voxels."""
    labels, affine, _, _ = boxes
    soft = np.stack([blur((labels == label) * 1.0, 4, affine) for label in (1, 2, 3)])
    image = np.tensordot([2.0, 3, 4], soft, 1)
    pet = blur(image, (5, 6, 7), affine)
    spill = mask_spill(soft, affine, (5, 6, 7), index=[5, 7, 9])
    assert not spill.exclusive
    np.testing.assert_allclose(spill.volume_mm3.sum(), labels.size * 25, rtol=1e-5)
    solved = gtm([pet], spill, {5: "a", 7: "b", 9: "c"}).tacs.mean[:, 0]
    np.testing.assert_allclose(solved, [2, 3, 4], rtol=1e-4)
    corrected = only(iterative_yang([pet], spill)).image
    sure = soft.max(axis=0) > 0.1
    np.testing.assert_allclose(corrected[sure], image[sure], rtol=2e-3)
    cut = np.where(np.arange(pet.shape[2]) < 7, np.nan, pet)
    seen = only(iterative_yang([cut], spill)).image
    np.testing.assert_allclose(seen[sure & (cut > 0)], image[sure & (cut > 0)], rtol=2e-3)


def test_what_cannot_be_relied_upon_is_flagged(boxes):
    labels, affine, _, pet = boxes
    labels = labels.copy()
    labels[20:22, 20:22, 12] = 4
    spill = label_spill(labels, affine, (5, 6, 7))
    note = "tiny: 100 mm³, smaller than the resolution element of 210 mm³; its corrected value is"
    regions = {1: "a", 4: "tiny"}
    assert iterative_yang_tacs([pet], spill, regions).notes == (f"{note} unreliable",)
    assert gtm([pet], spill, regions).tacs.notes == (f"{note} unreliable",)
    checkers = (np.indices((12, 12, 12)).sum(axis=0) % 2) + 1
    found = gtm([checkers * 1.0], label_spill(checkers, np.eye(4), 3.0), {1: "a"})
    assert found.condition > 100
    assert "noise is amplified" in found.tacs.notes[-1]


def test_regions_that_cannot_be_told_apart(boxes):
    labels, affine, _, pet = boxes
    half = (labels == 2) / 2
    with pytest.raises(DatasetError, match="Merge them"):
        gtm([pet], mask_spill(np.stack([half, half]), affine, 6), {1: "a"})


def test_wrong_input(boxes):
    labels, affine, _, pet = boxes
    spill = label_spill(labels, affine, 6)
    with pytest.raises(DatasetError, match="on one grid"):
        next(iterative_yang([pet[1:]], spill))
    with pytest.raises(DatasetError, match="no frames"):
        gtm([], spill, {1: "a"})
    with pytest.raises(DatasetError, match="integers in three dimensions"):
        label_spill(labels * 1.0, affine, 6)
    with pytest.raises(DatasetError, match="one per mask"):
        mask_spill((labels == 1)[None] * 1.0, affine, 6, index=[0])
