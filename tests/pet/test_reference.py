from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.eulerangles import euler2mat
from scipy.ndimage import gaussian_filter

from petfmri.errors import ReferenceRegionError
from petfmri.pet.masks import distance_mm
from petfmri.pet.reference import (
    brain_reference,
    cerebellar_reference,
    label_reference,
    reference_uptake,
    semiovale_reference,
)

SPACING = {"1 mm": (1, 1, 1), "2 mm": (2, 2, 2), "3 mm": (3, 3, 3), "anisotropic": (1, 1, 3)}


def centred_affine(shape, voxel_mm, rotation=None, flip_x=False):
    """Affine with the centre of the grid at the origin."""
    scale = np.diag(voxel_mm).astype(float)
    if flip_x:
        scale[:, 0] *= -1
    linear = (np.eye(3) if rotation is None else rotation) @ scale
    return nib.affines.from_matvec(linear, -linear @ ((np.array(shape) - 1) / 2))


def radius_mm(shape, affine):
    grid = np.stack(np.indices(shape), axis=-1)
    return np.linalg.norm(apply_affine(affine, grid), axis=-1)


def head(voxel_mm, white_mm=20.0, **kwargs):
    """White ball of 20 mm in a shell of grey matter, with CSF around it."""
    shape = tuple(round(64 / size) for size in voxel_mm)
    affine = centred_affine(shape, voxel_mm, **kwargs)
    radius = radius_mm(shape, affine)
    white, csf = radius <= white_mm, radius > 28
    return white * 1.0, (~white & ~csf) * 1.0, csf * 1.0, affine


def ball_ml(radius):
    return 4 / 3 * np.pi * radius**3 / 1000


def test_distance_against_brute_force(rng):
    region = rng.random((7, 6, 5)) < 0.04
    voxel_mm = np.array([1.0, 1.5, 3.0])
    steps = np.abs(np.argwhere(np.ones(region.shape))[:, None] - np.argwhere(region)[None])
    gaps = np.clip(steps - 0.5, 0, None) * voxel_mm
    exact = np.linalg.norm(gaps, axis=-1).min(axis=1).reshape(region.shape)
    np.testing.assert_allclose(distance_mm(region, voxel_mm, 30.0), exact)
    near = distance_mm(region, voxel_mm, 2.0)
    np.testing.assert_array_equal(near < 2.0, exact < 2.0)


def test_nothing_is_infinitely_far():
    assert np.isinf(distance_mm(np.zeros((2, 2, 2), bool), (1, 1, 1), 5.0)).all()


@pytest.mark.parametrize("erosion_mm", [2.0, 3.0])
@pytest.mark.parametrize("spacing", SPACING)
def test_erosion_is_in_millimetres_on_every_grid(spacing, erosion_mm):
    """The radius that is left is right to 0.7 voxels, and nothing nearer the surface is kept."""
    voxel_mm = SPACING[spacing]
    white, grey, csf, affine = head(voxel_mm)
    region = semiovale_reference(
        np.ones(white.shape), white, grey, csf, affine, erosion_mm=erosion_mm, grey_mm=0, csf_mm=0
    )
    radius = (region.volume_ml * 1000 * 3 / 4 / np.pi) ** (1 / 3)
    assert radius == pytest.approx(20 - erosion_mm, abs=0.7 * max(voxel_mm))
    farthest = radius_mm(white.shape, affine)[region.mask].max()
    assert farthest <= 20 - erosion_mm + 0.5 * np.linalg.norm(voxel_mm)


