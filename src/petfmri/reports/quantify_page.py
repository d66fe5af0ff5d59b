"""The page of `petfmri quantify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page, number

MULTIVERSE = {
    "choice": "choice", "measure": "measure", "declared": "declared", "roi": "region", "n": "n", "lost": "left out",
    "percent": "change (%)", "p": "p", "g": "Hedges g", "g_low": "g from", "g_high": "g to", "change": "change",
}  # fmt: skip
EXCLUDED = {
    "participant_id": "participant", "session_id": "session", "region": "region", "flag": "why",
    "model": "model", "reference": "reference", "pvc": "correction", "window_min": "window",
}  # fmt: skip
TSTARS = {
    "participant_id": "participant", "session_id": "session", "choice": "choice",
    "tstar_min": "t* (min)", "straight_from_min": "straight from (min)",
}  # fmt: skip
RATES = {
    "participant_id": "participant", "session_id": "session", "reference": "reference",
    "pvc": "correction", "k2prime": "k2' (1/min)", "k2prime_se": "SE", "n_curves": "curves",
    "source": "source",
}  # fmt: skip


def quantify_page(
    declared_rows: pd.DataFrame,
    rates: pd.DataFrame,
    tstars: pd.DataFrame,
    multiverse: pd.DataFrame,
    fits: Mapping[tuple[str, str], pd.DataFrame],
    *,
    study: str,
    declared: str,
    verdict: str,
    notes: Sequence[str],
    failed: Sequence[str],
    excluded: pd.DataFrame,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    declared_rows : DataFrame
        Estimates of the declared choice, one row per session and region.
    rates : DataFrame
        k2' of every session.
    tstars : DataFrame
        t* of graphical models: used, and from when the plot is straight.
    multiverse : DataFrame
        Change by choice and region of interest.
    fits : mapping of (participant, session) to DataFrame
        Columns mid_min, reference, and for each region of interest its curve and "... fit".
    study, declared, verdict : str
    notes, failed : sequence of str
    excluded : DataFrame
        Estimates that a rule excludes, of all choices.
    """
    page = Page("Quantification of PET", study, verdict, [("Overview", "../../index.html")])
    page.section("What these models can and cannot tell").bullets(notes)
    if failed:
        page.section("What failed").bullets(failed)
    if not multiverse.empty:
        section = page.section("Change by choice")
        for roi, rows in multiverse.groupby("roi", sort=False):
            if rows["g"].notna().any():
                section.figure(
                    figures.multiverse(rows, title=f"{roi}: change from pre to post"),
                    caption="Filled: the declared choice. Left: mean percent change; right: Hedges "
                    "g with its 95 % interval.",
                    alt=f"Change in {roi} by {len(rows)} choices",
                )
        section.table(
            multiverse,
            caption="Every choice and region of interest; only the declared choice is tested",
            names=MULTIVERSE,
        )
    if not rates.empty:
        page.section("Efflux rate of the reference region, k2'").table(
            rates, caption="One per scan, reference region and correction", names=RATES
        )
    if not tstars.empty:
        late = ~(tstars["straight_from_min"] <= tstars["tstar_min"])
        page.section("t* of the graphical models").text(
            f"t* was {number(tstars['tstar_min'].iloc[0])} min. In {int(late.sum())} of {len(tstars)} "
            f"fits the plot becomes straight (within 10 %) only later, or never: choose a later t*."
        ).table(tstars, caption="One per scan and choice", names=TSTARS)
    _quality(page, declared_rows, excluded, declared)
    if fits:
        page.section(f"Fits of {declared}").figure(
            figures.fits(fits),
            caption="Regions of interest: measured (dots) and fitted (lines); grey: the reference.",
            alt=f"Curves and fits of {len(fits)} scans",
            photo=True,  # many curves: smaller and faster than drawn lines
        )
    return page


def verdict(multiverse: pd.DataFrame, rows: pd.DataFrame, declared: str) -> str:
    """Say in one or two sentences what the declared choice gives, and how far choices differ."""
    grey = rows[rows["grey"]]
    excluded, n = int(grey["excluded"].sum()), len(grey)
    doubtful = int((~grey["excluded"] & (grey["flag"].fillna("") != "")).sum())
    quality = f"{n - excluded} of {n} grey-matter estimates by {declared} are usable"
    quality += f", {doubtful} of them with residuals that are not random." if doubtful else "."
    own = multiverse[multiverse["declared"]] if not multiverse.empty else multiverse
    if own.empty or own["g"].isna().all():
        return quality
    row = own.dropna(subset=["g"]).iloc[0]
    known = row["percent"] == row["percent"]  # undefined where a baseline is not above zero
    size = f"{number(row['percent'])} %" if known else f"{number(row['change'])} ({row['measure']})"
    said = (
        f"{row['roi']} changes by {size} on average (n = {row['n']}, "
        f"Hedges g {number(row['g'])} [{number(row['g_low'])}, {number(row['g_high'])}], "
        f"p = {number(row['p'])}) by {declared}."
    )
    others = multiverse[(multiverse["roi"] == row["roi"]) & multiverse["g"].notna()]
    if len(others) > 1:
        said += (
            f" Over {len(others)} choices (n = {others['n'].min()} to {others['n'].max()}) Hedges g is {number(others['g'].min())} to "
            f"{number(others['g'].max())}."
        )
    return f"{said} {quality}"


def _quality(page: Page, rows: pd.DataFrame, excluded: pd.DataFrame, declared: str) -> None:
    section = page.section("Which estimates may be believed")
    doubtful = rows[(rows["flag"].fillna("") != "") & ~rows["excluded"]]
    section.text(
        f"{declared}: {int(rows['excluded'].sum())} of {len(rows)} regional estimates are excluded "
        f"by rule, {len(doubtful)} more have residuals that are not random. By all choices, "
        f"{len(excluded)} are excluded."
    )
    if len(excluded):
        section.table(excluded, caption="Excluded by rule: missing in every table", names=EXCLUDED)
    if len(doubtful):
        scans = doubtful.groupby(["participant_id", "session_id"]).size().rename("curves")
        section.table(
            scans.reset_index(),
            caption="Kept, but the model may not describe these curves (estimates.tsv names them)",
            names={
                **{name: EXCLUDED[name] for name in ("participant_id", "session_id")},
                "curves": "curves",
            },
        )
