"""Real people: LSD against placebo, and one long run under every strategy; tables and a figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from bars import Bar, holds

from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning
from petfmri.bold.series_files import read_series
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.bold.strategies import MOTION_24
from petfmri.networks.connectivity import fisher_z
from petfmri.networks.fc_change import fc_distance
from petfmri.networks.gradients import GRADIENT_METRICS, aligned_gradients, gradient_metrics
from petfmri.networks.measures import Measured, SessionSeries, measure_sessions
from petfmri.networks.registry import METRICS, roi_metrics

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PETFMRI_TEST_DATA", ROOT.parent / "shared" / "data")) / "fmri"
FIGURE = ROOT / "docs" / "images" / "networks_lsd.svg"
ABOUT = {metric.name: metric for metric in (*METRICS, *roi_metrics(["PCC"]), *GRADIENT_METRICS)}
SHORT = {
    "segregation": "Segregation", "within_fc": "FC within networks",
    "between_fc": "FC between networks", "between_fc_Default_SomMot": "FC default–somatomotor",
    "participation": "Participation", "gbc": "Global brain connectivity", "ngsc": "NGSC",
    "kuramoto_order": "Kuramoto order", "metastability": "Metastability",
    "strength_PCC": "Strength of PCC", "gradient_range": "Range of gradient 1",
    "default_sommot_distance": "Default–somatomotor distance",
}  # fmt: skip
CONDITIONS = {"placebo": "PLCB", "LSD": "LSD"}
LSD_RUNS, LSD_TR_S, LEMON_TR_S = ("01", "03"), 2.0, 1.4
MOTION = slice(6, 12)  # of LEMON's 29 columns: three rotations in rad, three translations in mm
COMPONENTS = slice(0, 6)


@cache
def schaefer() -> pd.DataFrame:
    """The table of the 200 cortical parcels, in the order of the data."""
    path = DATA.parent / "atlas" / "SchaeferTian232_2mm.txt"
    lines = [line.split()[0] for line in path.read_text().splitlines() if line.startswith("7Net")]
    names = [line for line in lines if line.startswith("7Networks_")]
    network = [name.split("_")[2] for name in names]
    return pd.DataFrame({"name": names, "network": network, "structure": "cortex"})


def measured(series: Mapping[str, SessionSeries]) -> tuple[dict[str, Measured], pd.DataFrame]:
    """Measure runs on equal terms; one column of metrics per run."""
    table = schaefer()
    rois = {"PCC": [name for name in table["name"] if "Default_pCunPCC" in name]}
    found = measure_sessions(series, table, rois=rois)
    labels = table["network"].tolist()
    gradients = aligned_gradients([fisher_z(one.connectivity) for one in found.values()], labels)
    columns = {
        name: {**one.row, **gradient_metrics(gradient.values, labels)}
        for (name, one), gradient in zip(found.items(), gradients, strict=True)
    }
    return found, pd.DataFrame(columns).loc[[*ABOUT, "n_frames"]].astype(float)


# ---------------------------------------------------------------------------------- LSD


@cache
def lsd() -> tuple[dict[str, Measured], pd.DataFrame]:
    """Measure two runs of each condition, each by itself; the series were clean when published."""
    runs = {}
    for condition, session in CONDITIONS.items():
        for run in LSD_RUNS:
            path = DATA / "lsd_ds003059/SchaeferTian232" / (
                f"sub-001_ses-{session}_task-rest_run-{run}_bold.mat"
            )  # fmt: skip
            name = f"{condition} {run}"
            runs[name] = [Run(name, read_series(path, "V_roi")[:, :200], LSD_TR_S)]
    cleaned = clean_sessions(runs, Cleaning(minimum_kept_s=240), seed=1).sessions
    return measured(
        {
            name: SessionSeries(one.denoised.series, one.denoised.times)
            for name, one in cleaned.items()
        }
    )


def lsd_against_placebo() -> Iterator[Bar]:
    found, table = lsd()
    frames = sorted(set(table.loc["n_frames"]))
    finite = bool(np.isfinite(table.to_numpy()).all())
    yield holds(
        f"LSD against placebo, {len(found)} runs: metrics, frames of each run",
        f"{len(table) - 1}, {frames[0]:g}", "finite, equal", finite and len(frames) == 1,
    )  # fmt: skip
    draw(table)
    yield holds("LSD against placebo: figure", FIGURE.name, "drawn", FIGURE.exists())


def lsd_table() -> pd.DataFrame:
    found, table = lsd()
    runs = {name: table[[f"{name} {run}" for run in LSD_RUNS]] for name in CONDITIONS}
    mean = {name: columns.mean(axis=1) for name, columns in runs.items()}
    told = pd.DataFrame({"metric": [ABOUT[name].label for name in ABOUT]}, index=list(ABOUT))
    for name in CONDITIONS:
        told[name] = mean[name]
    told["LSD − placebo"] = mean["LSD"] - mean["placebo"]
    for name in CONDITIONS:
        told[f"runs apart, {name}"] = runs[name].iloc[:, 1] - runs[name].iloc[:, 0]
    z = {name: fisher_z(one.connectivity) for name, one in found.items()}
    across = np.mean(
        [fc_distance(z[f"placebo {a}"], z[f"LSD {b}"]) for a in LSD_RUNS for b in LSD_RUNS]
    )
    within = [fc_distance(*(z[f"{name} {run}"] for run in LSD_RUNS)) for name in CONDITIONS]
    told.loc["fc_distance"] = [
        "Distance of connectivity (Fisher z)",
        np.nan,
        np.nan,
        across,
        *within,
    ]
    return told


def draw(table: pd.DataFrame) -> None:
    """Draw every run as a point: what lies between the runs of one condition is no effect."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "networks", "svg.fonttype": "path", "font.size": 9}
    with mpl.rc_context(style):
        figure, axes = plt.subplots(3, 4, figsize=(9.6, 6.6), layout="constrained")
        colors = {"placebo": "#6b7280", "LSD": "#c2410c"}
        for axis, (name, label) in zip(axes.flat, SHORT.items(), strict=True):
            means = []
            for place, (condition, color) in enumerate(colors.items()):
                values = [table.loc[name, f"{condition} {run}"] for run in LSD_RUNS]
                means.append(float(np.mean(values)))
                axis.plot([place, place], values, color=color, lw=1, alpha=0.5, zorder=1)
                for run, marker, value in zip(LSD_RUNS, ("o", "s"), values, strict=True):
                    axis.scatter(
                        place, value, 34, color=color, marker=marker, zorder=2, linewidths=0,
                        label=f"run {run}",
                    )  # fmt: skip
                axis.hlines(means[-1], place - 0.16, place + 0.16, color=color, lw=2)
            axis.plot([0.16, 0.84], means, color="#9ca3af", lw=0.8, ls=(0, (4, 3)), zorder=0)
            axis.set_title(label, fontsize=9.5, loc="left")
            axis.set_ylabel(ABOUT[name].unit.strip("1"), fontsize=8, color="#4b5563")
            axis.set_xticks([0, 1], list(colors))
            axis.set_xlim(-0.5, 1.5)
            axis.margins(y=0.25)
            axis.locator_params(axis="y", nbins=4)
            axis.tick_params(length=2, labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles[:2], [f"{label} (bar: mean)" for label in labels[:2]], loc="outside lower center",
            ncols=2, frameon=False,
        )  # fmt: skip
        figure.suptitle(
            "One person, two runs on placebo and two on LSD, 217 frames each", fontsize=11
        )
        FIGURE.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(FIGURE, metadata={"Date": None})
        plt.close(figure)


