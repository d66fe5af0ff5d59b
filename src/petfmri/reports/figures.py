"""Figures of the pages: quiet, colour-blind-safe, and made without any global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import ndimage

from petfmri.typing import BoolArray, FloatArray, IntArray

# Okabe and Ito 2008, distinguishable with every common form of colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7480"
BRIGHT_ORANGE = (255, 130, 0)
DPI = 130  # of figures that are mostly image
PIXELS_PER_MM = 1.75


def _axes(n: int, *, width: float = 3.2, height: float = 3.2) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width * n, height), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def paired(changes: pd.DataFrame, outcomes: Mapping[str, str]) -> Figure:
    """Draw one line per person from pre to post, one panel per outcome.

    Parameters
    ----------
    changes : DataFrame
        Columns participant_id, outcome, pre, post.
    outcomes : mapping of outcome to panel title
    """
    figure, axes = _axes(len(outcomes))
    for ax, (outcome, title) in zip(axes, outcomes.items()):
        rows = changes[changes["outcome"] == outcome]
        pre, post = rows["pre"].to_numpy(float), rows["post"].to_numpy(float)
        for before, after in zip(pre, post):
            rising = after > before
            ax.plot(
                [0, 1],
                [before, after],
                color=ORANGE if rising else BLUE,
                alpha=0.65,
                lw=1.3,
                marker="o",
                ms=4,
            )
        ax.plot([0, 1], [pre.mean(), post.mean()], color="black", lw=2.6)
        ax.set_xticks([0, 1], ["pre", "post"])
        ax.set_xlim(-0.3, 1.3)
        ax.set_title(title, fontsize=10)
    return figure


def by_arm(changes: pd.DataFrame, outcomes: Mapping[str, str], arms: tuple[str, str]) -> Figure:
    """Draw the change of every person by arm, one panel per outcome.

    Parameters
    ----------
    changes : DataFrame
        Columns arm, outcome, change.
    outcomes : mapping of outcome to panel title
    arms : (active, control)
    """
    figure, axes = _axes(len(outcomes))
    for ax, (outcome, title) in zip(axes, outcomes.items()):
        rows = changes[changes["outcome"] == outcome]
        for place, (arm, color) in enumerate(zip(arms, (ORANGE, BLUE))):
            values = np.sort(rows.loc[rows["arm"] == arm, "change"].to_numpy(float))
            aside = 0.12 * ((np.arange(len(values)) % 5) - 2) / 2  # so that dots do not hide dots
            ax.plot(place + aside, values, "o", color=color, ms=5, alpha=0.75)
            ax.plot([place - 0.25, place + 0.25], [values.mean()] * 2, color="black", lw=2.2)
        ax.axhline(0, color=GREY, lw=0.8)
        ax.set_xticks([0, 1], arms)
        ax.set_xlim(-0.5, 1.5)
        ax.set_title(title, fontsize=10)
    axes[0].set_ylabel("change")
    return figure


def effects(table: pd.DataFrame, *, labels: Sequence[str], title: str) -> Figure:
    """Draw Hedges g with its 95 % interval, one row per outcome.

    Parameters
    ----------
    table : DataFrame
        Columns g, g_low, g_high, p_fwe.
    labels : sequence of str
        One per row.
    title : str
    """
    figure, (ax,) = _axes(1, width=7.2, height=0.9 + 0.27 * len(table))
    height = np.arange(len(table))[::-1]
    surviving = table["p_fwe"].to_numpy(float) <= 0.05
    for y, row, sure in zip(height, table.itertuples(), surviving):
        color = ORANGE if sure else GREY
        ax.plot([row.g_low, row.g_high], [y, y], color=color, lw=1.6)
        ax.plot(row.g, y, "o", color=color, ms=5)
    ax.axvline(0, color="black", lw=0.8)
    ax.set_yticks(height, labels, fontsize=8)
    ax.set_xlabel("Hedges g of the change (95 % interval)")
    ax.set_title(title, fontsize=10, loc="left")
    return figure


def scatter(x: FloatArray, y: FloatArray, *, x_label: str, y_label: str, title: str) -> Figure:
    """Draw one dot per person with the least-squares line."""
    figure, (ax,) = _axes(1, width=4.2, height=3.6)
    ax.plot(x, y, "o", color=BLUE, ms=6)
    slope, intercept = np.polyfit(x, y, 1)
    ends = np.array([x.min(), x.max()])
    ax.plot(ends, intercept + slope * ends, color=ORANGE, lw=1.8)
    ax.set(xlabel=x_label, ylabel=y_label)
    ax.set_title(title, fontsize=10)
    return figure


def predictions(table: pd.DataFrame, *, score: str) -> Figure:
    """Draw observed against held-out predicted scores, one panel per block.

    Parameters
    ----------
    table : DataFrame
        Columns block, observed, predicted.
    score : str
        Name of what is predicted.
    """
    blocks = list(dict.fromkeys(table["block"]))
    figure, axes = _axes(len(blocks), width=2.9, height=3.1)
    values = table[["observed", "predicted"]].to_numpy(float)
    ends = [values.min(), values.max()]
    for ax, block in zip(axes, blocks):
        rows = table[table["block"] == block]
        ax.plot(ends, ends, color=GREY, lw=1, ls="--")
        ax.plot(rows["observed"], rows["predicted"], "o", color=BLUE, ms=5)
        ax.set_title(block, fontsize=10)
        ax.set_xlabel(f"observed {score}")
    axes[0].set_ylabel(f"predicted {score}")
    return figure


def matrices(pre: FloatArray, post: FloatArray, networks: Sequence[str]) -> Figure:
    """Draw the group connectivity before, after and its change, parcels ordered by network."""
    order = np.argsort(np.asarray(networks), kind="stable")
    names = np.asarray(networks)[order]
    figure, axes = _axes(3, width=3.6, height=3.6)
    panels = (
        ("pre", pre, 0.8, "RdBu_r"),
        ("post", post, 0.8, "RdBu_r"),
        ("change", post - pre, 0.3, "PuOr_r"),
    )
    edges = np.flatnonzero(np.r_[True, names[1:] != names[:-1], True])
    for ax, (title, matrix, limit, colours) in zip(axes, panels):
        shown = ax.imshow(
            matrix[np.ix_(order, order)],
            cmap=colours,
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        figure.colorbar(shown, ax=ax, shrink=0.7, label="Fisher z")
        ax.set_title(title, fontsize=10)
        ax.set_xticks([])
        ax.set_yticks((edges[:-1] + edges[1:]) / 2 - 0.5, names[edges[:-1]], fontsize=6)
        ax.tick_params(length=0)
    return figure


def overlay(
    background: FloatArray, labels: IntArray, *, title: str, spacing_mm: Sequence[float]
) -> Figure:
    """Draw the outlines of labels over an image, two slices in each direction.

    Parameters
    ----------
    background : array of shape (x, y, z), axes R, A, S
    labels : integer array of the same shape
        Outlined wherever the label changes.
    title : str
    spacing_mm : 3 values
        Voxel size along each axis.
    """
    inside = np.argwhere(labels > 0)
    low, high = inside.min(axis=0), inside.max(axis=0)
    box = tuple(slice(a, b + 1) for a, b in zip(low, high))
    top = max(float(np.percentile(background[box], 99.5)), 1e-6)
    rows = []
    for share in (0.35, 0.6):
        row = []
        for axis in range(3):
            index = round(low[axis] + share * (high[axis] - low[axis]))
            zoom = [PIXELS_PER_MM * size for a, size in enumerate(spacing_mm) if a != axis]
            grey = ndimage.zoom(np.take(background, index, axis=axis) / top, zoom, order=1)
            drawn = _outline(ndimage.zoom(np.take(labels, index, axis=axis), zoom, order=0))
            shade = (255 * grey.clip(0, 1)).astype(np.uint8)
            colour = np.repeat(shade[..., None], 3, axis=2)
            colour[drawn] = BRIGHT_ORANGE
            row.append(colour.transpose(1, 0, 2)[::-1])
        rows.append(row)
    image = np.vstack([np.hstack(_same_height(row)) for row in rows])
    height, width = image.shape[:2]
    figure = Figure(figsize=(width / DPI, height / DPI + 0.3), dpi=DPI, facecolor="black")
    figure.figimage(image)  # pixel for pixel: axes would resample it
    figure.suptitle(title, color="white", fontsize=11, y=0.98, va="top")
    return figure


def _same_height(panels: Sequence[IntArray]) -> list[IntArray]:
    tallest = max(len(panel) for panel in panels)
    return [
        np.pad(panel, ((spare // 2, spare - spare // 2), (0, 0), (0, 0)))
        for panel in panels
        for spare in [tallest - len(panel)]
    ]


def _outline(labels: IntArray) -> BoolArray:
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edge


def motion(
    fd_mm: Sequence[FloatArray], titles: Sequence[str], *, threshold_mm: float | None
) -> Figure:
    """Draw framewise displacement of each run, the censored frames marked."""
    figure = Figure(figsize=(8, 1.7 * len(fd_mm)), layout="constrained")
    axes = figure.subplots(len(fd_mm), 1, squeeze=False)[:, 0]
    for ax, fd, title in zip(axes, fd_mm, titles):
        _displacement(ax, fd, threshold_mm)
        ax.set_title(title, fontsize=9, loc="left")
    axes[-1].set_xlabel("frame")
    return figure


def _displacement(ax: Axes, fd_mm: FloatArray, threshold_mm: float | None) -> None:
    ax.plot(fd_mm, color=BLUE, lw=1)
    if threshold_mm is not None:
        above = np.flatnonzero(fd_mm > threshold_mm)
        ax.plot(above, fd_mm[above], "o", color=ORANGE, ms=3)
        ax.axhline(threshold_mm, color=GREY, lw=0.8, ls="--")
    ax.set_ylabel("FD (mm)")
    ax.spines[["top", "right"]].set_visible(False)


def carpet(
    rows: FloatArray,
    tissues: Sequence[str],
    fd_mm: FloatArray,
    *,
    title: str,
    threshold_mm: float | None,
) -> Figure:
    """Draw the carpet of a BOLD run under its framewise displacement.

    Parameters
    ----------
    rows : array of shape (n_frames, n_rows)
        Standardised signals.
    tissues : sequence of n_rows str
        GM, WM or CSF; rows of one tissue follow one another.
    fd_mm : array of shape (n_frames,)
    title : str
    threshold_mm : float or None
        Frames above it are marked.
    """
    figure = Figure(figsize=(8, 4), layout="constrained", dpi=DPI)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    _displacement(top, fd_mm, threshold_mm)
    top.set_title(title, fontsize=9, loc="left")
    frames, n_rows = rows.shape
    below.imshow(
        rows.T, cmap="gray", vmin=-2, vmax=2, aspect="auto", interpolation="nearest",
        extent=(-0.5, frames - 0.5, n_rows, 0),
    )  # fmt: skip
    names = list(dict.fromkeys(tissues))
    ends = np.cumsum([list(tissues).count(name) for name in names])
    for end in ends[:-1]:
        below.axhline(end, color=ORANGE, lw=1)
    below.set_yticks((ends + np.concatenate([[0], ends[:-1]])) / 2, names)
    below.tick_params(left=False)
    below.set_xlabel("frame")
    return figure


def curves(tacs: pd.DataFrame, mid_min: FloatArray, window_min: tuple[float, float]) -> Figure:
    """Draw time-activity curves and the uptake window.

    Parameters
    ----------
    tacs : DataFrame
        One column per curve, one row per frame, kBq/mL.
    mid_min : array of shape (n_frames,), min
    window_min : (start, end), min
    """
    figure, (ax,) = _axes(1, width=6.4, height=3.2)
    ax.axvspan(*window_min, color=GREEN, alpha=0.15, lw=0)
    for name, color in zip(tacs, (BLUE, ORANGE, GREEN, GREY, "black")):
        ax.plot(mid_min, tacs[name], "o-", color=color, ms=3, lw=1.3, label=name)
    ax.set(xlabel="time after injection (min)", ylabel="activity (kBq/mL)")
    ax.legend(frameon=False, fontsize=8)
    return figure


def fits(scans: Mapping[tuple[str, str], pd.DataFrame], *, columns: int = 4) -> Figure:
    """Draw curves and fits, one panel per scan.

    Parameters
    ----------
    scans : mapping of (participant, session) to DataFrame
        Columns mid_min (min), reference, curves (kBq/mL) and for each its "... fit".
    columns : int
        Panels side by side.
    """
    n_rows = -(-len(scans) // columns)
    figure = Figure(figsize=(2.7 * columns, 2.0 * n_rows + 0.3))
    axes = figure.subplots(n_rows, columns, squeeze=False).ravel()
    height = figure.get_figheight()
    figure.subplots_adjust(
        left=0.07, right=0.99, top=1 - 0.25 / height, bottom=0.55 / height, hspace=0.55, wspace=0.3
    )
    for ax in axes[len(scans) :]:
        ax.set_visible(False)
    for ax, ((person, session), table) in zip(axes, scans.items()):
        minutes = table["mid_min"]
        if "reference" in table:
            ax.plot(minutes, table["reference"], color=GREY, lw=1)
        names = [
            name for name in table
            if name not in ("mid_min", "reference") and not name.endswith(" fit")
        ]  # fmt: skip
        for name, color in zip(names, (BLUE, ORANGE, GREEN, "black")):
            ax.plot(minutes, table[name], "o", color=color, ms=2, label=name)
            if f"{name} fit" in table:
                ax.plot(minutes, table[f"{name} fit"], color=color, lw=1.1)
        ax.set_title(f"{person} {session}", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.locator_params(nbins=3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=7)
    figure.supxlabel("time after injection (min)", fontsize=8)
    figure.supylabel("activity (kBq/mL)", fontsize=8)
    return figure


def every_fit(
    names: Sequence[str],
    minutes: FloatArray,
    measured: FloatArray,
    fitted: FloatArray,
    excluded: BoolArray,
    *,
    title: str,
    columns: int = 12,
) -> Figure:
    """Draw the curve and the fit of every region of one scan, each scaled to its own cell.

    Parameters
    ----------
    names : sequence of str
    minutes : array of shape (n_frames,)
    measured, fitted : arrays of shape (n_regions, n_frames)
        A fit of NaN is left out.
    excluded : bool array of shape (n_regions,)
        Drawn in orange.
    title : str
    columns : int
    """
    n_rows = -(-len(names) // columns)
    figure = Figure(figsize=(1.35 * columns, 1.0 * n_rows + 0.4))
    ax = figure.add_axes((0.01, 0.01, 0.98, 1 - 0.4 / (n_rows + 0.4)))
    place = np.arange(len(names))
    left, bottom = place % columns, n_rows - 1 - place // columns
    x = left[:, None] + 0.05 + 0.85 * minutes / minutes[-1]
    with np.errstate(invalid="ignore"):
        top = np.nanmax(np.abs(np.hstack([measured, fitted])), axis=1, keepdims=True)
        scale = 0.72 / np.where(top > 0, top, 1)
    for y, dots in ((measured, True), (fitted, False)):
        heights = bottom[:, None] + 0.05 + np.maximum(scale * y, 0)  # stays in its cell
        for chosen, color in ((~excluded, BLUE), (excluded, ORANGE)):
            if dots:
                ax.plot(x[chosen].ravel(), heights[chosen].ravel(), ".", color=color, ms=1.6)
            else:
                lines = np.stack([x[chosen], heights[chosen]], axis=-1)
                ax.add_collection(LineCollection(list(lines), colors="black", linewidths=0.6))
    for name, across, up, wrong in zip(names, left, bottom, excluded):
        color = ORANGE if wrong else "black"
        ax.text(across + 0.05, up + 0.86, name[-24:], fontsize=4.5, color=color)
    ax.set(xlim=(0, columns), ylim=(0, n_rows))
    ax.axis("off")
    figure.suptitle(title, fontsize=9, y=1 - 0.12 / (n_rows + 0.4))
    return figure


def multiverse(table: pd.DataFrame, *, title: str, value: str = "percent") -> Figure:
    """Draw the change by every choice, ordered by its size.

    Parameters
    ----------
    table : DataFrame
        Columns choice, measure, declared, percent, g, g_low, g_high.
    title : str
    value : "percent" or "change"
        What is drawn beside g; change in the unit of the measure.
    """
    rows = table.dropna(subset=["g"]).sort_values(value)
    figure, (left, right) = _axes(2, width=4.6, height=1.2 + 0.26 * len(rows))
    height = np.arange(len(rows))
    for y, row in zip(height, rows.itertuples()):
        color, fill = (ORANGE, ORANGE) if row.declared else (GREY, "white")
        left.plot(getattr(row, value), y, "o", color=color, mfc=fill, ms=6)
        right.plot([row.g_low, row.g_high], [y, y], color=color, lw=1.5)
        right.plot(row.g, y, "o", color=color, mfc=fill, ms=6)
    for ax in (left, right):
        ax.axvline(0, color="black", lw=0.8)
        ax.set_ylim(-0.7, len(rows) - 0.3)
    labels = [f"{row.choice} ({row.measure})" for row in rows.itertuples()]
    left.set_yticks(height, labels, fontsize=8)
    right.set_yticks([])
    left.set_xlabel("mean change (%)" if value == "percent" else "mean change")
    right.set_xlabel("Hedges g (95 % interval)")
    left.set_title(title, fontsize=10, loc="left")
    return figure
