"""How one person's head differs in shape from the template: position, size and a smooth warp."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petfmri.errors import RegistrationError
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Transform, Warp, rigid
from petfmri.simulation.phantom import Phantom
from petfmri.typing import FloatArray

WARP_SPACING_MM, WARP_MARGIN_MM = 6.0, 12.0
WARP_SMOOTHNESS_MM = 22.0
WARP_RMS_MM, WARP_MAX_MM = 4.2, 10.4
SMALLEST_JACOBIAN = 0.2
LARGEST_SCALING = 0.08
LARGEST_SHIFT_MM, LARGEST_TILT_DEG = 5.0, 4.0


def draw_to_template(phantom: Phantom, rng: np.random.Generator) -> Transform:
    """Draw a person's shape: scaling, position and a smooth warp, without folds.

    Beyond what any affine explains, the warp moves the brain by at least 4 mm (RMS) and 10 mm
    (largest).

    Returns
    -------
    Transform
        Maps points of the person's head to points of the template.
    """
    for _ in range(10):
        warp = _scaled_warp(phantom, rng)
        if jacobian(warp).min() > SMALLEST_JACOBIAN:
            break
    else:
        raise RegistrationError(
            "simulated warp", "folds in ten draws", "a smooth invertible warp", "change the seed"
        )
    scaling = np.eye(4)
    scaling[range(3), range(3)] = 1 + _evenly(LARGEST_SCALING, rng)
    about = rigid(-phantom.middle[0])
    pose = rigid(_evenly(LARGEST_SHIFT_MM, rng), _evenly(LARGEST_TILT_DEG, rng))
    person_from_template = ~about @ pose @ Affine(scaling) @ about
    return Warp(warp.displacement, warp.affine, ~warp) @ ~person_from_template


def nonlinear_part(warp: Transform, points: FloatArray) -> FloatArray:
    """Return the displacement of points that the best affine leaves over, mm, shape (n, 3)."""
    moved = warp.map(points)
    design = np.column_stack([points, np.ones(len(points))])
    return np.asarray(moved - design @ np.linalg.lstsq(design, moved, rcond=None)[0])


def jacobian(warp: Warp) -> FloatArray:
    """Return the determinant of the derivative of ``x + displacement(x)`` at every grid point."""
    gradient = np.stack(np.gradient(warp.displacement.astype(float), axis=(0, 1, 2)), axis=-1)
    return np.asarray(np.linalg.det(np.eye(3) + gradient @ np.linalg.inv(warp.affine[:3, :3])))


def _scaled_warp(phantom: Phantom, rng: np.random.Generator) -> Warp:
    """Draw a warp and scale it until it moves the brain far enough."""
    corners = Affine(phantom.affine).map(np.array([[0, 0, 0], phantom.head.shape]))
    low, high = corners.min(axis=0) - WARP_MARGIN_MM, corners.max(axis=0) + WARP_MARGIN_MM
    affine = np.diag([WARP_SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = low
    shape = np.ceil((high - low) / WARP_SPACING_MM).astype(int)
    sigma = WARP_SMOOTHNESS_MM / WARP_SPACING_MM
    raw = rng.normal(size=(*shape, 3))
    velocity = ndimage.gaussian_filter(raw, (sigma, sigma, sigma, 0), mode="constant")
    points = phantom.brain_points
    velocity = velocity * _missing_scale(Warp(velocity, affine), points)
    for _ in range(20):
        warp = Warp(_flow(velocity, affine), affine)
        missing = _missing_scale(warp, points)
        if missing <= 1:
            break
        velocity = velocity * (1.01 * missing)
    return warp


def _missing_scale(warp: Warp, points: FloatArray) -> float:
    """Return the factor by which a warp must grow to move the brain far enough."""
    size = np.linalg.norm(nonlinear_part(warp, points), axis=1)
    return float(max(WARP_RMS_MM / np.sqrt((size**2).mean()), WARP_MAX_MM / size.max()))


def _flow(velocity: FloatArray, affine: FloatArray, halvings: int = 4) -> FloatArray:
    """Follow a velocity field for unit time by squaring small steps: never folds."""
    shape = velocity.shape[:3]
    points = Grid((shape[0], shape[1], shape[2]), affine).points()
    step = velocity / 2**halvings
    for _ in range(halvings):
        moved = Warp(step, affine)
        step = (moved.map(moved.map(points)) - points).reshape(velocity.shape)
    return step


def _evenly(largest: float, rng: np.random.Generator) -> FloatArray:
    return rng.uniform(-largest, largest, 3)
