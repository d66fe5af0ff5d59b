"""What a PET outcome is called, and that one analysis has one outcome, made in one way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from petfmri.errors import DatasetError
from petfmri.study.names import bids_label

OUTCOMES = ("VT", "DVR", "BPND", "SUVR")
MEASURES = (*OUTCOMES, "R1", "K1")
UNITS = MappingProxyType(dict.fromkeys(MEASURES, "unitless") | {"VT": "mL/cm3", "K1": "mL/cm3/min"})
_SPELLINGS = {name.lower(): name for name in MEASURES} | {"bp": "BPND"}


def measure_of(text: object) -> str | None:
    """Name a measure in one spelling; None for what is none, such as its standard error.

    Examples
    --------
    >>> [measure_of(text) for text in ("bp", "BP_ND", "BPnd", "Vt", "BPnd-se", "BPP")]
    ['BPND', 'BPND', 'BPND', 'VT', None, None]
    """
    return _SPELLINGS.get(re.sub("[^a-z0-9]", "", str(text).lower()))


def require_alike(described: Sequence[tuple[Path, Mapping[str, str | None]]]) -> None:
    """Refuse files that differ in how their values were made.

    Parameters
    ----------
    described : sequence of (Path, mapping)
        Each file and what it says: such as measure, tracer, model, reference region and
        correction for partial volumes. Letters are compared without case and signs.

    Raises
    ------
    DatasetError
        That names both files and both values, for each thing in which a file differs from the
        first one; no more than one pair per thing.
    """
    if not described:
        return
    first, said = described[0]
    errors = []
    for what, value in said.items():
        other = next((path for path, its in described[1:] if _differ(value, its[what])), None)
        if other is not None:
            found = dict(described)[other][what]
            errors.append(
                DatasetError(
                    f"{first} and {other}",
                    f"{what} {value or 'not stated'} in the one, {found or 'not stated'} in the other",
                    f"one {what} in one analysis",
                    "keep the files of one of them",
                )
            )
    if errors:
        raise DatasetError.of(problem for error in errors for problem in error.problems)


def joined(stated: Any) -> str | None:
    """Write what a sidecar states, one text or several, as one text.

    Examples
    --------
    >>> joined(["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"])
    'Left-Cerebellum-Cortex+Right-Cerebellum-Cortex'
    """
    texts = [str(text) for text in (stated if isinstance(stated, list) else [stated]) if text]
    return "+".join(texts) or None


def _differ(one: str | None, other: str | None) -> bool:
    return bids_label(one or "").lower() != bids_label(other or "").lower()
