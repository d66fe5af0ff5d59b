"""Tables against one another and against the folders: people, sessions, symptoms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from petfmri.errors import DatasetError, Problem
from petfmri.study.bids import Cohort
from petfmri.study.tables import symptom_scores

CODES_FOR_MISSING = (-99.0, -9.0, -1.0, 99.0, 777.0, 888.0, 999.0, 9999.0)
LISTED = 6


def table_problems(
    cohort: Cohort, *, columns: Sequence[str] = (), score: str | None = None
) -> list[Problem]:
    """Check participants.tsv, every sessions.tsv and the symptom table.

    Parameters
    ----------
    cohort : Cohort
    columns : sequence of str
        Columns that sessions.tsv (or participants.tsv) must have.
    score : str, optional
        The symptom score that the study uses.
    """
    return [
        *_participants(cohort),
        *_sessions(cohort),
        *_columns(cohort, columns),
        *_symptoms(cohort, score),
    ]


def listed(names: Iterable[str]) -> str:
    """Join names for a message, the first few where there are many."""
    every = list(names)
    rest = f" and {len(every) - LISTED} more" if len(every) > LISTED else ""
    return ", ".join(every[:LISTED]) + rest


def _participants(cohort: Cohort) -> Iterator[Problem]:
    name = "participants.tsv"
    table = cohort.participants_table
    if table is None:
        if not (cohort.bids / name).exists():
            found, expected = "no such file", "age, sex and weight of every participant"
            yield Problem(name, found, expected, "add it; these stay missing", "warning")
        return
    ids = table["participant_id"]
    twice = sorted(set(ids[ids.duplicated()]))
    if twice:
        found, expected = f"{listed(twice)} in more than one row", "one row per participant"
        yield Problem(name, found, expected, "remove the rows that are wrong")
    people = {person.id for person in cohort.participants}
    without_row = sorted(people - set(ids))
    if without_row:
        yield Problem(
            name,
            f"no row for {listed(without_row)}",
            "a row for every sub- folder",
            "add them, spelled as the folders",
            "warning",
        )
    # Of a cohort narrowed to some participants the folder tells, not the cohort.
    without_folder = sorted(label for label in set(ids) if not (cohort.bids / label).is_dir())
    if without_folder:
        yield Problem(
            name,
            f"{listed(without_folder)} without a folder",
            "rows of people in the dataset",
            "correct the spelling, or leave them: they are not analysed",
            "warning",
        )


def _sessions(cohort: Cohort) -> Iterator[Problem]:
    for person, table in cohort.session_tables.items():
        ids = table["session_id"]
        twice = sorted(set(ids[ids.duplicated()]))
        if twice:
            yield Problem(
                f"{person}_sessions.tsv",
                f"{listed(twice)} in more than one row",
                "one row per session",
                "remove the rows that are wrong",
            )


def _columns(cohort: Cohort, columns: Sequence[str]) -> Iterator[Problem]:
    """One problem per column: absent everywhere, or for some sessions that were scanned."""
    visits = [
        (f"{person.id} {session.id}", {*person.columns, *session.columns})
        for person in cohort.participants
        for session in person.sessions
    ]
    for column in columns:
        lacking = [name for name, present in visits if column not in present]
        if lacking:
            everywhere = len(lacking) == len(visits)
            yield Problem(
                f"*_sessions.tsv: {column}",
                "no such column" if everywhere else f"no value for {listed(lacking)}",
                "this column, which the study names, for every session",
                "add it or correct its name in the study",
            )


def _symptoms(cohort: Cohort, score: str | None) -> Iterator[Problem]:
    if score is None or cohort.symptoms is None or cohort.symptoms_path is None:
        return
    name = cohort.symptoms_path.name
    try:
        scores = symptom_scores(cohort.symptoms, score, cohort.roles, name)
    except DatasetError as error:
        yield from error.problems
        return
    codes = scores[scores[score].isin(CODES_FOR_MISSING)]
    if len(codes):
        yield Problem(
            f"{name}: {score}",
            f"{codes[score].iloc[0]:g} for {listed(sorted(set(codes['participant_id'])))}",
            "scores, and n/a where missing",
            "if this stands for a missing score, write n/a",
            "warning",
        )
    yield from _symptoms_and_scans(cohort, name, scores)


def _symptoms_and_scans(cohort: Cohort, name: str, scores: pd.DataFrame) -> Iterator[Problem]:
    """Compare who has a score with who has a session; all apart means that the ids differ."""
    in_roles = scores[scores["session_id"].isin(list(cohort.roles.values()))]
    scored = set(zip(in_roles["participant_id"], in_roles["session_id"], strict=True))
    scored = {key for key in scored if _is_wanted(cohort, key[0])}
    scanned = {(person.id, visit.id) for person in cohort.participants for visit in person.sessions}
    apart = not scored & scanned
    without_scans, without_score = sorted(scored - scanned), sorted(scanned - scored)
    if without_scans or apart:
        yield Problem(
            name,
            f"scores without scans for {listed(' '.join(key) for key in without_scans)}"
            if without_scans
            else f"no score of {listed(cohort.roles.values())}",
            "participants and sessions spelled as the folders",
            "correct the identifiers; a score whose scan is missing may stay",
            "error" if apart else "warning",
        )
    if without_score and not apart and cohort.paired:
        yield Problem(
            name,
            f"no score for {listed(' '.join(key) for key in without_score)}",
            "a score for every session scanned",
            "add them; without it a session is left out of what uses the score",
            "warning",
        )


def _is_wanted(cohort: Cohort, label: str) -> bool:
    """Whether a person is in the cohort or unknown, rather than left out by choice."""
    known = any(person.id == label for person in cohort.participants)
    return known or not (cohort.bids / label).is_dir()
