"""Measure the bars of one issue afresh: `python benchmarks/bars.py NAME`.

Prints one line per bar, `name  value  bar  ok|MISSED`, and exits with 1 if any is missed. A bar
that cannot be measured is missed, with the reason.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
NAMES = ("spine",)


class Bar(NamedTuple):
    """One measured value and what it must be."""

    name: str
    value: str
    bar: str
    ok: bool


def at_most(name: str, value: float, limit: float, unit: str = "") -> Bar:
    return Bar(name, f"{value:.3g} {unit}".strip(), f"<= {limit:g} {unit}".strip(), value <= limit)


def within(name: str, value: float, center: float, tolerance: float, unit: str = "") -> Bar:
    bar = f"{center:g} +- {tolerance:g} {unit}".strip()
    return Bar(name, f"{value:.4g} {unit}".strip(), bar, abs(value - center) <= tolerance)


def holds(name: str, value: object, bar: str, ok: bool) -> Bar:
    return Bar(name, str(value), bar, bool(ok))


Measure = Callable[[], Iterable[Bar]]


def main(name: str) -> int:
    start, missed = time.perf_counter(), 0
    measures: list[Measure] = importlib.import_module(f"{name}_bars").MEASURES
    for measure in measures:
        began = time.perf_counter()
        try:
            bars = list(measure())
        except Exception:
            traceback.print_exc()
            bars = [Bar(measure.__name__, "not measured (see above)", "measured", False)]
        for bar in bars:
            missed += not bar.ok
            print(
                f"{bar.name:<72} {bar.value:<26} {bar.bar:<22} {'ok' if bar.ok else 'MISSED'}",
                flush=True,
            )
        print(f"    ({measure.__name__}: {time.perf_counter() - began:.0f} s)", file=sys.stderr)
    print(f"{missed} missed, {time.perf_counter() - start:.0f} s in all")
    return int(missed > 0)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in NAMES:
        sys.exit(f"usage: python benchmarks/bars.py {{{','.join(NAMES)}}}")
    sys.exit(main(sys.argv[1]))
