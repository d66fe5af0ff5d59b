"""What changed in every voxel: t, its correction by the largest |t| and by exact TFCE, and peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.effects import MIN_PERSONS, varies
from petfmri.statistics.mean_beside import independent
from petfmri.statistics.neighbours import Connectivity, voxel_neighbours
from petfmri.statistics.permutation import permutation_test
from petfmri.statistics.tfce import tfce_test
from petfmri.typing import BoolArray, FloatArray, IntArray

ALPHA = 0.05
TOP = 10
"""So many peaks are listed where no voxel stands out."""

_RANK = {6: 1, 18: 2, 26: 3}


@dataclass(frozen=True)
class MapComparison:
    """Result of `compare_maps`; values of shape (n_voxels,) are those of `mask` in C order.

    Attributes
    ----------
    mask : bool array of shape (x, y, z)
        Voxels that were tested.
    change, t, p_fwe, tfce, p_tfce : array of shape (n_voxels,)
    notes : tuple of str
    """

    mask: BoolArray
    change: FloatArray
    t: FloatArray
    p_fwe: FloatArray
    tfce: FloatArray
    p_tfce: FloatArray
    notes: tuple[str, ...]

    @property
    def significant(self) -> BoolArray:
        """Voxels with a corrected p of at most .05 by either test, of shape (n_voxels,)."""
        return np.asarray((self.p_fwe <= ALPHA) | (self.p_tfce <= ALPHA))

    def volume(self, values: FloatArray) -> FloatArray:
        """Put values of voxels into their places; 0 elsewhere, of shape (x, y, z)."""
        whole = np.zeros(self.mask.shape)
        whole[self.mask] = values
        return whole


def compare_maps(
    pre: FloatArray,
    post: FloatArray,
    mask: BoolArray,
    *,
    connectivity: Connectivity = 6,
    covariates: FloatArray | None = None,
    permutations: int = 10_000,
    tfce_permutations: int = 500,
    seed: int = 1,
) -> MapComparison:
    """Compare two maps of each person, voxel by voxel.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_voxels)
        On one grid, finite.
    mask : bool array of shape (x, y, z)
        Where the voxels are.
    connectivity : 6, 18 or 26
        As `voxel_neighbours`.
    covariates : array of shape (n_persons, k), optional
        The tested change is then that at their zero (see `mean_beside`).
    permutations, seed : int
        As `sign_patterns`, for the largest |t|.
    tfce_permutations : int
        At most so many of these for TFCE.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, or no voxel that varies.
    """
    usable = varies(pre, post) if len(pre) else np.zeros(0, dtype=bool)
    if len(pre) < MIN_PERSONS or not usable.any():
        raise StatisticsError(
            "voxels",
            f"{len(pre)} persons with maps of both sessions, {int(usable.sum())} voxels that vary",
            f"at least {MIN_PERSONS} persons and one voxel",
            "look at the individual maps; a group test needs more persons",
        )
    inside = mask.copy()
    inside[mask] = usable
    change = (post - pre)[:, usable]
    y, x = independent(change, covariates)
    arrangements = sign_patterns(len(y), permutations=permutations, seed=seed)
    single = permutation_test(y, x, arrangements=arrangements)
    few = arrangements.some(tfce_permutations, seed=seed)
    around = voxel_neighbours(inside, connectivity)
    enhanced = tfce_test(y, x, around, arrangements=few)
    told = (
        f"Voxels: {len(single.t):,} tests over n = {len(change)} persons. Largest |t|: "
        f"{single.told}, smallest attainable p {single.p_smallest[0]:.2g}; family-wise p ≤ .05 in "
        f"{int((single.p_fwe <= ALPHA).sum()):,} voxels.",
        f"TFCE of voxels (exact, E = .5, H = 2, {connectivity} neighbours, both signs): {few.told}, "
        f"smallest attainable p {few.smallest:.2g}; family-wise p ≤ .05 in "
        f"{int((enhanced.p_fwe <= ALPHA).sum()):,} voxels.",
    )
    return MapComparison(
        mask=inside,
        change=single.estimate,
        t=single.t,
        p_fwe=single.p_fwe,
        tfce=enhanced.tfce,
        p_tfce=enhanced.p_fwe,
        notes=told,
    )


def peaks(found: MapComparison, affine: FloatArray, connectivity: Connectivity = 6) -> pd.DataFrame:
    """List clusters of voxels with a corrected p of at most .05 by either test.

    Parameters
    ----------
    found : MapComparison
    affine : array of shape (4, 4)
        Voxel indices to mm.
    connectivity : 6, 18 or 26

    Returns
    -------
    DataFrame
        One row per cluster, at its largest |t|; where there is none, the highest separate peaks
        of |t|. Columns cluster direction voxels volume_ml x y z change t p_fwe p_tfce.
    """
    number = np.full(found.mask.shape, -1)
    number[found.mask] = np.arange(len(found.t))
    rows = [
        {
            "cluster": cluster,
            "voxels": len(voxels),
            "voxel": voxels[np.abs(found.t[voxels]).argmax()],
        }
        for cluster, voxels in enumerate(_clusters(found, number, connectivity), 1)
    ]
    if not rows:
        rows = [{"cluster": None, "voxels": 0, "voxel": voxel} for voxel in _highest(found, number)]
    table = pd.DataFrame(rows)
    voxel = table.pop("voxel").to_numpy()
    places = np.argwhere(found.mask)[voxel]
    points = places @ affine[:3, :3].T + affine[:3, 3]
    return table.assign(
        cluster=table["cluster"].astype("Int64"),
        direction=np.where(found.t[voxel] > 0, "rise", "fall"),
        volume_ml=table["voxels"] * abs(np.linalg.det(affine[:3, :3])) / 1000,
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        change=found.change[voxel],
        t=found.t[voxel],
        p_fwe=found.p_fwe[voxel],
        p_tfce=found.p_tfce[voxel],
    )


def _clusters(found: MapComparison, number: IntArray, connectivity: Connectivity) -> list[IntArray]:
    """Voxels of each cluster that stands out, the largest cluster first."""
    structure = ndimage.generate_binary_structure(3, _RANK[connectivity])
    clusters = []
    for side in (found.t > 0, found.t < 0):
        chosen = found.volume((found.significant & side).astype(float)) > 0
        labels, count = ndimage.label(chosen, structure)
        clusters += [number[labels == label] for label in range(1, count + 1)]
    return sorted(clusters, key=len, reverse=True)


def _highest(found: MapComparison, number: IntArray) -> IntArray:
    """Voxels whose |t| no other within 5 voxels exceeds, the highest first."""
    size = found.volume(np.abs(found.t))
    best = found.mask & (size == ndimage.maximum_filter(size, 11, mode="constant"))
    voxels = number[best]
    return np.asarray(voxels[np.argsort(-np.abs(found.t[voxels]))][:TOP])
