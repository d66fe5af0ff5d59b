"""Bars of the crossover: REML against statsmodels, degrees of freedom, calibration."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bars import Bar, at_most, holds, within

from petfmri.simulation.crossover import CrossoverPlan, CrossoverTruth, crossover_values
from petfmri.statistics.connections import SPECIFIC, connection_outcomes
from petfmri.statistics.crossover_design import (
    Crossover,
    baseline_covariates,
    baselines,
    crossover_of,
    visit_model,
)
from petfmri.statistics.crossover_mixed import MixedTests, mixed_tests
from petfmri.statistics.crossover_sequences import (
    SequenceTest,
    over_times,
    period_differences,
    sequence_test,
)
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.reml import Reml, reml
from petfmri.typing import FloatArray

WORK = (
    Path(os.environ.get("PETFMRI_BARS_DIR") or tempfile.mkdtemp(prefix="petfmri_bars_"))
    / "statistics"
)
STATSMODELS = "statsmodels==0.15.0"
EDGES, COMPARED, STUDIES = 400 * 399 // 2, 200, 2000


def planned(
    plan: CrossoverPlan, truth: CrossoverTruth, n: int, seed: int
) -> tuple[Crossover, FloatArray]:
    sessions = plan.sessions(seed)
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline=plan.baseline)
    return design, crossover_values(sessions, plan, truth, n, seed)


# ---------------------------------------------------------------------------------- REML


def all_edges() -> Iterator[Bar]:
    """Every edge of 400 parcels: 16 persons, two periods, four times, own baseline of each edge."""
    rng = np.random.default_rng(20)
    truth = CrossoverTruth(
        0.15, rng.uniform(0, 0.15, EDGES), 0.2, period=0.02, treatment=(0.05,) * 4
    )
    design, values = planned(CrossoverPlan(), truth, EDGES, 20)
    start = time.process_time()
    found = mixed_tests(values, design)
    seconds = time.process_time() - start
    yield at_most(f"REML, 16 x 2 x 4 visits x {EDGES:,} edges: CPU", seconds, 60, "s")
    yield holds(
        "of them fitted",
        f"{np.isfinite(found.p[0]).mean():.2%}",
        "100 %",
        np.isfinite(found.p).all(),
    )
    at = found.person_boundary | found.period_boundary
    zero = (found.person[found.person_boundary] == 0).all()
    zero &= (found.period[found.period_boundary] == 0).all()
    yield holds(
        "of them with a variance of exactly 0, said so", f"{at.mean():.1%}", "exactly 0", zero
    )
    design, values = planned(CrossoverPlan(missing=0.06), truth, EDGES, 21)
    start = time.process_time()
    found = mixed_tests(values, design)
    seconds = time.process_time() - start
    name = f"the same with {128 - len(design.rows)} of 128 visits missing: CPU"
    yield at_most(name, seconds, 60, "s")


def against_statsmodels() -> Iterator[Bar]:
    """200 random edges with visits missing, beside MixedLM's own restricted likelihood at its best."""
    rng = np.random.default_rng(22)
    truth = CrossoverTruth(0.15, rng.uniform(0, 0.2, COMPARED), 0.2, treatment=(0.05,) * 4)
    design, values = planned(CrossoverPlan(missing=0.06), truth, COMPARED, 22)
    model, own = visit_model(design), baseline_covariates(values, design)
    single, _ = model.contrasts(own.shape[2])
    y = values[design.rows]
    ours = reml(
        y, model.x, person=design.person, cell=design.period, covariates=own, contrasts=single
    )
    theirs = _statsmodels(
        y=y, x=model.x, own=own, person=design.person, cell=design.period, contrasts=single
    )
    name = f"statsmodels, {COMPARED} edges, {len(design.rows)} of 128 visits"
    yield from _differences(name, ours, theirs)
    fits = theirs["fits"]
    short = ((fits[:, 1] == 0) | (fits[:, 0] < theirs["llf"][: len(fits)] - 1e-3)).sum()
    yield holds(
        f"statsmodels' own fit of {len(fits)} of them: not converged, or short of the best by > 1e-3",
        f"{short} of {len(fits)}", "-", True,
    )  # fmt: skip
    yield holds("statsmodels' own fit of one edge: CPU", f"{theirs['seconds']:.2f} s", "-", True)


