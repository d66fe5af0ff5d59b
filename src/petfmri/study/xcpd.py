"""What XCP-D left behind: denoised parcel series, kept frames, motion and the atlas.

Names are those of XCP-D 0.7 to 0.14 (``_seg-<atlas>_``, tables in ``atlases``) and 26.0
(``_atlas-<atlas>_``, tables in ``sourcedata/atlases``). In its modes abcd and hbcd censored frames
are interpolated, in the mode linc they are cut; ``_outliers.tsv`` has a row for every frame in both.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from petfmri.errors import DatasetError
from petfmri.study.check_pet import number
from petfmri.study.derivatives import MADE, DerivativeFolder, scan_entities
from petfmri.study.files import read_json, read_table
from petfmri.study.names import Name, parse_name
from petfmri.study.run_inputs import (
    Candidate,
    Found,
    RunInput,
    choose,
    func_folders,
    nothing_like,
    only_warnings,
    people_of,
    run_key,
)
from petfmri.typing import BoolArray

ATLAS = ("seg", "atlas")
ADDED = (*MADE, "atlas", "stat")
FD = "framewise_displacement"
STEPS = ("NuisanceParameters", "SoftwareFilters")
SIDE = re.compile(
    r"^(?:\d+Networks_)?(LH|RH|L|R|Left|Right)[_-]|[_-](lh|rh|L|R|l|r)$"
)  # fmt: skip


def find_xcpd(
    root: Path | str,
    sessions: Sequence[str],
    task: str,
    atlas: str,
    *,
    space: str | None = None,
) -> Found:
    """Find the denoised parcel series of each run.

    Where runs of a session are there one by one, the series of all of them joined
    (``--combine-runs``) is passed over.

    Parameters
    ----------
    root : path
        XCP-D's output.
    sessions : sequence of str
        With or without prefix.
    task, atlas : str
        Such as ``"rest"`` and ``"4S256Parcels"``.
    space : str, optional
        Such as ``"fsLR"``; needed if there are several.

    Returns
    -------
    list of RunInput
        Repetition time and denoising are those of the sidecar of the denoised image.
    list of Problem
        Warnings: who lacks a session.

    Raises
    ------
    DatasetError
        If there is no such run, or a run is there in two spaces.
    """
    root = Path(root)
    folder = DerivativeFolder(root)
    found: list[Candidate] = []
    for place in func_folders(root):
        own = [
            Candidate(*run_key(scan_entities(name.entities, drop=ADDED)), path)
            for path, name in folder.names(place)
            if _is_series(name, task, atlas, space)
        ]
        single = [run for run in own if run.run is not None]
        found += single or own
    if not found:
        where = f"*_task-{task}_*_space-{space or '*'}_seg-{atlas}_stat-mean_timeseries.tsv"
        raise nothing_like(where, root, "_stat-mean_timeseries.tsv")
    chosen, problems = choose(found, sessions, str(root), people=people_of(root))
    parcels = _parcels(root, atlas)
    runs = []
    for run in chosen:
        place = run.path.parent.relative_to(root)
        files = {name.suffix: path for path, name in _beside(folder, place, run.path)}
        steps = _sidecar(folder, place, run.path)
        runs.append(
            RunInput(
                *run,
                confounds=None,
                tr_s=number(steps.get("RepetitionTime")),
                denoised=True,
                mean_fd=_mean_fd(files.get("motion")),
                kept=files.get("outliers"),
                parcels=parcels,
                denoising=json.dumps({k: steps[k] for k in STEPS if k in steps}, sort_keys=True),
            )
        )
    return runs, only_warnings(problems)


def read_kept(outliers: Path) -> BoolArray:
    """Read which frames XCP-D kept.

    Returns
    -------
    bool array of shape (n_frames,)

    Raises
    ------
    DatasetError
        If the column framewise_displacement holds anything but 0 and 1.
    """
    column = read_table(outliers, (FD,))[FD]
    if not column.isin([0, 1]).all():
        expected = "0 for a kept frame and 1 for a censored one"
        found = str(column[~column.isin([0, 1])].iloc[0])
        raise DatasetError(
            f"{outliers}: {FD}", found, expected, "copy it again from XCP-D's output"
        )
    return (column == 0).to_numpy()


def read_xcpd_atlas(path: Path | str) -> pd.DataFrame:
    """Read XCP-D's table of an atlas as one of petfmri's.

    Parameters
    ----------
    path : path
        ``atlas-<atlas>_dseg.tsv`` with index, label (name in XCP-D 26) and network_label.

    Returns
    -------
    DataFrame
        Columns index, name, network, hemisphere, structure, in the order of the file. Parcels
        with a network are cortex (the 4S atlases: Yeo's seven), others cerebellum by their name or
        else subcortex.

    Raises
    ------
    DatasetError
        If a column is absent, a name comes twice, or no parcel has a network.

    References
    ----------
    The 4S atlases join Schaefer's cortex to subcortex and cerebellum: Mehta K et al (2024).
    XCP-D. Imaging Neurosci 2:1. doi:10.1162/imag_a_00257
    """
    path = Path(path)
    table = read_table(path, ("index",))
    columns = {
        "name": next((name for name in ("label", "name") if name in table), "label"),
        "network": next((name for name in ("network_label", "network") if name in table), ""),
    }
    names = read_table(path, (columns["name"],))[columns["name"]].astype(str)
    twice = names[names.duplicated()].tolist()
    if twice:
        raise DatasetError(str(path), f"{twice[0]} twice", "each parcel once", "rename one")
    networks = table[columns["network"]] if columns["network"] else pd.Series([None] * len(table))
    cortex = networks.notna()
    if not cortex.any():
        raise DatasetError(
            str(path),
            "no parcel with a network (column network_label)",
            "the networks of the cortex",
            "choose an atlas such as 4S256Parcels, or give a table of your own",
        )
    cerebellum = ~cortex & names.str.contains("cerebell", case=False)
    structure = pd.Series("subcortex", index=table.index)
    structure = structure.mask(cortex, "cortex").mask(cerebellum, "cerebellum")
    return pd.DataFrame(
        {
            "index": table["index"].astype(int),
            "name": names,
            "network": networks.where(cortex, structure.str.capitalize()),
            "hemisphere": [_side(name) for name in names],
            "structure": structure,
        }
    )


def _is_series(name: Name, task: str, atlas: str, space: str | None) -> bool:
    own = name.entities
    return (
        (name.suffix, name.extension) == ("timeseries", ".tsv")
        and (own.get("task"), own.get("stat")) == (task, "mean")
        and atlas in (own.get("seg"), own.get("atlas"))
        and space in (None, own.get("space"))
    )


def _beside(folder: DerivativeFolder, place: Path, series: Path) -> list[tuple[Path, Name]]:
    """List the tables of the same scan that belong to no space or atlas."""
    scan = _scan(series)
    return [
        (path, name)
        for path, name in folder.names(place)
        if name.extension == ".tsv" and scan_entities(name.entities, drop=("hash",)) == scan
    ]


def _sidecar(folder: DerivativeFolder, place: Path, series: Path) -> Mapping[str, Any]:
    """Read the sidecar of the denoised image, as that of the series does not tell the time."""
    for path, name in folder.names(place):
        if (
            (name.suffix, name.extension) == ("bold", ".json")
            and name.entities.get("desc") == "denoised"
            and scan_entities(name.entities, drop=ADDED) == _scan(series)
        ):
            return read_json(path)
    return {}


def _scan(series: Path) -> dict[str, str]:
    name = parse_name(series.name)
    return scan_entities(name.entities, drop=ADDED) if name else {}


def _mean_fd(motion: Path | None) -> float:
    return math.nan if motion is None else float(read_table(motion, (FD,))[FD].mean())


def _parcels(root: Path, atlas: str) -> Path | None:
    """Find the table of an atlas; those of several spaces are the same."""
    for folder in ("atlases", "sourcedata/atlases"):
        for path in sorted((root / folder).rglob(f"*atlas-{atlas}_*dseg.tsv")):
            return path
    return None


def _side(name: str) -> str:
    found = SIDE.search(name)
    return "B" if found is None else (found[1] or found[2])[0].upper()
