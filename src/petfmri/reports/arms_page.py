"""The page of a comparison of two arms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petfmri.reports import figures
from petfmri.reports.compare_page import DETAILED, FAMILIES, judged, short_name
from petfmri.reports.page import Page, number

CHANGE = {
    "outcome": "outcome", "n_active": "n", "n_control": "n control", "mean_active": "change",
    "mean_control": "change in control", "difference": "difference", "g": "Hedges g",
    "g_low": "g from", "g_high": "g to", "p": "p", "p_fwe": "p, family-wise", "p_fdr": "p, FDR",
    "difference_adjusted": "adjusted difference", "p_adjusted": "p, adjusted",
}  # fmt: skip
BASELINE = {
    "outcome": "outcome", "n_active": "n", "n_control": "n control", "mean_active": "mean",
    "mean_control": "mean of control", "difference": "difference", "g": "Hedges g",
    "g_low": "g from", "g_high": "g to", "p": "p", "p_fwe": "p, family-wise",
}  # fmt: skip


def arms_page(
    comparisons: pd.DataFrame,
    changes: pd.DataFrame,
    baseline: pd.DataFrame,
    *,
    study: str,
    notes: Sequence[str],
    arms: tuple[str, str],
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    comparisons, changes, baseline : DataFrame
        As written by `petfmri compare`.
    study : str
    notes : sequence of str
    arms : (active, control)
    """
    page = Page(
        f"{arms[0]} against {arms[1]}",
        study,
        arms_verdict(comparisons, baseline, arms),
        [("Overview", "../../index.html")],
    )
    page.section("What this comparison can and cannot show").bullets(notes)
    if not comparisons.empty:
        for family, title in FAMILIES.items():
            _family(page, title, family, comparisons, changes, arms)
    if not baseline.empty:
        coarse = baseline[~baseline["family"].isin(DETAILED)]
        detailed = baseline[baseline["family"].isin(DETAILED)]
        largest = detailed.reindex(detailed["g"].abs().sort_values(ascending=False).index).head(30)
        section = page.section("Did the groups differ before?")
        section.table(coarse, caption="Difference at baseline", names=BASELINE)
        if not largest.empty:
            section.table(
                largest, caption="Single regions and networks, largest first", names=BASELINE
            )
    return page


def _family(
    page: Page,
    title: str,
    family: str,
    comparisons: pd.DataFrame,
    changes: pd.DataFrame,
    arms: tuple[str, str],
) -> None:
    rows = comparisons[comparisons["family"] == family]
    if rows.empty:
        return
    section = page.section(title)
    if family not in DETAILED:
        shown = {outcome: short_name(outcome) for outcome in rows["outcome"][:4]}
        section.figure(
            figures.by_arm(changes, shown, arms),
            caption="One dot per person: post minus pre; black: the mean of the arm.",
            alt=f"Changes of {', '.join(shown.values())} in both arms",
        )
    ordered = rows.reindex(rows["g"].abs().sort_values(ascending=False).index)
    if len(rows) > 1:
        top = ordered.head(30)
        section.figure(
            figures.effects(top, labels=[short_name(o) for o in top["outcome"]], title=title),
            caption="Hedges g of the difference in change. Orange: family-wise p ≤ .05.",
            alt=f"Hedges g with intervals of {len(top)} outcomes",
        )
    names = {name: text for name, text in CHANGE.items() if name in rows}
    section.table(
        ordered, caption=f"{title}: {len(rows)} outcome{'s' * (len(rows) > 1)}", names=names
    )


def arms_verdict(comparisons: pd.DataFrame, baseline: pd.DataFrame, arms: tuple[str, str]) -> str:
    """Say in one sentence whether the arms changed differently."""
    of_change = not comparisons.empty
    table = comparisons if of_change else baseline
    primary = table[table["family"] == "primary"]
    row = (table if primary.empty else primary).iloc[0]
    up = row["difference"] > 0
    what = f"{'rose' if up else 'fell'}" if of_change else f"was {'higher' if up else 'lower'}"
    found = judged(row["p"], row["p_smallest"])
    size = f"in {arms[0]} against {arms[1]} by {number(abs(row['difference']))}"
    interval = f"Hedges g {number(row['g'])} [{number(row['g_low'])}, {number(row['g_high'])}]"
    adjusted = row.get("p_adjusted", np.nan)
    beside = (
        f"; adjusted for {row['adjusted_for']} p = {number(adjusted)}"
        if adjusted == adjusted
        else ""
    )
    return (
        f"{short_name(row['outcome'])} {what} {size}, {found}: p = {number(row['p'])}, {interval}, "
        f"n = {row['n_active']} and {row['n_control']}{beside}."
    )
