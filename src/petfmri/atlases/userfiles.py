"""A user's own atlas: what its image and table must fulfil, and everything that they do not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from petfmri.atlases.template import SPACE, load_template
from petfmri.errors import Problem
from petfmri.typing import FloatArray

COLUMNS = ("index", "name", "network", "hemisphere", "structure")
ALLOWED = {"hemisphere": ("L", "R", "B"), "structure": ("cortex", "subcortex", "cerebellum")}
LEAST_INSIDE = 0.5


def read_labels(path: Path) -> tuple[nib.Nifti1Image | None, list[Problem]]:
    """Read a label image as integers, or say what is wrong with it."""
    try:
        loaded = nib.load(path)
        values = np.asanyarray(loaded.dataobj)
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        remedy = "export it again as NIfTI"
        return None, [Problem(str(path), f"unreadable ({error})", "a NIfTI image", remedy)]
    if values.ndim > 3 and values.shape[3:] == (1,) * (values.ndim - 3):
        values = values.reshape(values.shape[:3])
    trouble = _label_trouble(values, loaded.affine)
    if trouble is not None:
        return None, [Problem(str(path), *trouble)]
    return nib.Nifti1Image(np.rint(values).astype(np.int32), loaded.affine), []


def _label_trouble(values: NDArray[Any], affine: FloatArray) -> tuple[str, str, str] | None:
    """What was found, what was expected and the remedy; None if all is well."""
    if values.ndim != 3:
        return f"{values.ndim} dimensions", "3", "merge the maps into one label image"
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        return "an affine without inverse", "voxel-to-world mm", "repair the header"
    if not np.isfinite(values).all():
        return "NaN or infinite labels", "integers", "set them to 0"
    whole = np.rint(values)
    if np.abs(values - whole).max() > 1e-3:
        return "labels that are not integers", "integers", "resample with nearest neighbour"
    if whole.min() < 0:
        return f"the negative label {whole.min():.0f}", "0 or more", "relabel it"
    if whole.max() == 0:
        return "no label above 0", "at least one region", "check that it is the label image"
    return None


def read_region_table(path: Path) -> tuple[pd.DataFrame | None, list[Problem]]:
    """Read the table of a label image, or say everything that is wrong with it."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except FileNotFoundError:
        return None, [Problem(str(path), "no such file", "a TSV of the regions", "add it")]
    except (OSError, UnicodeDecodeError) as error:
        return None, [Problem(str(path), f"unreadable ({error})", "a TSV in UTF-8", "save it anew")]
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]
    if len(rows) < 2:
        return None, [Problem(str(path), "no rows", "a header and one row per region", "fill it")]
    header = rows[0]
    problems = [
        Problem(f"{path}: line {number}", f"{len(row)} columns", f"{len(header)}", "set the tabs")
        for number, row in enumerate(rows[1:], 2)
        if len(row) != len(header)
    ]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        found = f"columns {', '.join(header)}"
        problems.append(Problem(str(path), found, f"also {', '.join(missing)}", "add or rename"))
    if problems:
        return None, problems
    table = pd.DataFrame(rows[1:], columns=header)[list(COLUMNS)]
    problems = [*_index_problems(table, path), *_value_problems(table, path)]
    if problems:
        return None, problems
    return table.assign(index=pd.to_numeric(table["index"]).astype(int)), []


def _index_problems(table: pd.DataFrame, path: Path) -> list[Problem]:
    numbers = pd.to_numeric(table["index"], errors="coerce")
    wrong = table["index"][~((numbers >= 1) & (numbers % 1 == 0))]
    problems = []
    if len(wrong):
        expected = "whole numbers from 1"
        problems.append(
            Problem(f"{path}: index", _some(wrong), expected, "write the image's labels")
        )
    for column in ("index", "name"):
        twice = table[column][table[column].duplicated()].unique()
        if len(twice):
            found = f"{_some(twice)} more than once"
            problems.append(Problem(f"{path}: {column}", found, "each once", "keep one row"))
    return problems


def _value_problems(table: pd.DataFrame, path: Path) -> list[Problem]:
    problems = []
    for column in ("name", "network"):
        empty = int(table[column].isin(["", "n/a", "NaN"]).sum())
        if empty:
            found = f"{empty} empty cells"
            problems.append(Problem(f"{path}: {column}", found, "a text in each", "fill them"))
    for column, allowed in ALLOWED.items():
        other = sorted(set(table[column]) - set(allowed))
        if other:
            expected = f"one of {', '.join(allowed)}"
            problems.append(Problem(f"{path}: {column}", _some(other), expected, "correct them"))
    return problems


def unmatched(
    image: nib.Nifti1Image, table: pd.DataFrame, image_path: Path, table_path: Path
) -> list[Problem]:
    """Say where image and table, or image and standard space, contradict each other."""
    values = np.asanyarray(image.dataobj)
    labels = set(np.unique(values).tolist()) - {0}
    rows = set(table["index"].tolist())
    problems = []
    if labels - rows:
        found = f"labels {_some(sorted(labels - rows))} without a row in {table_path.name}"
        remedy = "add the rows, or set these voxels to 0"
        problems.append(Problem(str(image_path), found, "a row for each", remedy))
    if rows - labels:
        found = f"index {_some(sorted(rows - labels))} without a voxel in {image_path.name}"
        remedy = "remove the rows, or check that image and table belong together"
        problems.append(Problem(str(table_path), found, "voxels for each", remedy))
    return problems + _misplaced(values, image.affine, table, image_path)


def _misplaced(
    values: NDArray[Any], affine: FloatArray, table: pd.DataFrame, path: Path
) -> list[Problem]:
    """Catch images in another space, and images whose left is right."""
    mask = load_template().mask
    to_mask = np.linalg.inv(mask.affine) @ affine
    voxels = np.argwhere(values > 0)
    nearest = np.rint(apply_affine(to_mask, voxels)).astype(int)
    on_grid = ((nearest >= 0) & (nearest < mask.shape)).all(axis=1)
    inside = np.asanyarray(mask.dataobj)[tuple(nearest[on_grid].T)].sum() / len(voxels)
    if inside < LEAST_INSIDE:
        found = f"{100 * inside:.0f} % of the labels inside the brain of {SPACE}"
        remedy = "carry the atlas to that space, or repair the header's affine"
        return [Problem(str(path), found, f"{100 * LEAST_INSIDE:.0f} % or more", remedy)]
    x = pd.Series(apply_affine(affine, voxels)[:, 0]).groupby(values[tuple(voxels.T)]).mean()
    sided = table[table["hemisphere"].isin(["L", "R"]) & table["index"].isin(x.index)]
    is_left = x.loc[sided["index"]].to_numpy() < 0
    wrong = int((is_left != (sided["hemisphere"] == "L").to_numpy()).sum())
    if wrong > len(sided) / 2:
        found = f"{wrong} of {len(sided)} regions on the other side than their row says"
        remedy = "check the header's orientation, or the column hemisphere"
        return [Problem(str(path), found, "L at negative x (mm)", remedy)]
    return []


def _some(values: Iterable[object]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")
