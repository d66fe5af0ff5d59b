"""Couplings of changes over persons, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.coupling import (
    MIN_PERSONS,
    Coupling,
    correlate,
    critical_r,
    detectable_r,
)
from petfmri.statistics.pairing import Paired, complete_cases
from petfmri.statistics.repeated import repeated_changes
from petfmri.typing import FloatArray


def couple(
    paired: Paired,
    x: Sequence[str],
    y: Sequence[str],
    *,
    keep: str | None = None,
    covariates: pd.DataFrame | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> tuple[pd.DataFrame | None, list[str]]:
    """Correlate the changes of two groups of outcomes over the persons that have both.

    Parameters
    ----------
    paired : Paired
    x, y : sequence of str
        Outcomes of `paired`.
    keep : str, optional
        The outcome that stays: persons who lack it are left out instead.
    covariates : DataFrame, optional
        Indexed by person: partial correlations, too.
    permutations, seed : int
        As `correlate`.

    Returns
    -------
    table : DataFrame or None
        One row per pair and method (pearson, spearman, partial, repeated measures): x y method n r
        r_low r_high p p_fwe p_smallest arrangements exact r_critical r_detectable; p_fwe is
        corrected over the pairs of one method. None when too few persons have both groups.
    notes : list of str
        What was left out.
    """
    everybody = paired.pre.index
    if keep in (*x, *y):
        has = paired.pre[keep].notna() & paired.post[keep].notna()
        paired = replace(paired, pre=paired.pre[has], post=paired.post[has])
    cases = complete_cases(paired, x), complete_cases(paired, y)
    persons = [person for person in cases[0].persons if person in cases[1].persons]
    notes = []
    lost = [person for person in everybody if person not in persons]
    if lost:
        notes.append(f"left out for missing values: {', '.join(lost)}.")
    gone = [name for case in cases for name in case.lost_outcomes]
    if gone:
        notes.append(f"left out because a person lacks it: {', '.join(gone)}.")
    if len(persons) < MIN_PERSONS:
        return None, [*notes, f"no correlation with {len(persons)} persons."]
    change = paired.post.loc[persons] - paired.pre.loc[persons]
    spread = change.std() > 0
    names = [[name for name in case.outcomes if spread[name]] for case in cases]
    alike = [name for case in cases for name in case.outcomes if not spread[name]]
    if alike:
        notes.append(f"left out because every person changes alike: {', '.join(alike)}.")
    if not all(names):
        return None, [*notes, "no correlation, because nothing varies between these persons."]
    dx, dy = change[names[0]].to_numpy(), change[names[1]].to_numpy()
    draws = partial(correlate, permutations=permutations, seed=seed)
    found = {
        "pearson": draws(dx, dy),
        "spearman": draws(dx, dy, ranks=True),
    }
    adjusted, told = _partial(dx, dy, persons, covariates, draws)
    repeated = repeated_changes(dx, dy, permutations=permutations, seed=seed)
    tables = [
        _rows(names, method, len(persons), result)
        for method, result in {**found, **adjusted, "repeated measures": repeated}.items()
    ]
    return pd.concat(tables, ignore_index=True), notes + told


def _partial(
    dx: FloatArray,
    dy: FloatArray,
    persons: Sequence[str],
    covariates: pd.DataFrame | None,
    draws: Callable[..., Coupling],
) -> tuple[dict[str, Coupling], list[str]]:
    """Correlate beside the covariates, where every person has them."""
    if covariates is None or covariates.empty:
        return {}, []
    table = covariates.reindex(list(persons))
    if table.isna().to_numpy().any():
        lacking = ", ".join(map(str, table.index[table.isna().any(axis=1)]))
        return {}, [f"no partial correlation: {lacking} lack a covariate."]
    table = table.loc[:, (table != table.iloc[0]).any()]
    if table.empty:
        return {}, []
    try:
        result = draws(dx, dy, covariates=table.to_numpy(float))
    except StatisticsError as error:
        return {}, [f"no partial correlation: {error.problems[0].found}."]
    return {f"partial ({', '.join(map(str, table.columns))})": result}, []


def _rows(names: Sequence[Sequence[str]], method: str, n: int, found: Coupling) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": np.repeat(names[0], len(names[1])),
            "y": np.tile(names[1], len(names[0])),
            "method": method,
            "n": n,
            "r": found.r.ravel(),
            "r_low": found.low.ravel(),
            "r_high": found.high.ravel(),
            "p": found.p.ravel(),
            "p_fwe": found.p_fwe.ravel(),
            "p_smallest": found.p_smallest,
            "arrangements": found.arrangements,
            "exact": found.exact,
            "r_critical": critical_r(found.free),
            "r_detectable": detectable_r(found.free),
        }
    )
