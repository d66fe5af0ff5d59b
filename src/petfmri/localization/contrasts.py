"""From a table of published peaks to contrasts in MNI space, and whether the peaks can be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from petfmri.errors import Problem
from petfmri.localization.localize import Contrast
from petfmri.localization.talairach import talairach_to_mni
from petfmri.study.coordinates import UNSIGNED, listed
from petfmri.typing import BoolArray, FloatArray

OUTSIDE_MM = 10.0
"""Further from the brain than rounding, smoothing and templates explain."""

ELSEWHERE_MM = 30.0
"""No brain reaches so far: another unit, or another space."""

LEAST_WHOLE = 4
MM = ["x_mni", "y_mni", "z_mni"]
"""Columns of the place in MNI space, mm."""


def in_mni(table: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of `read_coordinates` the place in MNI space and the name of the contrast.

    Peaks in Talairach space are moved by `talairach_to_mni`. Names are those of the study, with
    contrast and direction where it has several.

    Returns
    -------
    DataFrame
        With ``name``, ``x_mni``, ``y_mni`` and ``z_mni``.

    Examples
    --------
    >>> told = {"study": "A", "contrast": "", "direction": "increase", "space": "Talairach"}
    >>> table = in_mni(pd.DataFrame([{**told, "x": 0.0, "y": 0.0, "z": 0.0}]))
    >>> table["name"].tolist(), table[MM].to_numpy().round(1)
    (['A'], array([[ 1.1,  1.2, -4.2]]))
    """
    points = np.array(table[["x", "y", "z"]], dtype=float)
    old = (table["space"] == "Talairach").to_numpy()
    points[old] = talairach_to_mni(points[old])
    names: list[str] = []
    named: dict[tuple[str, str, str], str] = {}
    for study, contrast, direction in table[["study", "contrast", "direction"]].to_numpy(str):
        own = table[table["study"] == study]
        several = {column: len(set(own[column])) > 1 for column in ("contrast", "direction")}
        parts = [study, *([contrast] * several["contrast"]), *([direction] * several["direction"])]
        key = (study, contrast, direction)
        if key not in named:
            named[key] = _new_name(" ".join(parts), set(named.values()))
        names.append(named[key])
    return table.assign(name=names, **{name: points[:, axis] for axis, name in enumerate(MM)})


def _new_name(name: str, taken: set[str]) -> str:
    """Tell apart contrasts whose joined names are alike, such as study A 1 and study A, contrast 1."""
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name} ({number})"
    return unique


def contrasts_of(table: pd.DataFrame) -> list[Contrast]:
    """Group the peaks of `in_mni` into contrasts; a peak that is listed twice counts once."""
    return [
        Contrast(
            str(name),
            str(rows["study"].iloc[0]),
            str(rows["direction"].iloc[0]),
            rows[MM].drop_duplicates().to_numpy(float),
        )
        for name, rows in table.groupby("name", sort=False)
    ]


def read_peaks(path: Path | str) -> pd.DataFrame:
    """Read a table of `in_mni` as it was written: names of studies stay text."""
    text = dict.fromkeys(("file", "study", "contrast", "direction", "space", "name"), str)
    table = pd.read_csv(path, sep="\t", dtype=text, keep_default_na=False, na_values={"n": "n/a"})
    return table.replace({name: {"n/a": ""} for name in text})


def place_problems(table: pd.DataFrame, brain: BoolArray, affine: FloatArray) -> list[Problem]:
    """Find peaks that no brain has, and studies whose peaks look like voxel indices.

    Parameters
    ----------
    table : DataFrame
        Of `in_mni`.
    brain : bool array of shape (x, y, z)
        Of the template.
    affine : array of shape (4, 4)

    Returns
    -------
    list of Problem
        Warnings for peaks up to 30 mm outside, which are left out if their sphere reaches no
        voxel; errors beyond, and for voxel indices.
    """
    away = distance_mm(table[MM].to_numpy(float), brain, affine)
    problems = []
    for (file, study), rows in table.assign(away=away).groupby(["file", "study"], sort=False):
        where = str(file) if str(file).startswith(str(study)) else f"{file}: {study}"
        if _voxel_indices(rows):
            problems.append(
                Problem(
                    f"{where}: {listed(list(rows['row']))}",
                    "whole numbers that are nowhere below 0, some of them outside the brain",
                    "millimetres from the anterior commissure, negative on the left",
                    "these look like voxel indices, or like a table that has lost its minus signs: compare with the paper",
                )
            )
            continue
        far, off = rows["away"] > ELSEWHERE_MM, rows["away"] > OUTSIDE_MM
        for chosen, severity in ((far, "error"), (off & ~far, "warning")):
            if chosen.any():
                problems.append(
                    Problem(
                        f"{where}: {listed(list(rows.loc[chosen, 'row']))}",
                        f"peaks up to {rows.loc[chosen, 'away'].max():.0f} mm outside the brain",
                        f"at most {OUTSIDE_MM:g} mm",
                        "check unit, space and typing; a peak whose sphere misses the mask is not used",
                        "error" if severity == "error" else "warning",
                    )
                )
    return problems


def distance_mm(points: FloatArray, brain: BoolArray, affine: FloatArray) -> FloatArray:
    """Distance of points from the nearest voxel of a mask, about 0 inside, mm.

    Examples
    --------
    >>> distance_mm(np.array([[0.0, 0, 0], [9, 0, 0]]), np.ones((2, 2, 2), bool), np.eye(4))
    array([0., 8.])
    """
    step = max(1, min(brain.shape) // 48)
    voxels = np.argwhere(brain[::step, ::step, ::step]) * step
    centres = voxels @ affine[:3, :3].T + affine[:3, 3]
    distance, _ = cKDTree(centres).query(points)
    voxel = float(np.linalg.norm(affine[:3, :3] * step, axis=0).max())
    return np.where(distance > voxel, distance, 0.0)


def coordinate_notes(table: pd.DataFrame) -> list[str]:
    """Say what was assumed about the coordinates."""
    told = []
    old = int((table["space"] == "Talairach").sum())
    if old:
        told.append(
            f"{old} of {len(table)} peaks were given in Talairach space and brought to MNI by the "
            "inverse of icbm2tal (Lancaster 2007); peaks that a study had brought to Talairach by "
            "Brett's mni2tal are moved by some millimetres."
        )
    unsaid = table[~table["stated"].astype(bool)]
    if len(unsaid):
        spaces = " and ".join(sorted(set(unsaid["space"])))
        told.append(
            f"{len(unsaid)} of {len(table)} peaks do not state their space: {spaces} assumed."
        )
    unsigned = int((table["direction"] == UNSIGNED).sum())
    if unsigned:
        told.append(
            f"{unsigned} of {len(table)} peaks do not say whether they are increases or decreases: "
            "they are mapped together, which mixes what may be different networks."
        )
    return told


def _voxel_indices(rows: pd.DataFrame) -> bool:
    """Whole numbers nowhere negative, and partly outside: peaks of a right upper front are inside."""
    points = rows[["x", "y", "z"]].to_numpy(float)
    whole = len(points) >= LEAST_WHOLE and (points >= 0).all() and (points % 1 == 0).all()
    return bool(whole and (len(points) >= 2 * LEAST_WHOLE or (rows["away"] > 0).any()))
