from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from petfmri.images.resampling import Grid, resample
from petfmri.images.transforms import Affine, Warp
from petfmri.simulation.bold import bold_model, simulate_bold
from petfmri.simulation.connectivity import network_model
from petfmri.simulation.distortion import draw_distortion, squeeze
from petfmri.simulation.effects import Effects, stream


def test_squeeze_by_hand():
    """One millimetre more shift per 5 mm puts 6 mm of the head into 5 mm of the image."""
    grid = Grid((3, 9, 3), np.diag([4.0, 5, 4, 1]))
    shift = np.zeros((*grid.shape, 3))
    shift[..., 1] = np.arange(9)[:, None]
    values = squeeze(Warp(shift, grid.affine), grid)
    np.testing.assert_allclose(values[:, 1:-1], 1.2, rtol=1e-6)


def test_field_lies_along_the_second_axis_with_the_asked_size(head, tiny):
    turned = np.diag([5.0, 5, 5, 1])
    turned[1:3, 1:3] = 5 * np.array([[0.96, -0.28], [0.28, 0.96]])
    turned[:3, 3] = head.center - turned[:3, :3] @ [19, 21, 17]
    grid = Grid((40, 44, 36), turned)
    field = draw_distortion(head, Affine(), grid, 6.0, stream(1, "bold", 0))
    along = field.displacement @ [0, 0.96, 0.28]
    np.testing.assert_allclose(
        np.linalg.norm(field.displacement, axis=-1), np.abs(along), atol=1e-5
    )
    brain = head.grid.points()[np.isin(head.tissue, (1, 2, 3)).ravel()]
    size = np.linalg.norm(field.map(brain) - brain, axis=1)
    assert size.max() == pytest.approx(6, abs=0.3)
    assert 0.1 < np.median(size) < 2
    assert squeeze(field, grid).min() > 0.3  # nothing folds


def test_true_field_undoes_the_distortion_of_a_run(head, phantom, still):
    networks = network_model(phantom.table["network"], Effects(), 0.0, (0.0, 0.0))
    quiet = replace(still, tsnr=1e4, n_volumes=40, n_dummies=0)
    model = bold_model(head, quiet.bold_mm)
    clean, moved = (
        simulate_bold(head, networks, preset, stream(2, "bold", 0), model)
        for preset in (quiet, replace(quiet, bold_distortion_mm=6.0))
    )
    assert clean.distortion is None
    np.testing.assert_array_equal(clean.series, moved.series)  # nothing else is drawn anew
    even = moved.volumes[..., 3] / squeeze(moved.distortion, moved.grid)
    undone = resample(nib.Nifti1Image(even, moved.grid.affine), ~moved.distortion, moved.grid)
    truth = clean.volumes[..., 3].astype(float)
    brain = ndimage.binary_erosion(truth > 350, iterations=2)
    left, before = (
        np.sqrt(np.mean((image - truth)[brain] ** 2))
        for image in (np.asarray(undone.dataobj), moved.volumes[..., 3])
    )
    assert left < 0.35 * before
