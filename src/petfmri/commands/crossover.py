"""`petfmri compare` of a crossover: treatment effects, as tables and one page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.commands.compare_extras import forget
from petfmri.commands.context import config_problems, group_folder, resolved, rois_of
from petfmri.commands.crossover_tables import (
    SessionMatrices,
    crossover_tables,
    session_matrices,
    study_connections,
)
from petfmri.commands.overview import write_overview
from petfmri.commands.stale import stale
from petfmri.commands.tables import network_columns
from petfmri.config import Study
from petfmri.errors import ConfigError, DatasetError, Problem
from petfmri.networks.comparability import incomparable
from petfmri.statistics.connections import ConnectionOutcomes, connection_notes
from petfmri.statistics.crossover import (
    CrossoverComparison,
    compare_crossover,
    contrast_table,
    contrasts_of,
)
from petfmri.statistics.crossover_design import Crossover, crossover_of
from petfmri.statistics.crossover_notes import gap_notes
from petfmri.statistics.families import Wanted
from petfmri.statistics.visits import Visits, visit_values
from petfmri.study.files import write_table, write_text

CONTRAST_COLUMNS = {
    "outcome": {"Description": "measure:region, measure, set:connection, or an edge"},
    "family": {"Description": "Outcomes that are corrected together"},
    "contrast": {
        "Description": "treatment: mean over all times after the dose; treatment at TIME; "
        "treatment x time: whether the effect differs between times"
    },
    "n": {"Description": "Persons in the mixed model"},
    "visits": {"Description": "Visits after the dose in the mixed model"},
    "mean_active": {"Description": "Mean over visits after the active treatment"},
    "mean_control": {"Description": "Mean over visits after the control"},
    "estimate": {"Description": "Active minus control, adjusted (REML)"},
    "se": {"Description": "Its standard error"},
    "df": {"Description": "Degrees of freedom (Satterthwaite); of F, those of the denominator"},
    "t": {"Description": "estimate over se"},
    "f": {"Description": "F of treatment x time"},
    "f_rank": {"Description": "Degrees of freedom of its numerator"},
    "p": {"Description": "Two-sided p of the mixed model, uncorrected"},
    "p_permutation": {"Description": "Two-sided p of sequences given anew, uncorrected"},
    "p_fwe": {
        "Description": "The same, family-wise by the largest |t| of this contrast over the "
        "family; missing in families of one"
    },
    "g": {
        "Description": "Hedges g: the effect in standard deviations of the persons' differences "
        "between treatments"
    },
    "g_low": {"Description": "Lower end of its 95 % interval (noncentral t)"},
    "g_high": {"Description": "Upper end of its 95 % interval (noncentral t)"},
    "variance_person": {"Description": "Variance between persons"},
    "variance_period": {"Description": "Variance between the periods of a person"},
    "variance_residual": {"Description": "Variance between visits of a period"},
    "boundary": {"Description": "Which of these variances is estimated as exactly 0"},
    "n_permuted": {"Description": "Persons in the permutation"},
    "p_smallest": {"Description": "Smallest p_permutation that they can attain"},
    "arrangements": {"Description": "Ways to give the sequences that were evaluated"},
    "exact": {"Description": "Whether these are all ways"},
    "detectable_g": {"Description": "Effect seen with 80 % power at two-sided .05"},
}
DIFFERENCE_COLUMNS = {
    "time": {"Description": "Time after the dose"},
    "difference": {"Description": "Active minus control of this person"},
}


@dataclass(frozen=True)
class Edges:
    """Every edge, tested.

    Attributes
    ----------
    passing : DataFrame
        Those with a family-wise p of at most .05 in any contrast.
    estimates : dict of contrast to DataFrame
        Matrices of the adjusted effect, Fisher z.
    notes : list of str
    """

    passing: pd.DataFrame
    estimates: dict[str, pd.DataFrame]
    notes: list[str]


def compare_crossover_study(study: Study) -> CrossoverComparison:
    """Compare, and write ``group/compare``."""
    ran = (group_folder(study) / "sessions.tsv").exists()
    problems = config_problems(study) + stale(study, "run") if ran else []
    if (group_folder(study, "quantify") / "study.yaml").exists():
        problems += stale(study, "quantify")
    if study.test_retest:
        problems.append(
            Problem(
                "test_retest",
                ", ".join(study.test_retest),
                "nothing: a crossover compares two treatments, and what rescanning alone gives is "
                "in both",
                "remove it; `petfmri power` alone reads it in a crossover",
            )
        )
    if problems:
        raise ConfigError.of(problems)
    assert study.crossover is not None
    regions, sessions = crossover_tables(study)
    unequal = incomparable(sessions, str(group_folder(study)))
    if unequal:
        raise DatasetError.of(unequal)
    active, control = study.crossover.treatments
    design = crossover_of(
        sessions, active=active, control=control, baseline=study.crossover.baseline
    )
    matrices = session_matrices(study, sessions)
    visits, wanted = _visits(study, regions, sessions)
    told: list[str] = []
    more: dict[str, list[str]] = {}
    found = study_connections(study, matrices)
    if found is not None:
        visits, more = _with_connections(visits, found[0])
        told = [*found[1], *connection_notes(more)]
    chance = {"permutations": study.inference.permutations, "seed": study.inference.seed}
    result = compare_crossover(visits, design, wanted, more=more, **chance)
    edges = None
    if matrices is not None and study.edges.test:
        edges = tested_edges(matrices, design, **chance)
    notes = [*result.notes, *told, *(edges.notes if edges else [])]
    result = CrossoverComparison(result.comparisons, result.differences, tuple(notes))
    _write(study, result, edges, design, regions)
    return result


def _visits(
    study: Study, regions: pd.DataFrame | None, sessions: pd.DataFrame
) -> tuple[Visits, Wanted]:
    """Gather what was measured: PET where there is any, network metrics, the symptom score."""
    outcome = study.pet.outcome
    has_pet = regions is not None and outcome in regions and regions[outcome].notna().any()
    known = [] if regions is None else sorted(set(regions["network"].dropna().astype(str)))
    rois = list(study.regions_of_interest)
    wanted = Wanted(
        study.primary or None,
        (outcome,) if has_pet else (),
        network_columns(sessions, known, rois),
        network_columns(sessions, known, rois, "detail"),
        study.symptoms.score if study.symptoms and study.symptoms.score in sessions else None,
    )
    members = {} if regions is None else rois_of(study, sorted(set(regions["region"].astype(str))))
    visits = visit_values(
        regions,
        sessions,
        rois=members,
        measures=wanted.measures,
        metrics=[name for name in wanted.metrics(sessions) if name in sessions],
    )
    return visits, wanted


def _with_connections(
    visits: Visits, found: ConnectionOutcomes
) -> tuple[Visits, dict[str, list[str]]]:
    both = Visits(
        np.hstack([visits.values, found.visits.values]),
        pd.concat([visits.outcomes, found.visits.outcomes]),
    )
    return both, found.families


def tested_edges(
    matrices: SessionMatrices, design: Crossover, *, permutations: int, seed: int
) -> Edges:
    """Test every edge by the same models and permutations.

    Parameters
    ----------
    matrices : SessionMatrices
    design : Crossover
    permutations, seed : int
    """
    values, rows, columns = matrices.edges
    names = np.array(matrices.parcels)
    labels = [f"{a} to {b}" for a, b in zip(names[rows], names[columns], strict=True)]
    found = contrasts_of(values, design, permutations=permutations, seed=seed)
    table = contrast_table(found, labels, values, design, family="edges")
    estimates = {}
    for number, contrast in enumerate(found.names[:-1]):
        matrix = np.full((len(names), len(names)), np.nan)
        matrix[rows, columns] = matrix[columns, rows] = found.mixed.estimate[number]
        whole = pd.DataFrame(matrix, columns=matrices.parcels)
        whole.insert(0, "name", matrices.parcels)
        estimates[contrast] = whole
    told = []
    for contrast in found.names[:-1]:
        tested = table[(table["contrast"] == contrast) & table["p_fwe"].notna()]
        if len(tested):
            told.append(
                f"{contrast}: {int((tested['p_fwe'] <= 0.05).sum())} of {len(tested):,} edges, "
                f"smallest family-wise p {tested['p_fwe'].min():.2g}"
            )
    note = f"Edges (Fisher z) with family-wise p of at most .05: {'; '.join(told)}."
    passing = table[table["p_fwe"] <= 0.05].sort_values("p_fwe", kind="stable")
    gaps = gap_notes({"edges": found.rests_in(table)}, design)
    return Edges(passing.reset_index(drop=True), estimates, [*([note] if told else []), *gaps])


def _write(
    study: Study,
    result: CrossoverComparison,
    edges: Edges | None,
    design: Crossover,
    regions: pd.DataFrame | None,
) -> None:
    from petfmri.reports.crossover_page import crossover_page, verdict

    folder = group_folder(study, "compare")
    folder.mkdir(parents=True, exist_ok=True)
    forget(folder)
    write_table(result.comparisons, folder / "comparisons.tsv", CONTRAST_COLUMNS)
    write_table(result.differences, folder / "differences.tsv", DIFFERENCE_COLUMNS)
    if edges is not None:
        if not edges.passing.empty:
            write_table(edges.passing, folder / "edges.tsv", CONTRAST_COLUMNS)
        for contrast, matrix in edges.estimates.items():
            name = contrast.replace(" ", "_")
            write_table(matrix, folder / f"edges_estimate_{name}.tsv")
    write_text("\n".join(result.notes) + "\n", folder / "notes.txt")
    write_text(resolved(study), folder / "study.yaml")
    said = verdict(result.comparisons, design)
    write_text(said + "\n", folder / "verdict.txt")
    crossover_page(
        result,
        design,
        study=study.name,
        edges=None if edges is None else edges.passing,
        matrix=None if edges is None else _main(edges),
        networks=None if regions is None else _networks(regions),
    ).save(folder / "compare.html")
    if (group_folder(study) / "sessions.tsv").exists():
        write_overview(study)


def _main(edges: Edges) -> pd.DataFrame:
    return edges.estimates["treatment"].set_index("name")


def _networks(regions: pd.DataFrame) -> pd.Series[str]:
    """Network of every region, for figures."""
    table = regions.drop_duplicates("region").set_index("region")
    return table["network"].astype(str)
