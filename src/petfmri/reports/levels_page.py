"""Sections on tests of whole matrices and maps: edges, parcels, voxels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from petfmri.reports import level_figures
from petfmri.reports.page import Page, number
from petfmri.typing import BoolArray, FloatArray

EDGES = {
    "parcel_1": "parcel", "parcel_2": "and", "z_pre": "z pre", "z_post": "z post", "g": "Hedges g",
    "t": "t", "p": "p", "p_fwe": "p, family-wise", "p_fdr": "p, FDR", "component": "component",
    "listed": "listed for",
}  # fmt: skip
COMPONENTS = {
    "threshold_t": "|t| above", "threshold_p": "p of an edge", "declared": "declared",
    "direction": "direction", "edges": "edges", "nodes": "parcels", "p_fwe": "p, family-wise",
    "networks": "networks",
}  # fmt: skip
PARCELS = {
    "outcome": "outcome", "change": "change", "t": "t", "p_fwe": "p, largest |t|", "tfce": "TFCE",
    "p_tfce": "p, TFCE",
}  # fmt: skip
PEAKS = {
    "region": "region", "x": "x (mm)", "y": "y (mm)", "z": "z (mm)", "direction": "direction",
    "volume_ml": "volume (mL)", "t": "t", "p_fwe": "p, largest |t|", "p_tfce": "p, TFCE",
}  # fmt: skip
SHOWN = 30


def edges_section(
    page: Page,
    edges: pd.DataFrame,
    components: pd.DataFrame,
    t: FloatArray,
    shown: BoolArray,
    networks: Sequence[str],
    notes: Sequence[str],
) -> None:
    """Add the test of every connection.

    Parameters
    ----------
    page : Page
    edges, components : DataFrame
        As written by `petfmri compare`.
    t : array of shape (n_parcels, n_parcels)
    shown : bool array of the same shape
        Edges of components with a family-wise p of at most .05.
    networks : sequence of str
        Of each parcel.
    notes : sequence of str
    """
    section = page.section("Every connection")
    for note in notes:
        section.text(note)
    held = "edges of components with p ≤ .05" if shown.any() else "empty: no component has p ≤ .05"
    section.figure(
        level_figures.edge_matrix(t, shown, networks),
        caption=f"Below the diagonal: t of every edge, orange rises. Above: {held}.",
        alt="Matrix of paired t, and the edges of significant components",
    )
    section.table(
        components, caption="Components of connected edges, by threshold", names=COMPONENTS
    )
    rows = _first(edges)
    named = rows.assign(**{name: rows[name].map(_short) for name in ("parcel_1", "parcel_2")})
    section.table(named, caption=_told(edges, "edges.tsv", "edge"), names=EDGES)


def parcels_section(page: Page, table: pd.DataFrame, notes: Sequence[str]) -> None:
    """Add the enhanced test of neighbouring regions."""
    section = page.section("Regions and their neighbours")
    for note in notes:
        section.text(note)
    rows = _first(table)
    rows = rows.assign(outcome=rows["outcome"].map(_short))
    section.table(rows, caption=_told(table, "parcels.tsv", "region"), names=PARCELS)


def voxels_section(
    page: Page,
    peaks: pd.DataFrame,
    t: FloatArray,
    mask: BoolArray,
    significant: BoolArray,
    heights_mm: FloatArray,
    notes: Sequence[str],
) -> None:
    """Add the test of every voxel.

    Parameters
    ----------
    page : Page
    peaks : DataFrame
        As written by `petfmri compare`.
    t : array of shape (x, y, z)
    mask, significant : bool arrays of the same shape
    heights_mm : array of shape (z,)
        Of each axial slice.
    notes : sequence of str
    """
    section = page.section("Every voxel")
    for note in notes:
        section.text(note)
    found = bool(significant.any())
    section.figure(
        level_figures.slices(t, mask, significant, heights_mm),
        caption="Paired t on axial slices, left is left. "
        + (
            "Outlined: corrected p ≤ .05 by the largest |t| or by TFCE."
            if found
            else "No voxel has a corrected p ≤ .05."
        ),
        alt="Slices of paired t with significant voxels outlined",
        photo=True,
    )
    what = "Clusters with a corrected p ≤ .05" if found else "Highest peaks; none is significant"
    rows = peaks.head(SHOWN).copy()
    rows["region"] = rows["region"].map(_short)
    names = PEAKS if found else {key: PEAKS[key] for key in PEAKS if key != "volume_ml"}
    section.table(rows, caption=f"{what} ({len(peaks)}; peaks.tsv)", names=names)


def _first(table: pd.DataFrame) -> pd.DataFrame:
    return table.head(SHOWN)


def _told(table: pd.DataFrame, file: str, what: str) -> str:
    n = len(table)
    most = f"first {SHOWN} of " if n > SHOWN else ""
    return f"{most}{number(n) if n > 999 else n} {what}{'s' * (n != 1)} in {file}".capitalize()


def _short(name: str) -> str:
    return name.replace("7Networks_", "").replace("_", " ")
