"""Whether two arms changed differently, and whether two groups differ at baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.errors import InputError, StatisticsError
from petfmri.statistics import arms_notes, caveats
from petfmri.statistics.arrangements import regroupings
from petfmri.statistics.covariates import Covariates, change_covariates
from petfmri.statistics.families import OF_ONE, Wanted, families
from petfmri.statistics.groups import MIN_GROUP, check_groups, group_rows, stratum_means
from petfmri.statistics.pairing import (
    CompleteCases,
    Paired,
    change_rows,
    complete_cases,
    described,
    did_you_mean,
    pair_outcomes,
)
from petfmri.statistics.permutation import permutation_test
from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class ArmComparison:
    """Result of `compare_arms`: tables that are written as they are.

    Attributes
    ----------
    comparisons : DataFrame
        One row per outcome, of the difference in change (group x time): columns of `group_rows`
        after outcome measure region network family; then, adjusted for the baseline and the
        covariates: adjusted_for difference_adjusted p_adjusted p_fwe_adjusted.
    changes : DataFrame
        One row per person and outcome: participant_id arm outcome pre post change percent.
    baseline : DataFrame
        One row per outcome, of the difference before: columns as `comparisons` without those
        adjusted for the baseline. Persons need no second session.
    notes : tuple of str
    """

    comparisons: pd.DataFrame
    changes: pd.DataFrame
    baseline: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Method:
    active: str
    control: str
    strata: str | None
    permutations: int
    seed: int


def compare_arms(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    wanted: Wanted,
    *,
    active: str,
    control: str,
    rois: Mapping[str, Sequence[str]] | None = None,
    covariates: Sequence[str] = (),
    strata: str | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> ArmComparison:
    """Compare the change of two arms, and the arms at baseline.

    The unadjusted test gives out the arms anew, all ways if they are at most 20,000, and is exact.
    Beside it stands the analysis of covariance, which with a control arm is the more powerful one:
    the change adjusted for the baseline of the same outcome and for the covariates, by Freedman
    and Lane's method.

    Parameters
    ----------
    regions, sessions
        As `petfmri.statistics.prepost.compare`; `sessions` with a column ``arm``.
    wanted : Wanted
    active, control : str
        Values of ``arm``; other persons are left out, and named.
    rois : mapping of name to region names
    covariates : sequence of str
        Columns of `sessions` (see `change_covariates`).
    strata : str, optional
        Column of `sessions` within whose values arms are given out.
    permutations, seed : int

    Returns
    -------
    ArmComparison

    Raises
    ------
    InputError
        If an arm, the strata or the primary outcome are unknown.
    StatisticsError
        If the primary outcome cannot be tested.
    """
    method = _Method(active, control, strata, permutations, seed)
    sessions, notes = _of_arms(sessions, method)
    metrics = wanted.metrics(sessions)
    once = _scanned_once(sessions, method)
    table, changes = pd.DataFrame(), pd.DataFrame()
    if not once:
        paired = pair_outcomes(
            regions, sessions, rois=rois, measures=wanted.measures, metrics=metrics
        )
        adjusting = change_covariates(covariates, paired.sessions)
        notes = [
            *arms_notes.design(_arm_of(paired.sessions), active, control),
            *notes,
            *paired.notes,
            *adjusting.notes,
        ]
        table, changes, told = _in_change(paired, wanted, adjusting, method)
        notes += told
    baseline, told = _at_baseline(regions, sessions, wanted, rois, metrics, covariates, method)
    notes += once + told
    if table.empty and baseline.empty:
        raise StatisticsError(
            "comparison of arms",
            "nothing that can be tested",
            f"at least {MIN_GROUP} persons with values in each arm",
            "check the tables: " + " ".join(notes),
        )
    notes += arms_notes.inference(baseline if table.empty else table, strata, seed)
    return ArmComparison(table, changes, baseline, tuple(notes))


def _in_change(
    paired: Paired, wanted: Wanted, covariates: Covariates, method: _Method
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Compare the changes of all families; give also the changes of the persons."""
    tables, changes, notes = [], [], []
    for (family, label), outcomes in families(paired, wanted).items():
        case = complete_cases(paired, outcomes)
        rows, told = _test(case, case.post - case.pre, paired.sessions, family, label, method)
        notes += told
        if rows is not None:
            values = case.post - case.pre, case.pre
            rows, told = _adjusted(case, *values, paired.sessions, covariates, rows, method)
            notes += [note for note in told if note not in notes]
            tables.append(rows)
            each = change_rows(case)
            each.insert(1, "arm", each["participant_id"].map(_arm_of(paired.sessions)))
            changes.append(each[each["outcome"].isin(rows["outcome"])])
    every = pd.concat(changes, ignore_index=True) if changes else pd.DataFrame()
    return _described(tables, paired), every, notes


