"""What stands beside a comparison: covariates, influence, baseline dependence, maps of change."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from petfmri.commands.context import atlas_of, group_folder
from petfmri.config import Study
from petfmri.config.pet import OUTCOMES
from petfmri.errors import Problem
from petfmri.networks.registry import NODAL
from petfmri.statistics.pairing import did_you_mean
from petfmri.statistics.prepost import Comparison
from petfmri.statistics.spatial_tables import cortex, spatial_rows
from petfmri.study.files import write_table

ADJUSTED_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "n": {"Description": "Persons with all covariates"},
    "covariates": {"Description": "What the change is adjusted for"},
    "change": {
        "Description": "Mean change where the covariates are zero (changes) or mean (others)"
    },
    "t": {"Description": "t statistic"},
    "df": {"Description": "Residual degrees of freedom"},
    "p": {"Description": "Two-sided sign-flip p (Freedman-Lane), uncorrected"},
    "p_fwe": {"Description": "Family-wise p by the largest |t|; missing in families of one"},
}
INFLUENCE_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "left_out": {"Description": "Person left out"},
    "change": {"Description": "Mean change of the others"},
    "t": {"Description": "Paired t of the others"},
    "p": {"Description": "Two-sided sign-flip p of the others"},
}
BASELINE_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "method": {
        "Description": "Oldham: correlation of change and average. Errors in variables: slope of the change on the true baseline"
    },
    "n": {"Description": "Persons"},
    "estimate": {"Description": "r or slope; 0 means no dependence on the baseline"},
    "low": {"Description": "Lower end of its 95 % interval"},
    "high": {"Description": "Upper end of its 95 % interval"},
    "p": {"Description": "Two-sided, uncorrected"},
}
SPATIAL_COLUMNS = {
    "x": {"Description": "Measure whose mean change per region is correlated"},
    "y": {"Description": "With the mean change of this nodal metric"},
    "n": {"Description": "Regions"},
    "r": {"Description": "Pearson correlation over regions"},
    "p": {"Description": "Two-sided, against maps with the same variogram; uncorrected"},
    "p_smallest": {"Description": "Smallest p that the number of surrogates allows"},
    "surrogates": {"Description": "Surrogate maps, the observed one included"},
}


WRITTEN = (
    *("comparisons", "changes", "couplings", "symptoms", "adjusted", "influence", "baseline"),
    *("spatial", "baseline_groups", "parcels", "connections", "edges", "edges_t", "components"),
    *("differences", "peaks", "voxels_t", "voxels_logpfwe", "voxels_logptfce"),
)
"""Tables and maps of any design."""


def forget(folder: Path) -> None:
    """Remove the results of an earlier call, of this design or another."""
    for name in WRITTEN:
        for ending in ("tsv", "json", "nii.gz"):
            (folder / f"{name}.{ending}").unlink(missing_ok=True)
    for path in folder.glob("edges_estimate_*.tsv"):  # one for each contrast of a crossover
        path.unlink()


def misnamed_retest(study: Study, sessions: pd.DataFrame) -> list[Problem]:
    """Find test-retest noise of what is no outcome."""
    known = {study.pet.outcome, *OUTCOMES, *map(str, sessions.columns)}
    return [
        Problem(f"test_retest: {name}", "no such outcome", "a measure", did_you_mean(name, known))
        for name in study.test_retest
        if name.partition(":")[0].removesuffix("_grey") not in known
    ]


def write_extras(
    study: Study, result: Comparison, regions: pd.DataFrame, sessions: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Write the tables beside the comparison; return couplings over regions, and what to tell."""
    folder = group_folder(study, "compare")
    spatial, notes = _spatial(study, regions, sessions)
    for table, name, columns in (
        (result.adjusted, "adjusted", ADJUSTED_COLUMNS),
        (result.influence, "influence", INFLUENCE_COLUMNS),
        (result.baseline, "baseline", BASELINE_COLUMNS),
        (spatial, "spatial", SPATIAL_COLUMNS),
    ):
        write_if_any(table, folder / f"{name}.tsv", columns)
    return spatial, [*notes, *_told(study, result)]


def write_if_any(table: pd.DataFrame, path: Path, columns: dict[str, dict[str, str]]) -> None:
    """Write a table with rows; remove what an earlier call left where there are none."""
    if table.empty:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    else:
        write_table(table, path, columns)


def _spatial(
    study: Study, regions: pd.DataFrame, sessions: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    atlas = atlas_of(study)
    if not set(regions["region"]) <= set(atlas.table["name"]):
        return pd.DataFrame(), []  # tables of another program, whose regions have no place here
    return spatial_rows(
        regions,
        sessions,
        cortex(regions, atlas.centres_mm()),
        measure=study.pet.outcome,
        nodal=[metric.name for metric in NODAL],
        seed=study.inference.seed,
    )


def _told(study: Study, result: Comparison) -> list[str]:
    """Say how baseline dependence, noise and influence were judged."""
    notes = []
    if study.baseline_dependence != "oldham":
        notes.append(f"Reliability: {study.baseline_dependence.source}.")
    if not result.baseline.empty:
        from petfmri.statistics.baseline import NAIVE

        notes.append(f"Baseline dependence is never judged by {NAIVE}.")
    for name, noise in study.test_retest.items():
        notes.append(
            f"Test-retest noise of {name}: SD {noise.sd:g} ({noise.unit}), {noise.source}."
        )
    held = result.comparisons.get("exceeds_noise")
    if held is not None and held.notna().any():
        notes.append(
            f"{int(held.sum())} of {int(held.notna().sum())} mean changes are larger than rescanning "
            "without treatment gives (exceeds_noise: outside the 95 % range of such means)."
        )
    if "p_loo" in result.comparisons:
        table = result.comparisons
        fragile = table[(table["p"] <= 0.05) & (table["p_loo"] > 0.05)]
        if len(fragile):
            notes.append(
                "Hang on one person (p above .05 without them): "
                + ", ".join(
                    f"{row.outcome} ({row.loo_person})" for row in fragile.head(10).itertuples()
                )
                + (f" and {len(fragile) - 10} more" if len(fragile) > 10 else "")
                + "."
            )
    return notes
