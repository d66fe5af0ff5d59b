"""Smoothing that keeps to a mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petfmri.typing import BoolArray, FloatArray

FWHM = 2.354820045


def smooth_within(
    values: FloatArray, mask: BoolArray, *, fwhm_mm: float, spacing_mm: FloatArray
) -> FloatArray:
    """Smooth with a Gaussian of which only the part inside a mask counts.

    Parameters
    ----------
    values : array of shape (x, y, z)
        What lies outside the mask is not read.
    mask : bool array of shape (x, y, z)
    fwhm_mm : float
        0 leaves the values.
    spacing_mm : array of shape (3,)

    Returns
    -------
    array of shape (x, y, z)
        0 outside the mask.

    Examples
    --------
    A constant stays one up to the border.

    >>> line = np.array([9.0, 2, 2, 2, 9]).reshape(5, 1, 1)
    >>> mask = line == 2
    >>> smooth_within(line, mask, fwhm_mm=4, spacing_mm=np.full(3, 2.0)).ravel()
    array([0., 2., 2., 2., 0.])
    """
    inside = np.where(mask, values, 0.0)
    if fwhm_mm == 0:
        return inside
    sigma = fwhm_mm / FWHM / np.asarray(spacing_mm)
    weight = ndimage.gaussian_filter(mask.astype(float), sigma, mode="constant")
    smoothed = ndimage.gaussian_filter(inside, sigma, mode="constant")
    return np.asarray(np.where(mask, smoothed / np.maximum(weight, 1e-12), 0.0))
