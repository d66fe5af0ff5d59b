"""A look ahead without normative people: mean connectivity of parcels, and no inference."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray

STATEMENT = (
    "Preview: threshold on the mean r of a group-mean parcel connectome, no inference. The masks "
    "hold no p value, the seed is a mean of parcels' r and not the r of a mean series, and a "
    "parcel is coarser than the spheres. Use it to check coordinates, not as a result."
)


@dataclass(frozen=True)
class Preview:
    """Mean connectivity of each contrast, cut at a threshold.

    Attributes
    ----------
    r : array of shape (n_contrasts, n_parcels)
        Mean over the seed's parcels, weighted by covered voxels, of the group-mean r.
    inside : bool array of shape (n_contrasts, n_parcels)
        r at or above the threshold; for `network_map`.
    threshold : float
    statement : str
        What this is and is not; belongs beside every figure of it.
    """

    r: FloatArray
    inside: BoolArray
    threshold: float
    statement: str = STATEMENT


def preview(weights: sparse.csr_array, mean_r: FloatArray, threshold: float = 0.2) -> Preview:
    """Map contrasts with a group-mean connectome, where there are no normative people.

    Parameters
    ----------
    weights : sparse array of shape (n_contrasts, n_parcels)
        `Seeds.weights` in a space of parcels.
    mean_r : array of shape (n_parcels, n_parcels)
        Mean correlation over people. The diagonal counts as 1.
    threshold : float
        On mean r.

    Returns
    -------
    Preview

    Raises
    ------
    DatasetError
        If the matrix is not square and symmetric, of other parcels, or not of correlations, or a contrast has
        no voxel.

    Examples
    --------
    >>> found = preview(sparse.csr_array([[3.0, 1.0]]), np.array([[1.0, 0.2], [0.2, 1.0]]), 0.5)
    >>> found.r, found.inside
    (array([[0.8, 0.4]]), array([[ True, False]]))
    """
    mean_r = np.array(mean_r, dtype=float)
    n = weights.shape[1]
    _require_r(mean_r, n, "group-mean connectome")
    np.fill_diagonal(mean_r, 1.0)
    total = np.asarray(weights.sum(axis=1))
    if not (total > 0).all():
        raise DatasetError(
            "contrasts",
            f"no voxel in contrast {np.flatnonzero(total <= 0).tolist()} (counted from 0)",
            "at least one peak in the atlas",
            "leave these contrasts out",
        )
    r = np.asarray(weights @ mean_r) / total[:, None]
    return Preview(r, r >= threshold, threshold)


def _require_r(values: FloatArray, n: int, where: str) -> None:
    """Refuse what is no matrix of correlations, naming what it is instead."""
    if values.shape != (n, n):
        found = f"a table of {' × '.join(map(str, values.shape))}"
    elif not np.isfinite(values).all():
        kind = "NaN" if np.isnan(values).any() else "infinite values"
        row, column = np.argwhere(~np.isfinite(values))[0] + 1
        found = f"{kind} in {(~np.isfinite(values)).sum()} cells (first: {row}, {column})"
    elif np.abs(values).max() > 1 + 1e-6:
        found = f"values that are not r (up to {np.abs(values).max():.3g})"
    elif not np.allclose(values, values.T, atol=1e-3):
        found = f"cells that differ from their mirror by {np.abs(values - values.T).max():.3g}"
    else:
        return
    raise DatasetError(
        where,
        found,
        f"a symmetric matrix of mean r of the {n} parcels of atlas:, with or without names",
        "give mean r, not z, in the atlas's order or with its names",
    )


def read_connectome(path: Path, names: Sequence[str]) -> FloatArray:
    """Read a matrix of mean r over the parcels of an atlas.

    A header, and a first column, of names put it into the atlas's order.

    Raises
    ------
    DatasetError
        If it is no such matrix.
    """
    remedy = "one row and column per parcel, separated by tabs, commas or spaces"
    try:
        first = path.read_text(encoding="utf-8-sig").strip("\r\n").split("\n")[0]
        mark = max("\t,;", key=first.count)
        mark = mark if mark in first else r"\s+"
        table = pd.read_csv(path, sep=mark, engine="python", header=None, dtype=str)
    except (OSError, ValueError, csv.Error) as error:
        empty = path.is_file() and not path.read_bytes().strip()
        found = "an empty file" if empty else f"an unreadable table ({error})"
        raise DatasetError(str(path), found, "a matrix of r", remedy) from None
    cells = table.to_numpy(str)
    own = list(names)
    if set(cells[0][-len(own) :]) == set(own) and len(cells) == len(own) + 1:
        header = list(cells[0][-len(own) :])
        order = [header.index(name) for name in own]
        cells = cells[1:, -len(own) :][np.ix_(order, order)]
    try:
        values = cells.astype(float)
    except ValueError:
        size = " × ".join(map(str, cells.shape))
        raise DatasetError(
            str(path), f"a table of {size} with text", "numbers, or names of atlas:", remedy
        ) from None
    _require_r(values, len(own), str(path))
    return values
