"""Treatment effects of a crossover by mixed models, for many outcomes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from petfmri.statistics.crossover_design import (
    LEAST_PERSONS,
    Crossover,
    Model,
    baseline_covariates,
    baselines,
    visit_model,
)
from petfmri.statistics.reml import Reml, reml
from petfmri.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class MixedTests:
    """Mixed models of all outcomes; arrays end in n_outcomes, NaN where not fitted.

    Attributes
    ----------
    estimate, se, df, t, p : arrays of shape (1 + n_times, n_outcomes)
        The effect over all times, then at each time of the design.
    f, f_rank, f_df, f_p : arrays of shape (n_outcomes,)
        Treatment × time.
    person, period, residual : arrays of shape (n_outcomes,)
        Variances; `period` is that of persons' periods, NaN where one visit per period leaves it
        in the residual.
    person_boundary, period_boundary : arrays of bool, shape (n_outcomes,)
    n, visits : arrays of int, shape (n_outcomes,)
        Persons and visits used.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    t: FloatArray
    p: FloatArray
    f: FloatArray
    f_rank: FloatArray
    f_df: FloatArray
    f_p: FloatArray
    person: FloatArray
    period: FloatArray
    residual: FloatArray
    person_boundary: BoolArray
    period_boundary: BoolArray
    n: IntArray
    visits: IntArray

    @classmethod
    def empty(cls, n_times: int, n_outcomes: int) -> MixedTests:
        """Nothing fitted yet."""

        def many() -> FloatArray:
            return np.full((1 + n_times, n_outcomes), np.nan)

        def one() -> FloatArray:
            return np.full(n_outcomes, np.nan)

        parts: list[Any] = [many() for _ in range(5)] + [one() for _ in range(7)]
        parts += [np.zeros(n_outcomes, dtype=kind) for kind in (bool, bool, int, int)]
        return cls(*parts)


def mixed_tests(
    values: FloatArray, design: Crossover, *, period_variance: bool = True
) -> MixedTests:
    """Fit treatment × time with period, sequence, baseline and person to every outcome.

    Every visit that was measured counts: outcomes that miss the same visits are fitted together.

    Parameters
    ----------
    values : array of shape (n_sessions, n_outcomes)
        Rows as in the table that `design` was read from; NaN where not measured.
    design : Crossover
    period_variance : bool
        Whether the two periods of a person may differ beyond chance (the component of persons'
        periods). Without it, treatment effects are tested against the spread between visits and
        too many pass.

    Returns
    -------
    MixedTests
    """
    found = MixedTests.empty(len(design.times), values.shape[1])
    measured = np.isfinite(values[design.rows])
    before = baselines(values, design)
    based = np.zeros(values.shape[1], dtype=bool)
    if before is not None:
        based = np.isfinite(before).all(axis=(0, 1)) & (np.ptp(before, axis=(0, 1)) > 0)
    for visits, adjusted, outcomes in _patterns(measured, based):
        kept = design.take(visits & _both_treatments(design, visits))
        if len(_of_both_periods(kept)) < LEAST_PERSONS:
            continue
        model = visit_model(kept)
        more = baseline_covariates(values[:, outcomes], kept) if adjusted else None
        if (
            len(kept.rows) <= model.x.shape[1] + 3
            or np.linalg.matrix_rank(model.x) < model.x.shape[1]
        ):
            continue
        single, joint = model.contrasts(0 if more is None else more.shape[2])
        cells = kept.person * 2 + kept.period
        several = len(np.unique(cells)) < len(cells)
        fit = reml(
            values[kept.rows][:, outcomes],
            model.x,
            person=kept.person,
            cell=kept.period if several and period_variance else None,
            covariates=more,
            contrasts=single,
            joint=joint,
        )
        _fill(found, fit, outcomes, model, kept, split=several and period_variance)
    return found


def _patterns(measured: BoolArray, based: BoolArray) -> Iterator[tuple[BoolArray, bool, IntArray]]:
    """Group outcomes by the visits they have, and whether they have values before the dose."""
    packed = np.packbits(np.vstack([measured, based[None]]), axis=0).T
    _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    for number, example in enumerate(first):
        yield measured[:, example], bool(based[example]), np.flatnonzero(group.ravel() == number)


def _both_treatments(design: Crossover, visits: BoolArray) -> BoolArray:
    """Tell the visits at times that several persons have under both treatments."""
    kept = np.zeros(len(visits), dtype=bool)
    for time in range(len(design.times)):
        here = visits & (design.time == time)
        if min((here & design.treated).sum(), (here & ~design.treated).sum()) >= 2:
            kept |= here
    return kept


def _of_both_periods(design: Crossover) -> IntArray:
    periods = [set(design.person[design.period == number].tolist()) for number in (0, 1)]
    return np.array(sorted(periods[0] & periods[1]), dtype=int)


def _fill(
    found: MixedTests,
    fit: Reml,
    outcomes: IntArray,
    model: Model,
    design: Crossover,
    *,
    split: bool,
) -> None:
    places = np.array([0, *(1 + time for time in model.times)])
    for name in ("estimate", "se", "df", "t", "p"):
        getattr(found, name)[np.ix_(places, outcomes)] = getattr(fit.tests, name)
    if fit.joint is not None:
        found.f[outcomes], found.f_df[outcomes] = fit.joint.f, fit.joint.df
        found.f_p[outcomes], found.f_rank[outcomes] = fit.joint.p, len(model.times) - 1
    found.person[outcomes], found.residual[outcomes] = fit.person, fit.residual
    found.person_boundary[outcomes] = fit.person_boundary
    if split:
        found.period[outcomes], found.period_boundary[outcomes] = fit.cell, fit.cell_boundary
    found.n[outcomes], found.visits[outcomes] = len(np.unique(design.person)), len(design.rows)
