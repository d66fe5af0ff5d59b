"""`petfmri compare`: what changed from pre to post, as tables and one page."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from petfmri.commands.compare_arms import compare_parallel
from petfmri.commands.compare_extras import forget, misnamed_retest, write_extras
from petfmri.commands.compare_levels import Levels, level_sections, levels_of
from petfmri.commands.connections import ConnectionChanges, compare_connections
from petfmri.commands.context import (
    config_problems,
    group_folder,
    petprep_curves,
    resolved,
    rois_of,
)
from petfmri.commands.crossover import compare_crossover_study
from petfmri.commands.overview import write_overview
from petfmri.commands.retest import declared_retest
from petfmri.commands.stale import stale
from petfmri.commands.tables import network_columns, read_group_tables
from petfmri.config import Study, Symptoms, load_study
from petfmri.errors import ConfigError, DatasetError
from petfmri.networks.comparability import incomparable
from petfmri.statistics.arms import ArmComparison
from petfmri.statistics.crossover import CrossoverComparison
from petfmri.statistics.families import Wanted
from petfmri.statistics.prepost import Comparison
from petfmri.statistics.prepost import compare as compare_tables
from petfmri.study.files import write_table, write_text
from petfmri.study.tables import symptom_change

COMPARISON_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "family": {"Description": "Outcomes that are corrected together"},
    "n": {"Description": "Persons with both sessions"},
    "mean_pre": {"Description": "Mean before"},
    "mean_post": {"Description": "Mean after"},
    "change": {"Description": "Mean of post minus pre"},
    "percent": {"Description": "Mean over persons of 100 (post - pre) / pre", "Units": "%"},
    "sd_change": {"Description": "Standard deviation of the changes"},
    "g": {
        "Description": "Hedges g of the paired change: mean over standard deviation of the change, corrected for small n"
    },
    "g_low": {"Description": "Lower end of its 95 % interval (noncentral t)"},
    "g_high": {"Description": "Upper end of its 95 % interval (noncentral t)"},
    "t": {"Description": "Paired t"},
    "p": {"Description": "Two-sided sign-flip p, uncorrected"},
    "p_fwe": {"Description": "Family-wise p by the largest |t|; missing in families of one"},
    "p_fdr": {"Description": "False discovery rate (Benjamini-Hochberg) within the family"},
    "n_rise": {"Description": "Persons whose value rose"},
    "n_fall": {"Description": "Persons whose value fell"},
    "p_smallest": {"Description": "Smallest p that this n can attain"},
    "arrangements": {"Description": "Sign flips evaluated"},
    "exact": {"Description": "Whether these are all sign flips"},
    "detectable_g": {"Description": "Effect seen with 80 % power at two-sided .05"},
    "detectable_percent": {"Description": "The same as a percent change", "Units": "%"},
    "p_loo": {"Description": "Largest p when one person is left out"},
    "loo_person": {"Description": "Who that person is"},
    "noise_sd": {"Description": "SD over persons of the change without treatment"},
    "noise_unit": {"Description": "Its unit: percent of the first scan, or that of the measure"},
    "exceeds_noise": {
        "Description": "Whether the mean change exceeds what rescanning n persons without treatment gives"
    },
    "n_beyond_noise": {
        "Description": "Persons whose change is outside the 95 % range of rescanning"
    },
}
COUPLING_COLUMNS = {
    "x": {"Description": "Outcome whose change is correlated"},
    "y": {"Description": "With the change of this one"},
    "family": {"Description": "Pairs that are corrected together"},
    "method": {
        "Description": "pearson; spearman: of ranks; partial: beside these covariates; repeated measures: within persons, where a change that everybody shares counts, too"
    },
    "n": {"Description": "Persons who have both"},
    "r": {"Description": "Correlation of the changes over persons"},
    "r_low": {"Description": "Lower end of its 95 % interval (Fisher z)"},
    "r_high": {"Description": "Upper end of its 95 % interval (Fisher z)"},
    "p": {"Description": "Two-sided permutation p, uncorrected"},
    "p_fwe": {"Description": "Family-wise p by the largest |r|, within each method"},
    "p_smallest": {"Description": "Smallest p that this n can attain"},
    "arrangements": {"Description": "Permutations evaluated"},
    "exact": {"Description": "Whether these are all permutations"},
    "r_critical": {"Description": "|r| that reaches p = .05"},
    "r_detectable": {"Description": "True r seen with 80 % power"},
}
SYMPTOM_COLUMNS = {
    "pre": {"Description": "Score before"},
    "post": {"Description": "Score after"},
    "change": {"Description": "post minus pre"},
    "fall_percent": {"Description": "100 (pre - post) / pre", "Units": "%"},
    "response": {"Description": "Whether the fall reaches symptoms.response_percent"},
    "remission": {"Description": "Whether the score after is at most symptoms.remission"},
}


def main(arguments: argparse.Namespace) -> int:
    """Compare the study of `arguments.study`."""
    study = load_study(arguments.study)
    compare(study)
    print(f"Written to {group_folder(study, 'compare')}: tables, notes.txt and compare.html")
    return 0


def compare(study: Study) -> Comparison | ArmComparison | CrossoverComparison:
    """Compare, and write ``group/compare``."""
    if study.crossover is not None:
        return compare_crossover_study(study)
    regions, sessions = tables_of(study)
    labels, rois = sorted(set(regions["network"].dropna())), list(study.regions_of_interest)
    unequal = incomparable(sessions, str(group_folder(study) / "sessions.tsv"))
    unequal += misnamed_retest(study, sessions)
    if unequal:
        raise DatasetError.of(unequal)
    symptom = _symptom(study, sessions)
    wanted = Wanted(
        study.primary,
        (study.pet.outcome,),
        network_columns(sessions, labels, rois),
        network_columns(sessions, labels, rois, "detail"),
        symptom,
    )
    if study.design == "parallel":
        return compare_parallel(study, regions, sessions, wanted)
    result = compare_tables(
        regions,
        sessions,
        wanted,
        rois=rois_of(study, sorted(set(regions["region"]))),
        tracer=study.pet.tracer,
        covariates=study.covariates,
        retest=declared_retest(study),
        reliability=None
        if study.baseline_dependence == "oldham"
        else study.baseline_dependence.reliability,
        permutations=study.inference.permutations,
        seed=study.inference.seed,
    )
    folder = group_folder(study, "compare")
    forget(folder)
    write_table(result.comparisons, folder / "comparisons.tsv", COMPARISON_COLUMNS)
    write_table(result.changes, folder / "changes.tsv", COMPARISON_COLUMNS)
    if not result.couplings.empty:
        write_table(result.couplings, folder / "couplings.tsv", COUPLING_COLUMNS)
    levels = levels_of(study, result, regions, sessions)
    spatial, told = write_extras(study, result, regions, sessions)
    result = replace(result, notes=(*result.notes, *told))
    write_text("\n".join((*result.notes, *levels.notes)) + "\n", folder / "notes.txt")
    write_text(resolved(study), folder / "study.yaml")
    responders = _got_better(study.symptoms, sessions, folder) if study.symptoms and symptom else ""
    _page(study, result, levels, spatial, responders, compare_connections(study, sessions))
    return result


def _symptom(study: Study, sessions: pd.DataFrame) -> str | None:
    """Return the symptom score that is compared, if any."""
    symptom = study.symptoms.score if study.symptoms else None
    if symptom and (petprep_curves(study) or study.derivatives.kinpar):
        print("warning: symptoms are not compared with tables of another tool.", file=sys.stderr)
        return None
    if symptom and symptom not in sessions:
        raise DatasetError(
            str(group_folder(study) / "sessions.tsv"),
            f"no column {symptom}",
            "the symptom score of the study",
            "correct symptoms: score, and call `petfmri run` again",
        )
    return symptom


def _got_better(rules: Symptoms, sessions: pd.DataFrame, folder: Path) -> str:
    """Write how the symptoms of everybody changed, and say how many got better."""
    people = symptom_change(
        sessions, rules.score, response_percent=rules.response_percent, remission=rules.remission
    )
    write_table(people, folder / "symptoms.tsv", SYMPTOM_COLUMNS)
    return _responders(rules, people)


def tables_of(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the tables of a run, or make them of PETPrep's time-activity curves.

    Raises
    ------
    ConfigError
        If names refer to nothing, or the tables were made with other settings.
    """
    if study.derivatives.kinpar is not None:
        from petfmri.commands.kinpar import kinpar_tables

        return kinpar_tables(study, study.derivatives.kinpar)
    from_tables = petprep_curves(study) is not None
    if from_tables and study.pet.model == "SUVR":
        from petfmri.commands.petprep import petprep_scans, petprep_tables

        return petprep_tables(study, petprep_scans(study))
    problems = [] if from_tables else config_problems(study) + stale(study, "run")
    if study.pet.model != "SUVR" or study.pet.pvc != "none":
        problems += stale(study, "quantify")
    if problems:
        raise ConfigError.of(problems)
    return read_group_tables(study, study.pet.outcome)


