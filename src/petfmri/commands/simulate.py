"""`petfmri simulate`: the study's BIDS folder, with a known true answer."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from petfmri.commands.context import n_cores
from petfmri.commands.crossover_simulation import simulate_crossover_study
from petfmri.commands.tables import region_columns
from petfmri.config import Study, load_study
from petfmri.errors import ConfigError
from petfmri.simulation.effects import Design, Effects
from petfmri.simulation.presets import PRESETS
from petfmri.simulation.study import simulate_study
from petfmri.simulation.tables import simulate_tables
from petfmri.study.files import write_table
from petfmri.study.group import SESSION_COLUMNS


def main(arguments: argparse.Namespace) -> int:
    """Simulate the study of `arguments.study`."""
    study = load_study(arguments.study)
    simulate(study, preset=arguments.preset, n_procs=n_cores(arguments.n_procs))
    return 0


def simulate(study: Study, *, preset: str | None = None, n_procs: int = 1) -> None:
    """Write the BIDS folder, which must not exist yet; or only the group tables.

    Raises
    ------
    ConfigError
        If the study names no BIDS folder.
    DatasetError
        If that folder has content.
    """
    name = preset or study.simulation.preset
    if study.crossover is not None:
        simulate_crossover_study(study, preset=name)
        return
    if name == "tables":
        _tables(study)
        return
    if study.bids is None:
        raise ConfigError("bids", "nothing", "the folder to simulate into", "name it in the study")
    chosen = PRESETS[name]
    if study.simulation.participants is not None:
        chosen = replace(chosen, n_people=study.simulation.participants)
    simulate_study(
        study.bids,
        chosen,
        seed=study.simulation.seed,
        n_procs=n_procs,
        effects=effects_of(study),
        design=Design(sessions=(study.sessions.pre, study.sessions.post)),
        progress=lambda participant: print(f"simulated {participant}", file=sys.stderr, flush=True),
    )
    print(f"{study.bids}: {chosen.n_people} participants; what was planted: truth/planted.json")


def effects_of(study: Study) -> Effects:
    """Turn the configuration into planted effects."""
    planted = study.simulation.effects.model_dump(exclude_none=True)
    percent = planted.pop("vt_percent", None)
    if percent is not None and study.regions_of_interest:
        patterns = next(iter(study.regions_of_interest.values()))
        planted["vt_change_percent"] = tuple((pattern, percent) for pattern in patterns)
    return replace(Effects(), **planted)


def _tables(study: Study) -> None:
    regions, sessions = simulate_tables(
        study.simulation.participants or PRESETS["demo"].n_people,
        effects_of(study),
        seed=study.simulation.seed,
    )
    group = study.output / "group"
    write_table(regions, group / "regions.tsv", region_columns())
    write_table(sessions, group / "sessions.tsv", SESSION_COLUMNS)
    print(f"{group}: regions.tsv and sessions.tsv")
