"""PET on the standard grid, where persons are compared voxel by voxel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nipype.interfaces.base import File, TraitedSpec, traits

from petfmri.atlases.template import STANDARD_MM, load_template
from petfmri.images.resampling import Grid
from petfmri.images.transform_files import read_affine
from petfmri.images.transform_reader import read_transform
from petfmri.interfaces.base import Step, StepInputSpec, save_image
from petfmri.interfaces.pet import Scan
from petfmri.pet.suvr import suvr, window_mean
from petfmri.study.files import read_json


class PetToTemplateInputSpec(StepInputSpec):
    in_file = File(exists=True, mandatory=True, desc="raw PET, or preprocessed without motion")
    sidecar = traits.Dict(mandatory=True)
    motion = File(exists=True, desc="absent where another program has corrected it")
    pet_xfm = File(exists=True, mandatory=True, desc="points of the PET reference to T1w points")
    template_xfm = File(exists=True, mandatory=True, desc="points of the template to T1w points")
    uptake = File(exists=True, mandatory=True, desc="of the reference region, by RegionalPet")
    window_s = traits.Tuple(traits.Float, traits.Float, mandatory=True)


class PetToTemplateOutputSpec(TraitedSpec):
    suvr_map = File(desc="on the template's grid, in its brain; 0 elsewhere")


class PetToTemplate(Step):
    """Interpolate each raw PET frame once, straight onto the template's grid."""

    input_spec = PetToTemplateInputSpec
    output_spec = PetToTemplateOutputSpec
    resamples = True

    def step(self, folder: Path) -> dict[str, Any]:
        scan = Scan(self.inputs.in_file, self.inputs.sidecar)
        every = slice(None, None, STANDARD_MM)  # of a template of 1 mm
        brain = load_template().mask.slicer[every, every, every]
        where, grid = np.asarray(brain.dataobj) > 0, Grid.of(brain)
        to_pet = ~read_affine(Path(self.inputs.pet_xfm)) @ read_transform(
            Path(self.inputs.template_xfm)
        )
        weights = scan.schedule.window_weights(self.inputs.window_s)
        mean = window_mean(scan.aligned(self.inputs.motion, to_pet, grid, where), weights)
        uptake = read_json(Path(self.inputs.uptake))
        whole = np.zeros(grid.shape, dtype=np.float32)
        whole[where] = np.nan_to_num(suvr(mean, uptake["mean_kBq_mL"], uptake["ReferenceRegion"]))
        return {"suvr_map": save_image(whole, grid.affine, folder / "suvr.nii.gz")}
