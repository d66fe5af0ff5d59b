"""Steps of the BOLD branch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nipype.interfaces.base import File, TraitedSpec, traits

from petfmri.bold.confounds import confounds_table
from petfmri.bold.dummy import count_dummy_volumes
from petfmri.bold.quality import QualityCollector, RunQuality
from petfmri.bold.series import SignalCollector
from petfmri.bold.slice_timing import interpolate_slices, slice_shifts
from petfmri.images.boundary import refine
from petfmri.images.coregistration import align_rigidly
from petfmri.images.distortion import undistort
from petfmri.images.motion import MOTION_COLUMNS, bold_motion, estimate_motion
from petfmri.images.registration import Greedy
from petfmri.images.resampling import (
    LEAST_COVERED,
    Grid,
    always_inside,
    carry_labels,
    carry_mask,
    fraction_on_grid,
    resample_frames,
)
from petfmri.images.transform_files import (
    read_affine,
    read_affines,
    write_affine,
    write_affines,
    write_composite,
)
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine, Transform
from petfmri.images.volumes import Volumes, load_canonical
from petfmri.interfaces.base import (
    Step,
    StepInputSpec,
    motion_table,
    save_image,
)
from petfmri.interfaces.pet import CoregisterOutputSpec
from petfmri.study.files import read_table, write_json, write_table
from petfmri.typing import BoolArray, FloatArray


class BoldMotionInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD")
    dummy_scans = traits.Either(traits.Int, traits.Enum("auto"), default="auto", usedefault=True)


class BoldMotionOutputSpec(TraitedSpec):
    reference = File(desc="mean of the motion-corrected volumes, on the raw grid")
    motion = File(desc="one matrix per volume: reference points to volume points")
    parameters = File(desc="motion parameters and framewise displacement")
    dummy = traits.Int(desc="volumes before the steady state")


class BoldMotion(Step):
    """Count the dummy scans and align the volumes of one run with one another."""

    input_spec = BoldMotionInputSpec
    output_spec = BoldMotionOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        volumes = Volumes(Path(self.inputs.in_file))
        levels = np.array([volume.mean(dtype=float) for volume in volumes])
        dummy = count_dummy_volumes(
            levels, setting=self.inputs.dummy_scans, where=volumes.path.name
        )
        moved = bold_motion(Volumes(volumes.path, first=dummy), volumes.affine)
        leading = estimate_motion(
            islice(volumes, dummy), volumes.affine, reference=moved.reference, mask=moved.mask
        )
        motion = leading + moved.transforms
        return {
            "reference": save_image(moved.reference, volumes.affine, folder / "boldref.nii.gz"),
            "motion": write_affines(motion, folder / "motion.txt"),
            "parameters": write_table(motion_table(motion, moved.center), folder / "motion.tsv"),
            "dummy": dummy,
        }


class CoregisterBoldInputSpec(StepInputSpec):
    reference = File(exists=True, mandatory=True, desc="BOLD reference image")
    t1w = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    grey = File(exists=True, mandatory=True, desc="probability, on the T1w grid")
    white = File(exists=True, mandatory=True)


class CoregisterBold(Step):
    """Align BOLD with the participant's T1w: mutual information, then tissue boundaries."""

    input_spec = CoregisterBoldInputSpec
    output_spec = CoregisterOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        boldref, t1w = load_canonical(self.inputs.reference), load_canonical(self.inputs.t1w)
        start = align_rigidly(
            boldref, t1w, moving_mask=load_canonical(self.inputs.brain_mask), registration=Greedy()
        )
        refined = refine(
            boldref, start.xfm, load_canonical(self.inputs.grey), load_canonical(self.inputs.white)
        )
        return {"xfm": write_affine(refined, folder / "xfm.txt"), "score": start.score}


class UndistortBoldInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD, whose axes the direction names")
    reference = File(exists=True, mandatory=True, desc="BOLD reference image")
    xfm = File(exists=True, mandatory=True, desc="points of the BOLD reference to T1w points")
    grey = File(exists=True, mandatory=True, desc="probability, on the T1w grid")
    white = File(exists=True, mandatory=True)
    csf = File(exists=True, mandatory=True)
    phase_encoding = traits.Str(mandatory=True, desc="BIDS' PhaseEncodingDirection")


class UndistortBoldOutputSpec(TraitedSpec):
    xfm = File(desc="points of the BOLD reference as it is to T1w points: affine and field")
    sidecar = File(desc="the verdict")


class UndistortBold(Step):
    """Find the distortion of BOLD along its phase encoding, as part of its way to the T1w."""

    input_spec = UndistortBoldInputSpec
    output_spec = UndistortBoldOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        direction = self.inputs.phase_encoding
        axis, _ = Volumes(Path(self.inputs.in_file)).axis_of(direction)
        tissues = [
            load_canonical(path) for path in (self.inputs.grey, self.inputs.white, self.inputs.csf)
        ]
        start = read_affine(Path(self.inputs.xfm))
        found = undistort(load_canonical(self.inputs.reference), start, tissues, axis=axis)
        return {
            "xfm": write_composite(found.to_t1w, folder / "xfm.h5"),
            "sidecar": write_json(
                {
                    "Description": "BOLD reference to T1w: rigid, and the distortion of BOLD along "
                    "its phase encoding. No image is unwarped: labels and PET are carried to it",
                    "PhaseEncodingDirection": direction,
                    "DistortionCorrected": found.distortion is not None,
                    "LargestDisplacement_mm": found.largest_mm,
                    "BoundaryCostBefore": found.cost_before,
                    "BoundaryCostAfter": found.cost_after,
                    "Verdict": found.verdict,
                },
                folder / "xfm.json",
            ),
        }


class BoldSignalsInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD")
    motion = File(exists=True, mandatory=True)
    parameters = File(exists=True, mandatory=True, desc="as BoldMotion wrote them")
    dummy = traits.Int(mandatory=True)
    tr_s = traits.Float(mandatory=True)
    n_compcor = traits.Int(5, usedefault=True, desc="components of noise tissue")
    slice_times_s = traits.List(traits.Float, desc="to interpolate slices in time; empty: not done")
    slice_direction = traits.Str("k", usedefault=True, desc="BIDS' SliceEncodingDirection")
    xfm = File(exists=True, mandatory=True, desc="points of the BOLD reference to T1w points")
    segmentation = File(exists=True, mandatory=True, desc="labels on the T1w grid")
    regions = File(exists=True, mandatory=True, desc="table with index and name")
    brain_mask = File(exists=True, mandatory=True)
    deep_white = File(exists=True, mandatory=True, desc="eroded white matter, on the T1w grid")
    deep_csf = File(exists=True, mandatory=True, desc="eroded CSF, on the T1w grid")


class BoldSignalsOutputSpec(TraitedSpec):
    series = File(desc="raw parcel series, one column per region")
    confounds = File(desc="with fMRIPrep's column names")
    coverage = File(desc="name, coverage and, where a region is missing, why")
    carpet = File(desc="standardised signals of groups of voxels, one column each")
    scores = File(desc="one row: tsnr")


class BoldSignals(Step):
    """Interpolate each volume once; parcel series and confounds in one pass."""

    input_spec = BoldSignalsInputSpec
    output_spec = BoldSignalsOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        volumes, motion = Volumes(Path(self.inputs.in_file)), read_affines(Path(self.inputs.motion))
        grid, to_t1w = Grid(volumes.shape, volumes.affine), read_transform(Path(self.inputs.xfm))
        names = read_table(Path(self.inputs.regions), ["index", "name"])
        segmentation = load_canonical(self.inputs.segmentation)
        labels = carry_labels(segmentation, to_t1w, grid, samples=3, least=LEAST_COVERED)
        masks = self._masks(to_t1w, grid)
        labels = np.asarray(labels.dataobj).ravel()
        needed = np.logical_or.reduce([labels > 0, *masks.values()])
        seen = always_inside(motion, grid, needed)
        where = volumes.path.name
        collector = SignalCollector(
            labels[needed],
            names["index"].to_numpy(int),
            in_fov=seen,
            on_grid=fraction_on_grid(segmentation, ~to_t1w, grid, names["index"].to_numpy(int)),
            where=where,
            **{name: mask[needed] for name, mask in masks.items()},
        )
        watched = QualityCollector(
            {
                "GM": seen & (labels[needed] > 0),
                "WM": seen & masks["white_matter"][needed],
                "CSF": seen & masks["csf"][needed],
            },
            dummy=self.inputs.dummy,
        )
        for volume in resample_frames(
            self._in_time(volumes),
            volumes.affine,
            Affine(),
            grid,
            motion=motion,
            where=needed.reshape(grid.shape),
        ):
            collector.add(volume)
            watched.add(volume)
        run, quality = collector.finish(), watched.finish()
        moved = read_table(Path(self.inputs.parameters))
        confounds = confounds_table(
            run,
            moved[list(MOTION_COLUMNS)].to_numpy(float),
            moved["framewise_displacement"].to_numpy(float),
            tr_s=self.inputs.tr_s,
            dummy=self.inputs.dummy,
            n_compcor=self.inputs.n_compcor,
            where=where,
        )
        regions = names["name"].astype(str)
        reasons = [run.missing.get(column, "") for column in range(len(regions))]
        coverage = pd.DataFrame({"name": regions, "coverage": run.coverage, "missing": reasons})
        return {
            "series": write_table(
                pd.DataFrame(run.series, columns=list(regions)), folder / "series.tsv"
            ),
            "confounds": write_table(confounds, folder / "confounds.tsv"),
            "coverage": write_table(coverage, folder / "coverage.tsv"),
            **write_quality(quality, folder),
        }

    def _masks(self, to_t1w: Transform, grid: Grid) -> dict[str, BoolArray]:
        """Carry the brain and its deep tissues to the points of the BOLD grid."""
        paths = {
            "brain": self.inputs.brain_mask,
            "white_matter": self.inputs.deep_white,
            "csf": self.inputs.deep_csf,
        }
        return {
            name: np.asarray(
                carry_mask(load_canonical(path), to_t1w, grid, samples=2).dataobj
            ).ravel()
            > 0
            for name, path in paths.items()
        }

    def _in_time(self, volumes: Volumes) -> Iterable[FloatArray]:
        """Read the slices at one moment if asked: in time, before the interpolation in space."""
        if not self.inputs.slice_times_s:
            return volumes
        axis, sign = volumes.axis_of(self.inputs.slice_direction)
        where = volumes.path.name
        shifts = slice_shifts(
            self.inputs.slice_times_s, self.inputs.tr_s, falling=sign < 0, where=where
        )
        return interpolate_slices(volumes, axis, shifts, skip=self.inputs.dummy, where=where)


def write_quality(quality: RunQuality, folder: Path) -> dict[str, Path]:
    """Write the carpet and the scores of a run."""
    return {
        "carpet": write_table(quality.table(), folder / "carpet.tsv"),
        "scores": write_table(pd.DataFrame([{"tsnr": quality.tsnr}]), folder / "scores.tsv"),
    }
