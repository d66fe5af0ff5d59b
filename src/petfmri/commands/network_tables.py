"""The tables of `petfmri networks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from petfmri.bold.sessions import Run
from petfmri.commands.context import side_by_side
from petfmri.commands.network_inputs import Loaded
from petfmri.commands.network_person import (
    LEAST_PART,
    Options,
    Part,
    PersonNetworks,
    measure_parts,
    repeats,
)
from petfmri.errors import DatasetError, PetfmriError
from petfmri.networks.comparability import incomparable
from petfmri.networks.connectivity import fisher_z
from petfmri.networks.gradients import (
    GRADIENT_METRICS,
    aligned_gradients,
    gradient_metrics,
    gradients,
)
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.reliability import icc, spearman_brown
from petfmri.typing import FloatArray

RELIABILITY_COLUMNS = {
    "metric": {"Description": "Network metric"},
    "kind": {
        "Description": "Of the session before. half: halves of its first run; run: its first two runs"
    },
    "n": {"Description": "Persons"},
    "frames": {"Description": "Frames of every half or run, those of the shortest"},
    "df_low": {"Description": "Least effective degrees of freedom of a half or run"},
    "df_high": {"Description": "Most; where they differ, NGSC tells persons apart by them, too"},
    "icc": {"Description": "ICC(A,1), of one half or run"},
    "icc_low": {"Description": "Lower end of its 95 % interval"},
    "icc_high": {"Description": "Upper end of its 95 % interval"},
    "icc_whole": {"Description": "Of halves: ICC of both together by Spearman and Brown"},
}
FC_CHANGE_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "fc_change": {
        "Description": "Distance of connectivity between halves of pre and post over that between "
        "the halves of pre, each cleaned by itself: 1 is no more change than within the session "
        "before. Left out where halves have too few degrees of freedom"
    },
}
EXCLUDED_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "run": {"Description": "Run that was left out"},
    "reason": {"Description": "What it has, and what it should have"},
}
MISSING_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "run": {"Description": "Run in which the parcel has no signal"},
    "region": {"Description": "Parcel, which is left out of all sessions of the person"},
    "reason": {"Description": "Why"},
}
GRADIENT_COLUMNS = {
    metric.name: {
        "LongName": metric.label,
        "Description": metric.description,
        "Units": metric.unit,
    }
    for metric in GRADIENT_METRICS
}


def sessions_table(
    loaded: Loaded, results: Sequence[PersonNetworks], roles: Sequence[str], study: str
) -> tuple[pd.DataFrame, list[str]]:
    """Make one row per session, gradients included, and say what has no gradients.

    Raises
    ------
    DatasetError
        If sessions of a person were measured under different conditions.
    """
    named = dict(zip(roles, ("pre", "post")))
    rows, matrices = [], {}
    for person, result in zip(loaded.people, results, strict=True):
        for session, found in result.measured.items():
            role = named.get(session, session.removeprefix("ses-"))
            who = {"participant_id": person.id, "session_id": session, "role": role}
            rows.append({**who, **found.row, "atlas": loaded.name})
            matrices[person.id, session] = found.connectivity
    flattened, notes = _gradients(matrices, loaded.atlas)
    table = pd.DataFrame(
        [{**row, **flattened.get((row["participant_id"], row["session_id"]), {})} for row in rows],
        columns=None if rows else ["participant_id", "session_id", "role", "n_frames"],
    )
    unequal = incomparable(table, study)
    if unequal:
        raise DatasetError.of(unequal)
    return table, notes


def _gradients(
    matrices: Mapping[tuple[str, str], FloatArray], atlas: pd.DataFrame
) -> tuple[dict[tuple[str, str], dict[str, float]], list[str]]:
    """Measure the principal gradient of every session that has one, aligned to one template."""
    cortex = (atlas["structure"] == "cortex").to_numpy()
    labels = atlas["network"][cortex].tolist()
    usable: dict[tuple[str, str], FloatArray] = {}
    without: dict[str, list[str]] = {}
    for who, r in matrices.items():
        z = fisher_z(r[np.ix_(cortex, cortex)])
        try:
            gradients(z)
        except PetfmriError as error:
            without.setdefault(error.problems[0].found, []).append(" ".join(who))
        else:
            usable[who] = z
    notes = [
        f"No gradients of {len(people)} of {len(matrices)} sessions, for {found} among the strongest "
        f"tenth of each parcel's connections: {', '.join(people)}."
        for found, people in without.items()
    ]
    try:
        aligned = aligned_gradients(list(usable.values()), labels) if usable else []
    except PetfmriError as error:
        found = error.problems[0].found
        return {}, [f"No gradients: their template, the mean over sessions, has {found}."]
    values = [gradient_metrics(one.values, labels) for one in aligned]
    return dict(zip(usable, values, strict=True)), notes


def regions_table(loaded: Loaded, results: Sequence[PersonNetworks]) -> pd.DataFrame:
    """Make one row per parcel and session, with the nodal metrics."""
    tables = []
    for person, result in zip(loaded.people, results, strict=True):
        for session, found in result.measured.items():
            nodes = found.nodes.rename(columns={"name": "region"})
            nodes.insert(0, "session_id", session)
            nodes.insert(0, "participant_id", person.id)
            nodes.insert(3, "network", loaded.atlas["network"].to_numpy())
            tables.append(nodes)
    return pd.concat(tables, ignore_index=True)


def excluded_table(loaded: Loaded, results: Sequence[PersonNetworks]) -> pd.DataFrame:
    """List the runs that were left out."""
    return pd.DataFrame(
        [
            {"participant_id": person.id, "run": run, "reason": reason}
            for person, result in zip(loaded.people, results, strict=True)
            for run, reason in result.excluded.items()
        ]
    )


def missing_table(loaded: Loaded) -> pd.DataFrame:
    """List the parcels without a signal."""
    names = list(loaded.atlas["name"])
    return pd.DataFrame(
        [
            {"participant_id": person.id, "run": run.name, "region": names[k], "reason": reason}
            for person in loaded.people
            for runs in person.sessions.values()
            for run in runs
            for k, reason in run.missing.items()
        ]
    )


def fc_change_table(loaded: Loaded, results: Sequence[PersonNetworks]) -> pd.DataFrame:
    """Make one row per person who has both sessions."""
    values = {
        person.id: result.fc_change for person, result in zip(loaded.people, results, strict=True)
    }
    return pd.DataFrame(values.items(), columns=["participant_id", "fc_change"]).dropna()


def reliability_table(
    loaded: Loaded,
    results: Sequence[PersonNetworks],
    metrics: Sequence[str],
    options: Options,
    n_procs: int,
) -> pd.DataFrame:
    """How alike halves and runs of the session before are, over persons.

    Metrics move with the number of frames: all parts of all persons have that of the shortest.

    Returns
    -------
    DataFrame
        Columns as `RELIABILITY_COLUMNS`; empty below 3 persons.
    """
    rows = []
    for kind in ("half", "run"):
        asked = [
            (person.sessions[before], parts[kind])
            for person, result in zip(loaded.people, results, strict=True)
            if (before := _before(result, options)) is not None
            and kind in (parts := repeats(result.cleaned[before]))
        ]
        n_frames = min((kept.size for _, parts in asked for _, kept in parts), default=0)
        if len(asked) < MIN_PERSONS or n_frames < LEAST_PART:
            continue
        work = partial(_parts, n_frames=n_frames, atlas=loaded.atlas, options=options)
        found = [parts for parts in side_by_side(asked, work, n_procs) if parts is not None]
        df = [float(str(part["df_effective"])) for parts in found for part in parts]
        shared = {"kind": kind, "frames": n_frames}
        rows += [
            {"metric": metric, **shared, "df_low": min(df), "df_high": max(df), **agreement}
            for metric in metrics
            if (agreement := _agreement(found, metric, halves=kind == "half"))
        ]
    return pd.DataFrame(rows)


def _before(result: PersonNetworks, options: Options) -> str | None:
    """Name the session before the dose; in a crossover, the first that counts."""
    if options.roles:
        return options.roles[0] if options.roles[0] in result.cleaned else None
    return next(iter(result.cleaned), None)


def _parts(
    asked: tuple[Sequence[Run], Sequence[Part]],
    *,
    n_frames: int,
    atlas: pd.DataFrame,
    options: Options,
) -> list[Mapping[str, object]] | None:
    return measure_parts(*asked, n_frames, atlas, options)


def _agreement(
    found: Sequence[Sequence[Mapping[str, object]]], metric: str, *, halves: bool
) -> dict[str, float]:
    """Compute the reliability of one metric; nothing where too few persons have it."""
    values = pd.DataFrame([[part.get(metric) for part in parts] for parts in found])
    values = values.astype(float).dropna()
    if len(values) < MIN_PERSONS or values.shape[1] < 2:
        return {}
    same = icc(values.to_numpy())
    whole = spearman_brown(same.icc) if halves and same.icc > 0 else np.nan
    ends = {"icc": same.icc, "icc_low": same.low, "icc_high": same.high}
    return {"n": same.n, **ends, "icc_whole": whole}
