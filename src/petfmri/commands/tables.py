"""The group tables that every analysis reads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import pandas as pd

from petfmri.commands.context import crossover_columns
from petfmri.config import Study
from petfmri.errors import DatasetError, PetfmriError
from petfmri.networks.comparability import CIRCUMSTANCES, CONDITIONS
from petfmri.networks.registry import NODAL, metrics_for
from petfmri.pet.activity import injected_activity
from petfmri.pet.suvr import volume_weighted_mean
from petfmri.study.bids import Cohort, Session
from petfmri.study.files import read_table, write_table
from petfmri.study.group import REGION_COLUMNS, SESSION_COLUMNS, region_rows, session_row
from petfmri.study.layout import Names
from petfmri.study.quality import QUALITY_COLUMNS, quality_table
from petfmri.study.tables import cohort_table


def write_group_tables(
    study: Study, cohort: Cohort, names: Sequence[Names], atlas: pd.DataFrame
) -> None:
    """Assemble the tables of regions, sessions and quality from delivered results."""
    score = study.symptoms.score if study.symptoms else None
    described = cohort_table(
        cohort,
        dose=study.columns.dose,
        arm=study.columns.arm,
        days=study.columns.days,
        score=score,
        crossover=crossover_columns(study),
    )
    regions, measured, scores = [], [], []
    for person in names:
        sessions = cohort.participant(person.sub).sessions
        runs_of = {s.id: [scan.entities.get("run") for scan in s.bold] for s in sessions}
        scores.append(quality_table(person, runs_of))
        for session in sessions:
            rows = region_rows(person, session.id, atlas, runs=runs_of[session.id])
            regions.append(rows)
            grey = grey_matter(rows, f"{person.sub} {session.id}")
            extra = {} if grey is None else {"suvr_grey": grey}
            measured.append(session_row(person, session.id) | extra | _injected(session))
    table = described.merge(pd.DataFrame(measured), on=["participant_id", "session_id"], how="left")
    group = study.output / "group"
    write_table(pd.concat(regions, ignore_index=True), group / "regions.tsv", region_columns())
    write_table(
        table,
        group / "sessions.tsv",
        session_columns(list(table), atlas, score, list(study.regions_of_interest)),
    )
    quality = pd.concat(scores, ignore_index=True)
    if not quality.empty:
        write_table(quality, group / "quality.tsv", QUALITY_COLUMNS)


def _injected(session: Session) -> dict[str, float]:
    """Read the injected activity, where a sidecar states a usable one."""
    for scan in session.pet:
        with suppress(PetfmriError):
            return {"injected_mbq": injected_activity(scan.sidecar)}
    return {}


def flagged_scores(study: Study, people: Sequence[str]) -> list[str]:
    """Say which scores of some people leave their usual limits."""
    path = study.output / "group" / "quality.tsv"
    if not path.exists():
        return []
    table = read_table(path)
    flagged = table[table["participant_id"].isin(people) & table["flag"].notna()]
    return [
        f"{row.participant_id}, "
        + " ".join(str(part) for part in (row.session_id, row.image, row.run) if pd.notna(part))
        + f": {row.description}: {row.value:.3g} {row.unit}, {row.flag}"
        for row in flagged.itertuples()
    ]


def region_columns() -> dict[str, dict[str, str]]:
    """Describe the columns of the table of regions."""
    nodal = {
        metric.name: {
            "LongName": metric.label,
            "Description": metric.description,
            "Units": metric.unit,
        }
        for metric in NODAL
    }
    return {name: dict(text) for name, text in REGION_COLUMNS.items()} | nodal


def session_columns(
    present: Sequence[str], atlas: pd.DataFrame, score: str | None, rois: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Describe the columns of the session table."""
    described = (SESSION_COLUMNS, CONDITIONS, CIRCUMSTANCES)
    columns = {name: dict(text) for texts in described for name, text in texts.items()}
    for metric in metrics_for(list(atlas["network"]), rois):
        columns[metric.name] = {
            "LongName": metric.label,
            "Description": metric.description,
            "Units": metric.unit,
        }
    if score:
        columns[score] = {"Description": f"Symptom score {score}; a fall is an improvement"}
    return {name: text for name, text in columns.items() if name in present}


def read_group_tables(study: Study, outcome: str = "suvr") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the regional and the session table of an earlier `run`.

    Raises
    ------
    DatasetError
        If they are not there.
    """
    group = study.output / "group"
    if not (group / "sessions.tsv").exists():
        raise DatasetError(
            str(group), "no sessions.tsv", "the tables of a run", "call `petfmri run` first"
        )
    regions = read_table(group / "regions.tsv", ["participant_id", "session_id", "region"])
    if outcome not in regions:
        raise DatasetError(
            str(group / "regions.tsv"),
            f"no column {outcome}",
            "the outcome that pet: declares",
            "call `petfmri quantify`",
        )
    return regions, read_table(group / "sessions.tsv", ["participant_id", "session_id", "role"])


def network_columns(
    sessions: pd.DataFrame,
    atlas_networks: Sequence[str],
    rois: Sequence[str] = (),
    family: Literal["core", "detail"] = "core",
) -> list[str]:
    """List the network metrics that the session table has."""
    return [
        metric.name
        for metric in metrics_for(list(atlas_networks), rois)
        if metric.name in sessions and metric.family == family
    ]


def grey_matter(rows: pd.DataFrame, where: str) -> float | None:
    """Average SUVR over the grey matter; where too little of it was seen, warn and give none."""
    seen = rows[rows["volume_mm3"] > 0].set_index("region")
    if seen["suvr"].isna().all():
        return None
    try:
        return volume_weighted_mean(seen["suvr"], seen["volume_mm3"], f"{where}: grey matter")
    except DatasetError as error:
        print(f"warning: {error} The session has no global mean.", file=sys.stderr)
        return None
