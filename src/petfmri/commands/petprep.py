"""The tidy tables made of PETPrep's time-activity curves, without any image."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from petfmri.atlases import select_regions
from petfmri.commands.context import reference_name
from petfmri.commands.tables import grey_matter
from petfmri.config import ReferenceLabels, Study
from petfmri.errors import ConfigError, DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.suvr import suvr_from_tacs
from petfmri.study.files import read_table, write_table
from petfmri.study.group import REGION_COLUMNS, SESSION_COLUMNS
from petfmri.study.names import parse_name, with_prefix
from petfmri.study.petprep import (
    PetprepTacs,
    read_petprep_study,
)
from petfmri.study.reader import Reader

# FreeSurfer's names of grey matter; white matter, ventricles and the skull are not compared.
CORTEX = ("ctx-*",)
SUBCORTEX = (
    "*thalamus*", "*caudate*", "*putamen*", "*pallidum*", "*hippocampus*", "*amygdala*", "*accumbens*",
)  # fmt: skip
RAW_ENTITIES = ("sub", "ses", "task", "acq", "trc", "rec", "run")
CEREBELLUM = ("*cerebellum-cortex*",)


Scans = Mapping[tuple[str, str], PetprepTacs]


def petprep_scans(study: Study) -> Scans:
    """Read the curves of every participant and session.

    Raises
    ------
    DatasetError
        With every problem of the curves.
    """
    assert study.derivatives.petprep is not None
    scans, problems = read_petprep_study(
        study.derivatives.petprep, _roles(study), trc=study.pet.tracer
    )
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DatasetError.of(errors)
    return scans


def petprep_tables(study: Study, scans: Scans) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make ``group/regions.tsv`` and ``group/sessions.tsv`` of PETPrep's curves.

    Raises
    ------
    ConfigError
        If the reference is not named by regions of the tables.
    """
    role_of = {with_prefix("ses", label): role for role, label in _roles(study).items()}
    regions, sessions = [], []
    for (participant, session), scan in scans.items():
        rows = _suvr_rows(scan, study)
        row = {"participant_id": participant, "session_id": session, "role": role_of[session]}
        if rows["volume_mm3"].notna().all():
            grey = grey_matter(rows, str(scan.path))
            row |= {} if grey is None else {"suvr_grey": grey}
        rows.insert(0, "participant_id", participant)
        rows.insert(1, "session_id", session)
        regions.append(rows)
        sessions.append(row)
    return _written(study, pd.concat(regions, ignore_index=True), pd.DataFrame(sessions))


def _roles(study: Study) -> dict[str, str]:
    return {"pre": study.sessions.pre, "post": study.sessions.post}


def _suvr_rows(scan: PetprepTacs, study: Study) -> pd.DataFrame:
    """SUVR of every grey-matter region of one scan."""
    injection_s = float(full_sidecar(scan, study).get("InjectionStart", 0.0))
    schedule = FrameSchedule.from_edges(
        scan.frame_start_s - injection_s, scan.frame_end_s - injection_s, scan.path.name
    )
    names = pd.DataFrame({"name": scan.tacs.index.astype(str)})
    reference = reference_regions(names, study, reference_name(study), scan.path)
    ratios = suvr_from_tacs(
        scan.tacs.T.reset_index(drop=True),
        schedule,
        study.pet.window_s,
        reference,
        volumes_mm3=scan.volumes_mm3,
    )
    structures = grey_structures(scan)
    volumes = scan.volumes_mm3
    return pd.DataFrame(
        {
            "region": region,
            "network": None,
            "hemisphere": _hemisphere(region),
            "structure": structure,
            "volume_mm3": None if volumes is None else volumes.get(region),
            "suvr": ratios[region],
        }
        for region, structure in structures.items()
    )


def raw_pet(scan: PetprepTacs, study: Study) -> Path:
    """Say where the raw PET of a table of curves lies, or would lie."""
    name = parse_name(scan.path.name)
    entities = dict(name.entities) if name else {}
    kept = [f"{key}-{entities[key]}" for key in RAW_ENTITIES if key in entities]
    folders = kept[:2] if "ses" in entities else kept[:1]
    root = study.bids or study.derivatives.petprep or Path()
    return root.joinpath(*folders, "pet", "_".join([*kept, "pet.nii.gz"]))


def full_sidecar(scan: PetprepTacs, study: Study) -> dict[str, Any]:
    """Join what the raw PET's sidecar says, if there is a BIDS folder, with that of the curves."""
    raw: dict[str, Any] = {}
    if study.bids is not None:
        pet = raw_pet(scan, study)
        name = parse_name(pet.name)
        if name is not None:
            raw = dict(Reader(study.bids).sidecar(pet, name).fields)
    return {**raw, **scan.sidecar}


def grey_structures(scan: PetprepTacs) -> dict[str, str]:
    """Find the regions of grey matter and their structure.

    Raises
    ------
    DatasetError
        If there are none.
    """
    names = pd.DataFrame({"name": scan.tacs.index.astype(str)})
    structures: dict[str, str] = {}
    for structure, patterns in (
        ("cortex", CORTEX),
        ("subcortex", SUBCORTEX),
        ("cerebellum", CEREBELLUM),
    ):
        with suppress(ConfigError):
            structures |= dict.fromkeys(select_regions(names, patterns), structure)
    if not structures:
        raise DatasetError(
            str(scan.path),
            f"regions such as {', '.join(names['name'][:3])}",
            "FreeSurfer's names of grey matter",
            "use PETPrep's gtm or aparcaseg curves",
        )
    return structures


def reference_regions(names: pd.DataFrame, study: Study, reference: str, path: Path) -> list[str]:
    """Find the regions of a reference region: the user's own, or the cerebellum.

    Raises
    ------
    ConfigError
        If the curves do not have it.
    """
    if reference in ("semiovale", "wholebrain"):
        raise ConfigError(
            "pet.reference",
            f"{reference}, which these curves do not have",
            "regions of the table",
            "write reference: {regions: [...]} or cerebellum",
        )
    own = study.pet.reference
    custom = reference == "custom" and isinstance(own, ReferenceLabels)
    try:
        return select_regions(names, own.regions if custom else CEREBELLUM)
    except ConfigError as error:
        raise ConfigError.of(
            replace(problem, where=f"pet.reference, {path.name}") for problem in error.problems
        ) from None


def _hemisphere(region: str) -> str:
    """Tell the hemisphere from a FreeSurfer name: L, R or B (both)."""
    name = region.lower()
    if name.startswith(("left", "ctx-lh")):
        return "L"
    return "R" if name.startswith(("right", "ctx-rh")) else "B"


def _written(
    study: Study, regions: pd.DataFrame, sessions: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    group = study.output / "group"
    write_table(regions, group / "regions.tsv", REGION_COLUMNS)
    write_table(sessions, group / "sessions.tsv", SESSION_COLUMNS)
    return read_table(group / "regions.tsv"), read_table(group / "sessions.tsv")
