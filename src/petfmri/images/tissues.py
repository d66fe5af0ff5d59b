"""Grey matter, white matter and CSF from one T1-weighted image."""

from __future__ import annotations

from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.errors import InputError, SegmentationError
from petfmri.images.resampling import Grid
from petfmri.typing import BoolArray, FloatArray, IntArray

BINS = 512  # intensity classes; likelihoods are tables over them
PAIRS = ((0, 1), (1, 2), (0, 2))  # tissues that share voxels, in the order CSF, GM, WM
PRIOR_TRUST = 0.9  # the rest of the prior is uniform, so that anatomy can differ from a template
COUPLING = 1.5  # log odds of a tissue that fills all neighbours
ITERATIONS = 12
LIMITS = {"GM": (0.25, 0.75), "WM": (0.15, 0.60)}  # share of the brain volume
MIN_VOXELS = 1000
MIN_CONTRAST = 1.0  # distance of neighbouring tissues in standard deviations


class Tissues(NamedTuple):
    """How much of each voxel is grey matter, white matter and CSF: 0..1, sum 1 in the brain."""

    gm: nib.Nifti1Image
    wm: nib.Nifti1Image
    csf: nib.Nifti1Image


def segment_tissues(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, priors: Tissues | None = None
) -> Tissues:
    """Segment a brain by a mixture model with partial volume and neighbourhood.

    Every voxel is thought of as two halves, each of one tissue: three pure classes and three
    mixed ones, whose intensity lies anywhere between the two tissues. What a half is depends on
    the tissues of the neighbouring voxels and, if given, on a prior in that place.

    Parameters
    ----------
    t1w : Nifti1Image, 3-D
        Free of bias field (see `petfmri.images.bias.correct_bias`); CSF darkest, WM brightest.
    mask : Nifti1Image
        Brain, on the grid of `t1w`.
    priors : Tissues, optional
        Expected tissues, on the grid of `t1w`, such as a template's carried there.

    Returns
    -------
    Tissues
        Expected share of each voxel, float32, 0 outside `mask`.

    Raises
    ------
    InputError
        If the grids differ.
    SegmentationError
        If the brain is smaller than 1000 voxels, its tissues differ by less than one standard
        deviation or their volumes are not those of a human brain.

    References
    ----------
    Zhang Y, Brady M, Smith S. Segmentation of brain MR images through a hidden Markov random
    field model and the expectation-maximization algorithm. IEEE Trans Med Imaging 2001;20:45-57.
    Ashburner J, Friston KJ. Unified segmentation. NeuroImage 2005;26:839-851.
    """
    brain = _brain(t1w, mask)
    box = ndimage.find_objects(brain.astype(np.uint8))[0]
    inside = brain[box]
    data = np.asarray(t1w.dataobj, dtype=np.float32)[box][inside]
    bins, centers = _binned(data, t1w)
    prior = _prior(priors, t1w, brain)
    means, variances = _start(centers[bins], prior)
    near = _Neighbours(inside, voxel_sizes(t1w.affine))
    shares = np.full((3, len(bins)), 1 / 3, dtype=np.float32)
    for step in range(ITERATIONS):
        halves = prior * np.exp(COUPLING * near.mean(shares)) if step > 2 else prior
        shares, weights = _expectation(halves, bins, centers, means, variances)
        means, variances = _maximization(weights, centers)
    _check(shares, means, variances, t1w)
    csf, gm, wm = (_image(share, brain, t1w) for share in shares)
    return Tissues(gm=gm, wm=wm, csf=csf)


def _brain(t1w: nib.Nifti1Image, mask: nib.Nifti1Image) -> BoolArray:
    if Grid.of(mask) != Grid.of(t1w):
        raise InputError(
            "brain mask of the T1w",
            f"shape {mask.shape}",
            f"the grid of the image, shape {t1w.shape}",
            "resample the mask onto the image",
        )
    brain = np.asarray(mask.dataobj) > 0
    if brain.sum() < MIN_VOXELS:
        raise _failed(
            t1w, f"a brain of {brain.sum()} voxels", f"at least {MIN_VOXELS}", "the brain mask"
        )
    return brain


def _binned(data: FloatArray, t1w: nib.Nifti1Image) -> tuple[IntArray, FloatArray]:
    """Sort intensities into bins between their extremes; return bins and bin centres."""
    low, high = np.percentile(data, [0.1, 99.9])
    if not np.isfinite([low, high]).all() or high <= low:
        raise _failed(
            t1w, f"intensities from {low:g} to {high:g}", "a T1w contrast", "the bias correction"
        )
    bins = np.clip((data - low) * (BINS / (high - low)), 0, BINS - 1).astype(np.int16)
    return bins, (np.arange(BINS) + 0.5) / BINS


def _prior(priors: Tissues | None, t1w: nib.Nifti1Image, brain: BoolArray) -> FloatArray:
    """Return the prior of each tissue in each brain voxel, shape (3, n) or (3, 1)."""
    if priors is None:
        return np.full((3, 1), 1 / 3, dtype=np.float32)
    if any(Grid.of(image) != Grid.of(t1w) for image in priors):
        raise InputError(
            "tissue priors", "another grid", "the grid of the T1w", "carry them onto the T1w"
        )
    images = (priors.csf, priors.gm, priors.wm)
    values = np.stack([np.asarray(image.dataobj, dtype=np.float32)[brain] for image in images])
    total = np.maximum(values.sum(axis=0), 1e-6)
    uniform = np.float32((1 - PRIOR_TRUST) / 3)
    return np.asarray(PRIOR_TRUST * values / np.maximum(total, 1) + uniform, dtype=np.float32)


