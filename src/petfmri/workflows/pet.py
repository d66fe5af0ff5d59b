"""The PET branch of a session, and its join with BOLD."""

from __future__ import annotations

from typing import Any

from nipype import Node

from petfmri.atlases.template import SPACE, STANDARD_MM
from petfmri.interfaces import pet
from petfmri.interfaces.adopt import AdoptPet
from petfmri.interfaces.pet_template import PetToTemplate
from petfmri.workflows.steps import Aligned, AlignedScan, Frames, Steps, word
from petfmri.workflows.values import PetScan, SessionScans, Settings


class PetBranch(Steps):
    """Adds motion, coregistration, regional values and the join."""

    def _pet(self, session: SessionScans, scan: PetScan) -> AlignedScan:
        name = word(session.id)
        kept = self._adopt_pet(name, scan)
        adopted = scan.adopted
        corrected = adopted.motion or adopted.series
        motion = kept if kept and corrected else self._pet_motion(name, scan)
        in_t1w = adopted.series and not adopted.reference  # its frames are their own reference
        xfm = kept if kept and (adopted.xfm or in_t1w) else self._pet_xfm(name, motion)
        raw = Frames(scan.path, (motion, "motion"), (xfm, "xfm"), "raw PET frames → motion")
        read = raw
        if adopted.series:
            placed = (kept, "series_xfm") if adopted.space == "T1w" else (xfm, "xfm")
            chain = f"{adopted.series.name}, preprocessed and interpolated once by its program"
            read = Frames(adopted.series, None, placed, chain)
        regional = self._regional_pet(name, scan, read)
        moves = adopted.motion or not adopted.series
        made = AlignedScan(motion, xfm, regional, raw if moves else read)
        self._deliver_pet(session, scan, made, f"{read.chain} → T1w")
        self._pet_to_template(session, scan, made)
        return made

    def _adopt_pet(self, name: str, scan: PetScan) -> Node | None:
        adopted = scan.adopted
        if not (adopted.motion or adopted.series):
            return None
        return self._hand_on(
            f"{name}_adopt_pet",
            AdoptPet(),
            adopted,
            in_file=scan.path,
            sidecar=scan.sidecar,
            series=adopted.series,
            series_in_t1w=adopted.space == "T1w" and adopted.series is not None,
            reference=adopted.reference,
            xfm=adopted.xfm,
            xfm_moves_t1w=adopted.xfm_moves_t1w,
            motion=adopted.motion,
            confounds=adopted.confounds,
        )

    def _pet_motion(self, name: str, scan: PetScan) -> Node:
        return self._add(
            f"{name}_pet_motion",
            pet.PetMotion(),
            in_file=scan.path,
            sidecar=scan.sidecar,
            method=self.settings.pet_motion,
        )

    def _pet_xfm(self, name: str, motion: Node) -> Node:
        return self._add(
            f"{name}_pet_coregistration",
            pet.CoregisterPet(),
            method=self.settings.pet_coregistration,
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
        )

    def _regional_pet(self, name: str, scan: PetScan, frames: Frames) -> Node:
        return self._add(
            f"{name}_pet_regions",
            pet.RegionalPet(),
            in_file=frames.path,
            sidecar=scan.sidecar,
            motion=frames.motion,
            xfm=frames.xfm,
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            reference_mask=(self.anatomy.reference, "mask"),
            brain_mask=(self.anatomy.brain, "mask"),
            reference_name=self.settings.reference,
            window_s=self.settings.window_s,
            curves=scan.adopted.curves,
        )

    def _deliver_pet(
        self, session: SessionScans, scan: PetScan, made: AlignedScan, chain: str
    ) -> None:
        sid, seg = session.id, self.names.seg
        suvr_map = self.names.suvr(sid, "mimap", ".nii.gz", space="T1w")
        files = {
            self.names.pet(sid, "petref", ".nii.gz", desc="hmc"): (made.motion, "reference"),
            self.names.pet(sid, "timeseries", ".tsv", desc="confounds"): (made.motion, "confounds"),
            self.names.pet(sid, "xfm", ".txt", from_="T1w", to="petref", mode="image"): (
                made.xfm,
                "xfm",
            ),
            self.names.pet(sid, "tacs", ".tsv", desc="preproc", seg=seg): (made.regional, "tacs"),
            self.names.suvr(sid, "kinpar", ".tsv", seg=seg): (made.regional, "table"),
            self.names.suvr(sid, "uptake", ".json", desc="ref"): (made.regional, "uptake"),
            suvr_map: (made.regional, "suvr_map"),
        }
        if made.frames.motion is not None:
            moved = self.names.pet(sid, "xfm", ".txt", from_="orig", to="petref", mode="image")
            files[moved] = made.frames.motion
        if isinstance(made.motion.interface, pet.PetMotion):
            told = self.names.pet(sid, "timeseries", ".json", desc="confounds")
            files[told] = (made.motion, "confounds_sidecar")
        if isinstance(made.xfm.interface, pet.CoregisterPet):
            judged = self.names.pet(sid, "xfm", ".json", from_="T1w", to="petref", mode="image")
            files[judged] = (made.xfm, "sidecar")
        self._deliver(
            f"{word(sid)}_deliver_pet", files, {suvr_map: _suvr_sidecar(scan, self.settings, chain)}
        )

    def _pet_to_template(self, session: SessionScans, scan: PetScan, made: AlignedScan) -> None:
        standard = self._add(
            f"{word(session.id)}_pet_to_template",
            PetToTemplate(),
            in_file=made.frames.path,
            sidecar=scan.sidecar,
            motion=made.frames.motion,
            pet_xfm=made.frames.xfm,
            template_xfm=(self.anatomy.template, "from_template"),
            uptake=(made.regional, "uptake"),
            window_s=self.settings.window_s,
        )
        target = self.names.suvr_standard(session.id)
        chain = f"{made.frames.chain} → T1w → {SPACE}, {STANDARD_MM} mm"
        self._deliver(
            f"{word(session.id)}_deliver_template",
            {target: (standard, "suvr_map")},
            {target: _suvr_sidecar(scan, self.settings, chain)},
        )

    def _join(
        self, session: SessionScans, scan: PetScan, quantified: AlignedScan, run: Aligned
    ) -> None:
        joined = self._add(
            f"{word(session.id)}_pet_to_bold",
            pet.PetToBold(),
            in_file=quantified.frames.path,
            sidecar=scan.sidecar,
            motion=quantified.frames.motion,
            pet_xfm=quantified.frames.xfm,
            bold_xfm=(run.xfm, "xfm"),
            boldref=(run.motion, "reference"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            uptake=(quantified.regional, "uptake"),
            window_s=self.settings.window_s,
        )
        suvr_map = self.names.suvr(session.id, "mimap", ".nii.gz", space="boldref")
        self._deliver(
            f"{word(session.id)}_deliver_join",
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
                    f"{quantified.frames.chain} → T1w → BOLD reference",
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
        "Interpolation": f"{chain}, interpolated once (cubic spline)",
        "Sources": [f"bids:raw:{scan.path.name}"],
    }
