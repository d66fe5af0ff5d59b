"""The BOLD branch: every run of a session, their pooled series, and connectivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nipype import Node

from petfmri.interfaces import adopt, bold, networks
from petfmri.interfaces.deliver import Deliver
from petfmri.study.adopted import TEMPLATE
from petfmri.workflows.steps import AlignedRun, Steps, word
from petfmri.workflows.values import BoldRun, SessionScans


class BoldBranch(Steps):
    """Adds motion, coregistration, signals, denoising and connectivity."""

    def _bold_run(self, sid: str, number: int, run: BoldRun) -> AlignedRun:
        name = f"{word(sid)}_run_{number}"
        kept = self._adopt_bold(name, run)
        motion = kept if kept and run.adopted.placed else self._bold_motion(name, run)
        xfm = kept if kept and run.adopted.xfm else self._bold_xfm(name, motion)
        if self._undistorts(run):
            xfm = self._undistort(name, run, motion, xfm)
        if run.adopted.series:
            signals = self._adopted_signals(name, run, kept, xfm)
        else:
            signals = self._bold_signals(name, run, motion, xfm)
        confounds = signals
        dummy = motion
        if run.adopted.confounds:
            confounds = dummy = kept
        made = AlignedRun(motion, xfm, signals, confounds, dummy)
        self._deliver_bold(name, sid, run, made)
        return made

    def _adopt_bold(self, name: str, run: BoldRun) -> Node | None:
        adopted = run.adopted
        if not adopted:
            return None
        return self._hand_on(
            f"{name}_adopt_bold",
            adopt.AdoptBold(),
            adopted,
            in_file=run.path,
            reference=adopted.reference,
            xfm=adopted.xfm,
            xfm_moves_t1w=adopted.xfm_moves_t1w,
            motion=adopted.motion,
            confounds=adopted.confounds,
            dummy_scans=self.settings.dummy_scans,
        )

    def _bold_motion(self, name: str, run: BoldRun) -> Node:
        return self._add(
            f"{name}_bold_motion",
            bold.BoldMotion(),
            in_file=run.path,
            dummy_scans=self.settings.dummy_scans,
        )

    def _bold_xfm(self, name: str, motion: Node) -> Node:
        return self._add(
            f"{name}_bold_coregistration",
            bold.CoregisterBold(),
            reference=(motion, "reference"),
            t1w=(self.anatomy.t1w, "out_file"),
            brain_mask=(self.anatomy.brain, "mask"),
            grey=(self.anatomy.tissues, "grey"),
            white=(self.anatomy.tissues, "white"),
        )

    @staticmethod
    def _undistorts(run: BoldRun) -> bool:
        """Tell whether distortion is corrected: not where another program aligned the run."""
        return run.phase_encoding is not None and not run.adopted.xfm and not run.adopted.series

    def _undistort(self, name: str, run: BoldRun, motion: Node, xfm: Node) -> Node:
        return self._add(
            f"{name}_bold_distortion",
            bold.UndistortBold(),
            in_file=run.path,
            reference=(motion, "reference"),
            xfm=(xfm, "xfm"),
            phase_encoding=run.phase_encoding,
            **{tissue: (self.anatomy.tissues, tissue) for tissue in ("grey", "white", "csf")},
        )

    def _bold_signals(self, name: str, run: BoldRun, motion: Node, xfm: Node) -> Node:
        return self._add(
            f"{name}_bold_signals",
            bold.BoldSignals(),
            in_file=run.path,
            motion=(motion, "motion"),
            parameters=(motion, "parameters"),
            dummy=(motion, "dummy"),
            tr_s=run.tr_s,
            n_compcor=self.settings.n_compcor,
            slice_times_s=list(run.slice_times_s),
            slice_direction=run.slice_direction,
            xfm=(xfm, "xfm"),
            segmentation=(self.anatomy.atlas, "segmentation"),
            regions=(self.anatomy.atlas, "regions"),
            brain_mask=(self.anatomy.brain, "mask"),
            deep_white=(self.anatomy.atlas, "deep_white"),
            deep_csf=(self.anatomy.atlas, "deep_csf"),
        )

    def _adopted_signals(self, name: str, run: BoldRun, kept: Node | None, xfm: Node) -> Node:
        """Add the reading of preprocessed volumes, to which the labels are carried."""
        space = run.adopted.space
        on_t1w = {
            output: (self.anatomy.atlas, output)
            for output in ("segmentation", "deep_white", "deep_csf")
            if space != TEMPLATE
        }
        return self._add(
            f"{name}_adopted_signals",
            adopt.AdoptedSignals(),
            in_file=run.adopted.series,
            confounds=run.adopted.confounds,
            mask=run.adopted.mask,
            regions=(self.anatomy.atlas, "regions"),
            dummy=(kept, "dummy") if kept else None,
            **on_t1w,
            atlas=str(self.settings.atlas),
            atlas_table=str(self.settings.atlas_table or ""),
            xfm=(xfm, "xfm") if space == "native" else None,
        )

    def _deliver_bold(self, name: str, sid: str, run: BoldRun, made: AlignedRun) -> None:
        def path(suffix: str, extension: str, **entities: str) -> Path:
            return self.names.func(sid, suffix, extension, run=run.run, **entities)

        ends = {".h5": "xfm", ".json": "sidecar"} if self._undistorts(run) else {".txt": "xfm"}
        files = {
            path("boldref", ".nii.gz", desc="hmc"): (made.motion, "reference"),
            **{
                path("xfm", end, from_="T1w", to="boldref", mode="image"): (made.xfm, output)
                for end, output in ends.items()
            },
            path("timeseries", ".tsv", seg=self.names.seg, desc="preproc"): (
                made.regional,
                "series",
            ),
            path("timeseries", ".tsv", desc="confounds"): (made.confounds, "confounds"),
            path("coverage", ".tsv", seg=self.names.seg): (made.regional, "coverage"),
            path("timeseries", ".tsv", desc="carpet"): (made.regional, "carpet"),
        }
        if not run.adopted.series:
            moved = path("xfm", ".txt", from_="orig", to="boldref", mode="image")
            files[moved] = (made.motion, "motion")
        self._deliver(f"{name}_deliver_bold", files)

    def _clean(self, session: SessionScans, runs: Sequence[AlignedRun]) -> Node:
        cleaned = self._add(
            f"{word(session.id)}_denoise",
            networks.Denoise(),
            **self._inputs_of(runs, session.runs, [session.id] * len(runs)),
        )
        series = self.names.func(session.id, "timeseries", ".tsv", seg=self.names.seg)
        self._deliver(
            f"{word(session.id)}_deliver_series",
            {
                series: (cleaned, "series"),
                self.names.func(session.id, "metrics", ".tsv", desc="denoising"): (
                    cleaned,
                    "quality",
                ),
            },
            {series: told} if (told := _slice_timing(session.runs)) else None,
        )
        return cleaned

    def _inputs_of(
        self, made: Sequence[AlignedRun], runs: Sequence[BoldRun], sessions: Sequence[str]
    ) -> dict[str, Any]:
        """Hand the raw series of runs to a step that cleans them."""
        return {
            "series": [(run.regional, "series") for run in made],
            "confounds": [(run.confounds, "confounds") for run in made],
            "dummies": [(run.dummy, "dummy") for run in made],
            "tr_s": [run.tr_s for run in runs],
            "sessions": list(sessions),
            "cleaning": asdict(self.settings.cleaning),
            "where": self.names.sub,
        }

    def _connectivity(
        self, scanned: Sequence[SessionScans], made: Sequence[Sequence[AlignedRun]]
    ) -> None:
        runs = [run for session in scanned for run in session.runs]
        sids = [session.id for session in scanned for _ in session.runs]
        matrices = self._add(
            "connectivity",
            networks.Connectivity(),
            **self._inputs_of([run for of_one in made for run in of_one], runs, sids),
            regions=(self.anatomy.atlas, "regions"),
            atlas=self.names.seg,
            networks=list(self.settings.networks),
            rois={name: list(members) for name, members in self.settings.rois.items()},
        )
        named = {
            "relmats": {"suffix": "relmat", "seg": self.names.seg, "stat": "pearsoncorrelation"},
            "metrics": {"suffix": "metrics", "desc": "network"},
            "nodes": {"suffix": "metrics", "seg": self.names.seg, "desc": "nodal"},
        }
        for output, entities in named.items():
            paths = [
                self.names.func(session.id, extension=".tsv", **entities) for session in scanned
            ]
            node = self._add(
                f"deliver_{output}",
                Deliver(),
                in_files=(matrices, output),
                targets=[str(path) for path in paths],
            )
            node.overwrite = True


def _slice_timing(runs: Sequence[BoldRun]) -> dict[str, Any]:
    """Say of pooled runs whether their slices were read at one moment: of each where they differ."""
    corrected = {run.path.name: bool(run.slice_times_s) and not run.adopted.series for run in runs}
    if all(corrected.values()):
        return {"SliceTimingCorrected": True}
    if not any(corrected.values()):
        return {}
    left = "as its program left it"
    return {"SliceTimingCorrectedRuns": {name: done or left for name, done in corrected.items()}}
