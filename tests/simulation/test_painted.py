from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import turned

from petfmri.atlases import load_template
from petfmri.errors import InputError
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain
from petfmri.images.cropping import shrunk
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid
from petfmri.images.tissues import carry_tissues, segment_tissues
from petfmri.simulation.painted import paint_head

SPACING_MM = 4.0
Maps = tuple[nib.Nifti1Image, nib.Nifti1Image, nib.Nifti1Image]


@pytest.fixture(scope="module")
def maps() -> Maps:
    """White matter in grey in a little CSF: a ball in the middle of 256 mm, off the origin."""
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = (-120, -140, -150)
    away = np.linalg.norm(np.indices((64, 64, 64)) - np.array(31.5).reshape(1, 1, 1, 1), axis=0)
    away = away * SPACING_MM
    shells = (away < 55, (away >= 55) & (away < 68), (away >= 68) & (away < 70))
    white, grey, csf = (nib.Nifti1Image(one.astype(np.float32), affine) for one in shells)
    return grey, white, csf


def clean(maps: Maps) -> nib.Nifti1Image:
    return paint_head(*maps, bias_percent=0, noise_percent=0, rng=np.random.default_rng(2))


@pytest.fixture(scope="module")
def head(maps: Maps) -> nib.Nifti1Image:
    return clean(maps)


def test_the_brain_takes_its_brightness_from_the_maps_alone(maps, head) -> None:
    data = np.asarray(head.dataobj)
    for tissue, bright in zip(maps, (0.72, 1.0, 0.3), strict=True):
        np.testing.assert_allclose(data[np.asarray(tissue.dataobj) == 1], bright, rtol=1e-5)


def test_layers_around_a_ball_have_the_depths_asked_for(head) -> None:
    """Up from the middle: bone beyond 70 mm, fat some mm under the surface at 84 mm, then air."""
    column = np.asarray(head.dataobj)[32, 32, 32:]
    up_mm = (np.arange(32) + 0.5) * SPACING_MM
    assert column[(up_mm > 71) & (up_mm < 75)].max() < 0.3
    assert column[(up_mm > 77) & (up_mm < 85)].max() > 0.5
    assert column[up_mm > 92].max() < 0.05
    below = np.asarray(head.dataobj)[32, 32, :6]
    assert below.min() > 0.2  # the neck runs out of the image


@pytest.mark.parametrize("orientation", ["LAS", "LPS"])
def test_storage_does_not_matter(maps, head, orientation: str) -> None:
    other = clean(tuple(turned(one, orientation) for one in maps))
    same = turned(head, orientation)
    np.testing.assert_allclose(np.asarray(other.dataobj), np.asarray(same.dataobj), atol=1e-3)


def test_noise_and_bias_are_of_the_size_asked_for(maps, head) -> None:
    noisy = paint_head(*maps, bias_percent=10, noise_percent=2, rng=np.random.default_rng(2))
    white = np.asarray(maps[1].dataobj) == 1
    values = np.asarray(noisy.dataobj)[white]
    assert np.abs(values - 1).max() < 0.1 + 6 * 0.02
    assert np.std(np.diff(np.asarray(noisy.dataobj), axis=0)[white[1:] & white[:-1]]) < 0.05
    assert values.std() > 0.015


def test_maps_that_are_none_are_refused(maps) -> None:
    grey, white, csf = maps
    with pytest.raises(InputError, match="grids"):
        clean((grey, white, shrunk(csf, 8)))
    empty = nib.Nifti1Image(np.zeros(grey.shape), grey.affine)
    with pytest.raises(InputError, match="no brain"):
        clean((empty, empty, empty))
    for wrong in (np.nan, 1.01, -0.01, 100):
        data = np.array(csf.dataobj)
        data[0, 0, 0] = wrong
        with pytest.raises(InputError, match="expected shares from 0 to 1"):
            clean((grey, white, nib.Nifti1Image(data, csf.affine)))


@pytest.mark.slow
def test_brain_and_tissues_of_real_maps_are_found(shared_data: Path) -> None:
    """Maps of a real person at 2 mm: an anatomy that is no warp of the template."""
    stem = "pet_dynamic/ps11/anat/sub-PS11_ses-baselinebrain_label"
    maps = [shrunk(nib.load(shared_data / f"{stem}-{t}_probseg.nii.gz"), 2) for t in ("GM", "WM", "CSF")]  # fmt: skip
    raw = paint_head(*maps, bias_percent=20, noise_percent=3, rng=np.random.default_rng(3))
    template = load_template()
    brain = extract_brain(raw, template, Greedy(iterations="40x20x6"))
    true = np.stack([np.asarray(one.dataobj) for one in maps])
    t1w = correct_bias(raw, brain.mask)
    priors = carry_tissues(template, brain.xfm, brain.mask)
    tissues = segment_tissues(t1w, brain.mask, priors)
    assert Grid.of(tissues.gm) == Grid.of(raw)
    for found, expected, bound in (
        (brain.mask, true.sum(axis=0), 0.95),
        (tissues.gm, true[0], 0.85),
        (tissues.wm, true[1], 0.9),
    ):
        one, other = np.asarray(found.dataobj) > 0.5, expected > 0.5
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > bound
