"""What changed between the session before and the session after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics import caveats
from petfmri.statistics.adjusted import adjusted_rows
from petfmri.statistics.baseline import errors_in_variables, oldham
from petfmri.statistics.coupling_tables import couple
from petfmri.statistics.covariates import Covariates, change_covariates
from petfmri.statistics.effects import (
    MIN_PERSONS,
    detectable_effect,
    paired_effects,
    varies,
)
from petfmri.statistics.families import DETAILED, OF_ONE, Wanted, families
from petfmri.statistics.influence import leave_one_out, most_influential
from petfmri.statistics.pairing import (
    CompleteCases,
    Paired,
    change_rows,
    complete_cases,
    described,
    pair_outcomes,
)
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.retest import Retest, retest_columns
from petfmri.typing import BoolArray


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`: tables that are written as they are.

    Attributes
    ----------
    comparisons : DataFrame
        One row per outcome: outcome measure region network family n mean_pre mean_post change
        percent sd_change g g_low g_high t p p_fwe p_fdr n_rise n_fall p_smallest arrangements
        exact detectable_g detectable_percent p_loo loo_person, and, where test-retest noise is
        known, noise_sd noise_unit exceeds_noise n_beyond_noise.
    changes : DataFrame
        One row per person and outcome: participant_id outcome pre post change percent.
    couplings : DataFrame
        One row per pair of changes: x y family method n r r_low r_high p p_fwe p_smallest
        arrangements exact r_critical r_detectable. Empty when there is nothing to couple.
    notes : tuple of str
        What a reader must know, in sentences.
    adjusted : DataFrame
        One row per outcome: the change beside covariates (see `adjusted_rows`). Empty without.
    influence : DataFrame
        One row per outcome, but for single regions and networks, and person left out (see
        `leave_one_out`).
    baseline : DataFrame
        One row per outcome, but for single regions and networks: outcome method n estimate low
        high p, of the dependence of the change on the baseline.
    """

    comparisons: pd.DataFrame
    changes: pd.DataFrame
    couplings: pd.DataFrame
    notes: tuple[str, ...]
    adjusted: pd.DataFrame
    influence: pd.DataFrame
    baseline: pd.DataFrame


@dataclass(frozen=True)
class _Method:
    permutations: int
    seed: int
    retest: Mapping[str, Retest]
    tracer: str | None
    reliability: float | None


