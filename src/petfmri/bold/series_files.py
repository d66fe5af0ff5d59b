"""Parcel series that another program made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat

from petfmri.errors import DatasetError
from petfmri.study.run_inputs import RunInput
from petfmri.study.xcpd import read_kept
from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class RunSeries:
    """Parcel series of a run, in the order of the atlas table.

    Attributes
    ----------
    series : array of shape (frames_kept, n_parcels)
        A missing parcel is a column of NaN.
    missing : mapping of column number to reason
    kept : bool array of shape (frames_total,)
        False for frames that the source has censored.
    """

    series: FloatArray
    missing: Mapping[int, str]
    kept: BoolArray


def read_series(path: Path | str, key: str | None = None) -> FloatArray:
    """Read parcel series from a table, a MATLAB file or a NumPy array.

    Parameters
    ----------
    path : path
        ``.tsv`` or ``.csv`` (also ``.gz``), with or without a header of names; ``.mat``; ``.npy``.
    key : str, optional
        The variable of a ``.mat`` file. Needed if it holds several matrices.

    Returns
    -------
    array of shape (n_frames, n_parcels)
        Missing values (``n/a``) are NaN.

    Raises
    ------
    DatasetError
        If the file is absent, of another kind, damaged, or not one matrix of real numbers.
    """
    return _read_named(Path(path), key)[1]


def read_run(run: RunInput, names: Sequence[str], *, key: str | None = None) -> RunSeries:
    """Read the parcel series of a run in the order of an atlas table.

    Parameters
    ----------
    run : RunInput
        Of a table, ``.mat`` or ``.npy``.
    names : sequence of str
        The parcels, in the order of the atlas table. Columns of a table with a header are matched
        by name, those of any other file by position.
    key : str, optional
        See `read_series`.

    Raises
    ------
    DatasetError
        If the file cannot be read, its columns are not those of the atlas, no column has values
        in all frames, or XCP-D's list of kept frames is not that of the series.
    """
    header, values = _read_named(run.series, key)
    where = str(run.series)
    if header is None:
        _check_count(values, len(names), where)
    else:
        values = values[:, _order(header, names, where)]
    kept = np.ones(len(values), dtype=bool) if run.kept is None else read_kept(run.kept)
    if len(values) == kept.size:
        values = values[kept]
    elif len(values) != np.count_nonzero(kept):
        raise DatasetError(
            where,
            f"{len(values)} rows",
            f"{kept.size} as {run.kept} has, or the {np.count_nonzero(kept)} that it keeps",
            "take both from one run of XCP-D",
        )
    missing = _missing(values)
    if len(missing) == len(names):
        raise DatasetError(
            where, f"no parcel with values ({missing[0]})", "parcel series", "choose another file"
        )
    values[:, list(missing)] = np.nan
    return RunSeries(values, missing, kept)


def _read_named(path: Path, key: str | None) -> tuple[list[str] | None, FloatArray]:
    """Read the names of the columns, where the file has them, and the values."""
    if not path.is_file():
        raise DatasetError(str(path), "no such file", "parcel series", "correct the path")
    header = None
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    try:
        if kind in ("tsv", "csv"):
            header, values = _read_text(path, "\t" if kind == "tsv" else ",")
        elif kind == "mat":
            values = _choose(_read_matlab(path), key, path)
        elif kind == "npy":
            values = np.load(path, allow_pickle=False)
        else:
            raise DatasetError(
                str(path), f"a .{kind} file", ".tsv, .csv, .mat or .npy", "convert it"
            )
    except (ValueError, OSError, EOFError, TypeError) as error:
        raise DatasetError(
            str(path), f"contents that cannot be read ({error})", "a table of numbers", "repair it"
        ) from None
    if values.ndim != 2 or values.dtype.kind not in "fiu" or min(values.shape) < 2:
        raise DatasetError(
            str(path),
            f"shape {values.shape} of {values.dtype}",
            "(n_frames, n_parcels) real numbers, at least 2 of each",
            "choose the right variable or table",
        )
    return header, np.array(values, dtype=float)


def _read_text(path: Path, separator: str) -> tuple[list[str] | None, Any]:
    cells = pd.read_csv(path, sep=separator, header=None, dtype=str, na_values=["n/a"])
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    is_header = bool((numbers.iloc[0].isna() & cells.iloc[0].notna()).any())
    header = [str(cell).strip() for cell in cells.iloc[0]] if is_header else None
    is_header = is_header or _counts_up(numbers.iloc[0].to_numpy(dtype=float))
    numbers, cells = numbers.iloc[int(is_header) :], cells.iloc[int(is_header) :]
    words = numbers.isna() & cells.notna()
    if words.to_numpy().any():
        row, column = np.argwhere(words.to_numpy())[0]
        found = cells.iloc[row, column]
        raise ValueError(f"{found!r} in line {row + 1 + is_header}, column {column + 1}")
    return header, numbers.to_numpy(dtype=float)


def _counts_up(row: FloatArray) -> bool:
    """Whether a row numbers the columns, from 0 or 1, rather than holding values."""
    return row.size > 2 and any(np.array_equal(row, np.arange(row.size) + k) for k in (0, 1))


def _check_count(values: FloatArray, n_parcels: int, where: str) -> None:
    if values.shape[1] != n_parcels:
        turned = len(values) == n_parcels
        raise DatasetError(
            where,
            f"{values.shape[1]} columns without names",
            f"{n_parcels} as the atlas table has",
            "transpose it" if turned else "name the columns, or give the atlas table of this file",
        )


def _order(header: Sequence[str], names: Sequence[str], where: str) -> list[int]:
    """Find the column of each parcel by its name."""
    place = {name: column for column, name in enumerate(header)}
    absent = [name for name in names if name not in place]
    unknown = [name for name in header if name not in set(names)]
    twice = [name for name in place if header.count(name) > 1]
    if absent or unknown or twice:
        name, others = (absent[0], header) if absent else ((unknown or twice)[0], names)
        near = get_close_matches(name, others, n=1, cutoff=0)[0]
        parts = {"absent": absent, "unknown to the atlas table": unknown, "twice": twice}
        raise DatasetError(
            f"{where}: columns",
            "; ".join(f"{_some(found)} {what}" for what, found in parts.items() if found),
            f"the {len(names)} names of the atlas table, each once",
            f"the nearest name to {name!r} is {near!r}",
        )
    return [place[name] for name in names]


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(repr, names[:3])) + rest


def _missing(values: FloatArray) -> dict[int, str]:
    """Say why columns hold no signal: column number to reason."""
    gaps = np.isnan(values).sum(axis=0)
    reasons = {}
    for column in np.flatnonzero((gaps > 0) | (values == values[0]).all(axis=0)):
        reasons[int(column)] = (
            "one value in all frames"
            if gaps[column] == 0
            else "no value in the file"
            if gaps[column] == len(values)
            else f"no value in {gaps[column]} of {len(values)} frames"
        )
    return reasons


def _read_matlab(path: Path) -> dict[str, Any]:
    try:
        contents: dict[str, Any] = loadmat(path)
    except NotImplementedError:
        raise DatasetError(
            str(path), "MATLAB 7.3 (HDF5)", "MATLAB 7 or older", "save it anew with -v7"
        ) from None
    except Exception as error:  # damage shows itself in any way inside loadmat
        raise ValueError(str(error)) from error
    return contents


def _choose(contents: dict[str, Any], key: str | None, path: Path) -> Any:
    matrices = {
        name: value
        for name, value in contents.items()
        if not name.startswith("__") and isinstance(value, np.ndarray) and min(value.shape) > 1
    }
    if key is None and len(matrices) == 1:
        return next(iter(matrices.values()))
    if key not in matrices:
        found = ", ".join(f"{name} {value.shape}" for name, value in matrices.items())
        raise DatasetError(
            str(path), f"the matrices {found or '(none)'}", f"the key {key or 'of one'}", "name it"
        )
    return matrices[key]
