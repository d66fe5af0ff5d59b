"""One frame aligned rigidly to a reference by Gauss-Newton least squares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.errors import InputError
from petfmri.images.transforms import Affine, rigid
from petfmri.typing import BoolArray, FloatArray, IntArray

FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
BELIEVED_MM = 1.0  # expected error beyond which the motion of a frame is not believed

_COARSE = 4  # thinning of these while steps are long
_LONG_MM, _CONVERGED_MM = 0.05, 5e-3
_STEPS = 30
_STEP_MM = 0.5  # over which the slopes of a frame are taken
_LEAST_SEEN = 0.3  # share of the reference that a frame must contain
_DEGREE, _WAVE_MM = 3, 30.0  # of a scale that varies; what is small against it varies less
_BLOCK_MM = 20.0  # noise and mismatch are taken for unrelated beyond this distance


@dataclass(frozen=True)
class AlignedFrame:
    """One frame's transform and its expected error, root mean square over the mask.

    Parameters
    ----------
    transform : Affine
        Points of the reference to points of the frame.
    error_mm : float
        Infinite when no alignment was found; then `transform` is where it began.
    """

    transform: Affine
    error_mm: float

    @property
    def is_believed(self) -> bool:
        """Whether the frame holds enough signal for its motion to mean something."""
        return self.error_mm <= BELIEVED_MM


class FrameAligner:
    """Aligns frames to one reference; what depends on the reference is computed once.

    Minimises the squared difference between the smoothed frame and the smoothed reference times
    a scale that is fitted for each frame, over a lattice of mask voxels. With `contrast_changes`
    the scale is a cubic polynomial over the head: regions take up and lose a tracer at different
    rates, which a single scale would take for movement.

    The expected error comes from the residuals themselves: their products with the slopes are
    added up within blocks wider than any correlation of the noise, and only between blocks are
    they taken for independent. It holds for noisy references as long as the frame is no part of
    them.

    Parameters
    ----------
    reference : array of shape (x, y, z)
    affine : array of shape (4, 4)
    mask : bool array of shape (x, y, z)
    fwhm_mm : float
        Gaussian smoothing of reference and frames; 0 when they are smooth already.
    samples : int, default=3000
        Voxels that a fit looks at, about.
    outlier_sd : float, optional
        Residuals beyond so many robust standard deviations count nothing and smaller ones less
        (Tukey's biweight): for series in which parts of a volume lose their signal. Without it
        all count alike.
    contrast_changes : bool, default=False

    References
    ----------
    Baker S, Matthews I. Lucas-Kanade 20 years on: a unifying framework. Int J Comput Vis
    2004;56:221-255.

    Liang KY, Zeger SL. Longitudinal data analysis using generalized linear models. Biometrika
    1986;73:13-22.
    """

    def __init__(
        self,
        reference: FloatArray,
        affine: FloatArray,
        mask: BoolArray,
        fwhm_mm: float,
        *,
        samples: int = 3000,
        outlier_sd: float | None = None,
        contrast_changes: bool = False,
    ) -> None:
        if not mask.any():
            raise InputError("mask of the series", "no voxel", "a head", "look at the reference")
        self.shape, self.outlier_sd = reference.shape, outlier_sd
        self.to_voxels = np.linalg.inv(affine)
        self.sigma: FloatArray = np.asarray(fwhm_mm * FWHM_TO_SIGMA / voxel_sizes(affine))
        smooth: FloatArray = self._smoothed(reference)
        voxels = _lattice(mask, samples)
        self.points = Affine(affine).map(voxels.astype(float))
        self.center: FloatArray = np.asarray(self.points.mean(axis=0))
        around = self.points - self.center
        self.values = smooth[tuple(voxels.T)].astype(float)
        rises = [_spline_slope(smooth, axis)[tuple(voxels.T)] for axis in range(3)]
        slopes = np.stack(rises, axis=1)
        slopes = slopes.astype(float) @ self.to_voxels[:3, :3]
        self.slopes = np.column_stack([slopes, np.cross(around, slopes)])
        self.reach = float(np.sqrt((around**2).sum(axis=1).max()))
        degree = int(min(_DEGREE, self.reach // _WAVE_MM)) if contrast_changes else 0
        fields = _polynomials(around / max(self.reach, 1e-9), degree)
        self.scaled = self.values[:, None] * fields
        self.blocks = _blocks(self.points)
        self.inertia = np.eye(3) * (around**2).sum() / len(around) - around.T @ around / len(around)

    def fit_all(self, frames: Iterable[FloatArray]) -> list[AlignedFrame]:
        """Fit frame after frame, each from the last one that could be believed.

        Raises
        ------
        InputError
            If a frame has another shape or values that are not finite.
        """
        fits: list[AlignedFrame] = []
        start = Affine()
        for number, frame in enumerate(frames):
            if frame.shape != self.shape or not np.isfinite(frame).all():
                raise InputError(
                    f"frame {number} of the series",
                    f"shape {frame.shape} or values that are not finite",
                    f"finite values of shape {self.shape}",
                    "reconstruct or export it anew",
                )
            fits.append(self.fit(frame, start))
            if fits[-1].is_believed:
                start = fits[-1].transform
        return fits

    def fit(self, frame: FloatArray, start: Affine) -> AlignedFrame:
        """Align one frame from `start` by inverse-compositional Gauss-Newton steps."""
        coefficients = ndimage.spline_filter(self._smoothed(frame), 3, np.float32, "mirror")
        current, thin, gain = start, _COARSE, None
        for _ in range(_STEPS):
            found, seen = self._read(coefficients, current, thin)
            expected, scaled = self.values[::thin][seen], self.scaled[::thin][seen]
            scale = float(found @ expected / max(expected @ expected, 1e-12))
            if seen.mean() < _LEAST_SEEN or scale <= 0:
                break
            weights = self._weights(found - (scale * expected if gain is None else scaled @ gain))
            of_scale = _projector(scaled, weights)
            gain = of_scale @ found
            slopes = self.slopes[::thin][seen] * scale
            slopes = slopes - scaled @ (of_scale @ slopes)
            residual = found - scaled @ gain
            weighted = slopes.T * weights
            inverse = np.linalg.pinv(weighted @ slopes, hermitian=True)
            update = inverse @ (weighted @ residual)
            shift, turn = update[:3], update[3:]
            current = current @ ~rigid(shift, np.rad2deg(turn), self.center)
            moved = float(np.linalg.norm(shift) + self.reach * np.linalg.norm(turn))
            if thin == 1 and moved < _CONVERGED_MM:
                scores = weighted.T * (residual - slopes @ update)[:, None]
                rises = self._frame_slopes(coefficients, current)[seen]
                rises = rises - scaled @ (of_scale @ rises)
                inverse = np.linalg.pinv(weighted @ rises)
                return AlignedFrame(current, self._expected_error(scores, inverse, seen))
            thin = 1 if moved < _LONG_MM else thin
        return AlignedFrame(start, np.inf)

    def _weights(self, residual: FloatArray) -> FloatArray:
        if self.outlier_sd is None:
            return np.ones(len(residual))
        limit = self.outlier_sd * 1.4826 * float(np.median(np.abs(residual))) + 1e-12
        return np.asarray(np.clip(1 - (residual / limit) ** 2, 0, None) ** 2)

    def _read(
        self, coefficients: FloatArray, transform: Affine, thin: int
    ) -> tuple[FloatArray, BoolArray]:
        """Return the frame at the mapped points that fall into it, and which ones do."""
        voxels = Affine(self.to_voxels @ transform.matrix).map(self.points[::thin])
        last = np.asarray(self.shape) - 1
        seen: BoolArray = np.asarray(((voxels >= 0) & (voxels <= last)).all(axis=1))
        return _at(coefficients, voxels[seen]), seen

    def _frame_slopes(self, coefficients: FloatArray, transform: Affine) -> FloatArray:
        """Return how the frame changes with the six parameters, at all points.

        Noise of the reference makes its own slopes steeper than those of the head, and an error
        that is divided by them too small; the frame's have noise of their own.
        """
        there = Affine(self.to_voxels @ transform.matrix)
        rises = [
            _at(coefficients, there.map(self.points + step))
            - _at(coefficients, there.map(self.points - step))
            for step in _STEP_MM * np.eye(3)
        ]
        slopes = np.stack(rises, axis=1) / (2 * _STEP_MM)
        return np.column_stack([slopes, np.cross(self.points - self.center, slopes)])

    def _expected_error(self, scores: FloatArray, inverse: FloatArray, seen: BoolArray) -> float:
        """Turn residuals times slopes into the error of the motion, mm."""
        blocks = self.blocks[seen]
        count = len(np.unique(blocks))
        sums = np.stack([np.bincount(blocks, column) for column in scores.T])
        spare = max(count - 6 - self.scaled.shape[1], 1)
        covariance = inverse @ (sums @ sums.T) @ inverse.T * count / spare
        shift, turn = covariance[:3, :3], covariance[3:, 3:]
        return float(np.sqrt(np.trace(shift) + np.trace(turn @ self.inertia)))

    def _smoothed(self, volume: FloatArray) -> FloatArray:
        volume = np.asarray(volume, dtype=np.float32)
        return np.asarray(ndimage.gaussian_filter(volume, self.sigma, mode="nearest", truncate=3))


def _projector(design: FloatArray, weights: FloatArray) -> FloatArray:
    """Return what turns values into the coefficients of their weighted fit."""
    weighted = design.T * weights
    return np.asarray(np.linalg.pinv(weighted @ design, hermitian=True) @ weighted)


def _at(coefficients: FloatArray, voxels: FloatArray) -> FloatArray:
    """Read a cubic spline at voxel coordinates of shape (n, 3)."""
    return np.asarray(
        ndimage.map_coordinates(
            coefficients, voxels.T, order=3, prefilter=False, mode="mirror", output=float
        )
    )


def _spline_slope(volume: FloatArray, axis: int) -> FloatArray:
    """Return the slope per voxel of the cubic spline through the voxels along one axis.

    Differences of neighbours would be too flat where structures are not much wider than a voxel,
    and steps that divide by them too long.
    """
    coefficients = ndimage.spline_filter1d(volume, 3, axis, np.float32, "mirror")
    return np.asarray(np.gradient(coefficients, axis=axis))


def _lattice(mask: BoolArray, samples: int) -> IntArray:
    """Thin the voxels of a mask out evenly in all directions."""
    voxels = np.argwhere(mask)
    step = 2 ** int(np.clip(np.log2(len(voxels) / samples), 0, 5))
    return voxels[(voxels @ np.array([1, 3, 5])) % step == 0]


def _polynomials(points: FloatArray, degree: int) -> FloatArray:
    """Return every product of powers of x, y and z up to a total degree, one per column."""
    powers = [p for p in product(range(degree + 1), repeat=3) if sum(p) <= degree]
    return np.stack([(points**power).prod(axis=1) for power in powers], axis=1)


def _blocks(points: FloatArray) -> IntArray:
    """Number the cubes of `_BLOCK_MM` in which points lie."""
    cubes = np.floor(points / _BLOCK_MM).astype(int)
    return np.asarray(np.unique(cubes, axis=0, return_inverse=True)[1].ravel())
