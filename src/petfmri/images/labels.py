"""Atlas labels in a person's own grey matter."""

from __future__ import annotations

import nibabel as nib
import numpy as np

GREY = 0.5
LEAST_GREY = 0.2


def labels_in_grey(
    labels: nib.Nifti1Image,
    grey: nib.Nifti1Image,
    *,
    threshold: float = GREY,
    least: float = LEAST_GREY,
) -> nib.Nifti1Image:
    """Take white matter and CSF out of labels that were drawn on a standard brain.

    Parameters
    ----------
    labels : Nifti1Image of integers
        Carried to the person's grid.
    grey : Nifti1Image, 0..1
        Share of grey matter, on the same grid.
    threshold : float
        Least share of grey matter.
    least : float
        A label of which less than this fraction is grey stays whole: some nuclei, such as the
        pallidum, are as bright as white matter in a T1w.

    Returns
    -------
    Nifti1Image, int32

    Examples
    --------
    >>> labels = nib.Nifti1Image(np.array([[[1, 1, 2, 2]]], dtype=np.int32), np.eye(4))
    >>> grey = nib.Nifti1Image(np.array([[[0.9, 0.2, 0.1, 0.1]]]), np.eye(4))
    >>> np.asarray(labels_in_grey(labels, grey).dataobj).ravel()
    array([1, 0, 2, 2], dtype=int32)
    """
    values = np.asarray(labels.dataobj).astype(np.int32)
    is_grey = np.asarray(grey.dataobj) >= threshold
    size = np.bincount(values.ravel())
    inside = np.bincount(values[is_grey], minlength=size.size)
    stays_whole = inside < least * size
    return nib.Nifti1Image(np.where(is_grey | stays_whole[values], values, 0), labels.affine)
