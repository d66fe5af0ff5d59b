"""The curves that `petfmri quantify` fits: read from PETPrep, or drawn from images anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy.ndimage import distance_transform_edt

from petfmri.errors import DatasetError
from petfmri.images.preprocessed import resample_scan
from petfmri.images.resampling import Grid
from petfmri.images.transform_files import read_affine, read_affines
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes, load_canonical
from petfmri.pet.activity import calibration, half_life
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.weights import frame_weights
from petfmri.pet.partial_volume import gtm, iterative_yang
from petfmri.pet.spill import label_spill
from petfmri.pet.tacs import regional_means
from petfmri.study.adopted import AdoptedPet
from petfmri.study.files import read_table
from petfmri.study.layout import Names
from petfmri.study.names import bids_label
from petfmri.typing import BoolArray, FloatArray, IntArray

SHELL_MM = 10.0  # around the brain: what spills out of it and in from the scalp
UNLIMITED_S = 1e12  # half-life where none is known: frames weigh by their duration alone


@dataclass(frozen=True, eq=False)
class ScanCurves:
    """Curves of one scan under one correction for partial volumes.

    Attributes
    ----------
    names : tuple of str
        Regions.
    tac : array of shape (n_regions, n_frames), kBq/mL
    volumes_mm3 : array of shape (n_regions,), mm³, or None
    references : mapping of name to array of shape (n_frames,), kBq/mL
    schedule : FrameSchedule
    half_life_s : float, s
    notes : tuple of str
    grey : bool array of shape (n_regions,), optional
        Regions of grey matter: they alone give k2', weights and delay. Unset: all are.
    """

    names: tuple[str, ...]
    tac: FloatArray
    volumes_mm3: FloatArray | None
    references: Mapping[str, FloatArray]
    schedule: FrameSchedule
    half_life_s: float
    notes: tuple[str, ...] = ()
    grey: BoolArray | None = None

    @cached_property
    def brain(self) -> BoolArray:
        """Regions of grey matter that are seen in every frame."""
        seen = np.asarray(np.isfinite(self.tac).all(axis=1))
        return seen if self.grey is None else seen & self.grey

    @cached_property
    def typical(self) -> FloatArray:
        """Mean of all grey matter, by volume where it is known."""
        seen = self.brain
        volumes = None if self.volumes_mm3 is None else self.volumes_mm3[seen]
        return np.asarray(np.average(self.tac[seen], axis=0, weights=volumes))

    @cached_property
    def weights(self) -> FloatArray:
        """Weight of each frame in every fit."""
        return frame_weights(self.schedule, self.half_life_s, np.maximum(self.typical, 0))


@dataclass(frozen=True, eq=False)
class ImageScan:
    """A raw PET scan with what `petfmri run` delivered of it.

    Parameters
    ----------
    path : Path
        The raw PET.
    sidecar : mapping
    names : Names
    session : str
    references : sequence of str
        Whose masks the run delivered.
    psf_mm : array of shape (3,), mm, or None
    adopted : AdoptedPet
        Whose preprocessed frames the run read, if any.
    """

    path: Path
    sidecar: Mapping[str, Any]
    names: Names
    session: str
    references: Sequence[str]
    psf_mm: FloatArray | None = None
    adopted: AdoptedPet = field(default_factory=AdoptedPet)
    _cache: dict[str, ScanCurves] = field(default_factory=dict)

    @cached_property
    def schedule(self) -> FrameSchedule:
        """Its frames."""
        n_frames = len(Volumes(self.path))
        return FrameSchedule.from_sidecar(dict(self.sidecar), n_frames, self.path.name)

    def forget(self) -> None:
        """Let go of what was sampled, which may be hundreds of megabytes."""
        self._cache.clear()
        self.__dict__.pop("_sampled", None)

    def curves(self, pvc: str) -> ScanCurves:
        """Draw the curves of all regions and reference regions, corrected or not.

        Raises
        ------
        DatasetError
            If something that the run should have delivered is absent.
        """
        if pvc not in self._cache:
            self._cache[pvc] = self._drawn(pvc)
        return self._cache[pvc]

    def voxels(self) -> tuple[FloatArray, BoolArray, FloatArray]:
        """Return the curve of every voxel of the brain.

        Returns
        -------
        curves : array of shape (n_voxels, n_frames), kBq/mL
        where : bool array of the shape of the T1w
        affine : array of shape (4, 4)
        """
        image = self._image("mask", desc="brain")
        where = np.asarray(image.dataobj) > 0
        sampled = self._sampled
        chosen = where[sampled.box][sampled.where]
        return sampled.values[:, chosen].T, where, np.asarray(image.affine)

    @cached_property
    def _sampled(self) -> _Sampled:
        """Interpolate each raw frame once onto the T1w grid, where it is needed.

        That is brain, regions and, to correct for partial volumes, a shell around them.
        """
        brain = self._image("mask", desc="brain")
        needed = np.asarray(brain.dataobj) > 0
        needed |= np.asarray(self._image("dseg", seg=self.names.seg).dataobj) > 0
        for name in self.references:
            needed |= self._reference(name)
        sizes = nib.affines.voxel_sizes(brain.affine)
        box = _box_around(needed, np.ceil(SHELL_MM / sizes).astype(int))
        where = needed[box]
        if self.psf_mm is not None:
            where = distance_transform_edt(~where, sampling=sizes) <= SHELL_MM
        affine = np.array(brain.affine)
        affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
        x, y, z = where.shape
        grid = Grid((x, y, z), affine)
        values = np.empty((self.schedule.n_frames, int(where.sum())), dtype=np.float32)
        for number, frame in enumerate(self._frames(grid, where)):
            values[number] = frame
        return _Sampled(box, grid, where, values)

    def _drawn(self, pvc: str) -> ScanCurves:
        sampled = self._sampled
        segmentation = self._image("dseg", seg=self.names.seg)
        table = read_table(self.names.anat("dseg", ".tsv", seg=self.names.seg), ["index", "name"])
        regions = dict(zip(table["index"].astype(int), table["name"].astype(str), strict=True))
        labels = np.rint(np.asarray(segmentation.dataobj)).astype(np.int32)[sampled.box]
        masks = {name: self._reference(name)[sampled.box] for name in self.references}
        volume = float(abs(np.linalg.det(segmentation.affine[:3, :3])))
        draw = _Draw(labels, regions, masks, volume)
        notes: list[str] = []
        if pvc == "none":
            tac, references = draw.means(sampled.values, sampled.where)
        else:
            tac, references = self._corrected(pvc, draw, notes)
        volumes = np.bincount(labels.ravel(), minlength=max(regions) + 1)[list(regions)] * volume
        return ScanCurves(
            tuple(regions.values()),
            tac,
            volumes,
            references,
            self.schedule,
            half_life(dict(self.sidecar), self.path.name),
            tuple(notes),
        )

    def _corrected(
        self, pvc: str, draw: _Draw, notes: list[str]
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        if self.psf_mm is None:
            raise DatasetError(
                f"{self.path.name}: resolution",
                "none",
                "the FWHM of the PET, for partial-volume correction",
                "add pet.psf_mm",
            )
        sampled = self._sampled
        tissues = self._tissue_labels(draw.labels)
        if pvc == "IY":
            spill = label_spill(tissues, sampled.grid.affine, self.psf_mm)
            corrected = iterative_yang(sampled.frames(), spill)
            return draw.means((frame.image[sampled.where] for frame in corrected), sampled.where)
        references = {}
        own = int(tissues.max()) + 1
        for name, mask in draw.masks.items():
            spill = label_spill(np.where(mask, own, tissues), sampled.grid.affine, self.psf_mm)
            references[name] = gtm(sampled.frames(), spill, {own: name}).tacs.mean[0]
        spill = label_spill(tissues, sampled.grid.affine, self.psf_mm)
        regional = gtm(sampled.frames(), spill, draw.regions)
        notes.append(f"GTM: condition number {regional.condition:.0f}.")
        return regional.tacs.mean, references

    def _tissue_labels(self, labels: IntArray) -> IntArray:
        """Label what the atlas leaves out: other grey matter, white matter, CSF, and the shell."""
        box, where = self._sampled.box, self._sampled.where
        tissues = np.stack(
            [
                np.asarray(self._image("probseg", label=name).dataobj)[box]
                for name in ("GM", "WM", "CSF")
            ]
        )
        brain = np.asarray(self._image("mask", desc="brain").dataobj)[box] > 0
        first = labels.max() + 1
        rest = np.where(brain, first + tissues.argmax(axis=0), first + len(tissues))
        return np.where(labels > 0, labels, np.where(where, rest, 0)).astype(np.int32)

    def _frames(self, grid: Grid, where: BoolArray) -> Iterator[FloatArray]:
        """Interpolate each frame that the run read once onto the T1w grid, in kBq/mL."""
        path = self.adopted.series or self.path
        volumes = Volumes(path)
        factors = calibration(dict(self.sidecar), self.schedule, self.path.name)
        to_t1w = {"from_": "T1w", "to": "petref", "mode": "image"}
        moved = {"from_": "orig", "to": "petref", "mode": "image"}
        raw = self.adopted.series is None
        in_t1w = not raw and self.adopted.space == "T1w"
        xfm = Affine() if in_t1w else ~read_affine(self._pet("xfm", ".txt", **to_t1w))
        return resample_scan(
            (frame * np.float32(f) for frame, f in zip(volumes, factors, strict=True)),
            volumes,
            xfm,
            grid,
            motion=read_affines(self._pet("xfm", ".txt", **moved)) if raw else None,
            where=where,
        )

    def _pet(self, suffix: str, extension: str, **entities: str) -> Path:
        return self.names.pet(self.session, suffix, extension, **entities)

    def _reference(self, name: str) -> BoolArray:
        image = self._image("mask", desc="ref", label=bids_label(name))
        return np.asarray(image.dataobj) > 0

    def _image(self, suffix: str, **entities: str) -> nib.Nifti1Image:
        path = self.names.anat(suffix, **entities)
        if not path.exists():
            raise DatasetError(
                str(path), "no such file", "what a run delivers", "call `petfmri run` first"
            )
        return load_canonical(path)


@dataclass(frozen=True, eq=False)
class _Sampled:
    """Frames at the voxels of a box of the T1w grid that matter."""

    box: tuple[slice, ...]
    grid: Grid
    where: BoolArray
    values: FloatArray  # (n_frames, n_voxels)

    def frames(self) -> Iterator[FloatArray]:
        """Give each frame as an image, NaN where nothing was sampled."""
        for values in self.values:
            image = np.full(self.where.shape, np.nan, dtype=np.float32)
            image[self.where] = values
            yield image


@dataclass(frozen=True, eq=False)
class _Draw:
    """Means over regions and over reference regions, which overlap them."""

    labels: IntArray
    regions: Mapping[int, str]
    masks: Mapping[str, BoolArray]
    voxel_volume_mm3: float

    def means(
        self, frames: Iterable[FloatArray], where: BoolArray
    ) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Average frames of which the voxels in `where` are given."""
        masks = [mask[where] for mask in self.masks.values()]
        first = max(self.regions) + 1
        own = [np.full(int(mask.sum()), first + k) for k, mask in enumerate(masks)]
        labels = np.concatenate([self.labels[where], *own])
        names = {first + k: name for k, name in enumerate(self.masks)}
        joined = (np.concatenate([frame, *(frame[mask] for mask in masks)]) for frame in frames)
        found = regional_means(
            joined, labels, {**self.regions, **names}, voxel_volume_mm3=self.voxel_volume_mm3
        )
        n = len(self.regions)
        return found.mean[:n], dict(zip(self.masks, found.mean[n:], strict=True))


def _box_around(mask: BoolArray, margin: IntArray) -> tuple[slice, ...]:
    where = np.argwhere(mask)
    low = np.maximum(where.min(axis=0) - margin, 0)
    high = np.minimum(where.max(axis=0) + margin + 1, mask.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
