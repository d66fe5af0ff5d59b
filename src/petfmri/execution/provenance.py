"""What a participant's results were made from, and whether they are still current."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petfmri import __version__
from petfmri.study.adoption import named
from petfmri.study.files import read_json, write_json


@dataclass(frozen=True)
class Provenance:
    """Everything that a participant's results depend on.

    Parameters
    ----------
    options : mapping
        The settings that the workflow reads.
    inputs : mapping of path (relative to the dataset) or BIDS URI to SHA-256
        By content, so that moving or touching a dataset changes nothing.
    sources : mapping of scan to {step: BIDS URI of the file adopted, or ``"computed"``}
        Told, not hashed: the inputs say as much.
    """

    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """One hash of version, options and inputs."""
        text = json.dumps([__version__, self.options, dict(self.inputs)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def provenance(
    paths: Iterable[Path],
    *,
    dataset: Path,
    options: Mapping[str, Any],
    derivatives: Mapping[str, Path] | None = None,
    sources: Mapping[str, Mapping[str, str]] | None = None,
) -> Provenance:
    """Hash the inputs of one participant, of a dataset and of named derivatives folders."""
    roots = {"raw": dataset, **(derivatives or {})}
    names = {path: named(path, roots).removeprefix("bids:raw:") for path in sorted(set(paths))}
    inputs = {name: sha256(path) for path, name in names.items()}
    return Provenance(json.loads(json.dumps(options, default=str)), inputs, sources or {})


def sha256(path: Path) -> str:
    """Hash a file by content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_current(record: Path, wanted: Provenance, *, outputs_in: Path) -> bool:
    """Tell whether `record` was written for `wanted` and all of its outputs are still there."""
    if not record.exists():
        return False
    content = read_json(record)
    return content.get("key") == wanted.key and all(
        (outputs_in / output).exists() for output in content.get("outputs", ["missing"])
    )


def write_started(record: Path, planned: Iterable[str]) -> None:
    """Record what a run is about to write: should it fail, the next one knows what to remove."""
    write_json({"key": "", "outputs": sorted(planned)}, record)


def write_provenance(
    record: Path, made_from: Provenance, *, outputs: Iterable[str], software: Mapping[str, str]
) -> None:
    """Write the record last, when every output is under its final name."""
    write_json(
        {
            "key": made_from.key,
            "petfmri": __version__,
            "software": dict(software),
            "options": dict(made_from.options),
            "inputs": dict(made_from.inputs),
            "sources": {name: dict(steps) for name, steps in made_from.sources.items()},
            "outputs": sorted(outputs),
        },
        record,
    )
