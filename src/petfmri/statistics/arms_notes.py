"""Sentences that keep a reader of a comparison of arms from believing too much."""

from __future__ import annotations

import pandas as pd


def design(arms: pd.Series[str], active: str, control: str) -> list[str]:
    """Say who is compared, and what that can mean."""
    sizes = {name: int((arms == name).sum()) for name in (active, control)}
    counted = " and ".join(f"{n} in {name}" for name, n in sizes.items())
    return [
        f"{counted} have a session before and one after. The difference is the change in "
        f"{active} minus the change in {control}.",
        "It is an effect of what distinguishes the arms only if persons were allocated at random; "
        "between groups such as patients and controls it is a difference, whatever its cause.",
    ]


def inference(table: pd.DataFrame, strata: str | None, seed: int) -> list[str]:
    """Say which p are attainable, what was corrected, and what these groups can see."""
    within = f" within {strata}" if strata else ""
    notes = []
    for sizes, rows in table.groupby(["n_active", "n_control"], sort=False):
        first, alike = rows.iloc[0], len(rows) == len(table)
        how = "all" if first["exact"] else "random"
        least = first["p_smallest"]
        notes.append(
            ("" if alike else f"{len(rows)} outcomes of {sizes[0]} and {sizes[1]} persons: ")
            + f"p comes from {how} {first['arrangements']:,} assignments of persons to the arms{within}"
            + ("" if first["exact"] else f" (seed {seed})")
            + f": the smallest attainable two-sided p is {least:.2g}"
            + ("; nothing here can reach p < .05. " if least >= 0.05 else ". ")
            + f"A difference of {first['detectable_g']:.2f} SD between persons is seen with 80 % power; "
            "smaller ones may exist and stay unseen: a large p is not evidence of no difference."
        )
    notes += [
        "p_fwe is corrected over the outcomes of one family by the largest |t|; families are not "
        f"corrected against one another. {len(table)} outcomes were tested.",
        "g is Hedges' g between groups, of the changes or of the values at baseline. It is not "
        "comparable with a g of paired changes.",
    ]
    if "p_adjusted" in table:
        draws = table["arrangements_adjusted"].dropna()
        drawn = (
            f"{int(draws.iloc[0]):,} random orders of persons (seed {seed})"
            if len(draws)
            else "none"
        )
        notes.append(
            "Adjusted differences are those of persons with the same baseline and covariates "
            f"(analysis of covariance; p by Freedman and Lane from {drawn}): sound with allocation at "
            "random, misleading where groups differ before."
        )
    return notes
