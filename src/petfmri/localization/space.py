"""The places whose connectivity is known: voxels of a mask, or the parcels that tile it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from petfmri.errors import DatasetError
from petfmri.images.volumes import load_canonical, require_volume
from petfmri.study.files import save_image
from petfmri.typing import BoolArray, FloatArray, IntArray

SAME_MM = 1e-3


@dataclass(frozen=True)
class Space:
    """Voxels of one grid, and the element of the series that each belongs to.

    An element is what has a time course: the voxel itself, or its parcel. Make one by `of_mask`,
    `of_labels` or `read_mask`.

    Attributes
    ----------
    mask : bool array of shape (x, y, z)
        Voxels are counted along the last axis first, as ``mask.nonzero()`` does.
    affine : array of shape (4, 4)
        Voxel indices to millimetres.
    element : int array of shape (n_voxels,)
        Number of each voxel's element.
    n_elements : int
        Columns of the series.
    """

    mask: BoolArray
    affine: FloatArray
    element: IntArray
    n_elements: int

    @property
    def n_voxels(self) -> int:
        """Voxels in the mask."""
        return int(self.element.size)

    @cached_property
    def sizes(self) -> IntArray:
        """Voxels of each element, array of shape (n_elements,)."""
        return np.bincount(self.element, minlength=self.n_elements)

    @cached_property
    def ijk(self) -> IntArray:
        """Indices of the voxels, array of shape (n_voxels, 3)."""
        return np.argwhere(self.mask)

    def paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Put a value per element into a volume, 0 outside the mask.

        Parameters
        ----------
        values : array of shape (n_elements,)

        Returns
        -------
        array of shape (x, y, z)
        """
        values = np.asarray(values)
        volume = np.zeros(self.mask.shape, dtype=values.dtype)
        volume[self.mask] = values[self.element]
        return volume

    def labels_of(self, volume: IntArray) -> IntArray:
        """Give each element the label that most of its voxels have.

        Parameters
        ----------
        volume : int array of shape (x, y, z)
            On this grid; 0 is no label.
        """
        if volume.shape != self.mask.shape:
            raise DatasetError(
                "labels",
                f"a grid of {volume.shape}",
                f"{self.mask.shape}, that of the localization",
                "resample the labels to it by nearest neighbour",
            )
        labels, code = np.unique(volume[self.mask], return_inverse=True)
        best, most = np.zeros(self.n_elements, dtype=int), np.zeros(self.n_elements, dtype=int)
        for number, label in enumerate(labels):
            count = np.bincount(self.element[code == number], minlength=self.n_elements)
            best, most = np.where(count > most, label, best), np.maximum(count, most)
        return best

    def digest(self) -> str:
        """Name the grid, mask and elements by their content."""
        content = hashlib.sha256()
        for part in (
            np.array(self.mask.shape),
            np.round(self.affine, 4) + 0.0,
            np.packbits(self.mask),
            self.element.astype(np.int64),
        ):
            content.update(np.ascontiguousarray(part).tobytes())
        return content.hexdigest()[:16]

    def require_grid(self, shape: Sequence[int], affine: FloatArray, where: str) -> None:
        """Refuse an image that is not on this grid.

        Raises
        ------
        DatasetError
            If shape or affine differ.
        """
        here, there = tuple(self.mask.shape), tuple(int(n) for n in shape[:3])
        if here == there and np.allclose(self.affine, affine, atol=SAME_MM):
            return
        found = f"a grid of {there} voxels"
        if here == there:
            found += f" whose affine differs by up to {np.abs(self.affine - affine).max():.3g}"
        raise DatasetError(
            where, found, f"{here}, the grid of the mask", "resample it to the mask first"
        )


def of_mask(mask: BoolArray, affine: FloatArray) -> Space:
    """Let every voxel of a mask be an element.

    Examples
    --------
    >>> space = of_mask(np.array([[[True, False, True]]]), np.eye(4))
    >>> space.n_elements, space.paint(np.array([5, 7]))
    (2, array([[[5, 0, 7]]]))
    """
    mask = np.asarray(mask) != 0
    if mask.ndim != 3 or not mask.any():
        raise DatasetError(
            "mask", f"shape {mask.shape}, {mask.sum()} voxels", "a 3-D mask", "choose another mask"
        )
    n = int(mask.sum())
    return Space(mask, np.asarray(affine, dtype=float), np.arange(n), n)


def of_labels(labels: IntArray, index: IntArray, affine: FloatArray) -> Space:
    """Let every parcel of an atlas be an element.

    Parameters
    ----------
    labels : int array of shape (x, y, z)
        Also labels that `index` does not have; they lie outside.
    index : int array of shape (n_parcels,)
        Labels in the order of the series' columns.

    Raises
    ------
    DatasetError
        If a parcel has no voxel.

    Examples
    --------
    >>> of_labels(np.array([[[3, 0, 1, 1]]]), np.array([1, 3]), np.eye(4)).element
    array([1, 0, 0])
    """
    labels, index = np.asarray(labels), np.asarray(index)
    absent = index[~np.isin(index, labels)]
    if absent.size:
        raise DatasetError(
            "atlas", f"no voxel of labels {absent[:5].tolist()}", "all of its table", "check both"
        )
    mask = np.isin(labels, index)
    order = np.argsort(index, kind="stable")
    element = order[np.searchsorted(index, labels[mask], sorter=order)]
    return Space(mask, np.asarray(affine, dtype=float), element, int(index.size))


def save_space(space: Space, path: Path) -> Path:
    """Write a space as one image: the number of each voxel's element from 1, 0 outside.

    Examples
    --------
    >>> import tempfile
    >>> space = of_labels(np.array([[[3, 0, 1, 1]]]), np.array([1, 3]), np.eye(4))
    >>> load_space(save_space(space, Path(tempfile.mkdtemp()) / "space.nii.gz")).element
    array([1, 0, 0])
    """
    numbers = np.zeros(space.mask.shape, dtype=np.int32)
    numbers[space.mask] = space.element + 1
    return save_image(nib.Nifti1Image(numbers, space.affine), path)


def load_space(path: Path | str) -> Space:
    """Read what `save_space` wrote.

    Raises
    ------
    DatasetError
        If the file is absent or no such image.
    """
    if not Path(path).is_file():
        raise DatasetError(
            str(path), "no such file", "the space of a store", "name the folder of a store"
        )
    try:
        image = load_canonical(path)
        numbers = np.asarray(image.dataobj).astype(int)
    except (OSError, ImageFileError) as error:
        raise DatasetError(
            str(path), f"no image of a space ({error})", "that of a store", "build the store anew"
        ) from None
    inside = numbers[numbers > 0] - 1
    n = int(inside.max(initial=-1)) + 1
    if numbers.ndim != 3 or not n or np.bincount(inside).min() == 0:
        raise DatasetError(
            str(path), "an image with gaps in its numbers", "a space", "build the store anew"
        )
    return Space(numbers > 0, np.asarray(image.affine, dtype=float), inside, n)


def read_mask(path: Path | str) -> Space:
    """Read a mask, with its axes brought near to R, A, S as the series' axes will be.

    Raises
    ------
    InputError
        If the image is not 3-D.
    """
    image: nib.Nifti1Image = load_canonical(path)
    require_volume(image)
    return of_mask(np.asarray(image.dataobj) != 0, image.affine)
