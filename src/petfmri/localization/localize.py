"""Network localization of published coordinates, with the checks that its critics ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.localization.group import ContrastMaps, contrast_maps, covered_by_all
from petfmri.localization.labels import LabelTest, label_permutation
from petfmri.localization.null import Judgement, RandomNull, Rule, judge, random_null
from petfmri.localization.overlap import NetworkMap
from petfmri.localization.robustness import leave_one_study_out, mapped, radius_by_share
from petfmri.localization.seeds import Person
from petfmri.localization.similarity import connectome_degree, similarity_table
from petfmri.localization.space import Space
from petfmri.localization.spheres import Seeds, seeds_at
from petfmri.typing import BoolArray, FloatArray

RADII_MM = (1.0, 4.0, 7.0)
SHARES = (0.5, 0.6, 0.7)


FEW_CONTRASTS, FEW_PEOPLE = 5, 100
"""Below these, notes say how little a localization rests on."""


@dataclass(frozen=True)
class Contrast:
    """Peaks of one comparison in one study.

    Attributes
    ----------
    name : str
    study : str
        Contrasts of one study leave together.
    direction : str
        Such as increase or decrease; directions are mapped apart.
    peaks : array of shape (n_peaks, 3), mm
        In the space of the mask (MNI); see `talairach_to_mni`.
    """

    name: str
    study: str
    direction: str
    peaks: FloatArray


@dataclass(frozen=True)
class Direction:
    """The network of one direction and what speaks for and against it.

    Attributes
    ----------
    name : str
    contrasts : sequence of int
        Rows of `Localization.maps`.
    network : NetworkMap
    null : RandomNull
    judgement : Judgement
    similarity : DataFrame
        See `similarity_table`.
    studies : DataFrame
        See `leave_one_study_out`.
    variants : DataFrame
        See `radius_by_share`.
    """

    name: str
    contrasts: Sequence[int]
    network: NetworkMap
    null: RandomNull
    judgement: Judgement
    similarity: pd.DataFrame
    studies: pd.DataFrame
    variants: pd.DataFrame


@dataclass(frozen=True)
class Localization:
    """Result of `localize`.

    Attributes
    ----------
    contrasts : sequence of Contrast
        Those with at least one peak in the mask, in the given order.
    dropped : sequence of str
        Names of those without.
    seeds : Seeds
        Of the declared radius, of `contrasts`.
    maps : ContrastMaps
        Of the declared radius.
    directions : list of Direction
    labels : LabelTest or None
        Between the two directions; None if there are not two, or one has a single contrast.
    degree : array of shape (n_elements,)
    rule : Rule
    draws, seed : int
    """

    contrasts: Sequence[Contrast]
    dropped: Sequence[str]
    seeds: Seeds
    maps: ContrastMaps
    directions: list[Direction]
    labels: LabelTest | None
    degree: FloatArray
    rule: Rule
    draws: int
    seed: int

    def table(self) -> pd.DataFrame:
        """List the contrasts.

        Returns
        -------
        DataFrame
            ``contrast``, ``study``, ``direction``, ``peaks``, ``peaks_outside`` the mask,
            ``peaks_nearest`` (the sphere held no voxel centre), ``seed_voxels``, ``t_threshold``
            and ``share_connected`` of the elements. Where that nears one half for every contrast,
            t selects nothing and the overlap does it all.
        """
        voxels = self.seeds.n_voxels
        tested = max(1, int(np.isfinite(self.maps.t).any(axis=0).sum()))
        rows = [
            {
                "contrast": one.name,
                "study": one.study,
                "direction": one.direction,
                "peaks": len(one.peaks),
                "peaks_outside": len(self.seeds.outside[row]),
                "peaks_nearest": len(self.seeds.nearest[row]),
                "seed_voxels": int(voxels[row]),
                "t_threshold": float(self.maps.threshold[row]),
                "share_connected": int(self.maps.inside[row].sum()) / tested,
            }
            for row, one in enumerate(self.contrasts)
        ]
        return pd.DataFrame(rows)

    def notes(self) -> list[str]:
        """Say what a reader must know beside the maps."""
        connected = float(np.median(self.table()["share_connected"]))
        said = [
            f"{self.maps.people} normative people: a contrast is connected to {connected:.0%} of "
            f"the places with signal (median). The larger the group, the less its "
            f"t test selects, and the more the overlap of contrasts does.",
            f"Random coordinates lie in the {int(self.maps.covered.sum()):,} of "
            f"{self.maps.inside.shape[1]:,} places where everybody has a signal.",
            f"Random coordinates: {self.draws} draws (seed {self.seed}), smallest p "
            f"{1 / (self.draws + 1):.2g}; network and draws went through the same steps.",
            "A connection to the coordinates in healthy people is no measurement of the patients.",
        ]
        few = [one.name for one in self.directions if len(one.contrasts) < FEW_CONTRASTS]
        if few:
            said.append(
                f"Fewer than {FEW_CONTRASTS} contrasts ({', '.join(few)}): the share that they reach "
                "has few steps, and one contrast carries the network."
            )
        if self.maps.people < FEW_PEOPLE:
            said.append(
                f"{self.maps.people} normative people are few: published localizations rest on "
                "hundreds, and these maps would change with other people."
            )
        if self.dropped:
            said.append(f"Without a peak in the mask, left out: {', '.join(self.dropped)}.")
        if self.labels is not None:
            how = "all" if self.labels.exact else "of them random"
            said.append(
                f"{self.directions[0].name} against {self.directions[1].name}: "
                f"{self.labels.arrangements:,} arrangements of labels ({how}), smallest p "
                f"{self.labels.p_smallest:.2g}."
            )
        return said


def localize(
    people: Iterable[Person],
    contrasts: Sequence[Contrast],
    space: Space,
    rule: Rule | None = None,
    *,
    references: Mapping[str, FloatArray] | None = None,
    radii_mm: Sequence[float] = RADII_MM,
    shares: Sequence[float] = SHARES,
    draws: int = 1000,
    permutations: int = 10_000,
    seed: int = 1,
    at_once: int = 512,
    nulls: Mapping[str, RandomNull] | None = None,
) -> Localization:
    """Map the networks of published coordinates and judge how specific they are.

    One pass over people for all contrasts and radii, one for the degree, and
    ``draws * contrasts / at_once`` for random coordinates.

    Parameters
    ----------
    people : re-iterable of Person
        A `Store` or a list.
    contrasts : sequence of Contrast
    space : Space
    rule : Rule, optional
        As FCNM was published when absent.
    references : mapping of name to array of shape (n_elements,), optional
        Maps to compare with beside the degree, such as the first gradients.
    radii_mm, shares : sequence of float
        Variants; the declared ones are added. A contrast without any voxel at another radius
        keeps that of the declared one.
    draws : int
        Of random coordinates, per direction.
    permutations : int
        Of labels, where there are too many to enumerate.
    seed : int
    at_once : int
        Seeds per pass; see `random_null`.
    nulls : mapping of direction to RandomNull, optional
        Draws made elsewhere, in place of drawing here; see `null_requests`.

    Returns
    -------
    Localization

    Raises
    ------
    DatasetError
        If no contrast has a peak in the mask, names repeat, `people` can be read only once, or
        people, grid or signal do not serve.

    References
    ----------
    Mo F et al. 2024, Schizophr Bull. doi:10.1093/schbul/sbae020
    van den Heuvel MP et al. 2026, Nat Neurosci. doi:10.1038/s41593-025-02196-7
    """
    rule = rule or Rule()
    kept, dropped = usable(contrasts, space, rule)
    if iter(people) is people:
        raise DatasetError("people", "an iterator", "a Store or a list", "make a list of it")
    radii = [rule.radius_mm, *(mm for mm in radii_mm if mm != rule.radius_mm)]
    seeds = [seeds_at([one.peaks for one in kept], mm, space) for mm in radii]
    stacked = _stacked(seeds, covered_by_all(people))
    every = contrast_maps(people, stacked, correction=rule.correction, alpha=rule.alpha)
    maps, masks = _split(every, radii, len(kept))
    degree = connectome_degree(people, space.n_elements)
    directions = []
    for name, rows in by_direction(kept).items():
        null = (nulls or {}).get(name) or random_null(
            people,
            space,
            _inside(seeds[0], kept, rows),
            rule,
            draws=draws,
            seed=seed,
            allowed=maps.covered,
            at_once=at_once,
        )
        own = {mm: part[rows] for mm, part in masks.items()}
        studies = [kept[row].study for row in rows]
        network = mapped(own[rule.radius_mm], space, rule)
        directions.append(
            Direction(
                name,
                rows,
                network,
                null,
                judge(network, null, space),
                similarity_table(network, null, {"degree": degree, **(references or {})}),
                leave_one_study_out(own[rule.radius_mm], studies, space, rule),
                radius_by_share(own, space, rule, shares),
            )
        )
    labels = _labels(directions, maps, permutations, seed)
    drawn = min(one.judgement.draws for one in directions)
    return Localization(
        kept, dropped, seeds[0], maps, directions, labels, degree, rule, drawn, seed
    )


def _stacked(seeds: Sequence[Seeds], covered: BoolArray) -> sparse.csr_array:
    """Put all radii below each other; where another has no signal in all, the declared one stands."""
    declared, silent = seeds[0].weights, [one.weights @ covered.astype(float) == 0 for one in seeds]
    silent[0][:] = False
    filled = [
        sparse.diags_array((~none).astype(float)) @ one.weights
        + sparse.diags_array(none.astype(float)) @ declared
        for one, none in zip(seeds, silent)
    ]
    return sparse.csr_array(sparse.vstack(filled))


def _split(
    every: ContrastMaps, radii: Sequence[float], n: int
) -> tuple[ContrastMaps, dict[float, BoolArray]]:
    """Take the maps of the declared radius, the first, and the masks of each."""
    masks = {mm: every.inside[k * n : (k + 1) * n] for k, mm in enumerate(radii)}
    own = replace(
        every,
        t=every.t[:n],
        mean_z=every.mean_z[:n],
        inside=every.inside[:n],
        threshold=every.threshold[:n],
    )
    return own, masks


def null_requests(contrasts: Sequence[Contrast], space: Space, rule: Rule) -> dict[str, list[int]]:
    """Tell what `random_null` must be given per direction, to draw in parts before `localize`.

    Give it ``allowed=covered_by_all(people)`` too, as `localize` does, and parts by ``first`` and
    ``draws``; `RandomNull.join` puts them together.

    Returns
    -------
    dict of direction to list of int
        Peaks in the mask of each contrast.
    """
    kept, _ = usable(contrasts, space, rule)
    seeds = seeds_at([one.peaks for one in kept], rule.radius_mm, space)
    return {name: _inside(seeds, kept, rows) for name, rows in by_direction(kept).items()}


def usable(
    contrasts: Sequence[Contrast], space: Space, rule: Rule
) -> tuple[list[Contrast], list[str]]:
    """Return the contrasts with a peak in the mask, and the names of the others.

    Raises
    ------
    DatasetError
        If there are none, or two have one name.
    """
    names = [one.name for one in contrasts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError("contrasts", f"{twice[0]!r} twice", "one name each", "rename one")
    voxels = seeds_at([one.peaks for one in contrasts], rule.radius_mm, space).n_voxels
    kept = [one for one, n in zip(contrasts, voxels) if n]
    if not kept:
        raise DatasetError(
            "contrasts",
            f"{len(contrasts)} without a peak in the mask",
            "coordinates in millimetres, in the space of the mask",
            "check the space and unit of the coordinates",
        )
    return kept, [one.name for one, n in zip(contrasts, voxels) if not n]


def by_direction(contrasts: Sequence[Contrast]) -> dict[str, list[int]]:
    """Group the numbers of contrasts by direction, in the order of appearance."""
    groups: dict[str, list[int]] = {}
    for row, one in enumerate(contrasts):
        groups.setdefault(one.direction, []).append(row)
    return groups


def _inside(seeds: Seeds, contrasts: Sequence[Contrast], rows: Sequence[int]) -> list[int]:
    return [len(contrasts[row].peaks) - len(seeds.outside[row]) for row in rows]


def _labels(
    directions: Sequence[Direction], maps: ContrastMaps, permutations: int, seed: int
) -> LabelTest | None:
    if len(directions) != 2 or min(len(one.contrasts) for one in directions) < 2:
        return None
    first = np.zeros(len(maps.inside), dtype=bool)
    first[list(directions[0].contrasts)] = True
    return label_permutation(maps.inside, first, permutations=permutations, seed=seed)
