"""Bars of tests of whole maps and matrices: max-T, exact TFCE, NBS, their calibration, real PET."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from bars import Bar, at_most, holds, within
from scipy import ndimage
from scipy.sparse import csgraph

from petfmri.atlases import load_atlas
from petfmri.atlases.template import load_template
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.suvr import suvr_from_tacs
from petfmri.statistics.arrangements import person_orders, regroupings, sign_patterns
from petfmri.statistics.cluster_tree import sum_compiled
from petfmri.statistics.nbs import network_test
from petfmri.statistics.neighbours import Neighbours, parcel_neighbours, voxel_neighbours
from petfmri.statistics.permutation import permutation_test, sign_flip
from petfmri.statistics.tfce import tfce, tfce_test

DATA = Path(os.environ.get("PETFMRI_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
STUDIES, SLOW_STUDIES, SLOW_PERMUTATIONS = 2000, 400, 200
PEER_MAPS = 3


def cpu(work: Callable[[], object], times: int = 1) -> float:
    """CPU seconds of the quickest of some calls."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


# ---------------------------------------------------------------------------------- max-T


def largest_t() -> Iterator[Bar]:
    """20 persons, 48,266 voxels, 1,000 sign flips, beside nilearn."""
    from nilearn.mass_univariate import permuted_ols

    change = np.random.default_rng(1).normal(size=(20, 48_266))
    found = sign_flip(change, permutations=1000)
    peer: dict[str, np.ndarray] = {}

    def nilearn() -> None:
        peer.update(
            permuted_ols(
                np.ones((20, 1)), change, model_intercept=False, n_perm=1000,
                random_state=1, n_jobs=1, output_type="dict",
            )
        )  # fmt: skip

    theirs, ours = cpu(nilearn, 2), cpu(lambda: sign_flip(change, permutations=1000), 10)
    name = "max-T, 20 x 48,266 voxels, 1,000 sign flips"
    yield at_most(f"{name}: t beside nilearn", np.abs(found.t - peer["t"][0]).max(), 1e-6)
    told = f"{theirs / ours:.0f}x ({ours:.3f} s)"
    how = "with numba" if sum_compiled() else "numba is not installed"
    yield holds(f"{name}: CPU, {how}", told, ">= 50x nilearn", theirs >= 50 * ours)


# ---------------------------------------------------------------------------------- TFCE


def enhancement() -> Iterator[Bar]:
    """One two-sided map of the template's grey matter at 3 mm, beside nilearn's function."""
    from nilearn.mass_univariate._utils import calculate_tfce

    every = slice(None, None, 3)  # of a template of 1 mm
    mask = np.asarray(load_template().gm.dataobj)[every, every, every] >= 0.3
    noise = np.random.default_rng(2).normal(size=mask.shape)
    structure, around = ndimage.generate_binary_structure(3, 1), voxel_neighbours(mask)
    for what, sigma in (("noise", 0.0), ("smooth by 1.5 voxels", 1.5)):
        smooth = ndimage.gaussian_filter(noise, sigma)
        volume = np.where(mask, 3 * smooth / smooth[mask].std(), 0.0)[..., None]
        values, name = volume[mask, 0], f"TFCE, {mask.sum():,} voxels, {what}"
        fine = float(np.abs(volume).max()) / 999
        limit = calculate_tfce(volume, structure, dh=fine)[mask, 0]
        ours = tfce(values, around, compiled=False)
        r = np.corrcoef(ours, limit)[0, 1]
        yield holds(f"{name}: r with steps of max / 999", f"{r:.7f}", ">= 0.9999", r >= 0.9999)
        theirs = cpu(lambda v=volume: calculate_tfce(v, structure), PEER_MAPS)
        arrays = cpu(lambda v=values: tfce(v, around, compiled=False), 5)
        told = f"{theirs / arrays:.1f}x ({1000 * arrays:.0f} ms)"
        yield holds(f"{name}: CPU without numba", told, ">= 1x nilearn", arrays <= theirs)
        if sum_compiled() is None:
            yield holds(f"{name}: CPU with numba", "numba is not installed", ">= 30x", False)
            continue
        fast = tfce(values, around, compiled=True)
        off = np.abs(fast - ours).max() / np.abs(ours).max()
        yield at_most(f"{name}: with and without numba, of the largest", off, 1e-9)
        compiled = cpu(lambda v=values: tfce(v, around, compiled=True), 30)
        told = f"{theirs / compiled:.0f}x ({1000 * compiled:.1f} ms)"
        yield holds(f"{name}: CPU with numba", told, ">= 30x nilearn", theirs >= 30 * compiled)


