"""Rigid motion of the frames of a PET scan, from seconds to minutes long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.errors import InputError
from petfmri.images.frame_alignment import FWHM_TO_SIGMA, AlignedFrame, FrameAligner
from petfmri.images.motion import aligned_mean, believed, signal_mask
from petfmri.images.transforms import Affine, rigid, rigid_parameters
from petfmri.typing import FloatArray, Frames, IntArray

_SPACING = 0.7  # of smoothed copies, in units of their smoothing
_SAMPLES = 12000  # voxels that a fit looks at
_STILL_S = 60.0  # frames closer in time may tell where each other's head lay
_SAME = 2.0  # expected errors by which two frames differ when the head did not move


@dataclass(frozen=True)
class ScanMotion:
    """The motion of a PET scan.

    Parameters
    ----------
    transforms : list of Affine
        One per frame: points of the reference to points of the frame, RAS mm.
    reference : float32 array of shape (x, y, z)
        Duration-weighted mean of the aligned frames of the last two thirds of the scan.
    center : array of shape (3,), RAS mm
        Rotations about it make the translations those of the head.
    expected_error_mm : array of shape (n_frames,)
        Of each frame's own alignment, root mean square over the head; infinite without one.
    motion_from : int array of shape (n_frames,)
        The frame whose motion each one has: its own, or, where it is too poor to be aligned,
        the nearest one that is not.
    averaged : int array of shape (n_frames,)
        How many alignments this motion is the average of.
    """

    transforms: list[Affine]
    reference: FloatArray
    center: FloatArray
    expected_error_mm: FloatArray
    motion_from: IntArray
    averaged: IntArray

    @property
    def borrowed(self) -> list[int]:
        """The frames that have the motion of another one, counted from 0."""
        frames = np.arange(len(self.motion_from))
        return [int(number) for number in frames[self.motion_from != frames]]


def pet_motion(
    frames: Frames,
    affine: FloatArray,
    *,
    durations_s: FloatArray,
    fwhm_mm: float = 6.0,
) -> ScanMotion:
    """Estimate the motion between the frames of a PET scan.

    The frames of the last two thirds of the scan are aligned to their duration-weighted mean,
    which is then made anew, and all frames to that, from the last to the first, each starting
    from its neighbour and none to a mean that it is part of. How bright the reference is in a
    frame may vary over the head, since regions take up and lose a tracer at different rates (see
    `FrameAligner`).

    A head hardly moves within a minute: the motion of a frame is averaged with that of frames
    less than a minute away, in proportion to their precision, up to the first one from which it
    differs by more than twice the expected error. Frames that cannot be aligned to 1 mm take
    the motion of the nearest frame that can.

    Parameters
    ----------
    frames : collection of arrays of shape (x, y, z)
        Decay corrected. Iterated twice, one frame at a time: a list, or a file that is read in
        passes. Smoothed copies on a coarser grid are kept in memory.
    affine : array of shape (4, 4)
    durations_s : array of shape (n_frames,), s
    fwhm_mm : float, default=6.0
        Gaussian smoothing before the comparison.

    Returns
    -------
    ScanMotion

    Raises
    ------
    InputError
        If there is not one duration per frame, or a frame has another shape or values that are
        not finite.
    RegistrationError
        If no frame can be aligned.
    """
    durations = _checked(durations_s, len(frames))
    middle = np.cumsum(durations) - durations / 2
    weights = _late(durations)
    small, small_affine = _smoothed_copies(frames, affine, fwhm_mm)
    motion = [Affine()] * len(small)
    late = [int(number) for number in np.flatnonzero(weights)[::-1]]
    fits, _ = _fitted(small, small_affine, motion, weights, late)
    for number, nearest in zip(late, believed(fits), strict=True):
        motion[number] = fits[nearest].transform
    every = list(range(len(small)))[::-1]
    fits, aligner = _fitted(small, small_affine, motion, weights, every)
    fits = fits[::-1]
    transforms, averaged = _averaged(fits, middle, aligner)
    motion_from = believed(fits)
    transforms = [transforms[number] for number in motion_from]
    return ScanMotion(
        transforms,
        aligned_mean(frames, affine, transforms, weights),
        aligner.center,
        np.array([fit.error_mm for fit in fits]),
        motion_from,
        averaged[motion_from],
    )


def no_motion(frames: Frames, affine: FloatArray, *, durations_s: FloatArray) -> ScanMotion:
    """Take the frames as they are, for scans that were aligned before.

    Returns
    -------
    ScanMotion
        Identity for every frame; no alignment was made, so that no error is expected (NaN).

    Raises
    ------
    InputError
        As in `pet_motion`.

    Examples
    --------
    >>> frames = [np.full((2, 2, 2), 1.0), np.full((2, 2, 2), 4.0)]
    >>> scan = no_motion(frames, np.eye(4), durations_s=np.array([60.0, 120.0]))
    >>> scan.reference[0, 0], scan.borrowed
    (array([4., 4.], dtype=float32), [])
    """
    durations = _checked(durations_s, len(frames))
    still, count = [Affine()] * len(durations), len(durations)
    reference = aligned_mean(_whole(frames), affine, still, _late(durations))
    center = Affine(affine).map((np.array([reference.shape]) - 1) / 2)[0]
    own = np.arange(count)
    return ScanMotion(still, reference, center, np.full(count, np.nan), own, np.zeros_like(own))


def _checked(durations_s: FloatArray, count: int) -> FloatArray:
    durations = np.asarray(durations_s, dtype=float)
    if len(durations) != count:
        raise InputError(
            "frame durations",
            f"{len(durations)} values",
            f"{count}, one per frame",
            "correct the sidecar",
        )
    for number in np.flatnonzero(~(np.isfinite(durations) & (durations > 0)))[:1]:
        raise InputError(
            "PET sidecar: FrameDuration",
            f"{durations[number]:g} s in frame {number}",
            "finite durations above 0 s",
            "correct FrameDuration",
        )
    return durations


def _whole(frames: Frames) -> Iterator[FloatArray]:
    """Pass on frames of one shape with finite values; refuse others."""
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.shape != shape or not np.isfinite(frame).all():
            raise InputError(
                f"frame {number} of the series",
                f"shape {frame.shape} or values that are not finite",
                f"finite values of shape {shape}",
                "reconstruct or export it anew",
            )
        yield frame


def _late(durations: FloatArray) -> FloatArray:
    """Weight the frames of the last two thirds of the scan by their durations."""
    middle = np.cumsum(durations) - durations / 2
    return np.where(middle >= durations.sum() / 3, durations, 0.0)


def _smoothed_copies(
    frames: Frames, affine: FloatArray, fwhm_mm: float
) -> tuple[list[FloatArray], FloatArray]:
    """Smooth every frame and keep each second, third, ... voxel, as many as matter.

    Returns
    -------
    copies : list of arrays of shape (x', y', z')
    affine : array of shape (4, 4)
    """
    spacing: FloatArray = np.asarray(voxel_sizes(affine))
    steps = np.maximum(_SPACING * fwhm_mm // spacing, 1).astype(int)
    copies = []
    for frame in _whole(frames):
        copy = np.asarray(frame, dtype=np.float32)
        for axis, (step, sigma) in enumerate(
            zip(steps, fwhm_mm * FWHM_TO_SIGMA / spacing, strict=True)
        ):
            copy = ndimage.gaussian_filter1d(copy, sigma, axis, mode="nearest", truncate=3)
            copy = copy[(slice(None),) * axis + (slice(None, None, step),)]
        copies.append(np.ascontiguousarray(copy))
    return copies, affine @ np.diag([*steps, 1.0])


def _fitted(
    small: Sequence[FloatArray],
    affine: FloatArray,
    motion: Sequence[Affine],
    weights: FloatArray,
    order: Sequence[int],
) -> tuple[list[AlignedFrame], FrameAligner]:
    """Align smoothed copies, in order, each to the mean of the others along `motion`.

    Each starts from the last one that could be believed. A frame that were part of its own
    reference would stay where it is, the more so the noisier it is. The mean of the others lies
    elsewhere than that of all, by the share of the frame in its distance from where `motion` has
    it; that much of `motion` is kept, so that all frames refer to one place.

    Returns
    -------
    fits : list of AlignedFrame, in `order`
    aligner : FrameAligner
        To the mean of all frames that have a weight.
    """
    share = weights / weights.sum()
    parts = {
        number: share[number] * aligned_mean([frame], affine, [motion[number]], np.ones(1))
        for number, frame in enumerate(small)
        if share[number] > 0
    }
    total = np.sum(list(parts.values()), axis=0)
    mask = signal_mask(total, affine)

    def aligner(reference: FloatArray) -> FrameAligner:
        return FrameAligner(reference, affine, mask, 0.0, samples=_SAMPLES, contrast_changes=True)

    whole, start = aligner(total), Affine()
    fits: list[AlignedFrame] = []
    for number in order:
        alone = number not in parts or len(parts) == 1
        fit = (whole if alone else aligner(total - parts[number])).fit(small[number], start)
        start = fit.transform if fit.is_believed else start
        if not alone and fit.is_believed:
            moves = [motion[number], fit.transform]
            kept = _mean_motion(moves, [share[number], 1 - share[number]], whole.center)
            fit = AlignedFrame(kept, fit.error_mm)
        fits.append(fit)
    return fits, whole


def _mean_motion(moves: Sequence[Affine], weights: Sequence[float], center: FloatArray) -> Affine:
    """Average motion that is nearly the same, by its parameters about the head's centre."""
    to_center = rigid(center)
    apart = [rigid_parameters(~to_center @ ~moves[0] @ move @ to_center) for move in moves]
    shift, turn = np.split(np.average(apart, axis=0, weights=weights), 2)
    return moves[0] @ rigid(shift, np.rad2deg(turn), center)


def _averaged(
    fits: Sequence[AlignedFrame], middle_s: FloatArray, aligner: FrameAligner
) -> tuple[list[Affine], IntArray]:
    """Average the motion of frames within a minute, unless the head moved between them."""
    points = aligner.points[:: max(1, len(aligner.points) // 200)]
    transforms, counts = [], []
    for number in range(len(fits)):
        peers = _peers(fits, middle_s, number, points)
        precision = [np.clip(fits[peer].error_mm, 1e-6, 1e6) ** -2.0 for peer in peers]
        moves = [fits[peer].transform for peer in peers]
        transforms.append(_mean_motion(moves, precision, aligner.center))
        counts.append(len(peers))
    return transforms, np.array(counts)


def _peers(
    fits: Sequence[AlignedFrame], middle_s: FloatArray, number: int, points: FloatArray
) -> list[int]:
    """Find the frames around one, and itself, in which the head seems to lie in the same place."""
    own, peers = fits[number], [number]
    for others in (range(number - 1, -1, -1), range(number + 1, len(fits))):
        for other in others:
            fit = fits[other]
            if not own.is_believed or abs(middle_s[other] - middle_s[number]) >= _STILL_S:
                break
            apart = np.linalg.norm(fit.transform.map(points) - own.transform.map(points), axis=1)
            error = np.hypot(own.error_mm, fit.error_mm)
            if fit.is_believed and np.sqrt((apart**2).mean()) > _SAME * error:
                break
            if fit.is_believed:
                peers.append(other)
    return peers
