from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petfmri.simulation.anatomy import CSF, GREY, WHITE
from petfmri.simulation.bold import bold_model, simulate_bold
from petfmri.simulation.connectivity import network_model
from petfmri.simulation.effects import Effects, stream


@pytest.fixture(scope="module")
def networks(phantom):
    return network_model(phantom.table["network"], Effects(), 0.0, (0.0, 0.0))


@pytest.fixture(scope="module")
def model(head, still):
    return bold_model(head, still.bold_mm)


@pytest.fixture(scope="module")
def run(head, networks, still, model):
    return simulate_bold(head, networks, still, stream(2, "bold", 0), model)


def parcel_series(run, head, n_dummies):
    """Parcel means along the true transforms, without slow drift."""
    voxels = np.flatnonzero(head.parcels)
    points, labels = head.grid.points()[voxels], head.parcels.ravel()[voxels]
    to_voxels = np.linalg.inv(run.grid.affine)
    series = []
    for number in range(n_dummies, run.volumes.shape[3]):
        moved = run.movement[number].map(run.from_boldref_to_t1w.map(points))
        at = moved @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        values = ndimage.map_coordinates(run.volumes[..., number].astype(float), at.T, order=1)
        series.append(np.bincount(labels, weights=values)[1:] / np.bincount(labels)[1:])
    return detrended(np.array(series))


def detrended(series):
    time = np.linspace(-1, 1, len(series))
    drift = np.linalg.qr(np.column_stack([np.ones_like(time), time, time**2]))[0]
    return series - drift @ (drift.T @ series)


def tissue_at(run, head, kind):
    """BOLD voxels that lie well within one tissue."""
    share = ndimage.gaussian_filter((head.tissue == kind).astype(float), 1.0)
    matrix = np.linalg.inv(head.grid.affine) @ (~run.from_boldref_to_t1w).matrix @ run.grid.affine
    return ndimage.affine_transform(share, matrix, output_shape=run.grid.shape, order=1) > 0.85


def test_tsnr_of_a_still_head(run, head, still):
    grey = tissue_at(run, head, GREY)
    series = run.volumes[grey][:, still.n_dummies :].T.astype(float)
    tsnr = series.mean(axis=0) / detrended(series).std(axis=0)
    assert np.median(tsnr) == pytest.approx(60, rel=0.05)


def test_contrast_is_that_of_t2_star(run, head, still):
    mean = run.volumes[..., still.n_dummies :].mean(axis=3)
    white, grey = (np.median(mean[tissue_at(run, head, kind)]) for kind in (WHITE, GREY))
    assert white < 0.9 * grey
    assert np.percentile(mean[tissue_at(run, head, CSF)], 90) > 1.1 * grey


def test_dummy_scans_are_brighter(run, head, still):
    grey = tissue_at(run, head, GREY)
    course = run.volumes[grey].mean(axis=0)
    steady = course[still.n_dummies :].mean()
    assert course[0] > 1.3 * steady
    assert course[0] > course[1] > course[2] > 1.005 * steady
    assert course[still.n_dummies] == pytest.approx(steady, rel=0.01)


def test_parcels_follow_their_series(run, head, still):
    found = parcel_series(run, head, still.n_dummies)
    truth = detrended(run.series[still.n_dummies :])
    r = [np.corrcoef(found[:, i], truth[:, i])[0, 1] for i in range(200)]
    assert np.median(r) > 0.78


def test_movement_is_undone_by_the_true_transforms(head, networks, tiny, model):
    run = simulate_bold(head, networks, tiny, stream(2, "bold", 0), model)
    calm = run.movement.fd_mm[tiny.n_dummies :] < 0.3
    found = parcel_series(run, head, tiny.n_dummies)[calm]
    truth = detrended(run.series[tiny.n_dummies :])[calm]
    r = [np.corrcoef(found[:, i], truth[:, i])[0, 1] for i in range(200)]
    assert np.median(r) > 0.7
    assert run.movement.fd_mm[1:].mean() == pytest.approx(0.2, abs=1e-6)


def test_fluctuation_is_one_percent_of_grey_matter(head, networks, still):
    quiet = replace(still, tsnr=1e4)
    run = simulate_bold(head, networks, quiet, stream(2, "bold", 0))
    grey = tissue_at(run, head, GREY)
    series = run.volumes[grey][:, quiet.n_dummies :].T.astype(float)
    percent = 100 * detrended(series).std(axis=0) / series.mean(axis=0)
    assert 0.6 < np.median(percent) < 1.1  # blurring mixes regions
