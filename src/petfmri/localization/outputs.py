"""What a localization is handed on as: named maps and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from petfmri.localization.contrasts import MM
from petfmri.localization.group import ContrastMaps
from petfmri.localization.labels import LabelTest
from petfmri.localization.localize import Contrast, Direction, Localization
from petfmri.localization.overlap import NetworkMap, cluster_peaks, network_shares
from petfmri.localization.space import Space
from petfmri.localization.spheres import Seeds
from petfmri.study.names import bids_label
from petfmri.typing import FloatArray, IntArray

FWE = 0.05


@dataclass(frozen=True)
class Regions:
    """The atlas on the space.

    Attributes
    ----------
    labels : int array of shape (n_elements,)
        Atlas label of each element; 0 is none.
    table : DataFrame
        ``index``, ``name``, ``network`` and ``structure``, a row per region.
    """

    labels: IntArray
    table: pd.DataFrame

    @property
    def networks(self) -> tuple[IntArray, dict[int, str]]:
        """Number of each element's network from 1, 0 for none, and the names."""
        names = list(dict.fromkeys(self.table["network"].astype(str)))
        of_region = {
            int(index): names.index(str(network)) + 1
            for index, network in zip(self.table["index"], self.table["network"], strict=True)
        }
        numbers = np.array([of_region.get(int(label), 0) for label in self.labels], dtype=int)
        return numbers, dict(enumerate(names, 1))

    @property
    def cortex(self) -> tuple[IntArray, int]:
        """Number of each element's cortical parcel from 0, -1 for none, and how many there are."""
        index = self.table.loc[self.table["structure"] == "cortex", "index"].astype(int).tolist()
        place = {label: k for k, label in enumerate(index)}
        return np.array([place.get(int(label), -1) for label in self.labels]), len(index)


@dataclass(frozen=True)
class NamedMap:
    """A map under its name.

    Attributes
    ----------
    name : str
        Entities and suffix after the space, such as desc-increase_stat-probability_boldmap; may
        begin with a folder.
    values : array of shape (n_elements,)
    description : str
    outside : float
        Value outside the mask: 1 for p.
    """

    name: str
    values: NDArray[Any]
    description: str
    outside: float = 0.0


def result_maps(found: Localization) -> list[NamedMap]:
    """List the maps of a localization."""
    maps = []
    labels = unique_labels([one.name for one in found.contrasts])
    for label, one, t, inside in zip(labels, found.contrasts, found.maps.t, found.maps.inside):
        about = f"connectivity of the seed of {one.name} in {found.maps.people} normative people"
        name = f"contrasts/desc-{label}"
        maps += [
            NamedMap(f"{name}_stat-t_boldmap", t.astype(np.float32), f"One-sample t of the {about}"),
            NamedMap(f"{name}_mask", inside, f"Positive {about}, {found.rule.correction} {found.rule.alpha:g}"),
        ]  # fmt: skip
    for side in found.directions:
        maps += network_maps(side.name, side.network, found.rule.share, found.rule.min_voxels)
        maps += _judged(side)
    if found.labels is not None:
        maps += _labelled(found.labels, [one.name for one in found.directions])
    degree = np.nan_to_num(found.degree).astype(np.float32)
    about = "Mean positive Fisher z with 1,000 places: weighted degree of the normative connectome"
    return [*maps, NamedMap("stat-degree_boldmap", degree, about)]


def network_maps(name: str, network: NetworkMap, share: float, least: int) -> list[NamedMap]:
    """Name the probability and network map of a direction."""
    label = bids_label(name)
    return [
        NamedMap(
            f"desc-{label}_stat-probability_boldmap",
            network.probability.astype(np.float32),
            f"Share of the {network.contrasts} contrasts of {name} that are connected here",
        ),
        NamedMap(
            f"desc-{label}_mask",
            network.inside,
            f"Share of at least {share:g}, in clusters of at least {least} voxels (18 neighbours)",
        ),
    ]


def _judged(one: Direction) -> list[NamedMap]:
    label, judged = bids_label(one.name), one.judgement
    about = f"share of {judged.draws} draws of random coordinates, the network included"
    return [
        NamedMap(f"desc-{label}_stat-p_boldmap", judged.p.astype(np.float32), f"Uncorrected p: {about}, that reach the probability here", 1.0),
        NamedMap(f"desc-{label}_stat-pfwe_boldmap", judged.p_fwe.astype(np.float32), f"Family-wise p: {about}, whose largest excess anywhere reaches that here", 1.0),
        NamedMap(f"desc-{label}_stat-expected_boldmap", judged.expected.astype(np.float32), "Mean probability of random coordinates"),
    ]  # fmt: skip


def _labelled(test: LabelTest, names: Sequence[str]) -> list[NamedMap]:
    about = f"{names[0]} less {names[1]}, labels of contrasts permuted"
    label = bids_label(f"{names[0]}Less{names[1]}")
    return [
        NamedMap(f"desc-{label}_stat-difference_boldmap", test.difference.astype(np.float32), f"Difference of probability: {names[0]} less {names[1]}"),
        NamedMap(f"desc-{label}_stat-p_boldmap", test.p.astype(np.float32), f"Uncorrected p: {about}", 1.0),
        NamedMap(f"desc-{label}_stat-pfwe_boldmap", test.p_fwe.astype(np.float32), f"Family-wise p: {about}", 1.0),
    ]  # fmt: skip


