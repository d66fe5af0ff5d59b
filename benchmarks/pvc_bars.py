"""The bars of partial-volume correction: a phantom, 30 frames at 1 mm, real curves."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from bars import Bar, at_most, holds

from petfmri.pet.partial_volume import gtm, iterative_yang, iterative_yang_tacs
from petfmri.pet.psf import blur
from petfmri.pet.spill import label_spill
from petfmri.pet.tacs import regional_means

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PETFMRI_TEST_DATA", ROOT.parent / "shared" / "data"))
FWHM_MM = 6.0
N_DEEP = 4


def head(
    shape: tuple[int, int, int], voxel_mm: float, n_grey: int, semi_axes_mm: tuple[float, ...]
) -> np.ndarray:
    """Labels: 0 air, 1 white matter, 2 CSF, then grey: a cortex of 7 mm in tiles, 4 deep balls."""
    axes = [(np.arange(size) - (size - 1) / 2) * voxel_mm for size in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    scaled = points / np.float32(semi_axes_mm)
    radius = np.linalg.norm(scaled, axis=-1)
    n_tiles = n_grey - N_DEEP
    height = 1 - 2 * (np.arange(n_tiles) + 0.5) / n_tiles
    turn = np.arange(n_tiles) * np.pi * (3 - np.sqrt(5))
    across = np.sqrt(1 - height**2)
    seeds = np.column_stack([across * np.cos(turn), across * np.sin(turn), height])
    labels = np.select([radius <= 0.9, radius <= 1, radius <= 1.07], [1, 3, 2]).astype(np.int16)
    cortex = labels == 3
    labels[cortex] = 3 + np.argmax(scaled[cortex] @ seeds.T.astype(np.float32), axis=1)
    for deep, center in enumerate([(-25, 10, 0), (25, 10, 0), (-25, -25, -8), (25, -25, -8)]):
        near = np.linalg.norm(points - np.float32(center), axis=-1) <= 11
        labels[near] = 3 + n_tiles + deep
    return labels


def activity(n_grey: int) -> np.ndarray:
    return np.array([0.0, 5, 2, *np.linspace(18, 30, n_grey)])


def phantom() -> Iterator[Bar]:
    labels, affine = head((96, 112, 96), 2.0, 20, (70, 85, 68)), np.diag([2.0, 2, 2, 1])
    truth = activity(20)
    pet = blur(truth[labels], FWHM_MM, affine)
    grey = {label: str(label) for label in range(3, 23)}
    before = regional_means([pet], labels, grey, voxel_volume_mm3=8).mean[:, 0] / truth[3:] - 1
    yield holds(
        "PVC phantom, 22 regions, 6 mm: bias before, mean of 20 grey regions",
        f"{100 * before.mean():.1f} %",
        "(printed)",
        True,
    )
    spill = label_spill(labels, affine, FWHM_MM)
    for name, tacs in {
        "GTM": gtm([pet], spill, grey).tacs,
        "IY": iterative_yang_tacs([pet], spill, grey),
    }.items():
        error = 100 * np.abs(tacs.mean[:, 0] / truth[3:] - 1).max()
        yield at_most(f"PVC phantom: max abs error of {name}", error, 0.1, "%")


def one_millimetre() -> Iterator[Bar]:
    child = subprocess.run(
        [sys.executable, __file__], stdout=subprocess.PIPE, check=True, text=True
    )
    found = json.loads(child.stdout)
    case = f"IY, {found['n_regions']} regions x {found['n_frames']} frames at 1 mm"
    yield at_most(f"{case}: CPU", found["cpu_s"], 60, "s")
    yield at_most(f"{case}: peak memory", found["peak_gb"], 4, "GB")
    yield at_most(f"{case}: max abs error", found["error_percent"], 1, "%")


def _one_millimetre() -> dict[str, float]:
    """Correct 30 frames of 160x190x160 voxels, of curves with two components."""
    labels, affine = head((160, 190, 160), 1.0, 98, (66, 82, 66)), np.eye(4)
    late = activity(98)
    early = np.array([0, *late[:0:-1]])
    parts = [blur(part.astype(np.float32)[labels], FWHM_MM, affine) for part in (early, late)]
    weights = np.column_stack([np.exp(-np.arange(30) / 8), 1 - np.exp(-np.arange(30) / 8)])
    weights = weights.astype(np.float32)
    truth = weights @ np.stack([early, late])
    start, worst, n_frames = time.process_time(), 0.0, 0
    spill = label_spill(labels, affine, FWHM_MM)
    frames = (a * parts[0] + b * parts[1] for a, b in weights)
    for n_frames, corrected in enumerate(iterative_yang(frames, spill), 1):
        mean = np.bincount(labels.ravel(), corrected.image.ravel()) / np.bincount(labels.ravel())
        error = mean[1:] / truth[n_frames - 1, 1:] - 1
        worst = max(worst, 100 * float(np.abs(error).max()))
    return {
        "cpu_s": time.process_time() - start,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "error_percent": worst,
        "n_regions": spill.index.size - 1,
        "n_frames": n_frames,
    }


def real_curves() -> Iterator[Bar]:
    """Curves of one person painted on that person's segmentation, blurred, then corrected."""
    source = DATA / "pet_dynamic/ps11/petspace"
    lines = (source / "gtm.stats.dat").read_text().splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    regions = {int(row[1]): row[2] for row in rows}
    curves = nib.load(source / "nopvc.nii.gz").get_fdata()[:, 0, 0, :] * 1e-3
    segmentation = nib.load(source / "seg.nii.gz")
    labels, affine = np.asarray(segmentation.dataobj).astype(int), segmentation.affine
    lookup = np.zeros((labels.max() + 1, curves.shape[1]), dtype=np.float32)
    lookup[list(regions)] = curves
    images = [blur(lookup[labels, frame], FWHM_MM, affine) for frame in range(curves.shape[1])]
    sizes = {int(row[1]): int(row[4]) for row in rows if row[3] in ("cortex", "subcort_gm")}
    largest = {label: regions[label] for label in sorted(sizes, key=sizes.get)[-20:]}
    truth = lookup[list(largest)]

    def error(mean: np.ndarray) -> np.ndarray:
        return 100 * np.abs(mean / truth - 1)

    before = error(regional_means(images, labels, largest, voxel_volume_mm3=8).mean)
    name = "ps11 + 6 mm, 20 largest grey regions, 33 frames"
    yield holds(
        f"{name}: bias before",
        f"median {np.median(before):.1f}, worst {before.max():.0f} %",
        "(printed)",
        True,
    )
    spill = label_spill(labels, affine, FWHM_MM)
    after = error(iterative_yang_tacs(images, spill, largest).mean)
    yield at_most(f"{name}: worst after IY", after.max(), 1, "%")


MEASURES = [phantom, one_millimetre, real_curves]

if __name__ == "__main__":
    print(json.dumps(_one_millimetre()))
