"""Reading many sidecars and tables of a dataset, collecting every problem instead of stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from petfmri.errors import DatasetError, Problem
from petfmri.study.files import read_json, read_table
from petfmri.study.names import Name, parse_name, with_prefix


@dataclass(frozen=True)
class Sidecar:
    """Metadata of one image, inherited from the dataset down to the file.

    Attributes
    ----------
    fields : mapping
        Name of a field to its value; the nearest file wins.
    origins : mapping
        Name of a field to the JSON file that gave it.
    readable : bool
        Whether every JSON file that applies could be read.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, Path] = field(default_factory=dict)
    readable: bool = True


class Reader:
    """Reads the files under one dataset folder, each once.

    Attributes
    ----------
    problems : list of Problem
        What was wrong with the files read so far.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self._json: dict[Path, dict[str, Any] | None] = {}
        self._sidecars: dict[Path, list[tuple[Path, Name]]] = {}

    def json(self, path: Path) -> dict[str, Any] | None:
        """Read a JSON object; None if it cannot be read."""
        if path not in self._json:
            try:
                self._json[path] = read_json(path)
            except DatasetError as error:
                self._json[path] = None
                self._collect(error)
        return self._json[path]

    def table(self, path: Path, required: Sequence[str] = ()) -> pd.DataFrame | None:
        """Read a TSV with its identifiers prefixed; None if it cannot be read."""
        try:
            table = read_table(path, required)
        except DatasetError as error:
            self._collect(error)
            return None
        if b"\r" in path.read_bytes().replace(b"\r\n", b""):
            self.problems.append(
                Problem(
                    self.relative(path),
                    "lines that end in a carriage return alone",
                    "line feeds, as BIDS tools read them",
                    "save it with Unix line ends",
                )
            )
        return self._with_prefixes(table, path)

    def sidecar(self, image: Path, name: Name) -> Sidecar:
        """Gather the metadata of an image by the BIDS inheritance principle."""
        fields: dict[str, Any] = {}
        origins: dict[str, Path] = {}
        readable = True
        for path in self._applicable(image, name):
            content = self.json(path)
            readable = readable and content is not None
            fields |= content or {}
            origins |= dict.fromkeys(content or (), path)
        return Sidecar(fields, origins, readable)

    def relative(self, path: Path) -> str:
        """Name a path within the dataset."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def _collect(self, error: DatasetError) -> None:
        for problem in error.problems:
            where = problem.where.removeprefix(f"{self.root}/")
            self.problems.append(replace(problem, where=where))

    def _applicable(self, image: Path, name: Name) -> list[Path]:
        """JSON files that apply to an image, farthest and most general first."""
        folders = [self.root]
        for part in image.parent.relative_to(self.root).parts:
            folders.append(folders[-1] / part)
        return [
            path
            for folder in folders
            for path, other in self._sidecars_of(folder)
            if other.suffix == name.suffix and other.entities.items() <= name.entities.items()
        ]

    def _sidecars_of(self, folder: Path) -> list[tuple[Path, Name]]:
        if folder not in self._sidecars:
            named = [(path, parse_name(path.name)) for path in sorted(folder.glob("*.json"))]
            found = [(path, name) for path, name in named if name is not None]
            self._sidecars[folder] = sorted(found, key=lambda pair: len(pair[1].entities))
        return self._sidecars[folder]

    def _with_prefixes(self, table: pd.DataFrame, path: Path) -> pd.DataFrame:
        for column, entity in (("participant_id", "sub"), ("session_id", "ses")):
            if column not in table:
                continue
            unnamed = table[column].isna()
            if unnamed.any():
                self.problems.append(
                    Problem(
                        f"{self.relative(path)}: {column}",
                        f"{int(unnamed.sum())} rows without a value",
                        "an identifier in every row",
                        "fill or remove these rows",
                    )
                )
            table = table[~unnamed].reset_index(drop=True)
            table[column] = [with_prefix(entity, label) for label in table[column]]
        return table
