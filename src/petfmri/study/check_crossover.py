"""What is wrong with the sessions of a crossover."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from petfmri.errors import Problem
from petfmri.study.bids import Cohort
from petfmri.study.check_tables import listed
from petfmri.study.crossover import CrossoverColumns, design_values, sequences

LEAST_OF_SEQUENCE = 2


def crossover_problems(cohort: Cohort, where: CrossoverColumns) -> list[Problem]:
    """Check columns, treatments, periods and sequences of everybody's sessions.

    Parameters
    ----------
    cohort : Cohort
    where : CrossoverColumns
    """
    table = design_table(cohort, where)
    problems = list(_columns(table, where))
    return problems or [
        *_treatments(table, where),
        *_periods(table, where),
        *_sequences(table, where),
    ]


def design_table(cohort: Cohort, where: CrossoverColumns) -> pd.DataFrame:
    """Treatment, period and time of every session of the cohort."""
    rows = [
        [
            person.id,
            session.id,
            bool(session.pet or session.bold),
            *design_values(session.columns, where),
        ]
        for person in cohort.participants
        for session in person.sessions
    ]
    names = ["participant_id", "session_id", "scanned", "treatment", "period", "time"]
    return pd.DataFrame(rows, columns=names)


def sequence_counts(cohort: Cohort, where: CrossoverColumns) -> dict[str, int]:
    """Count the persons of each sequence."""
    table = design_table(cohort, where)
    named = table.assign(sequence=sequences(table, (where.active, where.control)))
    return {
        str(name): int(n)
        for name, n in named.groupby("sequence")["participant_id"].nunique().items()
    }


def _columns(table: pd.DataFrame, where: CrossoverColumns) -> Iterator[Problem]:
    for name, column in where.columns.items():
        lacking = table[table[name].isna()]
        if not len(lacking):
            continue
        everywhere = len(lacking) == len(table)
        some = listed(lacking["participant_id"] + " " + lacking["session_id"])
        yield Problem(
            f"*_sessions.tsv: {column}",
            "no such column, or no value" if everywhere else f"no value for {some}",
            f"the {name} of every session of the crossover",
            f"add it, or name the column in crossover: {name}",
        )


def _treatments(table: pd.DataFrame, where: CrossoverColumns) -> Iterator[Problem]:
    known = (where.active, where.control)
    unknown = table[~table["treatment"].isin(known)]
    if len(unknown):
        yield Problem(
            f"*_sessions.tsv: {where.treatment}",
            f"{listed(sorted(set(unknown['treatment'].astype(str))))} for "
            f"{listed(sorted(set(unknown['participant_id'])))}",
            " or ".join(known),
            "correct the spelling, or crossover: treatments",
        )
    for treatment in known:
        if not (table["treatment"] == treatment).any():
            yield Problem(
                f"*_sessions.tsv: {where.treatment}",
                f"nobody with {treatment}",
                "both treatments",
                "correct crossover: treatments",
            )


def _periods(table: pd.DataFrame, where: CrossoverColumns) -> Iterator[Problem]:
    known = table[table["treatment"].isin((where.active, where.control))]
    if known["period"].nunique() != 2:
        found = listed(sorted(known["period"].astype(str).unique()))
        yield Problem(
            f"*_sessions.tsv: {where.period}",
            f"periods {found}",
            "two periods",
            "correct the column, or crossover: period",
        )
        return
    mixed = known.groupby(["participant_id", "period"])["treatment"].nunique()
    unclear = sorted({str(key[0]) for key in mixed.index[mixed > 1]})
    both = known.groupby("participant_id")["treatment"].nunique()
    same = known.groupby("participant_id")["period"].nunique()
    unclear += sorted({str(one) for one in both.index[(both == 1) & (same == 2)]})
    if unclear:
        yield Problem(
            f"*_sessions.tsv: {where.treatment}",
            f"two treatments in one period, or one in both, of {listed(unclear)}",
            "one treatment in each period, another in the other",
            "correct the tables",
        )
    scanned = known[known["scanned"]].groupby("participant_id")["period"].nunique()
    half = sorted(str(one) for one in scanned.index[scanned == 1])
    if half:
        yield Problem(
            "sessions",
            f"scans of one period only of {listed(half)}",
            "both periods of every participant",
            "add them; these count in mixed models and not in permutation tests",
            "warning",
        )


def _sequences(table: pd.DataFrame, where: CrossoverColumns) -> Iterator[Problem]:
    named = sequences(table, (where.active, where.control))
    counts = table.assign(sequence=named).groupby("sequence")["participant_id"].nunique()
    few = counts.reindex(
        [f"{where.active}-{where.control}", f"{where.control}-{where.active}"], fill_value=0
    )
    if few.min() < LEAST_OF_SEQUENCE:
        yield Problem(
            "sequences",
            ", ".join(f"{n} persons {name}" for name, n in few.items()),
            f"at least {LEAST_OF_SEQUENCE} persons of each sequence",
            "without them treatment cannot be told from period",
            "warning",
        )
