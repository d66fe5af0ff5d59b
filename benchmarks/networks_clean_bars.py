"""Bars of denoising: censored frames, nilearn's answers and nilearn's time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from unittest import mock

import numpy as np
import pandas as pd
from bars import Bar, at_most, holds
from scipy.interpolate import CubicSpline

from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning, denoise
from petfmri.bold.operator import Band, TemporalOperator, temporal_operator
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.bold.strategies import STRATEGIES
from petfmri.bold.voxels import clean_voxels

TR_S, FRAMES, BAND = 2.0, 300, (0.01, 0.1)
SCRUBBING = Censoring(0.5, 1.5, before=1, after=2, minimum_contiguous=3)
NO_SCRUBBING = Censoring(fd_threshold_mm=None)
BANDS: dict[str, Band] = {"band-pass": BAND, "high-pass": (0.01, None)}
RUNS, PAIRS, TRUE_R, SPIKE_SD = 20, 200, 0.3, 6.0
SHARED = (0.5, 1.0)  # of the variance of a spike, by all parcels
VOXELS, CONFOUNDS = 63_112, 36


def confounds_of(
    rng: np.random.Generator, n_frames: int = FRAMES, share: float = 0.0
) -> pd.DataFrame:
    """Drifting confounds with all columns of all strategies; a share of the frames moves."""
    columns = {}
    for name in dict.fromkeys(name for names in STRATEGIES.values() for name in names):
        columns[name] = rng.normal(size=n_frames).cumsum() * 0.1 + rng.normal(size=n_frames)
    moved = bursts(rng, n_frames, share)
    columns["framewise_displacement"] = np.where(moved, 1.0, 0.1)
    columns["std_dvars"] = np.ones(n_frames)
    return pd.DataFrame(columns)


def bursts(rng: np.random.Generator, n_frames: int, share: float, ends: int = 10) -> np.ndarray:
    """Mark bursts of 1 to 4 frames, none at the ends."""
    moved = np.zeros(n_frames, dtype=bool)
    while moved.mean() < share:
        start = rng.integers(ends, n_frames - ends)
        moved[start : min(start + rng.integers(1, 5), n_frames - ends)] = True
    return moved


def nilearn_clean(
    series: np.ndarray, confounds: np.ndarray | None, kept: np.ndarray, band: Band = BAND
) -> np.ndarray:
    from nilearn.signal import clean

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clean(
            series, confounds=confounds, sample_mask=np.flatnonzero(kept), detrend=True,
            standardize=None, filter="butterworth", low_pass=band[1], high_pass=band[0], t_r=TR_S,
        )  # fmt: skip


# ---------------------------------------------------------------------------------- censoring


def invariance() -> Iterator[Bar]:
    """Alter data and confounds of every frame that is left out by orders of magnitude."""
    for scrubbing, censoring in (("FD, DVARS", SCRUBBING), ("dummies only", NO_SCRUBBING)):
        for filling in ("linear", "cubic"):
            differing, left_out = [], 0
            for strategy in STRATEGIES:
                for name, band in BANDS.items():
                    cleaning = Cleaning(strategy, band, censoring, 0.0, 1.0, filling)
                    same, left_out = _unmoved(cleaning)
                    differing += [] if same else [f"{strategy} {name}"]
            n = len(STRATEGIES) * len(BANDS)
            yield holds(
                f"censor invariance, {scrubbing}: {left_out} of {FRAMES} frames altered, {filling}",
                f"{n - len(differing)} of {n} bit-identical"
                + "".join(f", not {d}" for d in differing),
                "all strategies",
                not differing,
            )
    yield _cut_frames()


def _unmoved(cleaning: Cleaning) -> tuple[bool, int]:
    rng = np.random.default_rng(1)
    confounds = confounds_of(rng, share=0.15)
    confounds.loc[147:151, "framewise_displacement"] = 2.0  # round the middle, where nilearn leaks
    confounds.loc[[3, FRAMES - 1], "framewise_displacement"] = 2.0
    confounds.loc[80, "std_dvars"] = 9.0
    series = rng.normal(1000, 10, (FRAMES, 20))
    before = denoise(series, confounds, cleaning, tr_s=TR_S, dummy=3)
    out = ~before.kept
    series[out] += rng.normal(1000, 1e6, (np.count_nonzero(out), series.shape[1]))
    regressed = confounds.columns.drop(["framewise_displacement", "std_dvars"])
    confounds.loc[out, regressed] = -1e5
    after = denoise(series, confounds, cleaning, tr_s=TR_S, dummy=3)
    same = before.series.tobytes() == after.series.tobytes()
    return same and before.df_effective == after.df_effective, int(out.sum())


def _cut_frames() -> Bar:
    """Frames that the guard cuts away, for the other session's sake, have no part either."""
    rng = np.random.default_rng(2)
    runs = {
        name: Run(name, rng.normal(1000, 10, (n, 20)), TR_S, confounds_of(rng, n, 0.1))
        for name, n in (("pre", 300), ("post", 200))
    }

    def cleaned() -> np.ndarray:
        return clean_sessions({k: [run] for k, run in runs.items()}, Cleaning("24P"), seed=1).sessions[
            "pre"
        ].denoised  # fmt: skip

    before = cleaned()
    runs["pre"].series[~before.kept] = -1e6
    same = before.series.tobytes() == cleaned().series.tobytes()
    cut = np.count_nonzero(~before.kept)
    return holds(f"frames cut by the guard: {cut} of 300 altered", same, "bit-identical", same)


