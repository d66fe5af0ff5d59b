"""Reference regions in a person's own anatomy, measured in millimetres.

A region is made once, on the participant's T1w grid, and serves every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from petfmri.errors import ReferenceRegionError
from petfmri.typing import BoolArray, FloatArray, IntArray

MIN_VOLUME_ML = 1.0
MIN_COVERAGE = 0.9
FWHM_PER_SIGMA = 2.3548
PRESENT = 0.5  # probability from which a voxel counts as grey matter or CSF


@dataclass(frozen=True, eq=False)
class ReferenceRegion:
    """A mask and how it came about.

    Attributes
    ----------
    name : str
    mask : bool array of shape (x, y, z)
    affine : array of shape (4, 4)
        Voxels to RAS mm.
    note : str
        The steps, each with the volume that it left.
    """

    name: str
    mask: BoolArray
    affine: FloatArray
    note: str

    @property
    def volume_ml(self) -> float:
        """Volume, mL."""
        return float(self.mask.sum() * _voxel_ml(self.affine))


@dataclass(frozen=True)
class ReferenceUptake:
    """Uptake in a reference region.

    Attributes
    ----------
    mean, sd : float, units of the image
        Over the region's voxels inside the field of view.
    coverage : float
        Fraction of the region inside the field of view.
    volume_ml : float, mL
        Of the whole region.
    """

    mean: float
    sd: float
    coverage: float
    volume_ml: float

    @property
    def cov(self) -> float:
        """Coefficient of variation: a high one tells of noise or of spill-in from grey matter."""
        return self.sd / self.mean


def semiovale_reference(
    start: ArrayLike,
    white: FloatArray,
    grey: FloatArray,
    csf: FloatArray,
    affine: FloatArray,
    *,
    white_threshold: float = 0.9,
    erosion_mm: float = 2.0,
    grey_mm: float = 4.0,
    csf_mm: float = 4.0,
    smooth_mm: float = 3.0,
    min_volume_ml: float = MIN_VOLUME_ML,
) -> ReferenceRegion:
    """Deep white matter of the centrum semiovale, kept away from grey matter and ventricles.

    Uptake there estimates non-displaceable uptake; spill-in from grey matter makes it 35-40 % too
    high [1]_, so distance, not the starting mask, is what matters.

    Parameters
    ----------
    start : bool array of shape (x, y, z)
        Starting mask, carried from the template to this anatomy.
    white, grey, csf : arrays of shape (x, y, z)
        Tissue probabilities.
    affine : array of shape (4, 4)
        Of their common grid. Voxels may be anisotropic and oblique, not sheared.
    white_threshold : float
        Least probability of white matter.
    erosion_mm : float, mm
        Least distance of a voxel's centre to the faces of that white matter's surface: 2 mm removes
        the outermost 2, 1 and 1 voxels on a 1, 2 and 3 mm grid.
    grey_mm, csf_mm : float, mm
        Least distance to voxels that are grey matter or CSF with a probability of at least 0.5. At
        4 mm and a resolution of 6 mm FWHM, a plane of grey matter adds 6 % of its own uptake.
    smooth_mm : float, mm
        FWHM at which the surroundings overrule single voxels: one that is not white in the midst
        of white matter is a part of it, and grey matter or CSF that stands alone is noise.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains, or the arrays do not share one grid.

    References
    ----------
    .. [1] Rossano S et al. J Cereb Blood Flow Metab 2020. doi:10.1177/0271678X19879230
    """
    name = "centrum semiovale"
    mask = _as_mask(start)
    _same_grid(name, mask, white, grey, csf)
    limit_mm = max(erosion_mm, grey_mm, csf_mm) + smooth_mm
    box = _box_around(mask, affine, limit_mm)
    white, grey, csf = white[box], grey[box], csf[box]
    deep, near_grey, near_csf = (
        _smoothed(tissue, affine, smooth_mm) for tissue in (white, grey, csf)
    )
    core = (white >= white_threshold) | (deep >= white_threshold)
    grey, csf = np.where(near_grey < PRESENT / 2, 0, grey), np.where(near_csf < PRESENT / 2, 0, csf)
    steps = [
        ("starting mask", np.ones(core.shape, dtype=bool)),
        (f"white matter from {white_threshold:g}", core),
        (f"{erosion_mm:g} mm inside it", _apart(~core, affine, erosion_mm)),
        (f"{grey_mm:g} mm from grey matter", _apart(grey >= PRESENT, affine, grey_mm)),
        (f"{csf_mm:g} mm from CSF", _apart(csf >= PRESENT, affine, csf_mm)),
    ]
    return _built(name, mask, box, steps, affine, min_volume_ml)


def cerebellar_reference(
    cerebellum: ArrayLike,
    cerebral_cortex: ArrayLike,
    grey: FloatArray,
    affine: FloatArray,
    *,
    grey_threshold: float = 0.5,
    cortex_mm: float = 5.0,
    min_volume_ml: float = MIN_VOLUME_ML,
) -> ReferenceRegion:
    """Cerebellar grey matter, kept away from the occipital and temporal cortex above it.

    Parameters
    ----------
    cerebellum, cerebral_cortex : bool arrays of shape (x, y, z)
        Labels carried from the atlas to this anatomy.
    grey : array of shape (x, y, z)
        Probability of grey matter.
    affine : array of shape (4, 4)
    grey_threshold : float
        Least probability of grey matter.
    cortex_mm : float, mm
        Least distance to the faces of the cerebral cortex.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains, or the arrays do not share one grid.
    """
    name = "cerebellar grey matter"
    mask, cortex = _as_mask(cerebellum), _as_mask(cerebral_cortex)
    _same_grid(name, mask, cortex, grey)
    box = _box_around(mask, affine, cortex_mm)
    steps = [
        ("cerebellar labels", np.ones(mask[box].shape, dtype=bool)),
        (f"grey matter from {grey_threshold:g}", grey[box] >= grey_threshold),
        (f"{cortex_mm:g} mm from cerebral cortex", _apart(cortex[box], affine, cortex_mm)),
    ]
    return _built(name, mask, box, steps, affine, min_volume_ml)


def label_reference(
    name: str,
    labels: IntArray,
    values: Sequence[int],
    affine: FloatArray,
    *,
    erosion_mm: float = 0.0,
    min_volume_ml: float = MIN_VOLUME_ML,
) -> ReferenceRegion:
    """Reference of the user's choice: labels of a parcellation, or a brain mask (values ``[1]``).

    Parameters
    ----------
    name : str
    labels : int array of shape (x, y, z)
    values : sequence of int
        Labels that form the region together.
    affine : array of shape (4, 4)
    erosion_mm : float, mm
        Least distance to the region's surface.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains.
    """
    mask = np.isin(labels, list(values))
    box = _box_around(mask, affine, erosion_mm)
    steps = [(f"labels {', '.join(map(str, values))}", mask[box])]
    if erosion_mm > 0:
        steps.append((f"{erosion_mm:g} mm inside", _apart(~mask[box], affine, erosion_mm)))
    return _built(name, mask, box, steps, affine, min_volume_ml)


def reference_uptake(
    image: FloatArray, region: ReferenceRegion, *, min_coverage: float = MIN_COVERAGE
) -> ReferenceUptake:
    """Mean and spread of an image over a reference region.

    Parameters
    ----------
    image : array of shape (x, y, z)
        On the region's grid, usually a window mean in kBq/mL; NaN outside the field of view.
    region : ReferenceRegion
    min_coverage : float
        Least fraction of the region that must be inside the field of view.

    Raises
    ------
    ReferenceRegionError
        If the grids differ, too little of the region is covered, or the mean is not above zero.
    """
    _same_grid(region.name, region.mask, image)
    values = np.asarray(image)[region.mask].astype(float)
    seen = values[np.isfinite(values)]
    coverage = seen.size / max(values.size, 1)
    if coverage < min_coverage or not seen.size:
        raise ReferenceRegionError(
            region.name,
            f"{100 * coverage:.0f} % of it inside the PET field of view",
            f"at least {100 * min_coverage:.0f} %",
            "choose another reference region, or check the PET to T1w alignment",
        )
    if not seen.mean() > 0:
        raise ReferenceRegionError(
            region.name,
            f"a mean uptake of {seen.mean():g}",
            "above 0",
            "check the PET image and its alignment to T1w",
        )
    return ReferenceUptake(float(seen.mean()), float(seen.std()), coverage, region.volume_ml)


def distance_mm(region: BoolArray, voxel_mm: ArrayLike, limit_mm: float) -> FloatArray:
    """Distance from each voxel's centre to the nearest face of a voxel of `region`.

    Exact up to `limit_mm`, for any voxel sizes; beyond it only known to be farther.

    Parameters
    ----------
    region : bool array of shape (x, y, z)
    voxel_mm : (float, float, float), mm
    limit_mm : float, mm

    Returns
    -------
    distance : array of shape (x, y, z), mm
        0 inside `region`.

    Examples
    --------
    >>> row = np.array([True, False, False, False]).reshape(4, 1, 1)
    >>> distance_mm(row, (2.0, 1.0, 1.0), limit_mm=5.0).ravel()
    array([0., 1., 3., 5.])
    """
    squared = np.where(region, 0.0, np.inf)
    for axis, size in enumerate(np.asarray(voxel_mm, dtype=float)):
        before = np.moveaxis(squared, axis, 0)
        after = before.copy()
        for step in range(1, min(int(limit_mm / size + 0.5) + 1, len(before))):
            cost = ((step - 0.5) * size) ** 2
            np.minimum(after[step:], before[:-step] + cost, out=after[step:])
            np.minimum(after[:-step], before[step:] + cost, out=after[:-step])
        squared = np.moveaxis(after, 0, axis)
    return np.sqrt(squared)


def _smoothed(tissue: FloatArray, affine: FloatArray, fwhm_mm: float) -> FloatArray:
    sigma = fwhm_mm / FWHM_PER_SIGMA / voxel_sizes(affine)
    return np.asarray(gaussian_filter(np.asarray(tissue, dtype=np.float32), sigma))


def _apart(region: BoolArray, affine: FloatArray, least_mm: float) -> BoolArray:
    """Voxels whose centre is at least `least_mm` from every voxel of `region`."""
    tolerance = 1e-3  # of voxel sizes that an affine in single precision gives
    distance = distance_mm(region, voxel_sizes(affine), least_mm)
    return ~region & (distance >= least_mm - tolerance)


def _built(
    name: str,
    start: BoolArray,
    box: tuple[slice, ...],
    steps: Sequence[tuple[str, BoolArray]],
    affine: FloatArray,
    min_volume_ml: float,
) -> ReferenceRegion:
    """Intersect `start` with one mask per step and account for every step's volume."""
    _check_axes(name, affine)
    inside = start[box]
    volumes = []
    for step, keep in steps:
        inside = inside & keep
        volumes.append(f"{step} {inside.sum() * _voxel_ml(affine):.1f} mL")
    mask = np.zeros(start.shape, dtype=bool)
    mask[box] = inside
    region = ReferenceRegion(name, mask, np.asarray(affine, dtype=float), ", ".join(volumes))
    if region.volume_ml < min_volume_ml:
        raise ReferenceRegionError(
            name,
            f"{region.volume_ml:.2f} mL ({region.note})",
            f"at least {min_volume_ml:g} mL",
            "check tissues and registration in the report, or ask for smaller distances",
        )
    return region


