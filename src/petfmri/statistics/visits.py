"""From the tidy tables to one value per visit and outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.pairing import PERSON, SESSION, did_you_mean, numbers
from petfmri.typing import FloatArray


@dataclass(frozen=True)
class Visits:
    """Values of every session.

    Attributes
    ----------
    values : array of shape (n_sessions, n_outcomes)
        Rows as in the table of sessions; NaN where not measured.
    outcomes : DataFrame
        Indexed by outcome: kind (roi | region | session | connection), measure, region, network.
    """

    values: FloatArray
    outcomes: pd.DataFrame

    def names(self, kind: str, measure: str | None = None) -> list[str]:
        """Outcomes of one kind, and of one measure if given."""
        chosen = self.outcomes["kind"] == kind
        if measure is not None:
            chosen &= self.outcomes["measure"] == measure
        return [str(name) for name in self.outcomes.index[chosen]]

    def columns(self, names: Sequence[str]) -> FloatArray:
        """Values of some outcomes, shape (n_sessions, len(names))."""
        return self.values[:, self.outcomes.index.get_indexer(pd.Index(list(names)))]


def visit_values(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    *,
    rois: Mapping[str, Sequence[str]] | None = None,
    measures: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> Visits:
    """Gather regional measures, their means over regions of interest, and session metrics.

    Parameters
    ----------
    regions : DataFrame or None
        ``group/regions.tsv``.
    sessions : DataFrame
        ``group/sessions.tsv``.
    rois : mapping of name to region names
        The value is the plain mean, missing if one region is.
    measures, metrics : sequence of str
        Columns of `regions` and of `sessions`.

    Raises
    ------
    StatisticsError
        If a column is absent, a region is given twice for a session, or a value is text or
        infinite.
    """
    described, found = [], []
    for measure in measures if regions is not None else ():
        assert regions is not None
        table = _regional(regions, sessions, measure)
        means = pd.DataFrame(
            {name: table[list(members)].mean(axis=1, skipna=False) for name, members in (rois or {}).items()},
            index=table.index,
        )  # fmt: skip
        network = pd.Series(dtype=object)
        if "network" in regions:
            network = regions.drop_duplicates("region").set_index("region")["network"]
        for kind, part in (("roi", means), ("region", table)):
            names = [str(name) for name in part]
            about: dict[str, Any] = {"kind": kind, "measure": measure, "region": names}
            about["network"] = network.reindex(names).tolist() if kind == "region" else None
            described.append(pd.DataFrame(about, index=[f"{measure}:{name}" for name in names]))
            found.append(part.to_numpy(float))
    missing = [name for name in metrics if name not in sessions]
    if missing:
        raise StatisticsError(
            "sessions",
            f"no column {', '.join(missing)}",
            "the columns that the study names",
            did_you_mean(missing[0], map(str, sessions.columns)),
        )
    if metrics:
        about = dict[str, Any](kind="session", measure=list(metrics), region=None, network=None)
        described.append(pd.DataFrame(about, index=list(metrics)))
        values = numbers(_by_visit(sessions)[list(metrics)], "sessions")
        found.append(values.to_numpy(float))
    if not found:
        raise StatisticsError("comparison", "no outcome", "measures or metrics", "name some")
    return Visits(np.hstack(found), pd.concat(described))


def _regional(regions: pd.DataFrame, sessions: pd.DataFrame, measure: str) -> pd.DataFrame:
    keys = [PERSON, SESSION, "region"]
    lacking = [name for name in (*keys, measure) if name not in regions]
    twice = regions[regions.duplicated(keys)] if not lacking else regions
    if lacking or len(twice):
        raise StatisticsError(
            "regions",
            f"no column {', '.join(lacking)}" if lacking else f"{' '.join(twice.iloc[0][keys])} twice",
            "one row per region and session",
            "call `petfmri run` again",
        )  # fmt: skip
    order = list(dict.fromkeys(regions["region"].astype(str)))
    read = numbers(regions.set_index(keys)[[measure]], "regions")
    table = (
        regions.assign(**{measure: read[measure].to_numpy()})
        .pivot_table(
            index=[PERSON, SESSION], columns="region", values=measure, dropna=False, aggfunc="first"
        )
        .reindex(columns=order)
    )
    return table.reindex(pd.MultiIndex.from_frame(sessions[[PERSON, SESSION]]))


def _by_visit(sessions: pd.DataFrame) -> pd.DataFrame:
    """Name rows by person and session, where the table has both, for messages."""
    known = {PERSON, SESSION} <= set(sessions)
    return sessions.set_index([PERSON, SESSION]) if known else sessions
