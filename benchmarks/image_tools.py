"""What the image bars share: where they work, antspyx as the peer, errors in millimetres."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import nibabel as nib
import numpy as np
from spine_bars import DATA, ROOT, WORK

__all__ = [
    "DATA",
    "ROOT",
    "WORK",
    "Found",
    "Job",
    "antspyx",
    "brain_points",
    "distances_mm",
    "each",
]
Item = TypeVar("Item")
Result = TypeVar("Result")
ANTSPYX = "antspyx==0.6.3"


class Job(NamedTuple):
    """One registration for the peer; every volume of a 4-D `moving` is registered."""

    kind: str  # a type of ants.registration: Rigid, SyN
    fixed: Path
    moving: Path
    points: np.ndarray  # of the fixed image, RAS mm, shape (n, 3)


class Found(NamedTuple):
    mapped: np.ndarray  # points in the moving image, shape (n_volumes, n, 3)
    wall_s: np.ndarray
    cpu_s: np.ndarray


def antspyx(jobs: Sequence[Job], *, threads: int = 1) -> list[Found]:
    """Register with antspyx in its own environment (or that of PETFMRI_ANTSPYX, a python)."""
    folder = Path(tempfile.mkdtemp(prefix="antspyx_", dir=WORK))
    tasks = []
    for number, job in enumerate(jobs):
        points, out = folder / f"{number}.npy", folder / f"{number}.npz"
        np.save(points, job.points)
        tasks.append(
            {
                "kind": job.kind,
                "fixed": str(job.fixed),
                "moving": str(job.moving),
                "points": str(points),
                "out": str(out),
            }
        )
    (folder / "jobs.json").write_text(json.dumps(tasks))
    script = Path(__file__).with_name("antspyx_peer.py")
    env = {**os.environ, "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": str(threads)}
    subprocess.run([_peer_python(), script, folder / "jobs.json"], check=True, env=env)
    return [Found(**np.load(task["out"])) for task in tasks]


def _peer_python() -> Path:
    if os.environ.get("PETFMRI_ANTSPYX"):
        return Path(os.environ["PETFMRI_ANTSPYX"])
    python = WORK / "antspyx/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "antspyx"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", ANTSPYX], check=True)
    return python


def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Apply a function to every item, two at a time, in processes that know what this one knows."""
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(2, mp_context=fork) as pool:
        return list(pool.map(function, items))


def brain_points(mask: nib.Nifti1Image, n: int = 5000) -> np.ndarray:
    """Return about `n` voxel centres of a mask, RAS mm."""
    voxels = np.argwhere(np.asarray(mask.dataobj) > 0)
    return nib.affines.apply_affine(mask.affine, voxels[:: max(1, len(voxels) // n)])


def distances_mm(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return how far apart points of shape (..., 3) are."""
    return np.linalg.norm(np.asarray(found) - np.asarray(true), axis=-1)
