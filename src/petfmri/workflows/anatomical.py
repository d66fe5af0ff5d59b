"""The anatomical branch: once per person, whatever the number of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nipype import Node

from petfmri.interfaces import anat
from petfmri.interfaces.adopt import AdoptAnatomy
from petfmri.interfaces.reference import BuildReference
from petfmri.study.adopted import TEMPLATE, AdoptedAnat
from petfmri.study.names import bids_label
from petfmri.workflows.build import Source
from petfmri.workflows.steps import Anatomy, Steps
from petfmri.workflows.t1w import one_t1w, t1w_sidecar

ADOPTED = ("t1w", "mask", "grey", "white", "csf", "to_template", "from_template")


class AnatomicalBranch(Steps):
    """Adds bias field, brain, tissues, template, atlas and reference regions."""

    def _anatomical(
        self, paths: Sequence[Path], lesions: Sequence[Path], adopted: AdoptedAnat
    ) -> Anatomy:
        kept = self._adopt(adopted)
        raw = [adopted.t1w] if adopted.t1w else paths
        t1w, masks = one_t1w(self.workflow, self.names, raw, lesions)
        brain = kept
        if not adopted.mask:
            brain = self._add("brain", anat.ExtractBrain(), in_file=t1w)
        mask = (brain, "mask")
        bias = kept or self._add("bias", anat.CorrectBias(), in_file=t1w, brain_mask=mask)
        even = {"in_file": (bias, "out_file"), "brain_mask": mask}
        template = self._template(kept, adopted, brain, even)
        tissues = kept
        if not adopted.grey:
            tissues = self._add(
                "tissues",
                anat.SegmentTissues(),
                **even,
                xfm=(template, "to_template"),
            )
        in_place = {"t1w": (bias, "out_file"), "xfm": (template, "to_template")}
        in_place |= {name: (tissues, name) for name in ("grey", "white", "csf")}
        atlas = self._add(
            "atlas",
            anat.CarryAtlas(),
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
            {}
            if kept
            else {self.names.anat("T1w", desc="preproc"): t1w_sidecar(self.names, paths)},
        )
        return Anatomy(bias, brain, tissues, template, atlas, reference)

    def _adopt(self, adopted: AdoptedAnat) -> Node | None:
        if not adopted:
            return None
        files = {item: getattr(adopted, item) for item in ADOPTED}
        return self._hand_on("adopt_anatomy", AdoptAnatomy(), adopted, **files)

    def _template(
        self, kept: Node | None, adopted: AdoptedAnat, brain: Node, even: dict[str, Source]
    ) -> Node:
        if adopted.to_template or adopted.from_template:
            return kept
        start = brain
        if brain is kept:
            start = self._add("template_start", anat.AlignTemplate(), in_file=even["in_file"])
        return self._add("template", anat.Normalise(), **even, initial=(start, "xfm"))

    def _reference(
        self, name: str, lesions: list[str] | Source, atlas: Node, **in_place: Source
    ) -> Node:
        reference = self._add(
            f"reference_{bids_label(name)}",
            BuildReference(),
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
