"""Sections that stand beside a comparison: covariates, influence, baseline, maps of change."""

from __future__ import annotations

import pandas as pd

from petfmri.reports.page import Page

ADJUSTED = {
    "outcome": "outcome", "n": "n", "covariates": "adjusted for", "change": "adjusted change",
    "t": "t", "p": "p", "p_fwe": "p, family-wise",
}  # fmt: skip
BASELINE = {
    "outcome": "outcome", "method": "method", "n": "n", "estimate": "estimate", "low": "from",
    "high": "to", "p": "p",
}  # fmt: skip
SPATIAL = {"x": "change in", "y": "with change in", "n": "regions", "r": "r", "p": "p"}
ROBUST = {
    "outcome": "outcome", "p": "p", "p_loo": "p without", "loo_person": "this person",
    "noise_sd": "test-retest SD", "noise_unit": "unit", "exceeds_noise": "mean exceeds it",
    "n_beyond_noise": "persons beyond it",
}  # fmt: skip
SHOWN = 40


def extras_sections(
    page: Page,
    comparisons: pd.DataFrame,
    adjusted: pd.DataFrame,
    baseline: pd.DataFrame,
    spatial: pd.DataFrame,
) -> None:
    """Add what a reviewer asks of a change.

    Parameters
    ----------
    page : Page
    comparisons, adjusted, baseline, spatial : DataFrame
        As written by `petfmri compare`; empty ones are passed over.
    """
    coarse = comparisons[~comparisons["family"].isin(["regions", "network details"])]
    there = [name for name in ROBUST if name in coarse and coarse[name].notna().any()]
    known = {name: ROBUST[name] for name in there}
    if "p_loo" in known or coarse["exceeds_noise"].notna().any():
        page.section("Does it hang on one person, or on noise?").text(
            "p without: the largest p when one person is left out, and who that is. Test-retest SD: "
            "of the change when nothing is done; a mean exceeds it outside the 95 % range of means."
        ).table(coarse, caption="Influence and test-retest noise", names=known)
    if not adjusted.empty:
        page.section("Adjusted for covariates").text(
            "The mean change of persons at the zero of the covariates: no change of what differs "
            "between sessions, the average of what does not."
        ).table(adjusted.head(SHOWN), caption="Adjusted changes", names=ADJUSTED)
    if not baseline.empty:
        page.section("Does the change depend on where people started?").text(
            "Oldham's correlation of change and average, or the slope on the true baseline where a "
            "reliability was stated. Negative: who started low gained more. Oldham's is zero where the "
            "spread between persons is the same before and after; persons who respond differently for "
            "other reasons widen the spread and push it up. The correlation of change with baseline is "
            "not shown: noise alone makes it negative."
        ).table(baseline, caption="Dependence on the baseline, uncorrected p", names=BASELINE)
    if not spatial.empty:
        page.section("Do the same regions change?").text(
            "Mean changes over regions, against maps that are as smooth. This is about the average "
            "brain, not about persons."
        ).table(spatial, caption="Coupling over regions", names=SPATIAL)
