"""Where the results of one participant lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from petfmri.study.adopted import TEMPLATE
from petfmri.study.names import bids_label, derivative_path


@dataclass(frozen=True)
class Names:
    """Final paths of one participant's results.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    sub : str
    seg, reference, task : str
        Atlas, reference region and BOLD task, as they stand in names.
    tracer : str or None
    """

    root: Path
    sub: str
    seg: str
    tracer: str | None
    reference: str
    task: str

    def anat(self, suffix: str, extension: str = ".nii.gz", **entities: str) -> Path:
        """Path of an anatomical result."""
        return derivative_path(
            self.root,
            sub=self.sub,
            ses=None,
            datatype="anat",
            suffix=suffix,
            extension=extension,
            **entities,
        )

    def pet(self, ses: str, suffix: str, extension: str, **entities: str) -> Path:
        """Path of a PET result."""
        tracer = bids_label(self.tracer) if self.tracer else None
        return derivative_path(
            self.root,
            sub=self.sub,
            ses=ses,
            datatype="pet",
            suffix=suffix,
            extension=extension,
            trc=tracer,
            **entities,
        )

    def suvr(self, ses: str, suffix: str, extension: str, **entities: str) -> Path:
        """Path of an SUVR table or map: named by reference and correction, so that none overwrites another."""
        return self.pet(
            ses,
            suffix,
            extension,
            ref=bids_label(self.reference),
            pvc="none",
            meas="SUVR",
            **entities,
        )

    def suvr_standard(self, ses: str) -> Path:
        """Path of the SUVR map in standard space, on the grid that all persons share."""
        return self.suvr(ses, "mimap", ".nii.gz", space=TEMPLATE, res="2")

    def func(self, ses: str, suffix: str, extension: str, **entities: str | None) -> Path:
        """Path of a BOLD result."""
        return derivative_path(
            self.root,
            sub=self.sub,
            ses=ses,
            datatype="func",
            suffix=suffix,
            extension=extension,
            task=self.task,
            **entities,
        )
