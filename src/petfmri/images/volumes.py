"""One volume after another from a 4-D file, without holding the file in memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener

from petfmri.errors import DatasetError
from petfmri.typing import FloatArray


class Volumes:
    """The frames of a NIfTI image, read in order from disk each time they are iterated.

    A gzip file is decompressed once per pass, and one volume is in memory at a time.

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
        self.shape: tuple[int, int, int] = (shape[0], shape[1], shape[2])
        self.affine: FloatArray = self._image.affine
        self.n_total = int(np.prod(shape[3:], dtype=int))

    def __len__(self) -> int:
        return self.n_total - self.first

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield each volume as float32 of shape (x, y, z)."""
        proxy = self._image.dataobj
        dtype, n_voxels = np.dtype(proxy.dtype), int(np.prod(self.shape))
        slope, inter = float(proxy.slope), float(proxy.inter)
        with ImageOpener(self.path) as stream:
            n_bytes = n_voxels * dtype.itemsize
            for number in range(self.first, self.n_total):
                raw = self._read(stream, proxy.offset + number * n_bytes, n_bytes, number)
                volume = np.frombuffer(raw, dtype).reshape(self.shape, order="F")
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
