"""One-sample t over normative people and the places where a contrast is connected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse, special

from petfmri.errors import DatasetError
from petfmri.localization.seeds import (
    Person,
    require_signal,
    seed_courses,
    seed_matrix,
    z_blocks,
)
from petfmri.typing import BoolArray, FloatArray, IntArray

Correction = Literal["fdr_positive", "fdr", "fwe", "none"]
LEAST_PEOPLE = 3
LEAST_SHARE = 0.8
ROWS = 64  # seeds whose t is in memory at a time


@dataclass
class Moments:
    """Running mean and sum of squared deviations over people (Welford), mergeable (Chan).

    Memory is two arrays of (n_seeds, n_elements) however many people there are.

    Attributes
    ----------
    mean, squares : array of shape (n_seeds, n_elements)
        Of z. In float64 for few seeds, float32 for nulls.
    count : int array of shape (n_elements,)
        People with a signal there.
    people : int
    """

    mean: FloatArray
    squares: FloatArray
    count: IntArray
    people: int = 0

    @classmethod
    def empty(cls, n_seeds: int, n_elements: int, dtype: str = "float64") -> Moments:
        """Start with nobody."""
        shape = (n_seeds, n_elements)
        return cls(np.zeros(shape, dtype), np.zeros(shape, dtype), np.zeros(n_elements, dtype=int))

    def add(self, person: Person, weights: sparse.csr_array) -> None:
        """Add the z maps of a person, block by block.

        Raises
        ------
        DatasetError
            If a seed has no signal in this person, or the number of elements is another.
        """
        if person.runs[0].norm.size != self.count.size:
            raise DatasetError(
                person.name,
                f"{person.runs[0].norm.size} voxels or parcels",
                f"{self.count.size} as the others have",
                "bring all people onto one grid",
            )
        seeds = seed_matrix(weights)
        courses = [seed_courses(run, seeds) for run in person.runs]
        require_signal(person, courses)
        covered = person.covered
        self.count += covered
        self.people += 1
        for part, z in z_blocks(person, courses):
            mean, n = self.mean[:, part], self.count[part]
            change = z - mean
            if not covered[part].all():
                change *= covered[part]
            weight = (1 / np.maximum(n, 1)).astype(mean.dtype)
            mean += change * weight
            # squares grow by change * (z - new mean) = change^2 (n - 1) / n
            self.squares[:, part] += change * change * (1 - weight)

    def merge(self, other: Moments) -> None:
        """Add people that were summed elsewhere, such as on another node of a cluster."""
        n = np.maximum(self.count + other.count, 1)
        change = other.mean - self.mean
        self.mean += change * (other.count / n)
        self.squares += other.squares + change**2 * (self.count * other.count / n)
        self.count += other.count
        self.people += other.people

    def t(self, rows: slice = slice(None), *, least_share: float = LEAST_SHARE) -> FloatArray:
        """One-sample t of z against 0, array of shape (n_seeds, n_elements).

        NaN where fewer than `least_share` of the people, or fewer than 3, have a signal. `rows`
        asks for some of the seeds.

        Raises
        ------
        DatasetError
            With fewer than 3 people.
        """
        if self.people < LEAST_PEOPLE:
            raise DatasetError(
                "normative people", str(self.people), f"at least {LEAST_PEOPLE}", "add people"
            )
        n = self.count
        enough = (n >= LEAST_PEOPLE) & (n >= least_share * self.people - 1e-9)
        squares, mean = self.squares[rows], self.mean[rows]
        alike = np.where(mean > 0, np.float32(1e-12), np.nan)  # a seed of one place, with itself
        squares = np.where(squares > 0, squares, alike)
        dtype = self.mean.dtype
        scale = np.sqrt(n * np.maximum(n - 1.0, 1)).astype(dtype)
        t = mean / np.sqrt(squares) * scale
        return np.where(enough, t, np.nan).astype(dtype, copy=False)


@dataclass(frozen=True)
class ContrastMaps:
    """Where each contrast is connected in the normative group.

    Attributes
    ----------
    t : array of shape (n_contrasts, n_elements)
        One-sample t of Fisher z; NaN where too few people have a signal.
    mean_z : array of shape (n_contrasts, n_elements)
    inside : bool array of shape (n_contrasts, n_elements)
        Positive and above the corrected threshold.
    threshold : array of shape (n_contrasts,)
        The smallest t inside, infinite where there is none.
    count : int array of shape (n_elements,)
        People with a signal.
    people : int
    """

    t: FloatArray
    mean_z: FloatArray
    inside: BoolArray
    threshold: FloatArray
    count: IntArray
    people: int

    @property
    def covered(self) -> BoolArray:
        """Elements where everyone has a signal: where random seeds may lie."""
        return self.count == self.people


def contrast_maps(
    people: Iterable[Person],
    weights: sparse.csr_array,
    *,
    correction: Correction = "fdr_positive",
    alpha: float = 0.05,
) -> ContrastMaps:
    """Map every contrast in one pass over people.

    Parameters
    ----------
    people : iterable of Person
        A `Store`, or a list.
    weights : sparse array of shape (n_contrasts, n_elements)
        See `Seeds.weights`.
    correction, alpha
        See `positive`.

    Returns
    -------
    ContrastMaps

    Raises
    ------
    DatasetError
        As `Moments.add` and `Moments.t`.
    """
    moments = _moments(people, weights, "float64")
    t = moments.t()
    inside = positive(t, moments.count, correction=correction, alpha=alpha)
    smallest = np.where(inside, t, np.inf).min(axis=1)
    return ContrastMaps(t, moments.mean, inside, smallest, moments.count, moments.people)


def seed_masks(
    people: Iterable[Person],
    weights: sparse.csr_array,
    *,
    correction: Correction = "fdr_positive",
    alpha: float = 0.05,
) -> BoolArray:
    """Return the masks only, in single precision: for hundreds of seeds at once.

    A pass holds 8 bytes per seed and element: 512 seeds and 77,559 voxels are 320 MB.

    Parameters
    ----------
    people, weights, correction, alpha
        See `contrast_maps`.

    Returns
    -------
    bool array of shape (n_seeds, n_elements)
    """
    moments = _moments(people, weights, "float32")
    inside = np.empty(moments.mean.shape, dtype=bool)
    for start in range(0, len(inside), ROWS):
        rows = slice(start, start + ROWS)
        inside[rows] = positive(moments.t(rows), moments.count, correction=correction, alpha=alpha)
    return inside


def covered_by_all(people: Iterable[Person]) -> BoolArray:
    """Tell where every person has a signal, array of shape (n_elements,).

    What `ContrastMaps.covered` says, without any connectivity: from a `Store` only norms are read.
    """
    return np.logical_and.reduce([person.covered for person in people])


def positive(
    t: FloatArray, count: IntArray, *, correction: Correction = "fdr_positive", alpha: float = 0.05
) -> BoolArray:
    """Keep positive t above a corrected threshold, one-sided.

    ``fdr_positive``: Benjamini-Hochberg over the positive elements only, as FCNM does. One-sided
    p of positive t are at most 0.5, so its false discovery rate may reach twice alpha.
    ``fdr``: over all elements. ``fwe``: Bonferroni over all elements, which assumes nothing about
    smoothness and is stricter than random field theory where maps are smooth. (Sign-flips of the
    largest t would need all people's maps at once, which a large normative set does not allow.)
    ``none``: every place with p up to alpha by itself.

    Parameters
    ----------
    t : array of shape (n_contrasts, n_elements)
        NaN is never inside and not counted.
    count : int array of shape (n_elements,)
        People behind each t.
    correction : {"fdr_positive", "fdr", "fwe", "none"}
    alpha : float

    Returns
    -------
    bool array of shape (n_contrasts, n_elements)

    References
    ----------
    Benjamini & Hochberg 1995, J R Stat Soc B 57:289.
    Mo F et al. 2024, Schizophr Bull. doi:10.1093/schbul/sbae020

    Examples
    --------
    >>> positive(np.array([[5.0, 2.0, 1.0, -9.0]]), np.full(4, 20))
    array([[ True,  True, False, False]])
    """
    if not 0 < alpha < 1:
        raise DatasetError("alpha", f"{alpha:g}", "between 0 and 1, usually 0.05", "correct it")
    t = np.asarray(t)
    df, which = np.unique(np.maximum(count - 1, 1), return_inverse=True)
    return np.stack([_positive(row, df, which, correction, alpha) for row in t])


def _positive(
    t: FloatArray, df: IntArray, which: IntArray, correction: Correction, alpha: float
) -> BoolArray:
    above = t > 0
    tests = int(above.sum()) if correction == "fdr_positive" else int(np.isfinite(t).sum())
    in_one_step = correction in ("fwe", "none")
    tests = 1 if correction == "none" else tests
    kept = np.ones(1, dtype=bool) if in_one_step else above
    # Step-up: the largest k of which k have p <= alpha k / tests, reached from above.
    while kept.any():
        p = min(alpha * int(kept.sum()) / tests, 0.5) if tests else 0.0
        limit = -special.stdtrit(df, p)
        inside = above & (t >= (limit[which] if df.size > 1 else limit[0]))
        if in_one_step or inside.sum() == kept.sum():
            return np.asarray(inside)
        kept = inside
    return np.zeros(t.shape, dtype=bool)


def _moments(people: Iterable[Person], weights: sparse.csr_array, dtype: str) -> Moments:
    n_seeds, n_elements = weights.shape
    moments = Moments.empty(n_seeds, n_elements, dtype)
    for person in people:
        moments.add(person, weights)
    return moments
