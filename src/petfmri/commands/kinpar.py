"""The tidy tables made of the regional outcomes that another tool estimated."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from petfmri.config import Study
from petfmri.errors import DatasetError
from petfmri.study.files import read_table, write_table
from petfmri.study.group import REGION_COLUMNS, SESSION_COLUMNS
from petfmri.study.kinpar import find_kinpars, one_measure, read_kinpar
from petfmri.study.names import bids_label, with_prefix


def kinpar_tables(study: Study, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make ``group/regions.tsv`` and ``group/sessions.tsv`` of ``_kinpar.tsv`` files.

    Taken are the tables of the model that the study declares, and of its tracer if it names one.

    Raises
    ------
    DatasetError
        If there are none, or they differ in measure, reference region, correction or tracer: the
        message names both files.
    """
    tracer = {"trc": bids_label(study.pet.tracer)} if study.pet.tracer else {}
    tables = [read_kinpar(path) for path in find_kinpars(folder, **tracer)]
    models = sorted({str(name) for table in tables for name in table["model"].unique()})
    chosen = [table for table in tables if _same(table["model"].iloc[0], study.pet.model)]
    if not chosen:
        raise DatasetError(
            str(folder),
            f"tables of {', '.join(models)}",
            f"of {study.pet.model}, as pet.model says",
            "set pet.model to one of them",
        )
    rows = one_measure(chosen, study.pet.outcome.upper())
    roles = {with_prefix("ses", getattr(study.sessions, role)): role for role in ("pre", "post")}
    rows = rows.assign(
        participant_id=[with_prefix("sub", name) for name in rows["participant"]],
        session_id=[with_prefix("ses", name) for name in rows["session"]],
        network=None,
    )
    rows = rows[rows["session_id"].isin(list(roles))].rename(columns={"value": study.pet.outcome})
    if rows.empty:
        raise DatasetError(
            str(folder), "none of these sessions", ", ".join(roles), "correct sessions:"
        )
    regions = rows[["participant_id", "session_id", "region", "network", study.pet.outcome]]
    sessions = regions[["participant_id", "session_id"]].drop_duplicates()
    sessions = sessions.assign(role=sessions["session_id"].map(roles))
    group = study.output / "group"
    described = {study.pet.outcome: {"Description": f"As estimated by {study.pet.model}"}}
    write_table(regions, group / "regions.tsv", {**REGION_COLUMNS, **described})
    write_table(sessions, group / "sessions.tsv", SESSION_COLUMNS)
    return read_table(group / "regions.tsv"), read_table(group / "sessions.tsv")


def _same(a: object, b: str) -> bool:
    return bids_label(str(a)).lower() == bids_label(b).lower()
