"""Bars of the metrics: NGSC on noise, graphs by hand and against bctpy, gradients, time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bars import Bar, at_most, holds
from networks_clean_bars import TR_S, confounds_of
from scipy import linalg, signal
from scipy.integrate import quad

from petfmri.atlases import load_atlas
from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning, denoise
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.networks.centrality import eigenvector_centrality
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.gbc import gbc
from petfmri.networks.gradients import aligned_gradients, gradient_metrics, gradients
from petfmri.networks.measures import SessionSeries, measure_sessions
from petfmri.networks.ngsc import ngsc
from petfmri.networks.participation import participation, participation_negative
from petfmri.networks.segregation import segregation
from petfmri.networks.strength import nodal_strength

WORK = (
    Path(os.environ.get("PETFMRI_BARS_DIR") or tempfile.mkdtemp(prefix="petfmri_bars_"))
    / "networks"
)
BCTPY = "bctpy==0.6.1"
PEOPLE = 60  # of the test of the guard
LENGTHS = (100, 150, 217, 300, 510)


# ---------------------------------------------------------------------------------- NGSC


def white_noise() -> Iterator[Bar]:
    for n_frames, n_parcels in ((217, 100), (510, 400), (510, 100)):
        rng = np.random.default_rng(n_frames + n_parcels)
        found = np.mean([ngsc(rng.normal(size=(n_frames, n_parcels))) for _ in range(50)])
        expected = _marchenko_pastur(n_frames, n_parcels)
        yield at_most(
            f"NGSC of white noise, T {n_frames}, N {n_parcels}: mean of 50 less Marchenko-Pastur {expected:.4f}",
            abs(found - expected), 1.5e-3,
        )  # fmt: skip


def _marchenko_pastur(n_frames: int, n_parcels: int) -> float:
    """Entropy of the law that the spectrum of white noise follows, over ln m."""
    m = min(n_frames, n_parcels)
    ratio = m / max(n_frames, n_parcels)
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2

    def weight(x: float) -> float:
        return np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio) * np.log(x)

    return float((np.log(m) - quad(weight, low, high)[0]) / np.log(m))


def frame_counts() -> Iterator[Bar]:
    """One generator, scanned for longer and shorter; then two sessions without and with the guard."""
    rng = np.random.default_rng(10)
    mixing = rng.normal(size=(20, 400))
    means = [np.mean([ngsc(_scan(rng, n, mixing)) for _ in range(20)]) for n in LENGTHS]
    yield holds(
        "NGSC of one generator, N 400, T " + ", ".join(map(str, LENGTHS)),
        ", ".join(f"{value:.3f}" for value in means), "-", True,
    )  # fmt: skip
    yield from _guard(rng, "150 minus 300 frames", (300, 150), (0.05, 0.05))
    yield from _guard(
        rng, "30 % scrubbed in bursts minus whole, 300 frames", (300, 300), (0.0, 0.3)
    )


def _guard(
    rng: np.random.Generator, name: str, lengths: tuple[int, int], scrubbed: tuple[float, float]
) -> Iterator[Bar]:
    """Post minus pre of people whose sessions differ in frames only, each alone and made equal."""
    mixing = rng.normal(size=(20, 200))
    cleaning = Cleaning("24P", censoring=Censoring(fd_threshold_mm=0.5))
    alone, together = [], []
    for person in range(PEOPLE):
        runs = {
            session: [Run(session, 1000 + _scan(rng, n, mixing), TR_S, confounds_of(rng, n, share))]
            for session, n, share in zip(("pre", "post"), lengths, scrubbed)
        }
        values = {
            session: ngsc(
                clean_sessions({session: own}, cleaning).sessions[session].denoised.series
            )
            for session, own in runs.items()
        }
        alone.append(values["post"] - values["pre"])
        guarded = clean_sessions(runs, cleaning, seed=person).sessions
        values = {session: ngsc(one.denoised.series) for session, one in guarded.items()}
        together.append(values["post"] - values["pre"])
    name = f"NGSC of one generator, {PEOPLE} people: {name}"
    error = np.std(together, ddof=1) / np.sqrt(PEOPLE)
    yield holds(f"{name}, without the guard", f"{np.mean(alone):+.4f}", "-", True)
    yield at_most(f"{name}, with it (SE {error:.4f})", abs(np.mean(together)), 0.003)


def _scan(rng: np.random.Generator, n_frames: int, mixing: np.ndarray) -> np.ndarray:
    """Few courses and noise of single parcels, all AR(1) of 0.5 and in the steady state."""
    rank, n_parcels = mixing.shape
    white = rng.normal(size=(n_frames + 50, rank + n_parcels))
    slow = signal.lfilter([1], [1, -0.5], white, axis=0)[50:]
    return slow[:, :rank] @ mixing / np.sqrt(rank) + slow[:, rank:]


# ---------------------------------------------------------------------------------- graphs


def by_hand() -> Iterator[Bar]:
    """Two networks of two; every number below was worked out on paper."""
    z = np.array([[0, 0.8, 0.2, -0.4], [0.8, 0, 0.2, 0.2], [0.2, 0.2, 0, 0.4], [-0.4, 0.2, 0.4, 0]])
    networks = ["Default", "Default", "SomMot", "SomMot"]
    star = np.array([[0, 0.5, 0.5], [0.5, 0, -0.2], [0.5, -0.2, 0]])
    errors = {
        "segregation (W 0.6, B 0.15)": segregation(z, networks) - 0.75,
        "participation (1 - 0.8^2 - 0.2^2, ...)": participation(z, networks)
        - [0.32, 1 - (4 / 6) ** 2 - (2 / 6) ** 2, 0.5, 1 - (1 / 3) ** 2 - (2 / 3) ** 2],
        "participation of negatives (one partner)": participation_negative(z, networks),
        "strength (sums of positives over 3)": nodal_strength(z) - np.array([1.0, 1.2, 0.8, 0.6]) / 3,
        "GBC (sums over 3)": gbc(z) - np.array([0.6, 1.2, 0.8, 0.2]) / 3,
        "eigenvector centrality of a star": eigenvector_centrality(star) - [np.sqrt(0.5), 0.5, 0.5],
    }  # fmt: skip
    for name, error in errors.items():
        yield at_most(f"by hand: {name}", float(np.abs(error).max()), 1e-12)


def against_bctpy() -> Iterator[Bar]:
    graphs = list(_graphs())
    theirs = _bctpy(graphs)
    worst = dict.fromkeys(
        ("participation", "participation_negative", "strength", "total", "eigenvector_centrality"),
        0.0,
    )
    for k, (weights, communities) in enumerate(graphs):
        partners = len(weights) - 1
        names = [str(one) for one in communities]
        ours = {
            "participation": participation(weights, names),
            "participation_negative": participation_negative(weights, names),
            "strength": nodal_strength(weights) * partners,
            "total": gbc(weights) * partners,
            "eigenvector_centrality": eigenvector_centrality(weights),
        }
        for name, values in ours.items():
            scale = max(1.0, float(np.abs(theirs[f"{name}{k}"]).max()))
            error = float(np.abs(values - theirs[f"{name}{k}"]).max()) / scale
            worst[name] = max(worst[name], error)
    said = {"strength": "strength (ours is the mean: times n - 1), relative",
            "total": "GBC (times n - 1) against the sum of weights, relative"}  # fmt: skip
    for name, error in worst.items():
        label = said.get(name, name.replace("_", " "))
        yield at_most(f"bctpy, {len(graphs)} graphs of 30 to 400: {label}", error, 1e-12)


def _graphs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Correlations of mixed noise as Fisher z, which have weights of both signs."""
    for n in (30, 100, 216, 400):
        for seed in range(3):
            rng = np.random.default_rng([11, n, seed])
            series = rng.normal(size=(150, 12)) @ rng.normal(size=(12, n)) + rng.normal(
                size=(150, n)
            )
            yield fisher_z(correlate(series)), rng.permutation(np.arange(n) % 7 + 1)


