"""BIDS file names in both directions, and the description of a derivatives folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import petfmri
from petfmri.errors import DatasetError
from petfmri.study.files import read_json, write_json

BIDS_VERSION = "1.10.0"
ENTITY_ORDER = (
    *("sub", "ses", "task", "acq", "trc", "rec", "dir", "run", "echo", "recording", "hemi"),
    *("space", "res", "from", "to", "mode", "desc", "label", "seg", "ref", "pvc"),
    *("model", "seed", "stat", "meas"),
)


@dataclass(frozen=True)
class Name:
    """What a BIDS file name says."""

    entities: Mapping[str, str]
    suffix: str
    extension: str


def parse_name(name: str) -> Name | None:
    """Take a BIDS file name apart; None for a name that is not of the form key-value_suffix.ext.

    Examples
    --------
    >>> parse_name("sub-01_ses-pre_trc-UCBJ_pet.nii.gz")
    Name(entities={'sub': '01', 'ses': 'pre', 'trc': 'UCBJ'}, suffix='pet', extension='.nii.gz')
    >>> parse_name("notes_final.txt") is None
    True
    """
    stem, dot, extension = name.partition(".")
    *pairs, suffix = stem.split("_")
    entities = dict(pair.split("-", 1) for pair in pairs if "-" in pair)
    if len(entities) != len(pairs) or not suffix.isalnum():
        return None
    return Name(entities, suffix, dot + extension)


def with_prefix(entity: str, label: object) -> str:
    """Write a participant or session with its BIDS prefix, whether given with or without.

    Examples
    --------
    >>> with_prefix("sub", "01"), with_prefix("sub", "sub-01"), with_prefix("ses", "pre")
    ('sub-01', 'sub-01', 'ses-pre')
    """
    return f"{entity}-{str(label).strip().removeprefix(f'{entity}-')}"


def bids_label(text: str) -> str:
    """Drop what a BIDS label may not contain (all but letters and digits).

    Examples
    --------
    >>> bids_label("my_atlas v2")
    'myatlasv2'
    """
    return re.sub("[^a-zA-Z0-9]", "", text)


def derivative_path(
    root: Path,
    *,
    sub: str,
    ses: str | None,
    datatype: str,
    suffix: str,
    extension: str,
    **entities: str | int | None,
) -> Path:
    """Path of one derivative, with its entities in one fixed order.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    sub, ses : str
        With or without prefix; `ses` None for what belongs to the person.
    datatype : str
        ``"anat"``, ``"pet"`` or ``"func"``.
    suffix, extension : str
        Such as ``"tacs"`` and ``".tsv"``.
    **entities : str, int or None
        Such as ``trc="UCBJ"``; None is left out. Write ``from`` as ``from_``.

    Raises
    ------
    DatasetError
        If a label contains anything but letters and digits (see `bids_label`).
    TypeError
        If an entity is unknown.

    Examples
    --------
    >>> derivative_path(Path(), sub="01", ses="pre", datatype="pet", suffix="tacs",
    ...     extension=".tsv", seg="Schaefer200", desc="preproc", trc="UCBJ").name
    'sub-01_ses-pre_trc-UCBJ_desc-preproc_seg-Schaefer200_tacs.tsv'
    """
    named = {key.rstrip("_"): value for key, value in entities.items()}
    unknown = set(named) - set(ENTITY_ORDER)
    if unknown:
        raise TypeError(f"unknown entities {sorted(unknown)}; known: {', '.join(ENTITY_ORDER)}")
    named |= {"sub": with_prefix("sub", sub).removeprefix("sub-")}
    named |= {"ses": ses if ses is None else with_prefix("ses", ses).removeprefix("ses-")}
    labels = {key: str(named[key]) for key in ENTITY_ORDER if named.get(key) is not None}
    for key, label in labels.items():
        if not label or bids_label(label) != label:
            raise DatasetError(
                f"the name of a {suffix} file",
                f"{key}-{label}",
                "letters and digits only",
                f"rename it, e.g. to {bids_label(label) or 'x'}",
            )
    folder = Path(root).joinpath(
        *(f"{key}-{labels[key]}" for key in ("sub", "ses") if key in labels)
    )
    stem = "_".join(f"{key}-{label}" for key, label in labels.items())
    return folder / datatype / f"{stem}_{suffix}{extension}"


def write_dataset_description(root: Path, *, name: str, source: Path | None = None) -> Path:
    """Write the dataset_description.json of a derivatives folder.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    name : str
        What the folder holds.
    source : Path, optional
        The dataset from which it was made: linked as ``raw`` by a relative path, with its own
        name, DOI and version where it states them.
    """
    content: dict[str, Any] = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "petfmri", "Version": petfmri.__version__}],
    }
    if source is not None:
        location = Path(os.path.relpath(source, root)).as_posix()
        content["SourceDatasets"] = [{"URL": location, **_identity(Path(source))}]
        content["DatasetLinks"] = {"raw": location}
    return write_json(content, Path(root) / "dataset_description.json")


def _identity(source: Path) -> dict[str, str]:
    """DOI and version of a dataset, as far as it states them."""
    path = source / "dataset_description.json"
    stated = read_json(path) if path.exists() else {}
    fields = {"DOI": "DatasetDOI", "Version": "DatasetVersion"}
    return {key: str(stated[field]) for key, field in fields.items() if stated.get(field)}
