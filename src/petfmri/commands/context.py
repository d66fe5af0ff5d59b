"""What the verbs share: from the configuration to values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from petfmri.config import AtlasFiles, Bold, ReferenceLabels, Study
from petfmri.errors import ConfigError, PetfmriError, Problem
from petfmri.study.bids import Cohort, read_cohort
from petfmri.study.crossover import CrossoverColumns, crossover_sessions
from petfmri.study.names import bids_label

T = TypeVar("T")
R = TypeVar("R")

if TYPE_CHECKING:
    import pandas as pd

    from petfmri.atlases import Atlas
    from petfmri.bold.denoise import Cleaning


def bids_folder(study: Study) -> Path:
    """Return the BIDS folder.

    Raises
    ------
    ConfigError
        If the study names none, or it does not exist.
    """
    if study.bids is None:
        raise ConfigError(
            "bids",
            "nothing",
            "the raw BIDS folder",
            "name it, or use `compare` on PETPrep tables and `networks` on given series",
        )
    if not study.bids.is_dir():
        raise ConfigError(
            "bids",
            f"{study.bids}, which is no folder",
            "the raw BIDS folder",
            "correct the path; tables without images serve `compare` and `predict` only",
        )
    return study.bids


def petprep_curves(study: Study) -> Path | None:
    """Return the PETPrep folder whose curves are compared: none where a run has used its images."""
    folder = study.derivatives.petprep
    ran = study.bids is not None and any(study.output.glob("sub-*/sub-*_provenance.json"))
    return None if ran else folder


def session_roles(study: Study) -> dict[str, str]:
    """List the sessions of the study by role; in a crossover each is its own role."""
    if study.crossover is None:
        return {"pre": f"ses-{study.sessions.pre}", "post": f"ses-{study.sessions.post}"}
    if study.crossover.sessions:
        return {label: f"ses-{label}" for label in study.crossover.sessions}
    return crossover_sessions(bids_folder(study), study.crossover.treatment)


def crossover_columns(study: Study) -> CrossoverColumns | None:
    """Return where sessions.tsv says what was given when, of a crossover."""
    section = study.crossover
    if section is None:
        return None
    return CrossoverColumns(*section.treatments, section.treatment, section.period, section.time)


def cohort_of(study: Study, participants: list[str] | None = None) -> Cohort:
    """Index the BIDS folder."""
    return read_cohort(
        bids_folder(study),
        sessions=session_roles(study),
        paired=study.crossover is None,
        tracer=study.pet.tracer,
        task=study.bold.task,
        symptoms=study.symptoms.table if study.symptoms else None,
        participants=participants,
    )


def atlas_of(study: Study) -> Atlas:
    """Load the atlas."""
    from petfmri.atlases import load_atlas

    if isinstance(study.atlas, AtlasFiles):
        return load_atlas(study.atlas.image, study.atlas.table)
    return load_atlas(study.atlas)


def atlas_label(study: Study) -> str:
    """Return the atlas as it stands in file names."""
    name = study.atlas if isinstance(study.atlas, str) else study.atlas.image.name
    return bids_label(name.partition(".")[0])


def config_problems(study: Study) -> list[Problem]:
    """Find what is wrong with names that refer to the atlas: regions, networks, primary outcome."""
    from petfmri.atlases import select_regions
    from petfmri.atlases.connections import load_connections

    try:
        table = atlas_of(study).table
    except PetfmriError as error:
        return error.problems
    problems = []
    patterns = {
        f"regions_of_interest.{name}": chosen for name, chosen in study.regions_of_interest.items()
    }
    if isinstance(study.pet.reference, ReferenceLabels):
        patterns["pet.reference.regions"] = study.pet.reference.regions
    for where, chosen in patterns.items():
        try:
            select_regions(table, chosen)
        except ConfigError as error:
            problems += [replace(problem, where=where) for problem in error.problems]
    try:
        load_connections(study.connections, table)
    except ConfigError as error:
        problems += error.problems
    problems += _primary_problems(study, table)
    known = set(table["network"])
    unknown = [name for name in study.networks or () if name not in known]
    if unknown:
        problems.append(
            Problem(
                "networks",
                ", ".join(unknown),
                f"of {', '.join(sorted(known))}",
                "correct the names",
            )
        )
    return problems


def _primary_problems(study: Study, atlas: pd.DataFrame) -> list[Problem]:
    """Find a primary outcome that `compare` would not know, before hours of processing."""
    from petfmri.atlases.connections import load_connections
    from petfmri.networks.registry import metrics_for
    from petfmri.statistics.connections import connection_names
    from petfmri.statistics.pairing import did_you_mean
    from petfmri.study.group import SESSION_COLUMNS

    if not study.primary:
        return []
    outcome, rois = study.pet.outcome, list(study.regions_of_interest)
    known = [f"{outcome}:{name}" for name in (*study.regions_of_interest, *atlas["name"])]
    known += [metric.name for metric in metrics_for(list(atlas["network"]), rois)]
    known += [
        f"{outcome}_grey",
        *SESSION_COLUMNS,
        *([study.symptoms.score] if study.symptoms else []),
    ]
    if study.crossover is not None and study.connections:
        with suppress(PetfmriError):  # told with the connections
            known += connection_names(load_connections(study.connections, atlas))
    if study.primary in known:
        return []
    expected = f"{outcome}: and a region (of interest), or a column of the sessions table"
    return [Problem("primary", study.primary, expected, did_you_mean(study.primary, known))]


def reference_name(study: Study) -> str:
    """Return the reference region's name as it stands in file names."""
    return "custom" if isinstance(study.pet.reference, ReferenceLabels) else study.pet.reference


