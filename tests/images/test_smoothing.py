"""Smoothing inside a mask."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.images.smoothing import smooth_within


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.0, 2.0, 4.0)])
def test_width_of_a_point_in_millimetres(spacing):
    shape = tuple(int(60 / size) // 2 * 2 + 1 for size in spacing)
    mask, point = np.ones(shape, dtype=bool), np.zeros(shape)
    point[tuple(n // 2 for n in shape)] = 1
    found = smooth_within(point, mask, fwhm_mm=10.0, spacing_mm=np.array(spacing))
    assert found.sum() == pytest.approx(1, abs=0.02)
    for axis, size in enumerate(spacing):
        profile = found.sum(axis=tuple(other for other in range(3) if other != axis))
        at_mm = (np.arange(len(profile)) - len(profile) // 2) * size
        variance = (profile * at_mm**2).sum() / profile.sum()
        assert 2.3548 * variance**0.5 == pytest.approx(10, rel=0.03)


def test_nothing_comes_in_from_outside_and_nothing_is_lost_at_the_border():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:7, 2:7, 2:7] = True
    values = np.where(mask, 3.0, np.nan)
    found = smooth_within(values, mask, fwhm_mm=6.0, spacing_mm=np.full(3, 2.0))
    np.testing.assert_allclose(found[mask], 3.0)
    assert not found[~mask].any()
    same = smooth_within(values, mask, fwhm_mm=0.0, spacing_mm=np.full(3, 2.0))
    np.testing.assert_array_equal(same[mask], values[mask])
