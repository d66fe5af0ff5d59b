"""Connectivity of one course with many others: seed maps, and maps weighted by SV2A."""

from __future__ import annotations

import numpy as np

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray

BLOCK = 4096
LARGEST_R = 1 - 1e-7


def seed_map(seed: FloatArray, voxels: FloatArray) -> FloatArray:
    """Fisher z of the correlation of one course with every voxel or parcel.

    Parameters
    ----------
    seed : array of shape (n_frames,)
        Mean course of the seed region, such as the PCC, cleaned as the voxels were.
    voxels : array of shape (n_frames, n_voxels)
        Also float32: means are taken out first, in float64.

    Returns
    -------
    array of shape (n_voxels,)
        NaN where the signal is missing or constant; at most 8.4, where a voxel is the seed.

    Raises
    ------
    DatasetError
        If the seed does not vary, or has another number of frames.

    Examples
    --------
    >>> seed_map(np.array([1.0, 2, 3]), np.array([[1, 1, 5.0], [2, 0, 5], [3, 2, 5]])).round(2)
    array([8.41, 0.55,  nan])
    """
    seed, voxels = np.asarray(seed, dtype=float), np.asarray(voxels)
    _check(seed, voxels)
    seed = seed - seed.mean()
    z = np.full(voxels.shape[1], np.nan)
    for start in range(0, voxels.shape[1], BLOCK):
        block, varies = _unit(voxels[:, start : start + BLOCK])
        r = (seed / np.linalg.norm(seed)) @ block
        part = z[start : start + BLOCK]
        part[varies] = np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))[varies]
    return z


def sv2a_connectivity(voxels: FloatArray, sv2a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Connectivity with the course of the tissue that holds most SV2A, by dual regression.

    As in REACT [1]_: first every frame is regressed, over voxels, on the map of SV2A (mean taken
    out), which gives one course; then every voxel's course is correlated with it. Voxels enter
    with variance 1, so that the loudest do not decide the course. Where SV2A explains nothing of the
    frames the second map is noise: both sessions of a person must be given the same map, or a
    change of SV2A passes for one of connectivity.

    Parameters
    ----------
    voxels : array of shape (n_frames, n_voxels)
        Clean voxels or parcels of the grey matter; missing ones are NaN.
    sv2a : array of shape (n_voxels,)
        SUVR, BP_ND or V_T at the same places, unitless or mL/cm³; NaN where it is not known.

    Returns
    -------
    course : array of shape (n_frames,)
        Slope of each frame on the map, in SD of the signal per SD of the map.
    z : array of shape (n_voxels,)
        Fisher z with the course; also where SV2A is not known.

    Raises
    ------
    DatasetError
        If fewer than 3 places have both, or the map does not vary over them.

    References
    ----------
    .. [1] Dipasquale O et al (2019). NeuroImage 195:252. doi:10.1016/j.neuroimage.2019.04.007

    Examples
    --------
    >>> course, z = sv2a_connectivity(
    ...     np.array([[1.0, 0, -1], [0, 1, -1], [-1, -1, 2]]), np.array([1.0, 2, 3])
    ... )
    >>> course.round(2)
    array([-0.79, -0.29,  1.08])
    """
    voxels, sv2a = np.asarray(voxels), np.asarray(sv2a, dtype=float)
    if sv2a.shape != voxels.shape[1:]:
        raise DatasetError(
            "SV2A map",
            f"shape {sv2a.shape}",
            f"{voxels.shape[1:]}, a value for each voxel or parcel of the series",
            "bring both onto one grid",
        )
    unit, varies = _unit(voxels)
    both = varies & np.isfinite(sv2a)
    spread = float(sv2a[both].std()) if both.sum() >= 3 else 0.0
    if spread <= 1e-12 * np.abs(sv2a[both]).max(initial=0.0):
        raise DatasetError(
            "SV2A map",
            f"{both.sum()} places with signal and SV2A, with a spread of {spread:g}",
            "at least 3 that differ",
            "check that the map and the BOLD image cover the same tissue",
        )
    weight = (sv2a[both] - sv2a[both].mean()) / spread / both.sum()
    course = unit[:, both] @ weight * np.sqrt(len(voxels))
    return course, seed_map(course, voxels)


def _unit(voxels: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the columns with mean 0 and norm 1, and which of them vary."""
    centred = np.asarray(voxels, dtype=float)
    largest = np.abs(centred).max(axis=0)
    centred = centred - centred.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    varies = np.isfinite(norm) & (norm > 1e-10 * largest)
    return np.divide(centred, norm, out=np.zeros_like(centred), where=varies), varies


def _check(seed: FloatArray, voxels: FloatArray) -> None:
    if voxels.ndim != 2 or seed.shape != voxels.shape[:1]:
        raise DatasetError(
            "seed map",
            f"a seed of shape {seed.shape} and voxels of shape {voxels.shape}",
            "(n_frames,) and (n_frames, n_voxels)",
            "clean both in the same way",
        )
    if not np.isfinite(seed).all() or np.ptp(seed) <= 1e-10 * np.abs(seed).max(initial=0.0):
        raise DatasetError(
            "seed map",
            "a seed without a signal that varies",
            "the mean course of a region in the field of view",
            "choose another seed, or see the table of coverage",
        )
