"""Seeds: true spheres in millimetres around published peaks, one seed per contrast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.localization.space import Space
from petfmri.typing import BoolArray, FloatArray, IntArray

ROUNDING_MM = 1e-6
CHUNK = 1 << 21  # distances computed at a time (16 MB)


@dataclass(frozen=True)
class Seeds:
    """One combined seed per contrast: the union of the spheres round its peaks.

    Attributes
    ----------
    weights : sparse array of shape (n_seeds, n_elements)
        Voxels of the seed in each element: 1 for a voxel of the union, the number of covered
        voxels for a parcel.
    outside : list of int arrays
        Per seed, the peaks (from 0) whose sphere holds no voxel of the mask. They are not part of
        the seed.
    nearest : list of int arrays
        Per seed, the peaks whose sphere holds no voxel centre at all, so that the nearest voxel
        was taken.
    """

    weights: sparse.csr_array
    outside: list[IntArray]
    nearest: list[IntArray]

    def __len__(self) -> int:
        return int(self.weights.shape[0])

    @property
    def n_voxels(self) -> IntArray:
        """Voxels of each seed, array of shape (n_seeds,)."""
        return np.asarray(self.weights.sum(axis=1)).round().astype(int)


def seeds_at(peaks: Sequence[FloatArray], radius_mm: float, space: Space) -> Seeds:
    """Merge the spheres round the peaks of each contrast into one binary seed.

    A voxel belongs to a sphere if its centre lies within the radius of the peak, in millimetres:
    neither is rounded to voxels. On a 3 mm grid and a peak on a voxel centre, 1, 4, 7 and 10 mm
    hold 1, 7, 57 and 171 voxels; between centres 4 mm holds 10 on average. (FCNM's own code rounds
    both, and takes 7 always.) A sphere that holds no centre takes the nearest voxel.

    Parameters
    ----------
    peaks : sequence of arrays of shape (n_peaks, 3), mm
        One per contrast, in the space of the affine (MNI).
    radius_mm : float
    space : Space

    Returns
    -------
    Seeds

    Raises
    ------
    DatasetError
        If the radius is not positive, or peaks are not finite (n, 3).

    Examples
    --------
    >>> from petfmri.localization.space import of_mask
    >>> space = of_mask(np.ones((9, 9, 9), dtype=bool), np.diag([3.0, 3, 3, 1]))
    >>> [int(seeds_at([np.array([[12.0, 12, 12]])], mm, space).n_voxels[0]) for mm in (1, 4, 7, 10)]
    [1, 7, 57, 171]
    """
    if not radius_mm > 0:
        raise DatasetError("radius", f"{radius_mm:g} mm", "more than 0, usually 4", "correct it")
    points = [_checked(one) for one in peaks]
    owner = np.repeat(np.arange(len(points)), [len(one) for one in points])
    first = np.concatenate([[0], np.cumsum([len(one) for one in points])]).astype(int)
    merged = np.concatenate([*points, np.empty((0, 3))])
    peak, voxel, nearest = _voxels(merged, radius_mm, space)
    pairs = np.unique(owner[peak] * np.int64(space.n_voxels) + voxel)  # the union of each contrast
    row, column = pairs // space.n_voxels, space.element[pairs % space.n_voxels]
    weights = sparse.coo_array(
        (np.ones(pairs.size), (row, column)), shape=(len(points), space.n_elements)
    ).tocsr()  # voxels of one parcel are summed
    found = np.bincount(peak, minlength=len(merged)) > 0
    parts = [slice(*ends) for ends in itertools.pairwise(first.tolist())]
    return Seeds(
        weights,
        [np.flatnonzero(~found[part]) for part in parts],
        [np.flatnonzero(nearest[part] & found[part]) for part in parts],
    )


def random_peaks(
    space: Space, counts: Sequence[int], rng: np.random.Generator, allowed: BoolArray | None = None
) -> list[FloatArray]:
    """Draw as many random positions in the mask as each contrast has peaks.

    Uniform over the mask's volume, between voxel centres as published peaks are, so that spheres
    have the sizes of the real ones.

    Parameters
    ----------
    space : Space
    counts : sequence of int
    rng : Generator
    allowed : bool array of shape (n_elements,), optional
        Elements to draw from, such as those where everyone has a signal.

    Returns
    -------
    list of arrays of shape (count, 3), mm
    """
    voxels = space.ijk if allowed is None else space.ijk[np.asarray(allowed)[space.element]]
    if not len(voxels):
        raise DatasetError(
            "random coordinates",
            "no place where everybody has a signal",
            "images of one brain, with signal in the same places",
            "look for a person without signal, and leave them out",
        )
    total = int(sum(counts))
    ijk = voxels[rng.integers(0, len(voxels), total)] + rng.uniform(-0.5, 0.5, (total, 3))
    points = ijk @ space.affine[:3, :3].T + space.affine[:3, 3]
    return np.split(points, np.cumsum(counts)[:-1])


def _checked(points: FloatArray) -> FloatArray:
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise DatasetError(
            "peaks", f"shape {points.shape}", "finite x, y, z per row", "correct the coordinates"
        )
    return points


def _voxels(
    points: FloatArray, radius_mm: float, space: Space
) -> tuple[IntArray, IntArray, BoolArray]:
    """Pair points with the mask's voxels in reach; tell which points had to take the nearest."""
    matrix = space.affine[:3, :3]
    offsets = _offsets(matrix, radius_mm)
    steps = offsets @ matrix.T
    place = (points - space.affine[:3, 3]) @ np.linalg.inv(matrix).T
    base = np.round(place).astype(int)
    rest = (place - base) @ matrix.T
    number = np.full(space.mask.shape, -1)
    number[space.mask] = np.arange(space.n_voxels)
    shape, nearest = np.array(space.mask.shape), np.zeros(len(points), dtype=bool)
    pairs = [np.empty((2, 0), dtype=int)]
    chunk = max(1, CHUNK // len(offsets))
    for start in range(0, len(points), chunk):
        part = slice(start, start + chunk)
        distance = np.sqrt(((steps[None] - rest[part, None]) ** 2).sum(axis=2))
        within = distance <= radius_mm + ROUNDING_MM
        nearest[part] = ~within.any(axis=1)
        alone = np.flatnonzero(nearest[part])
        within[alone, distance[alone].argmin(axis=1)] = True
        peak, offset = np.nonzero(within)
        ijk = base[part][peak] + offsets[offset]
        there = ((ijk >= 0) & (ijk < shape)).all(axis=1)
        voxel = np.full(len(ijk), -1)
        voxel[there] = number[tuple(ijk[there].T)]
        pairs.append(np.stack([peak + start, voxel])[:, voxel >= 0])
    peak, voxel = np.concatenate(pairs, axis=1)
    return peak, voxel, nearest


def _offsets(matrix: FloatArray, radius_mm: float) -> IntArray:
    """Steps from the voxel of a peak that can come within the radius, or be the nearest."""
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    reach = max(radius_mm, np.linalg.norm(corners @ matrix.T, axis=1).max()) + ROUNDING_MM
    half = np.linalg.norm(corners @ matrix.T, axis=1).max()
    span = np.ceil((reach + half) * np.linalg.norm(np.linalg.inv(matrix), axis=1)).astype(int)
    box = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in span), indexing="ij"), axis=-1)
    box = box.reshape(-1, 3)
    return box[np.linalg.norm(box @ matrix.T, axis=1) <= reach + half]
