"""What changed between the session before and the session after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.errors import InputError, StatisticsError
from petfmri.statistics import caveats
from petfmri.statistics.coupling import couple
from petfmri.statistics.effects import (
    MIN_PERSONS,
    detectable_effect,
    paired_effects,
    percent_change,
    varies,
)
from petfmri.statistics.pairing import (
    CompleteCases,
    Paired,
    complete_cases,
    did_you_mean,
    pair_outcomes,
)
from petfmri.statistics.permutation import sign_flip
from petfmri.typing import BoolArray, FloatArray

OF_ONE = ("primary", "global", "symptoms")
"""Families of one outcome, where there is nothing to correct for."""


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`: tables that are written as they are.

    Attributes
    ----------
    comparisons : DataFrame
        One row per outcome: outcome measure region network family n mean_pre mean_post change
        percent sd_change g g_low g_high t p p_fwe n_rise n_fall p_smallest arrangements exact
        detectable_g detectable_percent.
    changes : DataFrame
        One row per person and outcome: participant_id outcome pre post change percent.
    couplings : DataFrame
        One row per pair of changes: x y family method n r r_low r_high p p_fwe p_smallest
        arrangements exact r_critical r_detectable. Empty when there is nothing to couple.
    notes : tuple of str
        What a reader must know, in sentences.
    """

    comparisons: pd.DataFrame
    changes: pd.DataFrame
    couplings: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Chance:
    permutations: int
    seed: int


