"""Which elements of a map touch: voxels of a mask, or parcels of an atlas."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.typing import BoolArray, IntArray

Connectivity = Literal[6, 18, 26]
_SHARED = {6: 1, 18: 2, 26: 3}


@dataclass(frozen=True)
class Neighbours:
    """Who touches whom among n elements, both ways, each element among its own neighbours.

    Attributes
    ----------
    starts : array of int, shape (n + 1,)
        Where the neighbours of each element begin and end.
    ones, others : array of int, shape (n_neighbours,)
        Each pair, ordered by the first.
    """

    starts: IntArray
    ones: IntArray
    others: IntArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, n: int, pairs: IntArray) -> Neighbours:
        """Make them of pairs that touch, each named once.

        Parameters
        ----------
        n : int
        pairs : array of int, shape (n_pairs, 2)

        Examples
        --------
        >>> chain = Neighbours.of(3, np.array([[0, 1], [1, 2]]))
        >>> [chain.others[a:b].tolist() for a, b in zip(chain.starts, chain.starts[1:])]
        [[0, 1], [0, 1, 2], [1, 2]]
        """
        itself = np.arange(n)
        ones = np.concatenate([pairs[:, 0], pairs[:, 1], itself])
        others = np.concatenate([pairs[:, 1], pairs[:, 0], itself])
        order = np.lexsort((others, ones))
        starts = np.concatenate([[0], np.cumsum(np.bincount(ones, minlength=n))])
        return cls(starts, ones[order].astype(np.int32), others[order].astype(np.int32))


def voxel_neighbours(mask: BoolArray, connectivity: Connectivity = 6) -> Neighbours:
    """Connect the voxels of a mask.

    Parameters
    ----------
    mask : bool array of shape (x, y, z)
        Elements are its voxels in C order, as in ``map[mask]``.
    connectivity : 6, 18 or 26
        Voxels that share a face, also an edge, also a corner. FSL's randomise and nilearn count
        faces for TFCE.

    Raises
    ------
    StatisticsError
        With another connectivity, or an empty mask.

    Examples
    --------
    >>> mask = np.eye(2, dtype=bool)[..., None]
    >>> len(voxel_neighbours(mask).others), len(voxel_neighbours(mask, 18).others)
    (2, 4)
    """
    if connectivity not in _SHARED or not mask.any():
        raise StatisticsError(
            "voxel neighbours",
            f"connectivity {connectivity} in {int(mask.sum())} voxels",
            "6, 18 or 26, and at least one voxel",
            "correct the connectivity or the mask",
        )
    number = np.full(np.add(mask.shape, 2), -1, dtype=np.int64)
    inner = (slice(1, -1),) * 3
    number[inner][mask] = np.arange(mask.sum())
    own = number[inner]
    pairs = []
    for step in itertools.product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0) or np.abs(step).sum() > _SHARED[connectivity]:
            continue
        moved = number[tuple(slice(1 + d, n + 1 + d) for d, n in zip(step, mask.shape))]
        both = (own >= 0) & (moved >= 0)
        pairs.append(np.column_stack([own[both], moved[both]]))
    return Neighbours.of(int(mask.sum()), np.concatenate(pairs))


def parcel_neighbours(labels: IntArray, index: Sequence[int]) -> Neighbours:
    """Connect parcels that share a face of at least one voxel.

    Parameters
    ----------
    labels : array of int, shape (x, y, z)
        The atlas.
    index : sequence of int
        Label of each element; other labels are passed over.

    Examples
    --------
    >>> around = parcel_neighbours(np.array([[[5, 5, 7, 0, 9]]]), [5, 7, 9])
    >>> [around.others[a:b].tolist() for a, b in zip(around.starts, around.starts[1:])]
    [[0, 1], [0, 1], [2]]
    """
    known = np.unique(labels)
    element = {label: number for number, label in enumerate(index)}
    place = np.array([element.get(label, -1) for label in known.tolist()])
    own = place[np.searchsorted(known, labels)]
    found = set()
    for axis in range(3):
        one = np.moveaxis(own, axis, 0)[:-1].ravel()
        other = np.moveaxis(own, axis, 0)[1:].ravel()
        touch = (one != other) & (one >= 0) & (other >= 0)
        lower, upper = np.minimum(one, other)[touch], np.maximum(one, other)[touch]
        found.update(np.unique(lower * len(index) + upper).tolist())
    codes = np.array(sorted(found), dtype=np.int64)
    return Neighbours.of(len(index), np.column_stack(np.divmod(codes, len(index))))
