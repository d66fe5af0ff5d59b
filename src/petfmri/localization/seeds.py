"""Connectivity of many seeds with every place of one person, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.networks.seed_map import LARGEST_R
from petfmri.typing import BoolArray, FloatArray, IntArray

PRECISION = 1e-7  # of float32: less spread than this share of the mean is rounding
LEAST_FRAMES = 3


@dataclass(frozen=True)
class Run:
    """Series of one run, split into shape and size so that any mean of raw signals is exact.

    Attributes
    ----------
    unit : float32 or float16 array of shape (n_frames, n_elements)
        Columns of mean 0 and norm 1; 0 where there is no signal.
    norm : float32 array of shape (n_elements,)
        What each column was divided by, in units of the signal; 0 where there is no signal.
    """

    unit: FloatArray
    norm: FloatArray

    def __len__(self) -> int:
        return len(self.unit)


@dataclass(frozen=True)
class Person:
    """The runs of one normative person."""

    name: str
    runs: Sequence[Run]

    @property
    def covered(self) -> BoolArray:
        """Elements with a signal in every run, array of shape (n_elements,)."""
        return np.logical_and.reduce([run.norm > 0 for run in self.runs])


def unit_run(series: FloatArray, *, overwrite: bool = False) -> Run:
    """Bring the columns of a run to mean 0 and norm 1, in two passes.

    Means and norms are summed in float64 and the mean is off before anything is squared: in one
    pass of float32, a mean of 10,000 with an SD of 10 leaves no digit.

    Parameters
    ----------
    series : array of shape (n_frames, n_elements)
        Clean signal of voxels or parcels; missing ones are columns of NaN or one constant.
    overwrite : bool
        Use the memory of a float32 `series`.

    Returns
    -------
    Run

    Raises
    ------
    DatasetError
        With fewer than 3 frames.

    Examples
    --------
    >>> run = unit_run(np.array([[1.0, 5], [3, 5], [2, 5]]))
    >>> run.unit.round(2), run.norm.round(2)
    (array([[-0.71,  0.  ],
           [ 0.71,  0.  ],
           [ 0.  ,  0.  ]], dtype=float32), array([1.41, 0.  ], dtype=float32))
    """
    series = np.asarray(series)
    if series.ndim != 2 or len(series) < LEAST_FRAMES:
        raise DatasetError(
            "normative series",
            f"shape {series.shape}",
            f"(n_frames, n_elements), at least {LEAST_FRAMES} frames",
            "check the file",
        )
    unit = series if overwrite and series.dtype == np.float32 else np.empty(series.shape, "f4")
    total = np.zeros(series.shape[1])
    for frame in series:
        total += frame
    mean, total = total / len(series), np.zeros(series.shape[1])
    for row, frame in zip(unit, series):
        np.subtract(frame, mean, out=row, casting="same_kind")
        total += row * row
    norm = np.sqrt(total)
    varies = norm > PRECISION * np.sqrt(len(series)) * np.abs(mean)  # also False for NaN
    scale = np.divide(1, norm, out=np.zeros_like(norm), where=varies).astype(np.float32)
    unit *= scale
    if not varies.all():
        unit[:, ~varies] = 0
    return Run(unit, np.where(varies, norm, 0).astype(np.float32))


@dataclass(frozen=True)
class SeedMatrix:
    """Seed weights with the columns that no seed uses left out; see `seed_matrix`."""

    columns: IntArray
    weights: sparse.csr_array

    def __len__(self) -> int:
        return int(self.weights.shape[0])


def seed_matrix(weights: sparse.csr_array) -> SeedMatrix:
    """Prepare seed weights, (n_seeds, n_elements), for `seed_courses` of many people."""
    weights = sparse.csr_array(weights)
    columns = np.unique(weights.indices)
    place = np.searchsorted(columns, weights.indices)
    return SeedMatrix(
        columns,
        sparse.csr_array(
            (weights.data.astype(np.float32), place, weights.indptr),
            shape=(weights.shape[0], columns.size),
        ),
    )


def seed_courses(run: Run, seeds: SeedMatrix) -> FloatArray:
    """Course of each seed in one run: the mean of its raw signals, brought to norm 1.

    The mean of signals, not of correlations: loud voxels weigh more, as they do in the mean
    series that FCNM takes.

    Returns
    -------
    float32 array of shape (n_seeds, n_frames)
        0 for a seed without any signal.
    """
    norm = run.norm[seeds.columns]
    loudness = norm / max(float(norm.max(initial=0)), 1e-30)
    scaled = seeds.weights.copy()
    scaled.data *= loudness[scaled.indices]
    part = np.ascontiguousarray(run.unit[:, seeds.columns].T, dtype=np.float32)
    courses = np.asarray(scaled @ part)
    size = np.linalg.norm(courses, axis=1, keepdims=True)
    return np.divide(courses, size, out=np.zeros_like(courses), where=size > 1e-6)


def seed_z(person: Person, weights: sparse.csr_array | SeedMatrix) -> FloatArray:
    """Fisher z of every combined seed with every element, all by one matrix product per run.

    Runs are joined as the mean of z weighted by frames, so that each stands for itself; joining
    their standardized frames end to end gives nearly the same.

    Parameters
    ----------
    person : Person
    weights : sparse array of shape (n_seeds, n_elements)
        Such as `Seeds.weights`; only their proportions within a seed count.

    Returns
    -------
    float32 array of shape (n_seeds, n_elements)
        NaN where the person has no signal; at most 8.3.

    Raises
    ------
    DatasetError
        If a seed has no signal in a run.

    Examples
    --------
    >>> person = Person("01", [unit_run(np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0], [1, 1, 0]]))])
    >>> seed_z(person, sparse.csr_array([[1, 1, 0]])).round(2)
    array([[ 0.88,  0.88, -1.15]], dtype=float32)
    """
    seeds = weights if isinstance(weights, SeedMatrix) else seed_matrix(weights)
    courses = [seed_courses(run, seeds) for run in person.runs]
    require_signal(person, courses)
    z = np.empty((len(seeds), person.runs[0].norm.size), dtype=np.float32)
    for part, values in z_blocks(person, courses):
        z[:, part] = values
    z[:, ~person.covered] = np.nan
    return z


def z_blocks(
    person: Person, courses: Sequence[FloatArray], width: int = 4096
) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the elements of a block and their z, so that what follows stays in the cache."""
    frames = sum(map(len, person.runs))
    n_elements = person.runs[0].norm.size
    for start in range(0, n_elements, width):
        part = slice(start, start + width)
        parts = []
        for run, course in zip(person.runs, courses):
            z = course @ run.unit[:, part].astype(np.float32, copy=False)
            np.clip(z, -LARGEST_R, LARGEST_R, out=z)
            np.arctanh(z, out=z)
            parts.append(z if len(person.runs) == 1 else z * np.float32(len(run) / frames))
        yield part, parts[0] if len(parts) == 1 else np.sum(parts, axis=0)


def require_signal(person: Person, courses: Sequence[FloatArray]) -> None:
    """Refuse a person in whom a seed has no signal.

    Raises
    ------
    DatasetError
    """
    silent = np.logical_or.reduce([(course == 0).all(axis=1) for course in courses])
    if silent.any():
        raise DatasetError(
            f"{person.name}: seeds",
            f"no signal in seed {np.flatnonzero(silent)[:5].tolist()} (counted from 0)",
            "at least one voxel or parcel with signal in every run",
            "leave this person out, or restrict the mask to what everyone has",
        )
