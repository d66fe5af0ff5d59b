"""A T1w painted on given tissue maps: a head that owes nothing to the template."""

from __future__ import annotations

import nibabel as nib
import numpy as np
from scipy import ndimage

from petfmri.errors import InputError
from petfmri.images.resampling import Grid
from petfmri.images.volumes import require_volume
from petfmri.simulation.anatomy import CSF, GREY, T1_OF_TISSUE, WHITE, bias_field, rician_noise
from petfmri.typing import BoolArray, FloatArray

HALF_BRAIN_MM = (70.0, 87.0, 70.0)  # of the brain in whose millimetres the face is described
BRIDGED_MM = 10.0  # sulci narrower than twice this hold CSF outside the maps
MENINGES_MM, SKULL_MM, SCALP_MM = 1.5, 6.5, 6.0
TABLE_MM = 1.6  # of compact bone on either side of the marrow
SKIN_MM, FAT_MM = 1.5, 5.0  # depths below the surface
AIR, BONE, MARROW, MUSCLE, SKIN, FAT, EYE, CORD = 0.02, 0.08, 0.5, 0.5, 0.55, 0.9, 0.25, 0.85
BLEND_MM = 12.0  # over which cranium, face and neck flow into each other
SURFACES = (  # centre and radii around the centre of the brain, mm: right, front, up
    ((0, 32, -66), (60, 70, 80)),  # face and jaw
    ((0, 98, -62), (13, 18, 20)),  # nose
    ((0, -22, -150), (54, 60, 110)),  # neck
)
FEATURES = (  # the same and a brightness; the later lies over the earlier; x is mirrored
    ((33, 66, -50), (20, 26, 16), FAT),  # orbit
    ((33, 74, -50), (12, 12, 12), EYE),
    ((27, 66, -80), (13, 15, 13), AIR),  # maxillary sinus
    ((6, 72, -68), (6, 30, 18), AIR),  # nose
    ((0, 32, -98), (12, 6, 42), AIR),  # throat
    ((0, 72, -108), (24, 26, 4), AIR),  # mouth
    ((42, 40, -112), (6, 34, 13), BONE),  # jaw
    ((0, -20, -92), (17, 12, 9), MARROW),  # vertebrae
    ((0, -20, -114), (17, 12, 9), MARROW),
    ((0, -20, -136), (17, 12, 9), MARROW),
)
CANAL_MM, CORD_MM = 10.0, 6.0
BLUR_MM = 0.6  # voxels on the borders of the surroundings are mixed
SHARE_TOLERANCE = 1e-3  # by which interpolated maps may leave 0..1
TEXTURE = 0.08  # largest deviation of the surroundings from their mean brightness


def paint_head(
    gm: nib.Nifti1Image,
    wm: nib.Nifti1Image,
    csf: nib.Nifti1Image,
    *,
    bias_percent: float,
    noise_percent: float,
    rng: np.random.Generator,
) -> nib.Nifti1Image:
    """Paint a T1-weighted head on the tissue maps of a brain.

    The brain takes its brightness from the maps alone. Meninges, skull, scalp, face and neck are
    made up around it from its outline and from ellipsoids, not from any template, so that
    accuracy can be judged on an anatomy that no engine has seen.

    Parameters
    ----------
    gm, wm, csf : Nifti1Image, 3-D, 0..1
        Shares of each voxel, on one grid with room for a head; world axes point right, front
        and up.
    bias_percent : float, percent
        Largest deviation of the bias field from 1.
    noise_percent : float, percent
        SD of the Rician noise, relative to white matter.
    rng : Generator

    Returns
    -------
    Nifti1Image, float32
        White matter near 1, on the grid of the maps.

    Raises
    ------
    InputError
        If the maps are not 3-D, lie on different grids, or hold no brain or other values
        than shares.
    """
    shares = _shares(gm, wm, csf)
    grid, brain = Grid.of(gm), np.clip(shares.sum(axis=0), 0, 1)
    if not (brain > 0.5).any():
        raise _not_shares("no brain")
    around = _Around(grid, brain > 0.5, rng).value()
    weights = [T1_OF_TISSUE[tissue] for tissue in (CSF, GREY, WHITE)]
    clean = np.tensordot(weights, shares, 1) + (1 - brain) * around
    shaded = clean * bias_field(grid, bias_percent, rng)
    noisy = rician_noise(shaded.astype(np.float32), noise_percent / 100, rng)
    return nib.Nifti1Image(noisy.astype(np.float32), grid.affine)


def _shares(gm: nib.Nifti1Image, wm: nib.Nifti1Image, csf: nib.Nifti1Image) -> FloatArray:
    """Return CSF, grey and white, shape (3, x, y, z), summing to at most 1."""
    for image in (gm, wm, csf):
        require_volume(image)
    if any(Grid.of(image) != Grid.of(gm) for image in (wm, csf)):
        raise InputError(
            "tissue maps of a head", "several grids", "one grid", "resample them onto one"
        )
    shares = np.stack([np.asarray(image.dataobj, dtype=np.float32) for image in (csf, gm, wm)])
    low, high = float(shares.min()), float(shares.max())
    if not (low >= -SHARE_TOLERANCE and high <= 1 + SHARE_TOLERANCE):  # or NaN
        raise _not_shares(f"values from {low:g} to {high:g}")
    return np.asarray(shares / np.maximum(shares.sum(axis=0), 1))