def _box_around(mask: BoolArray, affine: FloatArray, margin_mm: float) -> tuple[slice, ...]:
    """Bounding box of `mask`, wider by `margin_mm` and a voxel on every side."""
    occupied = np.nonzero(mask)
    if not occupied[0].size:
        return (slice(0, 1),) * mask.ndim
    margins = [int(np.ceil(margin_mm / size)) + 1 for size in voxel_sizes(affine)]
    return tuple(
        slice(max(int(places.min()) - margin, 0), int(places.max()) + margin + 1)
        for places, margin in zip(occupied, margins, strict=True)
    )


def _as_mask(mask: ArrayLike) -> BoolArray:
    return np.asarray(mask) > 0


def _voxel_ml(affine: FloatArray) -> float:
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000.0


def _same_grid(name: str, *arrays: FloatArray | BoolArray) -> None:
    shapes = {np.shape(array) for array in arrays}
    if len(shapes) > 1:
        raise ReferenceRegionError(
            name,
            f"grids of {', '.join(map(str, sorted(shapes)))} voxels",
            "one common grid",
            "resample masks, tissues and image to the T1w grid",
        )


def _check_axes(name: str, affine: FloatArray) -> None:
    """Refuse sheared voxels, whose distances are not those of their edges."""
    axes = affine[:3, :3] / voxel_sizes(affine)
    shear = float(np.abs(axes.T @ axes - np.eye(3)).max())
    if shear > 0.01:
        raise ReferenceRegionError(
            name,
            f"voxel axes {np.degrees(np.arccos(shear)):.0f}° apart",
            "90°",
            "resample the T1w image to a rectangular grid",
        )
