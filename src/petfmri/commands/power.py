"""`petfmri power`: what a number of people can see, and how many a change needs."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import pandas as pd

from petfmri.commands.context import group_folder, resolved
from petfmri.commands.retest import declared_retest
from petfmri.config import Study, load_study
from petfmri.errors import ConfigError
from petfmri.networks.registry import METRICS
from petfmri.statistics.effects import percent_change
from petfmri.statistics.power import Spread, coupling_power_table, power_table
from petfmri.statistics.retest import noise_of
from petfmri.study.files import read_table, write_table, write_text

SIMULATED = 40
"""People of the simulated test-retest study."""

POWER_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "design": {"Description": "Design of the study"},
    "question": {
        "Description": "detectable: what n persons see; needed: persons who see that effect"
    },
    "n": {"Description": "Persons in all; missing above 10,000"},
    "n_low": {"Description": "Persons, with the lower end of the 90 % interval of the SD"},
    "n_high": {"Description": "Persons, with the upper end"},
    "effect": {"Description": "Mean change, or difference between arms or treatments"},
    "effect_low": {"Description": "With the lower end of the 90 % interval of the SD"},
    "effect_high": {"Description": "With the upper end"},
    "unit": {"Description": "Unit of effect and sd"},
    "sd": {"Description": "SD over persons of the change without an effect"},
    "power": {"Description": "Power"},
    "alpha": {"Description": "Two-sided"},
    "source": {"Description": "Where the SD is from"},
}
COUPLING_COLUMNS = {
    "n": {"Description": "Persons in all"},
    "r_detectable": {"Description": "Correlation over persons that is seen with this power"},
    "power": {"Description": "Power"},
    "alpha": {"Description": "Two-sided"},
}


def main(arguments: argparse.Namespace) -> int:
    """Plan the study of `arguments.study`."""
    study = load_study(arguments.study)
    table, couplings, unknown = power(study)
    for sentence in sentences(table, couplings):
        print(sentence)
    if unknown:
        print(
            f"No spread is known of {', '.join(unknown)}: state it in test_retest, call `petfmri "
            "networks` (halves of a session) or `petfmri compare` on first data."
        )
    print(f"Written to {group_folder(study, 'power')}: power.tsv, couplings.tsv")
    return 0


def power(study: Study) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Make the tables, and write ``group/power``; return also what has no known spread.

    Raises
    ------
    ConfigError
        If no spread is known.
    """
    plan, (spreads, unknown) = study.power, spreads_of(study)
    if not spreads:
        raise ConfigError(
            "test_retest",
            f"nothing on {', '.join(unknown)}",
            "how much an outcome varies where nothing is done",
            "state it in test_retest, or call `petfmri compare` on first data",
        )
    parts = []
    for unit in ("%", "of the measure"):
        some = [spread for spread in spreads if spread.unit == unit]
        effects = plan.change_percent if unit == "%" else ()
        parts.append(
            power_table(some, design=study.design, n=plan.n, effects=effects, power=plan.power)
        )
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    couplings = coupling_power_table(plan.n, power=plan.power)
    folder = group_folder(study, "power")
    write_table(table, folder / "power.tsv", POWER_COLUMNS)
    write_table(couplings, folder / "couplings.tsv", COUPLING_COLUMNS)
    write_text(resolved(study), folder / "study.yaml")
    return table, couplings, unknown


