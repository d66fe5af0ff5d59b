"""Head movements: where the head lies in a scan, and how it moves during it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petfmri.images.transforms import Affine, rigid
from petfmri.typing import FloatArray

HEAD_RADIUS_MM = 50.0  # turns rotations into distances, as framewise displacement does
HALF_HEAD_MM = np.array([75.0, 95.0, 100.0])
PET_DRIFT_ROTATION_DEG, PET_JUMP_ROTATION_DEG = 1.5, 2.0
SPIKE_SHARE = 0.03  # of the volumes
LARGEST_FD_MM = 1.5
LARGEST_SPIKE_SHARE = 0.5  # of all displacement, in a scan so still that spikes would dominate it


@dataclass(frozen=True)
class Movement:
    """Six rigid parameters per frame, about a fixed point of the head.

    Parameters
    ----------
    parameters : array of shape (n_frames, 6)
        Translation x, y, z in mm, rotation about x, y, z in degrees.
    center : array of shape (3,), RAS mm
        What the head turns about.
    """

    parameters: FloatArray
    center: FloatArray

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, frame: int) -> Affine:
        """Return the transform from points of the scan's reference to points of a frame."""
        row = self.parameters[frame]
        return rigid(row[:3], row[3:], self.center)

    @property
    def fd_mm(self) -> FloatArray:
        """Framewise displacement after Power, mm, of shape (n_frames,); 0 in the first frame."""
        step = np.abs(np.diff(self.parameters, axis=0, prepend=self.parameters[:1]))
        return np.asarray(step[:, :3].sum(1) + HEAD_RADIUS_MM * np.deg2rad(step[:, 3:]).sum(1))

    @property
    def reach_mm(self) -> float:
        """How far any part of the head gets from where it lies in the scan's reference."""
        signs = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
        points = self.center + signs * HALF_HEAD_MM
        moved = [self[frame].map(points) - points for frame in range(len(self))]
        return float(np.linalg.norm(moved, axis=2).max())


def head_offset(
    translation_mm: float, rotation_deg: float, center: FloatArray, rng: np.random.Generator
) -> Affine:
    """Draw how a head lies differently in two scans: fixed size, random direction.

    Examples
    --------
    >>> offset = head_offset(10, 0, np.zeros(3), np.random.default_rng(0))
    >>> float(np.linalg.norm(offset.map(np.zeros((1, 3)))).round(6))
    10.0
    """
    axis = _direction(rng) * rotation_deg
    return rigid(translation_mm * _direction(rng), axis, center)


def pet_movement(
    frame_mid_s: FloatArray,
    drift_mm: float,
    jump_mm: float,
    center: FloatArray,
    rng: np.random.Generator,
) -> Movement:
    """Draw a slow drift over the whole scan and one jump between two frames.

    A scan of a single frame does not move.
    """
    n_frames = len(frame_mid_s)
    if n_frames == 1:
        return Movement(np.zeros((1, 6)), center)
    progress = (frame_mid_s - frame_mid_s[0]) / (frame_mid_s[-1] - frame_mid_s[0])
    drift = np.concatenate([drift_mm * _direction(rng), PET_DRIFT_ROTATION_DEG * _direction(rng)])
    jump = np.concatenate([jump_mm * _direction(rng), PET_JUMP_ROTATION_DEG * _direction(rng)])
    first_after = int(rng.integers(1, n_frames))
    after = np.arange(n_frames) >= first_after
    return Movement(progress[:, None] * drift + after[:, None] * jump, center)


def bold_movement(
    n_frames: int, mean_fd_mm: float, center: FloatArray, rng: np.random.Generator
) -> Movement:
    """Draw slow wandering, small jitter and brief spikes, with a given mean displacement.

    Spikes reach 1.5 mm where `mean_fd_mm` leaves room for them; 0 makes a still head.
    """
    if mean_fd_mm == 0:
        return Movement(np.zeros((n_frames, 6)), center)
    wander = ndimage.gaussian_filter1d(rng.normal(size=(n_frames, 6)).cumsum(axis=0), 2, axis=0)
    jitter = 0.5 * rng.normal(size=(n_frames, 6))
    unit = np.array([1.0] * 3 + [np.rad2deg(1 / HEAD_RADIUS_MM)] * 3)
    calm = Movement((wander + jitter) * unit, center)
    spikes = Movement(_spikes(n_frames, rng) * unit, center)
    budget = mean_fd_mm * (n_frames - 1)
    spike_scale = min(
        LARGEST_FD_MM / spikes.fd_mm.max(), LARGEST_SPIKE_SHARE * budget / spikes.fd_mm.sum()
    )
    spiky = spikes.parameters * spike_scale
    # The displacement of a sum is not the sum of displacements: find the calm part by bisection.
    low, high = 0.0, budget / calm.fd_mm.sum()
    for _ in range(40):
        middle = (low + high) / 2
        total = Movement(spiky + middle * calm.parameters, center)
        low, high = (middle, high) if total.fd_mm.sum() < budget else (low, middle)
    parameters = spiky + high * calm.parameters
    return Movement(parameters - parameters[0], center)


def _spikes(n_frames: int, rng: np.random.Generator) -> FloatArray:
    """Draw brief excursions: one volume away and back, sizes from a third to one."""
    n_spikes = max(1, round(SPIKE_SHARE * n_frames / 2))
    where = rng.choice(np.arange(5, n_frames - 1), size=n_spikes, replace=False)
    course = np.zeros((n_frames, 6))
    sizes = rng.uniform(1 / 3, 1, n_spikes)
    sizes[0] = 1.0
    for frame, size in zip(where, sizes, strict=True):
        course[frame] += size * np.concatenate([_direction(rng), _direction(rng)]) / 2
    return course


def _direction(rng: np.random.Generator) -> FloatArray:
    vector = rng.normal(size=3)
    return np.asarray(vector / np.linalg.norm(vector))