def _of_arms(sessions: pd.DataFrame, method: _Method) -> tuple[pd.DataFrame, list[str]]:
    """Keep the sessions of both arms."""
    for column in ("arm", *filter(None, [method.strata])):
        if column not in sessions:
            raise InputError(
                f"sessions: {column}",
                "no such column",
                "the arm of each person" if column == "arm" else "the strata",
                did_you_mean(column, map(str, sessions.columns)),
            )
    arms = _arm_of(sessions)
    known = [str(name) for name in arms.dropna().unique()]
    for name in (method.active, method.control):
        if name not in known:
            raise InputError(
                f"arms: {name}", "nobody", f"one of {', '.join(known)}", did_you_mean(name, known)
            )
    inside = sessions["participant_id"].map(arms).isin([method.active, method.control])
    others = sorted(sessions.loc[~inside, "participant_id"].unique())
    told = [f"Left out because they are in neither arm: {', '.join(others)}."] if others else []
    return sessions[inside], told


def _arm_of(sessions: pd.DataFrame) -> pd.Series[str]:
    """Return the arm of each person: one, whichever session tells it."""
    known = sessions.dropna(subset=["arm"]).astype({"arm": str})
    several = known.groupby("participant_id")["arm"].nunique()
    twice = several[several > 1]
    if len(twice):
        raise StatisticsError(
            f"sessions: {twice.index[0]}",
            "several arms",
            "one arm per person; treatments in turn are a crossover",
            "correct the arm, or use design: crossover",
        )
    return known.drop_duplicates("participant_id").set_index("participant_id")["arm"]


def _scanned_once(sessions: pd.DataFrame, method: _Method) -> list[str]:
    """Say if a group was scanned once only, so that no change of it can be compared."""
    arms = _arm_of(sessions)
    after = sessions.loc[sessions["role"] == "post", "participant_id"]
    return [
        f"{name}: nobody has a session after; its change cannot be compared."
        for name in (method.active, method.control)
        if not (arms[arms.index.isin(after)] == name).any()
    ]


def _test(
    case: CompleteCases,
    values: FloatArray,
    sessions: pd.DataFrame,
    family: str,
    label: str,
    method: _Method,
) -> tuple[pd.DataFrame | None, list[str]]:
    """Compare the groups in one family of outcomes, and say what had to be left out of it."""
    notes = caveats.left_out(case, label)
    active = _is_active(case.persons, sessions, method)
    sizes = int(active.sum()), int((~active).sum())
    spread = np.ptp(values, axis=0) > 1e-8 * np.abs(values).max(axis=0) if len(values) else active
    if min(sizes) < MIN_GROUP or not spread.any():
        reason = f"groups of {sizes[0]} and {sizes[1]} persons, or nothing that varies"
        if family == "primary":
            check_groups(active)
            raise StatisticsError(
                f"primary outcome {[*case.outcomes, *case.lost_outcomes][0]}",
                "nothing that varies between persons",
                "values that differ",
                "check the tables, or declare another primary outcome",
            )
        return None, [*notes, f"No test of {label}: {reason}."]
    outcomes = [name for name, moves in zip(case.outcomes, spread) if moves]
    still = [name for name, moves in zip(case.outcomes, spread) if not moves]
    if still:
        notes.append(
            f"Left out of {label} because it is the same in everybody: {', '.join(still)}."
        )
    rows = group_rows(
        values[:, spread],
        active,
        outcomes,
        alone=family in OF_ONE,
        strata=_strata(case.persons, sessions, method),
        permutations=method.permutations,
        seed=method.seed,
    )
    rows.insert(1, "family", family)
    return rows, notes


