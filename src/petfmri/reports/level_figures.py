"""Figures of tests of whole matrices and maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from petfmri.reports.figures import DPI
from petfmri.typing import BoolArray, FloatArray

SLICES = 12


def edge_matrix(t: FloatArray, shown: BoolArray, networks: Sequence[str]) -> Figure:
    """Draw t of every edge below the diagonal and chosen edges above, by network.

    Parameters
    ----------
    t : array of shape (n_parcels, n_parcels)
        NaN where an edge was not tested.
    shown : bool array of the same shape
    networks : sequence of str
    """
    order = np.argsort(np.asarray(networks), kind="stable")
    names = np.asarray(networks)[order]
    values = t[np.ix_(order, order)]
    upper = np.triu(np.ones(values.shape, dtype=bool), 1)
    drawn = np.where(upper & ~shown[np.ix_(order, order)], np.nan, values)
    limit = float(np.nanpercentile(np.abs(values), 99.9))
    figure = Figure(figsize=(6.2, 5.4), layout="constrained")
    ax = figure.subplots()
    ax.set_facecolor("#f4f4f4")
    image = ax.imshow(drawn, cmap="PuOr_r", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(image, ax=ax, shrink=0.7, label="paired t")
    borders = np.flatnonzero(np.r_[True, names[1:] != names[:-1], True])
    for place in borders[1:-1] - 0.5:
        ax.axhline(place, color="#9aa3ab", lw=0.4)
        ax.axvline(place, color="#9aa3ab", lw=0.4)
    ax.set_xticks([])
    ax.set_yticks((borders[:-1] + borders[1:]) / 2 - 0.5, names[borders[:-1]], fontsize=7)
    ax.tick_params(length=0)
    return figure


def slices(
    t: FloatArray, mask: BoolArray, significant: BoolArray, heights_mm: FloatArray
) -> Figure:
    """Draw axial slices of t, what is significant outlined.

    Parameters
    ----------
    t : array of shape (x, y, z), axes R, A, S
    mask, significant : bool arrays of the same shape
    heights_mm : array of shape (z,)
    """
    filled = np.flatnonzero(mask.any(axis=(0, 1)))
    chosen = np.linspace(filled[0], filled[-1], SLICES + 2).round().astype(int)[1:-1]
    limit = float(np.percentile(np.abs(t[mask]), 99.9)) or 1.0
    box = tuple(
        slice(found[0], found[-1] + 1)
        for found in (np.flatnonzero(mask.any(axis=(1, 2))), np.flatnonzero(mask.any(axis=(0, 2))))
    )
    figure = Figure(figsize=(9.2, 4.3), dpi=DPI, layout="constrained")
    panels = figure.subplots(2, SLICES // 2)
    for ax, height in zip(panels.ravel(), chosen):
        inside = mask[(*box, height)].T
        values = np.where(inside, t[(*box, height)].T, np.nan)
        image = ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, origin="lower")
        ax.contour(inside, levels=[0.5], colors="#9aa3ab", linewidths=0.5)
        outlined = significant[(*box, height)].T
        if outlined.any():
            ax.contour(outlined, levels=[0.5], colors="black", linewidths=0.9)
        ax.set_title(f"z = {heights_mm[height]:.0f}", fontsize=8)
        ax.axis("off")
    figure.colorbar(image, ax=panels, shrink=0.7, label="paired t")
    return figure
