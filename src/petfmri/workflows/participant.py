"""One participant: anatomy once, PET and BOLD of every session, and their join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype import Node, Workflow

from petfmri.interfaces import anat, bold, pet
from petfmri.interfaces.deliver import Deliver
from petfmri.interfaces.reference import BuildReference
from petfmri.study.layout import Names
from petfmri.study.names import bids_label
from petfmri.workflows.build import Source, add, deliver
from petfmri.workflows.t1w import one_t1w, t1w_sidecar
from petfmri.workflows.values import BoldRun, PetScan, SessionScans, Settings

TEMPLATE = "MNI152NLin2009cAsym"


def participant_workflow(
    participant: str,
    *,
    t1w: Path,
    sessions: Sequence[SessionScans],
    output: Path,
    settings: Settings,
    lesions: Sequence[Path] = (),
    further_t1w: Sequence[Path] = (),
) -> Workflow:
    """Build the workflow of one participant.

    Parameters
    ----------
    participant : str
        With prefix.
    t1w : Path
        The anatomy that serves every session.
    sessions : sequence of SessionScans
    output : Path
        The derivatives folder.
    settings : Settings
    lesions : sequence of Path
        Masks on the T1w grid from which the reference region keeps away.
    further_t1w : sequence of Path
        Of the same person: with `t1w` they make one anatomy half way between all of them.

    Returns
    -------
    nipype.Workflow
        Named like the participant, with ``_`` for ``-``. Each branch ends in a delivery of its
        own, so that what fails in one leaves the results of the others.
    """
    builder = _Builder(Workflow(name=participant.replace("-", "_")), output, participant, settings)
    builder.build([t1w, *further_t1w], sessions, lesions)
    return builder.workflow


@dataclass(frozen=True)
class _Anatomy:
    t1w: Node
    brain: Node
    tissues: Node
    atlas: Node
    reference: Node


@dataclass(frozen=True)
class _Aligned:
    motion: Node
    xfm: Node
    regional: Node


class _Builder:
    """Adds the steps of one participant to a workflow."""

    def __init__(
        self, workflow: Workflow, output: Path, participant: str, settings: Settings
    ) -> None:
        self.workflow, self.settings = workflow, settings
        self.names = Names(
            output, participant, settings.seg, settings.tracer, settings.reference, settings.task
        )
        self.anatomy: _Anatomy

    def build(
        self, t1w: Sequence[Path], sessions: Sequence[SessionScans], lesions: Sequence[Path]
    ) -> None:
        """Add every step."""
        self.anatomy = self._anatomical(t1w, lesions)
        cleaned: dict[str, Node] = {}
        for session in sessions:
            runs = [self._bold_run(session.id, n, run) for n, run in enumerate(session.runs, 1)]
            if runs:
                cleaned[session.id] = self._clean(session, runs)
            if session.pet is not None:
                quantified = self._pet(session, session.pet)
                if runs:
                    self._join(session, session.pet, quantified, runs[0])
        if cleaned:
            self._connectivity(cleaned)

    def _add(self, name: str, interface: Any, **inputs: Any) -> Node:
        return add(self.workflow, name, interface, **inputs)

    def _deliver(
        self, name: str, files: Mapping[Path, Source], sidecars: Mapping[Path, Any] | None = None
    ) -> None:
        deliver(self.workflow, name, files, sidecars)

    def _anatomical(self, paths: Sequence[Path], lesions: Sequence[Path]) -> _Anatomy:
        t1w, masks = one_t1w(self.workflow, self.names, paths, lesions)
        brain = self._add("brain", anat.ExtractBrain(), mem_gb=1.5, in_file=t1w)
        mask = (brain, "mask")
        bias = self._add("bias", anat.CorrectBias(), mem_gb=1, in_file=t1w, brain_mask=mask)
        even = {"in_file": (bias, "out_file"), "brain_mask": mask}
        template = self._add("template", anat.Normalise(), mem_gb=2, **even, initial=(brain, "xfm"))
        tissues = self._add(
            "tissues",
            anat.SegmentTissues(),
            mem_gb=1.5,
            **even,
            xfm=(template, "to_template"),
        )
        in_place = {"t1w": (bias, "out_file"), "xfm": (template, "to_template")}
        in_place |= {name: (tissues, name) for name in ("grey", "white", "csf")}
        atlas = self._add(
            "atlas",
            anat.CarryAtlas(),
            mem_gb=1.5,
            **in_place,
            atlas=str(self.settings.atlas),
            atlas_table=str(self.settings.atlas_table or ""),
        )
        reference, *_ = [
            self._reference(name, masks, atlas, **in_place, brain_mask=mask)
            for name in (self.settings.reference, *self.settings.other_references)
        ]
        self._deliver(
            "deliver_anat",
            {
                self.names.anat("T1w", desc="preproc"): (bias, "out_file"),
                self.names.anat("mask", desc="brain"): (brain, "mask"),
                self.names.anat("probseg", label="GM"): (tissues, "grey"),
                self.names.anat("probseg", label="WM"): (tissues, "white"),
                self.names.anat("probseg", label="CSF"): (tissues, "csf"),
                self.names.anat("xfm", from_=TEMPLATE, to="T1w", mode="image"): (
                    template,
                    "to_template",
                ),
                self.names.anat("xfm", from_="T1w", to=TEMPLATE, mode="image"): (
                    template,
                    "from_template",
                ),
                self.names.anat("dseg", seg=self.names.seg): (atlas, "segmentation"),
                self.names.anat("dseg", ".tsv", seg=self.names.seg): (atlas, "regions"),
            },
            {self.names.anat("T1w", desc="preproc"): t1w_sidecar(self.names, paths)},
        )
        return _Anatomy(bias, brain, tissues, atlas, reference)

    def _reference(self, name: str, lesions: Any, atlas: Node, **in_place: Source) -> Node:
        reference = self._add(
            f"reference_{bids_label(name)}",
            BuildReference(),
            mem_gb=1.5,
            **in_place,
            segmentation=(atlas, "segmentation"),
            regions=(atlas, "regions"),
            reference=name,
            patterns=list(self.settings.reference_regions),
            lesions=lesions,
            psf_mm=list(self.settings.psf_mm or ()),
        )
        entities = {"desc": "ref", "label": bids_label(name)}
        self._deliver(
            f"deliver_reference_{bids_label(name)}",
            {
                self.names.anat("mask", **entities): (reference, "mask"),
                self.names.anat("mask", ".json", **entities): (reference, "sidecar"),
            },
        )
        return reference

    def _pet(self, session: SessionScans, scan: PetScan) -> _Aligned:
        raw = {"in_file": scan.path, "sidecar": scan.sidecar}
        motion = self._add(f"{_word(session.id)}_pet_motion", pet.PetMotion(), mem_gb=1.5, **raw)
        xfm = self._add(
            f"{_word(session.id)}_pet_coregistration",
            pet.CoregisterPet(),
            mem_gb=1,
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
        )
        regional = self._add(
            f"{_word(session.id)}_pet_regions",
            pet.RegionalPet(),
            mem_gb=2,
            **raw,
            motion=(motion, "motion"),
            xfm=(xfm, "xfm"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            reference_mask=(self.anatomy.reference, "mask"),
            brain_mask=(self.anatomy.brain, "mask"),
            reference_name=self.settings.reference,
            window_s=self.settings.window_s,
        )
        sid, seg = session.id, self.names.seg
        suvr_map = self.names.suvr(sid, "mimap", ".nii.gz", space="T1w")
        self._deliver(
            f"{_word(session.id)}_deliver_pet",
            {
                self.names.pet(sid, "petref", ".nii.gz", desc="hmc"): (motion, "reference"),
                self.names.pet(sid, "xfm", ".txt", from_="orig", to="petref", mode="image"): (
                    motion,
                    "motion",
                ),
                self.names.pet(sid, "timeseries", ".tsv", desc="confounds"): (motion, "confounds"),
                self.names.pet(sid, "xfm", ".txt", from_="T1w", to="petref", mode="image"): (
                    xfm,
                    "xfm",
                ),
                self.names.pet(sid, "tacs", ".tsv", desc="preproc", seg=seg): (regional, "tacs"),
                self.names.suvr(sid, "kinpar", ".tsv", seg=seg): (regional, "table"),
                self.names.suvr(sid, "uptake", ".json", desc="ref"): (regional, "uptake"),
                suvr_map: (regional, "suvr_map"),
            },
            {
                suvr_map: _suvr_sidecar(
                    scan, self.settings, "raw PET frames → motion → T1w, interpolated once"
                )
            },
        )
        return _Aligned(motion, xfm, regional)

    def _bold_run(self, sid: str, number: int, run: BoldRun) -> _Aligned:
        name = f"{_word(sid)}_run_{number}"
        motion = self._add(
            f"{name}_bold_motion",
            bold.BoldMotion(),
            mem_gb=1,
            in_file=run.path,
            dummy_scans=self.settings.dummy_scans,
        )
        xfm = self._add(
            f"{name}_bold_coregistration",
            bold.CoregisterBold(),
            mem_gb=1,
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
            grey=(self.anatomy.tissues, "grey"),
            white=(self.anatomy.tissues, "white"),
        )
        signals = self._add(
            f"{name}_bold_signals",
            bold.BoldSignals(),
            mem_gb=1.5,
            in_file=run.path,
            motion=(motion, "motion"),
            parameters=(motion, "parameters"),
            dummy=(motion, "dummy"),
            tr_s=run.tr_s,
            xfm=(xfm, "xfm"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            brain_mask=(self.anatomy.brain, "mask"),
            deep_white=(self.anatomy.atlas, "deep_white"),
            deep_csf=(self.anatomy.atlas, "deep_csf"),
        )
        made = _Aligned(motion, xfm, signals)
        self._deliver_bold(name, sid, run.run, made)
        return made

    def _deliver_bold(self, name: str, sid: str, run: str | None, made: _Aligned) -> None:
        files = {
            self.names.func(sid, "boldref", ".nii.gz", run=run, desc="hmc"): (
                made.motion,
                "reference",
            ),
            self.names.func(sid, "xfm", ".txt", run=run, from_="T1w", to="boldref", mode="image"): (
                made.xfm,
                "xfm",
            ),
            self.names.func(
                sid, "xfm", ".txt", run=run, from_="orig", to="boldref", mode="image"
            ): (made.motion, "motion"),
            self.names.func(sid, "timeseries", ".tsv", run=run, desc="confounds"): (
                made.regional,
                "confounds",
            ),
            self.names.func(sid, "coverage", ".tsv", run=run, seg=self.names.seg): (
                made.regional,
                "coverage",
            ),
        }
        self._deliver(f"{name}_deliver_bold", files)

    def _clean(self, session: SessionScans, runs: Sequence[_Aligned]) -> Node:
        cleaned = self._add(
            f"{_word(session.id)}_denoise",
            bold.Denoise(),
            series=[(run.regional, "series") for run in runs],
            confounds=[(run.regional, "confounds") for run in runs],
            dummies=[(run.motion, "dummy") for run in runs],
            tr_s=[run.tr_s for run in session.runs],
            strategy=self.settings.strategy,
            band_hz=self.settings.band_hz,
            fd_threshold_mm=self.settings.fd_threshold_mm,
            minimum_kept_s=self.settings.minimum_kept_s,
            where=f"{self.names.sub} {session.id}",
        )
        self._deliver(
            f"{_word(session.id)}_deliver_series",
            {
                self.names.func(session.id, "timeseries", ".tsv", seg=self.names.seg): (
                    cleaned,
                    "series",
                ),
                self.names.func(session.id, "metrics", ".tsv", desc="denoising"): (
                    cleaned,
                    "quality",
                ),
            },
        )
        return cleaned

    def _connectivity(self, cleaned: Mapping[str, Node]) -> None:
        matrices = self._add(
            "connectivity",
            bold.Connectivity(),
            series=[(node, "series") for node in cleaned.values()],
            regions=(self.anatomy.atlas, "regions"),
            networks=list(self.settings.networks),
        )
        named = {
            "relmats": {"suffix": "relmat", "seg": self.names.seg, "stat": "pearsoncorrelation"},
            "metrics": {"suffix": "metrics", "desc": "network"},
            "strengths": {"suffix": "metrics", "seg": self.names.seg, "desc": "strength"},
        }
        for output, entities in named.items():
            paths = [self.names.func(sid, extension=".tsv", **entities) for sid in cleaned]
            node = self._add(
                f"deliver_{output}",
                Deliver(),
                in_files=(matrices, output),
                targets=[str(path) for path in paths],
            )
            node.overwrite = True

    def _join(
        self, session: SessionScans, scan: PetScan, quantified: _Aligned, run: _Aligned
    ) -> None:
        joined = self._add(
            f"{_word(session.id)}_pet_to_bold",
            pet.PetToBold(),
            mem_gb=1,
            in_file=scan.path,
            sidecar=scan.sidecar,
            motion=(quantified.motion, "motion"),
            pet_xfm=(quantified.xfm, "xfm"),
            bold_xfm=(run.xfm, "xfm"),
            boldref=(run.motion, "reference"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            uptake=(quantified.regional, "uptake"),
            window_s=self.settings.window_s,
        )
        suvr_map = self.names.suvr(session.id, "mimap", ".nii.gz", space="boldref")
        self._deliver(
            f"{_word(session.id)}_deliver_join",
            {
                suvr_map: (joined, "suvr_map"),
                self.names.suvr(
                    session.id, "kinpar", ".tsv", space="boldref", seg=self.names.seg
                ): (
                    joined,
                    "table",
                ),
            },
            {
                suvr_map: _suvr_sidecar(
                    scan,
                    self.settings,
                    "raw PET frames → motion → T1w → BOLD reference, interpolated once",
                )
            },
        )


def _suvr_sidecar(scan: PetScan, settings: Settings, chain: str) -> dict[str, Any]:
    low, high = settings.window_s
    return {
        "Description": f"SUVR, {low / 60:g}–{high / 60:g} min after injection",
        "Units": "unitless",
        "ReferenceRegion": settings.reference,
        "PartialVolumeCorrection": "none",
        "Interpolation": f"{chain} (cubic spline)",
        "Sources": [f"bids:raw:{scan.path.name}"],
    }


def _word(label: str) -> str:
    """Turn a BIDS label into a node name."""
    return label.replace("-", "_")
