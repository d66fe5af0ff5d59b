"""Steps of the anatomical branch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import pandas as pd
from nipype.interfaces.base import File, InputMultiObject, OutputMultiObject, TraitedSpec, traits

from petfmri.atlases import load_atlas, load_template
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain, template_affine
from petfmri.images.erosion import deep_tissue
from petfmri.images.labels import labels_in_grey
from petfmri.images.midway import midway_t1w
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid, carry_labels, carry_mask, sampled_warp
from petfmri.images.template import normalise
from petfmri.images.tissues import carry_tissues, segment_tissues
from petfmri.images.transform_files import read_affine, read_warp, write_affine, write_warp
from petfmri.images.transforms import Transform
from petfmri.images.volumes import load_canonical
from petfmri.interfaces.base import Step, StepInputSpec
from petfmri.study.files import write_table

DEEP_WHITE_MM, DEEP_CSF_MM = 4.0, 2.0
QUICK = "40x20x6"  # a brain mask asks for less than a parcellation
FINEST_MM = 1.5  # of the warp to the template
FIELD_MM = 2.0  # displacement fields are smooth: this spacing, or the image's, loses nothing


class JoinT1wInputSpec(StepInputSpec):
    in_files = InputMultiObject(File(exists=True), mandatory=True, desc="raw T1w of one person")
    lesions = InputMultiObject(File(exists=True), desc="masks on the grid of the first T1w")


class JoinT1wOutputSpec(TraitedSpec):
    out_file = File(desc="their mean, half way between them")
    xfms = OutputMultiObject(File, desc="points of the mean to points of each T1w")
    lesions = OutputMultiObject(File, desc="the masks on the grid of the mean")
    metrics = File(desc="how well the images agree")


class JoinT1w(Step):
    """Make one T1w of several that favours no session."""

    input_spec = JoinT1wInputSpec
    output_spec = JoinT1wOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        midway = midway_t1w([load_canonical(path) for path in self.inputs.in_files], Greedy())
        nib.save(midway.t1w, folder / "T1w.nii.gz")
        lesions = []
        for number, path in enumerate(self.inputs.lesions or ()):
            mask = carry_mask(load_canonical(path), midway.xfms[0], Grid.of(midway.t1w))
            lesions.append(str(folder / f"lesion{number}.nii.gz"))
            nib.save(mask, lesions[-1])
        return {
            "out_file": folder / "T1w.nii.gz",
            "xfms": [
                str(write_affine(xfm, folder / f"xfm{number}.txt"))
                for number, xfm in enumerate(midway.xfms)
            ],
            "lesions": lesions,
            "metrics": write_table(
                pd.DataFrame([{"t1w_agreement": midway.agreement}]), folder / "metrics.tsv"
            ),
        }


class CorrectBiasInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw T1w")
    brain_mask = File(exists=True, mandatory=True)


class CorrectBiasOutputSpec(TraitedSpec):
    out_file = File(desc="T1w without bias field")


class CorrectBias(Step):
    """Even out the intensities of the T1w."""

    input_spec = CorrectBiasInputSpec
    output_spec = CorrectBiasOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        corrected = correct_bias(
            load_canonical(self.inputs.in_file), load_canonical(self.inputs.brain_mask)
        )
        nib.save(corrected, folder / "T1w.nii.gz")
        return {"out_file": folder / "T1w.nii.gz"}


class ExtractBrainInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw T1w")


class ExtractBrainOutputSpec(TraitedSpec):
    mask = File(desc="brain")
    xfm = File(desc="affine: T1w points to template points")


class ExtractBrain(Step):
    """Find the brain by way of the template."""

    input_spec = ExtractBrainInputSpec
    output_spec = ExtractBrainOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        brain = extract_brain(
            load_canonical(self.inputs.in_file), load_template(), Greedy(iterations=QUICK)
        )
        nib.save(brain.mask, folder / "mask.nii.gz")
        return {
            "mask": folder / "mask.nii.gz",
            "xfm": write_affine(brain.affine, folder / "xfm.txt"),
        }


class SegmentTissuesInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1w without bias field")
    brain_mask = File(exists=True, mandatory=True)
    xfm = File(exists=True, mandatory=True, desc="T1w points to template points, for the priors")


class SegmentTissuesOutputSpec(TraitedSpec):
    grey = File(desc="share of grey matter, 0 to 1")
    white = File(desc="share of white matter")
    csf = File(desc="share of CSF")


class SegmentTissues(Step):
    """Split the brain into grey matter, white matter and CSF."""

    input_spec = SegmentTissuesInputSpec
    output_spec = SegmentTissuesOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        mask = load_canonical(self.inputs.brain_mask)
        priors = carry_tissues(load_template(), read_warp(Path(self.inputs.xfm)), mask)
        tissues = segment_tissues(load_canonical(self.inputs.in_file), mask, priors)
        outputs = {"grey": tissues.gm, "white": tissues.wm, "csf": tissues.csf}
        for name, image in outputs.items():
            nib.save(image, folder / f"{name}.nii.gz")
        return {name: folder / f"{name}.nii.gz" for name in outputs}


class AlignTemplateInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1w")


class AlignTemplateOutputSpec(TraitedSpec):
    xfm = File(desc="affine: T1w points to template points")


class AlignTemplate(Step):
    """Find the template's affine where the brain is known already."""

    input_spec = AlignTemplateInputSpec
    output_spec = AlignTemplateOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        xfm = template_affine(load_canonical(self.inputs.in_file), load_template(), Greedy())
        return {"xfm": write_affine(xfm, folder / "xfm.txt")}


class NormaliseInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="T1w without bias field")
    brain_mask = File(exists=True, mandatory=True)
    initial = File(exists=True, mandatory=True, desc="affine: T1w points to template points")


class NormaliseOutputSpec(TraitedSpec):
    to_template = File(desc="field: T1w points to template points")
    from_template = File(desc="field: template points to T1w points")


class Normalise(Step):
    """Warp the brain onto the template."""

    input_spec = NormaliseInputSpec
    output_spec = NormaliseOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        t1w = load_canonical(self.inputs.in_file)
        xfm = normalise(
            t1w,
            load_canonical(self.inputs.brain_mask),
            load_template(),
            Greedy(finest_mm=FINEST_MM),
            initial=read_affine(Path(self.inputs.initial)),
        )
        return write_fields(xfm, ~xfm, t1w, folder)


def write_fields(
    to_template: Transform, from_template: Transform, t1w: nib.Nifti1Image, folder: Path
) -> dict[str, Path]:
    """Sample a transform and its inverse as fields, each on the grid that it fills."""
    spacing_mm = max(FIELD_MM, float(Grid.of(t1w).spacing_mm.min()))
    fields = {
        "to_template": sampled_warp(to_template, Grid.of(t1w).spaced(spacing_mm)),
        "from_template": sampled_warp(
            from_template, Grid.of(load_template().head).spaced(spacing_mm)
        ),
    }
    return {name: write_warp(field, folder / f"{name}.nii.gz") for name, field in fields.items()}


class CarryAtlasInputSpec(StepInputSpec):
    t1w = File(exists=True, mandatory=True)
    xfm = File(exists=True, mandatory=True, desc="T1w points to template points")
    grey = File(exists=True, mandatory=True, desc="probability, on the T1w grid")
    white = File(exists=True, mandatory=True)
    csf = File(exists=True, mandatory=True)
    atlas = traits.Str(mandatory=True, desc="name of an embedded atlas, or the path of an image")
    atlas_table = traits.Str("", usedefault=True, desc="path of its table")


class CarryAtlasOutputSpec(TraitedSpec):
    segmentation = File(desc="atlas labels on the T1w grid")
    regions = File(desc="the atlas table")
    deep_white = File(desc="eroded white matter, for aCompCor")
    deep_csf = File(desc="eroded CSF, for aCompCor")


class CarryAtlas(Step):
    """Carry labels into the participant's anatomy."""

    input_spec = CarryAtlasInputSpec
    output_spec = CarryAtlasOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        t1w, xfm = load_canonical(self.inputs.t1w), read_warp(Path(self.inputs.xfm))
        atlas = load_atlas(self.inputs.atlas, self.inputs.atlas_table or None)
        whole = carry_labels(atlas.image, xfm, Grid.of(t1w))
        labels = labels_in_grey(whole, load_canonical(self.inputs.grey))
        nib.save(labels, folder / "dseg.nii.gz")
        for tissue, path, depth in (
            ("deep_white", self.inputs.white, DEEP_WHITE_MM),
            ("deep_csf", self.inputs.csf, DEEP_CSF_MM),
        ):
            nib.save(deep_tissue(load_canonical(path), depth), folder / f"{tissue}.nii.gz")
        return {
            "segmentation": folder / "dseg.nii.gz",
            "regions": write_table(atlas.table, folder / "regions.tsv"),
            "deep_white": folder / "deep_white.nii.gz",
            "deep_csf": folder / "deep_csf.nii.gz",
        }
