"""Steps of the PET branch, and the join of PET with BOLD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from nipype.interfaces.base import File, TraitedSpec, isdefined, traits

from petfmri.images.coregistration import SHIFT_MM, align_pet, keep_identity
from petfmri.images.pet_motion import ScanMotion, no_motion, pet_motion
from petfmri.images.preprocessed import resample_scan
from petfmri.images.registration import Greedy
from petfmri.images.resampling import (
    Grid,
    fraction_on_grid,
    label_samples,
    spline_samples,
)
from petfmri.images.transform_files import read_affine, read_affines, write_affine, write_affines
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Transform
from petfmri.images.volumes import Volumes, load_canonical
from petfmri.interfaces.base import (
    Step,
    StepInputSpec,
    load_labels,
    motion_table,
    save_image,
)
from petfmri.pet.activity import calibration, concentration_scale
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.reference import ReferenceRegion, reference_uptake
from petfmri.pet.suvr import suvr, window_mean
from petfmri.pet.tacs import MIN_COVERAGE, RegionalTacs, regional_means, with_curves
from petfmri.study.files import read_json, read_table, write_json, write_table
from petfmri.typing import BoolArray, FloatArray, IntArray

REFERENCE = "reference"


class Scan:
    """A PET file with its schedule and calibration; each iteration reads it anew."""

    def __init__(self, path: str, sidecar: dict[str, Any]) -> None:
        self.volumes, self.sidecar = Volumes(Path(path)), sidecar
        where = Path(path).name
        self.schedule = FrameSchedule.from_sidecar(sidecar, len(self.volumes), where)
        self.factors = calibration(sidecar, self.schedule, where)

    def __len__(self) -> int:
        return len(self.volumes)

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield each frame in kBq/mL, decay-corrected to the injection."""
        for frame, factor in zip(self.volumes, self.factors, strict=True):
            yield frame * np.float32(factor)

    def aligned(
        self, motion: Any, xfm: Transform, grid: Grid, where: BoolArray | None = None
    ) -> Iterator[FloatArray]:
        """Interpolate each frame once onto a grid; NaN outside the field of view."""
        moves = read_affines(Path(motion)) if isdefined(motion) else None
        return resample_scan(self, self.volumes, xfm, grid, motion=moves, where=where)

    def measured(self, path: str, tacs: RegionalTacs) -> RegionalTacs:
        """Put the curves of another program's table in the place of means over voxels."""
        table, beside = read_table(Path(path)), Path(path).with_suffix(".json")
        scale = concentration_scale(read_json(beside).get("Units"), f"{beside}: Units")
        decay = self.factors / concentration_scale(self.sidecar.get("Units"))
        return with_curves(tacs, {str(name): table[name] * scale * decay for name in table})


class PetMotionInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw PET")
    sidecar = traits.Dict(mandatory=True, desc="its BIDS metadata")
    method = traits.Enum("auto", "off", usedefault=True, desc="off: frames as they are")


class PetMotionOutputSpec(TraitedSpec):
    reference = File(desc="duration-weighted mean of the aligned frames, on the raw grid")
    motion = File(desc="one matrix per frame: reference points to frame points")
    confounds = File(
        desc="motion parameters, framewise displacement, and which frames were aligned"
    )
    confounds_sidecar = File(desc="what the columns mean, and which frames borrow their motion")


class PetMotion(Step):
    """Align the frames of one scan with one another."""

    input_spec = PetMotionInputSpec
    output_spec = PetMotionOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        scan = Scan(self.inputs.in_file, self.inputs.sidecar)
        estimate = no_motion if self.inputs.method == "off" else pet_motion
        durations_s = scan.schedule.duration_s
        moved = estimate(scan, scan.volumes.affine, durations_s=durations_s)
        sidecar = {**_MOTION_COLUMNS, "Warnings": _borrowing(moved)}
        return {
            "reference": save_image(moved.reference, scan.volumes.affine, folder / "petref.nii.gz"),
            "motion": write_affines(moved.transforms, folder / "motion.txt"),
            "confounds": write_table(
                _motion_table(moved, self.inputs.method), folder / "confounds.tsv"
            ),
            "confounds_sidecar": write_json(sidecar, folder / "confounds.json"),
        }


