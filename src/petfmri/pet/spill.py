"""How much of each region's activity a scanner sees in each voxel.

Blurring is linear, so the blurred image of any regional activity is a weighted sum of the regions'
blurred masks. These are made once, each in a box around its region, and kept only where several
regions meet; no PET image is ever blurred.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.sparse import csc_array, csr_array

from petfmri.errors import DatasetError
from petfmri.pet.psf import TRUNCATE, psf_sigma
from petfmri.typing import BoolArray, FloatArray, IntArray

NEGLIGIBLE = 1e-6  # share of a voxel below which a region is taken to be absent
MAX_EXCESS = 0.05

Box = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Spill:
    """Regions that fill the image, and what the point-spread function makes of their masks.

    Attributes
    ----------
    index : array of shape (n_regions,)
        Label of each region; 0 is the background.
    labels : int array of shape (x, y, z)
        Label of each voxel, of its largest share where masks are probabilities.
    mixed : bool array of shape (n_voxels,)
        Voxels in which activity of more than one region is seen. All others need no correction.
    masks : sparse array of shape (n_mixed, n_regions)
        Share of each region in each mixed voxel. Rows sum to 1.
    blurred : sparse array of shape (n_mixed, n_regions)
        The same at the resolution of the scanner. Rows sum to 1 within 1e-5.
    voxel_volume_mm3, resel_mm3 : float, mm³
        Of a voxel, and of a resolution element, the product of the three FWHM.
    """

    index: IntArray
    labels: IntArray
    mixed: BoolArray
    masks: csr_array
    blurred: csr_array
    voxel_volume_mm3: float
    resel_mm3: float

    @cached_property
    def pure(self) -> IntArray:
        """Position in `index` of the region of every voxel that is not mixed."""
        return np.searchsorted(self.index, self.labels.ravel()[~self.mixed])

    @cached_property
    def own(self) -> IntArray:
        """Position in `index` of the region with the largest share of every mixed voxel."""
        return np.searchsorted(self.index, self.labels.ravel()[self.mixed])

    @property
    def exclusive(self) -> bool:
        """Whether every voxel belongs to one region."""
        return bool(self.masks.nnz == self.masks.shape[0])

    @cached_property
    def n_voxels(self) -> FloatArray:
        """Voxels of each region, shares added up, shape (n_regions,)."""
        pure = np.bincount(self.pure, minlength=self.index.size).astype(float)
        return self.collect(np.ones(self.own.size)) + pure

    @property
    def volume_mm3(self) -> FloatArray:
        """Volume of each region, shape (n_regions,), mm³."""
        return self.n_voxels * self.voxel_volume_mm3

    def paint(self, activity: FloatArray) -> FloatArray:
        """Regional activity, shape (n_regions,), as a perfect scanner sees it in mixed voxels."""
        if self.exclusive:
            return activity.take(self.own)
        return np.asarray(self.masks @ activity)

    def collect(self, values: FloatArray) -> FloatArray:
        """Sum over each region of values in mixed voxels, shape (n_mixed,), by their shares."""
        if self.exclusive:
            total = np.bincount(self.own, weights=values, minlength=self.index.size)
            return total.astype(float, copy=False)
        return np.asarray(self.masks.T @ values)


def label_spill(labels: IntArray, affine: FloatArray, fwhm_mm: ArrayLike) -> Spill:
    """Spill between the regions of a label image.

    Each label is a region of uniform activity, and so is everything labelled 0. Tissue without a
    label of its own thus becomes one with the air: white matter, CSF and scalp need labels even
    where only grey matter is of interest.

    Parameters
    ----------
    labels : int array of shape (x, y, z)
        On the grid of the PET image.
    affine : array of shape (4, 4)
        Voxels to mm; may be anisotropic and oblique, not sheared.
    fwhm_mm : float or (float, float, float), mm
        Along the voxel axes (see `petfmri.pet.psf.psf_fwhm_mm`).

    Raises
    ------
    DatasetError
        If labels are not integers in three dimensions, or axes are not at right angles.

    Examples
    --------
    >>> row = np.array([1, 1, 1, 2, 2, 2]).reshape(6, 1, 1)
    >>> spill = label_spill(row, np.eye(4), 0.8)
    >>> spill.mixed, spill.blurred.toarray().round(2)
    (array([False, False,  True,  True, False, False]), array([[0.99, 0.01], [0.01, 0.99]]...))
    """
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 3:
        found = f"{labels.dtype} labels in {labels.ndim} dimensions"
        raise DatasetError("label image", found, "integers in three dimensions", "fix it")
    index, position, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    position = position.reshape(labels.shape).astype(np.int32)
    boxes = [box for box in ndimage.find_objects(position + 1) if box is not None]

    def crop(region: int, box: Box) -> FloatArray:
        return (position[box] == region).astype(np.float32)

    sigma = psf_sigma(fwhm_mm, affine)
    columns = _blurred_columns(crop, boxes, int(np.argmax(sizes)), labels.shape, sigma)
    mixed = np.diff(columns.indptr) > 1
    own = position.ravel()[mixed]
    shape = (own.size, index.size)
    masks = csr_array((np.ones(own.size), own, np.arange(own.size + 1)), shape=shape)
    return Spill(index, labels, mixed, masks, columns[mixed], *_volumes(affine, fwhm_mm))


def mask_spill(
    masks: FloatArray,
    affine: FloatArray,
    fwhm_mm: ArrayLike,
    index: Sequence[int] | None = None,
) -> Spill:
    """Spill between regions given as probabilities, after `complete_masks`.

    Parameters
    ----------
    masks : array of shape (n_masks, x, y, z)
    affine : array of shape (4, 4)
    fwhm_mm : float or (float, float, float), mm
    index : sequence of n_masks int, optional
        Labels of the masks, rising and above 0; by default 1, 2, ...

    Raises
    ------
    DatasetError
        As `complete_masks` and `label_spill`.
    """
    complete = complete_masks(masks)
    numbers = np.array([0, *(range(1, len(complete)) if index is None else index)])
    if numbers.size != len(complete) or (np.diff(numbers) <= 0).any():
        raise DatasetError("masks", f"labels {index}", "one per mask, rising, above 0", "fix them")
    nowhere = (slice(0, 1),) * 3
    boxes = [
        (ndimage.find_objects((mask > 0).astype(np.int8)) or [nowhere])[0] for mask in complete
    ]
    sigma = psf_sigma(fwhm_mm, affine)
    shape = complete.shape[1:]
    columns = _blurred_columns(lambda mask, box: complete[mask][box], boxes, 0, shape, sigma)
    shares = csr_array(complete.reshape(len(complete), -1).T, dtype=float)
    mixed = (np.diff(columns.indptr) > 1) | (np.diff(shares.indptr) > 1)
    labels = numbers[complete.argmax(axis=0)]
    return Spill(numbers, labels, mixed, shares[mixed], columns[mixed], *_volumes(affine, fwhm_mm))


def complete_masks(masks: FloatArray) -> FloatArray:
    """Add a background so that masks sum to one in every voxel.

    Parameters
    ----------
    masks : array of shape (n_masks, x, y, z)
        Probabilities. Sums up to 1.05, as interpolation leaves them, are scaled down to 1.

    Returns
    -------
    complete : array of shape (n_masks + 1, x, y, z)
        The background comes first.

    Raises
    ------
    DatasetError
        If a value is negative or not finite, or masks overlap to a sum above 1.05.

    Examples
    --------
    >>> complete_masks(np.array([[[[0.25, 1.0]]], [[[0.25, 0.04]]]])).reshape(3, 2).round(2)
    array([[0.5 , 0.  ], [0.25, 0.96], [0.25, 0.04]], dtype=float32)
    """
    masks = np.asarray(masks, dtype=np.float32)
    if masks.ndim != 4 or not (np.isfinite(masks).all() and (masks >= 0).all()):
        found = f"shape {masks.shape}, from {masks.min():g} to {masks.max():g}"
        expected = "n_masks × x × y × z finite values, 0 or above"
        raise DatasetError("masks", found, expected, "use probabilities")
    total = masks.sum(axis=0)
    if total.max() > 1 + MAX_EXCESS:
        raise DatasetError(
            "masks",
            f"a sum of {total.max():.3g} in one voxel, above 1 in {(total > 1).sum()} voxels",
            f"at most {1 + MAX_EXCESS:g}",
            "leave out masks that contain others, or scale percentages to 0-1",
        )
    shares = masks / np.maximum(total, 1)
    return np.concatenate([np.clip(1 - total, 0, None)[None], shares])


def _blurred_columns(
    crop: Callable[[int, Box], FloatArray],
    boxes: Sequence[Box],
    rest: int,
    shape: tuple[int, ...],
    sigma: FloatArray,
) -> csr_array:
    """Blurred mask of every region, one a column; `rest` is what the others leave of one."""
    flat = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    left = np.ones(flat.size)
    rows: list[IntArray] = [flat[:0].ravel()] * len(boxes)
    shares: list[FloatArray] = [np.zeros(0, dtype=np.float32)] * len(boxes)
    margins = (TRUNCATE * sigma + 0.5).astype(int)
    for region, box in enumerate(boxes):
        if region == rest:
            continue
        wide = tuple(
            slice(max(side.start - margin, 0), side.stop + margin)
            for side, margin in zip(box, margins, strict=True)
        )
        share = ndimage.gaussian_filter(
            crop(region, wide), sigma, mode="nearest", truncate=TRUNCATE
        )
        present = share > NEGLIGIBLE
        rows[region], shares[region] = flat[wide][present], share[present]
        left[rows[region]] -= shares[region]
    rows[rest] = np.flatnonzero(left > NEGLIGIBLE).astype(np.int32)
    shares[rest] = left[rows[rest]].astype(np.float32)
    ends = np.cumsum([0, *map(len, rows)]).astype(np.int32)  # half the memory of int64
    size = (flat.size, len(boxes))
    return csc_array((np.concatenate(shares), np.concatenate(rows), ends), shape=size).tocsr()


def _volumes(affine: FloatArray, fwhm_mm: ArrayLike) -> tuple[float, float]:
    resel = np.broadcast_to(np.asarray(fwhm_mm, dtype=float), 3).prod()
    return float(np.prod(voxel_sizes(affine))), float(resel)
