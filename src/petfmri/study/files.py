"""Reading and writing the files of a study: complete under their final name, or not there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.errors import DatasetError

Columns = Mapping[str, Mapping[str, str]]
MISSING = ("", "n/a", "N/A")


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to it only when the block succeeds.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "table.tsv"
    >>> with written_beside(target) as beside:
    ...     _ = beside.write_text("complete")
    >>> target.read_text()
    'complete'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = "".join(path.suffixes[-2:]) if path.name.endswith(".nii.gz") else path.suffix
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name.split('.')[0]}_", suffix=suffix, dir=path.parent
    )
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        beside.chmod(0o666 & ~_umask())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(text: str, path: Path) -> Path:
    """Write `text` in UTF-8."""
    with written_beside(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write a JSON object, indented, refusing NaN."""
    return write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    DatasetError
        If the file is absent, is not valid JSON or is not an object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DatasetError(str(path), "no such file", "a JSON sidecar", "add it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(
            str(path), f"invalid JSON ({error})", "one JSON object", "repair it"
        ) from None
    if not isinstance(content, dict):
        raise DatasetError(str(path), type(content).__name__, "one JSON object", "repair it")
    return content


def write_table(table: pd.DataFrame, path: Path, columns: Columns | None = None) -> Path:
    """Write a TSV with `n/a` for missing values and a sidecar that describes its columns.

    Parameters
    ----------
    table : DataFrame
        Not empty.
    path : Path
        Ends in ``.tsv``.
    columns : mapping of column name to {"Description": ..., "Units": ...}, optional
        Written as the JSON sidecar, for the columns that the table has.

    Raises
    ------
    DatasetError
        If the table has no rows: an empty table is never written silently.
    """
    path = Path(path)
    if table.empty:
        raise DatasetError(str(path), "no rows to write", "at least one", "see the messages before")
    with written_beside(path) as beside:
        table.to_csv(beside, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    if columns is not None:
        present = {str(name): dict(columns[str(name)]) for name in table if str(name) in columns}
        write_json(present, path.with_suffix(".json"))
    return path


def read_table(path: Path, required: Sequence[str] = ()) -> pd.DataFrame:
    """Read a BIDS TSV (tab separated, ``n/a`` for missing, any line ends).

    Columns of numbers become numbers, except identifiers (names in ``_id``): ``01`` stays ``01``.

    Raises
    ------
    DatasetError
        If the file is absent, empty, not tab separated or lacks a required column.
    """
    path = Path(path)
    header, rows = _read_rows(path)
    missing = [name for name in required if name not in header]
    if missing:
        raise DatasetError(
            str(path),
            f"columns {', '.join(header)}",
            f"also {', '.join(missing)}",
            "add or rename them",
        )
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    return pd.DataFrame({name: _as_numbers(name, cells) for name, cells in columns.items()})


def _read_rows(path: Path) -> tuple[list[str], list[list[str | None]]]:
    """Header and cells of a TSV whose rows are all of one length."""
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise DatasetError(
            str(path), "no such file", "a table", "add it or correct its path"
        ) from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            str(path), f"bytes that are not UTF-8 ({error})", "UTF-8", "save it anew"
        ) from None
    rows = [line.split("\t") for line in text.split("\n") if line.strip()]
    if len(rows) < 2:
        raise DatasetError(
            str(path), f"{len(rows)} lines", "a header and at least one row", "fill it"
        )
    header = [name.strip() for name in rows[0]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DatasetError(str(path), f"column {twice[0]} twice", "each name once", "rename one")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DatasetError(
                f"{path}: line {number}",
                f"{len(row)} columns",
                f"{len(header)} as in the header",
                "separate columns by one tab each",
            )
    return header, [[_cell(text) for text in row] for row in rows[1:]]


def _cell(text: str) -> str | None:
    text = text.strip()
    return None if text in MISSING else text


def _as_numbers(name: str, cells: list[str | None]) -> Any:
    """Turn a column into numbers, if every cell that is given is one and it holds no identifiers."""
    missing = cells.count(None)
    if name.endswith("_id") or missing == len(cells):
        return cells
    numbers = pd.to_numeric(np.array(cells, dtype=object), errors="coerce")
    return numbers if np.isnan(numbers).sum() == missing else cells


def save_image(image: nib.Nifti1Image, path: Path) -> Path:
    """Write a NIfTI image."""
    with written_beside(path) as beside:
        nib.save(image, beside)
    return Path(path)