def _differences(name: str, ours: Reml, theirs: dict[str, np.ndarray]) -> Iterator[Bar]:
    se = theirs["se"].T
    size = np.maximum(np.abs(theirs["estimate"].T), se)
    estimate = np.abs(ours.tests.estimate - theirs["estimate"].T) / size
    yield at_most(f"{name}: effects, relative (to SE where that is larger)", estimate.max(), 1e-4)
    yield at_most(f"{name}: SE, relative", np.abs(ours.tests.se / se - 1).max(), 1e-4)
    inner = ~(ours.person_boundary | ours.cell_boundary)
    for part in ("residual", "person", "cell"):
        error = np.abs(getattr(ours, part) / theirs[part] - 1)[inner].max()
        label = f"{name}: variance of {part}, relative, {inner.sum()} not at the boundary"
        yield at_most(label, error, 1e-4)
    worse = (ours.criterion + 2 * theirs["llf"]).max()
    yield at_most(f"{name}: -2 log-likelihood above theirs", max(worse, 0.0), 1e-6)


def _statsmodels(**given: np.ndarray) -> dict[str, np.ndarray]:
    """Run statsmodels in its own environment; arrays pass as files."""
    python = WORK / "statsmodels/bin/python"
    if not python.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", WORK / "statsmodels"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", STATSMODELS], check=True)
    source, target = WORK / "to_statsmodels.npz", WORK / "from_statsmodels.npz"
    np.savez(source, **given)
    script = Path(__file__).with_name("statistics_statsmodels_peer.py")
    subprocess.run([python, "-W", "ignore", script, source, target], check=True)
    return dict(np.load(target))


def textbook() -> Iterator[Bar]:
    """Balanced designs have the degrees of freedom that hang in every textbook."""
    design, values = planned(CrossoverPlan(baseline=None), CrossoverTruth(1.0, 1.0), 200, 23)
    found = mixed_tests(values, design)
    inner = ~(found.person_boundary | found.period_boundary)
    df = found.df[0, inner]
    yield within("df of treatment with period and sequence, 16 persons: n - 2", df.mean(), 14, 1e-4)
    yield within(
        "df of treatment x time: 2 (n - 1) (times - 1)", found.f_df[inner].mean(), 90, 1e-3
    )
    difference = over_times(period_differences(values, design))
    test = sequence_test(difference, design)
    factor = 4 / 0.9453  # g is J t / 4 with 8 and 8 persons
    error = np.abs(found.t[0] - test.g * factor)[inner].max()
    yield at_most("t of balanced designs less the two-sample t of period differences", error, 5e-3)


# ---------------------------------------------------------------------------------- calibration


def _rate(p: FloatArray) -> float:
    return float(100 * (p <= 0.05).mean())


def _share(name: str, p: FloatArray) -> Bar:
    return within(f"{name}: p <= .05 of {p.size:,}", _rate(p), 5, 1.5, "%")


def null_of_mixed_models() -> Iterator[Bar]:
    truth = CrossoverTruth(1.0, 0.7, 1.0, period=1.0)
    for label, plan in (
        ("16 persons", CrossoverPlan()),
        ("16 persons, a tenth of the visits missing", CrossoverPlan(missing=0.1)),
        ("11 and 5 persons", CrossoverPlan(11, 5)),
    ):
        design, values = planned(plan, truth, STUDIES, 24)
        found = mixed_tests(values, design)
        yield _share(f"mixed model, {label}, treatment", found.p[0])
        yield _share(f"mixed model, {label}, treatment at 165", found.p[3])
        yield _share(f"mixed model, {label}, treatment x time", found.f_p)
        naive: MixedTests = mixed_tests(values, design, period_variance=False)
        yield holds(
            f"mixed model, {label}, without persons' periods, treatment",
            f"{_rate(naive.p[0]):.1f} %", "-", True,
        )  # fmt: skip
    design, values = planned(CrossoverPlan(), CrossoverTruth(1.0, 0.0, 1.0), STUDIES, 25)
    found = mixed_tests(values, design)
    name = "mixed model, periods of a person alike (no variance below 0: cautious), treatment"
    yield at_most(f"{name}: p <= .05", _rate(found.p[0]), 6.5, "%")


