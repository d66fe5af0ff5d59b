"""What an image file says about itself: header, geometry, and every voxel once."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from petfmri.errors import Problem
from petfmri.study.bids import Scan
from petfmri.typing import FloatArray

CHUNK_BYTES = 8 * 2**20
VOXEL_MM = (0.2, 12.0)
HEAD_MM = {"left-right": 110.0, "back-front": 130.0, "bottom-top": 100.0}
CEREBELLUM_TO_VERTEX_MM = 120.0
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
SAME_GRID_MM = 0.01
UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True)
class Voxels:
    """What one pass through the voxel data found, after scaling.

    Attributes
    ----------
    constant : tuple of int
        The volumes with the same value in every voxel, counted from 0.
    """

    minimum: float
    maximum: float
    fingerprint: tuple[int, int]
    constant: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Image:
    """Header of an image and, if asked for, its `Voxels`.

    Attributes
    ----------
    problem : Problem or None
        Why the file cannot be used; the other attributes then hold what was read until there.
    frame_s : float or None
        Time between volumes, if the header states it with its unit.
    """

    path: Path
    shape: tuple[int, ...] = ()
    zooms_mm: tuple[float, ...] = ()
    affine: FloatArray | None = None
    frame_s: float | None = None
    voxels: Voxels | None = None
    problem: Problem | None = None

    @property
    def n_frames(self) -> int:
        """Number of volumes; 1 for a 3-D image."""
        return int(self.shape[3]) if len(self.shape) > 3 else 1


def inspect_image(path: Path, *, voxels: bool = True) -> Image:
    """Read the header of an image and, unless `voxels` is False, all of its data once.

    The data pass decompresses the whole file (and so verifies its length and checksum) in chunks
    of 8 MiB and looks for NaN and infinity: about 0.7 s of CPU per 100 MB of voxels.
    """
    path = Path(path)
    if path.is_symlink() and not path.exists():
        return Image(
            path, problem=_unusable(path, "a link to nowhere", "fetch its content (datalad get)")
        )
    try:
        image: Any = nib.load(path)
        header = image.header
        known = Image(
            path,
            shape=_shape(image),
            zooms_mm=tuple(float(zoom) for zoom in header.get_zooms()[:3]),
            affine=_affine(header),
            frame_s=_frame_s(header),
        )
        if len(known.shape) not in (3, 4) or 0 in known.shape:
            shape = " × ".join(map(str, known.shape))
            return Image(path, problem=_unusable(path, f"{shape} voxels", "save it as 3-D or 4-D"))
        found = _read_voxels(path, image) if voxels else None
    except UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Image(path, problem=_unusable(path, f"damaged data ({reason})", "copy it again"))
    if isinstance(found, Problem):
        return replace(known, problem=found)
    return replace(known, voxels=found)


def _unusable(path: Path, found: str, remedy: str) -> Problem:
    return Problem(path.name, found, "a complete NIfTI image", remedy)


def _shape(image: Any) -> tuple[int, ...]:
    """Voxels along each axis, without axes of length 1 at the end, after the third."""
    shape = tuple(int(size) for size in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _affine(header: Any) -> FloatArray | None:
    """World coordinates of the voxels, or None where the header leaves them undefined."""
    if int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        return None
    return np.asarray(header.get_best_affine(), dtype=float)


def _frame_s(header: Any) -> float | None:
    zooms = header.get_zooms()
    unit = header.get_xyzt_units()[1]
    return float(zooms[3]) * SECONDS[unit] if len(zooms) > 3 and unit in SECONDS else None


def _read_voxels(path: Path, image: Any) -> Voxels | Problem:
    """Stream through the voxel data; a Problem if it is short or not finite."""
    dtype = np.dtype(image.header.get_data_dtype())
    if dtype.kind not in "iuf":
        return _unusable(path, f"voxels of type {dtype}", "save it with real numbers")
    expected = int(np.prod(image.shape)) * dtype.itemsize
    per_frame = int(np.prod(image.shape[:3]))
    lows = np.full(expected // dtype.itemsize // per_frame, np.inf)
    highs, checksum, n_bytes = -lows, 0, 0
    for chunk in _chunks(path, int(image.dataobj.offset), expected):
        values = np.frombuffer(chunk[: len(chunk) // dtype.itemsize * dtype.itemsize], dtype)
        if not values.size:
            break
        first = n_bytes // dtype.itemsize
        frames = np.arange(first // per_frame, (first + values.size - 1) // per_frame + 1)
        starts = np.maximum(frames * per_frame - first, 0)
        lows[frames] = np.minimum(lows[frames], np.minimum.reduceat(values, starts))
        highs[frames] = np.maximum(highs[frames], np.maximum.reduceat(values, starts))
        finite = np.isfinite(lows[frames]) & np.isfinite(highs[frames])
        if not finite.all():
            return _not_finite(path, int(frames[~finite][0]))
        checksum = zlib.crc32(chunk, checksum)
        n_bytes += len(chunk)
    if n_bytes < expected:
        found = f"{n_bytes:,} of {expected:,} bytes of voxels (truncated)"
        return _unusable(path, found, "copy it again")
    low, high = float(lows.min()), float(highs.max())
    if low == high:
        return _unusable(path, "the same value in every voxel", "convert it again")
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    ends = sorted((low * slope + intercept, high * slope + intercept))
    constant = tuple(int(frame) for frame in np.flatnonzero(lows == highs))
    return Voxels(ends[0], ends[1], (n_bytes, checksum), constant)


def constant_problems(path: Path, frames: Sequence[int], word: str, remedy: str) -> list[Problem]:
    """Report the volumes of a series that hold one value only; `word` is frame or volume."""
    if not frames:
        return []
    named = f"{word}{'s' * (len(frames) > 1)} {', '.join(map(str, frames))} (from 0)"
    found = f"the same value in every voxel of {named}"
    return [Problem(path.name, found, f"an image in every {word}", remedy)]


def _not_finite(path: Path, frame: int) -> Problem:
    return Problem(
        path.name,
        f"NaN or infinite voxels (first in volume {frame + 1})",
        "finite numbers",
        "reconstruct it again, or set voxels outside the body to 0",
    )


def _chunks(path: Path, offset: int, n_bytes: int) -> Iterable[bytes]:
    """Voxel data in chunks, read to the end of the file so that gzip verifies its checksum."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        stream.read(offset)
        while n_bytes > 0 and (chunk := stream.read(min(CHUNK_BYTES, n_bytes))):
            n_bytes -= len(chunk)
            yield chunk
        while stream.read(CHUNK_BYTES):
            pass


