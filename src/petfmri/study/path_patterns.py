"""Finding files by a path with placeholders for subject, session and run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from petfmri.errors import ConfigError, DatasetError

PLACEHOLDERS = ("subject", "session", "run")
TOKEN = re.compile(r"(\{[^}]*\}|\*)")


def find_paths(
    pattern: Path | str, needed: Sequence[str] = PLACEHOLDERS[:2]
) -> list[tuple[Path, dict[str, str]]]:
    """Find the files that a pattern describes.

    Parameters
    ----------
    pattern : path
        With ``{subject}``, ``{session}`` and, where there is more than one, ``{run}`` in names of
        files and folders: a stretch without ``_`` or ``/``, the same everywhere. ``*`` stands for
        any part of one name.
    needed : sequence of str
        Placeholders that the pattern must have.

    Returns
    -------
    list of (Path, mapping of placeholder to text)
        Sorted by path.

    Raises
    ------
    ConfigError
        If a placeholder is unknown, or one that is needed absent.
    DatasetError
        If nothing fits: with the place where the search ended, and the nearest name there.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "sub-07_ses-pre_run-1.npy").touch()
    >>> [labels for _, labels in find_paths(folder / "sub-{subject}_ses-{session}_run-{run}.npy")]
    [{'subject': '07', 'session': 'pre', 'run': '1'}]
    """
    placeholders(pattern, needed)
    path = Path(pattern)
    states: list[tuple[Path, dict[str, str]]] = [(Path(path.anchor), {})]
    for part in path.parts[bool(path.anchor) :]:
        found = [state for folder, labels in states for state in _step(folder, part, labels)]
        if not found:
            raise _nothing(pattern, part, [folder for folder, _ in states])
        states = found
    files = sorted((path, labels) for path, labels in states if path.is_file())
    if not files:
        raise DatasetError(str(pattern), "folders only", "files", "end it with the files' name")
    return files


def placeholders(pattern: Path | str, needed: Sequence[str] = PLACEHOLDERS[:2]) -> set[str]:
    """Name the placeholders of a pattern, all of them known; see `find_paths`."""
    used = {token[1:-1] for token in TOKEN.findall(str(pattern)) if token != "*"}
    for name in sorted(used - set(PLACEHOLDERS)):
        near = get_close_matches(name, PLACEHOLDERS, n=1, cutoff=0)[0]
        raise ConfigError(
            str(pattern),
            f"the placeholder {{{name}}}",
            ", ".join(f"{{{known}}}" for known in PLACEHOLDERS),
            f"write {{{near}}}",
        )
    absent = [name for name in needed if name not in used]
    if absent:
        raise ConfigError(
            str(pattern),
            f"no {{{absent[0]}}}",
            " and ".join(f"{{{name}}}" for name in needed),
            "put it where the names of the files differ",
        )
    return used


def _step(
    folder: Path, part: str, labels: Mapping[str, str]
) -> Iterator[tuple[Path, dict[str, str]]]:
    """Go one name down, to all that fit."""
    if not TOKEN.search(part):
        if (folder / part).exists():
            yield folder / part, dict(labels)
        return
    wanted = re.compile(_expression(part, labels))
    for name in _names(folder):
        fits = wanted.fullmatch(name)
        if fits and not name.startswith("."):
            yield folder / name, {**labels, **fits.groupdict()}


def _expression(part: str, labels: Mapping[str, str]) -> str:
    text, new = "", set()
    for token in TOKEN.split(part):
        name = token[1:-1]
        if token == "*":
            text += "[^/]*"
        elif not token.startswith("{"):
            text += re.escape(token)
        elif name in labels:
            text += re.escape(labels[name])
        else:
            text += f"(?P={name})" if name in new else f"(?P<{name}>[^_/]+)"
            new.add(name)
    return text


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _nothing(pattern: Path | str, part: str, folders: Sequence[Path]) -> DatasetError:
    names = sorted({name for folder in folders[:100] for name in _names(folder)})
    near = get_close_matches(TOKEN.sub("", part), names, n=1, cutoff=0)
    return DatasetError(
        str(pattern),
        f"nothing like {part} in {folders[0] if len(folders) == 1 else f'{len(folders)} folders'}",
        "a file for each session",
        f"the nearest name there is {near[0]}"
        if near
        else "that folder is empty: correct the path",
    )
