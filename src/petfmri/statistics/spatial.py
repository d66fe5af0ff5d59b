"""Whether two maps over regions resemble one another more than smooth maps do by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.permutation import share_reaching
from petfmri.typing import FloatArray

MIN_REGIONS = 30
"""A variogram of fewer regions says too little."""

FRACTIONS = np.arange(0.1, 1.0, 0.1)
"""Shares of the regions that a permuted map is smoothed over, of which the best is taken."""

_BINS, _REACH = 25, 0.25
_TILE = 100


@dataclass(frozen=True)
class SpatialCoupling:
    """Result of `spatial_coupling`.

    Attributes
    ----------
    r : float
        Pearson correlation over regions.
    p : float
        Two-sided: the larger of those with surrogates of one map and of the other.
    p_smallest : float
    n : int
        Regions.
    surrogates : int
        Of each map, the observed one included.
    """

    r: float
    p: float
    p_smallest: float
    n: int
    surrogates: int


def spatial_coupling(
    x: FloatArray, y: FloatArray, distance: FloatArray, *, surrogates: int = 1000, seed: int = 1
) -> SpatialCoupling:
    """Correlate two maps over regions, against surrogate maps that are as smooth [1]_ [2]_.

    Neighbouring regions resemble one another, so regions are far fewer than their number. The
    null keeps the variogram of a map and destroys where its values lie. Which of the two maps is
    replaced matters when their smoothness differs: both are, and the larger p counts.

    Parameters
    ----------
    x, y : array of shape (n_regions,)
    distance : array of shape (n_regions, n_regions), mm
    surrogates, seed : int

    Returns
    -------
    SpatialCoupling

    Raises
    ------
    StatisticsError
        With fewer than 30 regions, missing values, or a map without spread.

    References
    ----------
    .. [1] Burt JB et al. (2020). NeuroImage 220:117038. doi:10.1016/j.neuroimage.2020.117038
    .. [2] Markello RD, Misic B (2021). NeuroImage 236:118052. doi:10.1016/j.neuroimage.2021.118052
    """
    _check(x, y, distance)
    zx, zy = _standardized(x), _standardized(y)
    r, shares = float(zx @ zy), []
    for index, (fixed, moved) in enumerate(((zx, zy), (zy, zx))):
        null = variogram_surrogates(moved, distance, number=surrogates - 1, seed=seed + index)
        centred = null - null.mean(axis=0)
        values = np.abs(fixed @ centred / np.sqrt((centred**2).sum(axis=0)))
        every = np.append(values, abs(r))
        shares.append(float(share_reaching(every, np.array([abs(r) - 1e-12]))[0]))
    return SpatialCoupling(r, max(shares), 1 / surrogates, len(zx), surrogates)


def variogram_surrogates(
    values: FloatArray, distance: FloatArray, *, number: int, seed: int = 1
) -> FloatArray:
    """Draw maps with the variogram of a given one.

    Each is a permutation of the map, smoothed over a share of the regions, scaled and roughened by
    white noise so that its variogram fits that of the map by least squares; of several shares the
    best-fitting is kept. Values are then those of the map in the order of the surrogate's.

    Parameters
    ----------
    values : array of shape (n_regions,)
    distance : array of shape (n_regions, n_regions), mm
    number, seed : int

    Returns
    -------
    array of shape (n_regions, number)
    """
    rng = np.random.default_rng(seed)
    n = len(values)
    laplacians, weights = _variogram_forms(distance)
    target = _variogram(values[:, None], laplacians, weights)[:, 0]
    kernels = [_kernel(distance, max(2, round(share * n))) for share in FRACTIONS]
    drawn = np.empty((n, number))
    for start in range(0, number, _TILE):
        width = min(_TILE, number - start)
        permuted = rng.permuted(np.tile(values[:, None], width), axis=0)
        white = rng.normal(size=(n, width))
        best, least = np.empty((n, width)), np.full(width, np.inf)
        for kernel in kernels:
            smooth = kernel @ permuted
            found = _variogram(smooth, laplacians, weights)
            slope, offset, misfit = _fitted(found, target)
            candidate = np.sqrt(np.abs(slope)) * smooth + np.sqrt(np.abs(offset)) * white
            better = misfit < least
            best[:, better], least[better] = candidate[:, better], misfit[better]
        drawn[:, start : start + width] = np.sort(values)[
            np.argsort(np.argsort(best, axis=0), axis=0)
        ]
    return drawn


def distances(centres_mm: FloatArray) -> FloatArray:
    """Distances between region centres, mm.

    Parameters
    ----------
    centres_mm : array of shape (n_regions, 3)

    Examples
    --------
    >>> distances(np.array([[0.0, 0, 0], [3, 4, 0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    return np.asarray(np.linalg.norm(centres_mm[:, None] - centres_mm[None], axis=2))


def _variogram_forms(distance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Quadratic forms whose values are the variogram at 25 distances up to the nearest quarter."""
    n = len(distance)
    upper = distance[np.triu_indices(n, 1)]
    reach = np.quantile(upper, _REACH)
    bins = np.linspace(upper.min(), reach, _BINS)
    width = 3 * (bins[1] - bins[0])
    near = (distance <= reach + width) & ~np.eye(n, dtype=bool)
    forms, weights = [], []
    for centre in bins:
        weight = np.exp(-0.5 * (2.68 * (distance - centre) / width) ** 2) * near
        forms.append(np.diag(weight.sum(axis=1)) - weight)
        weights.append(weight.sum())
    return np.array(forms), np.array(weights)


def _variogram(maps: FloatArray, forms: FloatArray, weights: FloatArray) -> FloatArray:
    """Half the weighted mean of squared differences, of shape (n_bins, n_maps).

    The sum over ordered pairs of ``w (x_i - x_j)² / 2`` is ``x' L x``.
    """
    return np.array([(maps * (form @ maps)).sum(axis=0) for form in forms]) / weights[:, None]


def _fitted(found: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope and offset of the least-squares line from each variogram to the target, and misfit."""
    mean, goal = found.mean(axis=0), target.mean()
    centred = found - mean
    slope = (centred * (target - goal)[:, None]).sum(axis=0) / np.maximum(
        (centred**2).sum(axis=0), 1e-300
    )
    offset = goal - slope * mean
    misfit = ((slope * found + offset - target[:, None]) ** 2).sum(axis=0)
    return slope, offset, misfit


def _kernel(distance: FloatArray, k: int) -> FloatArray:
    """Average each region with its nearest, weights falling exponentially to the farthest of them."""
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(distance, order, axis=1)
    weight = np.exp(-nearest / nearest[:, -1:])
    kernel = np.zeros_like(distance)
    np.put_along_axis(kernel, order, weight / weight.sum(axis=1, keepdims=True), axis=1)
    return kernel


def _standardized(values: FloatArray) -> FloatArray:
    centred = np.asarray(values, float) - np.mean(values)
    return np.asarray(centred / np.sqrt(centred @ centred))


def _check(x: FloatArray, y: FloatArray, distance: FloatArray) -> None:
    n = len(x)
    flat = any(np.ptp(values) <= 1e-12 * np.abs(values).max() for values in (x, y))
    problem = (
        f"{n} regions"
        if n < MIN_REGIONS
        else "missing values"
        if not (np.isfinite(x).all() and np.isfinite(y).all())
        else "a map with one value everywhere"
        if flat
        else ""
    )
    if problem or distance.shape != (n, n) or len(y) != n:
        raise StatisticsError(
            "coupling over regions",
            problem or f"{len(x)} and {len(y)} values and distances of shape {distance.shape}",
            f"complete maps of the same regions, at least {MIN_REGIONS}",
            "leave out regions that miss a value, in both maps and the distances",
        )
