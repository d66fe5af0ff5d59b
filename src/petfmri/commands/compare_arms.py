"""`petfmri compare` for `design: parallel`: two arms, or patients and controls."""

from __future__ import annotations

import pandas as pd

from petfmri.commands.compare_extras import forget, write_if_any
from petfmri.commands.context import group_folder, resolved, rois_of
from petfmri.commands.overview import write_overview
from petfmri.config import Study
from petfmri.errors import ConfigError
from petfmri.statistics.arms import ArmComparison, compare_arms
from petfmri.statistics.families import Wanted
from petfmri.study.files import write_text

ARM_COLUMNS = {
    "outcome": {"Description": "measure:region or measure"},
    "family": {"Description": "Outcomes that are corrected together"},
    "n_active": {"Description": "Persons in the arm of interest"},
    "n_control": {"Description": "Persons in the control arm"},
    "mean_active": {"Description": "Mean change (or value at baseline) in the arm of interest"},
    "mean_control": {"Description": "Mean change (or value at baseline) in the control arm"},
    "difference": {"Description": "mean_active minus mean_control"},
    "g": {
        "Description": "Hedges g between groups: difference over pooled SD, corrected for small n"
    },
    "g_low": {"Description": "Lower end of its 95 % interval (noncentral t)"},
    "g_high": {"Description": "Upper end of its 95 % interval (noncentral t)"},
    "t": {"Description": "Two-sample t"},
    "p": {"Description": "Two-sided p by giving out the arms anew, uncorrected"},
    "p_fwe": {"Description": "Family-wise p by the largest |t|; missing in families of one"},
    "p_fdr": {"Description": "False discovery rate (Benjamini-Hochberg) within the family"},
    "p_smallest": {"Description": "Smallest p that these groups can attain"},
    "arrangements": {"Description": "Assignments evaluated"},
    "exact": {"Description": "Whether these are all"},
    "detectable_g": {"Description": "Difference seen with 80 % power at two-sided .05, SD"},
    "adjusted_for": {"Description": "Covariates of the adjusted difference"},
    "difference_adjusted": {
        "Description": "Difference in change of persons with the same covariates"
    },
    "p_adjusted": {"Description": "Its two-sided permutation p (Freedman-Lane)"},
    "p_fwe_adjusted": {"Description": "Its family-wise p"},
    "p_smallest_adjusted": {"Description": "The smallest p that its random orders allow"},
    "arrangements_adjusted": {"Description": "Random orders evaluated for it"},
}


def compare_parallel(
    study: Study,
    regions: pd.DataFrame,
    sessions: pd.DataFrame,
    wanted: Wanted,
) -> ArmComparison:
    """Compare the arms, and write ``group/compare``.

    Raises
    ------
    ConfigError
        If the study names no arms.
    """
    if study.arms is None:
        raise ConfigError("arms", "nothing", "active and control", "name the two arms")
    result = compare_arms(
        regions,
        sessions,
        wanted,
        active=study.arms.active,
        control=study.arms.control,
        rois=rois_of(study, sorted(set(regions["region"]))),
        covariates=study.covariates,
        strata=study.arms.strata,
        permutations=study.inference.permutations,
        seed=study.inference.seed,
    )
    from petfmri.reports.arms_page import arms_page, arms_verdict

    folder, arms = group_folder(study, "compare"), (study.arms.active, study.arms.control)
    forget(folder)
    notes = [*result.notes, *_unused(study)]
    write_if_any(result.comparisons, folder / "comparisons.tsv", ARM_COLUMNS)
    write_if_any(result.changes, folder / "changes.tsv", ARM_COLUMNS)
    write_if_any(result.baseline, folder / "baseline_groups.tsv", ARM_COLUMNS)
    write_text("\n".join(notes) + "\n", folder / "notes.txt")
    write_text(resolved(study), folder / "study.yaml")
    tables = (result.comparisons, result.changes, result.baseline)
    page = arms_page(*tables, study=study.name, notes=notes, arms=arms)
    page.save(folder / "compare.html")
    verdict = arms_verdict(result.comparisons, result.baseline, arms)
    write_text(verdict + "\n", folder / "verdict.txt")
    write_overview(study)
    return result


def _unused(study: Study) -> list[str]:
    """Say which settings and levels serve other designs."""
    notes = ["Edges and voxels are not compared between arms."]
    if study.test_retest or study.baseline_dependence != "oldham":
        notes.append(
            "test_retest and baseline_dependence serve comparisons of before and after; between arms "
            "the control arm shows what rescanning gives, and the adjusted difference allows for the "
            "baseline."
        )
    return notes
