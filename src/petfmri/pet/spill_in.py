"""How much of a reference region's signal comes from the tissues around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from petfmri.errors import ReferenceRegionError
from petfmri.pet.masks import FWHM_PER_SIGMA, as_mask, blurred, box_around
from petfmri.typing import FloatArray

ASSUMED_PSF_MM = 5.5
GREY_TO_WHITE = 4.0  # uptake of an SV2A tracer in grey matter over that in white matter
_REACH = 4.0  # in standard deviations: where the blurring kernel is cut off


@dataclass(frozen=True)
class SpillIn:
    """What the tissues add to a region's mean, each per unit of its own uptake.

    Attributes
    ----------
    white, grey, csf : float
        At a uniform uptake of 1 in one tissue and 0 in all others, the region's mean.
    """

    white: float
    grey: float
    csf: float

    def grey_percent(self, grey_to_white: float = GREY_TO_WHITE) -> float:
        """Share of the region's signal that comes from grey matter, %.

        Parameters
        ----------
        grey_to_white : float
            Uptake of grey over that of white matter; CSF has none.

        Examples
        --------
        >>> round(SpillIn(white=0.95, grey=0.03, csf=0.02).grey_percent(4.0), 1)
        11.2
        """
        grey = grey_to_white * self.grey
        return 100 * grey / (grey + self.white)


def spill_in(
    region: ArrayLike,
    white: FloatArray,
    grey: FloatArray,
    csf: FloatArray,
    affine: FloatArray,
    fwhm_mm: ArrayLike = ASSUMED_PSF_MM,
) -> SpillIn:
    """Estimate spill-in from the anatomy and the scanner's resolution alone.

    The mean of a blurred tissue map over the region equals the sum of that map times the blurred
    region, over the region's size: one blurring serves all tissues.

    Parameters
    ----------
    region : bool array of shape (x, y, z)
    white, grey, csf : arrays of shape (x, y, z)
        Share of each tissue in a voxel, 0 to 1.
    affine : array of shape (4, 4)
        Of their common grid.
    fwhm_mm : float or (float, float, float), mm
        Gaussian point spread; three values as in `petfmri.pet.masks.blurred`.

    Raises
    ------
    ReferenceRegionError
        If the region is empty, outside all tissue, or not on the grid of the tissues.

    References
    ----------
    Rousset OG, Ma Y, Evans AC. J Nucl Med 1998;39:904-911 (regional spread functions).

    Examples
    --------
    A voxel of white matter whose centre is 3.5 mm from a wall of grey matter, at 6 mm FWHM:

    >>> grey = np.zeros((41, 41, 41))
    >>> grey[:16] = 1
    >>> region = np.zeros(grey.shape, bool)
    >>> region[19:20, 20, 20] = True
    >>> spread = spill_in(region, 1 - grey, grey, 0 * grey, np.eye(4), 6.0)
    >>> round(spread.white, 2), round(spread.grey, 2)
    (0.92, 0.08)
    """
    mask = as_mask(region)
    for tissue in (white, grey, csf):
        if np.shape(tissue) != mask.shape:
            raise _refused(f"grids of {mask.shape} and {np.shape(tissue)} voxels", "one grid")
    margin_mm = _REACH * float(np.max(fwhm_mm)) / FWHM_PER_SIGMA
    box = box_around(mask, affine, margin_mm)
    spread = blurred(mask[box], affine, fwhm_mm, mode="constant").astype(float)
    n_voxels = max(int(mask.sum()), 1)
    shares = [float((spread * tissue[box]).sum() / n_voxels) for tissue in (white, grey, csf)]
    if not sum(shares[:2]) > 0:
        raise _refused("no grey or white matter in or near it", "a region of the brain")
    return SpillIn(*shares)


def _refused(found: str, expected: str) -> ReferenceRegionError:
    return ReferenceRegionError(
        "spill-in of the reference region", found, expected, "check its mask and the tissues"
    )
