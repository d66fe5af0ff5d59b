"""Whether a change hangs on one person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petfmri.statistics.effects import MIN_PERSONS, varies
from petfmri.statistics.permutation import sign_flip
from petfmri.typing import FloatArray


def leave_one_out(
    pre: FloatArray,
    post: FloatArray,
    persons: Sequence[str],
    outcomes: Sequence[str],
    *,
    permutations: int = 10_000,
    seed: int = 1,
) -> pd.DataFrame:
    """Compare again without each person in turn.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_outcomes)
    persons, outcomes : sequence of str
    permutations, seed : int
        As `sign_flip`.

    Returns
    -------
    DataFrame
        One row per outcome and person left out: outcome left_out change t p. Empty with fewer
        than four persons. An outcome that no longer varies without a person has no t and p there.

    Examples
    --------
    >>> pre, post = np.zeros((4, 1)), np.array([[1.0], [1.0], [2.0], [40.0]])
    >>> found = leave_one_out(pre, post, list("abcd"), ["x"])
    >>> dict(zip(found["left_out"], found["change"].round(2).tolist()))
    {'a': 14.33, 'b': 14.33, 'c': 14.0, 'd': 1.33}
    """
    columns = ["outcome", "left_out", "change", "t", "p"]
    if len(persons) - 1 < MIN_PERSONS:
        return pd.DataFrame(columns=columns)
    tables = []
    for index, person in enumerate(persons):
        before, after = np.delete(pre, index, axis=0), np.delete(post, index, axis=0)
        moves = varies(before, after)
        t, p = np.full(len(outcomes), np.nan), np.full(len(outcomes), np.nan)
        if moves.any():
            found = sign_flip((after - before)[:, moves], permutations=permutations, seed=seed)
            t[moves], p[moves] = found.t, found.p
        change = (after - before).mean(axis=0)
        tables.append(
            pd.DataFrame(
                {"outcome": outcomes, "left_out": person, "change": change, "t": t, "p": p}
            )
        )
    return pd.concat(tables, ignore_index=True)[columns]


def most_influential(without: pd.DataFrame) -> pd.DataFrame:
    """Reduce `leave_one_out` to the range of the change and the least favourable omission.

    Returns
    -------
    DataFrame
        Indexed by outcome: change_loo_low change_loo_high p_loo (the largest) loo_person.
    """
    rows = {}
    for outcome, part in without.groupby("outcome", sort=False):
        worst = part.iloc[int(np.nanargmax(part["p"].fillna(-1)))]
        rows[outcome] = {
            "change_loo_low": part["change"].min(),
            "change_loo_high": part["change"].max(),
            "p_loo": worst["p"],
            "loo_person": worst["left_out"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")
