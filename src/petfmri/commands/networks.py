"""`petfmri networks`: denoising, connectivity and desynchronization, as tables, maps and a page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from petfmri.commands import network_tables as tables
from petfmri.commands.compare import COMPARISON_COLUMNS
from petfmri.commands.context import (
    cleaning_of,
    group_folder,
    n_cores,
    resolved,
    rois_of,
    session_roles,
    side_by_side,
)
from petfmri.commands.crossover_tables import with_design
from petfmri.commands.network_checks import (
    name_problems,
    network_name_problems,
    network_problems,
    strategy_problems,
)
from petfmri.commands.network_choices import (
    MULTIVERSE_COLUMNS,
    NetworkChoice,
    described,
    network_choices,
)
from petfmri.commands.network_files import (
    remove_earlier,
    write_maps,
    write_matrices,
    write_record,
)
from petfmri.commands.network_inputs import Loaded, Person, load_runs
from petfmri.commands.network_person import Options, PersonNetworks, person_networks
from petfmri.commands.tables import network_columns, region_columns, session_columns
from petfmri.config import AtlasFiles, Study, load_study
from petfmri.errors import ConfigError, DatasetError, PetfmriError, Problem
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.families import Wanted
from petfmri.statistics.prepost import Comparison
from petfmri.statistics.prepost import compare as compare_tables
from petfmri.study.files import write_table, write_text

CROSSOVER = (
    "A crossover: treatment effects are tested by `petfmri compare`, over all visits; here is what "
    "was measured."
)
Tables: TypeAlias = Mapping[str, tuple[pd.DataFrame, Mapping[str, Mapping[str, str]]]]


def main(arguments: argparse.Namespace) -> int:
    """Measure the networks of `arguments.study`; what is left out is listed and no failure."""
    study = load_study(arguments.study)
    excluded = networks(study, n_procs=n_cores(arguments.n_procs), maps=not arguments.no_maps)
    folder = group_folder(study, "networks")
    written = ", ".join(path.name for path in sorted(folder.glob("*.tsv")))
    print(f"Written to {folder}: {written} and networks.html")
    for row in excluded.itertuples():
        print(f"left out: {row.run}: {row.reason}", file=sys.stderr)
    return 0


def networks(study: Study, *, n_procs: int = 1, maps: bool = True) -> pd.DataFrame:
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
    others = {
        atlas: load_runs(study, atlas)
        for atlas in dict.fromkeys(choice.atlas for choice in chosen)
        if atlas != study.atlas
    }
    problems = name_problems(study, loaded) + strategy_problems(study, loaded, chosen)
    for other in others.values():
        problems += network_name_problems(study, other)
    if problems:
        raise ConfigError.of(problems)
    remove_earlier(study)
    options = _options(study, loaded, chosen[0])
    results = _measured(loaded, options, n_procs)
    excluded = tables.excluded_table(loaded, results)
    if not any(result.measured for result in results):
        raise DatasetError(
            study.name,
            "; ".join(f"{row.run}: {row.reason}" for row in excluded.itertuples()),
            "a session that counts",
            "choose a smaller strategy or lower bold: minimum_kept_s, knowing what that means",
        )
    sessions, notes = tables.sessions_table(loaded, results, options.roles, study.name)
    if study.crossover is not None:
        sessions = with_design(study, sessions)
        notes.append(CROSSOVER)
    rois = list(options.rois)
    metrics = network_columns(sessions, sorted(set(loaded.atlas["network"])), rois)
    metrics += [name for name in tables.GRADIENT_COLUMNS if name in sessions]
    compared = None if study.crossover else _compare(study, loaded, sessions, metrics)
    about = session_columns(list(sessions), loaded.atlas, None, rois)
    written: Tables = {
        "sessions": (sessions, {**about, **tables.GRADIENT_COLUMNS}),
        "regions": (tables.regions_table(loaded, results), region_columns()),
        "excluded": (excluded, tables.EXCLUDED_COLUMNS),
        "missing": (tables.missing_table(loaded), tables.MISSING_COLUMNS),
        "fc_change": (tables.fc_change_table(loaded, results), tables.FC_CHANGE_COLUMNS),
        "reliability": (
            tables.reliability_table(loaded, results, metrics, options, n_procs),
            tables.RELIABILITY_COLUMNS,
        ),
        "comparisons": (compared.comparisons if compared else pd.DataFrame(), COMPARISON_COLUMNS),
        "changes": (compared.changes if compared else pd.DataFrame(), COMPARISON_COLUMNS),
    }
    made: list[Path] = []
    try:
        made += _write(study, written)
        made += write_matrices(study, loaded, results)
        if maps and study.connectivity.maps:
            made += write_maps(study, loaded, results)
        every = {study.atlas: loaded, **others}
        many, told = (
            _multiverse(study, every, chosen, sessions, metrics, n_procs)
            if study.crossover is None
            else (pd.DataFrame(columns=list(MULTIVERSE_COLUMNS)), [])
        )
        made += _write(study, {"multiverse": (many, MULTIVERSE_COLUMNS)})
        notes += [*loaded.notes, *told]
        made += _page(study, loaded, {**written, "multiverse": (many, {})}, compared, notes)
    finally:
        write_record(study, made)
    return excluded


def _write(study: Study, written: Tables) -> list[Path]:
    """Write the tables that have rows."""
    folder = group_folder(study, "networks")
    made = [write_text(resolved(study), folder / "study.yaml")]
    for name, (table, columns) in written.items():
        if not table.empty:
            path = write_table(table, folder / f"{name}.tsv", columns)
            made += [path, path.with_suffix(".json")]
    return made


def _options(study: Study, loaded: Loaded, choice: NetworkChoice) -> Options:
    return Options(
        cleaning=choice.cleaning(cleaning_of(study.bold)),
        networks=study.networks or (),
        rois=rois_of(study, list(loaded.atlas["name"])),
        partial=study.connectivity.partial,
        roles=() if study.crossover else tuple(session_roles(study).values()),
    )


def _measured(
    loaded: Loaded, options: Options, n_procs: int, *, whole: bool = True
) -> list[PersonNetworks]:
    """Clean and measure everybody.

    Raises
    ------
    DatasetError
        With all that is wrong with the series of anybody.
    """
    work = partial(_one, atlas=loaded.atlas, options=options, whole=whole)
    people = [replace(person, images={}) for person in loaded.people]  # workers need none
    found = side_by_side(people, work, n_procs)
    problems = [problem for one in found if isinstance(one, list) for problem in one]
    if problems:
        raise DatasetError.of(problems)
    return [one for one in found if isinstance(one, PersonNetworks)]


def _one(
    person: Person, *, atlas: pd.DataFrame, options: Options, whole: bool
) -> PersonNetworks | list[Problem]:
    try:
        return person_networks(person.sessions, atlas, options, sv2a=person.sv2a, whole=whole)
    except PetfmriError as error:
        return [
            problem
            if person.id in problem.where
            else replace(problem, where=f"{person.id} {problem.where}")
            for problem in error.problems
        ]


def _multiverse(
    study: Study,
    loaded: Mapping[str | AtlasFiles, Loaded],
    chosen: Sequence[NetworkChoice],
    declared: pd.DataFrame,
    metrics: Sequence[str],
    n_procs: int,
) -> tuple[pd.DataFrame, list[str]]:
    """Describe the change of every metric by every choice, the declared one first."""
    roles = (f"ses-{study.sessions.pre}", f"ses-{study.sessions.post}")
    people = [
        person.id for person in loaded[study.atlas].people if set(roles) <= set(person.sessions)
    ]
    rows: list[dict[str, object]] = []
    notes = []
    for number, choice in enumerate(chosen):
        sessions = declared
        mine = loaded[choice.atlas]
        label = choice.label(mine.name, clean=mine.is_clean)
        if number:
            results = _measured(mine, _options(study, mine, choice), n_procs, whole=False)
            sessions, _ = tables.sessions_table(mine, results, roles, study.name)
            lost = tables.excluded_table(mine, results)
            if not lost.empty:
                notes.append(f"With {label}, left out: {', '.join(lost['run'])}.")
        rows += described(label, sessions, metrics, people, declared=number == 0)
    return pd.DataFrame(rows), notes


def _compare(
    study: Study, loaded: Loaded, sessions: pd.DataFrame, metrics: Sequence[str]
) -> Comparison | None:
    """Test the changes, where enough persons have both sessions."""
    pairs = sessions.pivot_table(index="participant_id", columns="role", values="n_frames").dropna()
    if len(pairs) < MIN_PERSONS or pairs.shape[1] < 2:
        return None
    labels, rois = sorted(set(loaded.atlas["network"])), list(study.regions_of_interest)
    details = network_columns(sessions, labels, rois, "detail")
    return compare_tables(
        None,
        sessions,
        Wanted(
            study.primary if study.primary in (*metrics, *details) else None,
            measures=(),
            networks=metrics,
            network_details=details,
        ),
        permutations=study.inference.permutations,
        seed=study.inference.seed,
    )


def _page(
    study: Study,
    loaded: Loaded,
    written: Tables,
    compared: Comparison | None,
    notes: Sequence[str],
) -> list[Path]:
    from petfmri.commands.overview import write_overview
    from petfmri.reports.networks_page import networks_page, verdict

    folder, sessions = group_folder(study, "networks"), written["sessions"][0]
    ran = (group_folder(study) / "sessions.tsv").exists()
    shown = ("multiverse", "reliability", "fc_change", "excluded", "missing")
    page = networks_page(
        sessions,
        study=study.name,
        source=loaded.source,
        compared=compared,
        notes=notes,
        primary=study.primary,
        overview=ran,
        **{name: written[name][0] for name in shown},
    ).save(folder / "networks.html")
    said = write_text(verdict(sessions, compared, study.primary) + "\n", folder / "verdict.txt")
    if ran:
        write_overview(study)
    return [page, said]
