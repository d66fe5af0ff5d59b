"""Grey matter, white matter and CSF from one T1-weighted image."""

from __future__ import annotations

from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.atlases import Template
from petfmri.errors import InputError, SegmentationError
from petfmri.images.cropping import box_around, cropped
from petfmri.images.resampling import Grid, resample_frames
from petfmri.images.transforms import Affine, Transform
from petfmri.typing import BoolArray, FloatArray, IntArray

BINS = 512  # intensity classes; likelihoods are tables over them
PAIRS = ((0, 1), (1, 2), (0, 2))  # tissues that share voxels, in the order CSF, GM, WM
PRIOR_TRUST = 0.9  # the rest of the prior is uniform, so that anatomy can differ from a template
COUPLING = 2.0  # log odds of a tissue that fills all neighbours
ITERATIONS = 12
LIMITS = {"GM": (0.25, 0.75), "WM": (0.15, 0.60)}  # share of the brain volume
MIN_VOXELS = 1000
MIN_VARIANCE = 1e-4  # intensities run from 0 to 1
MIN_CONTRAST = 1.0  # distance of neighbouring tissues in standard deviations
MIN_TEXTURE = 0.3  # correlation of a voxel with its neighbours: noise has none


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
        If the brain is smaller than 1000 voxels or mostly noise, its tissues differ by less than
        one standard deviation, or their volumes are not those of a human brain.

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
    near = _Neighbours(inside, voxel_sizes(t1w.affine))
    _check_texture(data, near, t1w)
    model = _start(centers[bins], prior)
    shares = np.full((3, len(bins)), 1 / 3, dtype=np.float32)
    for step in range(ITERATIONS):
        halves = prior * np.exp(COUPLING * near.mean(shares)) if step > 2 else prior
        shares, model = _updated(model, halves, bins, centers)
    _check_contrast(model, t1w)
    _check_volumes(shares, t1w)
    csf, gm, wm = (_image(share, brain, t1w) for share in shares)
    return Tissues(gm=gm, wm=wm, csf=csf)


def carry_tissues(template: Template, xfm: Transform, mask: nib.Nifti1Image) -> Tissues:
    """Carry the template's tissues into a person's brain, as priors of `segment_tissues`.

    Parameters
    ----------
    template : Template
    xfm : Transform
        Maps points of the T1w to points of the template.
    mask : Nifti1Image
        Brain, on the grid of the T1w, which is filled.

    Returns
    -------
    Tissues
        0 outside `mask`; inside, the sum is below 1 where the template has no brain.
    """
    box = box_around(mask, 0)
    part = cropped(mask, box)
    inside = np.asarray(part.dataobj) > 0
    maps = [np.asarray(image.dataobj) for image in (template.gm, template.wm, template.csf)]
    near = resample_frames(
        maps, template.gm.affine, xfm, Grid.of(part), motion=[Affine()] * 3, order=1
    )
    images = []
    for values in near:
        full = np.zeros(mask.shape, dtype=np.float32)
        full[box] = values * inside
        images.append(nib.Nifti1Image(full, mask.affine))
    return Tissues(*images)


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


class _Model(NamedTuple):
    """Intensities of the three tissues, and how often each pair shares a voxel."""

    means: FloatArray
    variances: FloatArray
    mixing: FloatArray
    """Factor on the chance that two independent halves differ."""


def _start(values: FloatArray, prior: FloatArray) -> _Model:
    """Begin with the priors' tissues or, without any, with k-means."""
    mixing = np.ones(len(PAIRS), dtype=np.float32)
    if prior.shape[1] > 1:
        weights = prior**2
        means = (weights * values).sum(axis=1) / weights.sum(axis=1)
        if (np.diff(means) > 0).all():
            spread = (weights * (values - means[:, None]) ** 2).sum(axis=1) / weights.sum(axis=1)
            return _Model(means, spread, mixing)
    means = np.percentile(values, [5, 40, 85])
    counts, edges = np.histogram(values, BINS, (0, 1))
    centers = (edges[:-1] + edges[1:]) / 2
    for _ in range(50):
        nearest = np.abs(centers - means[:, None]).argmin(axis=0)
        mass = np.maximum(np.bincount(nearest, counts, 3), 1)
        means = np.bincount(nearest, counts * centers, 3) / mass
    spread = np.bincount(nearest, counts * (centers - means[nearest]) ** 2, 3) / mass
    return _Model(means, np.maximum(spread, MIN_VARIANCE), mixing)


