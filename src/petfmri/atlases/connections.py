"""Connections of interest: named sets of pairs of regions, from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petfmri.atlases.atlas import select_regions
from petfmri.errors import ConfigError, Problem
from petfmri.typing import IntArray

COLUMNS = ("set", "connection", "a", "b")


@dataclass(frozen=True)
class Connection:
    """One connection.

    Attributes
    ----------
    group, name : str
        Its set and its own name.
    a, b : array of int
        Rows of the atlas that make its two nodes.
    note : str
        What readers must know of the list.
    """

    group: str
    name: str
    a: IntArray
    b: IntArray
    note: str = ""

    @property
    def label(self) -> str:
        """Set and name, as outcomes are called."""
        return f"{self.group}:{self.name}"


def packaged_connections() -> dict[str, Path]:
    """Find the lists that come with petfmri, by name."""
    installed = Path(str(files("petfmri"))) / "connection_sets"
    folder = installed if installed.is_dir() else Path(__file__).parents[3] / "configs/connections"
    return {path.stem: path for path in sorted(folder.glob("*.tsv"))}


def load_connections(sources: Sequence[str | Path], atlas: pd.DataFrame) -> list[Connection]:
    """Read lists of connections and find their regions in an atlas.

    A list is a table with the columns set, connection, a and b (and note); a and b are region
    names or shell-style patterns, several of them joined by ``|``.

    Parameters
    ----------
    sources : sequence of str or Path
        Names of packaged lists, or paths.
    atlas : DataFrame
        With the column name.

    Returns
    -------
    list of Connection

    Raises
    ------
    ConfigError
        With everything that is wrong: no such list, a column or region that is not there (and the
        nearest name), a connection given twice or of a region with itself alone.

    Examples
    --------
    >>> from petfmri.atlases import load_atlas
    >>> found = load_connections(["clipst", "control"], load_atlas().table)
    >>> len(found), found[0].label, found[0].b.tolist()
    (32, 'CLIPST letters:prefrontal-amygdala', [206, 213])
    """
    problems: list[Problem] = []
    connections: list[Connection] = []
    for source in sources:
        try:
            table = _read(source)
        except ConfigError as error:
            problems += error.problems
            continue
        for number, row in enumerate(table.to_dict("records"), 2):
            try:
                connections.append(_connection(row, atlas, f"{source}, line {number}"))
            except ConfigError as error:
                problems += error.problems
    labels = [connection.label for connection in connections]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        problems.append(
            Problem("connections", f"{', '.join(twice)} twice", "each once", "rename or remove one")
        )
    if problems:
        raise ConfigError.of(problems)
    return connections


def _read(source: str | Path) -> pd.DataFrame:
    known = packaged_connections()
    path = known.get(str(source), Path(source))
    if not path.is_file():
        raise ConfigError(
            "connections",
            f"{source}, which is no file",
            f"a path, or one of {', '.join(known)}",
            "correct it",
        )
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    lacking = [name for name in COLUMNS if name not in table]
    if lacking or table.empty:
        found = f"no column {', '.join(lacking)}" if lacking else "no rows"
        raise ConfigError(
            str(path), found, f"columns {', '.join(COLUMNS)}", "see configs/connections"
        )
    return table


def _connection(row: Mapping[Any, Any], atlas: pd.DataFrame, where: str) -> Connection:
    names = atlas["name"].astype(str).tolist()
    problems: list[Problem] = []
    nodes: list[IntArray] = []
    for side in ("a", "b"):
        patterns = [part.strip() for part in row[side].split("|") if part.strip()]
        for pattern in patterns or [""]:
            try:
                select_regions(atlas, [pattern])
            except ConfigError as error:
                told = error.problems[0]
                problems.append(
                    Problem(
                        f"{where}: {row['connection']}: {side}",
                        f"{pattern or 'nothing'}, which is no region",
                        "names or patterns of regions of the atlas",
                        told.remedy,
                    )
                )
        if not problems:
            chosen = select_regions(atlas, patterns)
            nodes.append(np.array([names.index(name) for name in chosen]))
    if not problems and len(set(nodes[0].tolist()) | set(nodes[1].tolist())) < 2:
        problems.append(
            Problem(f"{where}: {row['connection']}", "one region", "two", "name another region")
        )
    if problems:
        raise ConfigError.of(problems)
    return Connection(row["set"], row["connection"], nodes[0], nodes[1], row.get("note", ""))