def _adjusted(
    case: CompleteCases,
    values: FloatArray,
    own: FloatArray | None,
    sessions: pd.DataFrame,
    covariates: Covariates,
    rows: pd.DataFrame,
    method: _Method,
) -> tuple[pd.DataFrame, list[str]]:
    """Add the difference adjusted for the outcome's own baseline, if given, and the covariates."""
    where = [
        case.outcomes.index(name)
        for name in rows["outcome"]
        if own is None or np.ptp(own[:, case.outcomes.index(name)]) > 0
    ]
    outcomes = [case.outcomes[j] for j in where]
    table, kept, notes = covariates.of(case.persons)
    active = _is_active(case.persons, sessions, method)[kept]
    strata = _strata([p for p, stays in zip(case.persons, kept) if stays], sessions, method)
    try:
        check_groups(active)
        found = permutation_test(
            values[kept][:, where],
            active.astype(float),
            nuisance=np.column_stack([stratum_means(strata, len(active)), table.to_numpy(float)]),
            own=None if own is None else own[kept][:, where],
            arrangements=regroupings(
                active.tolist(),
                permutations=method.permutations,
                seed=method.seed,
                strata=strata,
                adjusted=True,
            ),
        )
    except StatisticsError as error:
        found_there = error.problems[0].found
        return rows, [
            *notes,
            f"No adjusted test of {rows['outcome'].iloc[0]} and its family: {found_there}.",
        ]
    added = pd.DataFrame(
        {
            "outcome": outcomes,
            "adjusted_for": ", ".join(
                [*(["baseline"] * (own is not None)), *map(str, table.columns)]
            ),
            "difference_adjusted": found.estimate,
            "p_adjusted": found.p,
            "p_fwe_adjusted": np.nan if rows["family"].iloc[0] in OF_ONE else found.p_fwe,
            "p_smallest_adjusted": found.p_smallest,
            "arrangements_adjusted": found.arrangements,
        }
    )
    return rows.merge(added, on="outcome", how="left"), notes


def _at_baseline(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    wanted: Wanted,
    rois: Mapping[str, Sequence[str]] | None,
    metrics: Sequence[str],
    covariates: Sequence[str],
    method: _Method,
) -> tuple[pd.DataFrame, list[str]]:
    """Compare the groups before, with everybody who has that session."""
    before = sessions[sessions["role"] == "pre"]
    both = pd.concat([before, before.assign(role="post")])  # each stands for a pair of itself
    paired = pair_outcomes(regions, both, rois=rois, measures=wanted.measures, metrics=metrics)
    tables: list[pd.DataFrame] = []
    notes: list[str] = []
    adjusting = change_covariates(covariates, both)
    for (family, label), outcomes in families(paired, wanted).items():
        case = complete_cases(paired, outcomes)
        try:
            rows, told = _test(case, case.pre, before, family, f"{label} at baseline", method)
        except StatisticsError as error:
            rows, told = None, [f"No test of {label} at baseline: {error.problems[0].found}."]
        notes += [note.replace("in both sessions", "before") for note in told]
        if rows is not None:
            if covariates:
                rows, told = _adjusted(case, case.pre, None, before, adjusting, rows, method)
                notes += [note for note in told if note not in notes]
            tables.append(rows)
    return _described(tables, paired), notes


def _is_active(persons: Sequence[str], sessions: pd.DataFrame, method: _Method) -> BoolArray:
    arms = _arm_of(sessions).reindex(list(persons))
    return np.asarray(arms == method.active)


def _strata(persons: Sequence[str], sessions: pd.DataFrame, method: _Method) -> list[object] | None:
    if method.strata is None:
        return None
    known = sessions.dropna(subset=[method.strata]).drop_duplicates("participant_id")
    found = known.set_index("participant_id")[method.strata].reindex(list(persons))
    if found.isna().any():
        lacking = ", ".join(map(str, found.index[found.isna()]))
        raise InputError(
            f"sessions: {method.strata}",
            f"nothing for {lacking}",
            "the stratum of everybody",
            "add it, or compare without strata",
        )
    return list(found.astype(str))


def _described(tables: Sequence[pd.DataFrame], paired: Paired) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame()
    return described(pd.concat(tables, ignore_index=True), paired)
