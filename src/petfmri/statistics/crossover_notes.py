"""Sentences that keep a reader of a crossover from believing too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from petfmri.statistics.crossover_design import Crossover
from petfmri.statistics.crossover_sequences import Rest


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
                f" Without a visit before a dose, filled in by the other one beside how the periods "
                f"differ, or by the mean of the period: {', '.join(missing)}."
                if missing
                else ""
            )
        )
        found.append(
            "g and its interval are from the model adjusted for the value before the dose, "
            "p_permutation from values adjusted beforehand: at the edge of .05 the two may disagree."
        )
    else:
        found.append("No visit before the dose was named: nothing is adjusted for it.")
        suspect = [time for time in design.times if _early(time)]
        if suspect:
            found.append(
                f"Warning: visits at time {', '.join(suspect)} count as after the dose, since "
                "crossover: baseline is null. If they were before it, name that time there."
            )
    return found


def _early(time: str) -> bool:
    """Tell whether a time looks like one before the dose."""
    try:
        return float(time) <= 0
    except ValueError:
        name = time.strip().lower()
        return name in ("base", "bl") or name.startswith(("baseline", "pre"))


def gap_notes(rests: Mapping[str, Mapping[str, Sequence[Rest]]], design: Crossover) -> list[str]:
    """Name contrasts whose permutation rests on fewer persons than the overall one, or few.

    Parameters
    ----------
    rests : mapping of family to mapping of contrast to sequence of Rest
        The first contrast of a family is the effect over all times.
    design : Crossover
    """
    families: dict[tuple[str, Rest, tuple[int, ...]], list[str]] = {}
    both = tuple(
        number for number, name in enumerate(design.persons) if name not in design.one_period
    )
    for family, contrasts in rests.items():
        whole = both
        for name, found in contrasts.items():
            for rest in found:
                lacking = tuple(sorted(set(whole) - set(rest.persons)))
                if lacking or rest.smallest is None or rest.smallest >= 0.05:
                    families.setdefault((name, rest, lacking), []).append(family)
            if name == "treatment" and found:
                whole = found[0].persons
    return [
        _gap(f"{name} ({', '.join(dict.fromkeys(said))})", rest, lacking, design)
        for (name, rest, lacking), said in families.items()
    ]


def _gap(name: str, rest: Rest, lacking: Sequence[int], design: Crossover) -> str:
    def named(numbers: Sequence[int]) -> str:
        return ", ".join(design.persons[number] for number in numbers)

    n = len(rest.persons)
    has = f"{n} person{'s' * (n != 1)}{f' ({named(rest.persons)})' if lacking and n else ''}"
    without = f", without {named(lacking)}" if lacking else ""
    if rest.smallest is None:
        return (
            f"{name} has no permutation p: {has} with visits in both periods are too few{without}."
        )
    limit = ", so it cannot pass .05" if rest.smallest >= 0.05 else ""
    return (
        f"The permutation p of {name} rests on {has}{without}: the smallest that they can reach is "
        f"{rest.smallest:.2g}{limit}."
    )


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
