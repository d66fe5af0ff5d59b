"""The last step of each branch: results under their final names, with sidecars."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from petfmri.interfaces.base import Step, StepInputSpec
from petfmri.study.files import write_json, written_beside


class DeliverInputSpec(StepInputSpec):
    in_files = InputMultiObject(File(exists=True), mandatory=True)
    targets = traits.List(traits.Str, mandatory=True, desc="absolute final paths, one per file")
    sidecars = traits.Dict(desc="final path to the content of its JSON sidecar")


class DeliverOutputSpec(TraitedSpec):
    delivered = traits.List(traits.Str, desc="final paths")


class Deliver(Step):
    """Copy each file beside its final name and rename it: complete, or not there."""

    input_spec = DeliverInputSpec
    output_spec = DeliverOutputSpec
    reads_tables_only = True

    def step(self, folder: Path) -> dict[str, Any]:
        for source, target in zip(self.inputs.in_files, self.inputs.targets, strict=True):
            with written_beside(Path(target)) as beside:
                shutil.copyfile(source, beside)
            if target in (self.inputs.sidecars or {}):
                name = target.removesuffix(".gz")
                write_json(self.inputs.sidecars[target], Path(name).with_suffix(".json"))
        return {"delivered": list(self.inputs.targets)}
