"""Published coordinates: tables (TSV, CSV, xlsx), or folders with one file per study."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from petfmri.errors import Problem
from petfmri.study.files import MISSING

KINDS = (".tsv", ".csv", ".txt", ".xlsx")
NAMES = {
    "study": ("study", "study_id", "id", "pmid", "doi", "paper"),
    "contrast": ("contrast", "contrast_id", "experiment"),
    "direction": ("direction", "sign", "effect"),
    "space": ("space", "coordinate_space", "reference_space"),
    "n": ("n", "sample_size", "n_patients"),
    "x": ("x", "x_mm", "mni_x"),
    "y": ("y", "y_mm", "mni_y"),
    "z": ("z", "z_mm", "mni_z"),
}
"""Headings that are understood, in lower case; the first is ours."""

SPACES = {"mni": "MNI", "icbm": "MNI", "tal": "Talairach", "tlrc": "Talairach", "t88": "Talairach"}
"""Beginnings of the names of spaces, in lower case."""

DIRECTIONS = {
    "increase": ("increase", "increased", "hyper", "up", "positive", "+", "1"),
    "decrease": ("decrease", "decreased", "hypo", "down", "negative", "-", "-1"),
}
UNSIGNED = "unsigned"
"""Direction of peaks of which no file says whether they are increases or decreases."""

COLUMNS = ("file", "row", "study", "contrast", "direction", "space", "stated", "n", "x", "y", "z")


def read_coordinates(
    files: Sequence[Path], *, direction: str | None = None, space: str = "MNI"
) -> tuple[pd.DataFrame, list[Problem]]:
    """Read the peaks of studies.

    A file has the columns study, x, y and z, and perhaps contrast, direction (increase or
    decrease), space (MNI or Talairach) and n; see `NAMES` for other headings. Without a column of
    studies, and in files that begin with a row of numbers (x, y, z first), the file is one study
    and its name that study's.

    Parameters
    ----------
    files : sequence of Path
        Tables, or folders of tables.
    direction : str, optional
        Of all rows of these files.
    space : {"MNI", "Talairach"}
        Of rows that do not say it.

    Returns
    -------
    table : DataFrame
        A row per usable peak: `COLUMNS`. ``row`` is the line of the file from 1, x, y and z are
        in mm of ``space``, ``stated`` tells whether the file says that.
    problems : list of Problem
        Every one of every file.
    """
    problems: list[Problem] = []
    rows: list[dict[str, Any]] = []
    for path in _each_file(files, problems):
        try:
            header, cells = _cells(path)
        except (OSError, ValueError, KeyError, BadZipFile, csv.Error) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(
                _problem(path, f"an unreadable file ({text})", "a table", "save it anew")
            )
            continue
        absent = [name for name in "xyz" if name not in header.values()]
        if absent or not cells:
            found = f"columns {', '.join(header) or 'none'}" if cells else "no rows"
            remedy = f"rename those that are {', '.join(absent) or 'meant'}, in mm"
            problems.append(_problem(path, found, "columns study, x, y, z", remedy))
            continue
        own, told = _rows(path, header, cells, direction, space)
        rows += own
        problems += told
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table, problems + _repeated(table)


def _each_file(files: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    for given in files:
        if given.is_dir():
            inside = sorted(
                path
                for path in given.iterdir()
                if path.suffix.lower() in KINDS and path.name[0] not in ".~"
            )
            if not inside:
                problems.append(
                    _problem(
                        given, f"no {', '.join(KINDS)} in this folder", "one per study", "add some"
                    )
                )
            yield from inside
        elif not given.is_file():
            problems.append(_problem(given, "no such file", "coordinates", "correct the path"))
        elif given.suffix.lower() not in KINDS:
            found = f"a file in {given.suffix or 'no suffix'}"
            problems.append(_problem(given, found, ", ".join(KINDS), "save it as one of these"))
        else:
            yield given


def _cells(path: Path) -> tuple[dict[str, str], list[tuple[int, list[str]]]]:
    """Return what each column is, by its heading, and the rows with their number in the file."""
    if path.suffix.lower() == ".xlsx":
        sheet = pd.read_excel(path, header=None, dtype=object, engine="openpyxl")
        lines = [["" if pd.isna(cell) else str(cell) for cell in row] for row in sheet.to_numpy()]
    else:
        text = path.read_bytes().decode("utf-8-sig").splitlines()
        first = text[0] if text else ""
        mark = max("\t,;", key=first.count)
        lines = list(csv.reader(text, delimiter=mark))
    rows = [(k, [cell.strip() for cell in row]) for k, row in enumerate(lines, 1)]
    rows = [(k, row) for k, row in rows if any(row)]
    if rows and len(rows[0][1]) >= 3 and not any(math.isnan(_number(c)) for c in rows[0][1][:3]):
        return {"x": "x", "y": "y", "z": "z"}, rows
    return _header(rows[0][1] if rows else []), rows[1:]


def _header(names: Sequence[str]) -> dict[str, str]:
    """Tell what each heading means; the nearest to ours wins where two mean the same."""
    lowered = [name.lower().replace(" ", "_") for name in names]
    meant = {
        next(known for known in aliases if known in lowered): ours
        for ours, aliases in NAMES.items()
        if set(aliases) & set(lowered)
    }
    return {
        name or f"column {place}": meant.get(low, "")
        for place, (name, low) in enumerate(zip(names, lowered, strict=True), 1)
    }


def _rows(
    path: Path,
    header: dict[str, str],
    cells: list[tuple[int, list[str]]],
    direction: str | None,
    space: str,
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Read the rows of one file; those of one problem are told together."""
    wrong: dict[tuple[str, str, str], list[int]] = {}
    rows = []
    for number, row in cells:
        given = {what: text for what, text in zip(header.values(), row, strict=False) if what}
        found = {"file": path.name, "row": number, **_described(given, path, direction, space)}
        points = {axis: _number(given.get(axis, "")) for axis in "xyz"}
        complaints = _complaints(given, found, points, direction)
        for complaint in complaints:
            wrong.setdefault(complaint, []).append(number)
        if not complaints:
            rows.append({**found, **points})
    problems = [
        _problem(path, what, expected, remedy, numbers)
        for (what, expected, remedy), numbers in wrong.items()
    ]
    return rows, problems


