"""Align two images: rigidly, affinely, deformably.

Every result maps points of `fixed` to points of `moving`, whichever of them the engine itself
held still.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nibabel as nib
import numpy as np
from scipy import ndimage

from petfmri.errors import RegistrationError
from petfmri.images.resampling import Grid, carry_mask, finite_data, resample, resample_frames
from petfmri.images.transform_files import read_warp
from petfmri.images.transforms import Affine, Transform, rigid
from petfmri.typing import FloatArray, IntArray

HEAD_HEIGHT_MM = 150.0  # from the vertex down: what lies below is neck
COARSEST_MM = 20.0  # voxel size of a level: of coarser ones, heads came out upside down
_EQUAL = 0.9  # voxel volumes that differ by less are taken for equal: not by rounding alone
_RUN_GREEDY = "import sys; from picsl_greedy import Greedy3D; Greedy3D().execute(sys.argv[1])"


class Registration(Protocol):
    """An engine that aligns images."""

    def rigid(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        fixed_mask: nib.Nifti1Image | None = None,
        initial: Affine | None = None,
    ) -> Affine:
        """Align by rotation and translation, across contrasts."""

    def affine(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        fixed_mask: nib.Nifti1Image | None = None,
        initial: Affine | None = None,
    ) -> Affine:
        """Align with 12 degrees of freedom, across contrasts."""

    def deformable(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        initial: Affine,
        fixed_mask: nib.Nifti1Image | None = None,
        moving_mask: nib.Nifti1Image | None = None,
    ) -> Transform:
        """Align by a smooth warp on top of `initial`; same contrast in both images."""


@dataclass(frozen=True)
class Greedy:
    """Greedy, from the picsl-greedy wheel: no program to install, no GPU.

    Rigid and affine steps run on one thread and with a seed, which makes them repeat bit for
    bit; the deformable step repeats with any number of threads.

    Parameters
    ----------
    threads : int, default=1
        For the deformable step.
    seed : int, default=1
        Not 0, which would mean a random one.
    iterations : str, default="60x30x10"
        Of the deformable step, from coarse to fine.
    finest_mm : float, default=2.0
        Finer images are brought to this voxel size, which saves most of the time and memory;
        warps have this resolution.
    update_vox : float, default=2.5
        Standard deviation of the Gaussian that smooths each step of a warp, in voxels of the
        level at work. Of 1.7 (greedy's own default) to 4, 2.5 at 1.5 mm serves both known
        warps, which ask for more, and the folds of real brains, which ask for less.

    References
    ----------
    Yushkevich PA, Pluta J, Wang H, Wisse LE, Das S, Wolk D. Fast automatic segmentation of
    hippocampal subfields and medial temporal lobe subregions in 3 Tesla and 7 Tesla T2-weighted
    MRI. Alzheimers Dement 2016;12:P126-P127.
    """

    threads: int = 1
    seed: int = 1
    iterations: str = "60x30x10"
    finest_mm: float = 2.0
    update_vox: float = 2.5

    def rigid(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        fixed_mask: nib.Nifti1Image | None = None,
        initial: Affine | None = None,
    ) -> Affine:
        """Align by rotation and translation with normalised mutual information."""
        return self._linear(6, fixed, moving, fixed_mask, initial)

    def affine(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        fixed_mask: nib.Nifti1Image | None = None,
        initial: Affine | None = None,
    ) -> Affine:
        """Align with 12 degrees of freedom with normalised mutual information."""
        return self._linear(12, fixed, moving, fixed_mask, initial)

    def deformable(
        self,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        *,
        initial: Affine,
        fixed_mask: nib.Nifti1Image | None = None,
        moving_mask: nib.Nifti1Image | None = None,
    ) -> Transform:
        """Align two images of one contrast by a diffeomorphic warp after an affine.

        Parameters
        ----------
        fixed, moving : Nifti1Image, 3-D
        initial : Affine
            Maps fixed to moving points; stays part of the result.
        fixed_mask, moving_mask : Nifti1Image, optional
            Where the images are compared, each on the grid of its image.

        Returns
        -------
        Chain ``initial @ Warp``
            Invertible: the inverse is found when it is asked for.
        """
        fixed, fixed_mask = _coarsened(fixed, fixed_mask, self.finest_mm)
        finest_mm = max(self.finest_mm, float(Grid.of(fixed).spacing_mm.min()))
        moving, moving_mask = _coarsened(moving, moving_mask, finest_mm)
        with tempfile.TemporaryDirectory(prefix="petfmri_") as folder:
            work = Path(folder)
            images = _write_pair(work, fixed, moving)
            masks = _write_masks(work, fixed_mask, moving_mask)
            np.savetxt(work / "initial.mat", initial.matrix, fmt="%.6f")  # 0.1 micrometre
            _greedy(
                work,
                f"-threads {self.threads} -seed {self.seed} {images} {masks} -it initial.mat "
                f"-m WNCC 2x2x2 -wncc-mask-dilate -s {self.update_vox}vox 0.707vox "
                f"-n {self.iterations} -wp 0 -o warp.nii",
            )
            warp = read_warp(work / "warp.nii")
        return initial @ warp

    def _linear(
        self,
        freedom: int,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        fixed_mask: nib.Nifti1Image | None,
        initial: Affine | None,
    ) -> Affine:
        """Run with the clearly coarser image held still, which is several times faster."""
        start = initial if initial is not None else centers_aligned(fixed, moving)
        near = initial is not None and fixed_mask is not None
        if Grid.of(fixed).spacing_mm.prod() >= _EQUAL * Grid.of(moving).spacing_mm.prod():
            return self._run_linear(freedom, fixed, moving, fixed_mask, None, start, near)
        return ~self._run_linear(freedom, moving, fixed, None, fixed_mask, ~start, near)

    def _run_linear(
        self,
        freedom: int,
        fixed: nib.Nifti1Image,
        moving: nib.Nifti1Image,
        fixed_mask: nib.Nifti1Image | None,
        moving_mask: nib.Nifti1Image | None,
        start: Affine,
        near: bool,
    ) -> Affine:
        fixed, fixed_mask = _coarsened(fixed, fixed_mask, self.finest_mm)
        with tempfile.TemporaryDirectory(prefix="petfmri_") as folder:
            work = Path(folder)
            images = _write_pair(work, fixed, moving)
            masks = _write_masks(work, fixed_mask, moving_mask)
            np.savetxt(work / "start.mat", start.matrix, fmt="%.10f")
            _greedy(
                work,
                f"-threads 1 -seed {self.seed} -a -dof {freedom} -m NMI {images} {masks} "
                f"-ia start.mat -n {_linear_levels(fixed, near=near)} -o result.mat",
            )
            matrix = np.loadtxt(work / "result.mat")
        if not np.isfinite(matrix).all() or not 0.2 < np.linalg.det(matrix) < 5:
            raise RegistrationError(
                f"{fixed.get_filename() or 'fixed'} and {moving.get_filename() or 'moving'}",
                "a transform that collapses the head",
                "one that keeps its size",
                "look at both images, or start from another position",
            )
        return Affine(matrix)


def _linear_levels(fixed: nib.Nifti1Image, *, near: bool) -> str:
    """Return iterations from coarse to fine: a head of few voxels has fewer levels.

    So has a part of it from a near start: of few voxels, it shrinks or slips away.
    """
    if near:
        return "50x10"
    return "100x50x10" if Grid.of(fixed).spacing_mm.max() * 4 <= COARSEST_MM else "100x50"


def centers_aligned(fixed: nib.Nifti1Image, moving: nib.Nifti1Image) -> Affine:
    """Shift the centre of one head onto the other: the start of a linear registration."""
    return rigid(head_center(moving) - head_center(fixed))


def head_center(image: nib.Nifti1Image) -> FloatArray:
    """Return the centre of mass, RAS mm, of a head without what lies below it.

    Only voxels above a tenth of the robust maximum count, and of them those within 150 mm of
    the vertex, so that a long neck does not pull the centre down.
    """
    data = np.asarray(image.dataobj, dtype=np.float32)
    threshold = 0.1 * np.percentile(data, 99.5)
    voxels = np.argwhere(data > threshold)
    if not len(voxels):
        raise RegistrationError(
            image.get_filename() or "image to register",
            "no signal",
            "a head",
            "look at the image",
        )
    points = Affine(image.affine).map(voxels.astype(float))
    vertex = np.percentile(points[:, 2], 99.5)
    weights = data[tuple(voxels.T)] * (points[:, 2] > vertex - HEAD_HEIGHT_MM)
    return np.asarray(np.average(points, axis=0, weights=weights))


def alignment_score(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    xfm: Transform,
    mask: nib.Nifti1Image | None = None,
    *,
    bins: int = 32,
) -> float:
    """Measure how well intensities predict each other: normalised mutual information, 1 to 2.

    Parameters
    ----------
    fixed, moving : Nifti1Image, 3-D
    xfm : Transform
        Maps fixed to moving points.
    mask : Nifti1Image, optional
        Voxels of `fixed` that count; all of them when absent. Those that fall outside `moving`
        count as empty, so that little overlap cannot score well.
    bins : int, default=32
        Intensity classes of each image.

    References
    ----------
    Studholme C, Hill DLG, Hawkes DJ. An overlap invariant entropy measure of 3D medical image
    alignment. Pattern Recognition 1999;32:71-86.
    """
    one = np.asarray(fixed.dataobj, dtype=np.float32)
    chosen = np.ones(one.shape, dtype=bool) if mask is None else np.asarray(mask.dataobj) > 0
    if not chosen.any():
        return 1.0
    one = one[chosen]
    (other,) = resample_frames(
        [finite_data(moving)], moving.affine, xfm, Grid.of(fixed), where=chosen, order=1
    )
    joint = np.bincount(
        _classes(one, bins) * bins + _classes(other, bins), minlength=bins * bins
    ).reshape(bins, bins)
    together = _entropy(joint)
    return float((_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / together) if together else 1.0


def _classes(values: FloatArray, bins: int) -> IntArray:
    low, high = np.percentile(values, [0.5, 99.5])
    scaled = (values.ravel() - low) / max(float(high - low), 1e-12)
    return np.asarray(np.clip(scaled * bins, 0, bins - 1), dtype=int)


def _entropy(counts: IntArray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _coarsened(
    image: nib.Nifti1Image, mask: nib.Nifti1Image | None, spacing_mm: float
) -> tuple[nib.Nifti1Image, nib.Nifti1Image | None]:
    """Bring a finer image and its mask to `spacing_mm`, averaging before sampling."""
    grid = Grid.of(image)
    if grid.spacing_mm.prod() > 0.8 * spacing_mm**3:
        return image, mask
    coarse = grid.spaced(spacing_mm)
    width = np.sqrt(np.maximum(spacing_mm**2 - grid.spacing_mm**2, 0)) / (2.3548 * grid.spacing_mm)
    data = ndimage.gaussian_filter(np.asarray(image.dataobj, dtype=np.float32), width)
    smooth = nib.Nifti1Image(data, image.affine)
    if mask is not None:
        mask = carry_mask(mask, Affine(), coarse, samples=2)
    return resample(smooth, Affine(), coarse, order=1), mask


def _write_pair(work: Path, fixed: nib.Nifti1Image, moving: nib.Nifti1Image) -> str:
    _write(fixed, work / "fixed.nii")
    _write(moving, work / "moving.nii")
    return "-i fixed.nii moving.nii"


def _write_masks(work: Path, fixed: nib.Nifti1Image | None, moving: nib.Nifti1Image | None) -> str:
    options = []
    for option, mask, name in (("-gm", fixed, "fixed_mask"), ("-mm", moving, "moving_mask")):
        if mask is not None:
            _write(mask, work / f"{name}.nii")
            options.append(f"{option} {name}.nii")
    return " ".join(options)


def _write(image: nib.Nifti1Image, path: Path) -> None:
    data = np.asarray(finite_data(image), dtype=np.float32)
    nib.save(nib.Nifti1Image(data, image.affine), path)


def _greedy(work: Path, command: str) -> None:
    """Run greedy in a process of its own, where it may print, set its threads and fail."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN_GREEDY, command],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = " / ".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        raise RegistrationError(
            f"greedy {command}",
            last or f"status {done.returncode}",
            "a transform",
            "look at both images: is each a head, with a correct header?",
        )
