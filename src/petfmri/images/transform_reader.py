"""Transforms of other programs: ITK and ANTs, FSL, FreeSurfer. Formats come from nitransforms.

Only the files are read by its means; the mathematics is that of `petfmri.images.transforms`,
since interpolation and inversion must be the same for every transform.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.filebasedimages import ImageFileError

from petfmri.errors import DatasetError, PetfmriError
from petfmri.images.resampling import Grid
from petfmri.images.transform_files import read_affine, read_warp
from petfmri.images.transforms import Affine, Transform, Warp, compose
from petfmri.typing import FloatArray

FNIRT_FIELD = 2006  # NIfTI intent of a field of fnirt
KNOWN = "ITK .txt, .mat, .h5 or a displacement field; flirt .mat; fnirt field; FreeSurfer .lta"

Image: TypeAlias = nib.Nifti1Image | None


def read_transform(path: Path, *, reference: Image = None, moving: Image = None) -> Transform:
    """Read a transform of ITK, FSL or FreeSurfer.

    Parameters
    ----------
    path : Path
        ITK or ANTs: text or MATLAB of one linear transform, HDF5 composite (as fMRIPrep's
        ``from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.h5``), displacement field in NIfTI.
        FSL: matrix of flirt, field of fnirt, relative or absolute: that in which it varies less,
        as FSL tells them apart. FreeSurfer: ``.lta``.
    reference, moving : Nifti1Image, optional
        The image that was registered to, and the one that was moved: FSL's files have a meaning
        only with both. No other format uses them.

    Returns
    -------
    Transform
        Points of the reference to points of the moving image, RAS mm.

    Raises
    ------
    DatasetError
        If the file is absent, damaged, of another kind, or not invertible, or if FSL's images
        are not given.

    References
    ----------
    Goncalves M et al (2021). NiTransforms: a Python tool to read, represent, manipulate, and
    apply n-dimensional spatial transforms. J Open Source Softw 6:3459. doi:10.21105/joss.03459
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(str(path), "no such file", KNOWN, "correct the path")
    if path.name.endswith((".nii", ".nii.gz")):
        return _field(path, reference, moving)
    readers: dict[str, Callable[[Path], Transform]] = {".h5": _composite, ".lta": _lta}
    try:
        if path.suffix in readers:
            return readers[path.suffix](path)
        with path.open("rb") as stream:
            head = stream.read(64)
        if head.startswith(b"#Insight"):
            return read_affine(path)
        if head.isascii() and b"\0" not in head:
            return _flirt(path, reference, moving)
        return _matlab(path)
    except PetfmriError as error:
        if isinstance(error, DatasetError):
            raise
        raise _unreadable(path, error) from None
    except Exception as error:  # damage shows itself in any way inside the readers
        raise _unreadable(path, error) from None


def _composite(path: Path) -> Transform:
    """Read an ITK composite, whose last transform is applied first."""
    from nitransforms.io.itk import ITKCompositeH5, ITKLinearTransform

    parts: list[Transform] = []
    for part in ITKCompositeH5.from_filename(path):
        if isinstance(part, ITKLinearTransform):
            parts.append(Affine(part.to_ras()))
        else:
            parts.append(Warp(np.asarray(part.dataobj, dtype=np.float32), part.affine))
    if not parts:  # nitransforms passes over a file that is not a composite
        raise DatasetError(
            str(path), "no composite transform", "one with an affine or a field", "export it anew"
        )
    return compose(*parts)


def _lta(path: Path) -> Affine:
    from nitransforms.io.lta import FSLinearTransform

    found = FSLinearTransform.from_filename(path)
    if any(not found[name]["valid"] for name in ("src", "dst")):
        raise DatasetError(
            str(path), "no geometry of its images", "valid = 1", "write it with both images"
        )
    return Affine(found.to_ras())


def _matlab(path: Path) -> Affine:
    from nitransforms.io.itk import ITKLinearTransform

    return Affine(ITKLinearTransform.from_filename(path).to_ras())


def _flirt(path: Path, reference: Image, moving: Image) -> Affine:
    from nitransforms.io.fsl import FSLLinearTransform

    if reference is None or moving is None:
        raise _needs_images(path)
    numbers = np.loadtxt(path, ndmin=2)
    if numbers.shape != (4, 4):
        raise DatasetError(
            str(path),
            f"{numbers.shape[0]} rows of {numbers.shape[1]} numbers",
            "4 rows of 4, one matrix of flirt",
            "give the matrix of one volume; mcflirt writes one file for each",
        )
    return Affine(FSLLinearTransform.from_filename(path).to_ras(moving, reference))


def _field(path: Path, reference: Image, moving: Image) -> Transform:
    try:
        image = nib.load(path)
    except (OSError, EOFError, ImageFileError) as error:
        raise _unreadable(path, error) from None
    if len(image.shape) == 4 and int(image.header["intent_code"]) == FNIRT_FIELD:
        return _fnirt(path, image, reference, moving)
    return read_warp(path)


def _fnirt(path: Path, image: Any, reference: Image, moving: Image) -> Transform:
    """Turn a field of fnirt, whose vectors have the axes of FSL's millimetres, into the world's.

    (nitransforms takes them for vectors in the world, which holds for no oblique image.)
    """
    if reference is None or moving is None:
        raise _needs_images(path)
    vectors = np.asarray(image.dataobj, dtype=np.float32)
    to_fsl = _fsl_millimetres(reference)
    own = Affine(to_fsl).map(Grid.of(image).points()).astype(np.float32)
    from_own = vectors - own.reshape(vectors.shape)
    if _spread(from_own) < _spread(vectors):
        vectors = from_own  # it was absolute
    turned = vectors @ np.linalg.inv(to_fsl[:3, :3]).T
    across = Affine(np.linalg.inv(_fsl_millimetres(moving)) @ to_fsl)
    return compose(across, Warp(turned, image.affine))


def _spread(vectors: FloatArray) -> float:
    return float(vectors.std(axis=(0, 1, 2), dtype=float).sum())


def _fsl_millimetres(image: nib.Nifti1Image) -> FloatArray:
    """Return the matrix from the world to FSL's millimetres: scaled voxels, x from right to left."""
    sizes = voxel_sizes(image.affine)
    scaled = np.diag([*sizes, 1.0])
    if np.linalg.det(image.affine) > 0:
        scaled[0] = [-sizes[0], 0, 0, (image.shape[0] - 1) * sizes[0]]
    return np.asarray(scaled @ np.linalg.inv(image.affine))


def _needs_images(path: Path) -> DatasetError:
    return DatasetError(
        str(path), "a transform of FSL", "its two images with it", "name reference and moving"
    )


def _unreadable(path: Path, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DatasetError(str(path), f"an unreadable transform ({reason})", KNOWN, "export it anew")
