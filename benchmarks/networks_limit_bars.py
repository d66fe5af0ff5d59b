"""Bars of what must not pass: runs that cannot be cleaned, and offsets in single precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from bars import Bar, at_most, holds
from networks_clean_bars import FRAMES, TR_S, confounds_of

from petfmri.bold.denoise import Cleaning, denoise
from petfmri.bold.series import SignalCollector
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.bold.strategies import MOTION_24
from petfmri.errors import DenoisingError
from petfmri.networks.connectivity import correlate
from petfmri.networks.seed_map import seed_map

MEAN, SD = 10_000.0, 10.0


# ---------------------------------------------------------------------------------- refusals


def impossible() -> Iterator[Bar]:
    """Runs that cannot be cleaned must end in an error or an exclusion that says why."""
    rng = np.random.default_rng(6)
    whole = confounds_of(rng)
    few = whole.copy()
    few["framewise_displacement"] = np.where(np.arange(FRAMES) % 33 == 5, 0.1, 1.0)
    broken = whole.copy()
    broken.loc[50, "rot_x"] = np.nan
    still = Cleaning("24P", minimum_kept_s=0)
    cases: dict[str, tuple[pd.DataFrame, Cleaning, str]] = {
        f"{(few['framewise_displacement'] < 0.5).sum()} frames kept, 24P, band-pass": (
            few, still, "effective degrees of freedom"),
        "20 frames, 24P, high-pass": (
            whole[:20], Cleaning("24P", (0.01, None), minimum_kept_s=0), "independent regressors"),
        "80 frames, 24P+aCompCor, band-pass": (
            whole[:80], Cleaning(minimum_kept_s=0), "effective degrees of freedom"),
        "all frames censored": (whole.assign(framewise_displacement=0.9), still, "censored by"),
        "columns csf missing, 36P": (whole.drop(columns="csf"), Cleaning("36P"), "no column csf"),
        "no framewise displacement": (
            whole.drop(columns="framewise_displacement"), still, "framewise_displacement"),
        "a confound of a kept frame is NaN": (broken, still, "not finite"),
    }  # fmt: skip
    for name, (confounds, cleaning, expected) in cases.items():
        yield _refused(f"{name}: error", confounds, cleaning, expected)
    yield from _excluded(whole, whole.assign(framewise_displacement=0.9))


def _refused(name: str, confounds: pd.DataFrame, cleaning: Cleaning, expected: str) -> Bar:
    series = np.random.default_rng(7).normal(1000, 10, (len(confounds), 10))
    try:
        denoise(series, confounds, cleaning, tr_s=TR_S)
    except DenoisingError as error:
        return holds(name, error.problems[0].found, f"'{expected}'", expected in str(error))
    return holds(name, "numbers", f"'{expected}'", False)


def _excluded(good: pd.DataFrame, moved: pd.DataFrame) -> Iterator[Bar]:
    series = np.random.default_rng(8).normal(1000, 10, (FRAMES, 10))
    sessions = {
        "pre": [Run("pre run-1", series, TR_S, good)],
        "post": [Run("post run-1", series, TR_S, moved), Run("post run-2", series, TR_S, good)],
    }
    found = clean_sessions(sessions, Cleaning(MOTION_24), seed=1)
    reason = found.excluded.get("post run-1", "not excluded")
    yield holds(
        "a run of two all censored: recorded exclusion", reason, "excluded, others used",
        "0 s kept" in reason and set(found.sessions) == {"pre", "post"},
    )  # fmt: skip


# ---------------------------------------------------------------------------------- offsets


def offsets() -> Iterator[Bar]:
    """Mean 10,000, SD 10 in float32, against extended precision on the very same numbers."""
    rng = np.random.default_rng(9)
    shared = rng.normal(size=(FRAMES, 20))
    mixed = shared @ rng.normal(size=(20, 2000)) / np.sqrt(20) + rng.normal(size=(FRAMES, 2000))
    voxels = (MEAN + SD / np.sqrt(2) * mixed).astype(np.float32)
    exact = _exact_r(voxels.astype(np.longdouble)[:, :200])
    error = np.abs(correlate(voxels[:, :200]) - exact).max()
    name = "mean 10,000, SD 10, float32"
    yield at_most(f"{name}: r of 200 parcels", error, 1e-6)
    seed = voxels[:, :10].mean(axis=1, dtype=float)
    unit = _exact_unit(np.column_stack([seed, voxels[:, 10:]]).astype(np.longdouble))
    exact = (unit[:, 0] @ unit[:, 1:]).astype(float)
    error = np.abs(np.tanh(seed_map(seed, voxels[:, 10:])) - exact).max()
    yield at_most(f"{name}: r of a seed with 1,990 voxels", error, 1e-6)
    labels = np.repeat(np.arange(1, 101), 20)
    everywhere, nowhere = np.ones(labels.size, dtype=bool), np.zeros(labels.size, dtype=bool)
    collector = SignalCollector(
        labels, np.arange(1, 101), in_fov=everywhere, brain=everywhere, white_matter=nowhere, csf=nowhere
    )  # fmt: skip
    for volume in voxels:
        collector.add(volume)
    means = voxels.astype(np.longdouble).reshape(FRAMES, 100, 20).mean(axis=2)
    error = np.abs(correlate(collector.finish().series) - _exact_r(means)).max()
    yield at_most(f"{name}: r of the means of 100 parcels of 20 voxels", error, 1e-6)
    one_pass = np.mean(voxels**2, axis=0, dtype=np.float32) - np.mean(voxels, axis=0) ** 2
    wrong = np.abs(np.sqrt(np.maximum(one_pass, 0)) / voxels.std(axis=0, dtype=float) - 1).max()
    yield holds(f"{name}: SD in one pass of float32, wrong by", f"{100 * wrong:.0f} %", "-", True)


def _exact_r(series: np.ndarray) -> np.ndarray:
    unit = _exact_unit(series)
    return (unit.T @ unit).astype(float)


def _exact_unit(series: np.ndarray) -> np.ndarray:
    centred = series - series.mean(axis=0)
    return centred / np.sqrt(np.sum(centred**2, axis=0))


MEASURES = [impossible, offsets]
