"""Scores of an anatomy."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.errors import InputError
from petfmri.images.quality import anatomy_scores, overlap
from petfmri.images.tissues import Tissues
from petfmri.images.transforms import Affine, rigid

AFFINE = np.diag([2.0, 2, 5, 1])  # a voxel of 0.02 mL


def image(data) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(data, dtype=np.float32), AFFINE)


def split(values, where) -> Tissues:
    return Tissues(*(image(np.asarray(where) == tissue) for tissue in (1, 2, 0)))


def test_scores_by_hand():
    where = np.array([1, 1, 2, 2, 0]).reshape(5, 1, 1)
    t1w = image(np.array([40.0, 60, 95, 105, 10]).reshape(5, 1, 1))
    scores = anatomy_scores(t1w, image(np.ones((5, 1, 1))), split(t1w, where))
    assert scores["gm_ml"] == pytest.approx(0.04)
    assert scores["csf_ml"] == pytest.approx(0.02)
    assert scores["brain_ml"] == pytest.approx(0.1)
    assert scores["cjv"] == pytest.approx((10 + 5) / (100 - 50))


def test_planted_noise_comes_back():
    where = np.random.default_rng(1).integers(0, 3, (30, 30, 30))
    noise = np.random.default_rng(2).normal(0, 8, where.shape)
    t1w = image(np.choose(where, [100, 500, 700]) + noise)
    scores = anatomy_scores(t1w, image(np.ones(where.shape)), split(t1w, where))
    assert scores["cjv"] == pytest.approx(16 / 200, rel=0.03)


def test_another_grid_is_refused():
    t1w = image(np.ones((5, 1, 1)))
    shifted = nib.Nifti1Image(np.ones((5, 1, 1), np.float32), np.eye(4))
    with pytest.raises(InputError, match="another grid"):
        anatomy_scores(t1w, shifted, Tissues(t1w, t1w, t1w))


def test_tissues_without_pure_voxels_are_refused():
    t1w = image(np.ones((5, 1, 1)))
    with pytest.raises(InputError, match="0 voxels of pure grey"):
        anatomy_scores(t1w, t1w, Tissues(image(np.full((5, 1, 1), 0.5)), t1w, t1w))


def test_overlap_by_hand_in_every_orientation(orient):
    data = np.zeros((40, 40, 40), np.float32)
    data[10:30, 4:36, 4:36] = 1
    mask = nib.Nifti1Image(data, np.eye(4))
    assert overlap(orient(mask), mask, Affine()) == pytest.approx(1, abs=0.05)
    half = overlap(mask, mask, rigid((10, 0, 0)))  # ten of twenty planes still overlap
    assert half == pytest.approx(0.5)
