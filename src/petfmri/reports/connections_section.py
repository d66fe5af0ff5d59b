"""Connections of interest, on the page of a pre/post comparison."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page
from petfmri.statistics.connections import CHANGED

COLUMNS = {
    "outcome": "connection", "n": "n", "mean_pre": "pre", "mean_post": "post", "change": "change",
    "g": "Hedges g", "g_low": "g from", "g_high": "g to", "p": "p", "p_fwe": "p, family-wise",
}  # fmt: skip


def connections_section(page: Page, table: pd.DataFrame, notes: Sequence[str]) -> None:
    """Add the section on connections of interest.

    Parameters
    ----------
    page : Page
    table : DataFrame
        As `connection_changes` gives it.
    notes : sequence of str
    """
    section = page.section("Connections of interest").bullets(notes)
    if table.empty:
        section.text("Too few persons have matrices of both sessions.")
        return
    for family, rows in table.groupby("family", sort=False):
        name = str(family)
        if name == CHANGED:
            section.text(
                "Do the sets change differently? Each person's mean of one set minus that of the "
                "other: the test that a claim of specificity needs."
            )
        if len(rows) > 2:
            section.figure(
                figures.effects(rows, labels=rows["outcome"].tolist(), title=name),
                caption="Orange: family-wise p ≤ .05 within the set.",
                alt=f"Hedges g with intervals of {len(rows)} {name}",
            )
        section.table(rows.reset_index(drop=True), caption=name, names=COLUMNS)