def _complaints(
    given: Mapping[str, str],
    found: Mapping[str, Any],
    points: Mapping[str, float],
    direction: str | None,
) -> list[tuple[str, str, str]]:
    """Say what is wrong with one row: found, expected, remedy."""
    told = []
    for axis, value in points.items():
        if not math.isfinite(value):
            text = given.get(axis, "")
            remedy = "write decimal points" if "," in text else "correct it"
            told.append((f"{text!r} for {axis}", "a number in mm", remedy))
    if found["space"] is None:
        remedy = "look it up, or leave the rows out"
        told.append((f"the space {given['space']!r}", "MNI or Talairach", remedy))
    if found["direction"] is None:
        expected = f"{direction}, as this file is listed" if direction else "increase or decrease"
        told.append((f"the direction {given['direction']!r}", expected, "correct it"))
    if not found["study"]:
        told.append(("no study", "its name", "add it"))
    return told


def _described(
    given: Mapping[str, str], path: Path, direction: str | None, space: str
) -> dict[str, Any]:
    """Say what a row is about: None for a space or direction that is not understood."""
    said = given.get("space", "")
    said = "" if said in MISSING else said.lower()
    known = [name for start, name in SPACES.items() if said.startswith(start)]
    sign = given.get("direction", "").lower().replace("−", "-")
    signs = [name for name, words in DIRECTIONS.items() if sign in words]
    if sign in ("", "n/a"):
        signs = [direction or UNSIGNED]
    elif direction is not None and signs != [direction]:
        signs = []
    sample = _number(given.get("n", ""))
    return {
        "study": given.get("study", "") if "study" in given else path.stem,
        "contrast": given.get("contrast", ""),
        "direction": signs[0] if signs else None,
        "space": known[0] if known else space if not said else None,
        "stated": bool(known),
        "n": sample,
    }


def _number(text: str) -> float:
    """Read a number, also with the minus sign of typeset tables; NaN if it is none."""
    try:
        return float(text.replace("−", "-").replace("–", "-"))
    except ValueError:
        return math.nan


def _repeated(table: pd.DataFrame) -> list[Problem]:
    """Warn of peaks listed twice in a contrast, and of studies whose peaks are another's."""
    keys = ["study", "contrast", "direction", "space", "x", "y", "z"]
    problems = []
    for name, rows in table[table.duplicated(keys)].groupby("file", sort=False):
        text = f"{len(rows)} peak{'s' * (len(rows) != 1)} that this contrast has already"
        problems.append(
            _problem(
                Path(str(name)),
                text,
                "each once",
                "remove them; they count once",
                rows["row"],
                "warning",
            )
        )
    sets: dict[frozenset[tuple[float, ...]], str] = {}
    for (study, _, direction), rows in table.groupby(keys[:3], sort=False):
        peaks = frozenset(map(tuple, rows[["x", "y", "z"]].to_numpy(float).tolist()))
        other = sets.setdefault(peaks, str(study))
        if other != study:
            found = f"the same peaks as {other} ({direction})"
            remedy = "leave one out if both report one sample: it would count twice"
            problems.append(
                _problem(Path(str(study)), found, "peaks of its own", remedy, (), "warning")
            )
    return problems


def _problem(
    path: Path,
    found: str,
    expected: str,
    remedy: str,
    rows: Iterable[int] = (),
    severity: Any = "error",
) -> Problem:
    numbers = list(rows)
    where = path.name if numbers or not path.is_absolute() else str(path)
    if numbers:
        where += f": {listed(numbers)}"
    return Problem(where, found, expected, remedy, severity)


def listed(numbers: Sequence[int]) -> str:
    """Name rows, the first few of many.

    Examples
    --------
    >>> listed([4]), listed(range(2, 30))
    ('row 4', 'rows 2, 3, 4, 5, 6 and 23 more')
    """
    shown = ", ".join(str(number) for number in list(numbers)[:5])
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"row{'s' * (len(numbers) != 1)} {shown}{more}"
