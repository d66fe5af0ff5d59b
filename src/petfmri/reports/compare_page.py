"""The page of a pre/post comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page, number

COLUMNS = {
    "outcome": "outcome", "n": "n", "mean_pre": "pre", "mean_post": "post", "percent": "change (%)",
    "g": "Hedges g", "g_low": "g from", "g_high": "g to", "p": "p", "p_fwe": "p, family-wise", "p_fdr": "p, FDR",
    "n_rise": "rise", "n_fall": "fall", "detectable_percent": "detectable (%)",
}  # fmt: skip
FAMILIES = {
    "primary": "Primary outcome (declared in advance, uncorrected)",
    "global": "Global grey matter",
    "symptoms": "Symptoms",
    "roi": "Regions of interest",
    "networks": "Network measures",
    "network details": "Single networks and pairs of networks",
    "regions": "All regions",
}
DETAILED = ("regions", "network details")


def compare_page(
    comparisons: pd.DataFrame,
    changes: pd.DataFrame,
    couplings: pd.DataFrame,
    *,
    study: str,
    notes: Sequence[str],
    primary: str,
    responders: str = "",
    matrices: Mapping[str, object] | None = None,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    comparisons, changes, couplings : DataFrame
        As written by `petfmri compare`.
    study : str
        Its name.
    notes : sequence of str
        What a reader must know before believing a number.
    primary : str
        The outcome that was declared in advance.
    responders : str
        How many got better, shown with the symptoms.
    matrices : mapping with pre, post (Fisher z) and networks (one per parcel), optional
    """
    page = Page(
        "Change from pre to post", study, verdict(comparisons), [("Overview", "../../index.html")]
    )
    page.section("What this comparison can and cannot show").bullets(notes)
    for family in FAMILIES:
        family_section(
            page, family, comparisons, changes, responders if family == "symptoms" else ""
        )
    if matrices:
        page.section("Connectivity").figure(
            figures.matrices(
                np.asarray(matrices["pre"]),
                np.asarray(matrices["post"]),
                list(matrices["networks"]),
            ),  # type: ignore[call-overload]
            caption="Mean over persons, parcels ordered by network.",
            alt="Group connectivity before, after, and the change",
        )
    if not couplings.empty:
        _couple(page, couplings, changes, primary)
    return page


def family_section(
    page: Page,
    family: str,
    comparisons: pd.DataFrame,
    changes: pd.DataFrame,
    told: str = "",
) -> None:
    """Add the section of one family of outcomes, if it has any."""
    title, rows = FAMILIES[family], comparisons[comparisons["family"] == family]
    if rows.empty:
        return
    section = page.section(title)
    if len(rows) > 1:
        section.text(_tally(rows))
    if told:
        section.text(told)
    if family not in DETAILED:
        shown = {outcome: short_name(outcome) for outcome in rows["outcome"][:4]}
        section.figure(
            figures.paired(changes, shown),
            caption="One line per person (orange rises, blue falls); black: the mean.",
            alt=f"Pre and post values of {', '.join(shown.values())}",
        )
    ordered = (
        rows.reindex(rows["g"].abs().sort_values(ascending=False).index)
        if family in DETAILED
        else rows
    )
    if len(rows) > 1:
        top = ordered.head(30)
        section.figure(
            figures.effects(
                top,
                labels=[short_name(o) for o in top["outcome"]],
                title=f"{title}, largest first" if family in DETAILED else title,
            ),
            caption="Orange: family-wise p ≤ .05. Intervals are for one outcome each.",
            alt=f"Hedges g with intervals of {len(top)} outcomes",
        )
    section.table(
        ordered, caption=f"{title}: {len(rows)} outcome{'s' * (len(rows) > 1)}", names=COLUMNS
    )


def _couple(page: Page, couplings: pd.DataFrame, changes: pd.DataFrame, primary: str) -> None:
    section = page.section("Are the changes related?")
    wide = changes.pivot_table(index="participant_id", columns="outcome", values="change")
    plain = couplings[couplings["method"] == "pearson"]
    drawn = plain[(plain["x"] == primary) | (plain["y"] == primary)]
    for row in drawn.head(4).itertuples():
        if row.x in wide and row.y in wide:
            both = wide[[row.x, row.y]].dropna().to_numpy(float)
            section.figure(
                figures.scatter(
                    both[:, 0],
                    both[:, 1],
                    x_label=f"change in {short_name(row.x)}",
                    y_label=f"change in {short_name(row.y)}",
                    title=f"r = {number(row.r)}, p = {number(row.p)}, n = {row.n}"
                    + (f" ({len(both)} drawn)" if len(both) != row.n else ""),
                ),
                caption="One dot per person; the line is least squares.",
                alt=f"Change in {short_name(row.x)} against change in {short_name(row.y)}, r {number(row.r)}",
            )
    section.table(
        couplings,
        caption="Correlation of changes over persons, permutation p; family-wise within each method",
    )


def verdict(comparisons: pd.DataFrame) -> str:
    """Say in one sentence what happened to the primary outcome."""
    primary = comparisons[comparisons["family"] == "primary"].iloc[0]
    change, percent = float(primary["change"]), float(primary["percent"])
    direction = "rose" if change > 0 else "fell"
    # A mean of percentages can be undefined, or point elsewhere than the mean change.
    size = f"{number(abs(percent))} %" if percent * change > 0 else number(abs(change))
    found = judged(primary["p"], primary["p_smallest"])
    moved = f"{direction} by {size}" if change else "did not change"
    return (
        f"{short_name(primary['outcome'])} {moved} on average "
        f"({primary['n_rise']} of {primary['n']} persons rose), {found}: p = {number(primary['p'])}, "
        f"Hedges g {number(primary['g'])} [{number(primary['g_low'])}, {number(primary['g_high'])}]."
    )


def judged(p: float, smallest: float) -> str:
    """Say what a p means, and where it could not have been small.

    Examples
    --------
    >>> judged(0.01, 0.001), judged(0.25, 0.25)
    ('more than chance explains', 'which so few persons cannot tell from chance (smallest attainable p 0.250)')
    """
    if smallest >= 0.05:
        return f"which so few persons cannot tell from chance (smallest attainable p {number(smallest)})"
    return "more than chance explains" if p <= 0.05 else "no more than chance explains"


def _tally(rows: pd.DataFrame) -> str:
    survive = int((rows["p_fwe"] <= 0.05).sum())
    return (
        f"{survive} of {len(rows)} survive family-wise correction at .05 "
        f"({int(rows['arrangements'].iloc[0]):,} arrangements, smallest attainable p {number(rows['p_smallest'].iloc[0])})."
    )


def short_name(outcome: str) -> str:
    """Name an outcome for people.

    Examples
    --------
    >>> short_name("suvr:7Networks_LH_Default_pCunPCC_1"), short_name("suvr:PCC"), short_name("within_fc_Default")
    ('SUVR LH Default pCunPCC 1', 'SUVR PCC', 'within-network FC Default')
    """
    words = {
        "suvr": "SUVR", "suvr_grey": "global grey SUVR", "within_fc": "within-network FC", "between_fc": "between-network FC",
        "ngsc": "NGSC", "mean_fd": "mean FD",
    }  # fmt: skip
    measure, _, region = outcome.partition(":")
    for prefix in ("within_fc_", "between_fc_"):
        if measure.startswith(prefix):
            return f"{words[prefix[:-1]]} {measure.removeprefix(prefix).replace('_', '–')}"
    name = words.get(measure, measure)
    return f"{name} {region.removeprefix('7Networks_').replace('_', ' ')}".strip()