def compare(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    *,
    primary: str | None,
    rois: Mapping[str, Sequence[str]] | None = None,
    measures: Sequence[str] = ("suvr",),
    networks: Sequence[str] = (),
    network_details: Sequence[str] = (),
    symptom: str | None = None,
    tracer: str | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> Comparison:
    """Compare two sessions within persons.

    Every outcome belongs to one family. `primary`, the global grey matter (such as ``suvr_grey``)
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
    primary : str or None
        The one outcome that was declared before looking: ``measure:region``, ``measure:roi`` or a
        column of `sessions`. None if it is none of these tables.
    rois : mapping of name to region names
    measures : sequence of str
        Columns of `regions`.
    networks : sequence of str
        Columns of `sessions` that hold network metrics.
    network_details : sequence of str
        Those of single networks and pairs of networks: a family of their own.
    symptom : str, optional
        Column of `sessions` that holds the symptom score.
    tracer : str, optional
        Which tracer's test-retest noise the notes quote.
    permutations, seed : int
        For what is too large to enumerate.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        If the primary outcome is unknown.
    StatisticsError
        If it cannot be tested, or as `pair_outcomes`.
    """
    chance = _Chance(permutations, seed)
    everywhere = [name for name in (f"{measure}_grey" for measure in measures) if name in sessions]
    wanted = [*networks, *network_details, *everywhere, symptom, primary]
    metrics = [name for name in dict.fromkeys(wanted) if name and (":" not in name)]
    if primary in metrics and primary not in sessions:
        metrics.remove(primary)
    paired = pair_outcomes(regions, sessions, rois=rois, measures=measures, metrics=metrics)
    if primary is not None:
        _check_primary(primary, paired)
    notes = caveats.design(paired)
    tables, changes = [], []
    for (family, label), outcomes in _families(
        paired, primary, measures, networks, network_details, symptom
    ).items():
        case = complete_cases(paired, outcomes)
        table, told = _test(case, family, label, chance)
        notes += told
        if table is not None:
            tables.append(table)
            changes.append(_changes(case, list(table["outcome"])))
    comparisons = _described(pd.concat(tables, ignore_index=True), paired)
    couplings, told = _couplings(comparisons, paired, primary, measures, symptom, chance)
    notes += told
    notes += caveats.inference(comparisons, couplings, chance.seed)
    notes += caveats.measurement(comparisons, paired, tracer)
    return Comparison(comparisons, pd.concat(changes, ignore_index=True), couplings, tuple(notes))


def _check_primary(primary: str, paired: Paired) -> None:
    if primary not in paired.outcomes.index:
        raise InputError(
            f"primary outcome {primary}",
            "no such outcome",
            "measure:region, measure:roi or a column of the sessions table",
            did_you_mean(primary, paired.outcomes.index),
        )


def _families(
    paired: Paired,
    primary: str | None,
    measures: Sequence[str],
    networks: Sequence[str],
    network_details: Sequence[str],
    symptom: str | None,
) -> dict[tuple[str, str], list[str]]:
    """Outcomes by (family, label); an outcome is in the first family that claims it."""
    claims: dict[tuple[str, str], Sequence[str]] = {
        ("primary", "primary"): [primary] if primary else []
    }
    everywhere = [f"{measure}_grey" for measure in measures]
    claims["global", "global"] = [name for name in everywhere if name in paired.outcomes.index]
    claims["symptoms", "symptoms"] = [symptom] if symptom else []
    for family, kind in (("roi", "roi"), ("regions", "region")):
        for measure in measures:
            claims[family, f"{family} ({measure})"] = paired.names(kind, measure)
    claims["networks", "networks"] = networks
    claims["network details", "single networks"] = network_details
    taken: set[str] = set()
    families = {}
    for key, outcomes in claims.items():
        fresh = [name for name in outcomes if name not in taken]
        taken.update(fresh)
        if fresh:
            families[key] = fresh
    return families


def _test(
    case: CompleteCases, family: str, label: str, chance: _Chance
) -> tuple[pd.DataFrame | None, list[str]]:
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
    outcomes = [name for name, moves in zip(case.outcomes, moving) if moves]
    return _rows(outcomes, case.pre[:, moving], case.post[:, moving], family, chance), notes


def _rows(
    outcomes: Sequence[str], pre: FloatArray, post: FloatArray, family: str, chance: _Chance
) -> pd.DataFrame:
    effects = paired_effects(pre, post)
    flips = sign_flip(post - pre, permutations=chance.permutations, seed=chance.seed)
    seen = detectable_effect(effects.n)
    return pd.DataFrame(
        {
            "outcome": outcomes,
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
            "p_fwe": np.nan if family in OF_ONE else flips.p_fwe,
            "n_rise": effects.n_rise,
            "n_fall": effects.n_fall,
            "p_smallest": flips.p_smallest,
            "arrangements": flips.arrangements,
            "exact": flips.exact,
            "detectable_g": seen,
            "detectable_percent": seen * effects.sd_percent,
        }
    )


def _why_not(case: CompleteCases, moving: BoolArray) -> str:
    if len(case.persons) < MIN_PERSONS:
        return f"{len(case.persons)} persons with both sessions"
    if not len(moving):
        return "no outcome that every person has"
    return "the same change in every person"


def _described(table: pd.DataFrame, paired: Paired) -> pd.DataFrame:
    about = paired.outcomes.loc[table["outcome"], ["measure", "region", "network"]]
    front = pd.concat([table[["outcome"]], about.reset_index(drop=True)], axis=1)
    return pd.concat([front, table.drop(columns="outcome")], axis=1)


def _changes(case: CompleteCases, outcomes: Sequence[str]) -> pd.DataFrame:
    where = [case.outcomes.index(name) for name in outcomes]
    pre, post = case.pre[:, where], case.post[:, where]
    return pd.DataFrame(
        {
            "participant_id": np.tile(case.persons, len(where)),
            "outcome": np.repeat(outcomes, len(case.persons)),
            "pre": pre.T.ravel(),
            "post": post.T.ravel(),
            "change": (post - pre).T.ravel(),
            "percent": percent_change(pre, post).T.ravel(),
        }
    )


def _couplings(
    comparisons: pd.DataFrame,
    paired: Paired,
    primary: str | None,
    measures: Sequence[str],
    symptom: str | None,
    chance: _Chance,
) -> tuple[pd.DataFrame, list[str]]:
    """Couple SV2A, network and symptom changes with one another; single regions and networks stay out."""
    coarse = ~comparisons["family"].isin(["regions", "network details"])
    tested = comparisons.loc[coarse, "outcome"]
    starts = tuple(end for measure in measures for end in (f"{measure}:", f"{measure}_grey"))
    sv2a = [name for name in tested if name.startswith(starts)]
    symptoms = [name for name in tested if name == symptom]
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
                keep=primary,
                permutations=chance.permutations,
                seed=chance.seed,
            )
            notes += [f"{family}: {note}" for note in told]
            if table is not None:
                table.insert(2, "family", family)
                tables.append(table)
    return (pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()), notes
