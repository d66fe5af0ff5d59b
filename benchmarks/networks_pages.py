"""What docs/validation/networks.md says below its table of bars."""

from __future__ import annotations

import pandas as pd
from networks_real_bars import ABOUT, FIGURE, lemon, lsd_table

LSD = """\
## LSD against placebo: one person

OpenNeuro ds003059, by way of CopBET's example data: one person, two rest runs of 217 frames (TR 2 s)
on placebo and two on LSD (run 02, with music, is not among them), cleaned and band-passed when
published; 200 cortical parcels in seven networks. Every run is measured by itself, so that all
values rest on equal frames; the first two columns are means of two runs. The gradients of the four
runs are aligned to one template. "Runs apart" is run 03 minus run 01 under one condition.

![Core metrics of four runs: points are runs, bars are means](../images/{figure})

{table}

What this can show: the metrics run on real data from the file to the table, and how large a
difference between two scans of one person is. {n_beyond} of {n} metrics differ between the
conditions by more than the runs differ within either ({beyond}). The others do not, NGSC and the
principal gradient among them, although their direction is that of published groups (complexity up
on psilocybin, Siegel 2024; principal gradient flatter on LSD, Girn 2022).

What it cannot show: that LSD did it. It is one person, one dose and one order of two days, and two
runs of one day lie closer together than two days do, so they are too small a yardstick. There is no
p, because one person has none.
"""

LEMON = """\
## LEMON: one run under every strategy

One person, 652 frames (TR 1.4 s), 200 cortical parcels, cut into halves of equal frames. Of the 29
confounds that come with it, columns 7 to 12 are rotations and translations (columns 13 to 18 are
their differences, exactly), and the first six are taken for tissue components. Framewise
displacement is computed of the motion; scrubbed: above 0.3 mm, with one frame after. The global
signal is not among the confounds, so that strategies with it are not possible. Band 0.01 to 0.1 Hz.
Of whole halves, effective degrees of freedom are fewest without regressors: the filter amplifies two
slow patterns at the ends of a run, which regressors damp. Each cell: first half, second half.

{table}

What this can show: how far the strategy moves a metric in one person, and that the halves of one run
may differ by more: in the second half networks are far more connected with one another, a little
less so where components are regressed out. That is the size of change that drowsiness or motion
make without any drug. What it cannot show: which strategy is
right, because there is no truth here, nor how reliable a metric is, which takes many people
(`petfmri.statistics.reliability`).
"""


def appendix() -> str:
    told = lsd_table()
    apart = [name for name in told if name.startswith("runs apart")]
    metrics = told.loc[list(ABOUT)]
    more = metrics["LSD − placebo"].abs() > metrics[apart].abs().max(axis=1)
    lsd = LSD.format(
        figure=FIGURE.name, table=_lsd(told), n=len(metrics), n_beyond=more.sum(),
        beyond=", ".join(metrics.loc[more, "metric"].str.lower().str.replace("pcc", "PCC")),
    )  # fmt: skip
    return f"{lsd}\n{LEMON.format(table=_lemon())}"


def _lsd(told: pd.DataFrame) -> str:
    lines = [_row(told.columns), _row(["---"] + ["---:"] * (len(told.columns) - 1))]
    for name, row in told.iterrows():
        signed = name != "fc_distance"
        cells = [
            "" if pd.isna(value) else f"{value:+.3f}" if signed and k > 1 else f"{value:.3f}"
            for k, value in enumerate(row.iloc[1:])
        ]
        lines.append(_row([row["metric"], *cells]))
    return "\n".join(lines)


def _lemon() -> str:
    tables, counts = lemon()
    lines = [_row(["metric", *tables]), _row(["---"] + ["---:"] * len(tables))]
    lines.append(_row(["frames and effective df of each half", *counts.values()]))
    for name, about in ABOUT.items():
        cells = [
            f"{t.loc[name, 'first']:.3f}, {t.loc[name, 'second']:.3f}" for t in tables.values()
        ]
        lines.append(_row([about.label, *cells]))
    return "\n".join(lines)


def _row(cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"