# ---------------------------------------------------------------------------------- LEMON


def lemon_confounds() -> pd.DataFrame:
    """Name what can be told of the 29 columns, and expand the motion as fMRIPrep does."""
    given = np.loadtxt(DATA / "lemon_rest/sub-010188_confounds.txt")
    motion = given[:, MOTION][:, [3, 4, 5, 0, 1, 2]]
    change = np.diff(motion, axis=0, prepend=motion[:1])
    names = list(MOTION_24)
    columns = dict(zip(names, np.hstack([motion, change, motion**2, change**2]).T, strict=True))
    columns |= {f"component_{k}": values for k, values in enumerate(given[:, COMPONENTS].T)}
    columns |= {f"given_{k:02d}": values for k, values in enumerate(given.T)}
    fd = np.abs(change[:, :3]).sum(axis=1) + 50 * np.abs(change[:, 3:]).sum(axis=1)
    return pd.DataFrame({**columns, "framewise_displacement": fd})


@cache
def lemon() -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Measure both halves of the run under every strategy that its confounds allow."""
    (path,) = (DATA / "lemon_rest").glob("*_schaefer200_ts.csv.gz")
    series, confounds = read_series(path), lemon_confounds()
    half = len(series) // 2
    components = [name for name in confounds if name.startswith("component")]
    given = [name for name in confounds if name.startswith("given")]
    free, scrub = Censoring(fd_threshold_mm=None), Censoring(fd_threshold_mm=0.3, after=1)
    strategies = {
        "filter only": Cleaning((), censoring=free),
        "24P": Cleaning("24P", censoring=free),
        "24P, scrubbed": Cleaning("24P", censoring=scrub),
        "24P + 6 components": Cleaning((*MOTION_24, *components), censoring=free),
        "24P + 6 components, scrubbed": Cleaning((*MOTION_24, *components), censoring=scrub),
        "the 29 given": Cleaning(given, censoring=free),
    }
    tables, counts = {}, {}
    for name, cleaning in strategies.items():
        halves = {
            label: [Run(label, series[part], LEMON_TR_S, confounds[part].reset_index(drop=True))]
            for label, part in (("first", slice(half)), ("second", slice(half, 2 * half)))
        }
        cleaned = clean_sessions(halves, cleaning, seed=1).sessions
        denoised = {label: one.denoised for label, one in cleaned.items()}
        tables[name] = measured(
            {label: SessionSeries(one.series, one.times) for label, one in denoised.items()}
        )[1]
        df = " / ".join(f"{one.df_effective:.0f}" for one in denoised.values())
        counts[name] = f"{denoised['first'].frames_kept} frames, {df} df"
    return tables, counts


def lemon_strategies() -> Iterator[Bar]:
    tables, counts = lemon()
    frames = [set(table.loc["n_frames"]) for table in tables.values()]
    good = all(np.isfinite(table.to_numpy()).all() for table in tables.values())
    yield holds(
        "LEMON, two halves of one run, strategies measured with equal frames",
        f"{len(tables)}", "finite, equal", good and all(len(one) == 1 for one in frames),
    )  # fmt: skip
    for name, told in counts.items():
        yield holds(f"LEMON, {name}: frames and effective df of the halves", told, "-", True)


MEASURES = [lsd_against_placebo, lemon_strategies]
