"""The page of one participant: look here before believing a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page
from petfmri.typing import FloatArray, IntArray


@dataclass(frozen=True)
class Overlay:
    """An image and the labels that should lie on it, on one grid with axes R, A, S."""

    title: str
    image: FloatArray
    labels: IntArray
    spacing_mm: Sequence[float]


@dataclass(frozen=True)
class Carpet:
    """Standardised signals of a BOLD run.

    Attributes
    ----------
    rows : array of shape (n_frames, n_rows)
    tissues : sequence of n_rows str
    fd_mm : array of shape (n_frames,)
    """

    rows: FloatArray
    tissues: Sequence[str]
    fd_mm: FloatArray


QUALITY = {
    "scan": "image", "description": "what", "value": "value", "unit": "unit", "flag": "look again",
}  # fmt: skip


def participant_page(
    participant: str,
    *,
    study: str,
    overlays: Sequence[Overlay],
    fd_mm: Mapping[str, FloatArray],
    fd_threshold_mm: float | None,
    carpets: Mapping[str, Carpet],
    curves: Mapping[str, pd.DataFrame],
    window_min: tuple[float, float],
    sessions: pd.DataFrame,
    quality: pd.DataFrame,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    participant, study : str
    overlays : sequence of Overlay
        One per registration.
    fd_mm : mapping of run to framewise displacement
    fd_threshold_mm : float or None
        Above it, frames are censored.
    carpets : mapping of run to Carpet
    curves : mapping of session to time-activity curves
        Columns mid_min and one per curve, kBq/mL.
    window_min : (start, end)
    sessions : DataFrame
        The participant's rows of the session table.
    quality : DataFrame
        The participant's rows of the quality table.
    """
    page = Page(participant, study, "", [("Overview", "index.html")])
    page.section("Sessions").table(
        sessions.drop(columns="participant_id")
        .set_index("session_id")
        .T.rename_axis("measure")
        .reset_index(),
        caption="Measures of each session",
    )
    if not quality.empty:
        _quality(page, quality)
    section = page.section("Do images and labels lie on one another?")
    for item in overlays:
        section.figure(
            figures.overlay(item.image, item.labels, title=item.title, spacing_mm=item.spacing_mm),
            caption=f"{item.title}. Outlines are atlas regions, carried by the transforms.",
            alt=item.title,
            photo=True,
        )
    if curves:
        section = page.section("Time-activity curves")
        for session, table in curves.items():
            section.figure(
                figures.curves(
                    table.drop(columns="mid_min"), table["mid_min"].to_numpy(float), window_min
                ),
                caption=f"{session}. Green: the uptake window.",
                alt=f"Time-activity curves of {session}",
            )
    if fd_mm:
        page.section("Head motion (BOLD)").figure(
            figures.motion(list(fd_mm.values()), list(fd_mm), threshold_mm=fd_threshold_mm),
            caption="Framewise displacement; orange: censored.",
            alt="Framewise displacement of each run",
        )
    if carpets:
        section = page.section("Carpets (BOLD)")
        for title, item in carpets.items():
            section.figure(
                figures.carpet(
                    item.rows,
                    item.tissues,
                    item.fd_mm,
                    title=title,
                    threshold_mm=fd_threshold_mm,
                ),
                caption=f"{title}. Each row: a few neighbouring voxels over time, before denoising, "
                "grey from -2 to 2 standard deviations. Stripes through all rows are motion or "
                "artefacts.",
                alt=f"Carpet of {title}",
                photo=True,
            )
    return page


def _quality(page: Page, quality: pd.DataFrame) -> None:
    flagged = quality[quality["flag"].fillna("") != ""]
    said = (
        f"{len(flagged)} of {len(quality)} scores leave their usual limits."
        if len(flagged)
        else f"All {len(quality)} scores lie within their usual limits."
    )
    parts = quality[["session_id", "image", "run"]].fillna("").astype(str)
    scan = parts.agg(" ".join, axis=1).str.split().str.join(" ")
    table = quality.assign(scan=scan, flag=quality["flag"].fillna(""))
    page.section("Quality").text(said).table(table, caption="Scores of every step", names=QUALITY)
