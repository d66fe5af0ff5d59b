"""Where a workflow runs: the packaged profiles, or a YAML of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from petfmri.errors import ConfigError

PACKAGED = files("petfmri.execution") / "profiles"


@dataclass(frozen=True)
class Profile:
    """A Nipype plugin and its arguments."""

    plugin: str
    plugin_args: dict[str, Any] = field(default_factory=dict)


def load_profile(name: str, *, n_procs: int, memory_gb: float) -> Profile:
    """Find a profile by name or path; processes and memory complete the MultiProc one.

    Raises
    ------
    ConfigError
        If there is no such profile or it does not name a plugin.
    """
    packaged = PACKAGED / f"{name}.yaml"
    source = packaged if packaged.is_file() else Path(name)
    known = ", ".join(sorted(Path(p.name).stem for p in PACKAGED.iterdir()))
    if not source.is_file():
        raise ConfigError(
            f"--profile {name}", "no such profile", f"{known}, or a YAML file", "correct it"
        )
    content = _read(source)
    arguments = dict(content.get("plugin_args") or {})
    if content["plugin"] == "MultiProc":
        arguments = {
            "n_procs": n_procs,
            "memory_gb": memory_gb,
            "mp_context": "forkserver",
            "raise_insufficient": False,
        } | arguments
    return Profile(content["plugin"], arguments)


def _read(source: Any) -> dict[str, Any]:
    """Read the YAML of a profile: a plugin by name, and its arguments by name."""
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            str(source), f"invalid YAML ({reason})", "valid YAML", "correct it"
        ) from None
    if (
        not isinstance(content, dict)
        or set(content) - {"plugin", "plugin_args"}
        or not isinstance(content.get("plugin"), str)
        or not isinstance(content.get("plugin_args") or {}, dict)
    ):
        raise ConfigError(str(source), "other settings", "plugin: and plugin_args:", "see `laptop`")
    return content


def total_memory_gb() -> float:
    """Return the memory of this machine, GB."""
    from nipype.utils.profiler import get_system_total_memory_gb

    return float(get_system_total_memory_gb())
