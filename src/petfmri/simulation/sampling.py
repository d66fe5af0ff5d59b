"""Reading a head that lies somewhere in a scanner and moves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Transform
from petfmri.simulation.anatomy import AIR, Head
from petfmri.typing import BoolArray, FloatArray

ORDER = 2  # of the splines: as good as cubic on images this smooth, and a third of the time
FWHM_PER_SIGMA = float(np.sqrt(8 * np.log(2)))
COARSE = 2  # voxels: spacing at which distance from the head is measured


class Sampler:
    """Reads images that live on the head's grid at the voxels of a scan, frame by frame.

    Only voxels near the head are read; air is 0.

    Parameters
    ----------
    head : Head
    from_scan_to_t1w : Affine
        Maps points of the T1w image to points of the scan.
    grid : Grid
        Of the scan.
    margin_mm : float, mm
        How far from the head, in the scan's reference, a moving and blurred head can reach.
    distortion : Transform, optional
        Maps points of the scan's motion reference to where they would lie without distortion.
    """

    def __init__(
        self,
        head: Head,
        from_scan_to_t1w: Affine,
        grid: Grid,
        margin_mm: float,
        distortion: Transform | None = None,
    ) -> None:
        self.grid = grid
        self.from_t1w, self.distortion = ~from_scan_to_t1w, distortion
        self.to_voxels = np.linalg.inv(head.grid.affine)
        self.seen = self._near(head, margin_mm)
        self.points = grid.points()[self.seen.ravel()].T

    def read(self, coefficients: FloatArray, movement: Affine) -> FloatArray:
        """Read spline coefficients (see `spline`) where the head is in one frame.

        Parameters
        ----------
        coefficients : array on the head's grid
        movement : Affine
            Maps points of the scan's motion reference to points of the frame.

        Returns
        -------
        float32 array of shape `grid.shape`
        """
        points, matrix = self.points, self.to_voxels @ self.from_t1w.matrix
        if self.distortion is None:
            matrix = matrix @ (~movement).matrix
        else:
            points = self.distortion.map((~movement).map(points.T)).T
        voxels = matrix[:3, :3] @ points + matrix[:3, 3:]
        values = ndimage.map_coordinates(
            coefficients, voxels, order=ORDER, prefilter=False, output=np.float32
        )
        image = np.zeros(self.grid.shape, dtype=np.float32)
        image[self.seen] = values
        return image

    def _near(self, head: Head, margin_mm: float) -> BoolArray:
        """Tell which voxels of the scan lie within `margin_mm` of the head."""
        coarse = head.tissue[::COARSE, ::COARSE, ::COARSE] == AIR
        distance = ndimage.distance_transform_edt(coarse, sampling=COARSE * head.grid.spacing_mm)
        matrix = np.diag([1 / COARSE] * 3 + [1]) @ self.to_voxels @ self.from_t1w.matrix
        near = ndimage.affine_transform(
            distance.astype(np.float32), matrix @ self.grid.affine, output_shape=self.grid.shape,
            order=0, mode="nearest",
        )  # fmt: skip
        return np.asarray(near <= margin_mm)


def spline(image: FloatArray) -> FloatArray:
    """Return the spline coefficients that `Sampler.read` evaluates."""
    return np.asarray(ndimage.spline_filter(image, ORDER, np.float32, "mirror"))


def blur(image: FloatArray, grid: Grid, fwhm_mm: float) -> FloatArray:
    """Blur with a Gaussian of a given full width at half maximum."""
    sigma = fwhm_mm / FWHM_PER_SIGMA / grid.spacing_mm
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="constant", truncate=3.5))
