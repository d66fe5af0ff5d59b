from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petfmri.simulation.effects import stream
from petfmri.simulation.pet import low_rank, paint, region_means, simulate_pet
from petfmri.simulation.presets import PRESETS, STATIC_60_90
from petfmri.simulation.regional import typical_kinetics
from petfmri.simulation.sampling import blur
from petfmri.simulation.tracer import PlasmaInput, frame_averages

PLASMA = PlasmaInput.injected(350.0, 70.0)


@pytest.fixture(scope="module")
def kinetics(phantom):
    return typical_kinetics(phantom.table["name"])


@pytest.fixture(scope="module")
def masks(head):
    return np.where(head.reference, head.n_regions + 1, head.parcels)


def measured(scan, head, masks):
    """Region means in T1w space, read from the raw frames along the true transforms."""
    voxels = np.flatnonzero(masks)
    points = head.grid.points()[voxels]
    labels = masks.ravel()[voxels]
    to_voxels = np.linalg.inv(scan.grid.affine)
    means = []
    for number in range(scan.frames.shape[3]):
        moved = scan.movement[number].map(scan.from_pet_to_t1w.map(points))
        at = moved @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        values = ndimage.map_coordinates(scan.frames[..., number] * scan.slope, at.T, order=3)
        means.append(np.bincount(labels, weights=values)[1:] / np.bincount(labels)[1:])
    return np.stack(means, axis=1) / 1000


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_curves_have_low_rank(kinetics, name):
    preset = PRESETS[name]
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, preset.frame_start_s, preset.frame_duration_s
    )
    weights, courses = low_rank(tac)
    assert weights.shape[1] <= 6
    assert np.abs(weights @ courses - tac).max() <= 1e-4 * tac.max()


def test_a_still_scan_without_noise_shows_the_blurred_truth(head, kinetics, masks, still):
    fine = replace(still, pet_mm=3.0)
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, fine.frame_start_s, fine.frame_duration_s
    )
    scan = simulate_pet(head, tac, masks, fine, stream(1, "pet", 0))
    error = measured(scan, head, masks) / scan.blurred - 1
    # What remains is the interpolation of 3 mm voxels back to the T1w grid.
    assert np.median(np.abs(error)) < 0.006
    assert np.abs(error).max() < 0.04
    # and the blurred truth is what blurring every frame by itself gives
    image = blur(paint(tac[:, -1], head.compartment), head.grid, fine.psf_fwhm_mm)
    np.testing.assert_allclose(scan.blurred[:, -1], region_means(image, masks), rtol=2e-4)


def test_movement_offset_and_noise_are_undone_by_the_true_transforms(head, kinetics, masks, tiny):
    preset = replace(tiny, pet_mm=3.0)
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, preset.frame_start_s, preset.frame_duration_s
    )
    scan = simulate_pet(head, tac, masks, preset, stream(1, "pet", 0))
    error = measured(scan, head, masks) / scan.blurred - 1
    assert np.median(np.abs(error)) < 0.02
    assert np.abs(error.mean()) < 0.01
    center = scan.from_pet_to_t1w.map(head.center[None])[0]
    assert np.linalg.norm(center - head.center) == pytest.approx(10)


def test_resolution_mixes_grey_into_the_reference(head, kinetics, masks, still):
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, still.frame_start_s, still.frame_duration_s
    )
    scan = simulate_pet(head, tac, masks, still, stream(1, "pet", 0))
    white = tac[head.n_regions, -1]
    assert 1.0 < scan.blurred[-1, -1] / white < 1.05
    cortex = scan.blurred[:200, -1] / tac[:200, -1]
    assert 0.5 < np.median(cortex) < 0.9


def test_noise_follows_counts(head, kinetics, masks, still):
    noisy = replace(still, pet_noise_percent=6.0)
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, still.frame_start_s, still.frame_duration_s
    )
    clean, scan = (
        simulate_pet(head, tac, masks, preset, stream(1, "pet", 0)) for preset in (still, noisy)
    )
    noise = (scan.frames - clean.frames.astype(float)) * scan.slope / 1000
    hot = clean.frames[..., -1] > 0.8 * clean.frames[..., -1].max()
    activity = clean.frames * clean.slope / 1000
    relative = (noise[hot] / np.sqrt(activity[hot] * tac.max())).std(axis=0)
    # 900 s from 4500 s on: a third of the variance of 300 s, times the decay to 4950 s.
    expected = 0.06 * np.sqrt(300 / 900 * 2 ** ((4950 - 4350) / 1221.8))
    assert relative[-1] == pytest.approx(expected, rel=0.1)


def test_region_means_by_hand():
    means = region_means(np.array([[1.0, 3.0], [5.0, 7.0]]), np.array([[0, 1], [1, 3]]))
    np.testing.assert_array_equal(means, [4.0, np.nan, 7.0])


def test_a_static_scan_is_one_frame_that_does_not_move(head, kinetics, masks, tiny):
    start, durations = STATIC_60_90
    static = replace(tiny, scan_start_s=start, frame_durations_s=durations)
    tac = frame_averages(
        kinetics.vt, kinetics.k1, PLASMA, static.frame_start_s, static.frame_duration_s
    )
    scan = simulate_pet(head, tac, masks, static, stream(1, "pet", 0))
    assert scan.frames.shape[3] == 1
    assert scan.movement[0].is_identity