def _bctpy(graphs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Run bctpy in its own environment; graphs and results pass as files."""
    python = WORK / "bctpy/bin/python"
    if not python.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", WORK / "bctpy"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", BCTPY], check=True)
    source, target = WORK / "to_bctpy.npz", WORK / "from_bctpy.npz"
    np.savez(
        source, **{f"w{k}": w for k, (w, _) in enumerate(graphs)},
        **{f"c{k}": c for k, (_, c) in enumerate(graphs)},
    )  # fmt: skip
    script = Path(__file__).with_name("networks_bctpy_peer.py")
    subprocess.run([python, "-W", "ignore", script, source, target], check=True)
    return dict(np.load(target))


# ---------------------------------------------------------------------------------- gradients


def exact_gradients() -> Iterator[Bar]:
    for n in (100, 200, 400):
        sessions = [_along_an_axis(n, seed) for seed in range(4)]
        found = gradients(sessions[0])
        eigenvalues, values = _dense(sessions[0], found.eigenvalues.size)
        r = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(found.values.T, values.T, strict=True)]
        name = f"gradients of {n} parcels against a dense solve"
        yield holds(
            f"{name}: smallest absolute r of 10",
            f"1 - {1 - min(r):.1e}",
            ">= 0.99999",
            min(r) >= 0.99999,
        )
        yield at_most(f"{name}: eigenvalues", np.abs(found.eigenvalues - eigenvalues).max(), 1e-6)
        labels = (["SomMot"] * (n // 2)) + ["Default"] * (n - n // 2)
        before = [one.values for one in aligned_gradients(sessions, labels)]
        order = [2, 0, 3, 1]
        after = [one.values for one in aligned_gradients([sessions[k] for k in order], labels)]
        moved = max(np.abs(a - before[k]).max() for a, k in zip(after, order, strict=True))
        scale = np.abs(before).max()
        yield at_most(
            f"{name}: change of sign or scale after permuting 4 sessions", moved / scale, 1e-6
        )


def _along_an_axis(n: int, seed: int) -> np.ndarray:
    return fisher_z(correlate(_axis_series(np.random.default_rng([12, seed]), n)))


def _axis_series(rng: np.random.Generator, n: int, n_frames: int = 300) -> np.ndarray:
    """Parcels that change from one end of an axis to the other, with smaller axes and noise."""
    axis = np.linspace(-1, 1, n)
    place = np.random.default_rng(13).normal(size=(n, 4))
    loadings = np.column_stack([1 + axis, 1 - axis, 0.5 * place])
    return rng.normal(size=(n_frames, 6)) @ loadings.T + 0.7 * rng.normal(size=(n_frames, n))


def _dense(z: np.ndarray, n_components: int, keep: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Diffusion map by its definition: every eigenvector of the non-symmetric P."""
    n = len(z)
    rows = np.zeros((n, n))
    for i in range(n):
        order = [j for j in np.argsort(-z[i]) if j != i][: round(keep * n)]
        rows[i, order] = np.maximum(z[i, order], 0)
    norm = np.sqrt(np.sum(rows**2, axis=1))
    W = rows @ rows.T / np.outer(norm, norm)
    density = np.sqrt(W.sum(axis=1))
    W = W / np.outer(density, density)
    values, vectors = linalg.eig(W / W.sum(axis=1, keepdims=True))
    order = np.argsort(-values.real)[1 : n_components + 1]
    return values.real[order], vectors.real[:, order]


# ---------------------------------------------------------------------------------- time


def core_set() -> Iterator[Bar]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    one = {**os.environ, **dict.fromkeys(names, "1")}
    told = subprocess.run(
        [sys.executable, __file__], check=True, capture_output=True, text=True, env=one
    ).stdout.split()
    name = f"one run of 300 frames, 216 parcels: clean, {told[1]} metrics, nodes, gradients"
    yield at_most(f"{name}: CPU", float(told[0]), 2.0, "s")


def measure_alone() -> None:
    """Print CPU seconds and the number of metrics: run as a process of its own, with one thread."""
    table = load_atlas().table
    rng = np.random.default_rng(14)
    series = 1000 + 10 * _axis_series(rng, len(table))
    confounds = confounds_of(rng, 300, 0.1)
    rois = {"PCC": [name for name in table["name"] if "Default" in name and "pCunPCC" in name]}
    times = []
    for _ in range(3):
        start = time.process_time()
        cleaned = denoise(series, confounds, Cleaning(), tr_s=TR_S)
        session = SessionSeries(cleaned.series, cleaned.times)
        (found,) = measure_sessions({"pre": session}, table, rois=rois).values()
        cortex = (table["structure"] == "cortex").to_numpy()
        labels = table["network"][cortex].tolist()
        z = fisher_z(found.connectivity)[np.ix_(cortex, cortex)]
        (gradient,) = aligned_gradients([z], labels)
        told = gradient_metrics(gradient.values, labels)
        times.append(time.process_time() - start)
    print(np.median(times), len(found.row) - 3 + len(told))


MEASURES = [white_noise, frame_counts, by_hand, against_bctpy, exact_gradients, core_set]

if __name__ == "__main__":
    measure_alone()
