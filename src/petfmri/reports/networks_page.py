"""The page of `petfmri networks`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.compare_page import FAMILIES, family_section
from petfmri.reports.compare_page import verdict as compared_verdict
from petfmri.reports.page import Page
from petfmri.statistics.prepost import Comparison

CONDITIONS = {
    "participant_id": "person", "session_id": "session", "frames_total": "scanned",
    "frames_kept": "kept", "n_frames": "used",
    "df_effective": "effective df", "n_regressors": "regressors", "mean_fd": "mean FD (mm)",
    "n_parcels": "parcels", "missing_parcels": "left out",
}  # fmt: skip
CHANGES = {
    "metric": "metric", "n": "n", "pre": "pre", "post": "post", "change": "change",
    "percent": "change (%)",
}  # fmt: skip
RELIABILITY = {
    "metric": "metric", "kind": "of", "n": "n", "icc": "ICC(A,1)", "icc_low": "from",
    "icc_high": "to", "icc_whole": "both halves", "frames": "frames of each",
    "df_low": "df from", "df_high": "df to",
}  # fmt: skip
SETTINGS = ("atlas", "strategy", "censoring", "low_hz", "high_hz", "tr_s")
SHOWN = ("ngsc", "segregation", "between_fc_Default_SomMot")


def networks_page(
    sessions: pd.DataFrame,
    *,
    study: str,
    source: str,
    compared: Comparison | None,
    multiverse: pd.DataFrame,
    reliability: pd.DataFrame,
    fc_change: pd.DataFrame,
    excluded: pd.DataFrame,
    missing: pd.DataFrame,
    notes: Sequence[str],
    primary: str,
    overview: bool = True,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    sessions, multiverse, reliability, fc_change, excluded, missing : DataFrame
        As `petfmri networks` writes them; `multiverse` holds the declared choice at least.
    study, source : str
        Name of the study, and where the series come from.
    compared : Comparison or None
        None where too few persons have both sessions.
    notes : sequence of str
    primary : str
        The declared outcome.
    overview : bool
        Whether there is an overview to link to.
    """
    page = Page(
        "Did networks desynchronize?",
        study,
        verdict(sessions, compared, primary),
        [("Overview", "../../index.html")] if overview else [],
    )
    told = [_settings(sessions, source), *notes, *(compared.notes if compared else ())]
    page.section("What these numbers rest on").bullets(told)
    if compared is None and not multiverse.empty:
        page.section("What changed, described").text(
            "Fewer than 3 persons have both sessions: changes are described and not tested. One "
            "person cannot tell a drug from a day."
        ).table(
            multiverse[multiverse["declared"]],
            caption="Mean over persons who have both sessions",
            names=CHANGES,
        )
    elif compared is not None:
        for family in FAMILIES:
            family_section(page, family, compared.comparisons, compared.changes)
    if len(set(multiverse["choice"])) > 1:
        _multiverse(page, multiverse, primary)
    if not fc_change.empty:
        page.section("How far did connectivity move?").text(
            "Distance between halves of the two sessions, over that between the halves of the "
            "first: 1 is no more than within that session. Distances between days are not known "
            "from one session before the dose."
        ).table(fc_change, caption="One row per person")
    if not reliability.empty:
        page.section("How reliable is each metric?").text(
            "Between persons, in the session before, over equally many frames of everybody. A metric "
            "whose halves do not agree cannot show who changed. Where degrees of freedom differ "
            "between persons, NGSC and its kin tell them apart by these, too."
        ).table(reliability, caption="Intraclass correlations", names=RELIABILITY)
    page.section("Conditions of each session").text(
        "Sessions of one person are cut to the same runs, frames and parcels, before they are "
        "cleaned. Motion may still differ: compare its column between sessions."
        if sessions["n_regressors"].notna().any()
        else "The series were clean when read: sessions of one person are cut to the same frames and "
        "parcels, but how many degrees of freedom their cleaning left is not known and may differ. "
        "NGSC and its kin move with these."
    ).table(sessions, caption="One row per session", names=_present(CONDITIONS, sessions))
    if not excluded.empty:
        page.section("Left out").table(excluded, caption="Runs, and why")
    if not missing.empty:
        page.section("Parcels without a signal").table(missing, caption="Parcels, and why")
    return page


def verdict(sessions: pd.DataFrame, compared: Comparison | None, primary: str) -> str:
    """Say in one sentence what happened."""
    if compared is not None and (compared.comparisons["family"] == "primary").any():
        return compared_verdict(compared.comparisons)
    if compared is not None:
        tested = compared.comparisons[compared.comparisons["family"] == "networks"]
        passed = tested.loc[tested["p_fwe"] <= 0.05, "outcome"]
        found = ", ".join(passed) if len(passed) else "none"
        return f"Of {len(tested)} network metrics, family-wise p ≤ .05: {found}." + (
            f" The declared outcome ({primary}) is not one of them." if primary else ""
        )
    n = sessions["participant_id"].nunique()
    if "treatment" in sessions:
        return f"{n} person{'s' * (n != 1)}, {len(sessions)} visits of a crossover: measured, compared by `petfmri compare`."
    if not (sessions.groupby("participant_id")["role"].nunique() == 2).any():
        return f"{n} person{'s' * (n != 1)}, none with both sessions: no change can be described."
    return f"{n} person{'s' * (n != 1)}: described, not tested."


def _settings(sessions: pd.DataFrame, source: str) -> str:
    values = {name: sessions[name].iloc[0] for name in SETTINGS if name in sessions}
    text = f"Series: {source}, atlas {values['atlas']}, TR {values['tr_s']:g} s."
    if sessions["n_regressors"].notna().any():
        text += (
            f" Denoising: {values['strategy']}, {values['low_hz']:g} to {values['high_hz']:g} Hz, "
            f"censored: {values['censoring']}."
        )
    else:
        text += (
            f" Cleaned before petfmri read them ({values['strategy']}). Kuramoto order and "
            "metastability presume series of a narrow band, such as 0.01 to 0.1 Hz."
        )
    return text


def _multiverse(page: Page, multiverse: pd.DataFrame, primary: str) -> None:
    section = page.section("Does the way of denoising matter?").text(
        "Every combination that the study names, the declared one filled. Effect sizes only: "
        "choosing among them by p would void the p."
    )
    metrics = list(dict.fromkeys([primary, *SHOWN] if primary else SHOWN))
    for metric in metrics:
        rows = multiverse[multiverse["metric"] == metric].dropna(subset="g")
        if not rows.empty:
            section.figure(
                figures.multiverse(
                    rows.rename(columns={"metric": "measure"}), title=metric, value="change"
                ),
                caption=f"Change of {metric} by every choice, and Hedges g with its 95 % interval.",
                alt=f"Change of {metric} by {len(rows)} choices",
            )
    section.table(multiverse, caption="Every metric by every choice")


def _present(names: Mapping[str, str], table: pd.DataFrame) -> dict[str, str]:
    return {name: text for name, text in names.items() if name in table}
