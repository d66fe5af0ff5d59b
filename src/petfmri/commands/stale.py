"""Whether results were made with the settings that the study has now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from petfmri.commands.context import group_folder
from petfmri.config import Study
from petfmri.errors import Problem


def stale(study: Study, verb: str) -> list[Problem]:
    """Find settings that were changed since a verb made its results."""
    record = group_folder(study, *(["quantify"] if verb == "quantify" else [])) / "study.yaml"
    if not record.exists():
        if verb == "run":  # tables from elsewhere, such as simulated ones
            return []
        remedy = "call `petfmri quantify` first"
        return [Problem(str(record), "nothing", f"estimates by {study.pet.model}", remedy)]
    made_with = _parts(yaml.safe_load(record.read_text(encoding="utf-8")), verb)
    return [
        Problem(
            f"{record}: {part}",
            f"{made_with.get(part)}",
            f"{now}, as the study says now",
            f"call `petfmri {verb}` again, or undo the change",
        )
        for part, now in _parts(study.model_dump(mode="json"), verb).items()
        if made_with.get(part) != now
    ]


def _parts(settings: Mapping[str, Any], verb: str) -> dict[str, Any]:
    """Pick what the results of a verb depend on."""
    pet = settings.get("pet", {})
    if verb == "quantify":
        whole = ("bids", "derivatives", "sessions", "atlas", "regions_of_interest")
        return {part: settings.get(part) for part in whole} | _named(pet, list(pet))
    parts = {
        part: settings.get(part)
        for part in ("sessions", "atlas", "regions_of_interest", "networks", "bold", "crossover")
    }
    derivatives = settings.get("derivatives") or {}
    parts |= {f"derivatives.{name}": derivatives.get(name) for name in ("fmriprep", "petprep")}
    return parts | _named(pet, ["tracer", "window_min", "reference", "motion", "coregistration"])


def _named(pet: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {f"pet.{key}": pet.get(key) for key in keys}
