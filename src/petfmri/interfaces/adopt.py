"""Steps that bring what fMRIPrep and PETPrep made into this pipeline's conventions.

Nothing is estimated here: transforms change their format, images keep their files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from petfmri.atlases import load_atlas, load_template
from petfmri.bold.dummy import count_dummy_volumes, marked_dummy_volumes
from petfmri.bold.quality import QualityCollector
from petfmri.bold.series import SignalCollector
from petfmri.errors import DatasetError
from petfmri.images.preprocessed import always_nonzero
from petfmri.images.resampling import (
    LEAST_COVERED,
    Grid,
    carry_labels,
    carry_mask,
    fraction_on_grid,
    sampled_warp,
)
from petfmri.images.transform_files import read_affine, read_affines, write_affine, write_affines
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes, load_canonical
from petfmri.interfaces.anat import FIELD_MM, NormaliseOutputSpec, write_fields
from petfmri.interfaces.base import Step, StepInputSpec, motion_table, save_image
from petfmri.interfaces.bold import BoldSignalsOutputSpec, write_quality
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.suvr import window_mean
from petfmri.study.files import read_table, write_table

FD = "framewise_displacement"
SAME_GRID_MM = 1e-3


class AdoptInputSpec(StepInputSpec):
    """Input of a step that hands files on where they lie, and so must run again if they move."""

    places = traits.List(
        traits.Str, hash_files=False, desc="of the files: hashed as paths, the files by content"
    )


class AdoptAnatomyInputSpec(AdoptInputSpec):
    t1w = File(exists=True, mandatory=True, desc="without bias field")
    mask = File(exists=True, desc="brain; like all images on the T1w grid")
    grey = File(exists=True, desc="probability")
    white = File(exists=True)
    csf = File(exists=True)
    to_template = File(exists=True, desc="moves the template onto the T1w")
    from_template = File(exists=True, desc="moves the T1w onto the template")


class AdoptAnatomyOutputSpec(NormaliseOutputSpec):
    out_file = File(desc="T1w without bias field")
    mask = File()
    grey = File()
    white = File()
    csf = File()


class AdoptAnatomy(Step):
    """Hand on an anatomy; sample its transforms to the template as fields."""

    input_spec = AdoptAnatomyInputSpec
    output_spec = AdoptAnatomyOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        t1w = load_canonical(self.inputs.t1w)
        outputs: dict[str, Any] = {"out_file": self.inputs.t1w}
        for name in ("mask", "grey", "white", "csf"):
            path = getattr(self.inputs, name)
            if isdefined(path):
                _require_grid(path, Grid.of(t1w))
                outputs[name] = path
        there, back = (
            read_transform(Path(path)) if isdefined(path) else None
            for path in (self.inputs.to_template, self.inputs.from_template)
        )
        if there is None and back is None:
            return outputs
        if there is None:
            there = ~sampled_warp(back, Grid.of(load_template().head).spaced(FIELD_MM))
        if back is None:
            back = ~sampled_warp(there, Grid.of(t1w).spaced(FIELD_MM))
        return outputs | write_fields(there, back, t1w, folder)


class AdoptBoldInputSpec(AdoptInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD")
    reference = File(exists=True, desc="BOLD reference image")
    xfm = File(exists=True, desc="between the reference and the T1w")
    xfm_moves_t1w = traits.Bool(False, usedefault=True, desc="it moves the T1w, not the reference")
    motion = File(exists=True, desc="moves each raw volume onto the reference")
    confounds = File(exists=True, desc="with fMRIPrep's column names")
    dummy_scans = traits.Either(traits.Int, traits.Enum("auto"), default="auto", usedefault=True)


class AdoptBoldOutputSpec(TraitedSpec):
    reference = File(desc="BOLD reference image")
    xfm = File(desc="points of the reference to points of the T1w")
    motion = File(desc="one matrix per volume: reference points to volume points")
    parameters = File(desc="motion parameters and framewise displacement")
    confounds = File(desc="as they were")
    dummy = traits.Int(desc="volumes before the steady state")


class AdoptBold(Step):
    """Hand on the alignment and the confounds of a run."""

    input_spec = AdoptBoldInputSpec
    output_spec = AdoptBoldOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        volumes = Volumes(Path(self.inputs.in_file))
        outputs: dict[str, Any] = {"dummy": self._dummy(volumes)}
        if isdefined(self.inputs.confounds):
            outputs["confounds"] = self.inputs.confounds
        if isdefined(self.inputs.xfm):
            outputs["xfm"] = _write_xfm(self.inputs.xfm, self.inputs.xfm_moves_t1w, folder)
        if isdefined(self.inputs.reference):
            outputs["reference"] = self.inputs.reference
        else:  # fMRIPrep < 23 kept none: its grid is that of the run
            first = next(iter(Volumes(volumes.path, first=outputs["dummy"])))
            outputs["reference"] = save_image(first, volumes.affine, folder / "boldref.nii.gz")
        if isdefined(self.inputs.motion):
            motion = read_affines(Path(self.inputs.motion))
            _require_count(self.inputs.motion, len(motion), volumes.n_total)
            outputs["motion"] = write_affines(motion, folder / "motion.txt")
            table = motion_table(motion, _center(outputs["reference"]))
            outputs["parameters"] = write_table(table, folder / "motion.tsv")
        return outputs

    def _dummy(self, volumes: Volumes) -> int:
        setting = self.inputs.dummy_scans
        if setting == "auto" and isdefined(self.inputs.confounds):
            return marked_dummy_volumes(read_table(Path(self.inputs.confounds)))
        if setting == "auto":
            levels = np.array([volume.mean(dtype=float) for volume in volumes])
        else:  # a number decides, whatever the levels
            levels = np.ones(volumes.n_total)
        return count_dummy_volumes(levels, setting=setting, where=volumes.path.name)


class AdoptedSignalsInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="preprocessed BOLD")
    confounds = File(exists=True, mandatory=True)
    mask = File(exists=True, desc="brain, on the grid of the volumes")
    regions = File(exists=True, mandatory=True, desc="table with index and name")
    segmentation = File(exists=True, desc="labels on the T1w grid; else those of the atlas")
    atlas = traits.Str("", usedefault=True, desc="for volumes in template space")
    atlas_table = traits.Str("", usedefault=True)
    xfm = File(exists=True, desc="points of the volumes to points of the labels; else the same")
    dummy = traits.Int(0, usedefault=True, desc="volumes before the steady state")
    deep_white = File(exists=True, desc="eroded white matter, on the grid of the labels")
    deep_csf = File(exists=True, desc="eroded CSF, on the grid of the labels")


class AdoptedSignals(Step):
    """Average preprocessed volumes over regions; labels come to them, no voxel is interpolated."""

    input_spec = AdoptedSignalsInputSpec
    output_spec = BoldSignalsOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        volumes = Volumes(Path(self.inputs.in_file))
        grid = Grid(volumes.shape, volumes.affine)
        _require_count(
            self.inputs.confounds, len(read_table(Path(self.inputs.confounds))), volumes.n_total
        )
        xfm = read_affine(Path(self.inputs.xfm)) if isdefined(self.inputs.xfm) else Affine()
        source = self._labels()
        carried = carry_labels(source, xfm, grid, samples=3, least=LEAST_COVERED)
        labels = np.asarray(carried.dataobj)
        brain = labels > 0
        if isdefined(self.inputs.mask):
            _require_grid(self.inputs.mask, grid)
            brain = np.asarray(load_canonical(self.inputs.mask).dataobj) > 0
        deep = self._deep(xfm, grid)
        needed = np.logical_or.reduce([brain, labels > 0, *deep.values()])
        seen = always_nonzero(volumes)[needed]
        names = read_table(Path(self.inputs.regions), ["index", "name"])
        index = names["index"].to_numpy(int)
        nowhere = np.zeros(int(needed.sum()), dtype=bool)
        collector = SignalCollector(
            labels[needed],
            index,
            in_fov=seen,
            on_grid=fraction_on_grid(source, ~xfm, grid, index),
            brain=brain[needed],
            white_matter=nowhere,
            csf=nowhere,
            where=volumes.path.name,
        )
        tissues = {"GM": labels > 0, **deep}
        watched = QualityCollector(
            {tissue: seen & mask[needed] for tissue, mask in tissues.items()},
            dummy=self.inputs.dummy,
        )
        for volume in volumes:
            collector.add(volume[needed])
            watched.add(volume[needed])
        run, quality = collector.finish(), watched.finish()
        regions = names["name"].astype(str)
        reasons = [run.missing.get(column, "") for column in range(len(regions))]
        coverage = pd.DataFrame({"name": regions, "coverage": run.coverage, "missing": reasons})
        series = pd.DataFrame(run.series, columns=list(regions))
        return {
            "series": write_table(series, folder / "series.tsv"),
            "coverage": write_table(coverage, folder / "coverage.tsv"),
            **write_quality(quality, folder),
        }

    def _deep(self, xfm: Affine, grid: Grid) -> dict[str, Any]:
        """Carry the deep tissues to the volumes, where they are known."""
        given = {"WM": self.inputs.deep_white, "CSF": self.inputs.deep_csf}
        return {
            tissue: np.asarray(carry_mask(load_canonical(path), xfm, grid, samples=2).dataobj) > 0
            for tissue, path in given.items()
            if isdefined(path)
        }

    def _labels(self) -> nib.Nifti1Image:
        if isdefined(self.inputs.segmentation):
            return load_canonical(self.inputs.segmentation)
        return load_atlas(self.inputs.atlas, self.inputs.atlas_table or None).image


class AdoptPetInputSpec(AdoptInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw PET")
    sidecar = traits.Dict(mandatory=True, desc="its BIDS metadata")
    series = File(exists=True, desc="preprocessed frames")
    series_in_t1w = traits.Bool(False, usedefault=True, desc="they lie in the space of the T1w")
    reference = File(exists=True, desc="PET reference image")
    xfm = File(exists=True, desc="between the reference and the T1w")
    xfm_moves_t1w = traits.Bool(False, usedefault=True, desc="it moves the T1w, not the reference")
    motion = File(exists=True, desc="moves each raw frame onto the reference")
    confounds = File(exists=True)


class AdoptPetOutputSpec(TraitedSpec):
    reference = File(desc="PET reference image")
    xfm = File(desc="points of the reference to points of the T1w")
    series_xfm = File(desc="points of the preprocessed frames to points of the T1w")
    motion = File(desc="one matrix per frame: reference points to frame points")
    confounds = File(desc="with framewise displacement, missing where it is not known")


class AdoptPet(Step):
    """Hand on the alignment of a PET scan."""

    input_spec = AdoptPetInputSpec
    output_spec = AdoptPetOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        schedule = _schedule(self.inputs.in_file, self.inputs.sidecar)
        outputs: dict[str, Any] = {}
        if isdefined(self.inputs.xfm):
            outputs["xfm"] = _write_xfm(self.inputs.xfm, self.inputs.xfm_moves_t1w, folder)
        if isdefined(self.inputs.reference):
            outputs["reference"] = self.inputs.reference
        else:  # frames that lie in the T1w's own space are their own reference
            weights = schedule.duration_s / schedule.duration_s.sum()
            series = Volumes(Path(self.inputs.series))
            outputs["reference"] = save_image(
                window_mean(series, weights), series.affine, folder / "petref.nii.gz"
            )
            outputs["xfm"] = write_affine(Affine(), folder / "xfm.txt")
        if self.inputs.series_in_t1w:
            outputs["series_xfm"] = write_affine(Affine(), folder / "series_xfm.txt")
        n_frames = schedule.n_frames
        table = pd.DataFrame({FD: np.full(n_frames, np.nan)})
        if isdefined(self.inputs.motion):
            motion = read_affines(Path(self.inputs.motion))
            _require_count(self.inputs.motion, len(motion), n_frames)
            outputs["motion"] = write_affines(motion, folder / "motion.txt")
            table = motion_table(motion, _center(outputs["reference"]))
        if isdefined(self.inputs.confounds):
            own = read_table(Path(self.inputs.confounds))
            _require_count(self.inputs.confounds, len(own), n_frames)
            table = own if FD in own else own.assign(**{FD: table[FD]})
        outputs["confounds"] = write_table(table, folder / "confounds.tsv")
        return outputs


def _schedule(path: str, sidecar: dict[str, Any]) -> FrameSchedule:
    return FrameSchedule.from_sidecar(sidecar, len(Volumes(Path(path))), Path(path).name)


def _write_xfm(path: str, moves_t1w: bool, folder: Path) -> Path:
    """Write points of the reference to points of the T1w.

    A file that moves the T1w onto the reference holds just these, as resampling asks for them.
    """
    xfm = read_transform(Path(path))
    if not isinstance(xfm, Affine):
        raise DatasetError(
            path, "a deformation", "an affine", "remove it from the folder to have it computed"
        )
    return write_affine(xfm if moves_t1w else ~xfm, folder / "xfm.txt")


def _center(path: str | Path) -> Any:
    """Return the middle of an image, RAS mm."""
    image = load_canonical(path)
    return nib.affines.apply_affine(image.affine, (np.array(image.shape[:3]) - 1) / 2)


def _require_count(path: str, found: int, expected: int) -> None:
    if found != expected:
        raise DatasetError(
            path,
            f"{found} rows or transforms",
            f"{expected}, one for each volume",
            "make the derivatives anew from this scan, or remove them",
        )


def _require_grid(path: str, grid: Grid) -> None:
    own = Grid.of(load_canonical(path))
    if own.shape != grid.shape or not np.allclose(own.affine, grid.affine, atol=SAME_GRID_MM):
        raise DatasetError(
            path,
            "another grid than the image that it belongs to",
            "one grid",
            "make the derivatives anew, or remove this file to have it computed",
        )
