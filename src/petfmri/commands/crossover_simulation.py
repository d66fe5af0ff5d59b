"""`petfmri simulate` of a crossover: group tables and matrices with a known answer."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from petfmri.commands.context import atlas_label
from petfmri.commands.tables import region_columns
from petfmri.config import Study
from petfmri.errors import ConfigError
from petfmri.simulation.crossover import CrossoverPlan, simulate_crossover
from petfmri.simulation.effects import Effects
from petfmri.study.files import write_table
from petfmri.study.group import SESSION_COLUMNS
from petfmri.study.names import derivative_path


def simulate_crossover_study(study: Study, *, preset: str) -> None:
    """Write the group tables and the correlations of every visit into the output folder.

    Raises
    ------
    ConfigError
        If images are asked for, or another atlas than the embedded one.
    """
    assert study.crossover is not None
    if preset != "tables" or study.atlas != "Schaefer200":
        raise ConfigError(
            "simulation",
            f"preset {preset}, atlas {study.atlas}",
            "preset tables and atlas Schaefer200: a crossover is simulated without images",
            "call `petfmri simulate --preset tables`",
        )
    n = study.simulation.participants or 16
    plan = CrossoverPlan(n // 2, n - n // 2, treatments=study.crossover.treatments)
    before = study.crossover.baseline
    if before is None or isinstance(before, str):
        plan = replace(plan, baseline=before)
    planted = study.simulation.effects.model_dump(exclude_none=True)
    planted.pop("vt_percent", None)
    regions, sessions = [], []
    for visit in simulate_crossover(
        plan, replace(Effects(), **planted), seed=study.simulation.seed
    ):
        regions.append(visit.regions)
        sessions.append(visit.session)
        path = derivative_path(
            study.output,
            sub=visit.session["participant_id"],
            ses=visit.session["session_id"],
            datatype="func",
            suffix="relmat",
            extension=".tsv",
            task=study.bold.task,
            seg=atlas_label(study),
            stat="pearsoncorrelation",
        )
        write_table(visit.correlations, path)
    group = study.output / "group"
    write_table(pd.concat(regions, ignore_index=True), group / "regions.tsv", region_columns())
    write_table(pd.DataFrame(sessions), group / "sessions.tsv", SESSION_COLUMNS)
    print(f"{group}: regions.tsv and sessions.tsv of {len(sessions)} visits")
