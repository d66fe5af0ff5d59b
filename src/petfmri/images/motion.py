"""Rigid motion of the volumes of a BOLD series, and what BOLD and PET share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.errors import RegistrationError
from petfmri.images.frame_alignment import FWHM_TO_SIGMA, AlignedFrame, FrameAligner
from petfmri.images.transforms import Affine, rigid, rigid_parameters
from petfmri.images.volumes import Volumes
from petfmri.typing import BoolArray, FloatArray, IntArray

MOTION_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")

_STABLE_MM = 0.3  # framewise displacement below which a volume enters the BOLD reference
_OUTLIER_SD = 4.7  # of BOLD: Tukey's choice, which costs 5 % of precision where nothing is amiss
_MEAN_VOLUMES = 30  # that make the BOLD reference, at most


@dataclass(frozen=True)
class SeriesMotion:
    """The motion of a series.

    Parameters
    ----------
    transforms : list of Affine
        One per frame: points of the reference to points of the frame, RAS mm.
    reference : array of shape (x, y, z)
        The image to which the frames were aligned, on the grid of the series.
    mask : bool array of shape (x, y, z)
        Where they were compared.
    center : array of shape (3,), RAS mm
        Centroid of the mask: rotations about it make the translations those of the head.
    reliable : bool array of shape (n_frames,)
        False for frames with too little signal, which take the motion of a neighbour.
    """

    transforms: list[Affine]
    reference: FloatArray
    mask: BoolArray
    center: FloatArray
    reliable: BoolArray


def bold_motion(
    volumes: Sequence[FloatArray] | Volumes, affine: FloatArray, *, fwhm_mm: float = 6.0
) -> SeriesMotion:
    """Estimate the motion of a BOLD run in two passes.

    The first pass aligns at most thirty evenly spaced volumes to the median of the first ten of
    them. The second aligns all to the mean of those that hardly moved. Both pass over what does
    not fit: a jump within a volume takes the signal of some slices.

    Parameters
    ----------
    volumes : collection of arrays of shape (x, y, z)
        Without dummy scans. Iterated twice: a list, or `petfmri.images.volumes.Volumes`.
    affine : array of shape (4, 4)
    fwhm_mm : float, default=6.0

    Returns
    -------
    SeriesMotion
        Its reference is the mean of the second pass, the BOLD reference image.
    """
    sample = list(islice(volumes, 0, None, -(-len(volumes) // _MEAN_VOLUMES)))
    first = np.median(sample[:10], axis=0).astype(np.float32)
    aligner = FrameAligner(
        first, affine, signal_mask(first, affine), fwhm_mm, outlier_sd=_OUTLIER_SD
    )
    fits = aligner.fit_all(sample)
    motion = [fits[number].transform for number in believed(fits)]
    moved = framewise_displacement(motion, center=aligner.center)
    stable = moved < max(_STABLE_MM, float(np.median(moved)))
    reference = aligned_mean(sample, affine, motion, stable.astype(float))
    return _second_pass(volumes, affine, reference, fwhm_mm)


def estimate_motion(
    frames: Iterable[FloatArray],
    affine: FloatArray,
    *,
    reference: FloatArray,
    mask: BoolArray,
    fwhm_mm: float = 6.0,
) -> list[Affine]:
    """Align every frame to a reference, each one starting from the frame before it.

    Parameters
    ----------
    frames : iterable of arrays of shape (x, y, z)
        In order; read once, one at a time.
    affine : array of shape (4, 4)
        Of the frames and of the reference.
    reference : array of shape (x, y, z)
    mask : bool array of shape (x, y, z)
        Where the reference has signal (see `signal_mask`).
    fwhm_mm : float, default=6.0
        Gaussian smoothing before the comparison.

    Returns
    -------
    list of Affine
        Points of the reference to points of each frame, RAS mm.

    Raises
    ------
    InputError
        If a frame has another shape or values that are not finite.
    """
    return [fit.transform for fit in FrameAligner(reference, affine, mask, fwhm_mm).fit_all(frames)]


def motion_parameters(
    motion: Sequence[Affine], *, center: Sequence[float] | FloatArray = (0, 0, 0)
) -> FloatArray:
    """Return translations and rotations in the order of fMRIPrep (`MOTION_COLUMNS`).

    Parameters
    ----------
    motion : sequence of n Affine, rigid
    center : 3 values, RAS mm
        The point about which rotations are told; `SeriesMotion.center` for the head's own.

    Returns
    -------
    array of shape (n, 6)
        Translation x, y, z in mm; rotation about x, y, z in radians.
    """
    to_center = rigid(np.asarray(center, dtype=float))
    return np.array([rigid_parameters(~to_center @ frame @ to_center) for frame in motion])


def framewise_displacement(
    motion: Sequence[Affine],
    radius_mm: float = 50.0,
    *,
    center: Sequence[float] | FloatArray = (0, 0, 0),
) -> FloatArray:
    """Sum up how far the head moved from one frame to the next.

    Parameters
    ----------
    motion : sequence of n Affine, rigid
    radius_mm : float, default=50.0
        Of the sphere on which rotations become arcs.
    center : 3 values, RAS mm
        Centre of the sphere; `SeriesMotion.center` for the head's own.

    Returns
    -------
    array of shape (n,), mm
        The first is 0.

    References
    ----------
    Power JD, Barnes KA, Snyder AZ, Schlaggar BL, Petersen SE. Spurious but systematic
    correlations in functional connectivity MRI networks arise from subject motion. NeuroImage
    2012;59:2142-2154.

    Examples
    --------
    >>> framewise_displacement([Affine(), rigid((1, 0, -2)), rigid((1, 0, -2))])
    array([0., 3., 0.])
    """
    change = np.abs(np.diff(motion_parameters(motion, center=center), axis=0))
    moved = change[:, :3].sum(axis=1) + radius_mm * change[:, 3:].sum(axis=1)
    return np.concatenate([[0.0], moved])


def signal_mask(reference: FloatArray, affine: FloatArray) -> BoolArray:
    """Find the head, or what is seen of it, in an EPI or PET reference.

    The largest connected part above Otsu's threshold of the slightly smoothed image, opened,
    with its holes filled.

    Parameters
    ----------
    reference : array of shape (x, y, z)
    affine : array of shape (4, 4)

    Returns
    -------
    bool array of shape (x, y, z)

    Raises
    ------
    RegistrationError
        If the image holds no signal.

    References
    ----------
    Otsu N. A threshold selection method from gray-level histograms. IEEE Trans Syst Man Cybern
    1979;9:62-66.
    """
    sigma = 4.0 * FWHM_TO_SIGMA / voxel_sizes(affine)
    smooth = ndimage.gaussian_filter(np.asarray(reference, dtype=np.float32), sigma)
    smooth = np.clip(smooth, 0, np.percentile(smooth, 99))
    threshold = _otsu(smooth) if np.ptp(smooth) > 0 else np.inf
    above = ndimage.binary_opening(smooth > threshold)
    parts, count = ndimage.label(above)
    if not count:
        raise RegistrationError(
            "reference of the series", "no signal", "a head", "look at the series"
        )
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    return np.asarray(ndimage.binary_fill_holes(parts == largest))


def aligned_mean(
    frames: Iterable[FloatArray],
    affine: FloatArray,
    motion: Sequence[Affine],
    weights: FloatArray,
) -> FloatArray:
    """Average the frames that have a weight, each read along its motion.

    Parameters
    ----------
    frames : iterable of arrays of shape (x, y, z)
        Read once, one at a time.
    affine : array of shape (4, 4)
    motion : sequence of Affine
        Points of the mean to points of each frame.
    weights : array of shape (n_frames,)

    Returns
    -------
    array of shape (x, y, z), float32
    """
    total: FloatArray = np.zeros((1, 1, 1), dtype=np.float32)
    for frame, move, weight in zip(frames, motion, weights / np.sum(weights), strict=True):
        if weight > 0:
            voxels = np.linalg.inv(affine) @ move.matrix @ affine
            total = total + np.float32(weight) * ndimage.affine_transform(
                frame, voxels[:3, :3], voxels[:3, 3], order=1, mode="nearest", output=np.float32
            )
    return total


def believed(fits: Sequence[AlignedFrame]) -> IntArray:
    """Find for every frame the nearest one that could be aligned: itself, if it could.

    Returns
    -------
    int array of shape (n_frames,)

    Raises
    ------
    RegistrationError
        If no frame could be aligned.
    """
    good = np.flatnonzero([fit.is_believed for fit in fits])
    if not len(good):
        raise RegistrationError(
            "motion of the series",
            "no frame that could be aligned to the reference",
            "frames of one head",
            "look at the series; a PET that is aligned already, or too noisy for it, takes "
            "`pet: motion: off`",
        )
    return np.asarray(good[np.abs(np.arange(len(fits))[:, None] - good).argmin(axis=1)])


def _second_pass(
    frames: Iterable[FloatArray], affine: FloatArray, reference: FloatArray, fwhm_mm: float
) -> SeriesMotion:
    """Align again, to the mean of frames aligned by the first pass."""
    mask = signal_mask(reference, affine)
    aligner = FrameAligner(reference, affine, mask, fwhm_mm, outlier_sd=_OUTLIER_SD)
    fits = aligner.fit_all(frames)
    nearest = believed(fits)
    transforms = [fits[number].transform for number in nearest]
    return SeriesMotion(transforms, reference, mask, aligner.center, nearest == range(len(fits)))


def _otsu(values: FloatArray) -> float:
    """Return the threshold that separates two classes of intensity best."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1].astype(float)
    above = counts.sum() - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        contrast = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1:-1][np.argmax(np.nan_to_num(contrast))])
