"""The bars of parcel series: time and memory against nilearn's masker, values and precision.

A run of 64 x 64 x 40 voxels and 300 volumes in float32, 400 parcels over 63,000 of the voxels.
Times are CPU seconds of processes of their own with one thread, the least of several turns taken
alternately; nilearn gets the array as nibabel lays out images (Fortran order), which it is fastest
with. Ours includes building the parcel matrix, nilearn's the fit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
from bars import Bar, at_most, holds

from petfmri.bold.parcels import ParcelSeries, parcel_series, stream_parcel_series
from petfmri.images.volumes import Volumes

WORK = Path(os.environ.get("PETFMRI_BARS_DIR") or tempfile.mkdtemp(prefix="petfmri_bars_"))
RUN, ATLAS = WORK / "networks" / "run.nii", WORK / "networks" / "atlas.nii"
SHAPE, N_FRAMES, N_PARCELS = (64, 64, 40), 300, 400
INDEX = np.arange(1, N_PARCELS + 1)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def atlas() -> np.ndarray:
    """Parcels of about 157 voxels each: the nearest of 400 seeds in an ellipsoid."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    voxels = np.argwhere(np.ones(SHAPE, dtype=bool))
    reach = (voxels - (np.array(SHAPE) - 1) / 2) / (29.5, 30.0, 17.0)
    inside = np.flatnonzero((reach**2).sum(axis=1) <= 1)
    seeds = voxels[rng.choice(inside, N_PARCELS, replace=False)]
    labels = np.zeros(len(voxels), dtype=np.int32)
    labels[inside] = 1 + cKDTree(seeds).query(voxels[inside])[1]
    return labels.reshape(SHAPE)


def run(labels: np.ndarray, n_frames: int = N_FRAMES, spread: float = 2000) -> np.ndarray:
    """Voxels of mean 10,000 +- `spread` and sd 10, a tenth of the variance shared by their parcel."""
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((N_PARCELS + 1, n_frames), dtype=np.float32)
    data = rng.standard_normal((labels.size, n_frames), dtype=np.float32)
    data *= np.sqrt(90)
    data += np.sqrt(10) * shared[labels.ravel()]
    data += rng.uniform(10_000 - spread, 10_000 + spread, (labels.size, 1)).astype(np.float32)
    return data


