"""Bars of changes, arms, couplings and power: false positives where nothing is, and kept promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pandas as pd
from bars import Bar, holds, within
from image_tools import each

from petfmri.atlases import load_atlas
from petfmri.simulation.effects import Effects
from petfmri.simulation.tables import simulate_tables
from petfmri.statistics.arrangements import Arrangements, regroupings, sign_patterns
from petfmri.statistics.baseline import errors_in_variables, oldham
from petfmri.statistics.coupling import correlate, detectable_r
from petfmri.statistics.mean_beside import mean_beside
from petfmri.statistics.permutation import permutation_test, sign_flip
from petfmri.statistics.power import Spread, detectable, power_table
from petfmri.statistics.repeated import repeated_measures_correlation
from petfmri.statistics.retest import Retest, beyond_retest
from petfmri.statistics.spatial import distances, spatial_coupling

NULL_STUDIES, FLIPS = 2000, 499
LOW, HIGH = 0.035, 0.065
RELIABILITY, TRAP_PEOPLE, TRAP_STUDIES = 0.6, 24, 1000
SURROGATE_STUDIES, SURROGATES, SCALES_MM = 300, 99, (15.0, 40.0)
POWER_STUDIES = 1000


def nominal(name: str, share: float) -> Bar:
    return holds(name, f"{100 * share:.1f} %", "3.5 to 6.5 %", LOW <= share <= HIGH)


def no_more(name: str, share: float) -> Bar:
    return holds(name, f"{100 * share:.1f} %", "<= 6.5 %", share <= HIGH)


# ------------------------------------------------------------------------------ baseline trap


def baseline_trap() -> Iterator[Bar]:
    """Noise alone makes changes depend on the baseline, for those who correlate the two."""
    rng = np.random.default_rng(6)
    shape = (TRAP_PEOPLE, TRAP_STUDIES)
    true = np.sqrt(RELIABILITY) * rng.normal(size=shape)
    pre, post = (true + np.sqrt(1 - RELIABILITY) * rng.normal(size=shape) for _ in range(2))
    where = f"n = {TRAP_PEOPLE}, reliability {RELIABILITY:g}, {TRAP_STUDIES:,} null studies"
    naive = [
        correlate(b - a, a, permutations=200).p[0, 0]
        for a, b in zip(pre.T[:, :, None], post.T[:, :, None])
    ]
    share = float(np.mean(np.array(naive) <= 0.05))
    yield holds(
        f"change with baseline, naive ({where})", f"{100 * share:.0f} %", "> 30 %", share > 0.3
    )
    slope = errors_in_variables(pre, post, 1.0).p
    yield holds("  ANCOVA slope against 1", f"{100 * np.mean(slope <= 0.05):.0f} %", "-", True)
    yield nominal(
        "  ours: Oldham", float(np.mean(oldham(pre, post, permutations=FLIPS + 1).p <= 0.05))
    )
    yield nominal(
        "  ours: errors in variables",
        float(np.mean(errors_in_variables(pre, post, RELIABILITY).p <= 0.05)),
    )


# --------------------------------------------------------------------------- null calibration


def calibration() -> Iterator[Bar]:
    """Two thousand studies of each kind in which nothing happens."""
    tests: tuple[tuple[str, Callable[[np.random.Generator], bool], bool], ...] = (
        ("sign flips, n = 20", _flips, True),
        ("sign flips, n = 20, family-wise over 30 correlated outcomes", _flips_family, True),
        ("sign flips beside 2 covariates, n = 24", _flips_adjusted, True),
        ("two arms of 12 and 10, drawn", _arms, True),
        ("two arms of 12, beside baseline and a covariate (Freedman-Lane)", _arms_adjusted, True),
        ("correlation of changes, n = 20", _pearson, True),
        ("rank correlation of changes, n = 20", _spearman, True),
        ("partial correlation beside 2 covariates, n = 20", _partial, True),
        ("repeated-measures correlation, 12 persons, 4 visits", _repeated, True),
        ("mean change against test-retest noise, n = 11 and 17", _retest, True),
        ("sign flips, n = 8, exact", _flips_exact, False),
        ("sign flips beside 4 covariates, n = 11, exact", _flips_crowded, False),
        ("two arms of 5 and 4, exact", _arms_exact, False),
        ("correlation of changes, n = 6, exact", _pearson_exact, False),
        ("repeated-measures correlation, 10 persons, 2 visits, exact", _repeated_exact, False),
    )
    liberal = "  the same by Freedman and Lane, which is not used here"
    shares = each(_share, [(number, test) for number, (_, test, _) in enumerate(tests)])
    yield holds(liberal, f"{100 * _share((99, _flips_freedman_lane)):.1f} %", "-", True)
    for (name, _, continuous), share in zip(tests, shares):
        yield (nominal if continuous else no_more)(f"{name}: {NULL_STUDIES:,} null studies", share)


def _share(job: tuple[int, Callable[[np.random.Generator], bool]]) -> float:
    number, test = job
    rng = np.random.default_rng([60, number])
    return float(np.mean([test(rng) for _ in range(NULL_STUDIES)]))


def _family(rng: np.random.Generator, n: int, outcomes: int) -> np.ndarray:
    """Outcomes that share a factor."""
    return rng.normal(size=(n, outcomes)) + rng.normal(size=(n, 1))


def _flips(rng: np.random.Generator) -> bool:
    return sign_flip(rng.standard_t(5, (20, 1)), permutations=FLIPS + 1).p[0] <= 0.05


def _flips_family(rng: np.random.Generator) -> bool:
    return sign_flip(_family(rng, 20, 30), permutations=FLIPS + 1).p_fwe.min() <= 0.05


def _flips_exact(rng: np.random.Generator) -> bool:
    return sign_flip(rng.normal(size=(8, 1))).p[0] <= 0.05


def _flips_adjusted(rng: np.random.Generator) -> bool:
    z = rng.normal(size=(24, 2))
    y = z @ [[0.8], [0.4]] + rng.normal(size=(24, 1))
    return mean_beside(y, z, permutations=FLIPS + 1).p[0] <= 0.05


def _flips_crowded(rng: np.random.Generator) -> bool:
    return mean_beside(rng.standard_t(5, (11, 1)), rng.normal(size=(11, 4))).p[0] <= 0.05


def _flips_freedman_lane(rng: np.random.Generator) -> bool:
    arranged = sign_patterns(11)
    y, z = rng.standard_t(5, (11, 1)), rng.normal(size=(11, 4))
    return permutation_test(y, np.ones(11), nuisance=z, arrangements=arranged).p[0] <= 0.05


@cache
def _assignments(active: int, control: int, drawn: int = 1000) -> Arrangements:
    return regroupings([1] * active + [0] * control, permutations=drawn)


def _grouped(rng: np.random.Generator, active: int, control: int, drawn: int) -> bool:
    n = active + control
    group = np.arange(n) < active
    arranged = _assignments(active, control, drawn)
    y = rng.standard_t(5, (n, 1))
    found = permutation_test(y, group * 1.0, nuisance=np.ones((n, 1)), arrangements=arranged)
    return found.p[0] <= 0.05


def _arms(rng: np.random.Generator) -> bool:
    return _grouped(rng, 12, 10, FLIPS + 1)


def _arms_exact(rng: np.random.Generator) -> bool:
    return _grouped(rng, 5, 4, FLIPS + 1)


def _arms_adjusted(rng: np.random.Generator) -> bool:
    group = np.arange(24) < 12
    before, covariate = rng.normal(size=(24, 1)), rng.normal(size=24)
    change = -0.5 * before + 0.5 * covariate[:, None] + rng.normal(size=(24, 1))
    nuisance = np.column_stack([np.ones(24), covariate])
    arranged = regroupings(group.tolist(), permutations=FLIPS + 1, adjusted=True)
    found = permutation_test(
        change, group * 1.0, nuisance=nuisance, own=before, arrangements=arranged
    )
    return found.p[0] <= 0.05


def _correlated(rng: np.random.Generator, n: int, **settings: object) -> bool:
    x, y = rng.standard_t(5, (2, n, 1))
    return correlate(x, y, permutations=FLIPS + 1, **settings).p[0, 0] <= 0.05


def _pearson(rng: np.random.Generator) -> bool:
    return _correlated(rng, 20)


def _pearson_exact(rng: np.random.Generator) -> bool:
    return _correlated(rng, 6)


def _spearman(rng: np.random.Generator) -> bool:
    return _correlated(rng, 20, ranks=True)


def _partial(rng: np.random.Generator) -> bool:
    z = rng.normal(size=(20, 2))
    x, y = (z @ [[1.0], [0.5]] + rng.normal(size=(20, 1)) for _ in range(2))
    return correlate(x, y, covariates=z, permutations=FLIPS + 1).p[0, 0] <= 0.05


def _within_persons(rng: np.random.Generator, people: int, visits: int) -> bool:
    persons = np.repeat(np.arange(people), visits)
    x, y = rng.normal(size=(2, len(persons))) + rng.normal(size=(2, people))[:, persons]
    return repeated_measures_correlation(persons, x, y, permutations=FLIPS + 1).p[0, 0] <= 0.05


def _repeated(rng: np.random.Generator) -> bool:
    return _within_persons(rng, 12, 4)


def _repeated_exact(rng: np.random.Generator) -> bool:
    return _within_persons(rng, 10, 2)


def _retest(rng: np.random.Generator) -> bool:
    rescanned = rng.normal(-2, 8, 17)
    noise = Retest(float(rescanned.mean()), float(rescanned.std(ddof=1)), 17, "simulated")
    return bool(beyond_retest(rng.normal(-2, 8, (11, 1)), noise)[0][0])


# ------------------------------------------------------------------------------ surrogate maps


def surrogates() -> Iterator[Bar]:
    """Unrelated smooth maps on the cortical parcels of the embedded atlas."""
    for scale, (ours, plain) in zip(SCALES_MM, each(_unrelated_maps, SCALES_MM)):
        name = (
            f"unrelated maps, smooth over {scale:g} mm, {SURROGATE_STUDIES} studies x {SURROGATES}"
        )
        yield no_more(f"{name}: variogram surrogates", ours)
        yield holds("  regions taken for independent", f"{100 * plain:.0f} %", "-", True)


def _unrelated_maps(scale: float) -> tuple[float, float]:
    atlas = load_atlas()
    cortex = (atlas.table["structure"] == "cortex").to_numpy()
    apart = distances(atlas.centres_mm().to_numpy(float)[cortex])
    n = len(apart)
    mixing = np.linalg.cholesky(np.exp(-apart / scale) + 1e-6 * np.eye(n))
    rng, ours, plain = np.random.default_rng([61, round(scale)]), [], []
    for study in range(SURROGATE_STUDIES):
        x, y = (mixing @ rng.normal(size=(n, 2))).T
        found = spatial_coupling(x, y, apart, surrogates=SURROGATES + 1, seed=study)
        ours.append(found.p <= 0.05)
        plain.append(abs(np.arctanh(found.r)) * np.sqrt(n - 3) > 1.96)
    return float(np.mean(ours)), float(np.mean(plain))


# -------------------------------------------------------------------------------------- power


def power() -> Iterator[Bar]:
    """What is said to be seen with 80 % power is seen in 80 of 100 simulated studies."""
    changes = _simulated_changes()
    spread = Spread("suvr:PCC", float(changes.std(ddof=1)), "%", len(changes), "simulated")
    stated = power_table([spread], design="prepost", n=[11, 20], effects=[])
    rng = np.random.default_rng(62)
    for row in stated.itertuples():
        drawn = (
            rng.choice(changes, (row.n, 1)) - changes.mean() + row.effect
            for _ in range(POWER_STUDIES)
        )
        share = np.mean([sign_flip(each_, permutations=1000).p[0] <= 0.05 for each_ in drawn])
        yield _kept(
            f"SUVR of the PCC from simulated tables, n = {row.n}: {row.effect:.2f} %", share
        )
    yield _kept(
        "two arms of 12, difference in change",
        np.mean([_sees_arms(rng) for _ in range(POWER_STUDIES)]),
    )
    yield _kept(
        "crossover of 8 and 8", np.mean([_sees_crossover(rng) for _ in range(POWER_STUDIES)])
    )
    yield _kept(
        "correlation of changes, n = 20",
        np.mean([_sees_correlation(rng) for _ in range(POWER_STUDIES)]),
    )


def _kept(name: str, share: float) -> Bar:
    return within(f"power, {name}: {POWER_STUDIES:,} studies", 100 * float(share), 80, 5, "%")


def _simulated_changes() -> np.ndarray:
    """Percent changes of the SUVR of the PCC in 60 people to whom nothing happens."""
    regions, _ = simulate_tables(60, Effects.none(), seed=6)
    pcc = regions[regions["region"].str.contains("pCunPCC")]
    mean = pcc.pivot_table(index="participant_id", columns="session_id", values="suvr")
    table = pd.DataFrame(mean)
    return (100 * (table["ses-post"] / table["ses-pre"] - 1)).to_numpy(float)


def _sees_arms(rng: np.random.Generator) -> bool:
    group = np.arange(24) < 12
    y = rng.normal(size=(24, 1)) + detectable(24, "parallel") * group[:, None]
    arranged = _assignments(12, 12, 1000)
    found = permutation_test(y, group * 1.0, nuisance=np.ones((24, 1)), arrangements=arranged)
    return found.p[0] <= 0.05


def _sees_crossover(rng: np.random.Generator) -> bool:
    """Treatment effect in SDs of the difference between treatments; a period effect of 1 SD."""
    first = np.arange(16) < 8
    treated = detectable(16, "crossover") * np.where(first, 1, -1)[:, None]
    y = rng.normal(size=(16, 1)) + treated + 1.0
    arranged = _assignments(8, 8)
    found = permutation_test(y, first * 1.0, nuisance=np.ones((16, 1)), arrangements=arranged)
    return found.p[0] <= 0.05


def _sees_correlation(rng: np.random.Generator) -> bool:
    r = detectable_r(20)
    x = rng.normal(size=(20, 1))
    y = r * x + np.sqrt(1 - r**2) * rng.normal(size=(20, 1))
    return correlate(x, y, permutations=1000).p[0, 0] <= 0.05


MEASURES = [baseline_trap, calibration, surrogates, power]
