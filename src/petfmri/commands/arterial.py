"""The arterial input of one scan: from blood samples, or ready-made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petfmri.commands.scan_curves import ScanCurves
from petfmri.errors import DatasetError
from petfmri.pet.blood import InputFunction, input_function
from petfmri.pet.kinetics.plasma_delay import fit_delay
from petfmri.pet.metabolites import ParentModel, fit_parent_fraction
from petfmri.study.blood import read_blood, read_input_function


@dataclass(frozen=True)
class Arterial:
    """Where the blood of a scan lies.

    Parameters
    ----------
    pet : Path
        The raw PET, or where it would lie: blood is looked for beside it.
    ready : Path or None
        Folder of bloodstream derivatives, which come first.
    injection_start_s : float, s
    half_life_s : float or None, s
    parent : {"hill", "power", "biexponential"}
    """

    pet: Path
    ready: Path | None
    injection_start_s: float
    half_life_s: float | None
    parent: ParentModel

    def at_brain(self, curves: ScanCurves) -> tuple[InputFunction, float]:
        """Read the input and shift it by the delay that the mean curve of the scan asks for.

        Returns
        -------
        InputFunction
        delay_s : float, s

        Raises
        ------
        DatasetError
            If there is no usable blood, or the delay cannot be found.
        """
        inputs = self._read()
        delay = fit_delay(curves.typical, curves.schedule, inputs)
        if delay.flags:
            raise DatasetError(
                f"{self.pet.name}: delay of the arterial input",
                "none that can be fitted",
                "a rise that blood and brain share",
                "look at the first samples and frames, or use a reference region",
            )
        return inputs.shifted(delay.delay_s), delay.delay_s

    def _read(self) -> InputFunction:
        if self.ready is not None:
            stem = self.pet.name.removesuffix(".nii.gz").removesuffix("_pet")
            found = sorted(self.ready.rglob(f"{stem}*_inputfunction.tsv"))
            if len(found) != 1:
                raise DatasetError(
                    f"{self.ready}: {stem}*_inputfunction.tsv",
                    f"{len(found)} files",
                    "one input function per scan",
                    "run bloodstream for this scan, or remove derivatives: bloodstream",
                )
            table = read_input_function(found[0], injection_start_s=self.injection_start_s)
            whole = table["whole_blood_kbq_ml"].to_numpy(float)
            return InputFunction(
                table["time_s"].to_numpy(float),
                table["aif_kbq_ml"].to_numpy(float),
                whole if np.isfinite(whole).all() else None,
            )
        blood = read_blood(
            self.pet, injection_start_s=self.injection_start_s, half_life_s=self.half_life_s
        )
        for warning in blood.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        manual = blood.manual
        known = manual.dropna(subset=["parent_fraction"])
        parent = None
        if len(known):
            parent = fit_parent_fraction(
                known["time_s"].to_numpy(float),
                known["parent_fraction"].to_numpy(float),
                model=self.parent,
            )
        sampler = None
        if blood.sampler is not None:
            sampler = (
                blood.sampler["time_s"].to_numpy(float),
                blood.sampler["whole_blood_kbq_ml"].to_numpy(float),
            )
        return input_function(
            manual["time_s"].to_numpy(float),
            manual["plasma_kbq_ml"].to_numpy(float),
            manual["whole_blood_kbq_ml"].to_numpy(float),
            parent=parent,
            sampler=sampler,
        )
