"""Who got what when in a crossover: visits after the dose, and the visit before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.typing import BoolArray, FloatArray, IntArray

PERSON, SESSION = "participant_id", "session_id"
DESIGN = ("treatment", "period", "time")


LEAST_PERSONS = 4
"""Persons with both periods, two of each sequence, below which nothing is tested."""


@dataclass(frozen=True)
class Crossover:
    """The visits of a two-period, two-treatment crossover.

    Attributes
    ----------
    active, control : str
    rows : array of int, shape (n_visits,)
        Where the visits after a dose stand in the table of sessions.
    person, period, time : array of int, shape (n_visits,)
        Numbers in `persons`, `periods` and `times`.
    treated : array of bool, shape (n_visits,)
        Whether the active treatment came before.
    persons, periods, times : tuple of str
    first : array of bool, shape (n_persons,)
        Whether the active treatment is that of the first period: the sequence.
    before : array of int, shape (n_persons, 2), or None
        Where the visit before the dose of each period stands, −1 if there is none.
    """

    active: str
    control: str
    rows: IntArray
    person: IntArray
    period: IntArray
    time: IntArray
    treated: BoolArray
    persons: tuple[str, ...]
    periods: tuple[str, ...]
    times: tuple[str, ...]
    first: BoolArray
    before: IntArray | None

    @property
    def sequences(self) -> dict[str, int]:
        """Persons by sequence."""
        n = int(self.first.sum())
        return {
            f"{self.active}-{self.control}": n,
            f"{self.control}-{self.active}": len(self.first) - n,
        }

    @property
    def one_period(self) -> list[str]:
        """Persons with visits in one period only."""
        return [
            name
            for number, name in enumerate(self.persons)
            if len(set(self.period[self.person == number])) < 2
        ]

    def take(self, visits: BoolArray) -> Crossover:
        """Keep some of the visits; persons, periods and times stay numbered as they are."""
        return replace(
            self,
            **{
                name: getattr(self, name)[visits]
                for name in ("rows", "person", "period", "time", "treated")
            },
        )


def time_label(value: object) -> str:
    """Name a time: 50.0, "50" and 50 are one.

    Examples
    --------
    >>> time_label(50.0), time_label("50"), time_label("24 h")
    ('50', '50', '24 h')
    """
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)


def crossover_of(
    sessions: pd.DataFrame, *, active: str, control: str, baseline: object | None = None
) -> Crossover:
    """Read the design from the table of sessions.

    Parameters
    ----------
    sessions : DataFrame
        participant_id, session_id, treatment, period and time; rows without a treatment, or with
        another one, are passed over.
    active, control : str
        The two treatments as they stand in the table.
    baseline : optional
        The value of time of the visit before the dose; None: there is none.

    Returns
    -------
    Crossover

    Raises
    ------
    StatisticsError
        If a column is missing, a person has no clear treatment in a period, a visit is given
        twice, there are not two periods and both treatments, or no visit is of the time `baseline`.
    """
    missing = [name for name in (PERSON, SESSION, *DESIGN) if name not in sessions]
    if missing:
        raise StatisticsError(
            "sessions",
            f"no column {', '.join(missing)}",
            "treatment, period and time of every visit",
            "name the columns of sessions.tsv in crossover:, and call `petfmri run` again",
        )
    table = sessions.assign(
        row=np.arange(len(sessions)),
        treatment=sessions["treatment"].astype(str),
        period=sessions["period"].map(time_label),
        time=sessions["time"].map(time_label),
    )
    known = sessions["period"].notna() & sessions["time"].notna()
    table = table[table["treatment"].isin([active, control]) & known]
    _check(table, active, control)
    periods = tuple(_ordered(table["period"]))
    persons = tuple(dict.fromkeys(table[PERSON].astype(str)))
    pre = _before_the_dose(table, baseline)
    after, before = table[~pre], table[pre]
    times = tuple(_ordered(after["time"]))
    if not times:
        raise StatisticsError(
            "sessions", "no visit after a dose", "visits at other times", "correct the times"
        )
    number = {name: place for place, name in enumerate(persons)}
    which = after["period"].map(periods.index).to_numpy(int)
    treated = (after["treatment"] == active).to_numpy()
    person = after[PERSON].astype(str).map(number).to_numpy(int)
    first = np.zeros(len(persons), dtype=bool)
    everything = zip(table[PERSON].astype(str), table["period"], table["treatment"])
    for name, period, treatment in everything:
        first[number[name]] = (treatment == active) == (period == periods[0])
    return Crossover(
        active,
        control,
        after["row"].to_numpy(int),
        person,
        which,
        after["time"].map(times.index).to_numpy(int),
        treated,
        persons,
        periods,
        times,
        first,
        None if baseline is None else _before(before, number, periods),
    )


def _before_the_dose(table: pd.DataFrame, baseline: object | None) -> pd.Series[bool]:
    if baseline is None:
        return table["row"] < 0
    pre = table["time"] == time_label(baseline)
    if not pre.any():
        raise StatisticsError(
            "sessions",
            f"no visit at time {time_label(baseline)}, but at {', '.join(_ordered(table['time']))}",
            "the time of the visit before the dose",
            "correct crossover: baseline (null where there is no such visit), and see that these "
            "visits have a treatment and a period",
        )
    return pre


def _before(table: pd.DataFrame, number: dict[str, int], periods: Sequence[str]) -> IntArray:
    where = np.full((len(number), 2), -1)
    for name, period, row in zip(table[PERSON].astype(str), table["period"], table["row"]):
        where[number[name], periods.index(period)] = row
    return where


def _ordered(values: pd.Series[str]) -> list[str]:
    """List labels in the order of numbers if they are numbers, else of their appearance."""
    found = list(dict.fromkeys(values))
    try:
        return sorted(found, key=float)
    except ValueError:
        return found


def _check(table: pd.DataFrame, active: str, control: str) -> None:
    """Refuse what is no crossover of two treatments in two periods."""
    lacking = {active, control} - set(table["treatment"])
    if lacking:
        raise StatisticsError(
            "sessions",
            f"no visit with treatment {' or '.join(sorted(lacking))}",
            f"visits of {active} and {control}",
            "correct crossover: treatments",
        )
    if table["period"].nunique() != 2:
        raise StatisticsError(
            "sessions",
            f"periods {', '.join(sorted(table['period'].unique()))}",
            "two periods",
            "correct the column of the period",
        )
    of_period = table.groupby([PERSON, "period"])["treatment"].nunique()
    of_treatment = table.groupby([PERSON, "treatment"])["period"].nunique()
    unclear = sorted(
        {key[0] for counts in (of_period, of_treatment) for key in counts.index[counts > 1]}
    )
    twice = table[table.duplicated([PERSON, "period", "time"])]
    if unclear or len(twice):
        who = unclear or [" ".join(map(str, twice.iloc[0][[PERSON, SESSION]]))]
        raise StatisticsError(
            f"sessions of {', '.join(who)}",
            "no single treatment per period" if unclear else "a visit given twice",
            "one treatment in each period, another in the other, and each time once",
            "correct sessions.tsv",
        )


@dataclass(frozen=True)
class Model:
    """Fixed effects of the visits of some outcomes.

    Attributes
    ----------
    x : array of shape (n_visits, p)
        Constant, sequence and period (±½), times (deviations from their mean), treatment (±½)
        and treatment × time.
    times : tuple of int
        Numbers of the times that both treatments have.
    treatment : int
        Column of the treatment: its coefficient is the effect averaged over the times.
    """

    x: FloatArray
    times: tuple[int, ...]
    treatment: int

    def contrasts(self, n_more: int) -> tuple[FloatArray, FloatArray | None]:
        """Write down the effect over all times and at each, and that times differ.

        Parameters
        ----------
        n_more : int
            Columns that come after those of `x`.

        Returns
        -------
        single : array of shape (1 + n_times, p + n_more)
        joint : array of shape (n_times - 1, p + n_more), or None with one time
        """
        p, n = self.x.shape[1] + n_more, len(self.times)
        single = np.zeros((1 + n, p))
        single[:, self.treatment] = 1
        slopes = np.arange(self.treatment + 1, self.treatment + n)
        single[1:n, slopes] = np.eye(n - 1)
        single[n, slopes] = -1
        return single, np.eye(p)[slopes] if n > 1 else None


def visit_model(design: Crossover) -> Model:
    """Write down the fixed effects of visits at times that both treatments have.

    Sequence is a column only if both occur.
    """
    times = tuple(sorted(set(design.time.tolist())))
    place = np.searchsorted(times, design.time)
    codes = np.eye(len(times))
    sums = (codes[:, :-1] - codes[:, [-1]])[place]
    treated = design.treated - 0.5
    first = design.first[design.person]
    sequence = [first - 0.5] if 0 < first.mean() < 1 else []
    fixed = [np.ones(len(place)), *sequence, design.period - 0.5, *sums.T]
    x = np.column_stack([*fixed, treated, *(treated[:, None] * sums).T])
    return Model(x, times, len(fixed))


def baseline_covariates(values: FloatArray, design: Crossover) -> FloatArray | None:
    """Part the value before the dose into what differs within and what differs between persons.

    One slope for both would mix the two strata: how persons differ says little about how the two
    days of one person do [1]_. A missing value is replaced by the person's other one plus how the
    two periods differ in persons with both, and where both are missing by the mean of the period,
    which a randomised comparison allows [2]_.

    Parameters
    ----------
    values : array of shape (n_sessions, n_outcomes)
    design : Crossover

    Returns
    -------
    array of shape (n_visits, n_outcomes, 2), or None without visits before the dose
        Half the difference between the periods, signed by the period, and the mean of the person,
        both centred.

    References
    ----------
    .. [1] Kenward & Roger 2010, Biostatistics 11:1. doi:10.1093/biostatistics/kxp046
    .. [2] White & Thompson 2005, Stat Med 24:993. doi:10.1002/sim.1981
    """
    both = baselines(values, design)
    if both is None:
        return None
    mean = both.mean(axis=1)
    within = both[design.person, design.period] - mean[design.person]
    between = (mean - mean.mean(axis=0))[design.person]
    return np.stack([within - within.mean(axis=0), between], axis=2)


def baselines(values: FloatArray, design: Crossover) -> FloatArray | None:
    """Take the value before each dose, filled in as `baseline_covariates` says.

    Returns
    -------
    array of shape (n_persons, 2, n_outcomes), or None
        NaN for outcomes that nobody has before a dose.
    """
    if design.before is None:
        return None
    found = values[design.before]  # −1 takes the last row: it is overwritten
    found[design.before < 0] = np.nan
    shift = _period_shift(found)
    other = found[:, ::-1] + np.stack([-shift, shift])
    found = np.where(np.isnan(found), other, found)
    return np.where(np.isnan(found), _known_mean(found), found)


def _period_shift(found: FloatArray) -> FloatArray:
    """Second minus first period before the dose, shape (n_outcomes,).

    Over persons with both values, so that persons with one do not bring in who they are; without
    any, the difference of the means; 0 where a period has no value.
    """
    within = _known_mean(found[:, 1] - found[:, 0])
    means = _known_mean(found)
    shift = np.where(np.isnan(within), means[1] - means[0], within)
    return np.asarray(np.where(np.isnan(shift), 0, shift))


def _known_mean(values: FloatArray) -> FloatArray:
    """Mean over the persons who have a value; NaN where nobody has."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    return np.asarray(np.where(known, values, 0).sum(axis=0) / np.where(count, count, np.nan))
