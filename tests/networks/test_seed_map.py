from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.networks.comparability import common_parcels
from petfmri.networks.partial import partial_correlation
from petfmri.networks.seed_map import seed_map, sv2a_connectivity


def test_seed_map_is_the_correlation_with_every_voxel(rng):
    voxels = rng.normal(size=(120, 5000)) + np.linspace(0, 3, 120)[:, None]
    seed = voxels[:, :10].mean(axis=1)
    expected = [np.corrcoef(seed, voxels[:, k])[0, 1] for k in (0, 77, 4999)]
    np.testing.assert_allclose(np.tanh(seed_map(seed, voxels)[[0, 77, 4999]]), expected, atol=1e-12)


def test_a_large_mean_in_float32_costs_no_digits(rng):
    """Mean 10,000 and SD 10: r to 1e-6 of that of the same numbers in float64."""
    signal = rng.normal(size=(300, 50)) @ rng.normal(size=(50, 50))
    voxels = (10_000 + 10 * signal / signal.std()).astype(np.float32)
    exact = np.corrcoef(voxels.astype(np.longdouble).T)[0]
    found = np.tanh(seed_map(voxels[:, 0], voxels))
    np.testing.assert_allclose(found[1:], exact[1:], atol=1e-6)


def test_missing_voxels_stay_missing_and_bad_seeds_are_refused(rng):
    voxels = rng.normal(size=(50, 4))
    voxels[:, 1], voxels[:, 2] = np.nan, 7.0
    np.testing.assert_array_equal(
        np.isnan(seed_map(voxels[:, 0], voxels)), [False, True, True, False]
    )
    with pytest.raises(DatasetError, match="without a signal that varies"):
        seed_map(voxels[:, 2], voxels)
    with pytest.raises(DatasetError, match="a seed of shape"):
        seed_map(voxels[:9, 0], voxels)


def test_sv2a_map_recovers_the_course_of_the_tissue_that_holds_it(rng):
    """A course planted in proportion to SV2A comes back with r > 0.95, and its voxels stand out."""
    sv2a = rng.uniform(1, 5, 800)
    course = rng.normal(size=300)
    weight = (sv2a - sv2a.mean()) / sv2a.std()
    voxels = 1000 + np.outer(course, weight) + rng.normal(size=(300, 800)) * 3
    found, z = sv2a_connectivity(voxels, sv2a)
    assert np.corrcoef(found, course)[0, 1] > 0.95
    assert np.corrcoef(z, weight)[0, 1] > 0.9
    same, _ = sv2a_connectivity(voxels * 7 + 3, 100 * sv2a)
    np.testing.assert_allclose(same, found, atol=1e-9)  # the units of neither matter


def test_sv2a_is_not_needed_everywhere(rng):
    voxels, sv2a = rng.normal(size=(60, 30)), rng.uniform(1, 5, 30)
    sv2a[:5] = np.nan
    voxels[:, 9] = np.nan
    course, z = sv2a_connectivity(voxels, sv2a)
    assert np.isfinite(course).all()
    assert np.flatnonzero(np.isnan(z)).tolist() == [9]
    with pytest.raises(DatasetError, match="at least 3 that differ"):
        sv2a_connectivity(voxels, np.full(30, 2.0))
    with pytest.raises(DatasetError, match="a value for each voxel"):
        sv2a_connectivity(voxels, sv2a[:4])


def test_partial_correlation_against_residuals(rng):
    """With 20,000 frames shrinkage vanishes: the correlation of what two others leave over."""
    series = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 4))
    found, weight = partial_correlation(series)
    others = np.column_stack([np.ones(20_000), series[:, 2:]])
    left = series[:, :2] - others @ np.linalg.lstsq(others, series[:, :2], rcond=None)[0]
    assert weight < 0.02
    assert found[0, 1] == pytest.approx(np.corrcoef(left.T)[0, 1], abs=0.03)


def test_partial_correlation_with_fewer_frames_than_parcels(rng):
    """A chain of 60 parcels in 50 frames: neighbours stand out, the matrix is valid."""
    innovations = rng.normal(size=(50, 60))
    series = np.empty_like(innovations)
    series[:, 0] = innovations[:, 0]
    for k in range(1, 60):
        series[:, k] = 0.8 * series[:, k - 1] + 0.6 * innovations[:, k]
    series[:, 30] = np.nan
    found, weight = partial_correlation(series)
    assert 0.05 < weight < 1
    assert np.isnan(found[30]).all()
    near = np.abs(np.arange(60)[:, None] - np.arange(60)) == 1
    assert np.nanmean(found[near]) > 5 * abs(np.nanmean(found[~near & ~np.eye(60, dtype=bool)]))


def test_parcels_that_one_session_lacks_leave_both(rng):
    pre, post = rng.normal(size=(2, 30, 5))
    pre[:, 1], post[:, 3] = np.nan, np.nan
    for series in common_parcels([pre, post]):
        np.testing.assert_array_equal(np.isnan(series[0]), [False, True, False, True, False])
