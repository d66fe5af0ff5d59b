"""Figures of the localization page."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from petfmri.reports.figures import BLUE, DPI, GREY, ORANGE
from petfmri.typing import FloatArray

ZOOM = 2  # pixels per voxel
MARGIN = 48  # pixels, for words
IMAGES = ("background", "stat-probability", "mask")


def slices(picture: Mapping[str, FloatArray], *, overlap: float) -> Figure:
    """Draw probability (above) and network (below) over the template, axial slices.

    Parameters
    ----------
    picture : mapping
        ``background``, ``stat-probability`` and ``mask``, arrays of one shape (x, y, n_slices),
        axes R, A, S; ``height_mm`` of shape (n_slices,).
    overlap : float
        Threshold of the network.
    """
    ground, values, inside = (picture[name] for name in IMAGES)
    brain = np.argwhere((ground > 0).any(axis=2))
    box = tuple(slice(a, b + 1) for a, b in zip(brain.min(axis=0), brain.max(axis=0)))
    ground, values, inside = ground[box], values[box], inside[box]
    n_slices = ground.shape[2]
    top = max(float(np.percentile(ground[ground > 0], 99.5)), 1e-6)
    grey = np.repeat(
        (255 * (ground / top / 1.3).clip(0, 1)).astype(np.uint8)[..., None], 3, axis=-1
    )
    colours = mpl.colormaps["inferno"]
    hot = (255 * colours(values)[..., :3]).astype(np.uint8)
    rows = [np.where(drawn[..., None], hot, grey) for drawn in (values > 0, inside > 0)]
    tiles = [np.hstack([row[:, ::-1, k].swapaxes(0, 1) for k in range(n_slices)]) for row in rows]
    image = np.vstack(tiles).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    height, width = image.shape[0] + MARGIN, image.shape[1] + 2 * MARGIN
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="black")
    figure.figimage(image)  # pixel for pixel: axes would resample it
    white = {"color": "white", "fontsize": 8}
    for k, height_mm in enumerate(picture["height_mm"]):
        place = (k + 0.5) * image.shape[1] / n_slices / width
        text = f"z = {height_mm:.0f} mm" if not k else f"{height_mm:.0f}"
        figure.text(place, 1 - 0.75 * MARGIN / height, text, ha="center", **white)
    bar = figure.add_axes((1 - 1.7 * MARGIN / width, 0.15, 0.3 * MARGIN / width, 0.65))
    bar.imshow(
        np.linspace(0, 1, 128)[:, None], colours, aspect="auto", origin="lower", extent=(0, 1, 0, 1)
    )
    bar.axhline(overlap, color="white", lw=1.5)
    bar.set_xticks([])
    bar.set_yticks([0, overlap, 1], ["0", f"{overlap:.0%}", "all"], **white)
    bar.yaxis.tick_right()
    return figure


def shares(table: pd.DataFrame) -> Figure:
    """Draw which part of the map lies in each network, and which part of each network is in it.

    Parameters
    ----------
    table : DataFrame
        ``direction``, ``network``, ``share_of_map``, ``share_of_network``.
    """
    directions = list(dict.fromkeys(table["direction"]))
    networks = list(dict.fromkeys(table["network"]))
    figure = Figure(
        figsize=(9, 0.6 + 0.28 * len(networks) * len(directions) ** 0.5), layout="constrained"
    )
    axes = figure.subplots(1, 2, sharey=True)
    thick = 0.8 / len(directions)
    titles = {"share_of_map": "part of the map", "share_of_network": "part of the network"}
    for ax, (column, title) in zip(axes, titles.items()):
        for k, (name, colour) in enumerate(zip(directions, (ORANGE, BLUE, GREY))):
            rows = table[table["direction"] == name].set_index("network").reindex(networks)
            place = np.arange(len(networks)) + (k - (len(directions) - 1) / 2) * thick
            ax.barh(place, 100 * rows[column].to_numpy(float), thick, color=colour, label=name)
        ax.set_xlabel(f"{title} (%)")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_yticks(range(len(networks)), networks)
    axes[0].invert_yaxis()
    if len(directions) > 1:
        axes[1].legend(frameon=False, fontsize=9)
    return figure


def null_sizes(null: pd.DataFrame, judged: pd.DataFrame) -> Figure:
    """Draw how large maps of random coordinates are, and the observed one.

    Parameters
    ----------
    null : DataFrame
        ``direction``, ``voxels``, a row per draw.
    judged : DataFrame
        ``direction``, ``voxels``, ``p_size``.
    """
    figure = Figure(figsize=(4.6 * len(judged), 3), layout="constrained")
    axes = figure.subplots(1, len(judged), squeeze=False)[0]
    for ax, row in zip(axes, judged.itertuples()):
        drawn = null.loc[null["direction"] == row.direction, "voxels"].to_numpy(float)
        ends = np.linspace(0, max(float(drawn.max()), row.voxels, 1.0) * 1.02, 41)
        ax.hist(drawn, ends, color=GREY, alpha=0.8)
        ax.axvline(row.voxels, color=ORANGE, lw=2.5)
        ax.set_title(f"{row.direction}: {row.voxels} voxels, p = {row.p_size:.3g}", fontsize=10)
        ax.set_xlabel("voxels of the map")
        ax.set_ylabel("draws")
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def similarities(table: pd.DataFrame) -> Figure:
    """Draw each correlation with degree and gradients beside those of random coordinates.

    Parameters
    ----------
    table : DataFrame
        ``direction``, ``reference``, ``method``, ``r``, ``null_mean``, ``null_low``, ``null_high``,
        ``p``; pearson rows are drawn.
    """
    rows = table[table["method"] == "pearson"].reset_index(drop=True)
    figure = Figure(figsize=(8, 1.3 + 0.34 * len(rows)), layout="constrained")
    ax = figure.subplots()
    place = np.arange(len(rows))
    ax.hlines(place, rows["null_low"], rows["null_high"], color=GREY, lw=7, alpha=0.45)
    ax.plot(
        rows["null_mean"], place, "|", color="black", ms=11, label="random coordinates: mean, 95 %"
    )
    ax.plot(rows["r"], place, "o", color=ORANGE, ms=7, label="published coordinates")
    ax.axvline(0, color="black", lw=0.6)
    names = [f"{row.direction}: {row.reference} (p = {row.p:.2g})" for row in rows.itertuples()]
    ax.set_yticks(place, names)
    ax.set_xlabel("correlation of the probability map with the reference")
    ax.legend(frameon=False, fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.spines[["top", "right"]].set_visible(False)
    return figure