def test_mask_is_the_same_in_mm_whatever_the_storage():
    """LAS storage mirrors the mask, an oblique scan turns it, and neither changes it."""
    tilt = euler2mat(0.3, -0.2, 0.4)
    ras_inputs = head((1, 1, 3))
    start = radius_mm(ras_inputs[0].shape, ras_inputs[-1]) < 16
    start[: start.shape[0] // 3] = False
    ras = semiovale_reference(start, *ras_inputs)
    las = semiovale_reference(start[::-1], *head((1, 1, 3), flip_x=True))
    oblique = semiovale_reference(start, *head((1, 1, 3), rotation=tilt))
    np.testing.assert_array_equal(ras.mask, las.mask[::-1])
    np.testing.assert_array_equal(ras.mask, oblique.mask)
    assert las.volume_ml == oblique.volume_ml == ras.volume_ml
    moved = [
        apply_affine(region.affine, np.argwhere(region.mask)).mean(axis=0) for region in (ras, las)
    ]
    np.testing.assert_allclose(*moved, atol=1e-9)


def test_axes_may_be_permuted():
    white, grey, csf, affine = head((1, 2, 3))
    start = np.ones(white.shape)
    plain = semiovale_reference(start, white, grey, csf, affine)
    order = (2, 0, 1)
    turned = semiovale_reference(
        start.transpose(order), *(a.transpose(order) for a in (white, grey, csf)),
        affine[:, [*order, 3]],
    )  # fmt: skip
    np.testing.assert_array_equal(plain.mask.transpose(order), turned.mask)


def test_distances_to_grey_matter_and_csf():
    shape = (60, 30, 30)
    grey, csf = np.zeros(shape), np.zeros(shape)
    grey[:10], csf[50:] = 1, 1
    white = 1 - grey - csf
    region = semiovale_reference(
        np.ones(shape), white, grey, csf, np.eye(4), erosion_mm=1, grey_mm=6, csf_mm=3
    )
    kept = np.flatnonzero(region.mask.all(axis=(1, 2)))
    assert (kept[0], kept[-1]) == (16, 46)  # centres 6.5 mm from the face at 9.5, 3.5 from 49.5
    assert region.volume_ml == pytest.approx(31 * 30 * 30 / 1000)


def test_starting_mask_bounds_the_region():
    white, grey, csf, affine = head((2, 2, 2))
    start = np.zeros(white.shape, dtype=bool)
    start[12:16, 12:20, 14:18] = True
    region = semiovale_reference(start, white, grey, csf, affine)
    np.testing.assert_array_equal(region.mask, start)
    assert region.note.startswith("starting mask 1.0 mL, white matter from 0.9 1.0 mL")


def test_distance_keeps_grey_matter_out_of_a_blurred_image():
    """White 5, grey 19, 6 mm FWHM: 42 % too high without a distance, under 3 % from 4 mm."""
    white, grey, csf, affine = head((1, 1, 1))
    blurred = gaussian_filter(5 * white + 19 * grey, 6 / np.sqrt(8 * np.log(2)))
    start = np.ones(white.shape)
    errors = {}
    for distance in (0.0, 4.0):
        region = semiovale_reference(
            start, white, grey, csf, affine, erosion_mm=0, grey_mm=distance, csf_mm=0
        )
        errors[distance] = reference_uptake(blurred, region).mean / 5 - 1
    assert errors[0.0] > 0.4
    assert errors[4.0] < 0.03


def test_cerebellar_reference():
    shape = (20, 20, 40)
    cerebellum, cortex = np.zeros(shape, int), np.zeros(shape, bool)
    cerebellum[..., :20] = 3
    cortex[..., 20:] = True
    grey = np.full(shape, 0.9)
    grey[:5] = 0.2
    region = cerebellar_reference(cerebellum, cortex, grey, np.eye(4))
    expected = np.zeros(shape, dtype=bool)
    expected[5:, :, :15] = True  # the centre of slice 14 is 5.5 mm from the face at 19.5
    np.testing.assert_array_equal(region.mask, expected)


def test_labels_and_whole_brain():
    labels = np.zeros((20, 20, 20), dtype=np.int16)
    labels[2:18, 2:18, 2:18] = 8
    labels[2:18, 2:18, 2:10] = 47
    both = label_reference("cerebellum", labels, [8, 47], np.eye(4))
    assert both.volume_ml == pytest.approx(4.096)
    inner = label_reference("cerebellum", labels, [8, 47], np.eye(4), erosion_mm=2.0)
    assert inner.mask.sum() == 12**3
    assert inner.note == "labels 8, 47 4.1 mL, 2 mm inside 1.7 mL"


def test_whole_brain_is_tissue_without_csf():
    """Of 20 slices 15 are tissue; a lesion of two takes itself and five more."""
    shape = (20, 20, 20)
    grey, white, lesion = np.zeros((3, *shape))
    grey[:5], white[5:15] = 0.8, 1
    brain = np.ones(shape)
    assert brain_reference(brain, grey, white, np.eye(4)).mask.sum() == 15 * 400
    lesion[:2] = 1
    region = brain_reference(brain, grey, white, np.eye(4), lesion=lesion, lesion_mm=5)
    np.testing.assert_array_equal(np.flatnonzero(region.mask.all(axis=(1, 2))), np.arange(7, 15))
    assert region.note.endswith("5 mm from lesions 3.2 mL")
    with pytest.raises(ReferenceRegionError, match=r"whole brain: found 0\.00 mL"):
        brain_reference(brain, grey, white, np.eye(4), lesion=brain)


@pytest.mark.parametrize("spacing", SPACING)
def test_every_region_keeps_its_distance_to_lesions(spacing):
    """Each region in turn: what a lesion at its edge takes away is all within 4 mm of it."""
    white, grey, csf, affine = head(SPACING[spacing])
    whole = np.ones(white.shape)
    lesion = np.zeros(white.shape, dtype=bool)
    lesion[: white.shape[0] // 2] = True
    made = {
        "semiovale": lambda **kw: semiovale_reference(whole, white, grey, csf, affine, **kw),
        "cerebellum": lambda **kw: cerebellar_reference(whole, csf, grey, affine, **kw),
        "brain": lambda **kw: brain_reference(whole, grey, white, affine, **kw),
        "label": lambda **kw: label_reference("l", white.astype(int), [1], affine, **kw),
    }
    far = distance_mm(lesion, SPACING[spacing], 4.0) >= 4.0
    for build in made.values():
        np.testing.assert_array_equal(build(lesion=lesion).mask, build().mask & far)
    with pytest.raises(ReferenceRegionError, match="one common grid"):
        made["label"](lesion=lesion[1:])


def test_too_small_is_an_error_that_accounts_for_it():
    white, grey, csf, affine = head((2, 2, 2), white_mm=8.0)
    with pytest.raises(ReferenceRegionError, match=r"starting mask .* mL, .*at least 1 mL"):
        semiovale_reference(np.ones(white.shape), white, grey, csf, affine)
    with pytest.raises(ReferenceRegionError, match=r"0.00 mL"):
        semiovale_reference(np.zeros(white.shape), white, grey, csf, affine)


def test_grids_must_agree():
    white, grey, csf, affine = head((2, 2, 2))
    with pytest.raises(ReferenceRegionError, match="one common grid"):
        semiovale_reference(np.ones((3, 3, 3)), white, grey, csf, affine)
    region = label_reference("brain", white.astype(int), [1], affine)
    with pytest.raises(ReferenceRegionError, match="one common grid"):
        reference_uptake(np.ones((3, 3, 3)), region)


def test_sheared_voxels_are_refused():
    affine = np.eye(4)
    affine[0, 1] = 0.5
    with pytest.raises(ReferenceRegionError, match="rectangular grid"):
        label_reference("brain", np.ones((20, 20, 20), int), [1], affine)


def test_uptake_and_its_spread():
    region = label_reference("brain", np.ones((20, 20, 20), int), [1], np.eye(4))
    image = np.full((20, 20, 20), 4.0)
    image[:10] = 6.0
    image[0] = np.nan
    uptake = reference_uptake(image, region)
    assert uptake.coverage == pytest.approx(0.95)
    assert uptake.mean == pytest.approx((9 * 6 + 10 * 4) / 19)
    assert uptake.cov == pytest.approx(np.nanstd(image) / uptake.mean)


@pytest.mark.parametrize(
    ("lost", "level", "found"), [(3, 1.0, "85 % of it inside"), (20, 1.0, "0 %"), (0, 0.0, "uptake of 0")]
)  # fmt: skip
def test_uptake_errors(lost, level, found):
    region = label_reference("brain", np.ones((20, 20, 20), int), [1], np.eye(4))
    image = np.full((20, 20, 20), level)
    image[:lost] = np.nan
    with pytest.raises(ReferenceRegionError, match=found):
        reference_uptake(image, region)


def test_real_oblique_anatomy(shared_data):
    """Deep white matter above the ventricles of a real person, on an oblique 0.94 mm T1w grid."""
    stem = str(shared_data / "pet_dynamic/ps11/anat/sub-PS11_ses-baselinebrain_")
    images = [nib.load(f"{stem}label-{name}_probseg.nii.gz") for name in ("WM", "GM", "CSF")]
    white, grey, csf = (image.get_fdata(dtype=np.float32) for image in images)
    labels = np.asarray(nib.load(f"{stem}desc-aparcaseg_dseg.nii.gz").dataobj)
    affine = images[0].affine
    box = tuple(slice(low, high) for low, high in ((35, 135), (50, 210), (130, 230)))
    corner = affine @ nib.affines.from_matvec(np.eye(3), [part.start for part in box])
    white, grey, csf, labels = (array[box] for array in (white, grey, csf, labels))
    height = apply_affine(corner, np.stack(np.indices(labels.shape), axis=-1))[..., 2]
    top = height[np.isin(labels, [4, 43])].max()
    start = np.isin(labels, [2, 41]) & (height > top - 2) & (height < top + 18)
    region = semiovale_reference(start, white, grey, csf, corner, smooth_mm=0)
    assert 5 < region.volume_ml < 20
    sides = [labels[region.mask] == side for side in (2, 41)]
    assert 0.5 < sides[0].sum() / sides[1].sum() < 2
    voxel_mm = nib.affines.voxel_sizes(corner)
    for tissue, least in ((grey >= 0.5, 4.0), (csf >= 0.5, 4.0), (white < 0.9, 2.0)):
        assert distance_mm(tissue, voxel_mm, least)[region.mask].min() >= least - 1e-3
