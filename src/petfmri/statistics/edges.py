"""What changed in every connection: single edges, and components of edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.effects import MIN_PERSONS, checked_changes, hedges_g, varies
from petfmri.statistics.mean_beside import independent
from petfmri.statistics.nbs import Component, NetworkTest, network_test
from petfmri.statistics.permutation import PermutationTest, permutation_test
from petfmri.typing import BoolArray, FloatArray, IntArray

DECLARED_P = 0.001
SWEEP_P = (0.01, 0.005, 0.001, 0.0005)
ALPHA = 0.05
TOP = 20
"""So many edges are listed where none stands out."""


@dataclass(frozen=True)
class EdgeComparison:
    """Result of `compare_edges`.

    Attributes
    ----------
    edges : DataFrame
        Edges with a family-wise or FDR-adjusted p of at most .05 or of a component with such a p;
        where there is none, those with the largest |t|. Column `listed` says which.
    components : DataFrame
        Of the declared threshold, and the largest of each other one; a row without edges where
        nothing exceeds a threshold.
    t : array of shape (n_parcels, n_parcels)
        NaN where an edge is not tested.
    shown : bool array of shape (n_parcels, n_parcels)
        Edges of components with a family-wise p of at most .05.
    notes : tuple of str
    """

    edges: pd.DataFrame
    components: pd.DataFrame
    t: FloatArray
    shown: BoolArray
    notes: tuple[str, ...]


def compare_edges(
    pre: FloatArray,
    post: FloatArray,
    names: Sequence[str],
    networks: Sequence[str],
    *,
    threshold_t: float | None = None,
    covariates: FloatArray | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> EdgeComparison:
    """Compare two matrices of each person, edge by edge and component by component.

    Parameters
    ----------
    pre, post : array of shape (n_persons, n_parcels, n_parcels)
        Fisher z; what is missing in anybody is not tested.
    names, networks : sequence of str, one for each parcel
    threshold_t : float, optional
        Of |t|, for components; unset: that of a two-sided p of .001.
    covariates : array of shape (n_persons, k), optional
        The tested change is then that at their zero (see `mean_beside`).
    permutations, seed : int
        As `sign_patterns`.

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, or no edge that all of them have.
    """
    rows, columns = _tested(pre, post).nonzero()
    before, after = pre[:, rows, columns], post[:, rows, columns]
    change = checked_changes(after - before)
    y, x = independent(change, covariates)
    arrangements = sign_patterns(len(y), permutations=permutations, seed=seed)
    single = permutation_test(y, x, arrangements=arrangements)
    declared = threshold_t or critical_t(DECLARED_P, single.df)
    swept = [critical_t(p, single.df) for p in SWEEP_P]
    thresholds = [declared, *(t for t in swept if abs(t - declared) > 1e-6)]
    pairs = np.column_stack([rows, columns])
    tests = network_test(y, x, pairs, arrangements=arrangements, thresholds=thresholds)
    whole = np.full(pre.shape[1:], np.nan)
    whole[rows, columns] = single.t
    found = [one for one in tests[0].components if one.p_fwe <= ALPHA]
    shown = np.zeros(whole.shape, dtype=bool)
    for one in found:
        shown[tuple(pairs[one.edges].T)] = True
    return EdgeComparison(
        edges=_listed(_edge_table(before, after, single, pairs, names, networks), found),
        components=_components(tests, single, names, networks, pairs),
        t=np.where(np.isnan(whole), whole.T, whole),
        shown=shown | shown.T,
        notes=tuple(_notes(single, tests, int(np.triu(np.ones(whole.shape), 1).sum()))),
    )


def _edge_table(
    pre: FloatArray,
    post: FloatArray,
    single: PermutationTest,
    pairs: IntArray,
    names: Sequence[str],
    networks: Sequence[str],
) -> pd.DataFrame:
    parcels, ones, others = pd.DataFrame({"parcel": names, "network": networks}), *pairs.T
    ends = {
        f"{what}_{number}": parcels[what].to_numpy()[side]
        for what in parcels
        for number, side in enumerate((ones, others), 1)
    }
    values = {
        "n": len(pre),
        "z_pre": pre.mean(axis=0),
        "z_post": post.mean(axis=0),
        "change": single.estimate,
        "g": hedges_g(post - pre)[0],
        "t": single.t,
        "p": single.p,
        "p_fwe": single.p_fwe,
        "p_fdr": single.p_fdr,
    }
    return pd.DataFrame(ends | values)


def critical_t(p: float, df: int) -> float:
    """Give the |t| of a two-sided p.

    Examples
    --------
    >>> round(critical_t(0.001, 10), 2)
    4.59
    """
    return float(-special.stdtrit(df, p / 2))


def _tested(pre: FloatArray, post: FloatArray) -> BoolArray:
    """Edges above the diagonal that everybody has, and that vary."""
    if len(pre) < MIN_PERSONS:
        raise StatisticsError(
            "edges",
            f"{len(pre)} persons with matrices of both sessions",
            f"at least {MIN_PERSONS}",
            "look at the individual values; a group test needs more persons",
        )
    complete = np.isfinite(pre).all(axis=0) & np.isfinite(post).all(axis=0)
    tested = np.triu(complete, 1)
    rows, columns = tested.nonzero()
    tested[rows, columns] = varies(pre[:, rows, columns], post[:, rows, columns])
    if not tested.any():
        raise StatisticsError(
            "edges",
            f"none of {complete.shape[0]} parcels' that all persons have",
            "edges with values that vary",
            "see which parcels have no signal",
        )
    return np.asarray(tested)


def _listed(edges: pd.DataFrame, found: Sequence[Component]) -> pd.DataFrame:
    """Choose what stands out, or else what is largest."""
    component = pd.Series(pd.NA, index=edges.index, dtype="Int64")
    for number, one in enumerate(found, 1):
        component.iloc[one.edges] = number
    reasons = {
        "component": component.notna().to_numpy(),
        "FDR": (edges["p_fdr"] <= ALPHA).to_numpy(),
        "family-wise": (edges["p_fwe"] <= ALPHA).to_numpy(),
    }
    listed = pd.Series("", index=edges.index)
    for reason, which in reasons.items():
        listed[which] = reason
    table = edges.assign(component=component, listed=listed)
    ordered = table.reindex(table["t"].abs().sort_values(ascending=False, kind="stable").index)
    if not (listed != "").any():
        return ordered.head(TOP).assign(listed="largest |t|")
    return ordered[ordered["listed"] != ""]


def _components(
    tests: Sequence[NetworkTest],
    single: PermutationTest,
    names: Sequence[str],
    networks: Sequence[str],
    pairs: IntArray,
) -> pd.DataFrame:
    """Tabulate the components of each threshold."""
    rows = []
    for test in tests:
        declared = test is tests[0]
        kept = [one for one in test.components if one.p_fwe <= ALPHA] if declared else []
        for number, one in enumerate(kept or test.components[:1] or (None,), 1):
            rows.append(
                {
                    "threshold_t": test.threshold,
                    "threshold_p": 2 * float(special.stdtr(single.df, -test.threshold)),
                    "declared": declared,
                    "component": number,
                    "direction": {1: "rise", -1: "fall"}[one.direction] if one else None,
                    "edges": int(one.size) if one else 0,
                    "nodes": len(one.nodes) if one else 0,
                    "p_fwe": one.p_fwe if one else 1.0,
                    "p_smallest": test.smallest,
                    "arrangements": single.arrangements,
                    "exact": single.exact,
                    "networks": _joined(pairs[one.edges], networks) if one else None,
                    "parcels": "; ".join(names[node] for node in one.nodes) if one else None,
                }
            )
    return pd.DataFrame(rows)


def _joined(pairs: IntArray, networks: Sequence[str]) -> str:
    """Say which networks the edges join, the most frequent first."""
    counts = pd.Series(["–".join(sorted(networks[node] for node in pair)) for pair in pairs])
    return "; ".join(f"{pair} {count}" for pair, count in counts.value_counts().items())


def _notes(single: PermutationTest, tests: Sequence[NetworkTest], n_edges: int) -> list[str]:
    n_tested = len(single.t)
    left = f"; {n_edges - n_tested:,} others are missing in somebody" * (n_edges > n_tested)
    adjusted = single.p_fdr
    told = [
        f"Edges: {n_tested:,} tests{left}. {single.told.capitalize()}; smallest attainable p "
        f"{single.p_smallest[0]:.2g}. Family-wise p ≤ .05: {int((single.p_fwe <= ALPHA).sum()):,}; "
        f"FDR-adjusted p ≤ .05: {int((adjusted <= ALPHA).sum()):,}."
    ]
    told += [
        "Components of edges (NBS, extent, rises and falls apart, p two-sided): "
        + "; ".join(_at(test) for test in tests)
        + ". Only the first threshold counts: p is not corrected over several, and a component is "
        "significant as a whole, none of its edges by itself."
    ]
    return told


def _at(test: NetworkTest) -> str:
    if not test.components:
        return f"|t| > {test.threshold:.2f}: no edge"
    one = test.components[0]
    return (
        f"|t| > {test.threshold:.2f}: the largest of {len(test.components)} has "
        f"{int(one.size)} edge{'s' * (one.size > 1)}, p = {one.p_fwe:.2g}"
    )
