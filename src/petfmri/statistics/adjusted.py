"""The change of outcomes beside covariates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.covariates import Covariates
from petfmri.statistics.mean_beside import mean_beside
from petfmri.statistics.pairing import CompleteCases, Paired
from petfmri.typing import FloatArray

TOO_MANY = 5
"""Fewer persons per covariate than this are told."""


def adjusted_rows(
    case: CompleteCases,
    paired: Paired,
    covariates: Covariates,
    *,
    alone: bool,
    permutations: int = 10_000,
    seed: int = 1,
) -> tuple[pd.DataFrame, list[str]]:
    """Test the mean change of each outcome at the zero of the covariates (see `mean_beside`).

    Parameters
    ----------
    case : CompleteCases
        Outcomes that change.
    paired : Paired
        Holds the regional measures among the covariates.
    covariates : Covariates
    alone : bool
        Whether the outcomes are not corrected for one another.
    permutations, seed : int
        As `sign_patterns`.

    Returns
    -------
    rows : DataFrame
        outcome n covariates change t df p p_fwe p_smallest arrangements exact. Empty where the
        model cannot be fitted, with a note.
    notes : list of str
    """
    own = _own(case, paired, covariates)
    has_own = None if own is None else np.asarray(np.isfinite(own).all(axis=1))
    z, kept, notes = covariates.of(case.persons, has_own)
    own = None if own is None else own[kept]
    if z.empty and own is None:
        return pd.DataFrame(), notes
    change = (case.post - case.pre)[kept]
    names = [*z.columns, *(covariates.own if own is not None else ())]
    if len(change) < TOO_MANY * len(names):
        notes.append(
            f"{len(change)} persons for {len(names)} covariates: fewer than {TOO_MANY} persons for "
            "each make adjusted values unsteady."
        )
    smallest = 2.0 ** (1 - len(change) + len(names))
    if smallest >= 0.05:
        notes.append(
            f"Beside {len(names)} covariates {len(change)} persons allow no adjusted p below "
            f"{min(smallest, 1):.2g}: nothing adjusted can pass."
        )
    try:
        found = mean_beside(
            change, z.to_numpy(float), own=own, permutations=permutations, seed=seed
        )
    except StatisticsError as error:
        what = ", ".join(case.outcomes[:3]) + (" and others" if len(case.outcomes) > 3 else "")
        return pd.DataFrame(), [*notes, f"No adjusted test of {what}: {error.problems[0].found}."]
    return pd.DataFrame(
        {
            "outcome": case.outcomes,
            "n": len(change),
            "covariates": ", ".join(names),
            "change": found.estimate,
            "t": found.t,
            "df": found.df,
            "p": found.p,
            "p_fwe": np.nan if alone else found.p_fwe,
            "p_smallest": found.p_smallest,
            "arrangements": found.arrangements,
            "exact": found.exact,
        }
    ), notes


def _own(case: CompleteCases, paired: Paired, covariates: Covariates) -> FloatArray | None:
    """Change of the regional covariate in the region of each outcome, if all have a region."""
    regions = paired.outcomes.loc[case.outcomes, "region"]
    if not covariates.own or regions.isna().any():
        return None
    columns = [f"{covariates.own[0]}:{region}" for region in regions]
    change = (paired.post[columns] - paired.pre[columns]).reindex(case.persons)
    return np.asarray(change.to_numpy(float))
