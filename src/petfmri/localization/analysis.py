"""The group step of a localization: everything that is handed on, from a store of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError
from petfmri.localization.contrasts import contrasts_of
from petfmri.localization.gradients import connectome_gradients
from petfmri.localization.group import covered_by_all
from petfmri.localization.localize import localize, null_requests
from petfmri.localization.null import RandomNull, Rule, random_null
from petfmri.localization.outputs import NamedMap, Regions, result_maps, result_tables
from petfmri.localization.space import Space
from petfmri.localization.store import Store
from petfmri.typing import FloatArray


@dataclass(frozen=True)
class Results:
    """What is written.

    Attributes
    ----------
    maps : list of NamedMap
    tables : mapping of name to DataFrame
        Empty ones are not written.
    notes : list of str
        What readers must know.
    """

    maps: list[NamedMap]
    tables: Mapping[str, pd.DataFrame]
    notes: list[str] = field(default_factory=list)


def draw(
    people: Store,
    peaks: pd.DataFrame,
    space: Space,
    rule: Rule,
    *,
    direction: str,
    first: int,
    draws: int,
    seed: int,
) -> RandomNull:
    """Make some of the random draws of one direction; see `random_null`.

    Parameters
    ----------
    people : Store
    peaks : DataFrame
        Of `in_mni`.
    space, rule
    direction : str
    first, draws : int
    seed : int
    """
    requests = null_requests(contrasts_of(peaks), space, rule)
    return random_null(
        people,
        space,
        requests[direction],
        rule,
        draws=draws,
        seed=seed,
        first=first,
        allowed=covered_by_all(people),
    )


def analyse(
    people: Store,
    peaks: pd.DataFrame,
    space: Space,
    rule: Rule,
    regions: Regions,
    *,
    nulls: Mapping[str, RandomNull],
    radii_mm: Sequence[float],
    shares: Sequence[float],
    permutations: int,
    seed: int,
) -> Results:
    """Localize with degree and gradients of the same people to compare with.

    Parameters
    ----------
    people : Store
    peaks : DataFrame
        Of `in_mni`.
    space, rule
    regions : Regions
    nulls : mapping of direction to RandomNull
    radii_mm, shares, permutations, seed
        See `localize`.

    Returns
    -------
    Results
    """
    references, notes = _gradients(people, regions)
    found = localize(
        people,
        contrasts_of(peaks),
        space,
        rule,
        references=references,
        radii_mm=radii_mm,
        shares=shares,
        permutations=permutations,
        seed=seed,
        nulls=nulls,
    )
    maps = result_maps(found)
    for name, values in references.items():
        label = name.replace(" ", "")
        maps.append(
            NamedMap(
                f"desc-{label}_boldmap",
                np.nan_to_num(values).astype(np.float32),
                f"{name.capitalize()} of the cortical parcel connectome of the normative people",
            )
        )
    return Results(maps, result_tables(found, space, regions, peaks), [*found.notes(), *notes])


def _gradients(people: Store, regions: Regions) -> tuple[dict[str, FloatArray], list[str]]:
    parcels, n_parcels = regions.cortex
    try:
        values = connectome_gradients(people, parcels, n_parcels)
    except DatasetError as error:
        problem = error.problems[0]
        return {}, [
            f"No gradients to compare with: {problem.where}: {problem.found}; expected "
            f"{problem.expected}."
        ]
    return {f"gradient {k}": one for k, one in enumerate(values, 1)}, []