def spreads_of(study: Study) -> tuple[list[Spread], list[str]]:
    """Find how much each outcome varies: declared or published, else observed, else simulated.

    Connectivity is not simulated: the simulator knows how it differs between people and how it is
    sampled in a scan, but not how it wanders from day to day, which is most of its noise.

    Returns
    -------
    spreads : list of Spread
    unknown : list of str
        Outcomes of which no spread is known.
    """
    wanted = [f"{study.pet.outcome}:{roi}" for roi in study.regions_of_interest]
    wanted += [metric.name for metric in METRICS]
    if study.primary:
        wanted.insert(0, study.primary)
    retest, found = declared_retest(study), []
    observed, simulated = _observed(study), {}
    for outcome in dict.fromkeys(wanted):
        noise = noise_of(outcome, retest, study.pet.tracer)
        if noise is None and outcome.startswith("suvr"):
            noise = noise_of(outcome.replace("suvr", "dvr", 1), retest, study.pet.tracer)
            noise = noise and replace(
                noise, source=f"of DVR, as none of SUVR is known; {noise.source}"
            )
        if noise is not None:
            unit = "%" if noise.percent else "of the measure"
            found.append(Spread(outcome, noise.sd, unit, noise.n, f"test-retest: {noise.source}"))
        elif outcome in observed:
            found.append(observed[outcome])
        else:
            simulated = simulated or _simulated(study)
            found += [simulated[outcome]] if outcome in simulated else []
    known = {spread.outcome for spread in found}
    return found, [outcome for outcome in dict.fromkeys(wanted) if outcome not in known]


def _observed(study: Study) -> dict[str, Spread]:
    """Take the spread of changes in this study, if it was compared; it holds what people differ in."""
    path = group_folder(study, "compare") / "changes.tsv"
    if study.design != "prepost" or not path.exists():
        return {}
    source = "changes observed in this study, which include how differently people respond"
    return _spreads(read_table(path), source)


def _simulated(study: Study) -> dict[str, Spread]:
    """Take the spread of a simulated test-retest study at table level."""
    from petfmri.commands.context import rois_of
    from petfmri.simulation.effects import Effects
    from petfmri.simulation.tables import simulate_tables
    from petfmri.statistics.families import Wanted
    from petfmri.statistics.prepost import compare

    regions, sessions = simulate_tables(SIMULATED, Effects.none(), seed=study.simulation.seed)
    result = compare(
        regions,
        sessions,
        Wanted(None),
        rois=rois_of(study, sorted(set(regions["region"]))),
        permutations=100,
    )
    source = (
        f"simulated test-retest of {SIMULATED} people, 2 % noise per region and session; published "
        "test-retest of SV2A PET is three to five times worse: state yours in test_retest"
    )
    return _spreads(result.changes, source)


def _spreads(changes: pd.DataFrame, source: str) -> dict[str, Spread]:
    found = {}
    for outcome, rows in changes.groupby("outcome"):
        pre, post = rows[["pre"]].to_numpy(float), rows[["post"]].to_numpy(float)
        ratio_scale = str(outcome).partition(":")[0].partition("_")[0] in (
            "suvr",
            "bpnd",
            "dvr",
            "vt",
        )
        values = percent_change(pre, post) if ratio_scale else post - pre
        if np.isfinite(values).all() and len(values) > 2 and values.std() > 0:
            unit = "%" if ratio_scale else "of the measure"
            sd = float(values.std(ddof=1))
            found[str(outcome)] = Spread(str(outcome), sd, unit, len(values), source)
    return found


def sentences(table: pd.DataFrame, couplings: pd.DataFrame) -> list[str]:
    """Say what the tables hold."""
    told = []
    for outcome, rows in table.groupby("outcome", sort=False):
        first, unit = rows.iloc[0], " %" if rows["unit"].iloc[0] == "%" else ""
        seen = rows[rows["question"] == "detectable"]
        needed = rows[rows["question"] == "needed"]
        text = f"{outcome} (SD {first['sd']:.3g}{unit}; {first['source']}): "
        text += ", ".join(
            f"n = {row.n} sees {row.effect:.3g}{unit}"
            if row.effect == row.effect
            else f"n = {row.n} is too few for its exact tests"
            for row in seen.itertuples()
        )
        for row in needed.itertuples():
            people = "more than 10,000" if pd.isna(row.n) else row.n
            text += f"; {row.effect:g}{unit} needs {people}"
        told.append(f"{text} ({100 * first['power']:.0f} % power, two-sided .05).")
    seen = ", ".join(
        f"n = {row.n} sees |r| = {row.r_detectable:.2f}" for row in couplings.itertuples()
    )
    return [*told, f"Correlations of changes: {seen}."]