_MOTION_COLUMNS = {
    **{
        f"trans_{axis}": {"Description": f"translation along {axis}", "Units": "mm"}
        for axis in "xyz"
    },
    **{f"rot_{axis}": {"Description": f"rotation about {axis}", "Units": "rad"} for axis in "xyz"},
    "framewise_displacement": {"Description": "after Power et al. 2012", "Units": "mm"},
    "alignment": {
        "Description": "aligned: by the frame's own signal; borrowed: too little signal, the "
        "frame has the motion of motion_from_frame; off: not aligned"
    },
    "motion_from_frame": {"Description": "row whose motion this frame has, counted from 0"},
    "frames_averaged": {
        "Description": "alignments of frames within a minute whose average this motion is"
    },
    "expected_error": {
        "Description": "of the frame's own alignment, root mean square over the head",
        "Units": "mm",
    },
}


def _motion_table(moved: ScanMotion, method: str) -> pd.DataFrame:
    own = moved.motion_from == np.arange(len(moved.motion_from))
    return motion_table(moved.transforms, moved.center).assign(
        alignment="off" if method == "off" else np.where(own, "aligned", "borrowed"),
        motion_from_frame=moved.motion_from,
        frames_averaged=moved.averaged,
        expected_error=np.where(
            np.isfinite(moved.expected_error_mm), moved.expected_error_mm, np.nan
        ),
    )


def _borrowing(moved: ScanMotion) -> list[str]:
    """Say which frames were too poor to be aligned."""
    return [
        f"frame {frame} holds too little signal to be aligned: it has the motion of frame "
        f"{moved.motion_from[frame]}"
        for frame in moved.borrowed
    ]


class CoregisterPetInputSpec(StepInputSpec):
    reference = File(exists=True, mandatory=True, desc="PET reference image")
    t1w = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True, desc="on the T1w grid")
    method = traits.Enum("auto", "identity", usedefault=True, desc="identity: aligned already")


class CoregisterOutputSpec(TraitedSpec):
    xfm = File(desc="points of the reference to points of the T1w")
    score = traits.Float(desc="normalised mutual information")


class CoregisterPetOutputSpec(CoregisterOutputSpec):
    sidecar = File(desc="score, that of shifted copies, starts, and what speaks against it")


class CoregisterPet(Step):
    """Align PET with the participant's T1w."""

    input_spec = CoregisterPetInputSpec
    output_spec = CoregisterPetOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        align = keep_identity if self.inputs.method == "identity" else align_pet
        found = align(
            load_canonical(self.inputs.reference),
            load_canonical(self.inputs.t1w),
            moving_mask=load_canonical(self.inputs.brain_mask),
            registration=Greedy(),
        )
        sidecar = {
            "Description": "Points of the PET reference to points of the T1w",
            "Method": self.inputs.method,
            "Score": found.score,
            "ScoreDescription": "normalised mutual information over the brain, 1 to 2",
            "BestShiftedScore": found.shifted_score,
            "ShiftMm": SHIFT_MM,
            "StartsTried": found.starts,
            "StartThatWon": found.starts or None,
            "Warnings": list(found.notes),
            **(
                {"RegistrationDisplacement_mm": found.displacement_mm}
                if found.displacement_mm is not None
                else {}
            ),
        }
        return {
            "xfm": write_affine(found.xfm, folder / "xfm.txt"),
            "score": found.score,
            "sidecar": write_json(sidecar, folder / "xfm.json"),
        }


class RegionalPetInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw PET, or preprocessed without motion")
    sidecar = traits.Dict(mandatory=True)
    motion = File(exists=True, desc="absent where another program has corrected it")
    xfm = File(exists=True, mandatory=True, desc="points of the PET reference to T1w points")
    segmentation = File(exists=True, mandatory=True, desc="labels on the T1w grid")
    regions = File(exists=True, mandatory=True, desc="table with index and name")
    reference_mask = File(exists=True, mandatory=True, desc="on the T1w grid")
    brain_mask = File(exists=True, mandatory=True, desc="on the T1w grid")
    reference_name = traits.Str(mandatory=True)
    window_s = traits.Tuple(traits.Float, traits.Float, mandatory=True)
    curves = File(exists=True, desc="regional curves of PETPrep, in place of means over voxels")


class RegionalPetOutputSpec(TraitedSpec):
    tacs = File(desc="frame_start, frame_end (s) and one column per region, kBq/mL")
    table = File(desc="name, suvr, coverage, volume and, where a region is missing, why")
    suvr_map = File(desc="on the T1w grid, in the brain; 0 elsewhere")
    uptake = File(desc="mean, spread, coverage and volume of the reference region")


class RegionalPet(Step):
    """Interpolate each raw frame once onto the T1w grid; curves, SUVR and its map."""

    input_spec = RegionalPetInputSpec
    output_spec = RegionalPetOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        scan = Scan(self.inputs.in_file, self.inputs.sidecar)
        segmentation = load_canonical(self.inputs.segmentation)
        labels, reference = (
            load_labels(self.inputs.segmentation),
            load_labels(self.inputs.reference_mask) > 0,
        )
        box, grid = _brain_box(labels, segmentation.affine)
        labels, reference = labels[box], reference[box]
        names = read_table(Path(self.inputs.regions), ["index", "name"])
        regions = dict(zip(names["index"].astype(int), names["name"].astype(str)))
        weights = scan.schedule.window_weights(self.inputs.window_s)
        where = (load_labels(self.inputs.brain_mask)[box] > 0) | (labels > 0) | reference
        gather = _Gather(labels[where], reference[where], weights, new_label=max(regions) + 1)
        frames = scan.aligned(self.inputs.motion, ~read_affine(Path(self.inputs.xfm)), grid, where)
        tacs = regional_means(
            gather(frames),
            gather.labels,
            regions | {gather.new_label: REFERENCE},
            voxel_volume_mm3=float(abs(np.linalg.det(segmentation.affine[:3, :3]))),
        )
        if isdefined(self.inputs.curves):
            tacs = scan.measured(self.inputs.curves, tacs)
        mean = np.full(grid.shape, np.nan, dtype=np.float32)
        mean[where] = gather.mean
        region = ReferenceRegion(self.inputs.reference_name, reference, grid.affine, "")
        uptake = reference_uptake(mean, region)
        ratio = suvr(tacs.mean @ weights, uptake.mean, self.inputs.reference_name)
        reasons = dict(note.split(": ", 1) for note in tacs.notes)
        missing = [reasons.get(name, "") for name in tacs.names]
        table = tacs.region_table().assign(suvr=ratio, missing=missing)
        whole = np.zeros(segmentation.shape, dtype=np.float32)
        whole[box] = np.nan_to_num(suvr(mean, uptake.mean, self.inputs.reference_name))
        return {
            "tacs": write_table(tacs.frame_table(scan.schedule), folder / "tacs.tsv"),
            "table": write_table(table[table["name"] != REFERENCE], folder / "suvr.tsv"),
            "suvr_map": save_image(whole, segmentation.affine, folder / "suvr.nii.gz"),
            "uptake": write_json(
                {
                    "ReferenceRegion": self.inputs.reference_name,
                    "mean_kBq_mL": uptake.mean,
                    "sd_kBq_mL": uptake.sd,
                    "coverage": uptake.coverage,
                    "volume_ml": uptake.volume_ml,
                },
                folder / "uptake.json",
            ),
        }


class PetToBoldInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw PET, or preprocessed without motion")
    sidecar = traits.Dict(mandatory=True)
    motion = File(exists=True, desc="absent where another program has corrected it")
    pet_xfm = File(exists=True, mandatory=True, desc="points of the PET reference to T1w points")
    bold_xfm = File(exists=True, mandatory=True, desc="points of the BOLD reference to T1w points")
    boldref = File(exists=True, mandatory=True)
    segmentation = File(exists=True, mandatory=True, desc="labels on the T1w grid")
    regions = File(exists=True, mandatory=True)
    uptake = File(
        exists=True, mandatory=True, desc="of the reference region, as RegionalPet wrote it"
    )
    window_s = traits.Tuple(traits.Float, traits.Float, mandatory=True)


class PetToBoldOutputSpec(TraitedSpec):
    suvr_map = File(desc="on the BOLD grid")
    table = File(desc="name, suvr_boldref and coverage of each region")


class PetToBold(Step):
    """Interpolate each raw PET frame once, straight onto the BOLD grid."""

    input_spec = PetToBoldInputSpec
    output_spec = PetToBoldOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        scan = Scan(self.inputs.in_file, self.inputs.sidecar)
        grid = Grid.of(load_canonical(self.inputs.boldref))
        bold_to_t1w = read_transform(Path(self.inputs.bold_xfm))
        bold_to_pet = ~read_affine(Path(self.inputs.pet_xfm)) @ bold_to_t1w
        weights = scan.schedule.window_weights(self.inputs.window_s)
        frames = scan.aligned(self.inputs.motion, bold_to_pet, grid)
        reference = read_json(Path(self.inputs.uptake))
        ratio = suvr(
            window_mean(frames, weights), reference["mean_kBq_mL"], reference["ReferenceRegion"]
        )
        segmentation = load_canonical(self.inputs.segmentation)
        points = label_samples(segmentation, bold_to_t1w, grid)
        names = read_table(Path(self.inputs.regions), ["index", "name"])
        regions = dict(zip(names["index"].astype(int), names["name"].astype(str)))
        volume = float(abs(np.linalg.det(grid.affine[:3, :3]))) / len(points)
        values = spline_samples(ratio, points > 0)
        means = regional_means([values], points, regions, voxel_volume_mm3=volume)
        on_grid = fraction_on_grid(segmentation, ~bold_to_t1w, grid, means.index)
        coverage = on_grid * means.coverage
        seen = np.where(coverage >= MIN_COVERAGE, means.mean[:, 0], np.nan)
        table = means.region_table().assign(suvr_boldref=seen, coverage=coverage)
        return {
            "suvr_map": save_image(
                np.nan_to_num(ratio).astype(np.float32), grid.affine, folder / "suvr.nii.gz"
            ),
            "table": write_table(table, folder / "suvr_boldref.tsv"),
        }


class _Gather:
    """Append the reference's voxels to those of each frame, and sum up the window's mean."""

    def __init__(
        self, labels: IntArray, reference: BoolArray, weights: FloatArray, *, new_label: int
    ) -> None:
        self._reference, self._weights = reference, weights
        self.new_label = new_label
        self.labels = np.concatenate([labels, np.full(int(reference.sum()), new_label)])
        self.mean: FloatArray = np.zeros(labels.shape, dtype=np.float32)

    def __call__(self, frames: Iterator[FloatArray]) -> Iterator[FloatArray]:
        for frame, weight in zip(frames, self._weights, strict=True):
            if weight > 0:
                self.mean += np.float32(weight) * frame
            yield np.concatenate([frame, frame[self._reference]])


def _brain_box(
    labels: IntArray, affine: FloatArray, margin: int = 8
) -> tuple[tuple[slice, ...], Grid]:
    """Box around all labels, and its grid."""
    where = np.argwhere(labels > 0)
    low = np.maximum(where.min(axis=0) - margin, 0)
    high = np.minimum(where.max(axis=0) + margin + 1, labels.shape)
    shifted = affine.copy()
    shifted[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    x, y, z = (int(n) for n in high - low)
    return box, Grid((x, y, z), shifted)