def geometry_problems(image: Image, kind: Literal["pet", "bold", "T1w"]) -> list[Problem]:
    """Check that the header places the voxels in the world and that they can hold a head."""
    name = image.path.name
    if image.affine is None:
        return [
            Problem(
                name,
                "a header without geometry (sform_code and qform_code 0)",
                "a known orientation and position",
                "convert it again from the scanner's files: left and right are unknown",
            )
        ]
    bad = [zoom for zoom in image.zooms_mm if not VOXEL_MM[0] <= zoom <= VOXEL_MM[1]]
    if bad or not np.isfinite(image.affine).all() or np.linalg.det(image.affine[:3, :3]) == 0:
        return [
            Problem(
                name,
                f"voxels of {' × '.join(f'{zoom:g}' for zoom in image.zooms_mm)} mm",
                f"{VOXEL_MM[0]:g} to {VOXEL_MM[1]:g} mm",
                "correct the voxel size in the header",
            )
        ]
    return list(_field_of_view(image, kind))


def _field_of_view(image: Image, kind: str) -> Iterable[Problem]:
    """Compare the field of view with a head; only PET that cannot hold one is an error."""
    extents = _extents_mm(image)
    for direction, extent in zip(HEAD_MM, extents, strict=True):
        too_small = extent < HEAD_MM[direction]
        tight = direction == "bottom-top" and kind == "pet" and extent < CEREBELLUM_TO_VERTEX_MM
        if too_small or tight:
            yield Problem(
                image.path.name,
                f"a field of view of {extent:.0f} mm {direction}",
                f"at least {CEREBELLUM_TO_VERTEX_MM if tight else HEAD_MM[direction]:.0f} mm, "
                "to hold cortex and reference region",
                "check the voxel size in the header; without the whole brain use another "
                "reference region or leave the session out",
                "error" if too_small and kind == "pet" else "warning",
            )


def _extents_mm(image: Image) -> list[float]:
    """Field of view along the image axes nearest to left-right, back-front and bottom-top."""
    axes = nib.io_orientation(image.affine)[:, 0].astype(int)
    by_world = {int(world): axis for axis, world in enumerate(axes[:3])}
    return [image.shape[by_world[world]] * image.zooms_mm[by_world[world]] for world in range(3)]


def lesion_problems(path: Path, t1w: Image) -> list[Problem]:
    """Check that a lesion mask lies on the grid of the T1w that serves all sessions."""
    image = inspect_image(path, voxels=False)
    if image.problem is not None:
        return [image.problem]
    same = image.shape == t1w.shape
    if not same or image.affine is None or t1w.affine is None:
        found = "another grid" if same else f"{' × '.join(map(str, image.shape))} voxels"
    elif np.allclose(image.affine, t1w.affine, atol=SAME_GRID_MM):
        return []
    else:
        found = "another position or orientation"
    return [
        Problem(
            path.name,
            f"a lesion mask with {found}",
            f"the grid of {t1w.path.name}, {' × '.join(map(str, t1w.shape))} voxels",
            "resample it onto that T1w with nearest neighbour, or take it out of the dataset",
        )
    ]


def same_content(images: Iterable[tuple[str, Scan, Image]]) -> list[Problem]:
    """Find scans with identical voxels: one file copied under two names.

    One T1w copied into several sessions of the same person is accepted.
    """
    first: dict[tuple[int, int], Scan] = {}
    problems = []
    for kind, scan, image in images:
        if image.voxels is None:
            continue
        other = first.setdefault(image.voxels.fingerprint, scan)
        same_person = other.entities.get("sub") == scan.entities.get("sub")
        if other is not scan and not (kind == "T1w" and same_person):
            problems.append(
                Problem(
                    scan.path.name,
                    f"the same voxels as in {other.path.name}",
                    "an image of its own",
                    "replace the one that was copied by mistake",
                )
            )
    return problems