def _updated(
    model: _Model, halves: FloatArray, bins: IntArray, centers: FloatArray
) -> tuple[FloatArray, _Model]:
    """Take one step of expectation and maximization: tissue shares, shape (3, n), and model."""
    pure, mixed, fraction = _likelihoods(centers, model)
    halves = np.broadcast_to(halves, (3, len(bins)))
    whole = halves**2
    blend = np.stack(
        [2 * model.mixing[p] * halves[a] * halves[b] for p, (a, b) in enumerate(PAIRS)]
    )
    expected = (blend / (whole.sum(axis=0) + blend.sum(axis=0))).sum(axis=1)
    for k in range(3):
        whole[k] *= pure[k][bins]
        blend[k] *= mixed[k][bins]
    total = whole.sum(axis=0) + blend.sum(axis=0)
    whole /= total
    blend /= total
    mixing = model.mixing * blend.sum(axis=1) / np.maximum(expected, 1e-6)
    means, variances = _moments(np.stack([np.bincount(bins, one, BINS) for one in whole]), centers)
    for p, (a, b) in enumerate(PAIRS):
        second = blend[p] * fraction[p][bins]
        whole[b] += second
        whole[a] += blend[p] - second
    return whole, _Model(means, variances, mixing.astype(np.float32))


def _likelihoods(centers: FloatArray, model: _Model) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Tabulate over intensity: pure and mixed likelihoods and the second tissue's share."""
    pure = np.stack([_normal(centers, m, v) for m, v in zip(model.means, model.variances)])
    share = (np.arange(32) + 0.5)[:, None] / 32
    mixed, fraction = np.empty((2, len(PAIRS), BINS))
    for p, (a, b) in enumerate(PAIRS):
        middle = (1 - share) * model.means[a] + share * model.means[b]
        spread = (1 - share) ** 2 * model.variances[a] + share**2 * model.variances[b]
        density = _normal(centers, middle, spread)
        mixed[p] = density.mean(axis=0)
        fraction[p] = (share * density).mean(axis=0) / mixed[p]
    return pure.astype(np.float32), mixed.astype(np.float32), fraction.astype(np.float32)


def _normal(x: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Return the normal density with a floor that keeps outliers comparable."""
    density = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return np.asarray(density + 1e-6)


def _moments(counts: FloatArray, centers: FloatArray) -> tuple[FloatArray, FloatArray]:
    mass = np.maximum(counts.sum(axis=1), 1e-6)
    means = (counts * centers).sum(axis=1) / mass
    variances = (counts * (centers - means[:, None]) ** 2).sum(axis=1) / mass
    return means, np.maximum(variances, MIN_VARIANCE)


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


def _check_texture(data: FloatArray, near: _Neighbours, t1w: nib.Nifti1Image) -> None:
    texture = float(np.corrcoef(data, near.mean(data[None])[0])[0, 1])
    if not texture >= MIN_TEXTURE:
        raise _failed(
            t1w,
            f"neighbouring voxels that correlate by {texture:.2f}",
            f"at least {MIN_TEXTURE:g}",
            "the image: it is mostly noise",
        )


def _check_contrast(model: _Model, t1w: nib.Nifti1Image) -> None:
    spread = np.sqrt((model.variances[1:] + model.variances[:-1]) / 2)
    contrast = np.diff(model.means) / spread
    if contrast.min() < MIN_CONTRAST:
        raise _failed(
            t1w,
            f"CSF, GM and WM {contrast[0]:.1f} and {contrast[1]:.1f} standard deviations apart",
            f"at least {MIN_CONTRAST:g}",
            "the image: is it T1-weighted?",
        )


def _check_volumes(shares: FloatArray, t1w: nib.Nifti1Image) -> None:
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
