"""Connections of interest of `petfmri compare`, before and after a dose."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from petfmri.commands.context import group_folder
from petfmri.commands.crossover_tables import session_matrices, study_connections
from petfmri.config import Study
from petfmri.statistics.connections import connection_changes, connection_losses, connection_notes
from petfmri.study.files import write_table

CONNECTION_COLUMNS = {
    "outcome": {"Description": "set:connection, mean of a set, or difference of two sets"},
    "family": {"Description": "Outcomes that are corrected together"},
    "n": {"Description": "Persons with both sessions"},
    "mean_pre": {"Description": "Mean before", "Units": "Fisher z"},
    "mean_post": {"Description": "Mean after", "Units": "Fisher z"},
    "change": {"Description": "Mean of post minus pre", "Units": "Fisher z"},
    "g": {"Description": "Hedges g of the paired change"},
    "g_low": {"Description": "Lower end of its 95 % interval (noncentral t)"},
    "g_high": {"Description": "Upper end of its 95 % interval (noncentral t)"},
    "t": {"Description": "Paired t"},
    "p": {"Description": "Two-sided sign-flip p, uncorrected"},
    "p_fwe": {"Description": "Family-wise p by the largest |t| of the family"},
    "p_smallest": {"Description": "Smallest p that this n can attain"},
    "arrangements": {"Description": "Sign flips evaluated"},
    "exact": {"Description": "Whether these are all sign flips"},
    "detectable_g": {"Description": "Effect seen with 80 % power at two-sided .05"},
}


@dataclass(frozen=True)
class ConnectionChanges:
    """What `compare` says of connections of interest: a table, and sentences."""

    table: pd.DataFrame
    notes: tuple[str, ...]


def compare_connections(study: Study, sessions: pd.DataFrame) -> ConnectionChanges | None:
    """Test the connections of interest of a pre/post study, and write ``connections.tsv``.

    Returns
    -------
    ConnectionChanges, or None if the study names no connections
    """
    if not study.connections:
        return None
    used = sessions[sessions["role"].isin(["pre", "post"])].reset_index(drop=True)
    found = study_connections(study, session_matrices(study, used))
    assert found is not None
    outcomes, told = found
    table = connection_changes(
        outcomes, used, permutations=study.inference.permutations, seed=study.inference.seed
    )
    if not table.empty:
        write_table(table, group_folder(study, "compare") / "connections.tsv", CONNECTION_COLUMNS)
    losses = connection_losses(outcomes, used)
    return ConnectionChanges(table, (*told, *connection_notes(outcomes.families), *losses))
