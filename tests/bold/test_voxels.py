from __future__ import annotations

import numpy as np
import pytest

from petfmri.bold.operator import TemporalOperator, temporal_operator
from petfmri.bold.voxels import clean_voxels
from petfmri.errors import DenoisingError


def test_by_hand():
    """Rows sum to 0: (10001, 10003) has the differences from its mean -1 and 1."""
    operator = TemporalOperator(np.array([[0.5, -0.5], [-0.5, 0.5]]), 1.0, 1)
    found = clean_voxels(operator, np.array([[10001, np.nan], [10003, 2]], dtype=np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, 0], [-1, 1])
    assert np.isnan(found[:, 1]).all()


@pytest.mark.parametrize("band", [(0.01, 0.1), (0.01, None)])
def test_recovers_what_double_precision_gives_at_a_mean_of_10000(rng, band):
    kept = np.ones(200, dtype=bool)
    kept[[30, 31, 100]] = False
    voxels = rng.normal(10_000, 10, (200, 50)).astype(np.float32)[kept]
    operator = temporal_operator(rng.normal(size=(200, 12)), kept, tr_s=2.0, band_hz=band)
    exact = operator.matrix @ (voxels - voxels.mean(axis=0, dtype=float))
    np.testing.assert_allclose(clean_voxels(operator, voxels), exact, atol=1e-5 * 10, rtol=0)


def test_refuses_other_frames(rng):
    operator = TemporalOperator(np.eye(3), 3.0, 0)
    with pytest.raises(DenoisingError, match=r"shape \(4, 2\)"):
        clean_voxels(operator, rng.normal(size=(4, 2)))
