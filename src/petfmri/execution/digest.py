"""What failed, in one line each: participant, step, cause and crash file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_CAUSE = re.compile(r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit)): ?(.*)$")


@dataclass(frozen=True)
class Failure:
    """One step that failed for one participant."""

    participant: str
    step: str
    cause: str
    crash_file: Path

    def __str__(self) -> str:
        return f"{self.participant}, {self.step}: {self.cause} [{self.crash_file}]"


def read_failures(crash_dir: Path, *, since: float) -> list[Failure]:
    """Read the crash files written after `since` (seconds since the epoch)."""
    if not crash_dir.exists():
        return []
    paths = [path for path in crash_dir.glob("crash-*.txt") if path.stat().st_mtime >= since]
    return sorted(map(_read, paths), key=lambda failure: (failure.participant, failure.step))


def _read(path: Path) -> Failure:
    text = path.read_text(encoding="utf-8", errors="replace")
    node = re.search(r"^Node: (\S+)", text, flags=re.MULTILINE)
    parts = node.group(1).split(".") if node else ["?", "?"]
    participant = next((part for part in parts if part.startswith("sub_")), parts[0])
    after = parts[parts.index(participant) + 1 :]
    return Failure(
        participant.replace("_", "-", 1), ".".join(after) or parts[-1], _cause(text), path
    )


def _cause(text: str) -> str:
    """Return the innermost error: ours if there is one, else the first that is not Nipype's own."""
    found = [match.groups() for line in text.splitlines() if (match := _CAUSE.match(line))]
    ours = [message for name, message in found if name.startswith("petfmri.errors.")]
    if ours:
        return ours[0]
    others = [f"{name}: {message}" for name, message in found if "NodeExecutionError" not in name]
    return others[0] if others else "no error message; see the crash file"
