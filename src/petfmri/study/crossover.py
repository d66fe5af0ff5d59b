"""Which sessions of a dataset belong to a crossover, and what was given when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from petfmri.errors import DatasetError
from petfmri.study.names import with_prefix
from petfmri.study.reader import Reader

DESIGN_COLUMNS = ("treatment", "period", "time")


@dataclass(frozen=True)
class CrossoverColumns:
    """Where sessions.tsv says what was given when.

    Attributes
    ----------
    active, control : str
        The two treatments.
    treatment, period, time : str
        Columns.
    """

    active: str
    control: str
    treatment: str = "treatment"
    period: str = "period"
    time: str = "time_min"

    @property
    def columns(self) -> dict[str, str]:
        """Column of sessions.tsv by column of the group table."""
        return dict(zip(DESIGN_COLUMNS, (self.treatment, self.period, self.time), strict=True))


def crossover_sessions(bids: Path, treatment: str) -> dict[str, str]:
    """Find the sessions that have a treatment in anybody's sessions.tsv.

    Parameters
    ----------
    bids : Path
        The dataset folder.
    treatment : str
        Column.

    Returns
    -------
    dict of label to session
        Such as ``{"01": "ses-01"}``, in the order of the tables.

    Raises
    ------
    DatasetError
        If there is none.
    """
    reader = Reader(bids)
    found: dict[str, str] = {}
    paths = sorted(bids.glob("sub-*/sub-*_sessions.tsv"))
    for path in paths:
        table = reader.table(path, ("session_id",))
        if table is None or treatment not in table:
            continue
        for session in table.loc[table[treatment].notna(), "session_id"]:
            label = with_prefix("ses", session)
            found.setdefault(label.removeprefix("ses-"), label)
    if not found:
        raise DatasetError(
            str(bids),
            f"no session with a value of {treatment} in {len(paths)} sessions.tsv",
            "the treatment of every session of the crossover",
            "add the column, or name it in crossover: treatment",
        )
    return found


def sequences(table: pd.DataFrame, treatments: Sequence[str]) -> pd.Series[str]:
    """Name the order of treatments of the person of every row.

    Parameters
    ----------
    table : DataFrame
        participant_id, treatment and period.
    treatments : (active, control)

    Returns
    -------
    Series
        Such as ``ketamine-placebo``; missing where a person's sessions do not tell.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": ["a", "a", "b"], "period": [1, 2, 2],
    ...     "treatment": ["placebo", "ketamine", "placebo"]})
    >>> sequences(table, ["ketamine", "placebo"]).tolist()
    ['placebo-ketamine', 'placebo-ketamine', 'ketamine-placebo']
    """
    known = table[table["treatment"].isin(treatments) & table["period"].notna()]
    periods = sorted(known["period"].astype(str).unique())
    other = dict(zip(treatments, reversed(treatments), strict=True))
    order: dict[str, str] = {}
    for person, rows in known.groupby("participant_id"):
        given = {
            given if str(period) == periods[0] else other[given]
            for given, period in zip(rows["treatment"], rows["period"], strict=True)
        }
        if len(given) == 1:
            first = given.pop()
            order[str(person)] = f"{first}-{other[first]}"
    return table["participant_id"].map(order)


def design_values(columns: Mapping[str, object], where: CrossoverColumns) -> list[object]:
    """Treatment, period and time of a session, None where not told."""
    return [columns.get(name) for name in where.columns.values()]
