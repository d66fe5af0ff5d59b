"""The anatomical branch on simulated heads, whose brain, tissues and warp are known."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.atlases import load_template
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain
from petfmri.images.registration import Greedy
from petfmri.images.template import normalise
from petfmri.images.tissues import segment_tissues
from petfmri.images.transforms import Affine
from petfmri.simulation.anatomy import draw_head
from petfmri.simulation.phantom import load_phantom

MM = 2.5
GREY, WHITE = 2, 3  # of the simulated tissues


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.fixture(scope="module")
def head():
    return draw_head(load_phantom(MM), MM, 20.0, 3.0, np.random.default_rng(7))


@pytest.fixture(scope="module")
def t1w(head):
    return nib.Nifti1Image(head.t1w.astype(np.float32) * 1000, head.grid.affine)


@pytest.fixture(scope="module")
def corrected(t1w):
    return correct_bias(t1w)


@pytest.fixture(scope="module")
def brain(corrected):
    return extract_brain(corrected, load_template(), Greedy(iterations="40x20x6"))


def test_the_brain_is_found(brain, head):
    found = np.asarray(brain.mask.dataobj) > 0
    known = np.isin(head.tissue, (1, GREY, WHITE))
    assert dice(found, known) > 0.95


def test_tissues_are_found(corrected, brain, head):
    tissues = segment_tissues(corrected, brain.mask)
    total = sum(np.asarray(image.dataobj) for image in tissues)
    inside = np.asarray(brain.mask.dataobj) > 0
    np.testing.assert_allclose(total[inside], 1, atol=1e-4)
    assert dice(np.asarray(tissues.gm.dataobj) > 0.5, head.tissue == GREY) > 0.85
    assert dice(np.asarray(tissues.wm.dataobj) > 0.5, head.tissue == WHITE) > 0.85


@pytest.mark.slow
def test_grey_matter_finds_its_place_in_the_template(corrected, brain, head):
    xfm = normalise(corrected, brain.mask, load_template(), Greedy(), initial=brain.affine)
    points = Affine(head.grid.affine).map(np.argwhere(head.parcels > 0)[::17].astype(float))
    error = np.linalg.norm(xfm.map(points) - head.to_template.map(points), axis=1)
    start = np.linalg.norm(brain.affine.map(points) - head.to_template.map(points), axis=1)
    assert error.mean() < 1.2 < start.mean()
    back = (~xfm).map(xfm.map(points))
    assert np.linalg.norm(back - points, axis=1).mean() < 0.3
