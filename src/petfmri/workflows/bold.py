"""The BOLD branch: every run of a session, their pooled series, and connectivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nipype import Node

from petfmri.interfaces import bold
from petfmri.interfaces.deliver import Deliver
from petfmri.workflows.steps import Aligned, Steps, word
from petfmri.workflows.values import BoldRun, SessionScans


class BoldBranch(Steps):
    """Adds motion, coregistration, signals, denoising and connectivity."""

    def _bold_run(self, sid: str, number: int, run: BoldRun) -> Aligned:
        name = f"{word(sid)}_run_{number}"
        motion = self._add(
            f"{name}_bold_motion",
            bold.BoldMotion(),
            mem_gb=1,
            in_file=run.path,
            dummy_scans=self.settings.dummy_scans,
        )
        xfm = self._add(
            f"{name}_bold_coregistration",
            bold.CoregisterBold(),
            mem_gb=1,
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
            grey=(self.anatomy.tissues, "grey"),
            white=(self.anatomy.tissues, "white"),
        )
        signals = self._add(
            f"{name}_bold_signals",
            bold.BoldSignals(),
            mem_gb=1.5,
            in_file=run.path,
            motion=(motion, "motion"),
            parameters=(motion, "parameters"),
            dummy=(motion, "dummy"),
            tr_s=run.tr_s,
            xfm=(xfm, "xfm"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            brain_mask=(self.anatomy.brain, "mask"),
            deep_white=(self.anatomy.atlas, "deep_white"),
            deep_csf=(self.anatomy.atlas, "deep_csf"),
        )
        made = Aligned(motion, xfm, signals)
        self._deliver_bold(name, sid, run.run, made)
        return made

    def _deliver_bold(self, name: str, sid: str, run: str | None, made: Aligned) -> None:
        files = {
            self.names.func(sid, "boldref", ".nii.gz", run=run, desc="hmc"): (
                made.motion,
                "reference",
            ),
            self.names.func(sid, "xfm", ".txt", run=run, from_="T1w", to="boldref", mode="image"): (
                made.xfm,
                "xfm",
            ),
            self.names.func(
                sid, "xfm", ".txt", run=run, from_="orig", to="boldref", mode="image"
            ): (made.motion, "motion"),
            self.names.func(sid, "timeseries", ".tsv", run=run, desc="confounds"): (
                made.regional,
                "confounds",
            ),
            self.names.func(sid, "coverage", ".tsv", run=run, seg=self.names.seg): (
                made.regional,
                "coverage",
            ),
            self.names.func(sid, "timeseries", ".tsv", run=run, desc="carpet"): (
                made.regional,
                "carpet",
            ),
        }
        self._deliver(f"{name}_deliver_bold", files)

    def _clean(self, session: SessionScans, runs: Sequence[Aligned]) -> Node:
        cleaned = self._add(
            f"{word(session.id)}_denoise",
            bold.Denoise(),
            series=[(run.regional, "series") for run in runs],
            confounds=[(run.regional, "confounds") for run in runs],
            dummies=[(run.motion, "dummy") for run in runs],
            tr_s=[run.tr_s for run in session.runs],
            strategy=self.settings.strategy,
            band_hz=self.settings.band_hz,
            fd_threshold_mm=self.settings.fd_threshold_mm,
            minimum_kept_s=self.settings.minimum_kept_s,
            where=f"{self.names.sub} {session.id}",
        )
        self._deliver(
            f"{word(session.id)}_deliver_series",
            {
                self.names.func(session.id, "timeseries", ".tsv", seg=self.names.seg): (
                    cleaned,
                    "series",
                ),
                self.names.func(session.id, "metrics", ".tsv", desc="denoising"): (
                    cleaned,
                    "quality",
                ),
            },
        )
        return cleaned

    def _connectivity(self, cleaned: Mapping[str, Node]) -> None:
        matrices = self._add(
            "connectivity",
            bold.Connectivity(),
            series=[(node, "series") for node in cleaned.values()],
            regions=(self.anatomy.atlas, "regions"),
            networks=list(self.settings.networks),
        )
        named = {
            "relmats": {"suffix": "relmat", "seg": self.names.seg, "stat": "pearsoncorrelation"},
            "metrics": {"suffix": "metrics", "desc": "network"},
            "strengths": {"suffix": "metrics", "seg": self.names.seg, "desc": "strength"},
        }
        for output, entities in named.items():
            paths = [self.names.func(sid, extension=".tsv", **entities) for sid in cleaned]
            node = self._add(
                f"deliver_{output}",
                Deliver(),
                in_files=(matrices, output),
                targets=[str(path) for path in paths],
            )
            node.overwrite = True
