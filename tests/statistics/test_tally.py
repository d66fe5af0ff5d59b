"""The compiled count against the one of whole arrays, and against a loop."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.statistics.permutation import MANY, sign_flip
from petfmri.statistics.tally import compiled_tally, tally


@pytest.mark.parametrize("count", [tally, compiled_tally()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_counts_and_maxima_of_a_tile(count, dtype):
    r = np.random.default_rng(1).normal(size=(9, 37)).round(1).astype(dtype)
    largest = np.full(37, 0.4, dtype=dtype)
    expected = np.maximum(0.4, np.abs(r).max(axis=0))
    reached = [sum(abs(one) >= abs(row[0]) - 1e-4 for one in row) for row in r]
    assert count(r.copy(), largest, 1e-4).tolist() == reached
    np.testing.assert_allclose(largest, expected, rtol=1e-6)


def test_many_outcomes_have_the_p_of_few():
    """Above `MANY` single precision and, where installed, numba count; below, neither."""
    change = np.random.default_rng(2).normal(size=(9, MANY + 1))
    many, few = sign_flip(change), sign_flip(change[:, :50])
    np.testing.assert_array_equal(many.p[:50], few.p)
