"""What random coordinates give: the null that a network of published coordinates must exceed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petfmri.errors import DatasetError
from petfmri.localization.group import Correction, seed_masks
from petfmri.localization.overlap import NetworkMap, from_counts
from petfmri.localization.seeds import Person
from petfmri.localization.space import Space
from petfmri.localization.spheres import random_peaks, seeds_at
from petfmri.statistics.permutation import TIE, share_reaching
from petfmri.typing import BoolArray, FloatArray, IntArray

SEEDS_AT_ONCE = 512


@dataclass(frozen=True)
class Rule:
    """How coordinates become a network; the defaults are those of FCNM as published.

    Attributes
    ----------
    radius_mm : float
    correction : {"fdr_positive", "fdr", "fwe", "none"}
        Of each contrast's t; see `positive`.
    alpha : float
    share : float
        Of contrasts that must reach a place.
    min_voxels : int
        Smallest cluster.
    """

    radius_mm: float = 4.0
    correction: Correction = "fdr_positive"
    alpha: float = 0.05
    share: float = 0.6
    min_voxels: int = 30


@dataclass(frozen=True)
class RandomNull:
    """The whole analysis repeated with random coordinates.

    Attributes
    ----------
    counts : uint16 array of shape (n_draws, n_elements)
        Contrasts that reach each element.
    sizes : int array of shape (n_draws,)
        Voxels of the thresholded map.
    contrasts : int
    """

    counts: IntArray
    sizes: IntArray
    contrasts: int

    @classmethod
    def join(cls, parts: Sequence[RandomNull]) -> RandomNull:
        """Put draws that were made apart, such as on nodes of a cluster, into one null."""
        return cls(
            np.concatenate([part.counts for part in parts]),
            np.concatenate([part.sizes for part in parts]),
            parts[0].contrasts,
        )


def random_null(
    people: Iterable[Person],
    space: Space,
    peaks: Sequence[int],
    rule: Rule,
    *,
    draws: int = 1000,
    seed: int = 1,
    first: int = 0,
    allowed: BoolArray | None = None,
    at_once: int = SEEDS_AT_ONCE,
) -> RandomNull:
    """Repeat the analysis with as many peaks per contrast, at random places of the mask.

    Everything else is the same: spheres, people, t, thresholds, overlap, clusters. The seeds of
    many draws share one pass over people, whose number decides how often the store is read:
    ``draws * contrasts / at_once`` times.

    Parameters
    ----------
    people : re-iterable of Person
        A `Store` or a list.
    space : Space
    peaks : sequence of int
        Peaks of each contrast that lie in the mask.
    rule : Rule
    draws : int
        The smallest p that n draws allow is 1 / (n + 1).
    seed : int
        Draw number d depends on (seed, d) only, so that parts can be made apart.
    first : int
        Number of the first draw.
    allowed : bool array of shape (n_elements,), optional
        `covered_by_all`, or `ContrastMaps.covered`: places where every person has a signal.
    at_once : int
        Seeds per pass, which decides the memory: 8 bytes per seed and element.

    Returns
    -------
    RandomNull

    Raises
    ------
    DatasetError
        If `people` can be read only once, or there are no draws or no peaks.
    """
    if iter(people) is people:
        raise DatasetError("people", "an iterator", "a Store or a list", "make a list of it")
    if draws < 1 or not len(peaks) or min(peaks) < 1:
        raise DatasetError(
            "random coordinates",
            f"{draws} draws for contrasts with {list(peaks)[:5]} peaks",
            "at least one of each",
            "leave contrasts without a peak in the mask out",
        )
    counts, per_pass = [], max(1, at_once // len(peaks))
    for start in range(first, first + draws, per_pass):
        numbers = range(start, min(start + per_pass, first + draws))
        points = [
            one
            for number in numbers
            for one in random_peaks(space, peaks, np.random.default_rng([seed, number]), allowed)
        ]
        weights = seeds_at(points, rule.radius_mm, space).weights
        masks = seed_masks(people, weights, correction=rule.correction, alpha=rule.alpha)
        masks = masks.reshape(len(numbers), len(peaks), space.n_elements)
        counts.append(masks.sum(axis=1, dtype=np.uint16))
    found = np.concatenate(counts)
    return RandomNull(found, _sizes(found, len(peaks), space, rule), len(peaks))


def save_null(null: RandomNull, path: Path) -> Path:
    """Keep draws that were made apart."""
    np.savez(path, counts=null.counts, sizes=null.sizes, contrasts=null.contrasts)
    return path


def load_null(path: Path) -> RandomNull:
    """Read what `save_null` has kept."""
    with np.load(path) as kept:
        return RandomNull(kept["counts"], kept["sizes"], int(kept["contrasts"]))


def _sizes(counts: IntArray, contrasts: int, space: Space, rule: Rule) -> IntArray:
    options = {"share": rule.share, "min_voxels": rule.min_voxels}
    maps = (from_counts(row, contrasts, space, **options) for row in counts)  # type: ignore[arg-type]
    return np.array([int(space.sizes[one.inside].sum()) for one in maps])


@dataclass(frozen=True)
class Judgement:
    """A network beside those of random coordinates.

    Attributes
    ----------
    p : array of shape (n_elements,)
        Share of draws, the network itself included, whose probability reaches it there.
    p_fwe : array of shape (n_elements,)
        Corrected over all elements by the largest excess.
    excess : array of shape (n_elements,)
        Probability less the mean of all draws there, over their SD plus one contrast's share.
        Hubs are reached by any coordinates and need more than other places.
    expected : array of shape (n_elements,)
        Mean probability of the draws.
    voxels : int
        Of the thresholded map.
    p_size : float
        Share of draws, itself included, whose map has at least as many.
    draws : int
    p_smallest : float
        That so many draws allow.
    """

    p: FloatArray
    p_fwe: FloatArray
    excess: FloatArray
    expected: FloatArray
    voxels: int
    p_size: float
    draws: int
    p_smallest: float


def judge(result: NetworkMap, null: RandomNull, space: Space) -> Judgement:
    """Compare a network with those of random coordinates.

    The network counts as one of the draws in every p and in the mean and SD of each place, so
    that under the null it is exchangeable with them and all p are exact.

    Parameters
    ----------
    result : NetworkMap
    null : RandomNull
        Made with the same number of contrasts, peaks, and rule.
    space : Space

    Returns
    -------
    Judgement

    Raises
    ------
    DatasetError
        If the null is of another number of contrasts.

    Examples
    --------
    >>> from petfmri.localization.space import of_mask
    >>> space = of_mask(np.ones((1, 1, 2), dtype=bool), np.eye(4))
    >>> null = RandomNull(np.array([[1, 1], [2, 0], [2, 1]]), np.array([0, 1, 1]), 2)
    >>> found = judge(NetworkMap(np.array([1.0, 1.0]), np.array([True, True]), 2), null, space)
    >>> found.p, found.p_fwe, found.p_size
    (array([0.75, 0.25]), array([0.75, 0.25]), 0.25)
    """
    if null.contrasts != result.contrasts:
        raise DatasetError(
            "null of random coordinates",
            f"{null.contrasts} contrasts",
            f"{result.contrasts}, as the network has",
            "draw it anew",
        )
    own = np.round(result.probability * result.contrasts)
    mean = own.copy()
    for row in null.counts:
        mean += row
    mean /= 1 + len(null.counts)
    squares, reached = (own - mean) ** 2, np.ones(own.size)
    for row in null.counts:
        squares += (row - mean) ** 2
        reached += row >= own
    spread = np.sqrt(squares / (1 + len(null.counts))) + 1
    excess = (own - mean) / spread
    largest = [float(excess.max()), *(float(((row - mean) / spread).max()) for row in null.counts)]
    voxels = int(space.sizes[result.inside].sum())
    return Judgement(
        p=reached / (1 + len(null.counts)),
        p_fwe=share_reaching(np.array(largest), excess - TIE),
        excess=excess,
        expected=null.counts.mean(axis=0) / null.contrasts,
        voxels=voxels,
        p_size=(1 + int((null.sizes >= voxels).sum())) / (1 + len(null.sizes)),
        draws=len(null.counts),
        p_smallest=1 / (1 + len(null.counts)),
    )
