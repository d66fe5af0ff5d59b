from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z, usable_parcels


def test_equals_numpy_and_is_symmetric_with_unit_diagonal(rng):
    series = rng.normal(size=(200, 30)) @ rng.normal(size=(30, 30))
    r = correlate(series)
    np.testing.assert_allclose(r, np.corrcoef(series.T), atol=1e-12)
    np.testing.assert_array_equal(r, r.T)
    np.testing.assert_array_equal(np.diag(r), 1.0)


def test_recovers_a_planted_correlation(rng):
    series = rng.normal(size=(100_000, 2)) @ np.linalg.cholesky([[1, 0.35], [0.35, 1]]).T
    assert correlate(series)[0, 1] == pytest.approx(0.35, abs=0.01)


def test_a_high_mean_costs_no_precision(rng):
    series = rng.normal(size=(300, 10))
    np.testing.assert_allclose(correlate(1e6 + 10 * series), correlate(series), atol=1e-9)
    shifted = (10_000 + 10 * series).astype(np.float32)
    np.testing.assert_allclose(
        correlate(shifted), np.corrcoef(shifted.T.astype(np.longdouble)).astype(float), atol=1e-6
    )


def test_missing_and_constant_parcels_are_nan_and_touch_no_other(rng):
    series = rng.normal(size=(50, 6))
    whole = correlate(series)
    series[:, 1] = np.nan
    series[:, 4] = 1000.1
    np.testing.assert_array_equal(usable_parcels(series), [True, False, True, True, False, True])
    r = correlate(series)
    assert np.isnan(r[[1, 4]]).all() and np.isnan(r[:, [1, 4]]).all()
    keep = np.ix_([0, 2, 3, 5], [0, 2, 3, 5])
    np.testing.assert_allclose(r[keep], whole[keep], atol=1e-14)


def test_refuses_parcels_finite_in_part_and_too_few_frames(rng):
    series = rng.normal(size=(50, 3))
    series[7, 2] = np.nan
    with pytest.raises(DatasetError, match=r"columns \[2\] finite only in part"):
        correlate(series)
    with pytest.raises(DatasetError, match="3 frames"):
        correlate(series[:2])


def test_fisher_z_by_hand():
    z = fisher_z(np.array([[1.0, 0.5, np.nan], [0.5, 1, np.nan], [np.nan] * 3]))
    np.testing.assert_allclose(z[0, 1], 0.5 * np.log(3))
    np.testing.assert_array_equal(np.diag(z), [0, 0, np.nan])


def test_refuses_one_signal_under_two_names(rng):
    series = rng.normal(size=(50, 3))
    series[:, 2] = -2 * series[:, 0] + 5
    with pytest.raises(DatasetError, match="parcels 0 and 2 identical"):
        fisher_z(correlate(series))
