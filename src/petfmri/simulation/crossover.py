"""A simulated crossover as tables: visits, values with known variances, and networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petfmri.atlases import load_atlas
from petfmri.errors import InputError
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.registry import network_metrics, nodal_metrics
from petfmri.simulation.connectivity import network_model
from petfmri.simulation.effects import Effects, stream
from petfmri.study.group import REGION_COLUMNS
from petfmri.typing import FloatArray

COURSE = (1.0, 0.9, 0.7, 0.5)
"""Share of the planted effect at four times after the dose."""
PERIOD_TRAIT = 0.7
"""How a person's two periods differ, in SDs of how persons differ."""


@dataclass(frozen=True)
class CrossoverPlan:
    """Who is studied when.

    Parameters
    ----------
    first, second : int
        Persons who get the active treatment in the first and in the second period.
    treatments : (active, control)
    times : tuple of str
        Visits after the dose.
    baseline : str or None
        Name of the visit before the dose; None: there is none.
    missing : float
        Share of the visits after the dose that did not take place.
    """

    first: int = 8
    second: int = 8
    treatments: tuple[str, str] = ("ketamine", "placebo")
    times: tuple[str, ...] = ("50", "80", "165", "1440")
    baseline: str | None = "0"
    missing: float = 0.0

    def sessions(self, seed: int = 0) -> pd.DataFrame:
        """List the visits that took place, one row each, as group/sessions.tsv does.

        Raises
        ------
        InputError
            If there are fewer than two persons.
        """
        if self.first + self.second < 2:
            raise InputError("persons", str(self.first + self.second), "at least 2", "plan more")
        rng, rows = np.random.default_rng([seed, 1]), []
        active, control = self.treatments
        before = () if self.baseline is None else (self.baseline,)
        for person in range(self.first + self.second):
            order = (active, control) if person < self.first else (control, active)
            for period, treatment in enumerate(order, 1):
                for time in (*before, *self.times):
                    came = rng.random() >= self.missing or time in before
                    if came:
                        rows.append(
                            {
                                "participant_id": f"sub-{person + 1:02d}",
                                "session_id": f"ses-p{period}t{time}",
                                "role": f"p{period}t{time}",
                                "treatment": treatment,
                                "period": period,
                                "time": time,
                                "sequence": "-".join(order),
                            }
                        )
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class CrossoverTruth:
    """What values are made of; every number may be an array of shape (n_outcomes,).

    Parameters
    ----------
    person_sd, period_sd, residual_sd : float
        Between persons, between the periods of a person, between visits.
    period : float
        Second minus first period.
    sequence : float
        Persons with the active treatment first minus the others.
    treatment : tuple of float
        Active minus control at each time after the dose.
    """

    person_sd: float | FloatArray = 1.0
    period_sd: float | FloatArray = 0.5
    residual_sd: float | FloatArray = 1.0
    period: float | FloatArray = 0.0
    sequence: float | FloatArray = 0.0
    treatment: tuple[float | FloatArray, ...] = (0.0, 0.0, 0.0, 0.0)


def crossover_values(
    sessions: pd.DataFrame,
    plan: CrossoverPlan,
    truth: CrossoverTruth,
    n_outcomes: int,
    seed: int = 0,
) -> FloatArray:
    """Draw values of every visit.

    Parameters
    ----------
    sessions : DataFrame
        Of `plan.sessions`.
    plan : CrossoverPlan
    truth : CrossoverTruth
    n_outcomes : int
    seed : int

    Returns
    -------
    array of shape (n_sessions, n_outcomes)

    Examples
    --------
    >>> plan = CrossoverPlan(1, 1, times=("50",))
    >>> none = CrossoverTruth(0, 0, 0, period=1.0, treatment=(5.0,))
    >>> crossover_values(plan.sessions(), plan, none, 1).ravel().tolist()
    [0.0, 5.0, 1.0, 1.0, 0.0, 0.0, 1.0, 6.0]
    """
    rng = np.random.default_rng([seed, 2])
    person = pd.factorize(sessions["participant_id"])[0]
    cell = 2 * person + sessions["period"].to_numpy(int) - 1
    draws = rng.normal(size=(person.max() + 1, n_outcomes)) * truth.person_sd
    days = rng.normal(size=(2 * (person.max() + 1), n_outcomes)) * truth.period_sd
    values = draws[person] + days[cell]
    values = values + rng.normal(size=(len(sessions), n_outcomes)) * truth.residual_sd
    first = sessions["sequence"].str.startswith(f"{plan.treatments[0]}-").to_numpy()
    values += np.where(sessions["period"].to_numpy() == 2, 1, 0)[:, None] * truth.period
    values += np.where(first, 1, 0)[:, None] * truth.sequence
    treated = (sessions["treatment"] == plan.treatments[0]).to_numpy()
    for time, effect in zip(plan.times, truth.treatment, strict=True):
        here = treated & (sessions["time"] == time).to_numpy()
        values += here[:, None] * np.asarray(effect)
    return np.asarray(values)


