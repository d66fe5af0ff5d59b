"""From the tidy tables to one value before and one after, per person and outcome."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.effects import percent_change
from petfmri.typing import FloatArray

PERSON, SESSION, ROLE = "participant_id", "session_id", "role"
ROLES = ("pre", "post")


@dataclass(frozen=True)
class Paired:
    """Values of the same persons before and after.

    Attributes
    ----------
    pre, post : DataFrame
        Indexed by participant, one column per outcome, NaN where not measured.
    outcomes : DataFrame
        Indexed by outcome: kind (roi | region | session), measure, region, network.
    sessions : DataFrame
        The rows of `sessions` that are paired.
    notes : tuple of str
        Who was left out and why.
    """

    pre: pd.DataFrame
    post: pd.DataFrame
    outcomes: pd.DataFrame
    sessions: pd.DataFrame
    notes: tuple[str, ...]

    def names(self, kind: str, measure: str | None = None) -> list[str]:
        """Outcomes of one kind, and of one measure if given."""
        chosen = self.outcomes["kind"] == kind
        if measure is not None:
            chosen &= self.outcomes["measure"] == measure
        return [str(name) for name in self.outcomes.index[chosen]]


@dataclass(frozen=True)
class CompleteCases:
    """Persons and outcomes without any gap.

    Attributes
    ----------
    persons, outcomes : list of str
    pre, post : array of shape (n_persons, n_outcomes)
    lost_persons : list of str
        Measured in fewer than half of the outcomes, so left out.
    lost_outcomes : list of str
        Missing in a person that is kept, so left out.
    """

    persons: list[str]
    outcomes: list[str]
    pre: FloatArray
    post: FloatArray
    lost_persons: list[str]
    lost_outcomes: list[str]


def pair_outcomes(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    *,
    rois: Mapping[str, Sequence[str]] | None = None,
    measures: Sequence[str] = ("suvr",),
    metrics: Sequence[str] = (),
) -> Paired:
    """Pair the pre and post session of every person.

    Parameters
    ----------
    regions : DataFrame or None
        ``group/regions.tsv``.
    sessions : DataFrame
        ``group/sessions.tsv``; rows whose role is neither pre nor post are ignored.
    rois : mapping of name to region names
        The value of an ROI is the unweighted mean of its regions, missing if one of them is.
    measures : sequence of str
        Columns of `regions`. They make the outcomes ``measure:region``.
    metrics : sequence of str
        Columns of `sessions`. They are outcomes under their own name.

    Returns
    -------
    Paired

    Raises
    ------
    StatisticsError
        If a column or region is absent, a row is given twice, a value is not a number, or nobody
        has both sessions.
    """
    _require(sessions, "sessions", [PERSON, SESSION, ROLE, *metrics])
    paired, notes = pair_sessions(sessions)
    outcomes, pre, post = [], [], []
    if regions is not None and measures:
        _require(regions, "regions", [PERSON, SESSION, "region", *measures])
        for measure in measures:
            described, before, after = _regional(regions, paired, measure, rois or {})
            outcomes.append(described)
            pre.append(before)
            post.append(after)
    if metrics:
        described = pd.DataFrame(
            {"kind": "session", "measure": list(metrics), "region": None, "network": None},
            index=pd.Index(metrics),
        )
        values = numbers(paired.set_index([PERSON, ROLE])[list(metrics)], "sessions")
        outcomes.append(described)
        pre.append(values[values.index.get_level_values(ROLE) == "pre"].droplevel(ROLE))
        post.append(values[values.index.get_level_values(ROLE) == "post"].droplevel(ROLE))
    if not outcomes:
        raise StatisticsError(
            "comparison", "no outcome", "regional measures or session metrics", "name some"
        )
    persons = sorted(paired[PERSON].unique())
    return Paired(
        pre=pd.concat(pre, axis=1).reindex(persons),
        post=pd.concat(post, axis=1).reindex(persons),
        outcomes=pd.concat(outcomes),
        sessions=paired,
        notes=tuple(notes),
    )


def pair_sessions(sessions: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep the pre and post rows of the persons that have one of each.

    Returns
    -------
    paired : DataFrame
        Two rows per person.
    notes : list of str
        Who is left out, and for want of which session.

    Raises
    ------
    StatisticsError
        If a person has several sessions of one role, or nobody has both.
    """
    known = sessions[sessions[ROLE].isin(ROLES)]
    twice = known[known.duplicated([PERSON, ROLE])]
    if len(twice):
        first = twice.iloc[0]
        raise StatisticsError(
            f"sessions: {first[PERSON]}",
            f"several {first[ROLE]} sessions",
            "one pre and one post session per person",
            "name one session of each role in the study YAML",
        )
    roles = known.groupby(PERSON)[ROLE].agg(set)
    notes = []
    for role in ROLES:
        lacking = sorted(set(sessions[PERSON]) - {p for p, has in roles.items() if role in has})
        if lacking:
            notes.append(f"Left out because they have no {role} session: {', '.join(lacking)}.")
    complete = [person for person, has in roles.items() if len(has) == len(ROLES)]
    if not complete:
        raise StatisticsError(
            "sessions",
            "nobody with both a pre and a post session",
            "persons with both",
            "check the session roles of the study YAML",
        )
    return known[known[PERSON].isin(complete)], notes


