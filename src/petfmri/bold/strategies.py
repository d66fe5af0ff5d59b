"""Denoising strategies by name: which columns of the confound table are regressed out."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from petfmri.bold.confounds import MOTION
from petfmri.errors import DenoisingError

EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
GLOBAL_SIGNAL = "global_signal"


def _expanded(*names: str) -> tuple[str, ...]:
    return tuple(name + suffix for suffix in EXPANSIONS for name in names)


MOTION_24 = _expanded(*MOTION)
ACOMPCOR = tuple(f"a_comp_cor_{k:02d}" for k in range(5))
_TISSUES = _expanded("white_matter", "csf")
_GLOBAL = _expanded(GLOBAL_SIGNAL)

#: Motion with differences and squares (Friston 1996), with aCompCor (Behzadi 2007), or with the
#: mean signals of white matter and CSF (Satterthwaite 2013, Ciric 2017); each without and with
#: the global signal and its expansions (GSR). 36P is 32P with it.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "24P": MOTION_24,
    "24P+GSR": MOTION_24 + _GLOBAL,
    "24P+aCompCor": MOTION_24 + ACOMPCOR,
    "24P+aCompCor+GSR": MOTION_24 + ACOMPCOR + _GLOBAL,
    "32P": MOTION_24 + _TISSUES,
    "36P": MOTION_24 + _GLOBAL + _TISSUES,
}


def regresses_global_signal(strategy: str | Sequence[str]) -> bool:
    """Tell whether a strategy, by name or by columns, takes the global signal out.

    Examples
    --------
    >>> [regresses_global_signal(name) for name in ("32P", "36P")]
    [False, True]
    """
    columns = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
    return any(name.startswith(GLOBAL_SIGNAL) for name in columns)


def with_global_signal(strategy: str, wanted: bool) -> str:
    """Name the strategy that differs in nothing but the regression of the global signal.

    Examples
    --------
    >>> with_global_signal("36P", False), with_global_signal("24P", True)
    ('32P', '24P+GSR')
    """
    if regresses_global_signal(strategy) == wanted:
        return strategy
    columns = set(STRATEGIES[strategy]) ^ set(_GLOBAL)
    return next(name for name, others in STRATEGIES.items() if set(others) == columns)


def strategy_columns(
    strategy: str | Sequence[str], present: Sequence[str], where: str = "BOLD run"
) -> list[str]:
    """List the columns of a strategy.

    Parameters
    ----------
    strategy : str or sequence of str
        A name in `STRATEGIES` or the columns themselves.
    present : sequence of str
        The columns of the confound table.

    Raises
    ------
    DenoisingError
        If the name is unknown or a column is missing.
    """
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise DenoisingError(
                f"{where}: strategy",
                repr(strategy),
                f"one of {', '.join(STRATEGIES)}",
                "name one of them or list the columns",
            )
        strategy = STRATEGIES[strategy]
    absent = [name for name in strategy if name not in present]
    if absent:
        nearest = get_close_matches(absent[0], present, n=1) or list(present[:1])
        raise DenoisingError(
            f"{where}: confounds",
            f"no column {', '.join(absent)}; the nearest is {', '.join(nearest)}",
            "every column of the strategy",
            "choose another strategy, or see why the signal is absent (an empty tissue mask?)",
        )
    return list(strategy)
