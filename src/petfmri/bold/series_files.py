"""Parcel series that another program made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat

from petfmri.errors import DatasetError
from petfmri.typing import FloatArray


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
    path = Path(path)
    if not path.is_file():
        raise DatasetError(str(path), "no such file", "parcel series", "correct the path")
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    try:
        if kind in ("tsv", "csv"):
            values: Any = _read_text(path, "\t" if kind == "tsv" else ",")
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
    return np.asarray(values, dtype=float)


def _read_text(path: Path, separator: str) -> FloatArray:
    cells = pd.read_csv(path, sep=separator, header=None, dtype=str, na_values=["n/a"])
    numbers = cells.apply(pd.to_numeric, errors="coerce")
    is_header = bool((numbers.iloc[0].isna() & cells.iloc[0].notna()).any())
    numbers, cells = numbers.iloc[int(is_header) :], cells.iloc[int(is_header) :]
    words = numbers.isna() & cells.notna()
    if words.to_numpy().any():
        row, column = np.argwhere(words.to_numpy())[0]
        found = cells.iloc[row, column]
        raise ValueError(f"{found!r} in line {row + 1 + is_header}, column {column + 1}")
    return numbers.to_numpy(dtype=float)


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