def complete_cases(paired: Paired, outcomes: Sequence[str]) -> CompleteCases:
    """Cut a family of outcomes down to persons and outcomes without any gap.

    Persons who were measured before and after in fewer than half of the outcomes go first; then
    every outcome that any remaining person lacks. All outcomes of a family thus share one n, and
    no value is filled in.

    Parameters
    ----------
    paired : Paired
    outcomes : sequence of str

    Returns
    -------
    CompleteCases
    """
    pre, post = paired.pre[list(outcomes)], paired.post[list(outcomes)]
    has = pre.notna() & post.notna()
    measured = has.loc[:, has.any(axis=0)]
    kept = measured.index[measured.mean(axis=1) >= 0.5] if measured.size else measured.index[:0]
    whole = [str(name) for name in measured.columns if measured.loc[kept, name].all()]
    return CompleteCases(
        persons=[str(person) for person in kept],
        outcomes=whole,
        pre=pre.loc[kept, whole].to_numpy(dtype=float),
        post=post.loc[kept, whole].to_numpy(dtype=float),
        lost_persons=[str(person) for person in pre.index.difference(kept)],
        lost_outcomes=[name for name in outcomes if name not in whole],
    )


def described(table: pd.DataFrame, paired: Paired) -> pd.DataFrame:
    """Add measure, region and network after the column ``outcome`` of a table."""
    about = paired.outcomes.loc[table["outcome"], ["measure", "region", "network"]]
    front = pd.concat([table[["outcome"]], about.reset_index(drop=True)], axis=1)
    return pd.concat([front, table.drop(columns="outcome")], axis=1)


def change_rows(case: CompleteCases) -> pd.DataFrame:
    """One row per person and outcome: participant_id outcome pre post change percent."""
    pre, post = case.pre, case.post
    return pd.DataFrame(
        {
            "participant_id": np.tile(case.persons, len(case.outcomes)),
            "outcome": np.repeat(case.outcomes, len(case.persons)),
            "pre": pre.T.ravel(),
            "post": post.T.ravel(),
            "change": (post - pre).T.ravel(),
            "percent": percent_change(pre, post).T.ravel(),
        }
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Advise the nearest known name.

    Examples
    --------
    >>> did_you_mean("segregaton", ["segregation", "ngsc"])
    "did you mean 'segregation'"
    """
    near = difflib.get_close_matches(name, [str(k) for k in known], n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}" if near else "correct the name"


def _regional(
    regions: pd.DataFrame,
    paired: pd.DataFrame,
    measure: str,
    rois: Mapping[str, Sequence[str]],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Outcomes, values before and values after of one regional measure."""
    rows = regions.merge(paired[[PERSON, SESSION, ROLE]], on=[PERSON, SESSION])
    values = _by_role(rows, measure)
    names = list(values["pre"])
    network = pd.Series(None, index=names, dtype=object)
    if "network" in rows:
        network = rows.drop_duplicates("region").set_index("region")["network"].reindex(names)
    described = pd.DataFrame(
        {
            "kind": ["roi"] * len(rois) + ["region"] * len(names),
            "measure": measure,
            "region": [*rois, *names],
            "network": [*[None] * len(rois), *network],
        }
    )
    described.index = pd.Index([f"{measure}:{name}" for name in described["region"]])
    before, after = (
        pd.concat([_roi_means(values[role], rois), values[role]], axis=1).add_prefix(f"{measure}:")
        for role in ROLES
    )
    return described, before, after


def _by_role(rows: pd.DataFrame, measure: str) -> dict[str, pd.DataFrame]:
    """One table of persons by regions for each role."""
    twice = rows[rows.duplicated([PERSON, ROLE, "region"])]
    if len(twice):
        first = twice.iloc[0]
        raise StatisticsError(
            f"regions: {first[PERSON]} {first[SESSION]} {first['region']}",
            "several rows",
            "one row per region and session",
            "remove the copies",
        )
    read = numbers(rows.set_index([PERSON, SESSION, "region"])[[measure]], "regions")
    rows = rows.assign(**{measure: read[measure].to_numpy()})
    names = [str(name) for name in rows["region"].unique()]
    values = {
        str(role): table.pivot_table(
            index=PERSON, columns="region", values=measure, aggfunc="first", dropna=False
        ).reindex(columns=names)
        for role, table in rows.groupby(ROLE)
    }
    if len(values) < len(ROLES):
        raise StatisticsError(
            f"regions: {measure}",
            f"rows of the {' and '.join(values) or 'other'} sessions only",
            "rows of both the pre and the post sessions",
            "check that the session ids are those of the sessions table",
        )
    return values


def _roi_means(table: pd.DataFrame, rois: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    means = pd.DataFrame(index=table.index)
    for name, members in rois.items():
        absent = [member for member in members if member not in table]
        if absent or not members:
            raise StatisticsError(
                f"region of interest {name}",
                f"no region {', '.join(absent)}" if absent else "no regions",
                "regions of the table",
                did_you_mean(absent[0], map(str, table.columns)) if absent else "name its regions",
            )
        if name in table:
            raise StatisticsError(
                f"region of interest {name}",
                "the name of a region",
                "a name of its own",
                "rename the region of interest",
            )
        means[name] = table[list(members)].mean(axis=1, skipna=False)
    return means


def numbers(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Read a table as numbers; n/a is missing.

    Raises
    ------
    StatisticsError
        If a value is text or infinite, naming the first one.
    """
    read = table.apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = (read.isna() & table.notna()) | (read.abs() == float("inf"))
    if wrong.to_numpy().any():
        column = wrong.any().idxmax()
        row = wrong[column].idxmax()
        raise StatisticsError(
            f"{where}: {column}: {row}",
            repr(table.loc[row, column]),
            "a number, or n/a",
            "correct the value",
        )
    return read


def _require(table: pd.DataFrame, where: str, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise StatisticsError(
            where,
            f"no column {', '.join(missing)}",
            f"some of {', '.join(map(str, table.columns))}",
            did_you_mean(missing[0], table.columns),
        )
