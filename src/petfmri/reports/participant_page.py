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


def participant_page(
    participant: str,
    *,
    study: str,
    overlays: Sequence[Overlay],
    fd_mm: Mapping[str, FloatArray],
    fd_threshold_mm: float,
    curves: Mapping[str, pd.DataFrame],
    window_min: tuple[float, float],
    sessions: pd.DataFrame,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    participant, study : str
    overlays : sequence of Overlay
        One per registration.
    fd_mm : mapping of run to framewise displacement
    fd_threshold_mm : float
        Above it, frames are censored.
    curves : mapping of session to time-activity curves
        Columns mid_min and one per curve, kBq/mL.
    window_min : (start, end)
    sessions : DataFrame
        The participant's rows of the session table.
    """
    page = Page(participant, study, "", [("Overview", "index.html")])
    page.section("Sessions").table(
        sessions.drop(columns="participant_id")
        .set_index("session_id")
        .T.rename_axis("measure")
        .reset_index(),
        caption="Measures of each session",
    )
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
    return page
