"""Published coordinates: tables (TSV, CSV, xlsx), or folders with one file per study."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from petfmri.errors import DatasetError, PetfmriError, Problem
from petfmri.study.files import MISSING

KINDS = (".tsv", ".csv", ".txt", ".xlsx")
NAMES = {
    "study": ("study", "study_id", "id", "pmid", "doi", "paper"),
    "contrast": ("contrast", "contrast_id", "experiment", "table_id", "table"),
    "direction": ("direction", "sign", "effect"),
    "space": ("space", "coordinate_space", "reference_space"),
    "n": ("n", "sample_size", "n_patients"),
    "x": ("x", "x_mm", "mni_x"),
    "y": ("y", "y_mm", "mni_y"),
    "z": ("z", "z_mm", "mni_z"),
}
"""Headings that are understood, in lower case; the first is ours."""

LABELS = ("study", "contrast", "n")
"""What several columns may tell, as study and doi do: the nearest to ours is used."""

AXIS = re.compile(
    r"(?:(?:mni|icbm|tal|tlrc)[a-z0-9]*_)?([xyz])(?:_(?:mm|mni|icbm|tal|tlrc)[a-z0-9]*)?"
)
"""Headings of a coordinate, in any space."""

Header = list[tuple[str, str]]
"""Heading of each column and what it means, "" if nothing."""

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
    stems: dict[str, Path] = {}
    for path in _each_file(files, problems):
        try:
            header, cells = _cells(path)
        except PetfmriError as error:
            problems += error.problems
            continue
        except (OSError, ValueError, KeyError, BadZipFile, csv.Error) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            problems.append(
                _problem(path, f"an unreadable file ({text})", "a table", "save it anew")
            )
            continue
        wrong = _header_problems(path, header, cells)
        if "study" not in [what for _, what in header]:
            wrong += _same_stem(path, stems.setdefault(path.stem, path))
        problems += wrong
        if not any(problem.severity == "error" for problem in wrong):
            own, told = _rows(path, header, cells, direction, space)
            rows += own
            problems += told
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table, problems + _repeated(table)


def _same_stem(path: Path, first: Path) -> list[Problem]:
    """Two files that name one study by their own names."""
    if path.resolve() == first.resolve():
        return []
    found = f"the name of {first}, and no column study in it"
    remedy = "rename one, or add a column study if both are of one study"
    return [Problem(str(path), found, "a name per study", remedy)]


def _header_problems(
    path: Path, header: Header, cells: list[tuple[int, list[str]]]
) -> list[Problem]:
    """Say which columns are absent, there twice, or not used."""
    names = [name for name, _ in header]
    absent = [axis for axis in "xyz" if axis not in [what for _, what in header]]
    if absent or not cells:
        found = f"columns {', '.join(names) or 'none'}" if cells else "no rows"
        remedy = f"rename those that are {', '.join(absent) or 'meant'}, in mm"
        return [_problem(path, found, "columns study, x, y, z", remedy)]
    unused = [name for name, what in header if name and not what]
    told = []
    for ours in NAMES:
        same = [name for name, what in header if what == ours]
        same += [
            name for name in unused if (axis := AXIS.fullmatch(_plain(name))) and axis[1] == ours
        ]
        if len(same) > 1:
            remedy = "keep the one that is meant, and rename or remove the other"
            told.append(
                _problem(path, f"columns {', '.join(same)}", f"one column of {ours}", remedy)
            )
    if unused and not told:
        found = f"columns that are not used: {', '.join(unused)}"
        expected = f"{', '.join(NAMES)}, or their other names"
        told.append(_problem(path, found, expected, "rename those that matter", (), "warning"))
    return told


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


def _cells(path: Path) -> tuple[Header, list[tuple[int, list[str]]]]:
    """Return what each column is and the rows with their number in the file."""
    lines = _sheet(path) if path.suffix.lower() == ".xlsx" else _lines(path)
    rows = [(k, [cell.strip() for cell in row]) for k, row in enumerate(lines, 1)]
    rows = [(k, row) for k, row in rows if any(row)]
    if not rows:
        raise DatasetError(str(path), "an empty file", "columns study, x, y, z", "fill it")
    first = rows[0][1]
    if len(first) >= 3 and not any(math.isnan(_number(cell)) for cell in first[:3]):
        width = max(len(row) for _, row in rows)
        return [("x", "x"), ("y", "y"), ("z", "z"), *[("", "")] * (width - 3)], rows
    return _header(first), rows[1:]


def _lines(path: Path) -> list[list[str]]:
    """Split a text file at the mark that its first line has most often."""
    text = path.read_bytes().decode("utf-8-sig").splitlines()
    first = next((line for line in text if line.strip()), "")
    mark = max("\t,;", key=first.count)
    if mark not in first and len(first.split()) >= 3:
        raise DatasetError(
            str(path), "columns separated by spaces", "by tabs, commas or semicolons", "save it so"
        )
    return list(csv.reader(text, delimiter=mark))


def _sheet(path: Path) -> list[list[str]]:
    """Read the one sheet of a workbook that holds anything."""
    with pd.ExcelFile(path, engine="openpyxl") as book:
        names = [sheet.title for sheet in book.book.worksheets]
        sheets = {name: book.parse(name, header=None, dtype=object) for name in names}
    filled = [name for name in names if sheets[name].notna().to_numpy().any()]
    if len(filled) > 1:
        found = f"{len(filled)} sheets that hold rows: {', '.join(filled)}"
        raise DatasetError(str(path), found, "one sheet", "save each sheet as a file of its own")
    cells = sheets[filled[0]].to_numpy() if filled else []
    return [["" if pd.isna(cell) else str(cell) for cell in row] for row in cells]


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_")


def _header(names: Sequence[str]) -> Header:
    """Tell what each heading means; of labels, the nearest to ours wins.

    Examples
    --------
    >>> _header(["Study", "doi", "X", "x", "page", "page"])
    [('Study', 'study'), ('doi', ''), ('X', 'x'), ('x', 'x'), ('page', ''), ('page', '')]
    """
    lowered = [_plain(name) for name in names]
    meant: dict[str, str] = {}
    for ours, aliases in NAMES.items():
        known = [alias for alias in aliases if alias in lowered]
        meant |= dict.fromkeys(known[:1] if ours in LABELS else known, ours)
    return [(name, meant.get(low, "")) for name, low in zip(names, lowered, strict=True)]


def _rows(
    path: Path,
    header: Header,
    cells: list[tuple[int, list[str]]],
    direction: str | None,
    space: str,
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Read the rows of one file; those of one problem are told together."""
    wrong: dict[tuple[str, str, str], list[int]] = {}
    rows = []
    for number, row in cells:
        given = {
            what: text
            for what, text in zip((what for _, what in header), row, strict=False)
            if what
        }
        found = {"file": path.name, "row": number, **_described(given, path, direction, space)}
        points = {axis: _number(given.get(axis, "")) for axis in "xyz"}
        complaints = _complaints(given, found, points, direction)
        if any(row[len(header) :]):
            remedy = "quote cells that hold the separator, write decimal points"
            complaints.append(("more cells than headings", f"{len(header)} cells", remedy))
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
        return math.nan if "_" in text else float(text.replace("−", "-").replace("–", "-"))
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
