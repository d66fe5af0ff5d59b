from __future__ import annotations

import numpy as np
import pytest

from petfmri.bold.denoise import Denoised
from petfmri.bold.pooling import pool_runs, pool_series
from petfmri.errors import DenoisingError


def test_correlation_of_the_pool_is_the_frame_weighted_mean(rng):
    runs = [rng.normal(5, 2, (n, 2)) @ [[1, 0.4], [0, 1]] for n in (100, 300)]
    r = [np.corrcoef(run.T)[0, 1] for run in runs]
    pooled = pool_series([runs[0] * 50 + 7, runs[1]])
    assert np.corrcoef(pooled.T)[0, 1] == pytest.approx((r[0] + 3 * r[1]) / 4, abs=1e-12)


def test_a_step_between_runs_adds_no_correlation(rng):
    runs = [rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + 1000]
    assert abs(np.corrcoef(pool_series(runs).T)[0, 1]) < 0.15


def test_a_parcel_missing_or_constant_in_one_run_is_missing(rng):
    runs = [rng.normal(size=(50, 4)) for _ in range(2)]
    runs[0][:, 1] = np.nan
    runs[1][:, 3] = 8.0
    np.testing.assert_array_equal(
        np.isnan(pool_series(runs)), np.tile([False, True, False, True], (100, 1))
    )


def test_counts_add_up(rng):
    kept = [np.array([False, True, True, True]), np.array([True, True, False, True, True, False])]
    runs = [
        Denoised(
            rng.normal(size=(k.sum(), 3)), k, np.flatnonzero(k) - k.argmax(), df, regressors, fd
        )
        for k, df, regressors, fd in zip(kept, (20.0, 30.5), (4, 5), (0.1, 0.2))
    ]
    pooled = pool_runs(runs)
    assert (pooled.frames_kept, pooled.frames_total) == (7, 10)
    assert (pooled.df_effective, pooled.n_regressors) == (50.5, 9)
    assert pooled.mean_fd == pytest.approx(0.16)
    assert pooled.series.shape == (7, 3)
    np.testing.assert_array_equal(pooled.times, [0, 1, 2, 0, 1, 3, 4])


@pytest.mark.parametrize("runs", [[], [np.ones((5, 2)), np.ones((5, 3))]])
def test_refuses_runs_of_different_atlases(runs):
    with pytest.raises(DenoisingError, match="one atlas"):
        pool_series(runs)
