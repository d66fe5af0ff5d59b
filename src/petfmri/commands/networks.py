"""`petfmri networks`: denoising, connectivity and desynchronization, as tables, maps and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd

from petfmri.commands.compare import COMPARISON_COLUMNS
from petfmri.commands.context import cleaning_of, group_folder, n_cores, resolved, rois_of
from petfmri.commands.network_choices import (
    MULTIVERSE_COLUMNS,
    NetworkChoice,
    described,
    network_choices,
)
from petfmri.commands.network_inputs import Loaded, Person, load_runs, network_problems
from petfmri.commands.network_maps import write_session_maps
from petfmri.commands.network_person import Options, PersonNetworks, person_networks
from petfmri.commands.tables import network_columns, region_columns, session_columns
from petfmri.config import AtlasFiles, Study, load_study
from petfmri.errors import ConfigError, DatasetError, PetfmriError
from petfmri.networks.comparability import incomparable
from petfmri.networks.connectivity import fisher_z
from petfmri.networks.gradients import GRADIENT_METRICS, aligned_gradients, gradient_metrics
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.prepost import Comparison
from petfmri.statistics.prepost import compare as compare_tables
from petfmri.statistics.reliability import icc, spearman_brown
from petfmri.study.files import write_table, write_text
from petfmri.study.names import derivative_path, write_dataset_description

RELIABILITY_COLUMNS = {
    "metric": {"Description": "Network metric"},
    "kind": {"Description": "half: halves of the session before; run: its runs"},
    "n": {"Description": "Persons"},
    "k": {"Description": "Measurements of each"},
    "icc": {"Description": "ICC(A,1), of one half or run"},
    "icc_low": {"Description": "Lower end of its 95 % interval"},
    "icc_high": {"Description": "Upper end of its 95 % interval"},
    "icc_whole": {"Description": "Of halves: ICC of the whole session by Spearman and Brown"},
}
FC_CHANGE_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "fc_change": {
        "Description": "Distance of connectivity between halves of pre and post over that between "
        "the halves of pre: 1 is no more change than within one scan",
    },
}
EXCLUDED_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "run": {"Description": "Run that was left out"},
    "reason": {"Description": "What it has, and what it should have"},
}
Tables: TypeAlias = Mapping[str, tuple[pd.DataFrame, Mapping[str, Mapping[str, str]]]]


def main(arguments: argparse.Namespace) -> int:
    """Measure the networks of `arguments.study`; 1 if a person is left without any session."""
    study = load_study(arguments.study)
    lost = networks(study, n_procs=n_cores(arguments.n_procs), maps=not arguments.no_maps)
    folder = group_folder(study, "networks")
    written = ", ".join(path.name for path in sorted(folder.glob("*.tsv")))
    print(f"Written to {folder}: {written} and networks.html")
    for line in lost:
        print(f"left out: {line}", file=sys.stderr)
    return 0


def networks(study: Study, *, n_procs: int = 1, maps: bool = True) -> list[str]:
    """Measure every person, write tables, matrices, maps and the page; return what was left out.

    Raises
    ------
    ConfigError
        If the configuration does not fit what is there.
    DatasetError
        If nobody has a session that counts.
    """
    problems = network_problems(study)
    if problems:
        raise ConfigError.of(problems)
    chosen = network_choices(study)
    loaded = load_runs(study, study.atlas)
    results = _measured(study, loaded, chosen[0], n_procs)
    excluded = [
        {"participant_id": person.id, "run": run, "reason": reason}
        for person, result in zip(loaded.people, results, strict=True)
        for run, reason in result.excluded.items()
    ]
    if not any(result.measured for result in results):
        raise DatasetError(
            study.name,
            "; ".join(f"{row['run']}: {row['reason']}" for row in excluded),
            "a session that counts",
            "choose a smaller strategy or lower bold: minimum_kept_s, knowing what that means",
        )
    sessions, notes = _sessions(study, loaded, results)
    rois = list(study.regions_of_interest)
    metrics = network_columns(sessions, sorted(set(loaded.atlas["network"])), rois)
    metrics += [metric.name for metric in GRADIENT_METRICS if metric.name in sessions]
    many = _multiverse(study, chosen, sessions, metrics, n_procs)
    compared = _compare(study, sessions, metrics)
    before = f"ses-{study.sessions.pre}"
    tables = {
        "sessions": (sessions, session_columns(list(sessions), loaded.atlas, None, rois)),
        "regions": (_regions(loaded, results), region_columns()),
        "excluded": (pd.DataFrame(excluded), EXCLUDED_COLUMNS),
        "fc_change": (_fc_change(loaded, results), FC_CHANGE_COLUMNS),
        "reliability": (reliability_table(loaded, results, metrics, before), RELIABILITY_COLUMNS),
        "multiverse": (many, MULTIVERSE_COLUMNS),
        "comparisons": (compared.comparisons if compared else pd.DataFrame(), COMPARISON_COLUMNS),
        "changes": (compared.changes if compared else pd.DataFrame(), COMPARISON_COLUMNS),
    }
    _write(study, tables)
    _write_matrices(study, loaded, results)
    if maps and study.connectivity.maps:
        _write_maps(study, loaded, results)
    _page(study, loaded.source, tables, compared, [*loaded.notes, *notes])
    return [f"{row['run']}: {row['reason']}" for row in excluded]


def _write(study: Study, tables: Tables) -> None:
    """Write the tables that have rows; those of an earlier call go."""
    folder = group_folder(study, "networks")
    for name, (table, columns) in tables.items():
        for suffix in (".tsv", ".json"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
        if not table.empty:
            write_table(table, folder / f"{name}.tsv", columns)
    write_text(resolved(study), folder / "study.yaml")


def _measured(
    study: Study, loaded: Loaded, choice: NetworkChoice, n_procs: int, *, whole: bool = True
) -> list[PersonNetworks]:
    """Clean and measure everybody."""
    options = Options(
        cleaning=choice.cleaning(cleaning_of(study.bold)),
        networks=study.networks or (),
        rois=rois_of(study, list(loaded.atlas["name"])),
        partial=study.connectivity.partial,
        roles=(f"ses-{study.sessions.pre}", f"ses-{study.sessions.post}"),
    )
    work = partial(_one, atlas=loaded.atlas, options=options, whole=whole)
    people = [replace(person, images={}) for person in loaded.people]  # workers need none
    if n_procs == 1 or len(loaded.people) == 1:
        return [work(person) for person in people]
    with ProcessPoolExecutor(min(n_procs, len(people))) as pool:
        return list(pool.map(work, people))


def _one(person: Person, *, atlas: pd.DataFrame, options: Options, whole: bool) -> PersonNetworks:
    return person_networks(person.sessions, atlas, options, sv2a=person.sv2a, whole=whole)


def _sessions(
    study: Study, loaded: Loaded, results: Sequence[PersonNetworks]
) -> tuple[pd.DataFrame, list[str]]:
    """Make one row per session, gradients included; refuse unequal sessions of one person."""
    roles = {f"ses-{getattr(study.sessions, role)}": role for role in ("pre", "post")}
    rows, matrices = [], []
    for person, result in zip(loaded.people, results, strict=True):
        for session, found in result.measured.items():
            who = {"participant_id": person.id, "session_id": session, "role": roles[session]}
            rows.append({**who, **found.row, "atlas": loaded.name})
            matrices.append(found.connectivity)
    gradients, notes = _gradients(matrices, loaded.atlas)
    table = pd.DataFrame(
        [{**row, **more} for row, more in zip(rows, gradients, strict=True)],
        columns=None if rows else ["participant_id", "session_id", "role", "n_frames"],
    )
    unequal = incomparable(table, study.name)
    if unequal:
        raise DatasetError.of(unequal)
    return table, notes


def _gradients(
    matrices: Sequence[np.ndarray], atlas: pd.DataFrame
) -> tuple[list[dict[str, float]], list[str]]:
    """Measure the principal gradient of every session, all aligned to one template."""
    cortex = (atlas["structure"] == "cortex").to_numpy()
    labels = atlas["network"][cortex].tolist()
    if not matrices:
        return [], []
    try:
        found = aligned_gradients([fisher_z(r[np.ix_(cortex, cortex)]) for r in matrices], labels)
    except PetfmriError as error:
        return [{} for _ in matrices], [f"No gradients: {error}"]
    return [gradient_metrics(one.values, labels) for one in found], []


def _regions(loaded: Loaded, results: Sequence[PersonNetworks]) -> pd.DataFrame:
    about = loaded.atlas.rename(columns={"name": "region"})
    tables = []
    for person, result in zip(loaded.people, results, strict=True):
        for session, found in result.measured.items():
            nodes = found.nodes.rename(columns={"name": "region"})
            nodes.insert(0, "session_id", session)
            nodes.insert(0, "participant_id", person.id)
            nodes.insert(3, "network", about["network"].to_numpy())
            tables.append(nodes)
    return pd.concat(tables, ignore_index=True)


def _write_matrices(study: Study, loaded: Loaded, results: Sequence[PersonNetworks]) -> None:
    """Write Pearson correlations, and partial ones if asked, beside those of `run`."""
    write_dataset_description(study.output, name=study.name, source=study.bids)
    for person, result in zip(loaded.people, results, strict=True):
        pearson = {name: found.connectivity for name, found in result.measured.items()}
        kinds = {"pearsoncorrelation": pearson, "partialcorrelation": result.partial}
        for stat, matrices in kinds.items():
            for session, matrix in matrices.items():
                table = pd.DataFrame(matrix, columns=loaded.atlas["name"])
                table.insert(0, "name", loaded.atlas["name"])
                path = derivative_path(
                    study.output,
                    sub=person.id,
                    ses=session,
                    datatype="func",
                    suffix="relmat",
                    extension=".tsv",
                    task=study.bold.task,
                    seg=loaded.name,
                    stat=stat,
                )
                write_table(table, path)


def _write_maps(study: Study, loaded: Loaded, results: Sequence[PersonNetworks]) -> None:
    """Write the maps of voxels of every session whose images are at hand."""
    names = list(loaded.atlas["name"])
    rois = {
        roi: [names.index(name) for name in members]
        for roi, members in rois_of(study, names).items()
    }
    told = {**cleaning_of(study.bold).conditions, "Atlas": loaded.name}
    for person, result in zip(loaded.people, results, strict=True):
        for session, cleaned in result.cleaned.items():
            if not any(person.images.get(session, ())):
                continue
            write_session_maps(
                person.images[session],
                person.sessions[session],
                cleaned,
                loaded.atlas["index"].tolist(),
                path=partial(
                    derivative_path,
                    study.output,
                    sub=person.id,
                    ses=session,
                    datatype="func",
                    suffix="boldmap",
                    extension=".nii.gz",
                    task=study.bold.task,
                ),
                rois=rois,
                sv2a=person.sv2a,
                told=told,
            )


def _fc_change(loaded: Loaded, results: Sequence[PersonNetworks]) -> pd.DataFrame:
    values = {
        person.id: result.fc_change for person, result in zip(loaded.people, results, strict=True)
    }
    table = pd.DataFrame(values.items(), columns=["participant_id", "fc_change"])
    return table.dropna()


def reliability_table(
    loaded: Loaded, results: Sequence[PersonNetworks], metrics: Sequence[str], session: str
) -> pd.DataFrame:
    """How alike halves and runs of the session before are, over persons.

    Returns
    -------
    DataFrame
        Columns as `RELIABILITY_COLUMNS`; empty below 3 persons.
    """
    parts = pd.DataFrame(
        [
            {"participant_id": person.id, **part}
            for person, result in zip(loaded.people, results, strict=True)
            for part in result.parts
            if part["session_id"] == session
        ]
    )
    rows: list[dict[str, object]] = []
    for kind, mine in parts.groupby("kind") if not parts.empty else ():
        for metric in metrics:
            if metric not in mine:
                continue
            values = mine.pivot_table(index="participant_id", columns="part", values=metric)
            values = values.dropna()
            if len(values) < MIN_PERSONS or values.shape[1] < 2:
                continue
            found = icc(values.to_numpy(float))
            row = {"metric": metric, "kind": kind, "n": found.n, "k": found.k, "icc": found.icc}
            row |= {"icc_low": found.low, "icc_high": found.high}
            whole = kind == "half" and found.icc > 0
            row["icc_whole"] = spearman_brown(found.icc) if whole else np.nan
            rows.append(row)
    return pd.DataFrame(rows)


def _multiverse(
    study: Study,
    chosen: Sequence[NetworkChoice],
    declared: pd.DataFrame,
    metrics: Sequence[str],
    n_procs: int,
) -> pd.DataFrame:
    """Describe the change of every metric by every choice, the declared one first."""
    people = sorted(set(declared["participant_id"]))
    loaded: dict[str | AtlasFiles, Loaded] = {}
    rows = []
    for number, choice in enumerate(chosen):
        sessions = declared
        if number:
            if choice.atlas not in loaded:
                loaded[choice.atlas] = load_runs(study, choice.atlas)
            mine = loaded[choice.atlas]
            sessions, _ = _sessions(
                study, mine, _measured(study, mine, choice, n_procs, whole=False)
            )
        rows += described(choice, sessions, metrics, people, declared=number == 0)
    return pd.DataFrame(rows)


def _compare(study: Study, sessions: pd.DataFrame, metrics: Sequence[str]) -> Comparison | None:
    """Test the changes, where enough persons have both sessions."""
    pairs = sessions.pivot_table(index="participant_id", columns="role", values="n_frames").dropna()
    if len(pairs) < MIN_PERSONS or pairs.shape[1] < 2:
        return None
    labels = sorted({name.removeprefix("within_fc_") for name in sessions if "within_fc_" in name})
    details = network_columns(sessions, labels, list(study.regions_of_interest), "detail")
    return compare_tables(
        None,
        sessions,
        primary=study.primary if study.primary in (*metrics, *details) else None,
        measures=(),
        networks=metrics,
        network_details=details,
        permutations=study.inference.permutations,
        seed=study.inference.seed,
    )


def _page(
    study: Study,
    source: str,
    tables: Tables,
    compared: Comparison | None,
    notes: Sequence[str],
) -> None:
    from petfmri.commands.overview import write_overview
    from petfmri.reports.networks_page import networks_page, verdict

    folder, sessions = group_folder(study, "networks"), tables["sessions"][0]
    ran = (group_folder(study) / "sessions.tsv").exists()
    shown = ("multiverse", "reliability", "fc_change", "excluded")
    networks_page(
        sessions,
        study=study.name,
        source=source,
        compared=compared,
        notes=notes,
        primary=study.primary,
        **{name: tables[name][0] for name in shown},
        overview=ran,
    ).save(folder / "networks.html")
    write_text(verdict(sessions, compared, study.primary) + "\n", folder / "verdict.txt")
    if ran:
        write_overview(study)
