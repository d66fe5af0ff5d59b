"""Sentences that keep a reader of a crossover from believing too much."""

from __future__ import annotations

import pandas as pd

from petfmri.statistics.crossover_design import Crossover


def design_notes(design: Crossover) -> list[str]:
    """Say who got what in which order, and what the design controls."""
    counts = " and ".join(
        f"{n} person{'s' * (n != 1)} {order.replace('-', ' then ')}"
        for order, n in design.sequences.items()
    )
    found = [
        f"Crossover of {design.active} and {design.control}: {counts}; visits after the dose at "
        f"{', '.join(design.times)} ({len(design.rows)} of "
        f"{2 * len(design.persons) * len(design.times)} were measured). Effects are "
        f"{design.active} minus {design.control}, within persons.",
        "Period effects (what changes from the first to the second period, whatever was given) and "
        "the order of treatments are in every model, and no test takes them for a treatment effect.",
        "Carry-over is not tested before the analysis: testing it first and then choosing is biased "
        "(Freeman 1989, doi:10.1002/sim.4780081202). That nothing is left of the first treatment "
        "rests on the time between the periods.",
    ]
    if design.one_period:
        found.append(
            f"In one period only: {', '.join(design.one_period)}. They count in the mixed models, "
            "and not in permutation p, which need both periods."
        )
    if design.before is not None:
        missing = [name for name, rows in zip(design.persons, design.before) if (rows < 0).any()]
        found.append(
            "The value before the dose is parted into the difference between a person's two "
            "periods and the person's mean, each with a slope of its own (Kenward and Roger 2010)."
            + (
                f" Without a visit before a dose, filled in by the other one or the mean: {', '.join(missing)}."
                if missing
                else ""
            )
        )
    else:
        found.append("No visit before the dose was named: nothing is adjusted for it.")
    return found


def inference_notes(table: pd.DataFrame) -> list[str]:
    """Say what p is, what was corrected, and what this n can see."""
    main = table[(table["contrast"] == "treatment") & (table["n_permuted"] > 0)]
    found = [
        "p is of a mixed model (REML; persons and persons' periods vary; Satterthwaite's degrees of "
        "freedom) over every visit there is; treatment x time is its F test. p_permutation gives "
        "the sequences anew to the persons and presumes no distribution; where both disagree, "
        "believe the permutation.",
        "p_fwe is corrected over the outcomes of one family by the largest |t| of the permutation, "
        "for each contrast by itself: families and times are not corrected against one another. "
        "Whether times differ is what treatment x time says, not that one time passes and another "
        "does not.",
        f"Tested here: {table['outcome'].nunique()} outcomes, {len(table)} contrasts.",
    ]
    if len(main):
        for _, rows in main.groupby(["n_permuted", "arrangements"], sort=False):
            row = rows.iloc[0]
            ways = "all" if row["exact"] else "random"
            found.append(
                f"p_permutation comes from {ways} {int(row['arrangements']):,} ways to give the "
                f"sequences to {int(row['n_permuted'])} persons: the smallest attainable is "
                f"{row['p_smallest']:.2g}. With them an effect of {row['detectable_g']:.2f} SD of "
                "the persons' treatment differences is seen with 80 % power; a large p is no "
                "evidence of no effect."
            )
    found.append(
        "g is Hedges' g of the treatment effect in SDs of the persons' differences between "
        "treatments, with its noncentral-t interval; not comparable with a g between groups."
    )
    models = table.drop_duplicates("outcome")
    models = models[models["variance_residual"].notna()]
    at = models["boundary"] != "none"
    if at.any():
        found.append(
            f"In {int(at.sum())} of {len(models)} outcomes the variance of persons or of their "
            "periods is estimated as exactly 0 (column boundary); degrees of freedom are then of "
            "the model without it."
        )
    return found
