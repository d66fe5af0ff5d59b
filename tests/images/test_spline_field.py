from __future__ import annotations

import numpy as np
import pytest

from petfmri.images.spline_field import SplineField

SHAPE, SPACING_MM = (14, 10, 12), np.array([2.0, 3.0, 2.0])


@pytest.fixture(scope="module")
def field() -> SplineField:
    return SplineField(SHAPE, SPACING_MM, 6.0)


def test_value_on_a_control_point_by_hand() -> None:
    """A cubic B-spline is 2/3 at its centre and 1/6 one knot away."""
    line = SplineField((9, 3, 3), np.ones(3), 2.0)
    coefficients = np.zeros(line.shape)
    coefficients[3] = 1  # the knots begin one before the box: this one lies on voxel 4
    np.testing.assert_allclose(line.values(coefficients)[[2, 4, 6], 1, 1], [1 / 6, 2 / 3, 1 / 6])


def test_collecting_is_the_transpose_of_evaluating(field: SplineField, rng) -> None:
    coefficients, values = rng.normal(size=field.shape), rng.normal(size=SHAPE)
    collected = (field.collected(values) * coefficients).sum()
    assert collected == pytest.approx((field.values(coefficients) * values).sum())


def test_slopes_bend_nothing_and_curves_do(field: SplineField) -> None:
    x, y, z = np.indices(field.shape, dtype=float)
    assert np.abs(field.bending(2 * x - y + 3 * z)).max() < 1e-4
    assert np.abs(field.bending(x**2)).max() > 1
    assert np.abs(field.bending(x * y)).max() > 1


def test_one_step_finds_a_smooth_field(field: SplineField, rng) -> None:
    """Least squares of noisy values, half of which are unseen."""
    x, y, z = np.indices(SHAPE) * SPACING_MM[:, None, None, None]
    truth = 2 * np.sin(x / 12) + 0.1 * y - 0.05 * z
    seen = rng.random(SHAPE) < 0.5
    noisy = truth + 0.3 * rng.normal(size=SHAPE)
    found = np.zeros(field.shape)
    for _ in range(3):  # conjugate gradients stop early
        slope = seen * (field.values(found) - noisy)
        found = found + field.step(seen.astype(float), slope, found, 0.5)
    assert np.sqrt(((field.values(found) - truth) ** 2).mean()) < 0.12
