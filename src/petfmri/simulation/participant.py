"""Everything of one simulated participant: images, sidecars and truth on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.errors import SegmentationError
from petfmri.images.resampling import Grid, sampled_warp
from petfmri.images.transform_files import write_affine, write_affines, write_warp
from petfmri.simulation import sidecars
from petfmri.simulation.anatomy import Head, draw_head
from petfmri.simulation.bold import BoldModel, BoldRun, bold_model, simulate_bold
from petfmri.simulation.connectivity import NetworkModel, person_networks, true_metrics
from petfmri.simulation.effects import Design, Effects, Person, stream
from petfmri.simulation.pet import PetScan, simulate_pet
from petfmri.simulation.phantom import REFERENCE, Phantom, load_phantom
from petfmri.simulation.presets import Preset
from petfmri.simulation.regional import (
    Kinetics,
    changed_kinetics,
    families,
    person_kinetics,
    typical_kinetics,
)
from petfmri.simulation.tracer import PlasmaInput, frame_averages, window_mean
from petfmri.study.files import save_image, write_json, write_table
from petfmri.typing import FloatArray, IntArray

WINDOW_S = np.array([3600.0, 5400.0])
INJECTED_MBQ = (300.0, 400.0)
SEG = "Schaefer200"
SPACE = "MNI152NLin2009cAsym"
FIELD_SPACING_MM = 4.0  # at which true warps are stored
WHITE_IN_T1W = 1000.0


@dataclass(frozen=True)
class Study:
    """What all participants share.

    Parameters
    ----------
    root : Path
        The BIDS folder.
    preset : Preset
    effects : Effects
    design : Design
    seed : int
    """

    root: Path
    preset: Preset
    effects: Effects
    design: Design
    seed: int


@dataclass(frozen=True)
class Truth:
    """Rows of the truth tables that one participant adds."""

    regions: pd.DataFrame
    sessions: pd.DataFrame


def simulate_participant(study: Study, index: int, person: Person) -> Truth:
    """Write one participant's part of a study.

    Parameters
    ----------
    study : Study
    index : int
        Selects the participant's own random streams.
    person : Person

    Returns
    -------
    Truth
    """
    preset, seed = study.preset, study.seed
    phantom = load_phantom(preset.t1w_mm)
    head = draw_head(
        phantom,
        preset.t1w_mm,
        preset.bias_percent,
        preset.t1w_noise_percent,
        stream(seed, "anatomy", index),
    )
    masks = _masks(head, phantom)
    _write_anatomy(study, person, head, phantom)
    rng = stream(seed, "kinetics", index)
    names = phantom.table["name"]
    own = person_kinetics(
        typical_kinetics(names), families(phantom.table), study.design.vt_sd_percent, rng
    )
    model = bold_model(head, preset.bold_mm)
    regions, sessions = [], []
    for number, label in enumerate(study.design.sessions):
        after = number > 0
        kinetics = changed_kinetics(own, study.effects, person, names) if after else own
        networks = person_networks(person, phantom.table["network"], study.effects, after=after)
        one = Session(study, person, label, phantom, head)
        regions.append(one.scan_pet(kinetics, masks, stream(seed, "pet", index, number)))
        sessions.append(one.scan_bold(networks, model, stream(seed, "bold", index, number)))
    return Truth(pd.concat(regions, ignore_index=True), pd.DataFrame(sessions))


@dataclass(frozen=True)
class Session:
    """One session of one participant, to be scanned and written."""

    study: Study
    person: Person
    label: str
    phantom: Phantom
    head: Head

    @property
    def keys(self) -> dict[str, str]:
        """The identifiers of its rows."""
        return {"participant_id": self.person.participant_id, "session_id": f"ses-{self.label}"}

    def path(self, datatype: str, rest: str, *, truth: bool = False) -> Path:
        """Path of a file of this session, `rest` being what follows participant and session."""
        root = self.study.root / "truth" if truth else self.study.root
        sub, ses = self.keys.values()
        return root / sub / ses / datatype / f"{sub}_{ses}_{rest}"

    def scan_pet(
        self, kinetics: Kinetics, masks: IntArray, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Simulate and write the PET scan; return the true regional values."""
        preset = self.study.preset
        injected = round(float(rng.uniform(*INJECTED_MBQ)), 1)
        plasma = PlasmaInput.injected(injected, self.person.weight_kg, delay_s=rng.uniform(5, 15))
        start, duration = preset.frame_start_s, preset.frame_duration_s
        tac = frame_averages(kinetics.vt, kinetics.k1, plasma, start, duration)
        scan = simulate_pet(self.head, tac, masks, preset, rng)
        stem = f"trc-{sidecars.TRACER}"
        image = _image(scan.frames, scan.grid)
        image.header.set_slope_inter(scan.slope, 0)
        save_image(image, self.path("pet", f"{stem}_pet.nii.gz"))
        sidecar = sidecars.pet_sidecar(preset, injected, self.person.weight_kg)
        write_json(sidecar, self.path("pet", f"{stem}_pet.json"))
        self._write_positions("pet", stem, scan.from_pet_to_t1w, scan)
        n_regions = self.head.n_regions
        for desc, curves in (
            ("ideal", tac[: n_regions + 1]),
            ("blurred", scan.blurred[: n_regions + 1]),
        ):
            self._write_tacs(f"{stem}_desc-{desc}_seg-{SEG}_tacs.tsv", 1000 * curves)
        return self._region_rows(kinetics, tac, scan, masks)

    def scan_bold(
        self, networks: NetworkModel, model: BoldModel, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Simulate and write the BOLD run; return the true network metrics."""
        preset = self.study.preset
        run = simulate_bold(self.head, networks, preset, rng, model)
        image = _image(run.volumes, run.grid, preset.repetition_time_s)
        save_image(image, self.path("func", "task-rest_bold.nii.gz"))
        write_json(sidecars.bold_sidecar(preset), self.path("func", "task-rest_bold.json"))
        self._write_positions("boldref", "task-rest", run.from_boldref_to_t1w, run)
        if run.distortion is not None:
            field = self.path("func", "task-rest_desc-distortion_xfm.nii.gz", truth=True)
            write_warp(run.distortion, field)
        names = self.phantom.table["name"]
        matrix = networks.matrix()
        for suffix, values in (("connectivity", matrix), ("timeseries", run.series)):
            table = pd.DataFrame(np.char.mod("%.4f", values), columns=names)
            write_table(table, self.path("func", f"task-rest_seg-{SEG}_{suffix}.tsv", truth=True))
        fd = run.movement.fd_mm
        metrics = true_metrics(matrix, self.phantom.table)
        return {**self.keys, **metrics, "mean_fd": float(fd[1:].mean()), "max_fd": float(fd.max())}

    def _write_positions(self, space: str, stem: str, to_t1w: Any, scan: PetScan | BoldRun) -> None:
        """Write how the head lies in the scan, and every movement."""
        folder = "pet" if space == "pet" else "func"
        for name, xfm in (
            (f"from-{space}_to-T1w", to_t1w),
            (f"from-T1w_to-{space}", ~to_t1w),
        ):
            write_affine(xfm, self.path(folder, f"{stem}_{name}_mode-image_xfm.txt", truth=True))
        movement = scan.movement
        write_affines(
            [movement[frame] for frame in range(len(movement))],
            self.path(folder, f"{stem}_desc-motion_xfm.txt", truth=True),
        )
        axes = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
        table = pd.DataFrame(movement.parameters, columns=axes)
        table["framewise_displacement"] = movement.fd_mm
        write_table(table, self.path(folder, f"{stem}_desc-motion_timeseries.tsv", truth=True))

    def _write_tacs(self, rest: str, curves: FloatArray) -> None:
        preset = self.study.preset
        table = pd.DataFrame(curves.T.round(3), columns=[*self.phantom.table["name"], REFERENCE])
        table.insert(0, "frame_start", preset.frame_start_s)
        table.insert(1, "frame_end", preset.frame_start_s + preset.frame_duration_s)
        write_table(table, self.path("pet", rest, truth=True))

    def _region_rows(
        self, kinetics: Kinetics, tac: FloatArray, scan: PetScan, masks: IntArray
    ) -> pd.DataFrame:
        """Return the true values of every region in this session."""
        preset, table, n = self.study.preset, self.phantom.table, self.head.n_regions
        frames = preset.frame_start_s, preset.frame_duration_s, WINDOW_S
        ideal, blurred = window_mean(tac, *frames), window_mean(scan.blurred, *frames)
        volume = np.bincount(masks.ravel(), minlength=n + 1)[1 : n + 1] * preset.t1w_mm**3
        cerebellum = (table["structure"] == "cerebellum").to_numpy()
        weight = volume * cerebellum / (volume * cerebellum).sum()
        vt, k1 = kinetics.vt, kinetics.k1
        return pd.DataFrame(
            {
                **self.keys,
                "region": table["name"],
                "network": table["network"],
                "volume_mm3": volume,
                "k1": k1[:n],
                "vt": vt[:n],
                "dvr": vt[:n] / vt[n],
                "bpnd": vt[:n] / vt[n] - 1,
                "suvr_ideal": ideal[:n] / ideal[n],
                "suvr_blurred": blurred[:n] / blurred[n],
                "suvr_ideal_cerebellum": ideal[:n] / (ideal[:n] @ weight),
                "suvr_blurred_cerebellum": blurred[:n] / (blurred[:n] @ weight),
            }
        )


def _masks(head: Head, phantom: Phantom) -> IntArray:
    """Return the true parcels, and the reference region as the label after the last parcel."""
    masks = np.where(head.reference, head.n_regions + 1, head.parcels)
    count = np.bincount(masks.ravel(), minlength=head.n_regions + 2)[1:]
    if (count == 0).any():
        names = [*phantom.table["name"], "reference region"]
        empty = [name for name, n in zip(names, count, strict=True) if n == 0]
        raise SegmentationError(
            "simulated head",
            f"no voxel of {', '.join(empty)}",
            "every region of the atlas",
            "simulate at a finer resolution",
        )
    return masks


def _write_anatomy(study: Study, person: Person, head: Head, phantom: Phantom) -> None:
    sub, ses = person.participant_id, f"ses-{study.design.sessions[0]}"
    raw = study.root / sub / ses / "anat" / f"{sub}_{ses}_T1w"
    t1w = np.rint(head.t1w * WHITE_IN_T1W).astype(np.int16)
    save_image(_image(t1w, head.grid), raw.with_suffix(".nii.gz"))
    write_json(sidecars.t1w_sidecar(), raw.with_suffix(".json"))
    truth = study.root / "truth" / sub / "anat"
    for rest, values in (
        ("dseg", head.tissue.astype(np.uint8)),
        (f"seg-{SEG}_dseg", head.parcels.astype(np.int16)),
        (f"label-{REFERENCE}_mask", head.reference.astype(np.uint8)),
    ):
        save_image(_image(values, head.grid), truth / f"{sub}_{rest}.nii.gz")
    shape = phantom.head.shape
    template = Grid((shape[0], shape[1], shape[2]), phantom.affine)
    for name, xfm, grid in (
        (f"from-{SPACE}_to-T1w", head.to_template, head.grid),
        (f"from-T1w_to-{SPACE}", ~head.to_template, template),
    ):
        field = sampled_warp(xfm, grid.spaced(FIELD_SPACING_MM))
        write_warp(field, truth / f"{sub}_{name}_mode-image_xfm.nii.gz")


def _image(values: IntArray, grid: Grid, repetition_time_s: float | None = None) -> nib.Nifti1Image:
    image = nib.Nifti1Image(values, grid.affine)
    image.header.set_xyzt_units("mm", None if repetition_time_s is None else "sec")
    if repetition_time_s is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time_s))
    image.set_sform(grid.affine, code="scanner")
    image.set_qform(grid.affine, code="scanner")
    return image
