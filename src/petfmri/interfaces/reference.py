"""The step that builds the reference region: one mask for every session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from petfmri.atlases import load_reference_mask, select_regions
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.transform_files import read_warp
from petfmri.images.volumes import load_canonical
from petfmri.interfaces.base import Step, StepInputSpec, load_array, load_labels, save_image
from petfmri.pet.reference import (
    ReferenceRegion,
    brain_reference,
    cerebellar_reference,
    label_reference,
    semiovale_reference,
)
from petfmri.pet.spill_in import ASSUMED_PSF_MM, GREY_TO_WHITE, spill_in
from petfmri.study.files import read_table, write_json
from petfmri.typing import BoolArray, FloatArray


class BuildReferenceInputSpec(StepInputSpec):
    t1w = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True, desc="on the T1w grid, like all images")
    xfm = File(exists=True, mandatory=True, desc="T1w points to template points")
    grey = File(exists=True, mandatory=True, desc="probability")
    white = File(exists=True, mandatory=True)
    csf = File(exists=True, mandatory=True)
    segmentation = File(exists=True, mandatory=True, desc="atlas labels")
    regions = File(exists=True, mandatory=True, desc="the atlas table")
    reference = traits.Str(mandatory=True)
    patterns = traits.List(traits.Str, desc="regions, for a reference of the user's own")
    lesions = InputMultiObject(File(exists=True), desc="masks to keep away from")
    psf_mm = traits.List(traits.Float, desc="resolution of the PET along x, y, z (FWHM)")


class BuildReferenceOutputSpec(TraitedSpec):
    mask = File(desc="reference region on the T1w grid")
    sidecar = File(desc="how it came about, its volume and the spill-in to be expected")


class BuildReference(Step):
    """Build the reference region in the participant's anatomy."""

    input_spec = BuildReferenceInputSpec
    output_spec = BuildReferenceOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        affine = load_canonical(self.inputs.t1w).affine
        grey, white, csf = (
            load_array(path) for path in (self.inputs.grey, self.inputs.white, self.inputs.csf)
        )
        region = self._region(grey, white, csf, affine, self._lesion())
        psf_mm = self.inputs.psf_mm or [ASSUMED_PSF_MM] * 3
        spread = spill_in(region.mask, white, grey, csf, affine, psf_mm)
        sidecar = {
            "Type": "ROI",
            "Description": f"Reference region {self.inputs.reference}, one mask for every session",
            "ReferenceRegion": self.inputs.reference,
            "Steps": region.note,
            "VolumeMl": region.volume_ml,
            "LesionMasks": [Path(path).name for path in self.inputs.lesions or ()],
            "SpillIn": {
                "PsfMm": list(psf_mm),
                "PsfSource": "pet.psf_mm" if self.inputs.psf_mm else "assumed, pet.psf_mm is unset",
                "WhiteWeight": spread.white,
                "GreyWeight": spread.grey,
                "CsfWeight": spread.csf,
                "GreyToWhiteUptake": GREY_TO_WHITE,
                "GreyPercentOfSignal": spread.grey_percent(GREY_TO_WHITE),
            },
        }
        return {
            "mask": save_image(region.mask.astype(np.uint8), affine, folder / "reference.nii.gz"),
            "sidecar": write_json(sidecar, folder / "reference.json"),
        }

    def _region(
        self,
        grey: FloatArray,
        white: FloatArray,
        csf: FloatArray,
        affine: FloatArray,
        lesion: BoolArray | None,
    ) -> ReferenceRegion:
        name = self.inputs.reference
        if name == "semiovale":
            grid = Grid.of(load_canonical(self.inputs.t1w))
            start = carry_mask(load_reference_mask(name), read_warp(Path(self.inputs.xfm)), grid)
            inside = np.asarray(start.dataobj)
            return semiovale_reference(inside, white, grey, csf, affine, lesion=lesion)
        if name == "wholebrain":
            brain = load_labels(self.inputs.brain_mask)
            return brain_reference(brain, grey, white, affine, lesion=lesion)
        labels = load_labels(self.inputs.segmentation)
        table = read_table(Path(self.inputs.regions), ["index", "name", "structure"])
        if name == "cerebellum":
            cerebellum, cortex = (
                np.isin(labels, table.loc[table["structure"] == structure, "index"])
                for structure in ("cerebellum", "cortex")
            )
            return cerebellar_reference(cerebellum, cortex, grey, affine, lesion=lesion)
        names = select_regions(table, self.inputs.patterns)
        values = table.loc[table["name"].isin(names), "index"].astype(int).tolist()
        return label_reference(", ".join(names), labels, values, affine, lesion=lesion)

    def _lesion(self) -> BoolArray | None:
        """Join all lesion masks."""
        masks = [load_array(path) > 0 for path in self.inputs.lesions or ()]
        return np.logical_or.reduce(masks) if masks else None
