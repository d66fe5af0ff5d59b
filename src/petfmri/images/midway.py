"""One T1w of a person from several, half way between them, so that no session is favoured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy.linalg import expm, logm

from petfmri.errors import RegistrationError
from petfmri.images.bias import correct_bias
from petfmri.images.cropping import shrunk
from petfmri.images.registration import Registration, head_center
from petfmri.images.resampling import Grid, inside, resample
from petfmri.images.transforms import Affine
from petfmri.images.volumes import require_volume
from petfmri.typing import FloatArray

SPACING_MM = 2.0  # at which images are aligned and compared
ROUNDS = 2  # of alignment to the mean
RADIUS_MM = 90.0  # around the head's centre: a jaw or a neck may have moved
MIN_CORRELATION = 0.75  # of one image with the others, in that ball


class Midway(NamedTuple):
    """A T1w made of several."""

    t1w: nib.Nifti1Image
    xfms: tuple[Affine, ...]
    """Points of `t1w` to points of each image."""
    agreement: float
    """Lowest correlation of an image with the others, in the head; 1 for one alone."""


def midway_t1w(images: Sequence[nib.Nifti1Image], registration: Registration) -> Midway:
    """Average the T1-weighted images of one person in the space half way between them.

    Each image is freed of its bias field, aligned rigidly to the mean of all, brought to the same
    brightness and interpolated once from its own grid. The rigid transforms cancel: their
    logarithms have mean 0, so that of two images each moves by half of what separates them.

    Parameters
    ----------
    images : sequence of Nifti1Image, 3-D
        Heads of one person. One alone is returned as it is.
    registration : Registration

    Returns
    -------
    Midway
        The mean, float32, on a grid along the world axes with the finest of all voxel sizes.

    Raises
    ------
    InputError
        If an image is not 3-D.
    RegistrationError
        If an image does not resemble the others (correlation below 0.75; about 0.6 between persons,
        0.88 to 0.99 between scans of one).

    References
    ----------
    Reuter M, Schmansky NJ, Rosas HD, Fischl B. Within-subject template estimation for unbiased
    longitudinal image analysis. NeuroImage 2012;61:1402-1418.
    """
    for image in images:
        require_volume(image)
    if len(images) == 1:
        return Midway(images[0], (Affine(),), 1.0)
    even = [correct_bias(image) for image in images]
    xfms = _aligned([shrunk(image, SPACING_MM) for image in even], registration)
    grid = _grid_between(even, xfms)
    bright = _brightness(even)
    mean = _mean(even, xfms, bright, grid)
    return Midway(mean, xfms, _agreement(images, even, xfms, shrunk(mean, SPACING_MM)))


def balanced(xfms: Sequence[Affine]) -> tuple[Affine, ...]:
    """Move the space that rigid transforms start from to the middle of where they lead.

    Parameters
    ----------
    xfms : sequence of Affine, rigid
        From one space to that of each image.

    Returns
    -------
    tuple of Affine
        ``xfms[i] @ shift`` with one shift for all, such that their logarithms have mean 0.

    Examples
    --------
    >>> from petfmri.images.transforms import rigid
    >>> near, far = balanced([Affine(), rigid((8, 0, 0))])
    >>> near.matrix[0, 3].round(6), far.matrix[0, 3].round(6)
    (np.float64(-4.0), np.float64(4.0))
    """
    for _ in range(20):
        drift = np.mean([logm(xfm.matrix).real for xfm in xfms], axis=0)
        drift[3] = 0
        shift = Affine(expm(-drift))
        xfms = [xfm @ shift for xfm in xfms]
        if np.abs(drift).max() < 1e-10:
            break
    return tuple(xfms)


def _aligned(images: Sequence[nib.Nifti1Image], registration: Registration) -> tuple[Affine, ...]:
    """Align images to the first and then, from half way, to their mean."""
    first = images[0]
    near = _ball(Grid.of(first), head_center(first))
    others = [registration.rigid(first, image, fixed_mask=near) for image in images[1:]]
    xfms = balanced([Affine(), *others])
    bright = _brightness(images)
    for _ in range(ROUNDS):
        mean = _mean(images, xfms, bright, _grid_between(images, xfms))
        near = _ball(Grid.of(mean), head_center(mean))
        xfms = balanced(
            [
                registration.rigid(mean, image, initial=xfm, fixed_mask=near)
                for image, xfm in zip(images, xfms, strict=True)
            ]
        )
    return xfms


def _ball(grid: Grid, center: FloatArray) -> nib.Nifti1Image:
    away = np.linalg.norm(grid.points() - center, axis=1).reshape(grid.shape)
    return nib.Nifti1Image((away <= RADIUS_MM).astype(np.uint8), grid.affine)


def _grid_between(images: Sequence[nib.Nifti1Image], xfms: Sequence[Affine]) -> Grid:
    """Cover the mean of all fields of view."""
    boxes = []
    for image, xfm in zip(images, xfms, strict=True):
        ends = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in image.shape))).reshape(3, -1).T
        corners = (~xfm).map(Affine(image.affine).map(ends))
        boxes.append([corners.min(axis=0), corners.max(axis=0)])
    low, high = np.mean(boxes, axis=0)
    spacing = min(float(Grid.of(image).spacing_mm.min()) for image in images)
    shape = np.ceil((high - low) / spacing - 1e-6).astype(int)
    affine = np.diag([spacing] * 3 + [1.0])
    affine[:3, 3] = (low + high) / 2 - spacing * (shape - 1) / 2
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _brightness(images: Sequence[nib.Nifti1Image]) -> list[float]:
    """Return the median of each head near its centre, without air and fluid."""
    found = []
    for image in images:
        small = shrunk(image, 2 * SPACING_MM)
        data = np.asarray(small.dataobj)
        near = np.asarray(_ball(Grid.of(small), head_center(small)).dataobj) > 0
        found.append(float(np.median(data[near & (data > 0.3 * np.percentile(data[near], 98))])))
    return found


def _mean(
    images: Sequence[nib.Nifti1Image],
    xfms: Sequence[Affine],
    bright: Sequence[float],
    grid: Grid,
) -> nib.Nifti1Image:
    """Average images at equal brightness; where some do not reach, the others."""
    total, count = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.uint8)
    for image, xfm, own in zip(images, xfms, bright, strict=True):
        total += np.asarray(resample(image, xfm, grid).dataobj) * (np.mean(bright) / own)
        count += inside(xfm, grid, Grid.of(image))
    data = np.maximum(total, 0) / np.maximum(count, 1)
    return nib.Nifti1Image(data.astype(np.float32), grid.affine)


def _agreement(
    images: Sequence[nib.Nifti1Image],
    even: Sequence[nib.Nifti1Image],
    xfms: Sequence[Affine],
    mean: nib.Nifti1Image,
) -> float:
    """Compare each image with the sum of the others, in the head."""
    grid, data = Grid.of(mean), np.asarray(mean.dataobj)
    near = np.asarray(_ball(grid, head_center(mean)).dataobj) > 0
    near &= data > 0.2 * np.percentile(data[near], 98)
    ones = [
        np.asarray(resample(shrunk(image, SPACING_MM), xfm, grid, order=1).dataobj)[near] / own
        for image, xfm, own in zip(even, xfms, _brightness(even), strict=True)
    ]
    lowest = 1.0
    for image, one in zip(images, ones, strict=True):
        like = float(np.corrcoef(one, np.sum(ones, axis=0) - one)[0, 1])
        if not like >= MIN_CORRELATION:
            raise RegistrationError(
                f"{image.get_filename() or 'T1w'} and the other T1w of the person",
                f"a correlation of {like:.2f} with the others",
                f"at least {MIN_CORRELATION:g}",
                "look at it: another person, contrast or orientation? If so, take it out",
            )
        lowest = min(lowest, like)
    return lowest
