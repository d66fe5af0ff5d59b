"""Which outcomes are corrected together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from petfmri.errors import InputError
from petfmri.statistics.pairing import Paired, did_you_mean
from petfmri.statistics.visits import Visits

OF_ONE = ("primary", "global", "symptoms")
"""Families of one outcome, where there is nothing to correct for."""

DETAILED = ("regions", "network details")
"""Families of single regions and networks, too many to look at each."""


@dataclass(frozen=True)
class Wanted:
    """What a study compares.

    Attributes
    ----------
    primary : str or None
        The one outcome that was declared before looking: ``measure:region``, ``measure:roi`` or a
        column of the sessions table. None if it is none of these tables.
    measures : sequence of str
        Columns of the regional table.
    networks, network_details : sequence of str
        Columns of the sessions table: of the whole brain, and of single networks and their pairs.
    symptom : str, optional
        Column of the sessions table that holds the symptom score.
    """

    primary: str | None
    measures: Sequence[str] = ("suvr",)
    networks: Sequence[str] = ()
    network_details: Sequence[str] = field(default=())
    symptom: str | None = None

    def metrics(self, sessions: pd.DataFrame) -> list[str]:
        """Columns of the sessions table among them, each once."""
        everywhere = [name for name in (f"{m}_grey" for m in self.measures) if name in sessions]
        wanted = [*self.networks, *self.network_details, *everywhere, self.symptom, self.primary]
        names = [name for name in dict.fromkeys(wanted) if name and ":" not in name]
        if self.primary in names and self.primary not in sessions:
            names.remove(self.primary)
        return names


def families(paired: Paired | Visits, wanted: Wanted) -> dict[tuple[str, str], list[str]]:
    """Outcomes by (family, label); an outcome is in the first family that claims it.

    Raises
    ------
    InputError
        If the primary outcome is unknown.
    """
    primary, measures = wanted.primary, wanted.measures
    if primary is not None and primary not in paired.outcomes.index:
        raise InputError(
            f"primary outcome {primary}",
            "no such outcome",
            "measure:region, measure:roi or a column of the sessions table",
            did_you_mean(primary, paired.outcomes.index),
        )
    claims: dict[tuple[str, str], Sequence[str]] = {
        ("primary", "primary"): [primary] if primary else []
    }
    everywhere = [f"{measure}_grey" for measure in measures]
    claims["global", "global"] = [name for name in everywhere if name in paired.outcomes.index]
    claims["symptoms", "symptoms"] = [wanted.symptom] if wanted.symptom else []
    for family, kind in (("roi", "roi"), ("regions", "region")):
        for measure in measures:
            claims[family, f"{family} ({measure})"] = paired.names(kind, measure)
    claims["networks", "networks"] = wanted.networks
    claims["network details", "single networks"] = wanted.network_details
    taken: set[str] = set()
    found = {}
    for key, outcomes in claims.items():
        fresh = [name for name in outcomes if name not in taken]
        taken.update(fresh)
        if fresh:
            found[key] = fresh
    return found
