"""The bars of the statistics and of network localization, each part in a module of its own."""

from __future__ import annotations

from collections.abc import Iterator

import statistics_change_bars
import statistics_crossover_bars
import statistics_localization_bars
import statistics_maps_bars
from bars import Bar, holds


def localization_page() -> Iterator[Bar]:
    """Write the page of the localization from its measures."""
    statistics_localization_bars.write_page()
    yield holds("docs/validation/localization.md", "written", "-", True)


MEASURES = [
    *statistics_maps_bars.MEASURES,
    *statistics_change_bars.MEASURES,
    *statistics_crossover_bars.MEASURES,
    *statistics_localization_bars.MEASURES,
    localization_page,
]

VALIDATION = """# Validation of the statistics

Times are CPU seconds of one thread; peers ran on the same data in the same run: nilearn beside
petfmri, statsmodels in a process of its own. TFCE and max-T are measured with numba (the extra
`fast`) and without. Null studies are simulated studies in which nothing happens: the share with
p <= .05 is to be 5 %, within 1.5 % where p is continuous and at most that where it is discrete or
comes from surrogate maps, which are conservative because both maps are replaced in turn. What is
shown beside, "-", is what other ways would have given. Localization has a page of its own,
[localization.md](localization.md).
"""
