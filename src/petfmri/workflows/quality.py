"""Scores of the anatomy and of each alignment, beside the results that they judge."""

from __future__ import annotations

from pathlib import Path

from petfmri.interfaces import quality
from petfmri.workflows.build import Source
from petfmri.workflows.steps import Aligned, Steps


class QualityBranch(Steps):
    """Adds what the participant's page tells of every step."""

    def _anat_quality(self) -> None:
        scored = self._add(
            "quality",
            quality.AnatQuality(),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
            to_template=(self.anatomy.template, "to_template"),
            **{name: (self.anatomy.tissues, name) for name in ("grey", "white", "csf")},
        )
        target = self.names.anat("metrics", ".tsv", desc="quality")
        self._deliver("deliver_quality", {target: (scored, "metrics")})

    def _alignment_quality(
        self, name: str, scan: Aligned, target: Path, more: Source | None = None
    ) -> None:
        """Score how a PET or BOLD reference lies on the T1w; tell `more` scores beside it."""
        scored = self._add(
            f"{name}_quality",
            quality.AlignmentQuality(),
            reference=(scan.motion, "reference"),
            xfm=(scan.xfm, "xfm"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
            grey=(self.anatomy.tissues, "grey"),
            white=(self.anatomy.tissues, "white"),
            **({} if more is None else {"more": more}),
        )
        self._deliver(f"{name}_deliver_quality", {target: (scored, "metrics")})
