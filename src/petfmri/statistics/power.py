"""What a number of persons can see, and how many a change needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.coupling import detectable_r
from petfmri.statistics.effects import detectable_by_t

Design = Literal["prepost", "parallel", "crossover"]
MOST_PERSONS = 10_000
LEAST_PERSONS = {"prepost": 7, "parallel": 10, "crossover": 10}
"""With fewer, the exact tests reach p < .05 never or much more rarely than a t test."""

SD_RANGE = 0.9
"""Confidence of the range that an SD from few persons leaves."""


@dataclass(frozen=True)
class Spread:
    """How much an outcome changes from person to person where nothing is done.

    Attributes
    ----------
    outcome : str
    sd : float
        SD over persons of the change between two sessions, in `unit`.
    unit : str
        ``%`` or ``of the measure``.
    n : int
        Persons it was estimated from.
    source : str
    """

    outcome: str
    sd: float
    unit: str
    n: int
    source: str


def power_of(effect: float, n: int, design: Design = "prepost", *, alpha: float = 0.05) -> float:
    """Power of the two-sided t test that a design comes down to.

    Before and after: paired, n - 1 degrees of freedom. Two arms: changes of n persons, half in
    each. Crossover: differences between periods of n persons, half in each sequence, so that the
    treatment effect is half the difference between sequences. The exact permutation tests have the
    same power to within five points; numbers of persons where they have less are refused.

    Parameters
    ----------
    effect : float
        In SDs of the change (prepost, parallel) or of the difference between treatments
        (crossover) over persons.
    n : int
        Persons in all.
    design : {"prepost", "parallel", "crossover"}
    alpha : float

    Raises
    ------
    StatisticsError
        With too few persons for the test.

    Examples
    --------
    >>> round(power_of(0.94, 11), 2), round(power_of(1.0, 34, "parallel"), 2)
    (0.8, 0.81)
    """
    df, root = _shape(n, design)
    critical = -special.stdtrit(df, alpha / 2)
    delta = abs(effect) * root
    tails = special.nctdtr(df, delta, critical), special.nctdtr(df, delta, -critical)
    below, wrong = np.nan_to_num(tails)  # missing where it is too small to compute
    return float(1 - below + wrong)


def detectable(
    n: int, design: Design = "prepost", *, power: float = 0.8, alpha: float = 0.05
) -> float:
    """Smallest effect that n persons see with the given power, in SDs as `power_of`.

    Examples
    --------
    >>> round(detectable(11), 2), round(detectable(16), 2), round(detectable(34, "parallel"), 2)
    (0.94, 0.75, 0.99)
    """
    df, root = _shape(n, design)
    return detectable_by_t(df, root, power=power, alpha=alpha)


def needed_n(
    effect: float, design: Design = "prepost", *, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Fewest persons that see an effect with the given power; None above 10,000.

    Of two arms or sequences, the next even number.

    Examples
    --------
    >>> needed_n(0.94), needed_n(1.0, "parallel"), needed_n(0.001)
    (11, 34, None)
    """
    step = 1 if design == "prepost" else 2
    first = LEAST_PERSONS[design]
    low, high = 0, (MOST_PERSONS - first) // step  # in steps beyond the first
    if power_of(effect, first + step * high, design, alpha=alpha) < power:
        return None
    while low < high:
        middle = (low + high) // 2
        if power_of(effect, first + step * middle, design, alpha=alpha) >= power:
            high = middle
        else:
            low = middle + 1
    return first + step * low


