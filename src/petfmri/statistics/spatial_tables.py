"""Whether regions whose SV2A changed most are those whose connectivity changed most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.pairing import pair_outcomes
from petfmri.statistics.spatial import MIN_REGIONS, distances, spatial_coupling


def spatial_rows(
    regions: pd.DataFrame,
    sessions: pd.DataFrame,
    centres_mm: pd.DataFrame,
    *,
    measure: str,
    nodal: Sequence[str],
    surrogates: int = 1000,
    seed: int = 1,
) -> tuple[pd.DataFrame, list[str]]:
    """Correlate the mean change of a measure with that of nodal metrics over regions.

    Parameters
    ----------
    regions, sessions : DataFrame
        As `petfmri.statistics.prepost.compare`.
    centres_mm : DataFrame
        Indexed by region: x y z. Regions outside it are left out.
    measure : str
        Column of `regions`, such as suvr.
    nodal : sequence of str
        Columns of `regions`, such as strength; those that are not there are passed over.
    surrogates, seed : int
        As `spatial_coupling`.

    Returns
    -------
    rows : DataFrame
        x y n r p p_smallest surrogates; p is not corrected over the metrics.
    notes : list of str
    """
    there = [name for name in nodal if name in regions and regions[name].notna().any()]
    known = regions[regions["region"].isin(centres_mm.index)]
    if not there or known.empty or not known[measure].notna().any():
        return pd.DataFrame(), []
    paired = pair_outcomes(known, sessions, measures=[measure, *there])
    mean = (paired.post - paired.pre).mean()
    names = [str(name) for name in known["region"].unique()]
    maps = pd.DataFrame(
        {one: mean[[f"{one}:{name}" for name in names]].to_numpy() for one in (measure, *there)},
        index=names,
    )
    rows, notes = [], []
    for metric in there:
        both = maps[[measure, metric]].dropna()
        if len(both) < MIN_REGIONS:
            notes.append(f"No coupling over regions with {metric}: {len(both)} regions have both.")
            continue
        apart = distances(centres_mm.loc[both.index].to_numpy(float))
        try:
            x, y = both[measure].to_numpy(float), both[metric].to_numpy(float)
            found = spatial_coupling(x, y, apart, surrogates=surrogates, seed=seed)
        except StatisticsError as error:
            notes.append(f"No coupling over regions with {metric}: {error.problems[0].found}.")
            continue
        rows.append(
            {
                "x": measure,
                "y": metric,
                "n": found.n,
                "r": found.r,
                "p": found.p,
                "p_smallest": found.p_smallest,
                "surrogates": found.surrogates,
            }
        )
    if rows:
        notes.append(
            f"Over regions, mean changes of at most {len(paired.pre)} persons are judged against {surrogates:,} "
            f"maps with the same variogram (seed {seed}): neighbouring regions are not independent. "
            "A resemblance of two mean maps says nothing about persons."
        )
    return pd.DataFrame(rows), notes


def cortex(regions: pd.DataFrame, centres_mm: pd.DataFrame) -> pd.DataFrame:
    """Keep the centres of cortical regions, if the table says which these are."""
    if "structure" not in regions:
        return centres_mm
    names = regions.loc[regions["structure"] == "cortex", "region"].unique()
    chosen = centres_mm[centres_mm.index.isin(np.asarray(names))]
    return chosen if len(chosen) >= MIN_REGIONS else centres_mm
