"""Steps that judge what the others made, for the page of the participant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from nipype.interfaces.base import File, TraitedSpec, isdefined

from petfmri.atlases import load_template
from petfmri.images.boundary import edge_agreement, find_boundary
from petfmri.images.cropping import shrunk
from petfmri.images.quality import anatomy_scores, overlap
from petfmri.images.registration import alignment_score
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.tissues import Tissues
from petfmri.images.transform_files import read_warp
from petfmri.images.transform_reader import read_transform
from petfmri.images.volumes import load_canonical
from petfmri.interfaces.base import Step, StepInputSpec
from petfmri.study.files import read_table, write_table

CHECK_MM = 3.0  # voxel size at which brains are compared


class AnatQualityInputSpec(StepInputSpec):
    t1w = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    grey = File(exists=True, mandatory=True, desc="share of grey matter, on the T1w grid")
    white = File(exists=True, mandatory=True)
    csf = File(exists=True, mandatory=True)
    to_template = File(exists=True, mandatory=True, desc="T1w points to template points")


class QualityOutputSpec(TraitedSpec):
    metrics = File(desc="one row, a column per score")


class AnatQuality(Step):
    """Score the tissues and the fit to the template."""

    input_spec = AnatQualityInputSpec
    output_spec = QualityOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        mask = load_canonical(self.inputs.brain_mask)
        shares = (
            load_canonical(path) for path in (self.inputs.grey, self.inputs.white, self.inputs.csf)
        )
        scores = anatomy_scores(load_canonical(self.inputs.t1w), mask, Tissues(*shares))
        warp = read_warp(Path(self.inputs.to_template))
        scores["template_overlap"] = overlap(shrunk(mask, CHECK_MM), load_template().mask, warp)
        return {"metrics": write_table(pd.DataFrame([scores]), folder / "metrics.tsv")}


class AlignmentQualityInputSpec(StepInputSpec):
    reference = File(exists=True, mandatory=True, desc="of BOLD or PET")
    xfm = File(exists=True, mandatory=True, desc="points of the reference to points of the T1w")
    t1w = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    grey = File(exists=True, mandatory=True, desc="share of grey matter, on the T1w grid")
    white = File(exists=True, mandatory=True)
    more = File(exists=True, desc="one row of other scores, to be told beside these")


class AlignmentQuality(Step):
    """Score how well a BOLD or PET reference lies on the T1w."""

    input_spec = AlignmentQualityInputSpec
    output_spec = QualityOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        image, xfm = load_canonical(self.inputs.reference), read_transform(Path(self.inputs.xfm))
        boundary = find_boundary(
            load_canonical(self.inputs.grey), load_canonical(self.inputs.white)
        )
        near = carry_mask(load_canonical(self.inputs.brain_mask), xfm, Grid.of(image))
        scores = {
            "nmi": alignment_score(image, load_canonical(self.inputs.t1w), xfm, near),
            "edge_agreement": edge_agreement(image, ~xfm, boundary),
        }
        table = pd.DataFrame([scores])
        if isdefined(self.inputs.more):
            table = table.join(read_table(Path(self.inputs.more)))
        return {"metrics": write_table(table, folder / "metrics.tsv")}
