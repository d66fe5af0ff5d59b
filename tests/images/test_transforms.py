from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import InputError, RegistrationError
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Chain, Warp, compose, rigid, rigid_parameters

POINTS = np.array([[0.0, 0, 0], [10, -20, 30], [-7, 3, 12]])


@pytest.fixture
def affine() -> Affine:
    stretch = np.diag([1.1, 0.9, 1.05, 1])
    return Affine(rigid((3, -2, 5), (10, -5, 20)).matrix @ stretch)


@pytest.fixture
def warp() -> Warp:
    """A smooth bump of 4 mm on a grid of 4 mm voxels around the origin."""
    grid = Grid((25, 25, 25), np.diag([4.0, 4, 4, 1]) + np.outer([1, 1, 1, 0], [0, 0, 0, -48]))
    distance = np.linalg.norm(grid.points(), axis=1)
    bump = np.exp(-((distance / 20) ** 2)).reshape(grid.shape)
    return Warp(bump[..., None] * np.array([4.0, -2, 1]), grid.affine)


def test_rotation_turns_x_into_y_about_its_center() -> None:
    quarter = rigid(rotation_deg=(0, 0, 90), center=(1, 1, 0))
    np.testing.assert_allclose(quarter.map(np.array([[2.0, 1, 0]])), [[1, 2, 0]], atol=1e-12)


def test_product_applies_the_right_factor_first() -> None:
    double, shift = Affine(np.diag([2, 2, 2, 1])), rigid((1, 0, 0))
    assert (double @ shift).map(np.zeros((1, 3))).tolist() == [[2, 0, 0]]
    assert (shift @ double).map(np.zeros((1, 3))).tolist() == [[1, 0, 0]]


def test_chain_of_affines_is_one_affine(affine: Affine) -> None:
    product = compose(affine, rigid((1, 2, 3)), Affine())
    assert isinstance(product, Affine)
    np.testing.assert_allclose(product.map(POINTS), affine.map(POINTS + np.array([1, 2, 3])))


def test_chain_merges_affines_around_a_warp(affine: Affine, warp: Warp) -> None:
    chain = affine @ rigid((1, 0, 0)) @ warp @ ~affine @ affine
    assert isinstance(chain, Chain)
    assert [type(part) for part in chain] == [Affine, Warp]
    np.testing.assert_allclose(
        chain.map(POINTS), affine.map(warp.map(POINTS) + np.array([1, 0, 0]))
    )


def test_inverse_of_a_product(affine: Affine, warp: Warp) -> None:
    other = rigid((0, 4, -1), (0, 3, 0))
    assert ~(affine @ other) == ~other @ ~affine
    assert ~(affine @ warp @ other) == ~other @ ~warp @ ~affine
    assert ~(affine @ warp) != ~affine @ ~warp


def test_identity_is_neutral(warp: Warp) -> None:
    assert warp @ Affine() is warp
    assert compose() == Affine()
    assert Affine().is_identity


def test_warp_is_linear_between_its_points_and_constant_outside() -> None:
    field = np.zeros((2, 1, 1, 3))
    field[1, 0, 0] = [0, 0, 2]
    warp = Warp(field, np.diag([10.0, 10, 10, 1]))
    moved = warp.map(np.array([[5.0, 0, 0], [10, 0, 0], [99, 0, 0], [-99, 0, 0]]))
    np.testing.assert_allclose(moved, [[5, 0, 1], [10, 0, 2], [99, 0, 2], [-99, 0, 0]])


def test_warp_inverse_by_iteration_undoes_it(warp: Warp) -> None:
    points = np.random.default_rng(1).uniform(-40, 40, (500, 3))
    assert np.abs((~warp).map(warp.map(points)) - points).max() < 0.1
    assert ~~warp == warp


def test_warp_inverse_is_the_stored_one(warp: Warp) -> None:
    stored = Warp(np.full((2, 2, 2, 3), -1.0), np.eye(4))
    assert ~Warp(warp.displacement, warp.affine, stored) == stored


def test_warp_that_stretches_steeply_inverts() -> None:
    """Where a warp more than doubles distances, as in real brains, full steps would oscillate."""
    grid = Grid((41, 5, 5), np.diag([2.0, 2, 2, 1]) + np.outer([1, 0, 0, 0], [0, 0, 0, -40]))
    x = grid.points().reshape(*grid.shape, 3)[..., 0]
    steep = Warp(np.stack([8 * np.tanh(x / 5), 0 * x, 0 * x], -1), grid.affine)
    points = np.column_stack([np.linspace(-25, 25, 60), np.full((60, 2), 4.0)])
    back = steep.map((~steep).map(points))
    assert np.abs(back - points).max() < 1.0  # both fields are linear between 2 mm voxels
    nodes = grid.points()[np.abs(grid.points()[:, 0]) < 25]
    np.testing.assert_allclose(steep.map((~steep).map(nodes)), nodes, atol=5e-3)


def test_folding_warp_has_no_inverse() -> None:
    field = np.random.default_rng(0).normal(0, 5, (12, 12, 12, 3))
    with pytest.raises(RegistrationError, match="folds"):
        ~Warp(field, np.eye(4))


def test_rigid_parameters_come_back() -> None:
    expected = [1, -2, 3, *np.deg2rad([10, -20, 30])]
    np.testing.assert_allclose(rigid_parameters(rigid((1, -2, 3), (10, -20, 30))), expected)


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)])
def test_matrix_that_is_no_transform(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="4 × 4"):
        Affine(matrix)


def test_matrices_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Affine().matrix[0, 3] = 1


def test_field_with_nan() -> None:
    with pytest.raises(InputError, match="displacement"):
        Warp(np.full((2, 2, 2, 3), np.nan), np.eye(4))