def enhancement_of_parcels() -> Iterator[Bar]:
    """The embedded atlas against components of the thresholded graph at fine steps."""
    atlas = load_atlas()
    around = parcel_neighbours(np.asarray(atlas.image.dataobj), atlas.table["index"].tolist())
    values = np.random.default_rng(3).normal(0, 2, len(around))
    graph = np.zeros((len(around),) * 2, dtype=bool)
    graph[around.ones, around.others] = True
    limit, dh = np.zeros(len(around)), float(np.abs(values).max()) / 2000
    for sign in (1, -1):
        for level in dh * (np.arange(2000) + 0.5):
            inside = np.flatnonzero(sign * values > level)
            _, label = csgraph.connected_components(graph[np.ix_(inside, inside)], directed=False)
            limit[inside] += sign * np.sqrt(np.bincount(label)[label]) * level**2 * dh
    r = np.corrcoef(tfce(values, around), limit)[0, 1]
    touching = (len(around.others) - len(around)) // 2
    name = f"TFCE, {len(around)} parcels, {touching} shared borders: r with 2,000 steps"
    yield holds(name, f"{r:.7f}", ">= 0.9999", r >= 0.9999)


# ---------------------------------------------------------------------------------- NBS


def networks() -> Iterator[Bar]:
    pairs = _pairs(100)
    change = np.random.default_rng(4).normal(size=(20, len(pairs)))
    drawn = sign_patterns(20, permutations=5000)
    seconds = cpu(lambda: _nbs(change, pairs, 3.0, drawn))
    yield at_most("paired NBS, 100 nodes, n = 20, 5,000 permutations: CPU", seconds, 10, "s")
    for size in ("extent", "intensity"):
        yield from _enumerated(size)


def _enumerated(size: str) -> Iterator[Bar]:
    """p of every component of 8 persons against all 256 sign patterns, one graph at a time."""
    rng, pairs, threshold = np.random.default_rng(5), _pairs(12), 2.0
    change = rng.normal(size=(8, len(pairs))) + 0.9 * (pairs < 5).all(axis=1)
    (found,) = network_test(
        change, np.ones(8), pairs, arrangements=sign_patterns(8), thresholds=[threshold], size=size
    )
    null = []
    for signs in itertools.product((1, -1), repeat=8):
        moved = change * np.array(signs)[:, None]
        t = moved.mean(axis=0) / moved.std(axis=0, ddof=1) * np.sqrt(8)
        null.append(_component_sizes(t, pairs, threshold, size))
    largest = np.array([max(sizes) for sizes in null])
    expected = [np.mean(largest >= one - 1e-9) for one in null[0] if one > 0]
    same = np.allclose(sorted(expected), sorted(one.p_fwe for one in found.components), atol=1e-12)
    name = f"NBS, {size}, n = 8: p of {len(found.components)} components against enumeration"
    yield holds(name, "equal" if same else "different", "equal", same)


def _component_sizes(t: np.ndarray, pairs: np.ndarray, threshold: float, size: str) -> list[float]:
    sizes = [0.0]
    for side in (t, -t):
        graph = np.zeros((pairs.max() + 1,) * 2)
        above = side > threshold
        graph[tuple(pairs[above].T)] = 1
        count, label = csgraph.connected_components(graph, directed=False)
        weight = side[above] - threshold if size == "intensity" else np.ones(above.sum())
        sizes += np.bincount(label[pairs[above, 0]], weight, minlength=count).tolist()
    return sizes


def _nbs(change, pairs, threshold, drawn):
    return network_test(
        change, np.ones(len(change)), pairs, arrangements=drawn, thresholds=[threshold]
    )[0]


def _pairs(n: int) -> np.ndarray:
    return np.array(list(itertools.combinations(range(n), 2)))


# ---------------------------------------------------------------------------------- calibration


def calibration() -> Iterator[Bar]:
    """How often anything at all is found where nothing happened."""
    for name, limit_low, test in (
        ("max-T, sign flips, n = 10, exact, 30 outcomes", 0.0, _signs),
        ("max-T, two groups of 12, 500 regroupings, 30 outcomes", 3.5, _groups),
        ("Freedman-Lane, n = 24, two covariates, 500 orders, 30 outcomes", 3.5, _covariates),
    ):
        rng = np.random.default_rng(6)
        percent = 100 * float(np.mean([test(rng, seed) for seed in range(STUDIES)]))
        bar = f"{limit_low:g} to 6.5 %" if limit_low else "<= 6.5 %"
        told = f"{name}: family-wise errors in {STUDIES:,} null studies"
        yield holds(told, f"{percent:.2f} %", bar, limit_low <= percent <= 6.5)


def _correlated(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 30)) + rng.normal(size=(n, 1))


def _signs(rng: np.random.Generator, _: int) -> bool:
    return bool(sign_flip(_correlated(rng, 10)).p_fwe.min() <= 0.05)