def _not_shares(found: str) -> InputError:
    return InputError("tissue maps of a head", found, "shares from 0 to 1", "check them")


class _Around:
    """What lies around a brain: brightness by distance from the brain and from the surface."""

    def __init__(self, grid: Grid, brain: BoolArray, rng: np.random.Generator) -> None:
        self.grid = grid
        self.from_brain = _beyond_hull(brain, grid)
        points = grid.points().reshape(*grid.shape, 3)
        inside = points[brain]
        low, high = inside.min(axis=0), inside.max(axis=0)
        scale = np.array(HALF_BRAIN_MM) / ((high - low) / 2)
        self.points = ((points - (low + high) / 2) * scale).astype(np.float32)
        lowest = self.points[brain]
        self.stem = lowest[lowest[:, 2] < lowest[:, 2].min() + 4].mean(axis=0)
        self.texture = _texture(self.points, rng)

    def value(self) -> FloatArray:
        """Return the brightness of every voxel as if there were no brain in it."""
        skull = MENINGES_MM + SKULL_MM * (1 + 2 * self.texture)
        surface: FloatArray = self.from_brain - skull - SCALP_MM
        for center, radii in SURFACES:
            surface = _smooth_minimum(surface, self._ellipsoid(center, radii))
        value = np.select(
            [surface > 0, surface > -SKIN_MM, surface > -FAT_MM], [AIR, SKIN, FAT], MUSCLE
        )
        for (x, *yz), radii, bright in FEATURES:
            for side in {x, -x}:
                value[(self._ellipsoid((side, *yz), radii) < 0) & (surface < -SKIN_MM)] = bright
        bone = (self.from_brain < skull) & (surface < -SKIN_MM)
        value[bone] = MARROW
        value[bone & (self.from_brain < MENINGES_MM + TABLE_MM)] = BONE
        value[bone & (self.from_brain > skull - TABLE_MM)] = BONE
        self._add_cord(value)
        value[self.from_brain < MENINGES_MM] = T1_OF_TISSUE[CSF]
        value = value * (1 + self.texture)
        return np.asarray(ndimage.gaussian_filter(value, BLUR_MM / self.grid.spacing_mm))

    def _add_cord(self, value: FloatArray) -> None:
        """Continue the brain stem downwards, in its canal."""
        x, y, z = np.moveaxis(self.points - self.stem, -1, 0)
        away = np.where(z < 6, np.hypot(x, y), np.inf)
        value[away < CANAL_MM] = T1_OF_TISSUE[CSF]
        value[away < CORD_MM] = CORD

    def _ellipsoid(self, center: tuple[float, ...], radii: tuple[float, ...]) -> FloatArray:
        """Return about the distance from an ellipsoid, mm, negative inside."""
        relative = (self.points - np.array(center, dtype=np.float32)) / np.array(
            radii, dtype=np.float32
        )
        return np.asarray((np.linalg.norm(relative, axis=-1) - 1) * min(radii))


def _beyond_hull(brain: BoolArray, grid: Grid) -> FloatArray:
    """Return the distance from the brain with its sulci bridged, mm; 0 inside."""
    room = int(np.ceil(2 * BRIDGED_MM / grid.spacing_mm.min()))
    padded = np.pad(brain, room)
    grown = _distance(padded, grid) <= BRIDGED_MM
    hull = _distance(~grown, grid) > BRIDGED_MM
    inner = tuple(slice(room, -room) for _ in range(3))
    return np.asarray(
        ndimage.gaussian_filter(_distance(hull[inner] | brain, grid), 1.0 / grid.spacing_mm)
    )


def _distance(mask: BoolArray, grid: Grid) -> FloatArray:
    away = ndimage.distance_transform_edt(~mask, sampling=grid.spacing_mm)
    return np.asarray(away, dtype=np.float32)


def _smooth_minimum(one: FloatArray, other: FloatArray) -> FloatArray:
    overlap = np.maximum(BLEND_MM - np.abs(one - other), 0) / BLEND_MM
    return np.asarray(np.minimum(one, other) - overlap**2 * BLEND_MM / 4)


def _texture(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Sum waves of random direction and 15 to 60 mm length; at most `TEXTURE`."""
    total = np.zeros(points.shape[:3], dtype=np.float32)
    for length_mm in (60, 45, 30, 20, 15):
        direction = rng.normal(size=3)
        wave = 2 * np.pi / length_mm * direction / np.linalg.norm(direction)
        total += np.sin(points @ wave.astype(np.float32) + rng.uniform(0, 2 * np.pi))
    return np.asarray(TEXTURE * total / 5)
