"""Covariates of a change: what differed between the two sessions, and between persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError, Problem
from petfmri.statistics.pairing import did_you_mean
from petfmri.typing import BoolArray

KEYS = ("participant_id", "session_id", "role", "region", "network", "hemisphere", "structure")
"""Columns that name rows."""


@dataclass(frozen=True)
class Covariates:
    """Covariates of the change of each person.

    Attributes
    ----------
    values : DataFrame
        Indexed by person, one column per covariate, not centred; NaN where unknown.
    own : tuple of str
        Regional measures that adjust the same region's change, such as r1.
    notes : tuple of str
        What each one is, in sentences.
    centred : tuple of str
        Those that do not differ between sessions: to be centred over the persons of a test.
    """

    values: pd.DataFrame
    own: tuple[str, ...]
    notes: tuple[str, ...]
    centred: tuple[str, ...] = ()

    def of(
        self, persons: Sequence[str], also: BoolArray | None = None
    ) -> tuple[pd.DataFrame, BoolArray, list[str]]:
        """Take those of the persons of one test who have them all.

        Parameters
        ----------
        persons : sequence of str
        also : bool array, one per person, optional
            Who has what else the test needs.

        Returns
        -------
        values : DataFrame
            One row per person kept: centred over them, without those that are the same in all.
        kept : bool array, one per person
        notes : list of str
            Who and what is left out.
        """
        table = self.values.reindex(list(persons))
        kept = table.notna().all(axis=1).to_numpy() & (True if also is None else also)
        table = table[kept]
        table = table - table[list(self.centred)].mean().reindex(table.columns).fillna(0.0)
        alike = [
            name for name in table if len(table) and (table[name] == table[name].iloc[0]).all()
        ]
        lost = [str(person) for person, stays in zip(persons, kept) if not stays]
        notes = []
        if alike:
            what = ", ".join(map(str, alike))
            notes.append(f"No covariate, because all persons have one value: {what}.")
        if lost:
            notes.append(f"No adjusted value, because a covariate is missing: {', '.join(lost)}.")
        return table.drop(columns=alike), np.asarray(kept), notes


def change_covariates(
    names: Sequence[str], sessions: pd.DataFrame, regional: Sequence[str] = ()
) -> Covariates:
    """Make covariates of a change from columns of the sessions table.

    What differs between the sessions of a person, such as head motion or injected activity, enters
    as its change: the adjusted mean is that without such a change. What does not, such as age, sex
    or the days since the dose, enters centred over the persons of a test (`Covariates.of`): the adjusted mean is that of the average person.

    Parameters
    ----------
    names : sequence of str
        Columns of `sessions`, or of the regional table.
    sessions : DataFrame
        Paired: one row of role pre and one of role post per participant.
    regional : sequence of str
        Columns of the regional table.

    Returns
    -------
    Covariates

    Raises
    ------
    DatasetError
        Names all unknown columns and values that are no numbers at once.
    """
    problems: list[Problem] = []
    columns, notes, centred = {}, [], []
    names = list(dict.fromkeys(names))
    own = tuple(name for name in names if name in regional and name not in sessions)
    people = pd.Index(sessions.loc[sessions["role"] == "pre", "participant_id"])
    for name in names:
        if name in own:
            notes.append(f"The change of {name} in the same region is a covariate of each region.")
            continue
        read = _two_sessions(name, sessions, regional)
        if isinstance(read, Problem):
            problems.append(read)
            continue
        pre, post = read
        known_twice = pre.notna() & post.notna()
        if known_twice.any() and (pre != post)[known_twice].any():
            columns[name] = post - pre
            notes.append(
                f"The change of {name} is a covariate; adjusted values are those without one."
            )
        else:
            columns[name] = post.fillna(pre)
            centred.append(name)
            mean = columns[name].mean()
            notes.append(f"{name} is a covariate, centred at its mean (of all {mean:.3g}).")
    unusable = [name for name in own if name in KEYS]
    problems += [
        Problem(
            f"covariates: {name}", "a column that names rows", "a column of numbers", "correct it"
        )
        for name in unusable
    ]
    if len(own) > 1:
        problems.append(
            Problem(
                "covariates", f"regional {' and '.join(own)}", "at most one of regions", "choose"
            )
        )
    if problems:
        raise DatasetError.of(problems)
    return Covariates(pd.DataFrame(columns, index=people), own, tuple(notes), tuple(centred))


def _two_sessions(
    name: str, sessions: pd.DataFrame, regional: Sequence[str]
) -> tuple[pd.Series[float], pd.Series[float]] | Problem:
    """Read a covariate before and after, or say what is wrong with it."""
    if name not in sessions or name in KEYS:
        known = [str(column) for column in (*sessions, *regional) if column not in KEYS]
        expected = "a column of numbers or two groups of the tables"
        remedy = did_you_mean(name, known)
        return Problem(f"covariates: {name}", "no such covariate", expected, remedy)
    levels = sorted(sessions[name].dropna().astype(str).unique())
    by_role = {role: rows.set_index("participant_id") for role, rows in sessions.groupby("role")}
    people = by_role["pre"].index
    pre, post = (_numbers(by_role[role][name].reindex(people), levels) for role in ("pre", "post"))
    if pre is None or post is None:
        return Problem(
            f"covariates: {name}",
            f"values such as {_example(sessions[name])!r}",
            "numbers, or two groups",
            "leave it out, or code it as numbers",
        )
    return pre, post


def _numbers(column: pd.Series[float], levels: Sequence[str]) -> pd.Series[float] | None:
    """Read numbers, or two groups as 0 and 1 in the order of all their levels."""
    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    if (numbers.notna() == column.notna()).all():
        return numbers
    if len(levels) > 2:
        return None
    coded = column.astype(object).map(
        lambda value: float(levels.index(str(value))), na_action="ignore"
    )
    return pd.to_numeric(coded).astype(float)


def _example(column: pd.Series[float]) -> object:
    values = column.dropna()
    return values.iloc[0] if len(values) else "n/a"
