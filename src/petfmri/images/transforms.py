"""Spatial transforms that behave like the mathematics: they map points, compose and invert.

A transform maps world points (RAS+, mm) of the *reference* space, the grid that is filled, to
points of the *moving* space, the image that is read. That is what resampling asks for and what
ITK and nitransforms store. ``(a @ b).map(x)`` is ``a.map(b.map(x))`` and ``~a`` undoes ``a``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from petfmri.errors import InputError, RegistrationError
from petfmri.typing import FloatArray

FULL_STEPS = 8  # of the inversion of a warp, before half steps
EQUAL_MM = 1e-6  # matrices and fields that differ by less are the same transform


class Transform(ABC):
    """A map from points of the reference space to points of the moving space."""

    __slots__ = ()

    @abstractmethod
    def map(self, points: FloatArray) -> FloatArray:
        """Map `points`, array of shape (n, 3), RAS mm, to an array of the same shape."""

    @abstractmethod
    def __invert__(self) -> Transform: ...

    def __matmul__(self, other: Transform) -> Transform:
        return compose(self, other)


class Affine(Transform):
    """A linear transform.

    Parameters
    ----------
    matrix : array of shape (4, 4)
        Maps reference to moving points, RAS mm; the identity when absent.

    Raises
    ------
    InputError
        If the matrix is not a finite, invertible 4 × 4 affine.

    Examples
    --------
    >>> shift = Affine([[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    >>> shift.map(np.zeros((1, 3)))
    array([[5., 0., 0.]])
    >>> ~shift @ shift == Affine()
    True
    """

    __slots__ = ("matrix",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, matrix: ArrayLike | None = None) -> None:
        values = np.array(np.eye(4) if matrix is None else matrix, dtype=float)
        if values.shape != (4, 4) or np.abs(values[3] - (0, 0, 0, 1)).max() > EQUAL_MM:
            raise _not_affine(f"an array of shape {values.shape}")
        if not np.isfinite(values).all() or abs(np.linalg.det(values)) < 1e-9:
            raise _not_affine("a matrix that cannot be inverted")
        values.flags.writeable = False
        self.matrix: FloatArray = values

    def map(self, points: FloatArray) -> FloatArray:
        """Map `points` of shape (n, 3), RAS mm."""
        mapped: FloatArray = points @ self.matrix[:3, :3].T
        mapped += self.matrix[:3, 3]
        return mapped

    def __invert__(self) -> Affine:
        return Affine(np.linalg.inv(self.matrix))

    @overload
    def __matmul__(self, other: Affine) -> Affine: ...

    @overload
    def __matmul__(self, other: Transform) -> Transform: ...

    def __matmul__(self, other: Transform) -> Transform:
        if isinstance(other, Affine):
            return Affine(self.matrix @ other.matrix)
        return compose(self, other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Affine) and np.allclose(self.matrix, other.matrix, atol=EQUAL_MM)

    def __repr__(self) -> str:
        return f"Affine({np.array2string(self.matrix, precision=4, suppress_small=True)})"

    @property
    def is_identity(self) -> bool:
        """Whether every point stays where it is."""
        return self == Affine()


class Warp(Transform):
    """A dense displacement field: ``x + displacement(x)``, linear between its grid points.

    Outside its grid the displacement of the nearest edge point continues, so that the map has
    no jump there. (ITK jumps to zero displacement instead.)

    Parameters
    ----------
    displacement : array of shape (x, y, z, 3), RAS mm
        What is added to a reference point that lies on the field's own grid.
    affine : array of shape (4, 4)
        Voxel indices of the field to RAS mm.
    inverse : Warp, optional
        The field of the inverse map. Without it, ``~warp`` finds it by fixed-point iteration on
        the grid of `displacement`.

    References
    ----------
    Chen M, Lu W, Chen Q, Ruchala KJ, Olivera GH. A simple fixed-point approach to invert a
    deformation field. Med Phys 2008;35:81-88.
    """

    __slots__ = ("affine", "displacement", "inverse")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, displacement: ArrayLike, affine: ArrayLike, inverse: Warp | None = None
    ) -> None:
        field = np.asarray(displacement, dtype=np.float32)
        if field.ndim != 4 or field.shape[3] != 3 or not np.isfinite(field).all():
            raise InputError(
                "displacement field",
                f"an array of shape {field.shape} or values that are not finite",
                "a finite array of shape (x, y, z, 3)",
                "make the field anew",
            )
        self.displacement: FloatArray = field
        self.affine: FloatArray = np.array(Affine(affine).matrix)
        self.inverse = inverse

    def map(self, points: FloatArray) -> FloatArray:
        """Map `points` of shape (n, 3), RAS mm."""
        voxels = (~Affine(self.affine)).map(points).T
        moved = np.array(points, dtype=float)
        for axis in range(3):
            moved[:, axis] += ndimage.map_coordinates(
                self.displacement[..., axis], voxels, order=1, mode="nearest", output=float
            )
        return moved

    def __invert__(self) -> Warp:
        forward = Warp(self.displacement, self.affine)
        if self.inverse is None:
            return Warp(_inverse_displacement(forward), self.affine, forward)
        return Warp(self.inverse.displacement, self.inverse.affine, forward)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Warp)
            and self.displacement.shape == other.displacement.shape
            and np.allclose(self.affine, other.affine, atol=EQUAL_MM)
            and np.allclose(self.displacement, other.displacement, atol=EQUAL_MM)
        )

    def __repr__(self) -> str:
        largest = float(np.sqrt((self.displacement**2).sum(-1).max()))
        return f"Warp(grid {self.displacement.shape[:3]}, largest displacement {largest:.1f} mm)"


class Chain(Transform):
    """Transforms applied one after the other, the last one first: made by ``a @ b``.

    Parameters
    ----------
    parts : sequence of Transform
        As written in the product: ``Chain((a, b)).map(x)`` is ``a.map(b.map(x))``.
    """

    __slots__ = ("parts",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, parts: Sequence[Transform]) -> None:
        self.parts = tuple(parts)

    def map(self, points: FloatArray) -> FloatArray:
        """Map `points` of shape (n, 3), RAS mm."""
        for part in reversed(self.parts):
            points = part.map(points)
        return points

    def __invert__(self) -> Transform:
        return compose(*(~part for part in reversed(self.parts)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self.parts == other.parts

    def __iter__(self) -> Iterator[Transform]:
        return iter(self.parts)

    def __repr__(self) -> str:
        return " @ ".join(map(repr, self.parts))


def compose(*transforms: Transform) -> Transform:
    """Multiply transforms; neighbouring affines become one, identities disappear.

    Examples
    --------
    >>> compose(rigid((1, 0, 0)), rigid((0, 2, 0))) == rigid((1, 2, 0))
    True
    """
    parts: list[Transform] = []
    for transform in _flatten(transforms):
        if isinstance(transform, Affine):
            last = parts[-1] if parts else None
            if isinstance(last, Affine):
                transform = last @ transform
                parts.pop()
            if transform.is_identity:
                continue
        parts.append(transform)
    if not parts:
        return Affine()
    return parts[0] if len(parts) == 1 else Chain(parts)


def rigid(
    translation_mm: Sequence[float] | FloatArray = (0, 0, 0),
    rotation_deg: Sequence[float] | FloatArray = (0, 0, 0),
    center: Sequence[float] | FloatArray = (0, 0, 0),
) -> Affine:
    """Make a rigid transform ``R (x - center) + center + translation``.

    Parameters
    ----------
    translation_mm : 3 values, mm
        Along the RAS axes.
    rotation_deg : 3 values, degrees
        About the x, then the y, then the z axis.
    center : 3 values, RAS mm
        The point that the rotation leaves in place.

    Examples
    --------
    >>> rigid(rotation_deg=(0, 0, 90)).map(np.array([[1.0, 0, 0]])).round(6) + 0.0
    array([[0., 1., 0.]])
    """
    (cos_x, cos_y, cos_z), (sin_x, sin_y, sin_z) = (
        function(np.deg2rad(np.asarray(rotation_deg, dtype=float))) for function in (np.cos, np.sin)
    )
    about_x = np.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_z = np.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    pivot = np.asarray(center, dtype=float)
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_y @ about_x
    matrix[:3, 3] = pivot + np.asarray(translation_mm, dtype=float) - matrix[:3, :3] @ pivot
    return Affine(matrix)


def rigid_parameters(xfm: Affine) -> FloatArray:
    """Return translations (mm) and rotations (rad) that `rigid` about the origin would need.

    Returns
    -------
    array of shape (6,)
        Translation x, y, z in mm, rotation about x, y, z in radians.

    Examples
    --------
    >>> rigid_parameters(rigid((1, 2, 3), (0, 0, 90))).round(4)
    array([1.    , 2.    , 3.    , 0.    , 0.    , 1.5708])
    """
    rotation = xfm.matrix[:3, :3]
    about_y = np.arcsin(np.clip(-rotation[2, 0], -1, 1))
    about_x = np.arctan2(rotation[2, 1], rotation[2, 2])
    about_z = np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.array([*xfm.matrix[:3, 3], about_x, about_y, about_z]) + 0.0


def _not_affine(found: str) -> InputError:
    return InputError(
        "affine transform", found, "a finite, invertible 4 × 4 matrix", "check where it comes from"
    )


def _flatten(transforms: Sequence[Transform]) -> Iterator[Transform]:
    for transform in transforms:
        if isinstance(transform, Chain):
            yield from transform.parts
        else:
            yield transform


def _inverse_displacement(warp: Warp, tolerance_mm: float = 1e-3, limit: int = 60) -> FloatArray:
    """Solve v(y) = -u(y + v(y)) at the points y of the warp's own grid.

    Where the warp stretches space to more than twice its length, full steps oscillate around the
    solution; half steps, taken for the points that remain after some, converge.
    """
    shape = warp.displacement.shape
    voxels = np.indices(shape[:3], dtype=float).reshape(3, -1).T
    points = Affine(warp.affine).map(voxels)
    guess = np.zeros_like(points)
    active = np.arange(len(points))
    for step in range(limit):
        origin = points[active] + guess[active]
        change = origin - warp.map(origin) - guess[active]
        guess[active] += change if step < FULL_STEPS else change / 2
        active = active[np.abs(change).max(axis=1) > tolerance_mm]
        if not active.size:
            return guess.reshape(shape).astype(np.float32)
    raise RegistrationError(
        "inverse of a displacement field",
        f"{active.size} of {len(points)} points that find no origin (the field folds)",
        "a smooth field without folds",
        "register again with more smoothing, or give the inverse field",
    )
