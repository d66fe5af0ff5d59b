"""Bars of recovery: a planted loss of segregation comes back, and nothing where nothing was planted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from bars import Bar, holds
from image_tools import each
from networks_clean_bars import TR_S

from petfmri.atlases import load_atlas
from petfmri.bold.denoise import Cleaning
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.bold.strategies import MOTION_24
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.measures import SessionSeries, measure_sessions
from petfmri.networks.phases import phases
from petfmri.networks.registry import METRICS, network_metrics
from petfmri.simulation.connectivity import NetworkModel, network_model, true_metrics
from petfmri.simulation.effects import Effects
from petfmri.statistics.families import Wanted
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.prepost import Comparison, compare

STRENGTHS, PEOPLE, FRAMES = (0.2, 0.4, 0.6, 0.8, 1.0), 20, 300
LOOKED_AT = ("segregation", "between_fc_Default_SomMot")
STUDIES, NULL_FRAMES, EVERY = 2000, 150, 4
TESTED = ("segregation", "ngsc", "between_fc_Default_SomMot")
CORE = [metric.name for metric in METRICS]


# ---------------------------------------------------------------------------------- recovery


def recovery() -> Iterator[Bar]:
    """Raw series with motion in them, to the mean change of 20 people, at each planted strength."""
    rows = [found for pair in each(_study, STRENGTHS) for found in pair]
    table = pd.DataFrame(rows, columns=["outcome", "strength", "true", "found", "se", "p"])
    for outcome, part in table.groupby("outcome", sort=False):
        for row in part.itertuples():
            yield holds(
                f"change of {outcome}, strength {row.strength:g}, n = {PEOPLE}: true, found +- SE, p",
                f"{row.true:+.4f}, {row.found:+.4f} +- {row.se:.4f}, {row.p:.2g}", "-", True,
            )  # fmt: skip
        rising = bool(np.all(np.diff(part["found"] * np.sign(part["true"])) > 0))
        yield holds(f"change of {outcome}: monotone in the strength", rising, "True", rising)
        slope = float(part["true"] @ part["found"] / (part["true"] @ part["true"]))
        ok = 0.9 <= slope <= 1.1
        yield holds(f"change of {outcome}: found over true", f"{slope:.3f}", "0.9 to 1.1", ok)


def _study(strength: float) -> list[tuple[str, float, float, float, float, float]]:
    """Compare 20 people before and after; other people and other noise at each strength."""
    table = load_atlas().table
    rng = np.random.default_rng([20, round(10 * strength)])
    rows, truth = [], []
    for person in range(PEOPLE):
        traits = tuple(rng.normal(size=2))
        scales = {"pre": 0.0, "post": strength * (1 + 0.3 * rng.normal())}
        models = {
            name: network_model(table["network"], Effects(), scale, traits)
            for name, scale in scales.items()
        }
        runs = {name: [_raw_run(name, model, rng)] for name, model in models.items()}
        cleaned = clean_sessions(runs, Cleaning("24P"), seed=person).sessions
        series = {
            name: SessionSeries(one.denoised.series, one.denoised.times)
            for name, one in cleaned.items()
        }
        for name, measured in measure_sessions(series, table).items():
            where = {"participant_id": f"sub-{person:02d}", "session_id": name, "role": name}
            rows.append({**where, **measured.row})
        true = {name: true_metrics(model.matrix(), table) for name, model in models.items()}
        truth.append({key: true["post"][key] - true["pre"][key] for key in LOOKED_AT})
    found = _compared(pd.DataFrame(rows))
    mean = pd.DataFrame(truth).mean()
    return [
        (key, strength, float(mean[key]), *found.loc[key, ["change", "se", "p"]])
        for key in LOOKED_AT
    ]


def _compared(sessions: pd.DataFrame) -> pd.DataFrame:
    result: Comparison = compare(None, sessions, Wanted("segregation", networks=CORE))
    found = result.comparisons.set_index("outcome")
    return found.assign(se=found["sd_change"] / np.sqrt(found["n"]))


def _raw_run(name: str, model: NetworkModel, rng: np.random.Generator) -> Run:
    """Series of mean 1000 with the artefacts of a head that drifts and jumps, more so than neural."""
    neural = model.series(FRAMES, TR_S, rng)
    motion = rng.normal(scale=0.02, size=(FRAMES, 6)).cumsum(axis=0)
    motion += 0.4 * (rng.random((FRAMES, 1)) < 0.04)
    change = np.diff(motion, axis=0, prepend=motion[:1])
    fd = np.abs(change).sum(axis=1)
    confounds = pd.DataFrame(
        np.hstack([motion, change, motion**2, change**2]), columns=list(MOTION_24)
    )
    confounds["framewise_displacement"] = fd
    n = neural.shape[1]
    artefact = 8 * np.hstack([motion, change, change**2]) @ rng.normal(1, 0.3, (18, n))
    spikes = 30 * (fd > 0.5)[:, None] * rng.normal(1, 0.2, n)
    series = 1000 + 10 * neural + artefact + spikes + 2 * rng.normal(size=neural.shape)
    return Run(name, series, TR_S, confounds)


# ---------------------------------------------------------------------------------- nothing


def null_studies() -> Iterator[Bar]:
    """Two sessions of the same connectivity, clean already; every study has people of its own."""
    p = np.array(each(_null_study, range(STUDIES)))
    for name, values in zip((*TESTED, "any of the core family, corrected"), p.T, strict=True):
        rate = 100 * float(np.mean(values < 0.05))
        yield holds(
            f"{STUDIES:,} studies of n = {PEOPLE} without change: p < .05, {name}",
            f"{rate:.1f} %", "3.5 to 6.5 %", 3.5 <= rate <= 6.5,
        )  # fmt: skip


def _null_study(number: int) -> list[float]:
    rng = np.random.default_rng([21, number])
    cortex = load_cortex()
    change = []
    for _ in range(PEOPLE):
        model = network_model(cortex, Effects.none(), 0.0, tuple(rng.normal(size=2)))
        pre, post = (_core(model.series(NULL_FRAMES, TR_S, rng), cortex.tolist()) for _ in range(2))
        change.append([post[name] - pre[name] for name in CORE])
    found = sign_flip(np.array(change), seed=number)
    return [*(float(found.p[CORE.index(name)]) for name in TESTED), float(found.p_fwe.min())]


def load_cortex() -> pd.Series[str]:
    """Every fourth parcel of the cortex: 50, of all seven networks."""
    table = load_atlas().table
    return table.loc[table["structure"] == "cortex", "network"].iloc[::EVERY].reset_index(drop=True)


def _core(series: np.ndarray, networks: list[str]) -> dict[str, float]:
    """Compute the core of `network_metrics` alone: the details take most of its time."""
    arrays = {
        "series": series,
        "connectivity": fisher_z(correlate(series)),
        "phases": phases(series),
    }
    return {metric.name: metric.function(arrays[metric.of], networks) for metric in METRICS}


def same_core() -> Iterator[Bar]:
    cortex = load_cortex()
    series = network_model(cortex, Effects(), 0.0, (0.0, 0.0)).series(
        NULL_FRAMES, TR_S, np.random.default_rng(22)
    )
    whole, core = network_metrics(series, cortex.tolist()), _core(series, cortex.tolist())
    same = all(whole[name] == value for name, value in core.items())
    yield holds("null studies: metrics are those of network_metrics", same, "True", same)


MEASURES = [recovery, same_core, null_studies]
