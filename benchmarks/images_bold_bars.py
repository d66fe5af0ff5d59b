"""Bars of the BOLD branch: motion, alignment with the T1w, distortion without a fieldmap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from bars import Bar, at_most, holds
from image_tools import WORK, Job, antspyx, distances_mm, each

from petfmri.images.boundary import refine
from petfmri.images.coregistration import align_rigidly
from petfmri.images.distortion import undistort
from petfmri.images.motion import bold_motion
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid
from petfmri.images.transforms import Affine, Transform, Warp, rigid
from petfmri.interfaces import anat
from petfmri.simulation.anatomy import GREY, SOFT, Head, draw_head, grid_around
from petfmri.simulation.bold import (
    FIELD_OF_VIEW_MM,
    RECEIVE_BIAS_PERCENT,
    SLICE_PITCH_DEG,
    bias_field,
    bold_model,
    head_offset,
)
from petfmri.simulation.distortion import draw_distortion, squeeze
from petfmri.simulation.effects import stream
from petfmri.simulation.motion import Movement, bold_movement
from petfmri.simulation.phantom import load_phantom
from petfmri.simulation.sampling import Sampler

SEED = 4
VOLUMES, MOTION_SHAPE, MOTION_MM = 300, (64, 64, 40), (3.2, 3.2, 3.6)
THERMAL = 10.0  # SD of the noise of a volume; grey matter is 600
PEER_VOLUMES = 8
STARTS, PEER_STARTS, WITHIN_MM, WITHIN_DEG = 20, 4, 15.0, 15.0
DISTORTION_MM = 6.0


class Person(NamedTuple):
    """A simulated head, and what the anatomical branch found of it."""

    head: Head
    t1w: nib.Nifti1Image
    mask: nib.Nifti1Image
    tissues: tuple[nib.Nifti1Image, nib.Nifti1Image, nib.Nifti1Image]

    def points(self, where: np.ndarray, n: int = 5000) -> np.ndarray:
        found = self.head.grid.points()[where.ravel()]
        return found[:: max(1, len(found) // n)]

    @property
    def brain(self) -> np.ndarray:
        return self.points((self.head.tissue > 0) & (self.head.tissue < SOFT))

    @property
    def cortex(self) -> np.ndarray:
        return self.points((self.head.tissue == GREY) & (self.head.parcels > 0))


class Epi(NamedTuple):
    """A BOLD reference and where points of the T1w truly lie in it."""

    image: nib.Nifti1Image
    from_t1w: Affine
    distortion: Warp | None

    def true(self, points: np.ndarray) -> np.ndarray:
        there = self.from_t1w.map(points)
        return there if self.distortion is None else (~self.distortion).map(there)

    def errors(self, to_t1w: Transform, points: np.ndarray) -> np.ndarray:
        return distances_mm((~to_t1w).map(points), self.true(points))


@cache
def person() -> Person:
    head = draw_head(load_phantom(1.0), 1.0, 20.0, 3.0, stream(SEED, "anatomy", 0))
    folder = WORK / "bold_person"
    folder.mkdir(parents=True, exist_ok=True)
    raw = folder / "raw.nii.gz"
    nib.save(nib.Nifti1Image(head.t1w, head.grid.affine), raw)
    brain = anat.ExtractBrain(in_file=str(raw)).step(folder)
    mask = str(brain["mask"])
    even = str(anat.CorrectBias(in_file=str(raw), brain_mask=mask).step(folder)["out_file"])
    given = {"in_file": even, "brain_mask": mask}
    template = anat.Normalise(**given, initial=str(brain["xfm"])).step(folder)
    found = anat.SegmentTissues(**given, xfm=str(template["to_template"])).step(folder)
    grey, white, csf = (nib.load(found[name]) for name in ("grey", "white", "csf"))
    return Person(head, nib.load(even), nib.load(mask), (grey, white, csf))


@cache
def contrast() -> np.ndarray:
    return bold_model(person().head, 3.0).baseline


def reference(from_t1w: Affine, rng: np.random.Generator, distortion_mm: float = 0.0) -> Epi:
    """Scan the head at 3 mm: the mean of many volumes."""
    head = person().head
    axes = rigid(rotation_deg=(SLICE_PITCH_DEG, 0, 0)).matrix[:3, :3]
    grid = grid_around(from_t1w.map(head.center[None])[0], FIELD_OF_VIEW_MM, 3.0, axes)
    gain = bias_field(grid, RECEIVE_BIAS_PERCENT, rng)
    field = None
    if distortion_mm:
        field = draw_distortion(head, from_t1w, grid, distortion_mm, rng)
        gain = gain * squeeze(field, grid)
    volume = Sampler(head, from_t1w, grid, 10.0, field).read(contrast(), Affine()) * gain
    noisy = np.abs(volume + 2 * rng.standard_normal(grid.shape)).astype(np.float32)
    return Epi(nib.Nifti1Image(noisy, grid.affine), from_t1w, field)


class Series(NamedTuple):
    volumes: np.ndarray  # (n, x, y, z)
    affine: np.ndarray
    movement: Movement
    points: np.ndarray
    spikes: np.ndarray


def series(spike_share: float, rng: np.random.Generator) -> Series:
    """Draw a moving run; spikes jump by 1 to 3 mm and have noise, dropped slices or another gain."""
    head = person().head
    offset = head_offset(10.0, 8.0, head.center, rng)
    center = offset.map(head.center[None])[0]
    affine = np.diag([*MOTION_MM, 1.0])
    affine[:3, 3] = center - affine[:3, :3] @ ((np.array(MOTION_SHAPE) - 1) / 2)
    grid = Grid(MOTION_SHAPE, affine)
    movement = bold_movement(VOLUMES, 0.2, center, rng)
    spikes = rng.choice(np.arange(1, VOLUMES), round(spike_share * VOLUMES), replace=False)
    for number in spikes:
        movement.parameters[number] += rng.uniform(1, 3) * unit(rng, 6)
    sampler = Sampler(head, offset, grid, 12.0)
    gain = bias_field(grid, RECEIVE_BIAS_PERCENT, rng)
    volumes = np.empty((VOLUMES, *MOTION_SHAPE), dtype=np.float32)
    for number in range(VOLUMES):
        volume = sampler.read(contrast(), movement[number]) * gain
        volumes[number] = volume + THERMAL * rng.standard_normal(MOTION_SHAPE, dtype=np.float32)
    for kind, number in enumerate(spikes):
        corrupt(volumes[number], kind % 3, rng)
    return Series(np.abs(volumes), affine, movement, offset.map(person().brain), np.sort(spikes))


def corrupt(volume: np.ndarray, kind: int, rng: np.random.Generator) -> None:
    """Spoil the intensities of a volume in one of three ways."""
    if kind == 0:
        volume += 4 * THERMAL * rng.standard_normal(volume.shape, dtype=np.float32)
    elif kind == 1:  # slices that lost signal as the head moved
        volume[..., rng.choice(volume.shape[2], 4, replace=False)] *= 0.5
    else:
        volume *= rng.choice([0.8, 1.25])


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vector = rng.normal(size=n)
    return np.asarray(vector / np.linalg.norm(vector))


def motion_errors(run: Series, found: list[Affine]) -> np.ndarray:
    """Errors of shape (n_volumes, n_points), in the gauge of the median volume.

    The reference of the estimate is a mean, that of the simulation the first pose; the rigid
    transform between them is no error of motion.
    """
    truth = [run.movement[number] for number in range(VOLUMES)]
    between = np.median([(~a @ b).matrix for a, b in zip(found, truth, strict=True)], axis=0)
    left, _, right = np.linalg.svd(between[:3, :3])
    between[:3, :3] = left @ right
    gauge = Affine(between)
    return np.array(
        [
            distances_mm((a @ gauge).map(run.points), b.map(run.points))
            for a, b in zip(found, truth, strict=True)
        ]
    )


def motion() -> Iterator[Bar]:
    size = "x".join(map(str, (*MOTION_SHAPE, VOLUMES)))
    for name, share, number in (("", 0.0, 0), (", 10 % spikes", 0.1, 1)):
        run = series(share, stream(SEED, "bold", 100 + number))
        cpu_s = []
        for _ in range(3):
            began = time.process_time()
            found = bold_motion(list(run.volumes), run.affine)
            cpu_s.append(time.process_time() - began)
        errors = motion_errors(run, found.transforms)
        yield at_most(
            f"BOLD motion {size}{name}, p95", float(np.percentile(errors, 95)), 0.05, "mm"
        )
        if share:
            own = float(np.percentile(errors[run.spikes], 95))
            alone = f"BOLD motion {size}{name}, p95 of the spikes alone (noise x 5, slices lost)"
            yield at_most(alone, own, 0.1, "mm")
        else:
            yield from against_antspyx(run, found.reference, float(np.median(cpu_s)) / VOLUMES)


def against_antspyx(run: Series, fixed: np.ndarray, own_s: float) -> Iterator[Bar]:
    chosen = np.linspace(1, VOLUMES - 1, PEER_VOLUMES).astype(int)
    paths = [WORK / "motion_fixed.nii.gz", WORK / "motion_moving.nii.gz"]
    stacked = np.moveaxis(run.volumes[chosen], 0, -1)
    for path, data in zip(paths, (fixed, stacked), strict=True):
        nib.save(nib.Nifti1Image(data.astype(np.float32), run.affine), path)
    (peer,) = antspyx([Job("Rigid", *paths, run.points[::20])])
    ratio = float(np.median(peer.cpu_s)) / own_s
    told = f"{ratio:.0f} ({1000 * own_s:.0f} ms of CPU per volume)"
    yield holds("BOLD motion, times faster than antspyx per volume", told, ">= 10", ratio >= 10)


def alignment() -> Iterator[Bar]:
    """BOLD to T1w from 20 poses of the head in the scanner."""
    person(), contrast()
    starts = each(_of_start, range(STARTS))
    found = [errors for _, errors in starts]
    peers = [epi for epi, _ in starts[:PEER_STARTS]]
    means, p95 = np.mean(found, axis=1), np.percentile(found, 95, axis=1)
    n = int((p95 <= 3).sum())
    yield holds("BOLD to T1w, 20 starts: converged (p95 below a voxel)", n, "20", n == STARTS)
    yield at_most("BOLD to T1w, 20 starts: mean error", float(means.mean()), 0.4, "mm")
    yield at_most("BOLD to T1w, 20 starts: worst p95", float(p95.max()), 0.8, "mm")
    theirs, own = peer_errors(peers), float(means[:PEER_STARTS].mean())
    yield at_most(
        f"BOLD to T1w, mean error, against antspyx ({PEER_STARTS} starts)", own, theirs, "mm"
    )


def _of_start(number: int) -> tuple[Epi, np.ndarray]:
    rng = stream(SEED, "bold", 200 + number)
    distance, turn = rng.uniform(0, WITHIN_MM), rng.uniform(0, WITHIN_DEG)
    epi = reference(head_offset(distance, turn, person().head.center, rng), rng)
    return epi, epi.errors(aligned(epi), person().brain)


def aligned(epi: Epi) -> Affine:
    """Align as the BOLD branch does."""
    one = person()
    start = align_rigidly(epi.image, one.t1w, moving_mask=one.mask, registration=Greedy())
    return refine(epi.image, start.xfm, one.tissues[0], one.tissues[1])


def peer_errors(epis: list[Epi]) -> float:
    """Mean error of antspyx Rigid: the EPI is fixed, the T1w within its brain mask moves."""
    one = person()
    head = WORK / "peer_t1w.nii.gz"
    inside = np.asarray(one.t1w.dataobj) * (np.asarray(one.mask.dataobj) > 0)
    nib.save(nib.Nifti1Image(inside.astype(np.float32), one.t1w.affine), head)
    brain, jobs = one.brain[::5], []
    for number, epi in enumerate(epis):
        path = Path(WORK / f"peer_epi_{number}.nii.gz")
        nib.save(epi.image, path)
        jobs.append(Job("Rigid", path, head, epi.true(brain)))
    errors = [distances_mm(peer.mapped[0], brain).mean() for peer in antspyx(jobs)]
    return float(np.mean(errors))


def distortion() -> Iterator[Bar]:
    """Median errors in cortex without and with correction, and what becomes of an even EPI."""
    one, cortex = person(), person().cortex
    for number, size_mm in enumerate((DISTORTION_MM, 0.0)):
        rng = stream(SEED, "bold", 300 + number)
        offset = head_offset(10.0, 8.0, one.head.center, rng)
        epi = reference(offset, rng, size_mm)
        start = aligned(epi)
        began = time.process_time()
        found = undistort(epi.image, start, one.tissues, axis=1)
        cpu_s = time.process_time() - began
        before, after = (epi.errors(xfm, cortex) for xfm in (start, found.to_t1w))
        name = f"{size_mm:g} mm distortion, no fieldmap"
        if not size_mm:
            used = "not used" if found.distortion is None else "used"
            yield holds(f"{name}: correction", used, "not used", found.distortion is None)
            continue
        for what, pick in (("median", np.median), ("p95", lambda e: np.percentile(e, 95))):
            old, new = float(pick(before)), float(pick(after))
            told = f"{new:.2f} mm of {old:.2f}"
            yield holds(f"{name}: {what} error in cortex", told, "<= half", new <= old / 2)
        print(f"    (distortion: {cpu_s:.0f} s of CPU; {found.verdict})")


MEASURES = [motion, alignment, distortion]