def _responders(rules: Symptoms, people: pd.DataFrame) -> str:
    """Say how many got better, by the declared rules."""
    known = people["response"].dropna()
    if known.empty:
        return ""
    text = (
        f"Response (a fall of at least {rules.response_percent:g} %): "
        f"{int(known.sum())} of {len(known)}."
    )
    if rules.remission is not None:
        ended = people["remission"].dropna()
        text += (
            f" Remission (a score of at most {rules.remission:g}): "
            f"{int(ended.sum())} of {len(ended)}."
        )
    return text


def _page(
    study: Study,
    result: Comparison,
    levels: Levels,
    spatial: pd.DataFrame,
    responders: str,
    connections: ConnectionChanges | None,
) -> None:
    from petfmri.reports.compare_page import compare_page, verdict
    from petfmri.reports.connections_section import connections_section
    from petfmri.reports.extras_page import extras_sections

    folder = group_folder(study, "compare")
    page = compare_page(
        result.comparisons,
        result.changes,
        result.couplings,
        study=study.name,
        notes=result.notes,
        primary=study.primary,
        responders=responders,
        matrices=levels.matrices.means() if levels.matrices else None,
    )
    extras_sections(page, result.comparisons, result.adjusted, result.baseline, spatial)
    level_sections(page, levels)
    if connections is not None:
        connections_section(page, connections.table, connections.notes)
    page.save(folder / "compare.html")
    write_text(verdict(result.comparisons) + "\n", folder / "verdict.txt")
    write_overview(study)
