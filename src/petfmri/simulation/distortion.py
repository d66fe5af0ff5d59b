"""Susceptibility distortion of an EPI: where its voxels come from, along the phase encoding."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Warp
from petfmri.simulation.anatomy import AIR, SOFT, Head
from petfmri.typing import FloatArray

AXIS = 1  # of the phase encoding, as the simulated sidecar says
# Above the air of sphenoid and ethmoid, and of the two petrous bones: template position, RAS mm,
# strength and width (SD, mm).
SITES = (
    ((0.0, 36.0, -22.0), 1.0, 18.0),
    ((-48.0, -22.0, -28.0), 0.7, 15.0),
    ((48.0, -22.0, -28.0), 0.7, 15.0),
)
SHIM_SD, SHIM_SMOOTHNESS_MM = 0.25, 28.0  # of what shimming leaves over, relative to the sites
GRID_MM = 4.0


def draw_distortion(
    head: Head, from_boldref_to_t1w: Affine, grid: Grid, largest_mm: float, rng: np.random.Generator
) -> Warp:
    """Draw a smooth field along the second voxel axis of a BOLD grid.

    Parameters
    ----------
    head : Head
    from_boldref_to_t1w : Affine
        Maps points of the T1w image to points of BOLD.
    grid : Grid
        Of the BOLD image.
    largest_mm : float, mm
        Largest displacement in the brain.
    rng : Generator

    Returns
    -------
    Warp
        Maps points of the distorted image to where they would lie without distortion.
    """
    fine = grid.spaced(GRID_MM)
    in_t1w = (~from_boldref_to_t1w).map(fine.points())
    there = head.to_template.map(in_t1w)
    field = sum(
        strength * np.exp(-((there - site) ** 2).sum(axis=1) / (2 * width**2))
        for site, strength, width in SITES
    )
    shim = ndimage.gaussian_filter(
        rng.normal(size=fine.shape), SHIM_SMOOTHNESS_MM / fine.spacing_mm, mode="reflect"
    )
    field = np.reshape(field, fine.shape) + SHIM_SD * shim / shim.std()
    tissue = ndimage.map_coordinates(
        head.tissue, (~Affine(head.grid.affine)).map(in_t1w).T, order=0, mode="nearest"
    ).reshape(fine.shape)
    brain = (tissue != AIR) & (tissue != SOFT)
    field = field * (largest_mm / np.abs(field[brain]).max())
    along = grid.affine[:3, AXIS] / grid.spacing_mm[AXIS]
    return Warp(field[..., None] * along, fine.affine)


def squeeze(distortion: Warp, grid: Grid) -> FloatArray:
    """Return by how much the distortion concentrates the signal in every voxel of a grid.

    Returns
    -------
    array of shape `grid.shape`
        1 where nothing is stretched, more where several places fall into one.
    """
    step = grid.affine[:3, AXIS]
    ahead, behind = (distortion.map(grid.points() + half) for half in (step / 2, -step / 2))
    stretch = (ahead - behind) @ step / (step @ step)
    return np.asarray(stretch.reshape(grid.shape), dtype=np.float32)
