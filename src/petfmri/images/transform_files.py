"""Transforms on disk, as ITK, ANTs and fMRIPrep write them: LPS world, points of the target grid.

``from-T1w_to-boldref_mode-image_xfm.txt`` moves the *image* T1w onto the boldref grid; its
points go from boldref to T1w, like every `Transform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError

from petfmri.errors import DatasetError
from petfmri.images.transforms import Affine, Chain, Transform, Warp, compose
from petfmri.study.files import save_image, write_text, written_beside
from petfmri.typing import FloatArray

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # RAS to LPS and back
_MATRIX_TRANSFORMS = ("AffineTransform", "MatrixOffsetTransformBase")
_INTENT_VECTOR = 1007


def write_affine(xfm: Affine, path: Path) -> Path:
    """Write one affine as an ITK text file."""
    return write_affines([xfm], path)


def write_affines(xfms: Sequence[Affine], path: Path) -> Path:
    """Write affines in order, one per frame of a series, as one ITK text file."""
    lines = ["#Insight Transform File V1.0"]
    for number, xfm in enumerate(xfms):
        matrix = _LPS @ xfm.matrix @ _LPS
        values = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
        lines += [
            f"#Transform {number}",
            "Transform: AffineTransform_double_3_3",
            "Parameters: " + " ".join(f"{value:.17g}" for value in values),
            "FixedParameters: 0 0 0",
            "",
        ]
    return write_text("\n".join(lines), path)


def read_affine(path: Path) -> Affine:
    """Read the one affine of an ITK text file.

    Raises
    ------
    DatasetError
        If the file is not ITK text or does not hold exactly one linear transform.
    """
    found = read_affines(path)
    if len(found) != 1:
        raise DatasetError(
            str(path), f"{len(found)} transforms", "one", "read it as the motion of a series"
        )
    return found[0]


def read_affines(path: Path) -> list[Affine]:
    """Read every affine of an ITK text file, in order.

    Raises
    ------
    DatasetError
        If the file is absent, is not ITK text or holds a transform that is not linear.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _not_itk(path, f"no readable text ({error})") from None
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise _not_itk(path, "another kind of text" if lines else "an empty file")
    fields = [line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")]
    kinds = [value.strip() for key, value in fields if key == "Transform"]
    moving = [value for key, value in fields if key == "Parameters"]
    fixed = [value for key, value in fields if key == "FixedParameters"]
    if not kinds or not len(kinds) == len(moving) == len(fixed):
        raise _not_itk(path, "incomplete transforms")
    try:
        return [_from_itk(*parts) for parts in zip(kinds, moving, fixed, strict=True)]
    except ValueError as error:
        raise _not_itk(path, str(error)) from None


def write_warp(warp: Warp, path: Path) -> Path:
    """Write a displacement field as an ITK vector image (x, y, z, 1, 3), LPS mm.

    The inverse, where there is one, is a second field: ``write_warp(~warp, other)``.
    """
    vectors = warp.displacement * np.array([-1, -1, 1], dtype=np.float32)
    image = nib.Nifti1Image(vectors[:, :, :, None, :], warp.affine)
    image.header.set_intent(_INTENT_VECTOR)
    return save_image(image, path)


def read_warp(path: Path, inverse: Path | None = None) -> Warp:
    """Read a displacement field of ITK, and that of its inverse.

    Raises
    ------
    DatasetError
        If a file is not a vector image of shape (x, y, z, 1, 3).
    """
    try:
        image = nib.load(path)
        values = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ImageFileError) as error:
        raise _not_field(path, f"an unreadable image ({error})") from None
    if values.ndim != 5 or values.shape[3:] != (1, 3):
        raise _not_field(path, f"shape {values.shape}")
    if not np.isfinite(values).all():
        raise _not_field(path, "values that are not finite")
    vectors = values[:, :, :, 0, :] * np.array([-1, -1, 1], dtype=np.float32)
    return Warp(vectors, image.affine, None if inverse is None else read_warp(inverse))


def write_composite(xfm: Transform, path: Path) -> Path:
    """Write affines and warps that follow one another as one ITK composite (``.h5``).

    `petfmri.images.transform_reader.read_transform` reads it back, as do ANTs and fMRIPrep.
    """
    import h5py

    whole = compose(xfm)
    parts = list(whole.parts) if isinstance(whole, Chain) else [whole]
    kinds = ["CompositeTransform_double_3_3"]
    with written_beside(path) as beside, h5py.File(beside, "w") as file:
        group = file.create_group("TransformGroup")
        for number, part in enumerate(parts, 1):
            kind, values, fixed = _to_itk(part)
            kinds.append(kind)
            one = group.create_group(str(number))
            one.create_dataset("TransformParameters", data=values, compression="gzip")
            one["TransformFixedParameters"] = fixed
        for number, kind in enumerate(kinds):
            where = group.require_group(str(number))
            where.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype("ascii"))
    return path


def _to_itk(part: Transform) -> tuple[str, FloatArray, FloatArray]:
    """Return ITK's name of a transform, its parameters and its fixed parameters, LPS."""
    if isinstance(part, Warp):
        vectors = part.displacement * np.array([-1, -1, 1], dtype=np.float32)
        spacing = voxel_sizes(part.affine)
        world = _LPS @ part.affine
        fixed = [*vectors.shape[:3], *world[:3, 3], *spacing, *(world[:3, :3] / spacing).ravel()]
        along = np.moveaxis(vectors, -1, 0).ravel(order="F")
        return "DisplacementFieldTransform_float_3_3", along, np.array(fixed, dtype=float)
    if not isinstance(part, Affine):
        raise TypeError(f"an affine or a warp, not {part!r}")
    matrix = _LPS @ part.matrix @ _LPS
    values = np.array([*matrix[:3, :3].ravel(), *matrix[:3, 3]])
    return "AffineTransform_double_3_3", values, np.zeros(3)


def _from_itk(kind: str, parameters: str, fixed: str) -> Affine:
    """Turn one ITK record into an affine: y = A (x - c) + c + t in LPS."""
    values, center = (np.array(text.split(), dtype=float) for text in (parameters, fixed))
    if not kind.startswith(_MATRIX_TRANSFORMS) or values.size != 12 or center.size != 3:
        raise ValueError(f"a {kind} of {values.size} parameters")
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = values[9:] + center - matrix[:3, :3] @ center
    return Affine(_LPS @ matrix @ _LPS)


def _not_itk(path: Path, found: str) -> DatasetError:
    return DatasetError(
        str(path), found, "an ITK text file of affine transforms", "export it as AffineTransform"
    )


def _not_field(path: Path, found: str) -> DatasetError:
    return DatasetError(
        str(path), found, "an ITK displacement field (x, y, z, 1, 3)", "export it anew"
    )
