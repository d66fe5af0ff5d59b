"""The resolution of a PET image: a Gaussian point-spread function, in mm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from petfmri.errors import DatasetError
from petfmri.typing import FloatArray

FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
WIDEST_MM = 30.0
TRUNCATE = 4.0  # the kernel ends here, in standard deviations
REMEDY = (
    "put psf_mm under pet in the study YAML: the FWHM of this scanner and reconstruction, as a"
    " phantom scan or the site's physicist gives it (ReconFilterSize is the filter alone)"
)


def psf_fwhm_mm(
    configured: ArrayLike | None,
    sidecar: Mapping[str, Any] | None = None,
    where: str = "PET sidecar",
) -> FloatArray:
    """Resolution of a PET image along its three voxel axes.

    A configured value comes first. PET-BIDS has no field for the resolution; a sidecar is believed
    where one of its reconstruction parameters is labelled so, in mm: ``ReconMethodParameterLabels:
    [..., "resolution"]``. ``ReconFilterSize`` is only the filter applied after reconstruction (2 mm
    for scanners that resolve 5 mm), so it never stands for the resolution; but an image cannot be
    sharper than its Gaussian filter, and a smaller value is refused.

    Parameters
    ----------
    configured : float, or (float, float, float), or None, mm
        One for all axes, or one per axis of the voxel array as stored: an anisotropic resolution
        turns with the image, whichever way its affine points.
    sidecar : mapping, optional
    where : str
        What errors name.

    Returns
    -------
    fwhm_mm : array of shape (3,), mm

    Raises
    ------
    DatasetError
        If neither gives the resolution, it is not one or three numbers in (0, 30] mm, or it is
        smaller than the sidecar's Gaussian filter.

    References
    ----------
    Norgaard et al., PET-BIDS. Sci Data 2022;9:65. doi:10.1038/s41597-022-01164-1

    Examples
    --------
    >>> psf_fwhm_mm(6), psf_fwhm_mm((5, 5, 6.5))
    (array([6., 6., 6.]), array([5. , 5. , 6.5]))
    """
    sidecar = sidecar or {}
    value = _stated_resolution(sidecar) if configured is None else configured
    if value is None:
        raise DatasetError(where, "no resolution", "one, for partial-volume correction", REMEDY)
    fwhm = _numbers(value)
    if fwhm.shape not in ((1,), (3,)) or not ((fwhm > 0) & (fwhm <= WIDEST_MM)).all():
        expected = f"one FWHM or one per axis, above 0 and up to {WIDEST_MM:g} mm"
        raise DatasetError(f"{where}: resolution", f"{value}", expected, REMEDY)
    fwhm = np.broadcast_to(fwhm, 3).copy()
    filter_mm = _gaussian_filter_mm(sidecar)
    if fwhm.min() < filter_mm:
        raise DatasetError(
            f"{where}: resolution",
            f"{fwhm.min():g} mm, after a filter of {filter_mm:g} mm (ReconFilterSize)",
            "an image no sharper than its filter",
            REMEDY,
        )
    return fwhm


def psf_sigma(fwhm_mm: ArrayLike, affine: FloatArray) -> FloatArray:
    """Standard deviation of the kernel in voxels, one per voxel axis.

    Raises
    ------
    DatasetError
        If voxel axes are not at right angles, where no kernel along them is a Gaussian in space.

    Examples
    --------
    >>> psf_sigma(6.0, np.diag([1, 2, 3, 1])).round(3)
    array([2.548, 1.274, 0.849])
    """
    sizes = np.asarray(voxel_sizes(affine))
    axes = np.asarray(affine)[:3, :3] / sizes
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > 0.01:
        raise DatasetError(
            "PET image",
            f"voxel axes {np.degrees(np.arccos(shear)):.0f}° apart",
            "90°",
            "resample it to a rectangular grid",
        )
    sigma: FloatArray = np.broadcast_to(np.asarray(fwhm_mm, dtype=float), 3) / FWHM_PER_SIGMA
    return sigma / sizes


def blur(image: FloatArray, fwhm_mm: ArrayLike, affine: FloatArray) -> FloatArray:
    """Image as a scanner of this resolution sees it.

    The sampled Gaussian ends at 4 standard deviations. What touches the edge of the image is taken
    to continue beyond it, so that a constant image stays constant.

    Parameters
    ----------
    image : array of shape (x, y, z)
        Without NaN, which would spread.
    fwhm_mm : float or (float, float, float), mm
        Along the voxel axes.
    affine : array of shape (4, 4)
        Voxels to mm; may be anisotropic and oblique, not sheared.

    Examples
    --------
    >>> point = np.zeros((5, 1, 1))
    >>> point[2] = 1
    >>> blur(point, 2.3548, np.eye(4)).ravel().round(3)
    array([0.054, 0.242, 0.399, 0.242, 0.054])
    """
    sigma = psf_sigma(fwhm_mm, affine)
    return np.asarray(gaussian_filter(image, sigma, mode="nearest", truncate=TRUNCATE))


def _stated_resolution(sidecar: Mapping[str, Any]) -> Any:
    """Reconstruction parameter in mm whose label speaks of resolution, or None."""
    fields = ("Labels", "Units", "Values")
    columns = [sidecar.get(f"ReconMethodParameter{field}") for field in fields]
    if not all(isinstance(column, list) for column in columns):
        return None
    for label, unit, value in zip(*columns, strict=False):
        if "resolution" in str(label).lower() and str(unit).lower() == "mm":
            return value
    return None


def _gaussian_filter_mm(sidecar: Mapping[str, Any]) -> float:
    """Least size of the Gaussian filter after reconstruction, 0 where none is known."""
    if "gauss" not in str(sidecar.get("ReconFilterType")).lower():
        return 0.0
    sizes = _numbers(sidecar.get("ReconFilterSize"))
    return float(sizes.min()) if np.isfinite(sizes).all() and sizes.size else 0.0


def _numbers(value: Any) -> FloatArray:
    try:
        return np.array(value, dtype=float, ndmin=1)
    except (TypeError, ValueError):
        return np.array([np.nan])