def burst_bias() -> Iterator[Bar]:
    """Correlations with and without spikes in the censored frames, and against the whole run."""
    for share in SHARED:
        moved, away = np.array([_bias_of_run(share, run) for run in range(RUNS)]).transpose(
            1, 2, 0, 3
        )
        case = f"15 % in bursts, spikes of 6 SD ({100 * share:.0f} % shared), {RUNS} runs: r"
        yield at_most(f"{case}, bias by the spikes, petfmri", abs(moved[0].mean()), 0.002)
        yield holds(f"{case}, bias by the spikes, nilearn", f"{moved[1].mean():+.4f}", "-", True)
        largest = " and ".join(f"{np.abs(one).max():.3f}" for one in moved)
        yield holds(f"{case}, largest change, petfmri and nilearn", largest, "-", True)
        name = f"{case}, bias from the whole run without spikes, {RUNS * PAIRS} pairs"
        yield at_most(f"{name}, petfmri", abs(away[0].mean()), 0.002)
        yield holds(f"{name}, nilearn", f"{away[1].mean():+.4f}", "-", True)


def _bias_of_run(share: float, run: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Change of r by the spikes, and r minus that of the whole run without any; ours, nilearn's."""
    rng = np.random.default_rng([3, run])
    out = bursts(rng, FRAMES, 0.15)
    mixing = np.linalg.cholesky([[1, TRUE_R], [TRUE_R, 1]]).T
    clean = (rng.normal(size=(FRAMES, PAIRS, 2)) @ mixing).reshape(FRAMES, -1)
    shared, own = rng.normal(size=(out.sum(), 1)), rng.normal(size=(out.sum(), clean.shape[1]))
    spiked = clean.copy()
    spiked[out] += SPIKE_SD * (np.sqrt(share) * shared + np.sqrt(1 - share) * own)
    matrix = _matrix(~out).matrix
    whole = _pair_r((_matrix(np.ones(FRAMES, dtype=bool)).matrix @ clean)[~out])
    theirs = [_pair_r(nilearn_clean(data, None, ~out)) for data in (spiked, clean)]
    ours = [_pair_r(matrix @ data[~out]) for data in (spiked, clean)]
    return [ours[0] - ours[1], theirs[0] - theirs[1]], [ours[0] - whole, theirs[0] - whole]


def _matrix(kept: np.ndarray) -> TemporalOperator:
    return temporal_operator(np.empty((kept.size, 0)), kept, tr_s=TR_S, band_hz=BAND)


def _pair_r(series: np.ndarray) -> np.ndarray:
    """Correlate neighbouring columns 0 and 1, 2 and 3, ..."""
    pairs = (series - series.mean(axis=0)).reshape(len(series), -1, 2)
    covariance = np.einsum("tnp,tnq->npq", pairs, pairs)
    return covariance[:, 0, 1] / np.sqrt(covariance[:, 0, 0] * covariance[:, 1, 1])


# ---------------------------------------------------------------------------------- nilearn


def against_nilearn() -> Iterator[Bar]:
    """Give nilearn's interpolation the boolean mask that it means; compare columns of SD 1."""
    for strategy in ("24P+aCompCor", "36P"):
        for mean in (0.0, 1000.0):
            rng = np.random.default_rng(4)
            confounds = confounds_of(rng, share=0.15)
            kept = confounds["framewise_displacement"].to_numpy() <= 0.5
            series = mean + rng.normal(size=(FRAMES, 200))
            cleaning = Cleaning(strategy, BAND, minimum_df=1, interpolation="cubic")
            ours = denoise(series, confounds, cleaning, tr_s=TR_S).series
            columns = confounds[list(STRATEGIES[strategy])].to_numpy()
            with mock.patch("nilearn.signal._interpolate_volumes", _interpolate):
                theirs = nilearn_clean(series, columns, kept)
            error = np.abs(ours - (theirs - theirs.mean(axis=0))).max()
            name = f"{strategy}, scrub: against nilearn given a boolean mask, SD 1, mean {mean:g}"
            yield at_most(name, error, 1e-10)


def _interpolate(
    volumes: np.ndarray, sample_mask: np.ndarray, t_r: float, extrapolate: bool
) -> np.ndarray:
    """Do what nilearn documents, with the mask as a mask."""
    kept = np.zeros(len(volumes), dtype=bool)
    kept[sample_mask] = True
    time_s = t_r * np.arange(len(volumes))
    filled = volumes.copy()
    filled[~kept] = CubicSpline(time_s[kept], volumes[kept], extrapolate=extrapolate)(time_s[~kept])
    return filled


def speed() -> Iterator[Bar]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    one = {**os.environ, **dict.fromkeys(names, "1")}
    told = subprocess.run(
        [sys.executable, __file__], check=True, capture_output=True, text=True, env=one
    ).stdout
    build, apply, theirs, error, error_r = map(float, told.split())
    name = f"{VOXELS:,} voxels x {FRAMES}, {CONFOUNDS} confounds, band-pass, scrub"
    yield holds(f"{name}: CPU of building, applying", f"{build:.3f}, {apply:.3f} s", "-", True)
    ratio = theirs / (build + apply)
    yield holds(
        f"{name}: times faster than nilearn ({theirs:.0f} s)",
        f"{ratio:.0f}",
        ">= 120",
        ratio >= 120,
    )
    yield at_most(f"{name}: float32 against float64, SD 10, mean 10,000", error, 1e-4)
    yield at_most(f"{name}: the same, largest error of 10,000 correlations", error_r, 1e-5)


def measure_alone() -> None:
    """Print CPU seconds and errors: run as a process of its own, with one thread."""
    rng = np.random.default_rng(5)
    kept = ~bursts(rng, FRAMES, 0.15)
    voxels = rng.normal(10_000, 10, (FRAMES, VOXELS)).astype(np.float32)
    confounds = rng.normal(size=(FRAMES, CONFOUNDS))
    times = []
    for _ in range(5):
        start = time.process_time()
        operator = temporal_operator(confounds, kept, tr_s=TR_S, band_hz=BAND)
        built = time.process_time()
        cleaned = clean_voxels(operator, voxels[kept])
        times.append((built - start, time.process_time() - built))
    start = time.process_time()
    nilearn_clean(voxels, confounds, kept)
    theirs = time.process_time() - start
    some = voxels[kept][:, :2000].astype(float)
    exact = operator.matrix @ (some - some.mean(axis=0))
    error = np.abs(cleaned[:, :2000] - exact).max()
    r = [
        np.corrcoef(x[:, :100].astype(float).T, x[:, 100:200].astype(float).T)
        for x in (cleaned, exact)
    ]
    print(*np.median(times, axis=0), theirs, error, np.abs(r[0] - r[1]).max())


MEASURES = [invariance, burst_bias, against_nilearn, speed]

if __name__ == "__main__":
    measure_alone()
