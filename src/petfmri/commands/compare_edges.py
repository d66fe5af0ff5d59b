"""Edges and parcels for `petfmri compare`: from delivered matrices and tables to tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.commands.compare_beside import beside
from petfmri.commands.context import atlas_label, atlas_of, group_folder
from petfmri.config import Study
from petfmri.networks.connectivity import fisher_z
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.edges import EdgeComparison, compare_edges
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.mean_beside import independent
from petfmri.statistics.neighbours import parcel_neighbours
from petfmri.statistics.prepost import Comparison
from petfmri.statistics.tfce import tfce_test
from petfmri.study.files import read_table, write_table
from petfmri.study.names import derivative_path
from petfmri.typing import FloatArray

_P = {
    "t": {"Description": "Paired t"},
    "p_fwe": {"Description": "Family-wise p by the largest |t|"},
}
EDGE_COLUMNS = {
    "parcel_1": {"Description": "One end"},
    "parcel_2": {"Description": "The other"},
    "n": {"Description": "Persons with both sessions"},
    "z_pre": {"Description": "Mean Fisher z before"},
    "z_post": {"Description": "Mean Fisher z after"},
    "change": {"Description": "Mean of post minus pre, Fisher z"},
    "g": {"Description": "Hedges g of the paired change"},
    "p": {"Description": "Two-sided sign-flip p, uncorrected"},
    "p_fdr": {"Description": "Adjusted for the rate of false discoveries (Benjamini-Hochberg)"},
    "component": {"Description": "Number in components.tsv, where its p_fwe is at most .05"},
    "listed": {
        "Description": "Why: family-wise or FDR-adjusted p of at most .05, part of a component "
        "with such a p, or, where there is none of these, the largest |t|"
    },
    **_P,
}
COMPONENT_COLUMNS = {
    "threshold_t": {"Description": "|t| that its edges exceed"},
    "threshold_p": {"Description": "The same as a two-sided p of one edge"},
    "declared": {"Description": "Whether this threshold counts; the others are a sweep"},
    "component": {"Description": "By size"},
    "direction": {"Description": "rise or fall; a component holds edges of one direction"},
    "edges": {"Description": "Its extent; 0: no edge exceeds the threshold"},
    "nodes": {"Description": "Its parcels"},
    "p_fwe": {
        "Description": "Corrected over components and both directions by the largest component; "
        "not over thresholds"
    },
    "p_smallest": {"Description": "Smallest p that these arrangements allow"},
    "arrangements": {"Description": "Sign flips evaluated"},
    "exact": {"Description": "Whether these are all sign flips"},
    "networks": {"Description": "Pairs of networks that its edges join, with their number"},
    "parcels": {"Description": "Names"},
}
PARCEL_COLUMNS = {
    "outcome": {"Description": "measure:region"},
    "n": {"Description": "Persons with both sessions"},
    "change": {"Description": "Mean of post minus pre"},
    "tfce": {"Description": "Exact TFCE of t over parcels that share a face, E = .5, H = 2"},
    "p_tfce": {"Description": "Family-wise p by the largest TFCE of either sign"},
    "p_smallest": {"Description": "Smallest p that these arrangements allow"},
    "arrangements": {"Description": "Sign flips evaluated"},
    **_P,
}


@dataclass(frozen=True)
class Matrices:
    """Fisher z of the persons who have both sessions.

    Attributes
    ----------
    of : mapping of pre and post to array of shape (n_persons, n_parcels, n_parcels)
    names, networks : list of str
        Of the parcels.
    persons : list of str
    """

    of: Mapping[str, FloatArray]
    names: list[str]
    networks: list[str]
    persons: list[str]

    def means(self) -> dict[str, object]:
        """Average over persons, for the page."""
        means = {role: np.nanmean(values, axis=0) for role, values in self.of.items()}
        return means | {"networks": self.networks}


def read_matrices(study: Study, regions: pd.DataFrame) -> Matrices | None:
    """Read the Pearson correlations of everybody who has both sessions; None if there are none."""
    network = regions.drop_duplicates("region").set_index("region")["network"]
    roles = {role: f"ses-{getattr(study.sessions, role)}" for role in ("pre", "post")}
    found: dict[str, list[FloatArray]] = {role: [] for role in roles}
    parcels: pd.Index = pd.Index([])
    persons: list[str] = []
    for folder in sorted(path for path in study.output.glob("sub-*") if path.is_dir()):
        paths = [relmat(study, folder.name, label) for label in roles.values()]
        if None in paths:
            continue
        persons.append(folder.name)
        for role, path in zip(roles, paths, strict=True):
            table = read_table(path, ["name"]).set_index("name")
            parcels = parcels if len(parcels) else table.index
            values = table.reindex(index=parcels, columns=list(parcels)).to_numpy(float)
            found[role].append(fisher_z(values))
    if not found["pre"]:
        return None
    stacked = {role: np.array(values) for role, values in found.items()}
    names = [str(name) for name in parcels]
    return Matrices(stacked, names, network.reindex(names).astype(str).tolist(), persons)


def relmat(study: Study, person: str, session: str) -> Path | None:
    """Find the Pearson correlations of a session among the matrices that are there."""
    path = derivative_path(
        study.output,
        sub=person,
        ses=session,
        datatype="func",
        suffix="relmat",
        extension=".tsv",
        task=study.bold.task,
        seg=atlas_label(study),
        stat="pearsoncorrelation",
    )
    return path if path.exists() else None


def edge_level(
    study: Study, matrices: Matrices, sessions: pd.DataFrame | None = None
) -> tuple[EdgeComparison | None, list[str]]:
    """Compare every edge, and write tables; or say why not."""
    also = beside(study, sessions, matrices.persons)
    of = matrices.of if also is None else {k: v[also.kept] for k, v in matrices.of.items()}
    n = len(of["pre"])
    if not study.edges.test:
        return None, []
    if n < MIN_PERSONS:
        return None, [f"Edges are not tested: {n} persons have matrices of both sessions."]
    found = compare_edges(
        of["pre"],
        of["post"],
        matrices.names,
        matrices.networks,
        threshold_t=study.edges.threshold_t,
        covariates=None if also is None else also.values,
        permutations=study.inference.permutations,
        seed=study.inference.seed,
    )
    folder = group_folder(study, "compare")
    write_table(found.edges, folder / "edges.tsv", EDGE_COLUMNS)
    write_table(found.components, folder / "components.tsv", COMPONENT_COLUMNS)
    whole = pd.DataFrame(found.t, columns=matrices.names)
    whole.insert(0, "name", matrices.names)
    write_table(whole, folder / "edges_t.tsv")
    return found, [*found.notes, *(also.notes if also else ())]


def parcel_level(
    study: Study, result: Comparison, sessions: pd.DataFrame | None = None
) -> tuple[pd.DataFrame | None, list[str]]:
    """Enhance the t of regions that are parcels of the atlas, and write the table."""
    atlas = atlas_of(study)
    label = dict(zip(atlas.table["name"], atlas.table["index"], strict=True))
    rows = result.comparisons
    rows = rows[rows["family"].eq("regions") & rows["region"].isin(label)]
    if len(rows) < 2:
        return None, []
    wide = result.changes.pivot_table(index="participant_id", columns="outcome", values="change")
    wide = wide[list(rows["outcome"])].dropna()
    also = beside(study, sessions, list(wide.index))
    change = wide.to_numpy(float)
    y, x = independent(change[also.kept], also.values) if also else (change, np.ones(len(change)))
    drawn = sign_patterns(
        len(y), permutations=study.inference.permutations, seed=study.inference.seed
    )
    around = parcel_neighbours(
        np.asarray(atlas.image.dataobj), [label[name] for name in rows["region"]]
    )
    found = tfce_test(y, x, around, arrangements=drawn)
    table = rows[["outcome", "region", "network", "n", "change", "t", "p_fwe"]].assign(
        tfce=found.tfce,
        p_tfce=found.p_fwe,
        p_smallest=found.smallest,
        arrangements=drawn.total,
    )
    table = table.reindex(table["tfce"].abs().sort_values(ascending=False).index)
    write_table(table, group_folder(study, "compare") / "parcels.tsv", PARCEL_COLUMNS)
    n_found = int((table["p_tfce"] <= 0.05).sum())
    return table, [
        f"TFCE of parcels that share a face (exact, E = .5, H = 2, both signs): {len(table)} "
        f"tests, {drawn.told}, smallest attainable p {found.smallest:.2g}; family-wise p ≤ .05 in "
        f"{n_found}. Every parcel counts as one, whatever its size.",
        *(["TFCE: " + also.notes[0], *also.notes[1:]] if also else ()),
    ]