def result_tables(
    found: Localization, space: Space, regions: Regions, peaks: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """List the tables of a localization; empty ones are among them.

    Parameters
    ----------
    found : Localization
    space : Space
    regions : Regions
    peaks : DataFrame
        Of `in_mni`.
    """
    tables = {
        "contrasts": found.table(),
        "peaks": peaks_table(peaks, found.contrasts, found.seeds),
        "specificity": pd.DataFrame([_specificity(one) for one in found.directions]),
        "labels": pd.DataFrame(_label_rows(found)),
        "null": _stacked(
            {
                one.name: pd.DataFrame(
                    {"draw": np.arange(1, 1 + one.null.sizes.size), "voxels": one.null.sizes}
                )
                for one in found.directions
            }
        ),
    }
    for name in ("similarity", "studies", "variants"):
        tables[name] = _stacked({one.name: getattr(one, name) for one in found.directions})
    networks = {one.name: one.network for one in found.directions}
    rows = {one.name: list(one.contrasts) for one in found.directions}
    return {**tables, **place_tables(networks, space, regions, _mean_t(found.maps, rows))}


def place_tables(
    networks: Mapping[str, NetworkMap],
    space: Space,
    regions: Regions,
    order: Mapping[str, FloatArray] | None = None,
) -> dict[str, pd.DataFrame]:
    """Say where each network lies: shares of the atlas's networks, and clusters."""
    numbers, names = regions.networks
    region = {int(k): str(name) for k, name in zip(regions.table["index"], regions.table["name"])}
    shares, clusters = {}, {}
    for name, network in networks.items():
        shares[name] = network_shares(network.inside, numbers, names, space)
        mean = None if order is None else order[name]
        own = cluster_peaks(network, space, regions.labels, mean)
        own["region"] = [region.get(int(label), "none") for label in own.pop("label")]
        clusters[name] = own
    return {"networks": _stacked(shares), "clusters": _stacked(clusters)}


def peaks_table(peaks: pd.DataFrame, contrasts: Sequence[Contrast], seeds: Seeds) -> pd.DataFrame:
    """Add to each peak what became of it."""
    fate = {}
    for row, one in enumerate(contrasts):
        for number, point in enumerate(one.peaks):
            text = "sphere"
            if number in seeds.outside[row]:
                text = "outside the mask, not used"
            elif number in seeds.nearest[row]:
                text = "nearest voxel, as the sphere holds no centre"
            fate[one.name, *np.round(point, 6)] = text
    keys = zip(peaks["name"], *(peaks[name].round(6) for name in MM), strict=True)
    used = [fate.get(key, "outside the mask, as all of its contrast") for key in keys]
    return peaks.assign(used=used)


def unique_labels(names: Sequence[str]) -> list[str]:
    """Turn names into labels of files, told apart by numbers where letters do not.

    Examples
    --------
    >>> unique_labels(["Smith 2001", "Smith-2001", "Li"])
    ['Smith2001', 'Smith2001x2', 'Li']
    """
    labels: list[str] = []
    for name in names:
        label, number = bids_label(name) or "contrast", 2
        while label in labels:
            label, number = f"{bids_label(name)}x{number}", number + 1
        labels.append(label)
    return labels


def _specificity(one: Direction) -> dict[str, Any]:
    judged, sizes = one.judgement, one.null.sizes
    low, middle, high = (float(np.percentile(sizes, q)) for q in (2.5, 50, 97.5))
    return {
        "direction": one.name,
        "contrasts": one.network.contrasts,
        "voxels": judged.voxels,
        "null_median": middle,
        "null_low": low,
        "null_high": high,
        "p_size": judged.p_size,
        "places": int(one.network.inside.sum()),
        "places_p05": int((one.network.inside & (judged.p <= FWE)).sum()),
        "places_fwe": int((judged.p_fwe <= FWE).sum()),
        "least_p_fwe": float(judged.p_fwe.min()),
        "draws": judged.draws,
        "p_smallest": judged.p_smallest,
    }


def _label_rows(found: Localization) -> list[dict[str, Any]]:
    test = found.labels
    if test is None:
        return []
    return [
        {
            "first": found.directions[0].name,
            "second": found.directions[1].name,
            "p_maps": test.p_maps,
            "places_fwe": int((test.p_fwe <= FWE).sum()),
            "least_p_fwe": float(test.p_fwe.min()),
            "arrangements": test.arrangements,
            "exact": test.exact,
            "p_smallest": test.p_smallest,
        }
    ]


def _mean_t(maps: ContrastMaps, rows: Mapping[str, list[int]]) -> dict[str, FloatArray]:
    return {name: np.nan_to_num(maps.t[own]).mean(axis=0) for name, own in rows.items()}


def _stacked(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    filled = {name: part for name, part in parts.items() if len(part)}
    if not filled:
        return pd.DataFrame()
    named = [part.assign(direction=name) for name, part in filled.items()]
    table = pd.concat(named, ignore_index=True)
    return table[["direction", *(name for name in table if name != "direction")]]