@dataclass(frozen=True)
class SimulatedVisit:
    """Tables of one visit: rows of regions, one row of the session, correlations of parcels."""

    regions: pd.DataFrame
    session: dict[str, Any]
    correlations: pd.DataFrame


def simulate_crossover(
    plan: CrossoverPlan,
    effects: Effects | None = None,
    seed: int = 0,
    *,
    n_frames: int = 200,
    repetition_time_s: float = 2.0,
) -> Iterator[SimulatedVisit]:
    """Simulate the networks of every visit: persons, their periods, and the dose differ.

    Parameters
    ----------
    plan : CrossoverPlan
        At most four times; effects follow `COURSE`.
    effects : Effects, optional
        Changes of connectivity and of the symptom score after the active treatment.
    seed : int
    n_frames : int
    repetition_time_s : float, s

    Yields
    ------
    SimulatedVisit
    """
    effects, table = effects or Effects(), load_atlas().table
    visits = plan.sessions(seed)
    course = dict(zip(plan.times, COURSE))
    for person, rows in visits.groupby("participant_id", sort=False):
        number = int(str(person).removeprefix("sub-")) - 1
        rng = stream(seed, "tables", number)
        traits = rng.normal(size=2)
        days = rng.normal(size=(3, 2)) * PERIOD_TRAIT
        response = max(0.0, 1 + effects.change_cv * rng.normal())
        score = rng.normal(21, 5) + rng.normal(0, 2, size=3)
        for record in rows.to_dict("records"):
            visit = {str(name): value for name, value in record.items()}
            given = visit["treatment"] == plan.treatments[0]
            scale = response * course.get(str(visit["time"]), 0.0) * given
            own = traits + days[int(visit["period"])]
            model = network_model(table["network"], effects, scale, (own[0], own[1]))
            series = model.series(n_frames, repetition_time_s, rng)
            madrs = _score(visit, score[int(visit["period"])] - scale * effects.symptom_fall, plan)
            yield _visit({**visit, "madrs": madrs}, series, table, rng)


def _score(visit: dict[str, Any], value: float, plan: CrossoverPlan) -> float:
    """Give the symptom score at the visit before the dose and the last two after it."""
    asked = visit["time"] in (plan.baseline, *plan.times[-2:])
    return float(min(max(round(value), 0), 60)) if asked else float("nan")


def _visit(
    visit: dict[str, Any], series: FloatArray, table: pd.DataFrame, rng: np.random.Generator
) -> SimulatedVisit:
    r = correlate(series)
    nodal = nodal_metrics(fisher_z(r), table["network"].tolist())
    keys = {name: visit[name] for name in ("participant_id", "session_id")}
    rows = table.rename(columns={"name": "region"}).assign(
        **keys,
        volume_mm3=np.nan,
        suvr=np.nan,
        suvr_boldref=np.nan,
        pet_coverage=np.nan,
        bold_coverage=1.0,
        **nodal,
    )
    metrics = network_metrics(series, table["network"].tolist(), table["structure"].tolist())
    matrix = pd.DataFrame(r, columns=table["name"])
    matrix.insert(0, "name", table["name"])
    seen = {"mean_fd": float(0.2 * np.exp(0.3 * rng.normal())), "frames_kept": len(series)}
    return SimulatedVisit(rows[[*REGION_COLUMNS, *nodal]], {**visit, **metrics, **seen}, matrix)