def compare(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    wanted: Wanted,
    *,
    rois: Mapping[str, Sequence[str]] | None = None,
    tracer: str | None = None,
    covariates: Sequence[str] = (),
    retest: Mapping[str, Retest] | None = None,
    reliability: float | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> Comparison:
    """Compare two sessions within persons.

    Every outcome belongs to one family. The primary outcome, the global grey matter (such as ``suvr_grey``)
    and the symptom score are families of one and stay uncorrected; regions of interest, regions
    (each per measure) and network metrics are corrected within their family by the largest |t| of
    the sign-flip distribution. Within a family all outcomes share the same persons; what is left
    out is named in the notes.

    Parameters
    ----------
    regions : DataFrame or None
        ``group/regions.tsv``; None when there is no regional table.
    sessions : DataFrame
        ``group/sessions.tsv`` with role pre or post.
    wanted : Wanted
        The outcomes.
    rois : mapping of name to region names
    tracer : str, optional
        Whose published test-retest noise changes are held against.
    covariates : sequence of str
        Columns of `sessions`, or of `regions` (see `change_covariates`).
    retest : mapping of outcome or measure to Retest, optional
        Test-retest noise; it goes before what is published.
    reliability : float, optional
        Of all outcomes: the dependence of the change on the baseline is then estimated by errors
        in variables, else by Oldham's correlation.
    permutations, seed : int
        For what is too large to enumerate.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the primary outcome or a covariate is unknown.
    StatisticsError
        If it cannot be tested, or as `pair_outcomes`.
    """
    method = _Method(permutations, seed, retest or {}, tracer, reliability)
    beside = [name for name in covariates if regions is not None and name in regions]
    paired = pair_outcomes(
        regions,
        sessions,
        rois=rois,
        measures=[*wanted.measures, *(name for name in beside if name not in wanted.measures)],
        metrics=wanted.metrics(sessions),
    )
    adjusting = change_covariates(covariates, paired.sessions, beside)
    notes = [*caveats.design(paired, covariates), *adjusting.notes]
    parts = []
    for (family, label), outcomes in families(paired, wanted).items():
        case = complete_cases(paired, outcomes)
        part, told = _test(case, family, label, method)
        notes += told
        if part is not None:
            parts.append(part)
            rows, told = _adjusted(part, paired, adjusting, family, method)
            part.adjusted = rows
            notes += [note for note in told if note not in notes]
    comparisons = described(_joined([part.table for part in parts]), paired)
    couplings, told = _couplings(comparisons, paired, wanted, adjusting.values, method)
    notes += told
    notes += caveats.inference(comparisons, couplings, seed)
    notes += caveats.measurement(
        comparisons, paired, tracer, declared=bool(retest), covariates=covariates
    )
    return Comparison(
        comparisons,
        _joined([part.changes for part in parts]),
        couplings,
        tuple(notes),
        adjusted=_joined([part.adjusted for part in parts]),
        influence=_joined([part.influence for part in parts]),
        baseline=_joined([part.baseline for part in parts]),
    )


@dataclass
class _Part:
    """The tables of one family."""

    case: CompleteCases
    table: pd.DataFrame
    changes: pd.DataFrame
    influence: pd.DataFrame
    baseline: pd.DataFrame
    adjusted: pd.DataFrame


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _test(
    case: CompleteCases, family: str, label: str, method: _Method
) -> tuple[_Part | None, list[str]]:
    """Effects and permutation p of one family, and what had to be left out of it."""
    notes = caveats.left_out(case, label)
    moving = (
        varies(case.pre, case.post)
        if len(case.persons) >= MIN_PERSONS and case.outcomes
        else np.zeros(len(case.outcomes), dtype=bool)
    )
    if not moving.any():
        reason = _why_not(case, moving)
        if family == "primary":
            raise StatisticsError(
                f"primary outcome {[*case.outcomes, *case.lost_outcomes][0]}",
                reason,
                f"at least {MIN_PERSONS} persons whose values differ in their change",
                "check the tables, or declare another primary outcome",
            )
        return None, [*notes, f"No test of {label}: {reason}."]
    still = [name for name, moves in zip(case.outcomes, moving) if not moves]
    if still:
        notes.append(
            f"Left out of {label} because every person changes alike (a region that is its own "
            f"reference does): {', '.join(still)}."
        )
    kept = replace(
        case,
        outcomes=[name for name, moves in zip(case.outcomes, moving) if moves],
        pre=case.pre[:, moving],
        post=case.post[:, moving],
    )
    without = leave_one_out(
        kept.pre,
        kept.post,
        kept.persons,
        kept.outcomes,
        permutations=method.permutations,
        seed=method.seed,
    )
    table = _rows(kept, family, method)
    if not without.empty:
        worst = most_influential(without).reindex(kept.outcomes)
        table["p_loo"], table["loo_person"] = worst["p_loo"].values, worst["loo_person"].values
    detailed = family in DETAILED
    part = _Part(
        kept,
        table,
        change_rows(kept),
        without.iloc[:0] if detailed else without,
        pd.DataFrame() if detailed else _baseline(kept, method),
        pd.DataFrame(),
    )
    return part, notes


def _rows(case: CompleteCases, family: str, method: _Method) -> pd.DataFrame:
    effects = paired_effects(case.pre, case.post)
    flips = sign_flip(case.post - case.pre, permutations=method.permutations, seed=method.seed)
    seen = detectable_effect(effects.n)
    alone = family in OF_ONE
    table = pd.DataFrame(
        {
            "outcome": case.outcomes,
            "family": family,
            "n": effects.n,
            "mean_pre": effects.mean_pre,
            "mean_post": effects.mean_post,
            "change": effects.change,
            "percent": effects.percent,
            "sd_change": effects.sd_change,
            "g": effects.g,
            "g_low": effects.g_low,
            "g_high": effects.g_high,
            "t": effects.t,
            "p": flips.p,
            "p_fwe": np.nan if alone else flips.p_fwe,
            "p_fdr": np.nan if alone else flips.p_fdr,
            "n_rise": effects.n_rise,
            "n_fall": effects.n_fall,
            "p_smallest": flips.p_smallest,
            "arrangements": flips.arrangements,
            "exact": flips.exact,
            "detectable_g": seen,
            "detectable_percent": seen * effects.sd_percent,
        }
    )
    noise = retest_columns(case.outcomes, case.pre, case.post, method.retest, method.tracer)
    return pd.concat([table, noise], axis=1)


def _baseline(case: CompleteCases, method: _Method) -> pd.DataFrame:
    """How much the change depends on the baseline; nothing with too few persons."""
    if len(case.persons) <= MIN_PERSONS:
        return pd.DataFrame()
    if method.reliability is not None:
        found = errors_in_variables(case.pre, case.post, method.reliability)
    else:
        found = oldham(case.pre, case.post, permutations=method.permutations, seed=method.seed)
    return pd.DataFrame(
        {
            "outcome": case.outcomes,
            "method": found.method,
            "n": found.n,
            "estimate": found.estimate,
            "low": found.low,
            "high": found.high,
            "p": found.p,
        }
    )


def _adjusted(
    part: _Part, paired: Paired, covariates: Covariates, family: str, method: _Method
) -> tuple[pd.DataFrame, list[str]]:
    """Test one family beside the covariates, where there are any."""
    if covariates.values.empty and not covariates.own:
        return pd.DataFrame(), []
    return adjusted_rows(
        part.case,
        paired,
        covariates,
        alone=family in OF_ONE,
        permutations=method.permutations,
        seed=method.seed,
    )


def _why_not(case: CompleteCases, moving: BoolArray) -> str:
    if len(case.persons) < MIN_PERSONS:
        return f"{len(case.persons)} persons with both sessions"
    if not len(moving):
        return "no outcome that every person has"
    return "the same change in every person"


def _couplings(
    comparisons: pd.DataFrame,
    paired: Paired,
    wanted: Wanted,
    covariates: pd.DataFrame,
    method: _Method,
) -> tuple[pd.DataFrame, list[str]]:
    """Couple SV2A, network and symptom changes with one another; single regions and networks stay out."""
    coarse = ~comparisons["family"].isin(["regions", "network details"])
    tested = comparisons.loc[coarse, "outcome"]
    starts = tuple(end for measure in wanted.measures for end in (f"{measure}:", f"{measure}_grey"))
    sv2a = [name for name in tested if name.startswith(starts)]
    symptoms = [name for name in tested if name == wanted.symptom]
    network = [name for name in tested if name not in {*sv2a, *symptoms}]
    tables, notes = [], []
    for family, x, y in (
        ("SV2A with networks", sv2a, network),
        ("SV2A with symptoms", sv2a, symptoms),
        ("networks with symptoms", network, symptoms),
    ):
        if x and y:
            table, told = couple(
                paired,
                x,
                y,
                keep=wanted.primary,
                covariates=covariates,
                permutations=method.permutations,
                seed=method.seed,
            )
            notes += [f"{family}: {note}" for note in told]
            if table is not None:
                table.insert(2, "family", family)
                tables.append(table)
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()), notes