def _groups(rng: np.random.Generator, seed: int) -> bool:
    group = np.repeat([0.0, 1.0], 12)
    drawn = regroupings(group.astype(int).tolist(), permutations=500, seed=seed)
    found = permutation_test(
        _correlated(rng, 24), group, nuisance=np.ones((24, 1)), arrangements=drawn
    )
    return bool(found.p_fwe.min() <= 0.05)


def _covariates(rng: np.random.Generator, seed: int) -> bool:
    covariates = rng.normal(size=(24, 2))
    x = covariates @ [0.6, 0.3] + rng.normal(size=24)
    y = _correlated(rng, 24) + covariates @ rng.normal(size=(2, 30))
    found = permutation_test(
        y, x, nuisance=np.column_stack([np.ones(24), covariates]),
        arrangements=person_orders(24, permutations=500, seed=seed),
    )  # fmt: skip
    return bool(found.p_fwe.min() <= 0.05)


def slow_calibration() -> Iterator[Bar]:
    mask = np.ones((11, 11, 11), dtype=bool)
    around, pairs = voxel_neighbours(mask), _pairs(40)
    tests: dict[str, Callable[[np.random.Generator, int], float]] = {
        f"TFCE, {len(around):,} smooth voxels": lambda rng, seed: _null_tfce(rng, seed, around),
        f"NBS, {len(pairs)} edges, |t| > 2.5": lambda rng, seed: _null_nbs(rng, seed, pairs),
    }
    for name, test in tests.items():
        rng = np.random.default_rng(7)
        errors = [test(rng, seed) <= 0.05 for seed in range(SLOW_STUDIES)]
        told = f"{name}, n = 20, {SLOW_PERMUTATIONS} sign flips: errors in {SLOW_STUDIES} studies"
        yield at_most(told, 100 * float(np.mean(errors)), 7.5, "%")


def _null_tfce(rng: np.random.Generator, seed: int, around: Neighbours) -> float:
    noise = ndimage.gaussian_filter(rng.normal(size=(20, 11, 11, 11)), (0, 1, 1, 1))
    drawn = sign_patterns(20, permutations=SLOW_PERMUTATIONS, seed=seed)
    found = tfce_test(noise.reshape(20, -1), np.ones(20), around, arrangements=drawn)
    return float(found.p_fwe.min())


def _null_nbs(rng: np.random.Generator, seed: int, pairs: np.ndarray) -> float:
    nodes = rng.normal(size=(20, 40))  # edges of one node have something in common
    change = nodes[:, pairs].sum(axis=2) + rng.normal(size=(20, len(pairs)))
    drawn = sign_patterns(20, permutations=SLOW_PERMUTATIONS, seed=seed)
    found = _nbs(change, pairs, 2.5, drawn).components
    return found[0].p_fwe if found else 1.0


# ---------------------------------------------------------------------------------- real PET


def blocked_binding() -> Iterator[Bar]:
    """ds004869: [11C]MC1 in ten people before and after a drug that blocks it."""
    root = DATA / "pet_dynamic/ds004869/derivatives/petprep"
    people = sorted(folder.name for folder in root.glob("sub-*"))
    pre, post = (
        pd.DataFrame([_cortical_suvr(root, person, session) for person in people])
        for session in ("baseline", "blocked")
    )
    found = sign_flip((post - pre).to_numpy(float))
    p = pd.Series(found.p_fwe, index=list(pre))
    name = f"ds004869, {len(p)} cortical regions, {found.arrangements:,} arrangements"
    yield within(f"{name}: regions at family-wise p <= .01", int((p <= 0.01).sum()), 25, 1)
    for side, expected in (("lh", 0.0078), ("rh", 0.0039)):
        at = p[f"ctx-{side}-posteriorcingulate"]
        yield within(f"ds004869, {side} posterior cingulate: family-wise p", at, expected, 5e-5)


def _cortical_suvr(root: Path, person: str, session: str) -> pd.Series:
    stem = root / f"{person}/ses-{session}/pet/{person}_ses-{session}_desc-preproc_seg-gtm_tacs.tsv"
    tacs = pd.read_csv(stem, sep="\t", na_values="n/a")
    schedule = FrameSchedule.from_edges(tacs.pop("frame_start"), tacs.pop("frame_end"), str(stem))
    reference = ["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"]
    ratio = suvr_from_tacs(tacs, schedule, (1800, 3600), reference)
    return ratio[[name for name in ratio.index if name.startswith(("ctx-lh-", "ctx-rh-"))]]


MEASURES = [
    largest_t,
    enhancement,
    enhancement_of_parcels,
    networks,
    calibration,
    slow_calibration,
    blocked_binding,
]