def _start(values: FloatArray, prior: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Find first means and variances: from the priors or, without, by k-means."""
    if prior.shape[1] > 1:
        weights = prior**2
        means = (weights * values).sum(axis=1) / weights.sum(axis=1)
        if (np.diff(means) > 0).all():
            spread = (weights * (values - means[:, None]) ** 2).sum(axis=1) / weights.sum(axis=1)
            return means, spread
    means = np.percentile(values, [5, 40, 85])
    counts, edges = np.histogram(values, BINS, (0, 1))
    centers = (edges[:-1] + edges[1:]) / 2
    for _ in range(50):
        nearest = np.abs(centers - means[:, None]).argmin(axis=0)
        mass = np.bincount(nearest, counts, 3)
        means = np.bincount(nearest, counts * centers, 3) / np.maximum(mass, 1)
    away = np.bincount(nearest, counts * (centers - means[nearest]) ** 2, 3) / np.maximum(mass, 1)
    return means, np.maximum(away, 1e-4)


def _expectation(
    halves: FloatArray,
    bins: IntArray,
    centers: FloatArray,
    means: FloatArray,
    variances: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return tissue shares, shape (3, n), and the intensity counts of the pure classes."""
    pure, mixed, fraction = _likelihoods(centers, means, variances)
    halves = np.broadcast_to(halves, (3, len(bins)))
    weights = np.stack([halves[k] ** 2 * pure[k][bins] for k in range(3)])
    blends = np.stack(
        [2 * halves[a] * halves[b] * mixed[p][bins] for p, (a, b) in enumerate(PAIRS)]
    )
    total = weights.sum(axis=0) + blends.sum(axis=0)
    weights /= total
    blends /= total
    counts: FloatArray = np.stack([np.bincount(bins, weight, BINS) for weight in weights]).astype(
        float
    )
    shares = weights
    for p, (a, b) in enumerate(PAIRS):
        second = blends[p] * fraction[p][bins]
        shares[b] += second
        shares[a] += blends[p] - second
    return shares, counts


def _likelihoods(
    centers: FloatArray, means: FloatArray, variances: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Tabulate over intensity: pure and mixed likelihoods and the second tissue's share."""
    pure = np.stack([_normal(centers, m, v) for m, v in zip(means, variances)])
    share = (np.arange(32) + 0.5)[:, None] / 32
    mixed, fraction = np.empty((2, len(PAIRS), BINS))
    for p, (a, b) in enumerate(PAIRS):
        middle = (1 - share) * means[a] + share * means[b]
        spread = (1 - share) ** 2 * variances[a] + share**2 * variances[b]
        density = _normal(centers, middle, spread)
        mixed[p] = density.mean(axis=0)
        fraction[p] = (share * density).mean(axis=0) / mixed[p]
    return pure.astype(np.float32), mixed.astype(np.float32), fraction.astype(np.float32)


def _normal(x: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the normal density with a floor that keeps outliers comparable."""
    density = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return np.asarray(density + 1e-6)


def _maximization(counts: FloatArray, centers: FloatArray) -> tuple[FloatArray, FloatArray]:
    mass = np.maximum(counts.sum(axis=1), 1e-6)
    means = (counts * centers).sum(axis=1) / mass
    variances = (counts * (centers - means[:, None]) ** 2).sum(axis=1) / mass
    return means, np.maximum(variances, 1e-4)


class _Neighbours:
    """Mean over the six neighbours inside a mask, nearer ones counting more."""

    def __init__(self, inside: BoolArray, spacing_mm: FloatArray) -> None:
        self.inside = inside
        self.weights = (spacing_mm.min() / np.asarray(spacing_mm)).astype(np.float32)
        self.count = np.maximum(self._sum(inside.astype(np.float32)), 1e-6)

    def mean(self, shares: FloatArray) -> FloatArray:
        volume = np.zeros(self.inside.shape, dtype=np.float32)
        means = np.empty_like(shares)
        for share, mean in zip(shares, means):
            volume[self.inside] = share
            mean[:] = self._sum(volume) / self.count
        return means

    def _sum(self, volume: FloatArray) -> FloatArray:
        total = np.zeros_like(volume)
        for axis, weight in enumerate(self.weights):
            total += ndimage.correlate1d(volume, [weight, 0, weight], axis, mode="constant")
        return np.asarray(total[self.inside])


def _check(
    shares: FloatArray, means: FloatArray, variances: FloatArray, t1w: nib.Nifti1Image
) -> None:
    contrast = np.diff(means) / np.sqrt((variances[1:] + variances[:-1]) / 2)
    if contrast.min() < MIN_CONTRAST:
        raise _failed(
            t1w,
            f"CSF, GM and WM {contrast[0]:.1f} and {contrast[1]:.1f} standard deviations apart",
            f"at least {MIN_CONTRAST:g}",
            "the image: is it T1-weighted?",
        )
    for name, share in zip(("GM", "WM"), shares[1:]):
        low, high = LIMITS[name]
        volume = float(share.mean())
        if not low <= volume <= high:
            raise _failed(
                t1w,
                f"{name} in {100 * volume:.0f} % of the brain",
                f"{100 * low:.0f} to {100 * high:.0f} %",
                "the brain mask and the bias correction",
            )


def _image(share: FloatArray, brain: BoolArray, t1w: nib.Nifti1Image) -> nib.Nifti1Image:
    volume = np.zeros(brain.shape, dtype=np.float32)
    volume[brain] = share
    return nib.Nifti1Image(volume, t1w.affine)


def _failed(t1w: nib.Nifti1Image, found: str, expected: str, where: str) -> SegmentationError:
    return SegmentationError(
        f"tissues of {t1w.get_filename() or 'the T1w'}", found, expected, f"look at {where}"
    )
