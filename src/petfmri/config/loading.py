"""Read a study YAML, and say everything that is wrong with it at once."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from petfmri.config.analysis import Symptoms
from petfmri.config.inference import Voxels
from petfmri.config.inputs import Series
from petfmri.config.localization import Normative
from petfmri.config.study import Study
from petfmri.errors import ConfigError, Problem

PATTERNS = (
    *((Series, name) for name in ("files", "confounds")),
    (Voxels, "maps"),
    *((Normative, name) for name in ("images", "series", "confounds")),
)
"""Keys that hold a path with placeholders."""


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"line {line}: key {key!r} given twice"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_study(path: Path) -> Study:
    """Read and validate a study YAML; relative paths are relative to the file.

    Parameters
    ----------
    path : Path
        The YAML file.

    Returns
    -------
    Study

    Raises
    ------
    ConfigError
        With every problem at once: unknown keys (and the nearest known one), wrong types, values
        out of range.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError:
        raise ConfigError(
            str(path), "no such file", "a study YAML", "copy one of configs/ or run `petfmri demo`"
        ) from None
    except IsADirectoryError:
        raise ConfigError(str(path), "a folder", "a study YAML", "name the file in it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            str(path), f"invalid YAML ({reason})", "valid YAML", "correct it"
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(
            str(path), "no settings", "keys such as name, bids, output", "see configs/"
        )
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError.of(_problem(path, item) for item in error.errors()) from None
    study = _with_absolute_paths(study, path.resolve().parent)
    _require_own_output(study, path)
    return study


def _require_own_output(study: Study, path: Path) -> None:
    """Refuse to write where another program's or the dataset's files are."""
    of_others = {f"derivatives.{name}": root for name, root in study.derivatives if root}
    if study.localization and study.localization.normative:
        root = study.localization.normative.fmriprep
        of_others |= {"localization.normative.fmriprep": root} if root else {}
    inside = [key for key, root in of_others.items() if study.output.is_relative_to(root)]
    if study.output == study.bids:
        inside.append("bids")
    if inside:
        raise ConfigError(
            f"{path.name}: output",
            f"{study.output}, which is or lies in the folder of {' and '.join(inside)}",
            "a folder of petfmri's own: names are alike, and files would replace one another",
            "name another folder, such as derivatives/petfmri",
        )


def _problem(path: Path, item: Any) -> Problem:
    keys = [str(part) for part in item["loc"]]
    where = f"{path.name}: {'.'.join(keys)}" if keys else path.name
    if item["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1])
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]!r}" if near else "remove it"
        return Problem(where, "an unknown key", f"one of {', '.join(known)}", remedy)
    if item["type"] == "missing":
        return Problem(where, "nothing", "a value", "add this key; configs/ explains it")
    message = item["msg"].removeprefix("Value error, ")
    whole = isinstance(item["input"], dict) and item["type"] == "value_error"
    return Problem(
        where,
        "settings that do not go together" if whole else repr(item["input"])[:80],
        message,
        "correct the value; configs/ explains it",
    )


def _known_keys(keys: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for key in keys:
        if key in model.model_fields:
            candidates = _models(model.model_fields[key].annotation)
            model = candidates[0] if candidates else model
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _with_absolute_paths(section: Any, root: Path) -> Any:
    """Resolve relative paths against `root`, except the symptom table (relative to BIDS)."""
    changes = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        made = value if isinstance(value, Symptoms) else _resolved(section, name, value, root)
        if made is not value:  # an unchanged field must not count as named by the user
            changes[name] = made
    return section.model_copy(update=changes) if changes else section


def _resolved(section: Any, name: str, value: Any, root: Path) -> Any:
    """Resolve the paths in one value; the value itself if it holds none."""
    if isinstance(value, BaseModel):
        return _with_absolute_paths(value, root)
    if isinstance(value, tuple):
        parts = tuple(
            _with_absolute_paths(part, root)
            if isinstance(part, BaseModel)
            else _absolute(Path(part), root, text=True)
            if name == "connections" and str(part).endswith(".tsv")
            else _absolute(part, root)
            for part in value
        )
        return value if all(new is old for new, old in zip(parts, value)) else parts
    if isinstance(value, str) and (type(section), name) in PATTERNS:
        return _absolute(Path(value), root, text=True)
    return _absolute(value, root)


def _absolute(value: Any, root: Path, *, text: bool = False) -> Any:
    if not isinstance(value, Path):
        return value
    whole = (root / value.expanduser()).resolve()
    return str(whole) if text else whole