def masked(labels: np.ndarray | Path, image: nib.Nifti1Image | Path) -> np.ndarray:
    from nilearn.maskers import NiftiLabelsMasker

    if isinstance(labels, np.ndarray):
        labels = nib.Nifti1Image(np.asfortranarray(labels), AFFINE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NiftiLabelsMasker(labels, standardize=False).fit_transform(image)


def mapped(path: Path) -> Iterator[np.ndarray]:
    """Map an uncompressed image into memory and give one volume after another."""
    data = np.asanyarray(nib.load(path).dataobj)
    return (data[..., frame] for frame in range(data.shape[3]))


def streamed(volumes: Callable[[Path], Iterator[np.ndarray]] = mapped) -> ParcelSeries:
    return stream_parcel_series(volumes(RUN), np.asanyarray(nib.load(ATLAS).dataobj), INDEX)


def turned() -> ParcelSeries:
    return streamed(lambda path: iter(Volumes(path)))


# ------------------------------------------------------------------------------- time and memory


def least_cpu_s(turns: int, *functions: Callable[[], object]) -> list[float]:
    """Least CPU time of each function, each called in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(turns):
        for function, taken in zip(functions, times):
            start = time.process_time()
            function()
            taken.append(time.process_time() - start)
    return [min(taken) for taken in times]


def measure_times() -> None:
    """Print CPU seconds: a process of its own, with one thread."""
    labels = atlas()
    data = run(labels)
    image = nib.Nifti1Image(np.asfortranarray(data.reshape(*SHAPE, N_FRAMES)), AFFINE)
    RUN.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, RUN)
    nib.save(nib.Nifti1Image(labels, AFFINE), ATLAS)
    theirs = partial(masked, labels, image)
    ours = partial(parcel_series, data, labels.ravel(), INDEX)
    in_memory = least_cpu_s(5, theirs, ours, ours, ours)
    del theirs, ours, data, image
    from_file = least_cpu_s(4, lambda: masked(ATLAS, RUN), streamed, streamed, streamed, turned)
    print(in_memory[0], min(in_memory[1:]), from_file[0], min(from_file[1:4]), from_file[4])


def measure_memory() -> None:
    """Print the largest resident memory of this process in MB, mapped pages included."""
    streamed()
    status = Path("/proc/self/status").read_text()  # unlike ru_maxrss, not inherited
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    print(int(line.split()[1]) / 1000)


def child(measure: Callable[[], None]) -> list[float]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    told = subprocess.run(
        [sys.executable, __file__, measure.__name__],
        check=True, capture_output=True, text=True,
        env={**os.environ, **dict.fromkeys(names, "1"), "PETFMRI_BARS_DIR": str(WORK)},
    )  # fmt: skip
    return [float(word) for word in told.stdout.split()]


def speed() -> Iterator[Bar]:
    theirs, ours, theirs_file, ours_file, ours_turned = child(measure_times)
    for name, factor, least in (
        ("in memory", theirs / ours, 30),
        ("from .nii", theirs_file / ours_file, 8),
    ):
        what = f"parcel series {name}: times faster than NiftiLabelsMasker"
        yield holds(what, f"{factor:.0f}", f">= {least}", factor >= least)
    what = "the same, each volume read, turned and checked by petfmri's Volumes"
    yield holds(what, f"{theirs_file / ours_turned:.1f}", "told", True)
    (peak,) = child(measure_memory)
    size = RUN.stat().st_size / 1e6
    yield at_most(
        f"parcel series from {size:.0f} MB .nii: peak of the process, mapped pages too",
        peak,
        300,
        "MB",
    )


# --------------------------------------------------------------------------- values and precision


def agreement() -> Iterator[Bar]:
    labels = atlas()
    data = run(labels, 40) + np.random.default_rng(2).standard_normal((labels.size, 40))
    image = nib.Nifti1Image(np.asfortranarray(data.reshape(*SHAPE, 40)), AFFINE)
    theirs = masked(labels, image)
    for name, ours in (
        ("in memory", parcel_series(data, labels.ravel(), INDEX)),
        ("streamed", stream_parcel_series(np.moveaxis(image.get_fdata(), 3, 0), labels, INDEX)),
    ):
        error = np.abs(ours.series / theirs - 1).max()
        yield at_most(f"{name}, float64: relative difference from NiftiLabelsMasker", error, 1e-12)


def precision() -> Iterator[Bar]:
    labels = atlas()
    for spread in (0, 9000):
        data = run(labels, 200, spread)
        exact = parcel_series(data.astype(float), labels.ravel(), INDEX)
        expected = np.corrcoef(exact.series.T)
        volumes = np.asfortranarray(data.reshape(*SHAPE, 200))
        for name, series in (
            ("in memory", parcel_series(data, labels.ravel(), INDEX).series),
            ("streamed", stream_parcel_series(np.moveaxis(volumes, 3, 0), labels, INDEX).series),
            ("NiftiLabelsMasker", masked(labels, nib.Nifti1Image(volumes, AFFINE))),
        ):
            what = f"mean 10,000 +- {spread}, sd 10, float32, {name}: largest error of r"
            error = np.abs(np.corrcoef(series.T.astype(float)) - expected).max()
            told = name == "NiftiLabelsMasker"
            yield holds(what, f"{error:.1e}", "told", True) if told else at_most(what, error, 1e-6)


MEASURES = [speed, agreement, precision]

if __name__ == "__main__":
    {"measure_times": measure_times, "measure_memory": measure_memory}[sys.argv[1]]()