def null_of_sequences() -> Iterator[Bar]:
    """A period effect of one SD of the differences, sequences of 11 and 5."""
    plan = CrossoverPlan(11, 5, times=("50",), baseline=None)
    truth = CrossoverTruth(1.0, 0.0, 1.0, period=np.sqrt(2.0), treatment=(0.0,))
    design, values = planned(plan, truth, STUDIES, 26)
    difference = over_times(period_differences(values, design))
    found = sequence_test(difference, design)
    yield _share(f"period effect of 1 SD, 11/5, sequences anew ({found.arrangements:,})", found.p)
    signs = np.where(design.first, 1, -1)[:, None]
    for label, own, rows in (
        ("11/5", difference, signs),
        ("8/8", *_balanced(truth)),
    ):
        flips = sign_flip(own * rows, permutations=5000)
        name = f"the same with plain sign flips, {label}"
        yield holds(name, f"{_rate(flips.p):.1f} %", "-", True)
    design, values = planned(
        CrossoverPlan(), CrossoverTruth(1.0, 0.7, 1.0, period=1.0), STUDIES, 27
    )
    difference, both = over_times(period_differences(values, design)), baselines(values, design)
    adjusted = sequence_test(difference, design, before=both[:, 0] - both[:, 1])
    yield _share("sequences anew, 8/8, beside the value before the dose", adjusted.p)
    tens = [_smallest(values[:, k : k + 10], design) for k in range(0, STUDIES, 10)]
    rate = 100 * float(np.mean([p <= 0.05 for p in tens]))
    yield holds(
        "largest |t| of 10 outcomes, 200 studies: family-wise p <= .05", f"{rate:.1f} %",
        "<= 8.1 % (2 SE)", rate <= 8.1,
    )  # fmt: skip


def _balanced(truth: CrossoverTruth) -> tuple[FloatArray, FloatArray]:
    plan = CrossoverPlan(8, 8, times=("50",), baseline=None)
    design, values = planned(plan, truth, STUDIES, 28)
    difference = over_times(period_differences(values, design))
    return difference, np.where(design.first, 1, -1)[:, None]


def _smallest(values: FloatArray, design: Crossover) -> float:
    test = sequence_test(over_times(period_differences(values, design)), design)
    return float(test.p_fwe.min())


def null_of_sets() -> Iterator[Bar]:
    """Both sets respond alike, so that there is an effect of treatment and none of set x treatment."""
    n_each = 16
    rng = np.random.default_rng(29)
    truth = CrossoverTruth(0.2, 0.1, 0.2, period=0.1, treatment=(0.1,) * 4)
    means, means_of_sets = [], []
    names = [f"c{k}" for k in range(2 * n_each)]
    sets = ["A"] * n_each + ["B"] * n_each
    sessions = CrossoverPlan().sessions()
    for study in range(STUDIES):
        fresh = crossover_values(sessions, CrossoverPlan(), truth, 2 * n_each, study)
        shared = rng.normal(size=(len(fresh), 1)) * 0.1
        found = connection_outcomes(fresh + shared, sets, names)
        means.append(found.visits.columns(found.families[SPECIFIC])[:, 0])
        means_of_sets.append(found.visits.columns(["A: mean"])[:, 0])
    design, _ = planned(CrossoverPlan(), truth, 1, 0)
    values = np.array(means).T
    both = baselines(values, design)
    test: SequenceTest = sequence_test(
        over_times(period_differences(values, design)), design, before=both[:, 0] - both[:, 1]
    )
    rate = _rate(test.p)
    yield at_most(
        f"set x treatment, permutation, 2 x {n_each} connections: p <= .05", rate, 6.5, "%"
    )
    yield _share("set x treatment, mixed model", mixed_tests(values, design).p[0])
    power = mixed_tests(np.array(means_of_sets).T, design).p[0]
    yield holds("of these, the mean of set A alone: p <= .05", f"{_rate(power):.0f} %", "-", True)


MEASURES = [
    all_edges,
    against_statsmodels,
    textbook,
    null_of_mixed_models,
    null_of_sequences,
    null_of_sets,
]
