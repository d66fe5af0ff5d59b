"""The embedded template: one grid, sharp tissues that fit the T1w, and what was shipped."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from petfmri.atlases import load_atlas, load_reference_mask, load_template
from petfmri.atlases.template import DATA
from petfmri.errors import ConfigError

IMAGES = ("head", "brain", "mask", "gm", "wm", "csf")


@pytest.fixture(scope="module")
def values():
    template = load_template()
    return {name: np.asanyarray(getattr(template, name).dataobj) for name in IMAGES}


@pytest.fixture(scope="module")
def semiovale():
    return np.asanyarray(load_reference_mask("semiovale").dataobj) > 0


def test_everything_is_on_one_grid():
    template = load_template()
    images = [getattr(template, name) for name in IMAGES]
    images += [load_reference_mask("semiovale"), load_atlas().image]
    for image in images:
        assert image.shape == (193, 229, 193)
        np.testing.assert_array_equal(image.affine, template.head.affine)
        np.testing.assert_array_equal(image.header.get_sform(), template.head.affine)
    # the anterior commissure is the origin of 2009c's grid, 96, 132 and 78 voxels from its corner
    np.testing.assert_array_equal(apply_affine(template.head.affine, [96, 132, 78]), [0, 0, 0])


def test_priors_share_the_brain_out(values):
    total = values["gm"] + values["wm"] + values["csf"]
    inside = values["mask"] > 0
    np.testing.assert_allclose(total[inside], 1, atol=1e-6)
    assert not total[~inside].any()
    for name in ("gm", "wm", "csf"):
        assert values[name].dtype == np.float32
        assert values[name].min() >= 0
        assert values[name].max() == pytest.approx(1, abs=1e-6)


def test_brain_is_the_head_inside_the_mask(values):
    np.testing.assert_array_equal(values["brain"], values["head"] * values["mask"])
    pieces, count = ndimage.label(values["mask"])
    assert count == 1
    assert pieces.sum() / 1e6 == pytest.approx(1.89, abs=0.02)  # litres, the published mask


def test_background_is_zero_and_scalp_is_there(values):
    head = values["head"]
    assert not head[:, :, -2:].any()
    corners = head[::192, ::228]
    assert not corners.any()
    assert 0.4 < np.mean(head > 0) < 0.65
    scalp = (head > 20) & (values["mask"] == 0)
    assert scalp.sum() / 1e6 > 1.0


def test_tissue_volumes_are_those_of_the_published_priors(values):
    litres = {name: values[name].sum() / 1e6 for name in ("gm", "wm", "csf")}
    assert litres["gm"] == pytest.approx(1.0, rel=0.05)
    assert litres["wm"] == pytest.approx(0.67, rel=0.05)
    assert 0.15 < litres["csf"] < 0.3


def test_priors_fit_the_t1w_and_not_by_coordinates_alone(values):
    """Explained variance of the T1w: 0.82 after an affine, 0.91 after the deformation."""

    def explained(shift):
        design = [np.roll(values[name], shift, axis=1)[inside] for name in ("gm", "wm", "csf")]
        design = np.stack(design, axis=1).astype(float)
        fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
        return 1 - np.var(target - fitted) / np.var(target)

    inside = values["mask"] > 0
    inside[1::2] = inside[:, 1::2] = inside[:, :, 1::2] = False  # every eighth voxel will do
    target = values["brain"][inside].astype(float)
    assert explained(0) > 0.90
    assert explained(1) < explained(0)
    assert explained(-1) < explained(0)


def test_tissues_are_as_sharp_as_published(values):
    """Before the registration, 0.695 of the brain is for 0.7 or more of one tissue."""
    inside = values["mask"] > 0
    largest = np.max([values[name][inside] for name in ("gm", "wm", "csf")], axis=0)
    assert np.mean(largest > 0.7) > 0.68


def test_a_caller_cannot_spoil_the_template_of_the_next():
    with pytest.raises(ValueError, match="read-only"):
        np.asanyarray(load_template().head.dataobj)[0, 0, 0] = 1
    load_template().head.get_fdata()[:] = -1
    assert load_template().head.get_fdata().min() == 0
    table = load_atlas().table
    table["name"] = "spoilt"
    assert "spoilt" not in set(load_atlas().table["name"])


def test_semiovale_is_deep_white_matter(values, semiovale):
    grid = load_template().head
    voxels = np.argwhere(semiovale)
    x, _, z = apply_affine(grid.affine, voxels).T
    assert (z.min(), z.max()) == (20, 40)
    assert np.abs(x).min() >= 14
    assert np.abs(x).max() <= 40
    assert values["wm"][semiovale].min() >= 0.95 - 0.021  # as drawn, less the rounding
    box = tuple(slice(low - 6, high + 6) for low, high in zip(voxels.min(0), voxels.max(0)))
    inwards = ndimage.distance_transform_edt(values["wm"][box] > 0.9)
    assert inwards[semiovale[box]].min() >= 4
    assert not np.asanyarray(load_atlas().image.dataobj)[semiovale].any()


def test_semiovale_is_large_enough_and_on_both_sides(semiovale):
    x = apply_affine(load_template().head.affine, np.argwhere(semiovale))[:, 0]
    left, right = np.sum(x < 0) / 1000, np.sum(x > 0) / 1000  # mL
    assert 20 < left + right < 35
    assert 0.8 < left / right < 1.25


def test_unknown_reference_mask_names_the_known():
    with pytest.raises(ConfigError, match="semiovale"):
        load_reference_mask("semioval")


def test_shipped_files_are_small_and_those_that_were_recorded():
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 5.5e6
    recorded = json.loads((DATA / "provenance.json").read_text())["files"]
    found = {path.name: hashlib.sha256(path.read_bytes()) for path in DATA.glob("tpl-*")}
    assert {name: digest.hexdigest() for name, digest in found.items()} == recorded


def test_each_shipped_file_has_its_licence():
    text = (DATA / "LICENSES.md").read_text()
    for path in DATA.glob("tpl-*.nii.gz"):
        suffix = path.name.removeprefix("tpl-MNI152NLin2009cAsym_").removesuffix(".nii.gz")
        assert suffix in text
