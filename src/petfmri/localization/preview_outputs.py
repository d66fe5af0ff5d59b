"""A preview as maps and tables: no p value, and the statement with every one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from petfmri.localization.analysis import Results
from petfmri.localization.contrasts import contrasts_of
from petfmri.localization.localize import Contrast, by_direction, usable
from petfmri.localization.null import Rule
from petfmri.localization.outputs import (
    NamedMap,
    Regions,
    network_maps,
    peaks_table,
    place_tables,
    unique_labels,
)
from petfmri.localization.overlap import NetworkMap
from petfmri.localization.preview import Preview, preview
from petfmri.localization.robustness import leave_one_study_out, mapped, radius_by_share
from petfmri.localization.space import Space
from petfmri.localization.spheres import Seeds, seeds_at
from petfmri.typing import FloatArray


@dataclass(frozen=True)
class _Shown:
    """Contrasts with their seeds and previews; those of other radii where every seed has a voxel."""

    contrasts: Sequence[Contrast]
    seeds: Seeds
    by_radius: Mapping[float, Preview]
    declared: Preview


def preview_results(
    peaks: pd.DataFrame,
    mean_r: FloatArray,
    space: Space,
    rule: Rule,
    regions: Regions,
    *,
    threshold: float,
    radii_mm: Sequence[float],
    shares: Sequence[float],
) -> Results:
    """Map contrasts by a group-mean connectome, without inference; see `preview`.

    Parameters
    ----------
    peaks : DataFrame
        Of `in_mni`.
    mean_r : array of shape (n_parcels, n_parcels)
    space : Space
        Of these parcels.
    rule : Rule
        Correction and alpha are not read.
    regions : Regions
    threshold : float
        On mean r.
    radii_mm, shares : sequence of float

    Returns
    -------
    Results
        Every name and description says that it is a preview.
    """
    kept, dropped = usable(contrasts_of(peaks), space, rule)
    shown = _shown(kept, mean_r, space, rule, threshold, radii_mm)
    networks: dict[str, NetworkMap] = {}
    tables: dict[str, list[pd.DataFrame]] = {"studies": [], "variants": []}
    for name, rows in by_direction(kept).items():
        inside = shown.declared.inside[rows]
        networks[name] = mapped(inside, space, rule)
        studies = leave_one_study_out(inside, [kept[row].study for row in rows], space, rule)
        own = {mm: one.inside[rows] for mm, one in shown.by_radius.items()}
        variants = radius_by_share(own, space, rule, shares)
        for what, table in (("studies", studies), ("variants", variants)):
            if len(table):
                table.insert(0, "direction", name)
                tables[what].append(table)
    made = {
        "contrasts": _contrasts(shown),
        "peaks": peaks_table(peaks, kept, shown.seeds),
        **{what: pd.concat(parts) if parts else pd.DataFrame() for what, parts in tables.items()},
        **place_tables(networks, space, regions),
    }
    notes = [shown.declared.statement]
    if dropped:
        notes.append(f"Without a peak in the atlas, left out: {', '.join(dropped)}.")
    return Results(_maps(shown, networks, rule), made, notes)


def _shown(
    kept: Sequence[Contrast],
    mean_r: FloatArray,
    space: Space,
    rule: Rule,
    threshold: float,
    radii_mm: Sequence[float],
) -> _Shown:
    points = [one.peaks for one in kept]
    radii = dict.fromkeys((rule.radius_mm, *radii_mm))
    seeds = {mm: seeds_at(points, mm, space) for mm in radii}
    by_radius = {
        mm: preview(one.weights, mean_r, threshold)
        for mm, one in seeds.items()
        if (one.n_voxels > 0).all()
    }
    return _Shown(kept, seeds[rule.radius_mm], by_radius, by_radius[rule.radius_mm])


def _contrasts(shown: _Shown) -> pd.DataFrame:
    rows = [
        {
            "contrast": one.name,
            "study": one.study,
            "direction": one.direction,
            "peaks": len(one.peaks),
            "peaks_outside": len(shown.seeds.outside[row]),
            "seed_voxels": int(shown.seeds.n_voxels[row]),
            "share_connected": float(shown.declared.inside[row].mean()),
        }
        for row, one in enumerate(shown.contrasts)
    ]
    return pd.DataFrame(rows)


def _maps(shown: _Shown, networks: Mapping[str, NetworkMap], rule: Rule) -> list[NamedMap]:
    names = [one.name for one in shown.contrasts]
    maps = [
        NamedMap(
            f"contrasts/desc-{label}_stat-meanr_boldmap",
            r.astype(np.float32),
            f"Mean r with the seed of {name}",
        )
        for label, name, r in zip(unique_labels(names), names, shown.declared.r, strict=True)
    ]
    for name, network in networks.items():
        maps += network_maps(name, network, rule.share, rule.min_voxels)
    return [
        NamedMap(
            one.name.replace("desc-", "desc-preview", 1),
            one.values,
            f"{one.description}. {shown.declared.statement}",
        )
        for one in maps
    ]
