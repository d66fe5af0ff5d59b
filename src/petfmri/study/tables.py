"""The cohort as one table: who, when, which dose, which score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError
from petfmri.study.bids import Cohort, Participant, Session
from petfmri.study.crossover import DESIGN_COLUMNS, CrossoverColumns, design_values, sequences

COLUMNS = ["participant_id", "session_id", "role", "arm", "dose", "days_since_dose", "age", "sex"]


def cohort_table(
    cohort: Cohort,
    *,
    dose: str | None = None,
    arm: str | None = None,
    days: str | None = None,
    score: str | None = None,
    crossover: CrossoverColumns | None = None,
) -> pd.DataFrame:
    """Assemble participants, sessions and symptoms into one row per person and session.

    A session has a row if it has a folder, a row in sessions.tsv or a symptom score: a score
    without scans stays usable.

    Parameters
    ----------
    cohort : Cohort
    dose, arm, days : str, optional
        Columns of sessions.tsv or, where a session has no such column, of participants.tsv.
    score : str, optional
        Score of the symptom table (see `symptom_scores`).
    crossover : CrossoverColumns, optional
        Adds treatment, period, time and sequence.

    Returns
    -------
    DataFrame
        Columns participant_id, session_id, role, arm, dose, days_since_dose, age, sex and the
        score under its own name; missing values where a table has none.

    Raises
    ------
    DatasetError
        If the score is absent, not numeric or given twice for a session.
    """
    scores = _scores(cohort, score)
    rows = [
        _row(person, session, (arm, dose, days), score, scores)
        for person in cohort.participants
        for role, label in cohort.roles.items()
        if (session := _session(person, role, label, scores)) is not None
    ]
    names = COLUMNS if score is None else [*COLUMNS, score]
    table = pd.DataFrame(rows, columns=names)
    if score is not None:
        table = table.astype({score: float})
    return table if crossover is None else _with_design(table, cohort, crossover)


def _with_design(table: pd.DataFrame, cohort: Cohort, where: CrossoverColumns) -> pd.DataFrame:
    found = {
        (person.id, session.id): design_values(session.columns, where)
        for person in cohort.participants
        for session in person.sessions
    }
    none = [None] * len(DESIGN_COLUMNS)
    keys = zip(table["participant_id"], table["session_id"], strict=True)
    design = pd.DataFrame([found.get(key, none) for key in keys], columns=list(DESIGN_COLUMNS))
    table = pd.concat([table, design], axis=1)
    return table.assign(sequence=sequences(table, (where.active, where.control)))


def _session(
    person: Participant, role: str, label: str, scores: Mapping[tuple[str, str], float]
) -> Session | None:
    known_by_score = Session(label, role) if (person.id, label) in scores else None
    return person.session(role) or known_by_score


def _row(
    person: Participant,
    session: Session,
    columns: tuple[str | None, str | None, str | None],
    score: str | None,
    scores: Mapping[tuple[str, str], float],
) -> list[Any]:
    described = [_lookup(column, session, person) for column in (*columns, "age", "sex")]
    if described[-1] is None:
        described[-1] = _lookup("gender", session, person)
    row = [person.id, session.id, session.role, *described]
    return row if score is None else [*row, scores.get((person.id, session.id))]


def _lookup(column: str | None, session: Session, person: Participant) -> Any:
    """Value of a column of sessions.tsv or, where that has none, of participants.tsv."""
    if column is None:
        return None
    return session.columns.get(column, person.columns.get(column))


def _scores(cohort: Cohort, score: str | None) -> dict[tuple[str, str], float]:
    if score is None or cohort.symptoms is None:
        return {}
    table = symptom_scores(cohort.symptoms, score, cohort.roles, str(cohort.symptoms_path))
    keys = zip(table["participant_id"], table["session_id"], strict=True)
    return dict(zip(keys, table[score], strict=True))


def symptom_scores(
    table: pd.DataFrame, score: str, roles: Mapping[str, str], where: str = "symptom table"
) -> pd.DataFrame:
    """Take one score from a symptom table, long or wide.

    Parameters
    ----------
    table : DataFrame
        Either with columns participant_id, session_id and the score, or with one row per person
        and columns such as ``MADRS_ses-pre``.
    score : str
        Name of the score.
    roles : mapping
        Role to session id, which names the wide columns.
    where : str
        The file, for messages.

    Returns
    -------
    DataFrame
        Columns participant_id, session_id and the score; rows without a value are left out.

    Raises
    ------
    DatasetError
        If the score is absent, not numeric or given twice for a session.
    """
    keys = ["participant_id", "session_id"]
    wide = {f"{score}_{label}": label for label in roles.values()}
    if {*keys, score} <= set(table.columns):
        long = table[[*keys, score]]
    elif set(wide) <= set(table.columns):
        columns = table[["participant_id", *wide]].rename(columns=wide)
        long = columns.melt("participant_id", var_name="session_id", value_name=score)
    else:
        raise DatasetError(
            where,
            f"columns {', '.join(map(str, table.columns))}",
            f"session_id and {score}, or {' and '.join(wide)}",
            "correct the name of the score, or add the column",
        )
    values = pd.to_numeric(long[score], errors="coerce").astype(float)
    text = long[score][long[score].notna() & ~np.isfinite(values)]
    twice = long[long.duplicated(keys)]
    if len(text):
        found, expected = f"{text.iloc[0]!r}", "numbers, or n/a where missing"
        raise DatasetError(f"{where}: {score}", found, expected, "correct the values")
    if len(twice):
        found = f"{' '.join(twice.iloc[0][keys])} in more than one row"
        raise DatasetError(where, found, "one row per person and session", "remove the others")
    return long.assign(**{score: values}).dropna(subset=[score]).reset_index(drop=True)


def symptom_change(
    table: pd.DataFrame,
    score: str,
    *,
    response_percent: float = 50.0,
    remission: float | None = 10.0,
) -> pd.DataFrame:
    """Compare each person's score after the dose with that before.

    Parameters
    ----------
    table : DataFrame
        Columns participant_id, role (``"pre"`` and ``"post"``) and the score, as of `cohort_table`.
    score : str
        A scale on which a fall is an improvement.
    response_percent : float
        Response is a fall of at least this percentage of the score before.
    remission : float, optional
        Remission is a score after the dose of at most this; None: not defined for this scale.

    Returns
    -------
    DataFrame
        One row per person: participant_id, pre, post, change, fall_percent, response, remission.
        What a missing score (or a score of 0 before) leaves undefined is missing.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": ["sub-01", "sub-01"], "role": ["pre", "post"],
    ...     "madrs": [30.0, 15.0]})
    >>> symptom_change(table, "madrs")[["fall_percent", "response", "remission"]].values.tolist()
    [[50.0, True, False]]
    """
    people = pd.Index(table["participant_id"].unique(), name="participant_id")
    pre, post = (
        table[table["role"] == role]
        .set_index("participant_id")[score]
        .astype(float)
        .reindex(people)
        for role in ("pre", "post")
    )
    fall = 100 * (pre - post) / pre.where(pre > 0)
    change = pd.DataFrame({"pre": pre, "post": post, "change": post - pre, "fall_percent": fall})
    change["response"] = _nullable(fall >= response_percent - 1e-9, fall.notna())
    limit = np.nan if remission is None else remission
    change["remission"] = _nullable(post <= limit, post.notna() & (remission is not None))
    return change.reset_index()


def _nullable(truth: pd.Series[bool], defined: pd.Series[bool]) -> pd.Series[Any]:
    return truth.astype("boolean").where(defined)