def cleaning_of(bold: Bold) -> Cleaning:
    """Turn the configuration of BOLD into the values of denoising."""
    from petfmri.bold.censoring import Censoring
    from petfmri.bold.denoise import Cleaning

    return Cleaning(
        strategy=bold.strategy,
        band_hz=bold.band_hz,
        censoring=Censoring(
            fd_threshold_mm=bold.fd_threshold_mm,
            dvars_threshold=bold.dvars_threshold,
            before=bold.censor_before,
            after=bold.censor_after,
            minimum_contiguous=bold.minimum_contiguous,
        ),
        minimum_kept_s=bold.minimum_kept_s,
        minimum_df=bold.minimum_df,
    )


def strategies_of(study: Study) -> tuple[str, ...]:
    """List every denoising strategy that the study names, the declared one first."""
    return tuple(dict.fromkeys((study.bold.strategy, *study.multiverse.strategy)))


def rois_of(study: Study, names: list[str]) -> dict[str, list[str]]:
    """Return the regions of each region of interest, leaving out those that this atlas lacks."""
    import pandas as pd

    from petfmri.atlases import select_regions

    table = pd.DataFrame({"name": names})
    found = {}
    for roi, patterns in study.regions_of_interest.items():
        with suppress(ConfigError):
            found[roi] = select_regions(table, patterns)
    return found


def resolved(study: Study) -> str:
    """Write the configuration with all defaults, as YAML."""
    import yaml

    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def n_cores(asked: int | None) -> int:
    """Return the number of processes: what was asked for, else the cores this process may use."""
    if asked:
        return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def side_by_side(items: Sequence[T], work: Callable[[T], R], n_procs: int) -> list[R]:
    """Do the same with every item, in several processes if that is allowed and worth while."""
    if n_procs == 1 or len(items) == 1:
        return [work(item) for item in items]
    with ProcessPoolExecutor(min(n_procs, len(items))) as pool:
        return list(pool.map(work, items))


def group_folder(study: Study, *parts: str) -> Path:
    """Return a folder of group results."""
    return study.output.joinpath("group", *parts)