def power_table(
    spreads: Sequence[Spread],
    *,
    design: Design,
    n: Sequence[int],
    effects: Sequence[float],
    power: float = 0.8,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Tell for each outcome what numbers of persons can see, and how many an effect needs.

    An SD from few persons is itself uncertain; the columns low and high repeat the answer with the
    ends of its 90 % interval.

    Parameters
    ----------
    spreads : sequence of Spread
    design : {"prepost", "parallel", "crossover"}
        In a crossover the difference between two treatments, each against its own baseline, varies
        by √2 more than one change.
    n : sequence of int
        Numbers of persons in all.
    effects : sequence of float
        Changes to plan for, in the unit of each outcome.
    power, alpha : float

    Returns
    -------
    DataFrame
        One row per outcome and n or effect; the effect is missing where exact tests of so few
        persons can hardly pass: outcome design question (detectable | needed) n
        effect effect_low effect_high n_low n_high unit sd power alpha source.
    """
    rows = []
    for spread in spreads:
        factor = np.sqrt(2) if design == "crossover" else 1.0
        sds = [factor * sd for sd in (spread.sd, *_sd_interval(spread))]
        shared = {
            "outcome": spread.outcome,
            "design": design,
            "unit": spread.unit,
            "sd": sds[0],
            "power": power,
            "alpha": alpha,
            "source": spread.source,
        }
        for persons in n:
            enough = persons >= LEAST_PERSONS[design]
            seen = detectable(persons, design, power=power, alpha=alpha) if enough else np.nan
            found = [seen * sd for sd in sds]
            names = ("effect", "effect_low", "effect_high")
            rows.append(
                {**shared, "question": "detectable", "n": persons, **dict(zip(names, found))}
            )
        for effect in effects:
            needed = [needed_n(effect / sd, design, power=power, alpha=alpha) for sd in sds]
            names = ("n", "n_low", "n_high")
            rows.append(
                {**shared, "question": "needed", "effect": effect, **dict(zip(names, needed))}
            )
    columns = ["outcome", "design", "question", "n", "n_low", "n_high", "effect", "effect_low",
               "effect_high", "unit", "sd", "power", "alpha", "source"]  # fmt: skip
    table = pd.DataFrame(rows).reindex(columns=columns)
    return table.astype(dict.fromkeys(("n", "n_low", "n_high"), "Int64"))


def coupling_power_table(
    n: Sequence[int], *, power: float = 0.8, alpha: float = 0.05
) -> pd.DataFrame:
    """Tell which correlations numbers of persons can see: n r_detectable power alpha."""
    rows = [
        (persons, detectable_r(persons, power=power, alpha=alpha), power, alpha)
        for persons in n
        if persons > 3
    ]
    return pd.DataFrame(rows, columns=["n", "r_detectable", "power", "alpha"])


def simulated_power(
    draw: Callable[[np.random.Generator], bool], *, studies: int = 1000, seed: int = 1
) -> tuple[float, float]:
    """Share of simulated studies that are significant, and its standard error.

    Parameters
    ----------
    draw : callable
        From a random generator to whether one simulated study is significant.
    studies, seed : int
    """
    rngs = np.random.default_rng(seed).spawn(studies)
    share = float(np.mean([draw(rng) for rng in rngs]))
    return share, float(np.sqrt(share * (1 - share) / studies))


def _shape(n: int, design: Design) -> tuple[int, float]:
    """Degrees of freedom, and the factor from effect to noncentrality."""
    if n < LEAST_PERSONS[design]:
        raise StatisticsError(
            "power",
            f"{n} persons",
            f"at least {LEAST_PERSONS[design]} for a {design} design, so that exact tests can pass",
            "plan more persons",
        )
    if design == "prepost":
        return n - 1, float(np.sqrt(n))
    one = n // 2
    root = np.sqrt(one * (n - one) / n)
    # Between sequences the difference of the period differences is twice the treatment effect.
    return n - 2, float(root * (2 if design == "crossover" else 1))


def _sd_interval(spread: Spread) -> tuple[float, float]:
    """Range of an SD that was estimated from few persons (chi-squared)."""
    df, tail = spread.n - 1, (1 - SD_RANGE) / 2
    if df < 1:
        return spread.sd, spread.sd
    low, high = special.chdtri(df, tail), special.chdtri(df, 1 - tail)
    return spread.sd * np.sqrt(df / low), spread.sd * np.sqrt(df / high)
