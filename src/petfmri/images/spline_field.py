"""Smooth fields on a box of voxels: cubic B-splines with a price on bending."""

from __future__ import annotations

from functools import reduce

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from petfmri.typing import FloatArray

_RIDGE = 1e-3  # what a coefficient costs by itself, so that nothing is undetermined
_ENOUGH, _STEPS = 1e-2, 40  # of the conjugate gradients


class SplineField:
    """Cubic B-splines on a lattice of control points over a box of voxels.

    Parameters
    ----------
    shape : 3 integers
        Of the box.
    spacing_mm : array of shape (3,), mm
        Of its voxels.
    knots_mm : float, mm
        Distance of the control points.

    Examples
    --------
    >>> field = SplineField((9, 9, 9), np.ones(3), 4.0)
    >>> bool(np.allclose(field.values(np.ones(field.shape)), 1))
    True
    >>> float(np.abs(field.bending(np.ones(field.shape))).max())
    0.0
    """

    def __init__(
        self, shape: tuple[int, int, int], spacing_mm: FloatArray, knots_mm: float
    ) -> None:
        self._bases = [_basis(n, knots_mm / mm) for n, mm in zip(shape, spacing_mm, strict=True)]
        self.shape = tuple(basis.shape[1] for basis in self._bases)
        second, first = ([_differences(n, order) for n in self.shape] for order in (2, 1))
        eye = [np.eye(n, dtype=np.float32) for n in self.shape]
        self._prices = [
            *((1, [second[a] if a == axis else eye[a] for a in range(3)]) for axis in range(3)),
            *((2, [eye[a] if a == axis else first[a] for a in range(3)]) for axis in range(3)),
        ]

    def values(self, coefficients: FloatArray) -> FloatArray:
        """Evaluate the field at every voxel."""
        return _applied(self._bases, coefficients)

    def collected(self, values: FloatArray) -> FloatArray:
        """Sum voxel values over each B-spline: the transpose of `values`."""
        return _applied([basis.T for basis in self._bases], values)

    def bending(self, coefficients: FloatArray) -> FloatArray:
        """Return half the gradient of the bending energy, in squared second differences."""
        parts = [factor * _applied(price, coefficients) for factor, price in self._prices]
        return np.asarray(sum(parts))

    def step(
        self, curvature: FloatArray, slope: FloatArray, coefficients: FloatArray, stiffness: float
    ) -> FloatArray:
        """Solve for the change of the coefficients that lowers data cost and bending the most.

        Parameters
        ----------
        curvature, slope : arrays of the shape of the box
            Second and first derivative of half the data cost by the field, voxel by voxel.
        coefficients : array of shape `shape`
            As they are.
        stiffness : float
            Price of bending.

        Returns
        -------
        array of shape `shape`
        """

        def cost(flat: FloatArray) -> FloatArray:
            change = flat.reshape(self.shape)
            data = self.collected(curvature * self.values(change))
            return np.asarray((data + stiffness * self.bending(change) + _RIDGE * change).ravel())

        downhill = -(
            self.collected(slope) + stiffness * self.bending(coefficients) + _RIDGE * coefficients
        )
        diagonal = _applied([(basis**2).T for basis in self._bases], curvature) + _RIDGE
        for factor, price in self._prices:
            x, y, z = (np.diag(matrix) for matrix in price)
            diagonal = diagonal + stiffness * factor * x[:, None, None] * y[:, None] * z
        size = downhill.size
        found, _ = cg(
            LinearOperator((size, size), matvec=cost, dtype=np.float32),
            downhill.ravel(),
            rtol=_ENOUGH,
            maxiter=_STEPS,
            M=LinearOperator((size, size), matvec=lambda flat: flat / diagonal.ravel()),
        )
        return np.asarray(found.reshape(self.shape))


def _applied(matrices: list[FloatArray], values: FloatArray) -> FloatArray:
    """Multiply one matrix along each axis."""
    return reduce(lambda array, matrix: np.tensordot(array, matrix, axes=(0, 1)), matrices, values)


def _basis(n: int, step: float) -> FloatArray:
    """Return the cubic B-splines, `step` voxels apart, at `n` voxels: shape (n, n_knots)."""
    knots = np.arange(int(np.ceil((n - 1) / step)) + 3) - 1
    distance = np.abs(np.arange(n)[:, None] / step - knots)
    near, far = 2 / 3 - distance**2 + distance**3 / 2, (2 - distance) ** 3 / 6
    values = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    return np.asarray(values, dtype=np.float32)


def _differences(n: int, order: int) -> FloatArray:
    """Return the matrix whose quadratic form is the sum of squared differences of an order."""
    steps = np.diff(np.eye(n, dtype=np.float32), order, axis=0)
    return np.asarray(steps.T @ steps)
