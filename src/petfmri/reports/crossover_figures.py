"""Figures of a crossover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import special

from petfmri.reports.figures import BLUE, GREY, ORANGE, _axes
from petfmri.typing import FloatArray


def courses(
    differences: pd.DataFrame, outcomes: Mapping[str, str], times: Sequence[str], *, label: str
) -> Figure:
    """Draw each person's difference between treatments over time, one panel per outcome.

    Parameters
    ----------
    differences : DataFrame
        Columns participant_id, outcome, time, difference.
    outcomes : mapping of outcome to panel title
    times : sequence of str
        In their order.
    label : str
        Of the vertical axis.
    """
    figure, axes = _axes(len(outcomes), width=3.4, height=3.1)
    place = {time: number for number, time in enumerate(times)}
    for ax, (outcome, title) in zip(axes, outcomes.items()):
        rows = differences[differences["outcome"] == outcome]
        for _, own in rows.groupby("participant_id"):
            x = own["time"].map(place).to_numpy(float)
            ax.plot(x, own["difference"], color=BLUE, alpha=0.35, lw=1, marker="o", ms=3)
        for time, own in rows.groupby("time"):
            values = own["difference"].to_numpy(float)
            if len(values) > 1:
                half = special.stdtrit(len(values) - 1, 0.975) * values.std(ddof=1)
                half /= np.sqrt(len(values))
                x = place[str(time)] + 0.12
                ax.plot([x, x], [values.mean() - half, values.mean() + half], color="black", lw=2)
                ax.plot(x, values.mean(), "o", color="black", ms=5)
        ax.axhline(0, color=GREY, lw=0.8)
        ax.set_xticks(range(len(times)), times, fontsize=8)
        ax.set_xlim(-0.4, len(times) - 0.6 + 0.2)
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("time after the dose")
    axes[0].set_ylabel(label, fontsize=8)
    return figure


def standardized(table: pd.DataFrame, *, labels: Sequence[str], title: str) -> Figure:
    """Draw Hedges g of treatment effects with 95 % intervals, one row per outcome.

    Parameters
    ----------
    table : DataFrame
        Columns g, g_low, g_high, p_fwe, p_permutation.
    labels : sequence of str
    title : str
    """
    figure, (ax,) = _axes(1, width=7.2, height=0.9 + 0.27 * len(table))
    sure = table["p_fwe"].fillna(table["p_permutation"]).to_numpy(float) <= 0.05
    height = np.arange(len(table))[::-1]
    for y, row, passes in zip(height, table.itertuples(), sure):
        color = ORANGE if passes else GREY
        ax.plot([row.g_low, row.g_high], [y, y], color=color, lw=1.6)
        ax.plot(row.g, y, "o", color=color, ms=5)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(height, labels, fontsize=8)
    ax.set_xlabel("Hedges g of the treatment effect (95 % interval)")
    ax.set_title(title, fontsize=10, loc="left")
    return figure


def effect_matrix(matrix: FloatArray, networks: Sequence[str], *, title: str) -> Figure:
    """Draw the effect on every edge, parcels ordered by network."""
    order = np.argsort(np.asarray(networks), kind="stable")
    names = np.asarray(networks)[order]
    figure, (ax,) = _axes(1, width=4.6, height=4.2)
    limit = float(np.nanpercentile(np.abs(matrix), 99)) if np.isfinite(matrix).any() else 1.0
    shown = ax.imshow(
        matrix[np.ix_(order, order)],
        cmap="PuOr_r",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    figure.colorbar(shown, ax=ax, shrink=0.7, label="Fisher z")
    edges = np.flatnonzero(np.r_[True, names[1:] != names[:-1], True])
    ax.set_xticks([])
    ax.set_yticks((edges[:-1] + edges[1:]) / 2 - 0.5, names[edges[:-1]], fontsize=6)
    ax.tick_params(length=0)
    ax.set_title(title, fontsize=10)
    return figure
