"""Steps of the BOLD branch."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from petfmri.bold.confounds import confounds_table
from petfmri.bold.denoise import denoise
from petfmri.bold.dummy import count_dummy_volumes
from petfmri.bold.pooling import pool_runs
from petfmri.bold.series import SignalCollector
from petfmri.images.boundary import refine
from petfmri.images.coregistration import align_rigidly
from petfmri.images.motion import MOTION_COLUMNS, bold_motion, estimate_motion
from petfmri.images.registration import Greedy
from petfmri.images.resampling import (
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
)
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes
from petfmri.interfaces.base import (
    Step,
    StepInputSpec,
    motion_table,
    save_image,
)
from petfmri.interfaces.pet import CoregisterOutputSpec
from petfmri.networks.comparability import matched_frames
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.registry import network_metrics
from petfmri.networks.strength import nodal_strength
from petfmri.study.files import read_table, write_table

LEAST_COVERED = 1 / 3  # of a BOLD voxel, by grey matter, to count as a region's


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
        boldref, t1w = nib.load(self.inputs.reference), nib.load(self.inputs.t1w)
        start = align_rigidly(
            boldref, t1w, moving_mask=nib.load(self.inputs.brain_mask), registration=Greedy()
        )
        refined = refine(
            boldref, start.xfm, nib.load(self.inputs.grey), nib.load(self.inputs.white)
        )
        return {"xfm": write_affine(refined, folder / "xfm.txt"), "score": start.score}


class BoldSignalsInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw BOLD")
    motion = File(exists=True, mandatory=True)
    parameters = File(exists=True, mandatory=True, desc="as BoldMotion wrote them")
    dummy = traits.Int(mandatory=True)
    tr_s = traits.Float(mandatory=True)
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


class BoldSignals(Step):
    """Interpolate each volume once; parcel series and confounds in one pass."""

    input_spec = BoldSignalsInputSpec
    output_spec = BoldSignalsOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        volumes, motion = Volumes(Path(self.inputs.in_file)), read_affines(Path(self.inputs.motion))
        grid, to_t1w = Grid(volumes.shape, volumes.affine), read_affine(Path(self.inputs.xfm))
        names = read_table(Path(self.inputs.regions), ["index", "name"])
        segmentation = nib.load(self.inputs.segmentation)
        labels = carry_labels(segmentation, to_t1w, grid, samples=3, least=LEAST_COVERED)
        masks = {
            name: np.asarray(carry_mask(nib.load(path), to_t1w, grid, samples=2).dataobj).ravel()
            > 0
            for name, path in (
                ("brain", self.inputs.brain_mask),
                ("white_matter", self.inputs.deep_white),
                ("csf", self.inputs.deep_csf),
            )
        }
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
        for volume in resample_frames(
            volumes,
            volumes.affine,
            Affine(),
            grid,
            motion=motion,
            where=needed.reshape(grid.shape),
        ):
            collector.add(volume)
        run = collector.finish()
        moved = read_table(Path(self.inputs.parameters))
        confounds = confounds_table(
            run,
            moved[list(MOTION_COLUMNS)].to_numpy(float),
            moved["framewise_displacement"].to_numpy(float),
            tr_s=self.inputs.tr_s,
            dummy=self.inputs.dummy,
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
        }


class DenoiseInputSpec(StepInputSpec):
    series = InputMultiObject(File(exists=True), mandatory=True, desc="one per run")
    confounds = InputMultiObject(File(exists=True), mandatory=True, desc="one per run")
    dummies = InputMultiObject(traits.Int, mandatory=True, desc="one per run")
    tr_s = InputMultiObject(traits.Float, mandatory=True, desc="one per run")
    strategy = traits.Str(mandatory=True)
    band_hz = traits.Tuple(traits.Float, traits.Float, mandatory=True)
    fd_threshold_mm = traits.Float(mandatory=True)
    minimum_kept_s = traits.Float(mandatory=True)
    where = traits.Str(mandatory=True, desc="names the session in errors")


class DenoiseOutputSpec(TraitedSpec):
    series = File(desc="denoised parcel series: runs cleaned apart, standardised and pooled")
    quality = File(desc="frames_kept, frames_total, df_effective, mean_fd")


class Denoise(Step):
    """Clean each run of a session by itself, then pool the runs."""

    input_spec = DenoiseInputSpec
    output_spec = DenoiseOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        runs, tables = [], [read_table(Path(path)) for path in self.inputs.series]
        settings = zip(self.inputs.confounds, self.inputs.dummies, self.inputs.tr_s, strict=True)
        for number, (series, (confounds, dummy, tr_s)) in enumerate(
            zip(tables, settings, strict=True), 1
        ):
            runs.append(
                denoise(
                    series.to_numpy(float),
                    read_table(Path(confounds)),
                    tr_s=tr_s,
                    strategy=self.inputs.strategy,
                    band_hz=self.inputs.band_hz,
                    fd_threshold_mm=self.inputs.fd_threshold_mm,
                    dummy=dummy,
                    minimum_kept_s=self.inputs.minimum_kept_s / len(tables),
                    where=f"{self.inputs.where}, run {number}",
                )
            )
        pooled = pool_runs(runs)
        quality = pd.DataFrame(
            [
                {
                    "frames_kept": pooled.frames_kept,
                    "frames_total": pooled.frames_total,
                    "df_effective": pooled.df_effective,
                    "mean_fd": pooled.mean_fd,
                }
            ]
        )
        table = pd.DataFrame(pooled.series, columns=tables[0].columns)
        return {
            "series": write_table(table, folder / "series.tsv"),
            "quality": write_table(quality, folder / "quality.tsv"),
        }


class ConnectivityInputSpec(StepInputSpec):
    series = InputMultiObject(File(exists=True), mandatory=True, desc="denoised, one per session")
    regions = File(exists=True, mandatory=True, desc="table with name, network and structure")
    networks = traits.List(traits.Str, desc="only these; empty: all")


class ConnectivityOutputSpec(TraitedSpec):
    relmats = traits.List(File, desc="Pearson correlations, one per session")
    metrics = traits.List(File, desc="network metrics, one per session")
    strengths = traits.List(File, desc="name and nodal strength, one per session")


class Connectivity(Step):
    """Measure the sessions of one participant on equal numbers of frames."""

    input_spec = ConnectivityInputSpec
    output_spec = ConnectivityOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        atlas = read_table(Path(self.inputs.regions), ["name", "network", "structure"])
        tables = [read_table(Path(path)) for path in self.inputs.series]
        outputs: dict[str, list[str]] = {"relmats": [], "metrics": [], "strengths": []}
        for number, series in enumerate(
            matched_frames([table.to_numpy(float) for table in tables])
        ):
            r = correlate(series)
            relmat = pd.DataFrame(r, columns=atlas["name"])
            relmat.insert(0, "name", atlas["name"])
            metrics = pd.DataFrame([self._metrics(series, atlas)])
            strength = pd.DataFrame(
                {"name": atlas["name"], "strength": nodal_strength(fisher_z(r))}
            )
            for name, table in (("relmats", relmat), ("metrics", metrics), ("strengths", strength)):
                outputs[name].append(str(write_table(table, folder / f"{name}_{number}.tsv")))
        return outputs

    def _metrics(self, series: Any, atlas: pd.DataFrame) -> dict[str, float]:
        chosen = (
            atlas["network"].isin(self.inputs.networks)
            if self.inputs.networks
            else atlas["network"].notna()
        )
        rows = chosen.to_numpy()
        return network_metrics(
            series[:, rows], atlas["network"][rows].tolist(), atlas["structure"][rows].tolist()
        )
