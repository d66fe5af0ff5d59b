"""The head that every simulated head is a warped copy of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage

from petfmri.atlases import load_atlas, load_reference_mask, load_template
from petfmri.images.transforms import Affine
from petfmri.typing import BoolArray, FloatArray, IntArray

REFERENCE = "semiovale"
# Mean, SD and smallest prior of CSF, grey and white matter in the head of the template.
TEMPLATE_INTENSITY = ((0.44, 0.12, 0.15), (0.79, 0.075, 0.05), (1.0, 0.055, 0.02))


@dataclass(frozen=True, eq=False)
class Phantom:
    """The template head and atlas that every simulated head is a warped copy of.

    Parameters
    ----------
    affine : array of shape (4, 4)
        Of all arrays: template voxels to RAS mm.
    head : float32 array of shape (x, y, z)
        T1w, white matter near 1.
    tissues : float32 array of shape (3, x, y, z)
        CSF, grey and white matter, crisp, adding up to the probability of brain.
    labels, nearest : int arrays of shape (x, y, z)
        Rows of `table`, counted from 1; 0 outside the atlas. In `nearest` every voxel takes the
        closest region.
    start : bool array of shape (x, y, z)
        The start mask of the reference region.
    near_brain : bool array of shape (x, y, z)
        The brain and the voxels around it.
    table : DataFrame
        Of the atlas, one row per region.
    """

    affine: FloatArray
    head: FloatArray
    tissues: FloatArray
    labels: IntArray
    nearest: IntArray
    start: BoolArray
    near_brain: BoolArray
    table: pd.DataFrame

    @property
    def brain_points(self) -> FloatArray:
        """Points of the brain on a coarse lattice, RAS mm, for measuring displacements."""
        voxels = np.argwhere(self.tissues[:, ::4, ::4, ::4].sum(axis=0) > 0.5) * 4.0
        return Affine(self.affine).map(voxels)

    @property
    def middle(self) -> FloatArray:
        """The centre of the field of view, RAS mm, of shape (1, 3)."""
        return Affine(self.affine).map(np.array([self.head.shape]) / 2)


@lru_cache(maxsize=2)
def load_phantom(spacing_mm: float) -> Phantom:
    """Load the embedded template and atlas, at 1 mm or every other voxel, made crisp.

    Parameters
    ----------
    spacing_mm : float, mm
        Of the T1w images to come: from 2 mm on, every other voxel suffices.
    """
    step = 2 if spacing_mm >= 2 else 1
    template, atlas = load_template(), load_atlas()
    every = (slice(None, None, step),) * 3
    priors = np.stack([_data(image)[every] for image in (template.csf, template.gm, template.wm)])
    head = _data(template.head)[every]
    head = head / np.median(head[priors[2] > 0.95])
    rows = np.zeros(int(atlas.table["index"].max()) + 1, dtype=np.int16)
    rows[atlas.table["index"]] = np.arange(1, len(atlas.table) + 1)
    labels = rows[np.asanyarray(atlas.image.dataobj)[every]]
    return Phantom(
        affine=template.head.affine @ np.diag([step, step, step, 1]),
        head=head,
        tissues=crisp_tissues(head, priors),
        labels=labels,
        nearest=_nearest_region(labels, 2 // step),
        start=np.asanyarray(load_reference_mask(REFERENCE).dataobj)[every] > 0,
        near_brain=ndimage.maximum_filter(priors.sum(axis=0) > 0.02, 2 + 2 // step),
        table=atlas.table.reset_index(drop=True),
    )


def crisp_tissues(head: FloatArray, priors: FloatArray) -> FloatArray:
    """Make the fuzzy tissues of a population those of one head, by the template's intensities.

    Parameters
    ----------
    head : array of shape (x, y, z)
        T1w, white matter near 1.
    priors : array of shape (3, x, y, z)
        CSF, grey and white matter, 0..1.

    Returns
    -------
    float32 array of shape (3, x, y, z)
        Adds up to the probability of brain.
    """
    brain = np.clip(priors.sum(axis=0), 0, 1)
    posterior = np.empty_like(priors)
    for kind, (mean, sd, least) in enumerate(TEMPLATE_INTENSITY):
        value = np.clip(head, TEMPLATE_INTENSITY[0][0], TEMPLATE_INTENSITY[2][0])
        likelihood = np.exp(-0.5 * ((value - mean) / sd) ** 2) / sd
        posterior[kind] = ndimage.gaussian_filter(likelihood * (priors[kind] + least), 0.4)
    posterior **= 2
    return np.asarray(posterior * brain / posterior.sum(axis=0), dtype=np.float32)


def _nearest_region(labels: IntArray, step: int) -> IntArray:
    """Give every voxel the label of the closest region, found on every `step`-th voxel."""
    coarse = labels[::step, ::step, ::step]
    closest = ndimage.distance_transform_edt(
        coarse == 0, return_distances=False, return_indices=True
    )
    filled = coarse[tuple(closest)]
    for axis, size in enumerate(labels.shape):
        filled = filled.repeat(step, axis=axis).take(np.arange(size), axis=axis)
    return np.where(labels > 0, labels, filled)


def _data(image: nib.Nifti1Image) -> FloatArray:
    return np.asarray(image.dataobj, dtype=np.float32)
