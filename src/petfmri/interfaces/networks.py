"""Steps from raw parcel series to network metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, traits

from petfmri.bold.denoise import Cleaning
from petfmri.bold.sessions import Run, Sessions, clean_sessions
from petfmri.errors import ExcludedRunError
from petfmri.interfaces.base import Step, StepInputSpec
from petfmri.networks.measures import SessionSeries, measure_sessions
from petfmri.study.files import read_table, write_table


class RunsInputSpec(StepInputSpec):
    series = InputMultiObject(File(exists=True), mandatory=True, desc="raw, one per run")
    confounds = InputMultiObject(File(exists=True), mandatory=True, desc="one per run")
    dummies = InputMultiObject(traits.Int, mandatory=True, desc="one per run")
    tr_s = InputMultiObject(traits.Float, mandatory=True, desc="one per run")
    sessions = InputMultiObject(traits.Str, mandatory=True, desc="one per run")
    cleaning = traits.Dict(mandatory=True, desc="as dataclasses.asdict gives a Cleaning")
    where = traits.Str(mandatory=True, desc="names the person in errors")


class _OfRuns(Step):
    """A step that cleans the runs of one person on equal terms."""

    reads_tables_only = True

    def _cleaned(self) -> Sessions:
        """Clean every session.

        Raises
        ------
        ExcludedRunError
            If a session has no run left, with the reason of each.
        """
        sessions: dict[str, list[Run]] = {}
        given = zip(
            *(getattr(self.inputs, name) for name in ("sessions", "series", "confounds")),
            *(getattr(self.inputs, name) for name in ("dummies", "tr_s")),
            strict=True,
        )
        for session, series, confounds, dummy, tr_s in given:
            runs = sessions.setdefault(session, [])
            runs.append(
                Run(
                    f"{self.inputs.where} {session}, run {len(runs) + 1}",
                    read_table(Path(series)).to_numpy(float),
                    tr_s,
                    read_table(Path(confounds)),
                    dummy,
                )
            )
        found = clean_sessions(sessions, Cleaning.of(self.inputs.cleaning))
        lost = [name for name in sessions if name not in found.sessions]
        if lost:
            raise ExcludedRunError(
                f"{self.inputs.where} {' and '.join(lost)}",
                "; ".join(f"{run}: {reason}" for run, reason in found.excluded.items()),
                "a run that counts in every session",
                "leave the session out, or choose another strategy",
            )
        return found


class DenoiseOutputSpec(TraitedSpec):
    series = File(desc="denoised parcel series: runs cleaned apart, standardised and pooled")
    quality = File(desc="frames_kept, frames_total, df_effective, mean_fd, excluded")


class Denoise(_OfRuns):
    """Clean each run of a session by itself, then pool the runs."""

    input_spec = RunsInputSpec
    output_spec = DenoiseOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        found = self._cleaned()
        (session,) = found.sessions.values()
        pooled = session.denoised
        quality = {
            "frames_kept": session.frames_kept,
            "frames_total": session.frames_total,
            "df_effective": pooled.df_effective,
            "mean_fd": pooled.mean_fd,
            "excluded": "; ".join(f"{run}: {why}" for run, why in found.excluded.items()),
        }
        names = read_table(Path(self.inputs.series[0])).columns
        return {
            "series": write_table(
                pd.DataFrame(pooled.series, columns=names), folder / "series.tsv"
            ),
            "quality": write_table(pd.DataFrame([quality]), folder / "quality.tsv"),
        }


class ConnectivityInputSpec(RunsInputSpec):
    regions = File(exists=True, mandatory=True, desc="table with name, network and structure")
    atlas = traits.Str(mandatory=True, desc="its name, for the tables")
    networks = traits.List(traits.Str, desc="only these; empty: all")
    rois = traits.Dict({}, usedefault=True, desc="name to names of regions")


class ConnectivityOutputSpec(TraitedSpec):
    relmats = traits.List(File, desc="Pearson correlations, one per session")
    metrics = traits.List(File, desc="network metrics, one per session")
    nodes = traits.List(File, desc="name and nodal metrics, one per session")


class Connectivity(_OfRuns):
    """Measure the sessions of one participant over the same frames and parcels."""

    input_spec = ConnectivityInputSpec
    output_spec = ConnectivityOutputSpec

    def step(self, folder: Path) -> dict[str, Any]:
        atlas = read_table(Path(self.inputs.regions), ["name", "network", "structure"])
        conditions = {**Cleaning.of(self.inputs.cleaning).conditions, "atlas": self.inputs.atlas}
        measured = measure_sessions(
            {
                name: SessionSeries(
                    session.denoised.series,
                    session.denoised.times,
                    {**conditions, **session.circumstances, "tr_s": self.inputs.tr_s[0]},
                )
                for name, session in self._cleaned().sessions.items()
            },
            atlas,
            networks=self.inputs.networks,
            rois=self.inputs.rois,
        )
        outputs: dict[str, list[str]] = {"relmats": [], "metrics": [], "nodes": []}
        for number, found in enumerate(measured.values()):
            relmat = pd.DataFrame(found.connectivity, columns=atlas["name"])
            relmat.insert(0, "name", atlas["name"])
            tables = {"relmats": relmat, "metrics": pd.DataFrame([found.row]), "nodes": found.nodes}
            for name, table in tables.items():
                outputs[name].append(str(write_table(table, folder / f"{name}_{number}.tsv")))
        return outputs
