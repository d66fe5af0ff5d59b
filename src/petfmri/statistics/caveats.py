"""Sentences that keep a reader of a comparison from believing too much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.pairing import CompleteCases, Paired, numbers
from petfmri.statistics.permutation import sign_flip

FLOW = (
    "SUVR is not a kinetic measure: a 10 % change of blood flow alone shifts SUVR by 2 to 4 % "
    "([11C]UCB-J, 60-90 min) without any change of binding. Kinetic modelling of the full scan tells them apart."
)
SV2A = ("suvr", "bpnd", "dvr", "vt")
UCBJ_NOISE = (
    "Test-retest noise: [11C]UCB-J rescanned after 28 days without treatment changed by "
    "-2.2 ± 8.5 % (V_T), 0.4 ± 12.0 % (DVR) and -8.0 ± 10.2 % (BP_ND; mean ± SD over persons, "
    "Tuncel et al. 2020, doi:10.1177/0271678X20964248): without a control arm a mean change of a "
    "few percent is within drift, and so is the change of one person within the SD."
)


def design(paired: Paired, covariates: Sequence[str] = ()) -> list[str]:
    """Say who is compared, and what this design cannot tell apart."""
    n = len(paired.pre)
    notes = [f"{n} person{'s have' if n != 1 else ' has'} a pre and a post session.", *paired.notes]
    arms = _present(paired.sessions, "arm").unique()
    if len(arms) > 1:
        notes.append(
            f"The arms {', '.join(sorted(map(str, arms)))} are pooled: these numbers say how "
            "everybody changed and compare no arm with another."
        )
    else:
        notes.append(
            "There is no control arm: time, expectation and repetition come together with the "
            "dose. Every number here is a change between two sessions, whatever its cause."
        )
    post = paired.sessions[paired.sessions["role"] == "post"]
    days = _present(post, "days_since_dose")
    days = numbers(days.to_frame(), "sessions").iloc[:, 0] if len(days) else days
    if len(days) and days.min() < days.max():
        notes.append(
            f"The post session was {days.min():g} to {days.max():g} days after the dose; "
            + _adjusted("days_since_dose", covariates)
        )
    return notes


def left_out(case: CompleteCases, label: str) -> list[str]:
    """Name the persons and outcomes that missing values removed from a family."""
    notes = []
    if case.lost_persons:
        one = len(case.outcomes) + len(case.lost_outcomes) == 1
        why = "it was not measured" if one else "fewer than half of it was measured"
        notes.append(
            f"Left out of {label} because {why} in both sessions: {', '.join(case.lost_persons)}."
        )
    if case.persons and case.lost_outcomes:
        notes.append(
            f"Left out of {label} because not every person has a value in both sessions: "
            f"{', '.join(case.lost_outcomes)}."
        )
    return notes


def inference(comparisons: pd.DataFrame, couplings: pd.DataFrame, seed: int) -> list[str]:
    """Say what was corrected, which p are attainable, and what this n can see."""
    declared = comparisons[comparisons["family"] == "primary"]
    primary = comparisons.iloc[0] if declared.empty else declared.iloc[0]
    notes = [
        "None of these outcomes was declared as the primary one. "
        if declared.empty
        else f"{primary['outcome']} was declared before looking and is tested alone, uncorrected; "
        "so are global grey matter and the symptom score. ",
        "p_fwe is corrected over the outcomes of one family (regions of interest, regions, network "
        "metrics, single networks and their pairs) by the largest |t|; the families are not corrected against one another.",
        "g is Hedges' g of the paired change: J times mean over SD of the change (d_z), with its "
        "noncentral-t interval. It is not comparable with a g between groups.",
    ]
    for n, rows in comparisons.groupby("n"):
        notes.append(_attainable(int(str(n)), rows.iloc[0], seed))
    percent = (
        f", for {primary['outcome']} {primary['detectable_percent']:.1f} %"
        if np.isfinite(primary["detectable_percent"])
        else f", for {primary['outcome']} {primary['detectable_g'] * primary['sd_change']:.3g}"
    )
    notes.append(
        f"With n = {primary['n']} a mean change of {primary['detectable_g']:.2f} SD of the "
        f"changes{percent} is seen with 80 % power. Smaller changes may exist and stay unseen: a "
        "large p is not evidence of no change."
    )
    unsigned = comparisons.loc[comparisons["percent"].isna(), "outcome"]
    if len(unsigned):
        notes.append(
            "No percent change where a baseline is zero or negative: " + ", ".join(unsigned) + "."
        )
    if len(couplings):
        for n, rows in couplings.groupby("n"):
            notes.append(
                f"A correlation over {n} persons needs |r| of at least "
                f"{rows['r_critical'].iloc[0]:.2f} for p < .05, and a true r of "
                f"{rows['r_detectable'].iloc[0]:.2f} to be seen with 80 % power; what passes is "
                "likely an overestimate."
            )
    return notes


def measurement(
    comparisons: pd.DataFrame,
    paired: Paired,
    tracer: str | None,
    *,
    declared: bool = False,
    covariates: Sequence[str] = (),
) -> list[str]:
    """Say what else than the dose moves these measures.

    Parameters
    ----------
    comparisons, paired, tracer
        Of the comparison.
    declared : bool
        Whether the study states test-retest noise of its own.
    covariates : sequence of str
    """
    notes = []
    first = comparisons["outcome"].str.split("[:_]").str[0]
    if first.isin(SV2A).any():
        if (first == "suvr").any():
            notes.append(FLOW)
        if declared:
            notes.append("Test-retest noise of the study stands beside the changes.")
        elif tracer is None:
            notes.append(
                "No tracer is named: hold these changes against its own test-retest noise."
            )
        elif "UCBJ" in "".join(filter(str.isalnum, tracer)).upper():
            notes.append(UCBJ_NOISE)
        else:
            notes.append(
                f"No test-retest noise of {tracer} is built in: hold these changes against your own."
            )
    everywhere = comparisons.loc[comparisons["outcome"].str.endswith("_grey"), "outcome"]
    if len(everywhere) and not everywhere.iloc[0].startswith("vt"):
        notes.append(
            f"A change that all regions share with {everywhere.iloc[0]} may come from the reference region; "
            "only what differs from it is regional."
        )
    return [*notes, *_motion(paired.sessions, covariates)]


def _attainable(n: int, row: pd.Series, seed: int) -> str:
    smallest = 2.0 ** (1 - n) if row["exact"] else 1 / row["arrangements"]
    how = (
        f"all {row['arrangements']:,} sign patterns of {n} persons"
        if row["exact"]
        else f"{row['arrangements']:,} random sign patterns of {n} persons (seed {seed})"
    )
    verdict = "; nothing here can reach p < .05" if smallest >= 0.05 else ""
    return f"p comes from {how}: the smallest attainable two-sided p is {smallest:.2g}{verdict}."


def _motion(sessions: pd.DataFrame, covariates: Sequence[str]) -> list[str]:
    if "mean_fd" not in sessions:
        return []
    told = numbers(sessions[["mean_fd"]], "sessions")
    sessions = sessions.assign(mean_fd=told["mean_fd"])
    fd = pd.DataFrame(
        {
            role: sessions[sessions["role"] == role].set_index("participant_id")["mean_fd"]
            for role in ("pre", "post")
        },
        dtype=float,
    ).dropna()
    try:
        p = sign_flip((fd["post"] - fd["pre"]).to_numpy()[:, None]).p[0]
    except StatisticsError:
        return []
    return [
        f"Head motion: mean framewise displacement {fd['pre'].mean():.2f} mm before and "
        f"{fd['post'].mean():.2f} mm after (p = {p:.2g}, n = {len(fd)}); "
        + _adjusted("mean_fd", covariates)
    ]


def _adjusted(name: str, covariates: Sequence[str]) -> str:
    if name in covariates:
        return "the adjusted values allow for it."
    return "nothing here is adjusted for it."


def _present(sessions: pd.DataFrame, column: str) -> pd.Series:
    return sessions[column].dropna() if column in sessions else pd.Series(dtype=object)
