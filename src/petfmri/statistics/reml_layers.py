"""Covariance of observations nested in cells and persons, as few weights on sums of cells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.typing import FloatArray, IntArray

Derivatives = FloatArray
"""Leading axis: value, d/dλ1, d/dλ2, d²/dλ1², d²/dλ1dλ2, d²/dλ2²."""


@dataclass(frozen=True)
class Layers:
    """Which observations share a cell, and which cells a person.

    With V = I + λ1 Z1Z1' + λ2 Z2Z2' (persons and cells within persons), A'V⁻¹A is a sum of
    matrices that do not depend on λ, one for every distinct size of a cell and, for persons of
    each kind (the sizes of their cells), one for every pair of sizes; only their weights do.

    Attributes
    ----------
    cell : array of int, shape (n_obs,)
        Number of the cell of every observation.
    person : array of int, shape (n_cells,)
        Number of the person of every cell.
    sizes : array of int, shape (n_cells,)
        Observations of every cell.
    kinds : tuple of tuples
        Sorted sizes of the cells of a person, every kind once.
    kind : array of int, shape (n_persons,)
    two : bool
        False: there is but one component, that of the cells (λ1 = 0).
    """

    cell: IntArray
    person: IntArray
    sizes: IntArray
    kinds: tuple[tuple[int, ...], ...]
    kind: IntArray
    two: bool

    @classmethod
    def of(cls, person: IntArray, cell: IntArray | None = None) -> Layers:
        """Number the cells and persons.

        Parameters
        ----------
        person : array of shape (n_obs,)
            Labels.
        cell : array of shape (n_obs,), optional
            Labels; a label that two persons share means a cell of each. None: persons alone.

        Raises
        ------
        StatisticsError
            If no cell has two observations: its variance is not to be told from the residual.
        """
        who = np.unique(np.asarray(person), return_inverse=True)[1].ravel()
        two = cell is not None
        within = np.unique(np.asarray(cell), return_inverse=True)[1].ravel() if two else 0 * who
        pairs, number = np.unique(np.stack([who, within]), axis=1, return_inverse=True)
        number = number.ravel()
        sizes = np.bincount(number)
        if sizes.max() < 2:
            raise StatisticsError(
                "mixed model",
                "one observation in every group",
                "groups of several observations",
                "leave this component out",
            )
        of_person: list[list[int]] = [[] for _ in range(int(who.max()) + 1)]
        for size, owner in zip(sizes.tolist(), pairs[0].tolist()):
            of_person[owner].append(size)
        shapes = [tuple(sorted(members)) for members in of_person]
        kinds = tuple(sorted(set(shapes)))
        kind = np.array([kinds.index(shape) for shape in shapes])
        return cls(number, pairs[0], sizes, kinds, kind, two)

    @property
    def n_components(self) -> int:
        """Variance components beside the residual."""
        return 2 if self.two else 1

    def basis(self, columns: FloatArray) -> FloatArray:
        """Compute the matrices that the weights multiply.

        Parameters
        ----------
        columns : array of shape (n_outcomes, n_obs, k)

        Returns
        -------
        array of shape (n_outcomes, n_basis, k, k)
            First that within cells, whose weight is 1.
        """
        sums = self._cell_sums(columns)
        scaled = sums / np.sqrt(self.sizes)[:, None]
        found: list[FloatArray] = [_cross(columns, columns) - _cross(scaled, scaled)]
        for size in np.unique(self.sizes):
            own = sums[:, self.sizes == size]
            found.append(_cross(own, own))
        if self.two:
            for number, shape in enumerate(self.kinds):
                by_size = self._person_sums(sums, number)
                for one, other in _pairs(shape):
                    product = _cross(by_size[one], by_size[other])
                    if one != other:
                        product = product + product.swapaxes(1, 2)
                    found.append(product)
        return np.stack(found, axis=1)

    def weights(self, ratios: FloatArray) -> Derivatives:
        """Weigh the matrices of `basis`, with first and second derivatives.

        Parameters
        ----------
        ratios : array of shape (n, 2)
            λ1 of persons (0 if there is but one component) and λ2 of cells.

        Returns
        -------
        array of shape (6, n, n_basis)
        """
        persons, cells = ratios[:, 0], ratios[:, 1]
        none = np.zeros_like(cells)
        found = [np.stack([none + 1, none, none, none, none, none])]
        for size in np.unique(self.sizes):
            share = 1 / (1 + cells * size)
            found.append(
                np.stack([share / size, none, -(share**2), none, none, 2 * size * share**3])
            )
        for shape in self.kinds if self.two else ():
            g = _person_weight(persons, _mass(cells, shape))
            for one, other in _pairs(shape):
                q = _product(cells, one, other)
                found.append(
                    -np.stack(
                        [
                            g[0] * q[0],
                            g[1] * q[0],
                            g[2] * q[0] + g[0] * q[1],
                            g[3] * q[0],
                            g[4] * q[0] + g[1] * q[1],
                            g[5] * q[0] + 2 * g[2] * q[1] + g[0] * q[2],
                        ]
                    )
                )
        return np.stack(found, axis=2)

    def log_determinant(self, ratios: FloatArray) -> Derivatives:
        """Compute log|V| with first and second derivatives, shape (6, n); `ratios` as `weights`."""
        persons, cells = ratios[:, 0], ratios[:, 1]
        found = np.zeros((6, len(ratios)))
        for size, count in Counter(self.sizes.tolist()).items():
            share = 1 / (1 + cells * size)
            found[0] -= count * np.log(share)
            found[2] += count * size * share
            found[5] -= count * (size * share) ** 2
        for number, shape in enumerate(self.kinds) if self.two else ():
            count = int((self.kind == number).sum())
            s, s1, s2 = _mass(cells, shape)
            d = 1 + persons * s
            found += count * np.stack(
                [
                    np.log(d),
                    s / d,
                    persons * s1 / d,
                    -((s / d) ** 2),
                    s1 / d**2,
                    persons * s2 / d - (persons * s1 / d) ** 2,
                ]
            )
        return found

    def _cell_sums(self, columns: FloatArray) -> FloatArray:
        order = np.argsort(self.cell, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        return np.add.reduceat(columns[:, order], starts, axis=1)

    def _person_sums(self, sums: FloatArray, number: int) -> dict[int, FloatArray]:
        """Add up, for every person of a kind, the sums of their cells of each size."""
        people = np.flatnonzero(self.kind == number)
        found = {}
        for size in set(self.kinds[number]):
            share = ((self.person[None, :] == people[:, None]) & (self.sizes == size)).astype(float)
            found[size] = np.einsum("pc,ock->opk", share, sums, optimize=True)
        return found


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.matmul(a.swapaxes(1, 2), b), dtype=float)


def _pairs(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(combinations_with_replacement(sorted(set(shape)), 2))


def _mass(cells: FloatArray, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute 1'W⁻¹1 of a person, where W = I + λ2 Z2Z2', and two derivatives in λ2."""
    shares = [(size, 1 / (1 + cells * size)) for size in shape]
    return (
        sum((size * share for size, share in shares), np.zeros_like(cells)),
        -sum(((size * share) ** 2 for size, share in shares), np.zeros_like(cells)),
        2 * sum(((size * share) ** 3 for size, share in shares), np.zeros_like(cells)),
    )


def _person_weight(
    persons: FloatArray, mass: tuple[FloatArray, FloatArray, FloatArray]
) -> Derivatives:
    """Compute λ1 / (1 + λ1 s) with first and second derivatives."""
    s, s1, s2 = mass
    d = 1 + persons * s
    return np.stack(
        [
            persons / d,
            1 / d**2,
            -(persons**2) * s1 / d**2,
            -2 * s / d**3,
            -2 * persons * s1 / d**3,
            2 * persons**3 * s1**2 / d**3 - persons**2 * s2 / d**2,
        ]
    )


def _product(cells: FloatArray, one: int, other: int) -> FloatArray:
    """Compute 1 / ((1 + λ2 m)(1 + λ2 m')) and two derivatives in λ2, shape (3, n)."""
    a, b = one / (1 + cells * one), other / (1 + cells * other)
    value = a * b / (one * other)
    return np.stack([value, -(a + b) * value, 2 * (a**2 + b**2 + a * b) * value])
