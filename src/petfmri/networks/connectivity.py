"""Functional connectivity of parcel series."""

from __future__ import annotations

import numpy as np

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray


def usable_parcels(series: FloatArray) -> BoolArray:
    """Tell which parcels have a signal.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)

    Returns
    -------
    bool array of shape (n_parcels,)
        False for columns of NaN (parcel missing) and constant columns.

    Raises
    ------
    DatasetError
        If a column is finite only in part, or there are fewer than 3 frames.
    """
    series = np.asarray(series, dtype=float)
    if series.ndim != 2 or len(series) < 3:
        raise DatasetError(
            "parcel series", f"shape {series.shape}", "(n_frames, n_parcels), 3 frames", "check it"
        )
    finite = np.isfinite(series)
    in_part = finite.any(axis=0) & ~finite.all(axis=0)
    if in_part.any():
        raise DatasetError(
            "parcel series",
            f"columns {np.flatnonzero(in_part).tolist()} finite only in part",
            "columns all finite, or all NaN where the parcel is missing",
            "drop the damaged frames or parcels",
        )
    present = finite.all(axis=0)
    values = np.where(present, series, 0.0)
    varies = np.ptp(values, axis=0) > 1e-12 * np.abs(values).max(axis=0)
    return np.asarray(present & varies)


def standardized(series: FloatArray) -> FloatArray:
    """Bring each column to mean 0 and Euclidean norm 1, in two passes of float64.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Finite and varying in every column.

    Returns
    -------
    array of shape (n_frames, n_parcels)
    """
    centred = np.asarray(series, dtype=float)
    centred = centred - centred.mean(axis=0)
    centred -= centred.mean(axis=0)
    norm: FloatArray = np.linalg.norm(centred, axis=0)
    return centred / norm


def correlate(series: FloatArray) -> FloatArray:
    """Pearson correlation of every pair of parcels.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Runs pooled beforehand, each run standardized.

    Returns
    -------
    array of shape (n_parcels, n_parcels)
        Symmetric with 1 on the diagonal; rows and columns of missing parcels are NaN.

    Raises
    ------
    DatasetError
        As `usable_parcels`.

    Examples
    --------
    >>> series = np.array([[1.0, 2, np.nan], [2, 4, np.nan], [3, 3, np.nan]])
    >>> correlate(series).round(3)
    array([[1. , 0.5, nan],
           [0.5, 1. , nan],
           [nan, nan, nan]])
    """
    usable = usable_parcels(series)
    unit = standardized(np.asarray(series, dtype=float)[:, usable])
    r = np.clip(unit.T @ unit, -1, 1)
    r = (r + r.T) / 2
    np.fill_diagonal(r, 1.0)
    connectivity = np.full((usable.size, usable.size), np.nan)
    connectivity[np.ix_(usable, usable)] = r
    return connectivity


def fisher_z(connectivity: FloatArray) -> FloatArray:
    """Fisher's z = arctanh r, with 0 on the diagonal: self-connections count nowhere.

    Parameters
    ----------
    connectivity : array of shape (n_parcels, n_parcels)
        Correlations; NaN for missing parcels, whose diagonal stays NaN.

    Raises
    ------
    DatasetError
        If two different parcels correlate at ±1: they are one signal twice.
    """
    r = np.asarray(connectivity, dtype=float).copy()
    missing = np.isnan(np.diag(r))
    np.fill_diagonal(r, np.where(missing, np.nan, 0.0))
    if np.any(np.abs(r) > 1 - 1e-12):
        first, second = np.argwhere(np.abs(r) > 1 - 1e-12)[0]
        raise DatasetError(
            "parcel series",
            f"parcels {first} and {second} identical up to scale",
            "a signal of its own for each parcel",
            "look for repeated columns in the series or labels in the atlas",
        )
    z: FloatArray = np.arctanh(r)
    return z
