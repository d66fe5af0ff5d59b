"""One volume after another from a 4-D file, without holding the file in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from petfmri.errors import DatasetError, InputError
from petfmri.images.transforms import Affine
from petfmri.typing import BoolArray, FloatArray


def load_canonical(path: Path | str) -> nib.Nifti1Image:
    """Read an image with its axes as near to R, A, S as permuting and flipping them can bring it.

    No value changes: what is computed from an image then does not depend on how it was stored.
    Axes of length 1 after the third are left out if no longer one follows.
    """
    image = nib.as_closest_canonical(nib.load(path))
    if len(image.shape) > 3 and image.shape[-1] == 1:
        image = nib.squeeze_image(image)
    image.set_filename(str(path))  # for messages
    return image


def require_volume(image: nib.Nifti1Image) -> None:
    """Refuse a series where one volume is needed.

    Raises
    ------
    InputError
        If the image is not 3-D.
    """
    if len(image.shape) != 3:
        raise InputError(
            image.get_filename() or "image",
            f"{' × '.join(map(str, image.shape))} voxels",
            "a 3-D image",
            "save the one volume that is meant as 3-D",
        )


def in_own_axes(image: nib.Nifti1Image) -> tuple[nib.Nifti1Image, Affine]:
    """Lay an image along the axes of its own grid, with its centre at the origin.

    A head that lay askew in the scanner then gives the same numbers, bit for bit, which warps
    ask for: they answer the seventh digit of their input with tenths of a millimetre.

    Returns
    -------
    laid : Nifti1Image
        The same voxels, of sizes rounded to 0.1 micrometre.
    back : Affine
        Points of `laid` to points of `image`.

    Examples
    --------
    >>> image = nib.Nifti1Image(np.zeros((3, 3, 3)), np.diag([2.0, 2, 2, 1]))
    >>> laid, back = in_own_axes(image)
    >>> laid.affine[:3, 3], back.map(np.zeros((1, 3)))
    (array([-2., -2., -2.]), array([[2., 2., 2.]]))
    """
    spacing = np.round(nib.affines.voxel_sizes(image.affine), 4)
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = -spacing * (np.array(image.shape[:3]) - 1) / 2
    laid = nib.Nifti1Image(np.asanyarray(image.dataobj), matrix)
    if image.get_filename():
        laid.set_filename(image.get_filename())  # for messages
    return laid, Affine(image.affine @ np.linalg.inv(matrix))


class Volumes:
    """The frames of a NIfTI image, read in order from disk each time they are iterated.

    A gzip file is decompressed once per pass, and one volume is in memory at a time. Like
    `load_canonical`, axes come as near to R, A, S as permuting and flipping can bring them.

    Parameters
    ----------
    path : Path
        A NIfTI file; 3-D counts as one volume.
    first : int
        How many leading volumes to leave out.

    Raises
    ------
    DatasetError
        If the file is not a NIfTI image or, while iterating, ends early, is damaged or holds NaN.
    """

    def __init__(self, path: Path, *, first: int = 0) -> None:
        self.path = Path(path)
        self.first = first
        try:
            self._image = nib.load(self.path)
        except (OSError, ImageFileError) as error:
            raise DatasetError(
                str(path), f"an unreadable image ({error})", "NIfTI", "copy or convert it anew"
            ) from None
        shape = self._image.shape
        self._stored: tuple[int, int, int] = (shape[0], shape[1], shape[2])
        self._turn = io_orientation(self._image.affine)
        order = np.argsort(self._turn[:, 0])
        x, y, z = (self._stored[axis] for axis in order)
        self.shape: tuple[int, int, int] = (x, y, z)
        self.affine: FloatArray = self._image.affine @ inv_ornt_aff(self._turn, self._stored)
        self.n_total = int(np.prod(shape[3:], dtype=int))

    def axis_of(self, direction: str) -> tuple[int, int]:
        """Tell which axis of the volumes a BIDS direction names, and its sign.

        Parameters
        ----------
        direction : str
            i, j or k, the axes as stored, with "-" for the falling index.

        Returns
        -------
        (axis, sign)
            0 to 2, and 1 or -1.
        """
        axis, flip = self._turn["ijk".index(direction[0])]
        return int(axis), int(flip) * (-1 if direction.endswith("-") else 1)

    def __len__(self) -> int:
        return self.n_total - self.first

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield each volume as float32 of shape (x, y, z)."""
        proxy = self._image.dataobj
        dtype, n_voxels = np.dtype(proxy.dtype), int(np.prod(self._stored))
        slope, inter = float(proxy.slope), float(proxy.inter)
        with ImageOpener(self.path) as stream:
            n_bytes = n_voxels * dtype.itemsize
            for number in range(self.first, self.n_total):
                raw = self._read(stream, proxy.offset + number * n_bytes, n_bytes, number)
                volume = np.frombuffer(raw, dtype).reshape(self._stored, order="F")
                volume = apply_orientation(volume, self._turn)
                volume = np.ascontiguousarray(volume, dtype=np.float32)
                if (slope, inter) != (1.0, 0.0):
                    volume = volume * np.float32(slope) + np.float32(inter)
                if not np.isfinite(volume).all():
                    raise DatasetError(
                        f"{self.path}: volume {number + 1}",
                        "NaN or infinite values",
                        "finite intensities",
                        "reconstruct or export it anew",
                    )
                yield volume

    def inside(self, mask: BoolArray) -> Iterator[FloatArray]:
        """Yield the voxels of a mask, volume by volume, without laying out the others.

        Parameters
        ----------
        mask : bool array of shape (x, y, z)

        Yields
        ------
        float32 array of shape (n_voxels,)
            In the order of ``mask.nonzero()``; NaN where the file has it.
        """
        proxy = self._image.dataobj
        dtype, n_voxels = np.dtype(proxy.dtype), int(np.prod(self._stored))
        slope, inter = np.float32(proxy.slope), np.float32(proxy.inter)
        place = np.arange(n_voxels).reshape(self._stored, order="F")
        place = apply_orientation(place, self._turn)[mask]
        n_bytes = n_voxels * dtype.itemsize
        with ImageOpener(self.path) as stream:
            for number in range(self.first, self.n_total):
                raw = self._read(stream, proxy.offset + number * n_bytes, n_bytes, number)
                values = np.frombuffer(raw, dtype).take(place).astype(np.float32, copy=False)
                yield values if slope == 1 and inter == 0 else values * slope + inter

    def _read(self, stream: ImageOpener, offset: int, n_bytes: int, number: int) -> bytes:
        raw, reason = b"", ""
        try:
            stream.seek(offset)
            raw = stream.read(n_bytes)
            while number + 1 == self.n_total and stream.read(1 << 20):
                pass  # to the very end, where gzip verifies its checksum
        except (OSError, EOFError, zlib.error) as error:
            raw, reason = b"", f" ({error})"
        if len(raw) < n_bytes:
            raise DatasetError(
                str(self.path),
                f"a file that is damaged or ends in volume {number + 1}{reason}",
                f"{self.n_total} volumes",
                "copy it anew",
            )
        return raw
