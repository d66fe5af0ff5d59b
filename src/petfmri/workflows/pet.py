"""The PET branch of a session, and its join with BOLD."""

from __future__ import annotations

from typing import Any

from petfmri.interfaces import pet
from petfmri.workflows.steps import Aligned, Steps, word
from petfmri.workflows.values import PetScan, SessionScans, Settings


class PetBranch(Steps):
    """Adds motion, coregistration, regional values and the join."""

    def _pet(self, session: SessionScans, scan: PetScan) -> Aligned:
        raw = {"in_file": scan.path, "sidecar": scan.sidecar}
        motion = self._add(f"{word(session.id)}_pet_motion", pet.PetMotion(), mem_gb=1.5, **raw)
        xfm = self._add(
            f"{word(session.id)}_pet_coregistration",
            pet.CoregisterPet(),
            mem_gb=1,
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
        )
        regional = self._add(
            f"{word(session.id)}_pet_regions",
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
            f"{word(session.id)}_deliver_pet",
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
        return Aligned(motion, xfm, regional)

    def _join(
        self, session: SessionScans, scan: PetScan, quantified: Aligned, run: Aligned
    ) -> None:
        joined = self._add(
            f"{word(session.id)}_pet_to_bold",
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
