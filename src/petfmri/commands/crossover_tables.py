"""The tables of a crossover: read, told apart by visit, and with their connectivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.atlases.connections import load_connections
from petfmri.commands.compare_edges import relmat
from petfmri.commands.context import (
    cohort_of,
    crossover_columns,
    group_folder,
)
from petfmri.config import Study
from petfmri.errors import DatasetError
from petfmri.networks.connections import connection_means
from petfmri.networks.connectivity import fisher_z
from petfmri.statistics.connections import ConnectionOutcomes, connection_outcomes
from petfmri.study.files import read_table
from petfmri.study.tables import cohort_table
from petfmri.typing import FloatArray


def with_design(study: Study, sessions: pd.DataFrame) -> pd.DataFrame:
    """Add treatment, period, time and sequence to a table of sessions."""
    described = cohort_table(cohort_of(study), crossover=crossover_columns(study))
    keys, design = ["participant_id", "session_id"], ["treatment", "period", "time", "sequence"]
    return sessions.merge(described[[*keys, *design]], on=keys, how="left")


def crossover_tables(study: Study) -> tuple[pd.DataFrame | None, pd.DataFrame]:
    """Read the tables of `run`, or where there was none, of `networks`.

    Returns
    -------
    regions : DataFrame or None
    sessions : DataFrame

    Raises
    ------
    DatasetError
        If neither has been called.
    """
    for folder in (group_folder(study), group_folder(study, "networks")):
        if (folder / "sessions.tsv").exists():
            sessions = read_table(folder / "sessions.tsv", ["participant_id", "session_id"])
            regions = folder / "regions.tsv"
            return (read_table(regions) if regions.exists() else None), sessions
    raise DatasetError(
        str(group_folder(study)),
        "no sessions.tsv",
        "the tables of `petfmri run` or `petfmri networks`",
        "call one of them first",
    )


@dataclass(frozen=True)
class SessionMatrices:
    """Connectivity of every session.

    Attributes
    ----------
    z : array of shape (n_sessions, n_parcels, n_parcels), Fisher z
        NaN where a session has no matrix.
    parcels : list of str
    """

    z: FloatArray
    parcels: list[str]

    @property
    def edges(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values of shape (n_sessions, n_edges), and the rows and columns of the edges."""
        rows, columns = np.triu_indices(len(self.parcels), 1)
        return self.z[:, rows, columns], rows, columns


def session_matrices(study: Study, sessions: pd.DataFrame) -> SessionMatrices | None:
    """Read the Pearson correlations of the sessions that have them; None if none has."""
    found: dict[int, FloatArray] = {}
    parcels: list[str] = []
    keys = zip(sessions["participant_id"], sessions["session_id"], strict=True)
    for row, (person, session) in enumerate(keys):
        path = _matrix(study, str(person), str(session))
        if path is None:
            continue
        table = read_table(path, ["name"]).set_index("name")
        names = table.index.astype(str).tolist()
        if parcels and names != parcels:
            raise DatasetError(
                str(path), "other parcels", "those of the other sessions", "call networks again"
            )
        parcels = names
        found[row] = fisher_z(table.to_numpy(float))
    if not found:
        return None
    z = np.full((len(sessions), len(parcels), len(parcels)), np.nan)
    for row, matrix in found.items():
        z[row] = matrix
    return SessionMatrices(z, parcels)


def _matrix(study: Study, person: str, session: str) -> Path | None:
    """Find the correlations over the study's atlas, else the only ones there are."""
    path = relmat(study, person, session)
    if path is not None:
        return path
    folder = study.output / person / session / "func"
    found = list(folder.glob("*_stat-pearsoncorrelation_relmat.tsv"))
    return found[0] if len(found) == 1 else None


def study_connections(
    study: Study, matrices: SessionMatrices | None
) -> tuple[ConnectionOutcomes, Sequence[str]] | None:
    """Measure the connections of interest of every session, and gather what their lists note.

    Raises
    ------
    DatasetError
        If the study names some and there are no matrices.
    """
    if not study.connections:
        return None
    if matrices is None:
        raise DatasetError(
            "connections",
            "no matrices of correlations",
            "those of `petfmri run` or `petfmri networks`",
            "call one of them first",
        )
    chosen = load_connections(study.connections, pd.DataFrame({"name": matrices.parcels}))
    nodes = [(one.a, one.b) for one in chosen]
    values = np.array([connection_means(z, nodes) for z in matrices.z])
    found = connection_outcomes(values, [one.group for one in chosen], [one.name for one in chosen])
    notes = dict.fromkeys(f"{one.group}: {one.note}." for one in chosen if one.note)
    return found, list(notes)
