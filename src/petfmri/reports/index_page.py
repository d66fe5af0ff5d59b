"""The overview page of a study's output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from petfmri.reports.page import Page


def index_page(
    sessions: pd.DataFrame | None,
    *,
    study: str,
    answers: Sequence[tuple[str, str, str]],
    failures: Sequence[str],
    truth: pd.DataFrame | None,
    configuration: str,
    participants: Mapping[str, str],
) -> Page:
    """Assemble the overview.

    Parameters
    ----------
    sessions : DataFrame, optional
        The tidy session table; None where nobody was scanned.
    study : str
    answers : sequence of (question, answer, relative path)
    failures : sequence of str
        One line for each failed step.
    truth : DataFrame, optional
        For a simulated study: planted against recovered effects.
    configuration : str
        The resolved YAML.
    participants : mapping of participant to the path of its page
    """
    page = Page(study, "petfmri", "", [(question, path) for question, _, path in answers])
    section = page.section("Answers")
    for question, answer, _ in answers:
        section.text(f"{question} {answer}")
    if failures:
        page.section("What failed").bullets(failures)
    if truth is not None:
        page.section("Planted and recovered").text(
            "This study is simulated, so the true answer is known."
        ).table(
            truth.replace({"True": "yes", "False": "no"}).rename(
                columns={"sign_recovered": "right direction"}
            ),
            caption="Every planted effect, what each measure can see of it, and what was recovered",
        )
    if sessions is not None:
        names = {"participant_id": "participant", "session_id": "session"} | {
            name: name for name in sessions if name not in ("participant_id", "session_id")
        }
        page.section("Participants and sessions").table(
            sessions, caption="One row per session", names=names, links=participants
        )
    page.section("Configuration").code("Every setting, defaults included", configuration)
    return page
