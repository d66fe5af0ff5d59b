"""The page of a crossover."""

from __future__ import annotations

import numpy as np
import pandas as pd

from petfmri.reports import crossover_figures as figures
from petfmri.reports.compare_page import DETAILED, FAMILIES, short_name
from petfmri.reports.page import Page, Section, number
from petfmri.statistics.connections import SETS, SPECIFIC
from petfmri.statistics.crossover import CrossoverComparison
from petfmri.statistics.crossover_design import Crossover

MOST_ROWS = 200
EFFECTS = {
    "outcome": "outcome", "contrast": "contrast", "estimate": "effect", "p": "p, mixed model",
    "p_permutation": "p, permutation", "p_fwe": "p, family-wise", "g": "Hedges g", "se": "SE",
    "t": "t", "df": "df", "n": "n", "visits": "visits", "boundary": "variance 0",
}  # fmt: skip
TITLES = {
    SETS: "Sets of connections",
    SPECIFIC: "Do the sets respond differently?",
}


def crossover_page(
    result: CrossoverComparison,
    design: Crossover,
    *,
    study: str,
    edges: pd.DataFrame | None = None,
    matrix: pd.DataFrame | None = None,
    networks: pd.Series[str] | None = None,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    result : CrossoverComparison
    design : Crossover
    study : str
        Its name.
    edges : DataFrame, optional
        Those that pass.
    matrix : DataFrame, optional
        The effect on every edge, parcels by parcels.
    networks : Series, optional
        Network of every parcel.
    """
    page = Page(
        "Treatment effects in a crossover",
        study,
        verdict(result.comparisons, design),
        [("Overview", "../../index.html")],
    )
    page.section("What this comparison can and cannot show").bullets(result.notes)
    present = list(dict.fromkeys(result.comparisons["family"]))
    for family in [*(name for name in FAMILIES if name in present), *_others(present)]:
        _family(page, family, result, design)
    if edges is not None and matrix is not None:
        _edges(page, edges, matrix, networks, design)
    return page


def _others(present: list[str]) -> list[str]:
    """Families of connections, the test of specificity last."""
    mine = [name for name in present if name not in FAMILIES]
    return sorted(mine, key=lambda name: (name == SPECIFIC, name == SETS))


def _family(page: Page, family: str, result: CrossoverComparison, design: Crossover) -> None:
    rows = result.comparisons[result.comparisons["family"] == family]
    title = FAMILIES.get(family, TITLES.get(family, family[:1].upper() + family[1:]))
    section = page.section(title.replace("Change", "Effect"))
    outcomes = list(dict.fromkeys(rows["outcome"]))
    if len(outcomes) > 1:
        section.text(_tally(rows))
    if family == SPECIFIC:
        section.text(
            "Each person's mean of one set minus that of the other, through the same models and "
            "permutations: the test that a claim of specificity needs."
        )
    main = rows[(rows["contrast"] == "treatment") & rows["g"].notna()]
    if family in DETAILED:
        main = main.reindex(main["g"].abs().sort_values(ascending=False).index)
    else:
        shown = {name: _label(family, name) for name in outcomes[:4]}
        section.figure(
            figures.courses(
                result.differences,
                shown,
                design.times,
                label=f"{design.active} minus {design.control}",
            ),
            caption=f"One line per person: {design.active} minus {design.control} at each time. "
            "Black: mean and 95 % interval, without adjustment for the period.",
            alt=f"Differences between treatments over time of {', '.join(shown.values())}",
        )
    if len(main) > 1:
        top = main.head(30)
        section.figure(
            figures.standardized(
                top, labels=[_label(family, name) for name in top["outcome"]], title=title
            ),
            caption="Averaged over the times. Orange: family-wise p ≤ .05.",
            alt=f"Hedges g with intervals of {len(top)} outcomes",
        )
    shown = rows.assign(outcome=[_label(family, name) for name in rows["outcome"]])
    _table(section, shown, title)


def _label(family: str, outcome: str) -> str:
    """Name an outcome; of a connection without its set, which heads the section."""
    group = family.removeprefix("connections: ")
    return outcome.removeprefix(f"{group}:") if group != family else short_name(outcome)


def _table(section: Section, rows: pd.DataFrame, title: str) -> None:
    """Show every contrast of few outcomes, those with the smallest p of many."""
    if len(rows) > MOST_ROWS:
        rows = rows.sort_values("p_permutation", kind="stable").head(MOST_ROWS)
        title = (
            f"{title}: the {MOST_ROWS} contrasts with the smallest p; all are in comparisons.tsv"
        )
    interaction = rows["contrast"] == "treatment x time"
    shown = rows.assign(t=rows["t"].where(~interaction, rows["f"]))
    section.table(
        shown.reset_index(drop=True), caption=f"{title} (t; of treatment x time, F)", names=EFFECTS
    )


def _edges(
    page: Page,
    edges: pd.DataFrame,
    matrix: pd.DataFrame,
    networks: pd.Series[str] | None,
    design: Crossover,
) -> None:
    section = page.section("Edges")
    names = list(matrix.columns)
    labels = names if networks is None else networks.reindex(names).fillna("").tolist()
    section.figure(
        figures.effect_matrix(
            matrix.to_numpy(float), labels, title=f"{design.active} minus {design.control}"
        ),
        caption="Adjusted effect averaged over the times (edges_estimate_treatment.tsv).",
        alt="Effect of the treatment on every edge",
    )
    if edges.empty:
        section.text("No edge passes family-wise correction.")
    else:
        _table(section, edges, "Edges with family-wise p ≤ .05")


def verdict(comparisons: pd.DataFrame, design: Crossover) -> str:
    """Say in one sentence what the treatment did to the primary outcome, or to networks."""
    main = comparisons[comparisons["contrast"] == "treatment"]
    primary = main[main["family"] == "primary"]
    if len(primary):
        row = primary.iloc[0]
        p = row["p_permutation"] if np.isfinite(row["p_permutation"]) else row["p"]
        found = "more than chance explains" if p <= 0.05 else "no more than chance explains"
        return (
            f"{short_name(row['outcome'])}: {design.active} minus {design.control} "
            f"{number(row['estimate'])} (SE {number(row['se'])}) over all times, {found}: "
            f"p = {number(p)}, Hedges g {number(row['g'])} [{number(row['g_low'])}, "
            f"{number(row['g_high'])}], n = {int(row['n'])}."
        )
    tested = main[main["family"].isin(["roi", "networks", SPECIFIC])]
    tested = tested[tested["p_fwe"].notna()]
    passed = [short_name(name) for name in tested.loc[tested["p_fwe"] <= 0.05, "outcome"]]
    return (
        f"No outcome was declared. Of {len(tested)} effects of {design.active} on regions of "
        f"interest, network measures and differences between sets, family-wise p ≤ .05: "
        f"{', '.join(passed) or 'none'}."
    )


def _tally(rows: pd.DataFrame) -> str:
    told = []
    for contrast, own in rows.groupby("contrast", sort=False):
        survive = int((own["p_fwe"] <= 0.05).sum())
        told.append(f"{contrast} {survive} of {int(own['p_fwe'].notna().sum())}")
    return f"Family-wise p ≤ .05: {'; '.join(told)}."
