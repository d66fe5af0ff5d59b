"""Half-lives and plausible injected activities of the positron emitters of brain PET."""

from __future__ import annotations

import re
from dataclasses import dataclass

from petfmri.errors import DatasetError


@dataclass(frozen=True)
class Nuclide:
    """A positron emitter.

    Parameters
    ----------
    name : str
        Mass number, then symbol: ``11C``.
    half_life_s : float
    activity_mbq : (float, float)
        Smallest and largest activity that is injected into a person on purpose, MBq.
    """

    name: str
    half_life_s: float
    activity_mbq: tuple[float, float]

    @property
    def is_short_lived(self) -> bool:
        """Whether a whole scan can last less than a few minutes."""
        return self.half_life_s < 700


# Half-lives: Nuclear Structure and Decay Data (NuDat 3). Activities: 50 to 1000 MBq in people,
# wider at the ends that particular tracers use.
NUCLIDES = {
    nuclide.name: nuclide
    for nuclide in (
        Nuclide("11C", 1221.8, (50.0, 1500.0)),
        Nuclide("18F", 6586.2, (20.0, 1000.0)),
        Nuclide("13N", 597.9, (50.0, 2000.0)),
        Nuclide("15O", 122.24, (50.0, 5000.0)),
        Nuclide("68Ga", 4062.6, (20.0, 500.0)),
        Nuclide("64Cu", 45723.6, (20.0, 1000.0)),
    )
}


def nuclide(name: str, where: str = "TracerRadionuclide") -> Nuclide:
    """Look up a nuclide however its name is written.

    Raises
    ------
    DatasetError
        If the nuclide is unknown.

    Examples
    --------
    >>> [nuclide(name).name for name in ("C11", "11C", "[18F]", "F-18")]
    ['11C', '11C', '18F', '18F']
    """
    mass, symbol = re.search(r"\d+", name), re.search(r"[A-Za-z]+", name)
    key = f"{mass.group()}{symbol.group().capitalize()}" if mass and symbol else name
    if key not in NUCLIDES:
        raise DatasetError(where, repr(name), f"one of {', '.join(NUCLIDES)}", "correct the name")
    return NUCLIDES[key]
