"""Covariates for tests of whole matrices and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from petfmri.config import Study
from petfmri.statistics.covariates import change_covariates
from petfmri.statistics.pairing import pair_sessions
from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Beside:
    """Which persons have the covariates, and the covariates of these.

    Attributes
    ----------
    kept : bool array, one per person
    values : array of shape (n_kept, k)
    notes : list of str
    """

    kept: BoolArray
    values: FloatArray
    notes: list[str]


def beside(study: Study, sessions: pd.DataFrame | None, persons: Sequence[str]) -> Beside | None:
    """Take the covariates of some persons from the sessions table; None without any.

    Those that are columns of regions are left out, because edges and voxels have no region.
    """
    named = [name for name in study.covariates if sessions is not None and name in sessions]
    if sessions is None or not named:
        return None
    found = change_covariates(named, pair_sessions(sessions)[0])
    table, kept, told = found.of(persons)
    what = ", ".join(map(str, table.columns)) or "nothing that varies"
    return Beside(kept, table.to_numpy(float), [f"Adjusted for {what}.", *told])
