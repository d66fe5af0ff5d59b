"""One person's head: an anatomy of its own whose tissues and parcels are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Transform
from petfmri.simulation.phantom import Phantom
from petfmri.simulation.regional import region_family
from petfmri.simulation.shape import draw_to_template
from petfmri.typing import BoolArray, FloatArray, IntArray

AIR, CSF, GREY, WHITE, SOFT = range(5)  # tissue labels
BRAIN_CENTER = (0.0, -16.0, 4.0)  # in the template, RAS mm
FIELD_OF_VIEW_MM = (202.0, 242.0, 202.0)
T1_OF_TISSUE = {CSF: 0.3, GREY: 0.72, WHITE: 1.0}
SOFT_THRESHOLD = 0.12  # T1w of what is not air
DEEP_GREY_BRIGHTNESS = {"thalam": 0.3, "pallid": 0.4, "putamen": 0.12}  # on the way to white
EROSION_MM = 3.0  # of white matter for the true reference region


@dataclass(frozen=True, eq=False)
class Head:
    """A person's head on the grid of the T1w image.

    Parameters
    ----------
    grid : Grid
    t1w : float32 array of shape `grid.shape`
        With bias field and noise.
    tissue : uint8 array
        0 air, 1 CSF, 2 grey matter, 3 white matter, 4 soft tissue.
    parcels : int array
        True parcels: labels 1..n_regions within grey matter, 0 elsewhere.
    compartment : int array
        What determines kinetics: 1..n_regions for all grey matter (its nearest region), then
        white matter, CSF, soft tissue; 0 for air.
    reference : bool array
        The true reference region: the start mask within white matter, more than 3 mm from its
        border.
    to_template : Transform
        Maps points of the T1w image to points of the template.
    center : array of shape (3,), RAS mm
        Of the brain, in the space of the T1w image.
    n_regions : int
    """

    grid: Grid
    t1w: FloatArray
    tissue: IntArray
    parcels: IntArray
    compartment: IntArray
    reference: BoolArray
    to_template: Transform
    center: FloatArray
    n_regions: int


def draw_head(
    phantom: Phantom,
    spacing_mm: float,
    bias_percent: float,
    noise_percent: float,
    rng: np.random.Generator,
) -> Head:
    """Draw one person's head and its T1w image.

    Parameters
    ----------
    phantom : Phantom
    spacing_mm : float, mm
        Of the T1w grid.
    bias_percent : float, percent
        Largest deviation of the bias field from 1.
    noise_percent : float, percent
        SD of the Rician noise, relative to white matter.
    rng : Generator
    """
    to_template = draw_to_template(phantom, rng)
    middle, center = (~to_template).map(np.concatenate([phantom.middle, [BRAIN_CENTER]]))
    grid = grid_around(middle, FIELD_OF_VIEW_MM, spacing_mm)
    n_regions = len(phantom.table)
    t1w = np.zeros(grid.shape, dtype=np.float32)
    tissue, parcels, compartment = (np.zeros(grid.shape, dtype=np.int16) for _ in range(3))
    start = np.zeros(grid.shape, dtype=bool)
    deep = _deep_brightness(phantom.table)
    between = np.array([0, n_regions + 2, 0, n_regions + 1, n_regions + 3], dtype=np.int16)
    for planes in grid.slabs():
        voxels = (~Affine(phantom.affine)).map(to_template.map(grid.points(planes))).T
        label, near, is_start = _nearest(voxels, phantom.labels, phantom.nearest, phantom.start)
        clean, kind = _tissues(phantom, voxels, deep[label])
        shape = t1w[planes].shape
        t1w[planes] = clean.reshape(shape)
        tissue[planes] = kind.reshape(shape)
        parcels[planes] = np.where(kind == GREY, label, 0).reshape(shape)
        compartment[planes] = np.where(kind == GREY, near, between[kind]).reshape(shape)
        start[planes] = is_start.reshape(shape)
    reference = deep_inside(tissue == WHITE, start, EROSION_MM, grid)
    shaded = t1w * bias_field(grid, bias_percent, rng)
    noisy = rician_noise(shaded, noise_percent / 100, rng)
    return Head(
        grid, noisy, tissue, parcels, compartment, reference, to_template, center, n_regions
    )


def grid_around(
    center: FloatArray,
    field_of_view_mm: tuple[float, float, float],
    spacing_mm: float,
    axes: FloatArray | None = None,
) -> Grid:
    """Return an isotropic grid with `center` in its middle; `axes` (3 × 3) may turn or flip it."""
    shape = np.ceil(np.array(field_of_view_mm) / spacing_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = spacing_mm * (np.eye(3) if axes is None else axes)
    affine[:3, 3] = center - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def bias_field(grid: Grid, percent: float, rng: np.random.Generator) -> FloatArray:
    """Draw a smooth multiplicative field around 1 whose largest deviation is `percent`."""
    x, y, z = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape)
    x, y, z = x[:, None, None], y[None, :, None], z[None, None, :]
    terms = (x, y, z, x * y, y * z, x * z, x**2, y**2, z**2)
    field = sum(weight * term for weight, term in zip(rng.normal(size=9), terms, strict=True))
    field = np.asarray(field - field.mean(), dtype=np.float32)
    return np.asarray(1 + percent / 100 * field / np.abs(field).max(), dtype=np.float32)


def deep_inside(mask: BoolArray, part: BoolArray, depth_mm: float, grid: Grid) -> BoolArray:
    """Keep the voxels of `part` that lie more than `depth_mm` inside `mask`."""
    kept = np.zeros(grid.shape, dtype=bool)
    box = ndimage.find_objects(part.astype(np.uint8))[0]
    margin = int(np.ceil(depth_mm / grid.spacing_mm.min())) + 1
    wide = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in box)
    depth = ndimage.distance_transform_edt(mask[wide], sampling=grid.spacing_mm)
    kept[wide] = part[wide] & (depth > depth_mm)
    return kept


def _nearest(voxels: FloatArray, *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    """Read arrays of one shape at the nearest voxels, the border continued outside."""
    last = np.array(arrays[0].shape)[:, None] - 1
    index = tuple(np.clip(np.rint(voxels).astype(np.int32), 0, last))
    return [array[index] for array in arrays]


def _tissues(phantom: Phantom, voxels: FloatArray, deep: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return noise-free T1w values and tissue labels at voxels of the template.

    `deep` is the brightness of deep grey matter, NaN elsewhere.
    """
    value = np.maximum(ndimage.map_coordinates(phantom.head, voxels, order=1), 0)
    kind = np.where(value > SOFT_THRESHOLD, SOFT, AIR).astype(np.int16)
    (near_brain,) = _nearest(voxels, phantom.near_brain)
    fuzzy = np.stack(
        [ndimage.map_coordinates(one, voxels[:, near_brain], order=1) for one in phantom.tissues]
    )
    brain = np.clip(fuzzy.sum(axis=0), 0, 1)
    crisp = fuzzy**2
    crisp /= np.maximum(crisp.sum(axis=0), 1e-9)
    inside = crisp.T @ np.array([T1_OF_TISSUE[tissue] for tissue in (CSF, GREY, WHITE)])
    is_deep = np.isfinite(deep[near_brain]) & (brain > 0.5)
    inside = np.where(is_deep, deep[near_brain], inside)
    value[near_brain] = brain * inside + (1 - brain) * value[near_brain]
    of_brain = np.where(is_deep, GREY, crisp.argmax(axis=0) + CSF)
    kind[near_brain] = np.where(brain > 0.5, of_brain, kind[near_brain])
    return value, kind


def _deep_brightness(table: pd.DataFrame) -> FloatArray:
    """Return the T1w value of subcortical regions by label; NaN for the others and for 0."""
    values = [np.nan]
    for name, structure in zip(table["name"], table["structure"], strict=True):
        family = region_family(name, structure).lower()
        part = next((b for key, b in DEEP_GREY_BRIGHTNESS.items() if key in family), 0.05)
        grey, white = T1_OF_TISSUE[GREY], T1_OF_TISSUE[WHITE]
        values.append(grey + part * (white - grey) if structure == "subcortex" else np.nan)
    return np.array(values)


def rician_noise(clean: FloatArray, sd: float, rng: np.random.Generator) -> FloatArray:
    """Return the magnitude of an image whose two channels have noise of this SD."""
    real = clean + sd * rng.standard_normal(clean.shape, dtype=np.float32)
    imaginary = sd * rng.standard_normal(clean.shape, dtype=np.float32)
    return np.hypot(real, imaginary)
