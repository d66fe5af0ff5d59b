"""Reference regions in a person's own anatomy, measured in millimetres.

A region is made once, on the participant's T1w grid, and serves every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import ArrayLike

from petfmri.errors import ReferenceRegionError
from petfmri.pet.masks import apart, as_mask, blurred, box_around, voxel_ml
from petfmri.typing import BoolArray, FloatArray, IntArray

MIN_VOLUME_ML = 1.0
MIN_COVERAGE = 0.9
LESION_MM = 4.0
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
        return float(self.mask.sum() * voxel_ml(self.affine))


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
    lesion: ArrayLike | None = None,
    lesion_mm: float = LESION_MM,
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
    lesion : bool array of shape (x, y, z), optional
    lesion_mm : float, mm
        Least distance to it.
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
    mask = as_mask(start)
    _same_grid(name, mask, white, grey, csf)
    limit_mm = max(erosion_mm, grey_mm, csf_mm, lesion_mm) + smooth_mm
    box = box_around(mask, affine, limit_mm)
    white, grey, csf = white[box], grey[box], csf[box]
    deep, near_grey, near_csf = (
        blurred(tissue, affine, smooth_mm) for tissue in (white, grey, csf)
    )
    core = (white >= white_threshold) | (deep >= white_threshold)
    grey, csf = np.where(near_grey < PRESENT / 2, 0, grey), np.where(near_csf < PRESENT / 2, 0, csf)
    steps = [
        ("starting mask", np.ones(core.shape, dtype=bool)),
        (f"white matter from {white_threshold:g}", core),
        (f"{erosion_mm:g} mm inside it", apart(~core, affine, erosion_mm)),
        (f"{grey_mm:g} mm from grey matter", apart(grey >= PRESENT, affine, grey_mm)),
        (f"{csf_mm:g} mm from CSF", apart(csf >= PRESENT, affine, csf_mm)),
        *_without(name, lesion, mask, box, affine, lesion_mm),
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
    lesion: ArrayLike | None = None,
    lesion_mm: float = LESION_MM,
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
    lesion : bool array of shape (x, y, z), optional
    lesion_mm : float, mm
        Least distance to it.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains, or the arrays do not share one grid.
    """
    name = "cerebellar grey matter"
    mask, cortex = as_mask(cerebellum), as_mask(cerebral_cortex)
    _same_grid(name, mask, cortex, grey)
    box = box_around(mask, affine, max(cortex_mm, lesion_mm))
    steps = [
        ("cerebellar labels", np.ones(mask[box].shape, dtype=bool)),
        (f"grey matter from {grey_threshold:g}", grey[box] >= grey_threshold),
        (f"{cortex_mm:g} mm from cerebral cortex", apart(cortex[box], affine, cortex_mm)),
        *_without(name, lesion, mask, box, affine, lesion_mm),
    ]
    return _built(name, mask, box, steps, affine, min_volume_ml)


def label_reference(
    name: str,
    labels: IntArray,
    values: Sequence[int],
    affine: FloatArray,
    *,
    erosion_mm: float = 0.0,
    lesion: ArrayLike | None = None,
    lesion_mm: float = LESION_MM,
    min_volume_ml: float = MIN_VOLUME_ML,
) -> ReferenceRegion:
    """Reference of the user's choice: labels of a parcellation.

    Parameters
    ----------
    name : str
    labels : int array of shape (x, y, z)
    values : sequence of int
        Labels that form the region together.
    affine : array of shape (4, 4)
    erosion_mm : float, mm
        Least distance to the region's surface.
    lesion : bool array of shape (x, y, z), optional
    lesion_mm : float, mm
        Least distance to it.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains.
    """
    mask = np.isin(labels, list(values))
    box = box_around(mask, affine, max(erosion_mm, lesion_mm))
    steps = [(f"labels {', '.join(map(str, values))}", mask[box])]
    if erosion_mm > 0:
        steps.append((f"{erosion_mm:g} mm inside", apart(~mask[box], affine, erosion_mm)))
    steps += _without(name, lesion, mask, box, affine, lesion_mm)
    return _built(name, mask, box, steps, affine, min_volume_ml)


def brain_reference(
    brain: ArrayLike,
    grey: FloatArray,
    white: FloatArray,
    affine: FloatArray,
    *,
    tissue_threshold: float = 0.5,
    lesion: ArrayLike | None = None,
    lesion_mm: float = LESION_MM,
    min_volume_ml: float = MIN_VOLUME_ML,
) -> ReferenceRegion:
    """Grey and white matter of the whole brain, without CSF.

    The target is a part of it, so a change of the whole brain cannot be seen in ratios to it, and
    a change of one region is seen a little too small: it serves as a check of another reference.

    Parameters
    ----------
    brain : bool array of shape (x, y, z)
    grey, white : arrays of shape (x, y, z)
        Tissue probabilities.
    affine : array of shape (4, 4)
    tissue_threshold : float
        Least probability of grey and white matter together.
    lesion : bool array of shape (x, y, z), optional
    lesion_mm : float, mm
        Least distance to it.
    min_volume_ml : float, mL

    Raises
    ------
    ReferenceRegionError
        If less than `min_volume_ml` remains, or the arrays do not share one grid.

    Examples
    --------
    >>> grey, white = np.zeros((2, 20, 20, 20))
    >>> grey[:5], white[5:10] = 1, 1
    >>> brain_reference(np.ones(grey.shape), grey, white, np.eye(4)).note
    'brain mask 8.0 mL, grey and white matter from 0.5 4.0 mL'
    """
    name = "whole brain"
    mask = as_mask(brain)
    _same_grid(name, mask, grey, white)
    box = box_around(mask, affine, lesion_mm)
    tissue = grey[box] + white[box]
    steps = [
        ("brain mask", np.ones(mask[box].shape, dtype=bool)),
        (f"grey and white matter from {tissue_threshold:g}", tissue >= tissue_threshold),
        *_without(name, lesion, mask, box, affine, lesion_mm),
    ]
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


def _without(
    name: str,
    lesion: ArrayLike | None,
    mask: BoolArray,
    box: tuple[slice, ...],
    affine: FloatArray,
    least_mm: float,
) -> list[tuple[str, BoolArray]]:
    """Return the step that keeps away from a lesion, if there is one."""
    if lesion is None:
        return []
    _same_grid(name, mask, as_mask(lesion))
    return [(f"{least_mm:g} mm from lesions", apart(as_mask(lesion)[box], affine, least_mm))]


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
        volumes.append(f"{step} {inside.sum() * voxel_ml(affine):.1f} mL")
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
