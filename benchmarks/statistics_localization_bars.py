"""Bars of network localization: the published map, spheres, speed, memory, and calibration."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
from bars import Bar, at_most, holds, write_validation
from nibabel.fileholders import FileHolder

from petfmri.images.volumes import load_canonical
from petfmri.localization.group import Moments, seed_masks
from petfmri.localization.labels import label_permutation
from petfmri.localization.localize import Contrast, localize
from petfmri.localization.null import RandomNull, Rule, judge, random_null
from petfmri.localization.overlap import dice, network_map
from petfmri.localization.seeds import Person, seed_z, unit_run
from petfmri.localization.similarity import connectome_degree, similarity_table
from petfmri.localization.space import Space, of_mask
from petfmri.localization.spheres import random_peaks, seeds_at
from petfmri.localization.store import Store, read_run

SHARED = Path(os.environ.get("PETFMRI_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
GRID, AFFINE = (61, 73, 61), nib.affines.from_matvec(np.diag([3.0, 3, 3]), [-90, -126, -72])
N_VOXELS, N_FRAMES, N_SEEDS, N_PEAKS = 77_559, 200, 30, 8
NULL_STUDIES, NULL_DRAWS, NULL_CONTRASTS, NULL_PEAKS = 400, 200, 4, 3
LABEL_STUDIES = 2000
INTRODUCTION = """# Network localization

From published coordinates to the network that they share: equality with a published map, spheres,
speed and memory beside nilearn, and how often random coordinates pass for a finding.
"""
TOLD: list[Bar] = []
Measure = Callable[[], Iterator[Bar]]


def told(measure: Measure) -> Measure:
    """Keep the bars of a measure for `write_page`."""

    def kept() -> Iterator[Bar]:
        for bar in measure():
            TOLD.append(bar)
            yield bar

    kept.__name__ = measure.__name__
    return kept


def write_page() -> None:
    """Write ``docs/validation/localization.md`` from the measures that ran."""
    write_validation("localization", INTRODUCTION, TOLD, appendix(), run="statistics")


def appendix() -> str:
    return "\n".join(
        [
            "## How these were measured",
            "",
            "- *Published map*: the 16 masks and the map of Mo et al. 2024 "
            "(doi:10.1093/schbul/sbae020), as their authors published them.",
            f"- *Speed*: {N_SEEDS} seeds of {N_PEAKS} peaks, 4 mm, {N_FRAMES} volumes, "
            f"{N_VOXELS:,} voxels of 3 mm; CPU seconds of one thread. nilearn's loop follows its "
            "own seed-to-voxel example (`NiftiSpheresMasker`, `NiftiMasker` and `np.dot`) and "
            "extracts the voxels once per person. The time of one seed is the mean of 3 and was "
            "multiplied by the number of seeds and people; ours was measured in full.",
            "- *Reading*: `nibabel.load(file, mmap=False).get_fdata(dtype=float32)`, the files in "
            "the page cache.",
            "- *Plan*: seconds per person and per seed, as measured here, times people and seeds.",
            f"- *Null studies*: {NULL_STUDIES} studies of {NULL_CONTRASTS} contrasts with "
            f"{NULL_PEAKS} random coordinates each, judged by {NULL_DRAWS} draws of their own. "
            "10 people, 80 frames, 701 voxels; 7 smooth networks that overlap and are unequally "
            "strong, so that hubs exist, after global signal regression.",
        ]
    )


# ------------------------------------------------------------------------- equality


@told
def published_map() -> Iterator[Bar]:
    folder = SHARED / "coordinates/fcnm_mo2024"
    masks = [_read_pair(path) for path in sorted((folder / "masks_state").glob("*.hdr.gz"))]
    published = load_canonical(folder / "published_state_probability.nii.gz")
    values = published.get_fdata().ravel()
    space = of_mask(np.ones(published.shape, dtype=bool), published.affine)
    found = network_map(np.stack([mask.ravel() for mask in masks]), space)
    n = int(found.inside.sum())
    yield holds("16 published masks, >= 0.60, k >= 30: voxels", f"{n:,}", "11,649", n == 11_649)
    other = int((found.inside != (values > 0)).sum())
    yield holds("voxels in or out unlike the published map", other, "0", other == 0)
    error = float(np.abs(found.probability - values)[found.inside].max())
    yield at_most("largest difference of values", error, 2e-5)


def _read_pair(header: Path) -> np.ndarray:
    image = header.with_name(header.name.replace(".hdr", ".img"))
    files = {
        kind: FileHolder(fileobj=io.BytesIO(gzip.decompress(path.read_bytes())))
        for kind, path in (("header", header), ("image", image))
    }
    pair = nib.as_closest_canonical(nib.Nifti1Pair.from_file_map(files))
    return np.asarray(pair.dataobj) > 0


@told
def sphere_counts() -> Iterator[Bar]:
    for axes in ("RAS", "LAS"):
        flip = np.diag([-1.0 if axes == "LAS" else 1.0, 1, 1, 1])
        space = of_mask(np.ones((21, 21, 21), dtype=bool), flip @ np.diag([3.0, 3, 3, 1]))
        peak = nib.affines.apply_affine(space.affine, [[10, 10, 10]])
        found = [int(seeds_at([peak], mm, space).n_voxels[0]) for mm in (1, 4, 7, 10)]
        yield holds(
            f"spheres of 1, 4, 7, 10 mm, 3 mm {axes} grid: voxels", ", ".join(map(str, found)),
            "1, 7, 57, 171", found == [1, 7, 57, 171],
        )  # fmt: skip


@told
def precision() -> Iterator[Bar]:
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(200, 1)) + rng.normal(size=(200, 500))
    weights = seeds_at(
        [np.array([[0.0, 0, 4]])], 4, of_mask(np.ones((1, 1, 500)), np.eye(4))
    ).weights
    for mean, sd in ((1000, 10), (10_000, 10)):
        raw = (mean + sd * signal).astype(np.float32)
        seed = raw[:, weights.indices].astype(float).mean(axis=1)
        r = np.corrcoef(np.column_stack([seed, raw]).T.astype(float))[0, 1:]
        z = seed_z(Person("a", [unit_run(raw)]), weights)[0]
        error = float(np.abs(np.tanh(z) - r).max())
        yield at_most(f"float32 raw signal, mean {mean}, SD {sd}: error of r", error, 1e-6)
    store = Store(Path(tempfile.mkdtemp()), of_mask(np.ones((1, 1, 500)), np.eye(4)), ("a",))
    store.write("a", [unit_run(raw)])
    error = float(np.abs(np.tanh(seed_z(store.read("a"), weights)[0]) - r).max())
    yield at_most("the same from the store (float16)", error, 1e-4)


# ------------------------------------------------------------------------- time and memory


def _cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _space() -> Space:
    """Return an ellipsoid of as many voxels as a brain has at 3 mm."""
    half = (np.array(GRID) - 1)[:, None, None, None] / 2
    far = (((np.indices(GRID) - half) / half) ** 2).sum(axis=0)
    mask = np.zeros(far.size, dtype=bool)
    mask[np.argsort(far, axis=None, kind="stable")[:N_VOXELS]] = True
    return of_mask(mask.reshape(GRID), AFFINE)


def _series(rng: np.random.Generator) -> np.ndarray:
    series = rng.standard_normal((N_FRAMES, N_VOXELS), dtype=np.float32)
    series += rng.standard_normal((N_FRAMES, 1), dtype=np.float32)
    return 1000 + 10 * series


def _image(series: np.ndarray, space: Space) -> nib.Nifti1Image:
    data = np.zeros((*GRID, len(series)), dtype=np.float32, order="F")
    data[space.mask] = series.T
    return nib.Nifti1Image(data, space.affine)


@told
def beside_nilearn() -> Iterator[Bar]:
    from nilearn.maskers import NiftiMasker, NiftiSpheresMasker

    space, rng, people = _space(), np.random.default_rng(1), 5
    peaks = random_peaks(space, [N_PEAKS] * N_SEEDS, rng)
    weights = seeds_at(peaks, 4.0, space).weights
    raw = [_series(rng) for _ in range(people)]
    runs: list[Person] = []
    _cpu(lambda: seed_z(Person("warm", [unit_run(raw[0])]), weights))
    ours = _cpu(lambda: [seed_z(Person("a", [unit_run(one)]), weights) for one in raw])
    runs = [Person("a", [unit_run(one)]) for one in raw]
    again = _cpu(lambda: [seed_z(one, weights) for one in runs])
    image = _image(raw[0], space)
    mask = nib.Nifti1Image(space.mask.astype(np.uint8), space.affine)
    options = {"radius": 4, "standardize": "zscore_sample", "allow_overlap": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        brain = NiftiMasker(mask_img=mask, standardize="zscore_sample")
        voxels = _cpu(lambda: brain.fit_transform(image))
        series = brain.fit_transform(image)

        def one_seed(points: np.ndarray) -> np.ndarray:
            course = NiftiSpheresMasker(points.tolist(), **options).fit_transform(image)
            return np.arctanh(series.T @ course / len(course) * 0.99)

        single = _cpu(lambda: [one_seed(points) for points in peaks[:3]]) / 3
        together = _cpu(lambda: one_seed(np.concatenate(peaks)))
    loop, batch = people * (voxels + N_SEEDS * single), people * (voxels + together)
    name = (
        f"{N_SEEDS} seeds x {people} people x {N_FRAMES} volumes x {N_VOXELS:,} voxels, from memory"
    )
    yield holds(name, f"{ours:.2f} s CPU", "-", True)
    ratio = loop / ours
    yield holds(
        "nilearn's loop over seeds (3 seeds of 1 person measured)",
        f"{loop:.0f} s, {ratio:.0f} x",
        ">= 60 x",
        ratio >= 60,
    )
    yield holds(
        "nilearn with all seeds in one masker", f"{batch:.1f} s, {batch / ours:.0f} x", "-", True
    )
    yield holds(
        "the same from normalised series (later runs)",
        f"{again:.2f} s, loop {loop / again:.0f} x, one masker {batch / again:.0f} x", "-", True,
    )  # fmt: skip


@told
def from_files() -> Iterator[Bar]:
    space, rng = _space(), np.random.default_rng(2)
    weights = seeds_at(random_peaks(space, [N_PEAKS] * 16, rng), 4.0, space).weights
    with tempfile.TemporaryDirectory() as folder:
        image, seconds = _image(_series(rng), space), {}
        for name, dtype in (("a.nii", "f4"), ("b.nii", "i2"), ("b.nii.gz", "i2")):
            path = Path(folder) / name
            image.set_data_dtype(dtype)
            nib.save(image, path)
            seconds[name] = _read_and_map(path, space, weights)
        store = Store(Path(folder) / "store", space, ("a",))
        run = read_run(Path(folder) / "a.nii", space)
        seconds["write"] = min(_cpu(lambda: store.write("a", [run])) for _ in range(3))
        seconds["store"] = min(_cpu(lambda: seed_z(store.read("a"), weights)) for _ in range(3))
        size = sum(path.stat().st_size for path in (Path(folder) / "store").iterdir())
    for name, what in (
        ("a.nii", "float32 .nii"),
        ("b.nii", "int16 .nii"),
        ("b.nii.gz", "int16 .nii.gz"),
    ):
        reading, ours = seconds[name]
        label = f"{what}: read, normalise, 16 seeds, beside nibabel reading ({reading:.2f} s)"
        yield at_most(label, ours / reading, 1.5, "x")
    reading, ours = seconds["a.nii"]
    whole = ours + seconds["write"]
    yield holds("float32 .nii, the store written as well", f"{whole / reading:.2f} x", "-", True)
    yield from _plan(space, ours, seconds, size)


def _read_and_map(path: Path, space: Space, weights: object) -> tuple[float, float]:
    """Return CPU seconds of nibabel's reading and of the whole way to z, best of 3."""

    def read() -> float:
        return float(nib.load(path, mmap=False).get_fdata(dtype=np.float32)[0, 0, 0, 0])

    def whole() -> np.ndarray:
        return seed_z(Person("a", [read_run(path, space)]), weights)

    return min(_cpu(read) for _ in range(3)), min(_cpu(whole) for _ in range(3))


def _plan(space: Space, ours: float, seconds: dict[str, object], size: int) -> Iterator[Bar]:
    """Scale what was measured to 1,113 people, 16 contrasts and 1,000 random draws."""
    rng = np.random.default_rng(3)
    person = Person("a", [unit_run(_series(rng))])
    many = seeds_at(random_peaks(space, [N_PEAKS] * 256, rng), 4.0, space).weights
    moments = Moments.empty(256, N_VOXELS, "float32")
    null = _cpu(lambda: [moments.add(person, many) for _ in range(2)]) / 2 / 256
    people, contrasts, draws = 1113, 16, 1000
    hours = people * (ours + float(seconds["write"])) / 3600
    shown = f"{hours:.2f} h CPU, {people * size / 1e9:.0f} GB"
    yield holds(
        f"plan, {people:,} people of {N_FRAMES} volumes, {contrasts} contrasts: read, store, map",
        shown,
        "-",
        True,
    )
    again = people * float(seconds["store"]) / 3600
    yield holds("plan: other 16 contrasts from the store", f"{again:.2f} h CPU", "-", True)
    random = people * contrasts * draws * null / 3600
    yield holds(f"plan: {draws:,} draws of random coordinates", f"{random:.1f} h CPU", "-", True)


@told
def memory() -> Iterator[Bar]:
    space, rng = _space(), np.random.default_rng(5)
    with tempfile.TemporaryDirectory() as folder:
        nib.save(_image(_series(rng), space), Path(folder) / "bold.nii")
        nib.save(nib.Nifti1Image(space.mask.astype(np.uint8), AFFINE), Path(folder) / "mask.nii")
        peak = {people: _peak_mb(folder, people) for people in (2, 8)}
    growth = 100 * (peak[8] / peak[2] - 1)
    shown = f"{peak[2]:.0f} and {peak[8]:.0f} MB"
    yield holds("peak memory, 2 and 8 people: read, store, 16 contrasts", shown, "-", True)
    yield at_most("peak memory, growth from 2 to 8 people", growth, 5, "%")


def _peak_mb(folder: str, people: int) -> float:
    command = [sys.executable, __file__, folder, str(people)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _stream(folder: str, people: int) -> None:
    """Build a store of so many people, map from it, print the peak of memory in MB."""
    from petfmri.localization.space import read_mask

    space = read_mask(f"{folder}/mask.nii")
    weights = seeds_at(
        random_peaks(space, [N_PEAKS] * 16, np.random.default_rng(1)), 4.0, space
    ).weights
    names = tuple(f"sub-{number}" for number in range(people))
    with tempfile.TemporaryDirectory() as target:
        store = Store(Path(target), space, names)
        for name in names:
            store.write(name, [read_run(f"{folder}/bold.nii", space)])
        moments = Moments.empty(16, space.n_elements)
        for person in store:
            moments.add(person, weights)
    # ru_maxrss would also tell the memory of the process that started this one.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


# ------------------------------------------------------------------------- calibration


def _normative(rng: np.random.Generator) -> tuple[list[Person], Space, np.ndarray]:
    """Make people with smooth networks of unequal strength; return also the voxels of one."""
    shape = (11, 13, 11)
    half = (np.array(shape) - 1)[:, None, None, None] / 2
    mask = (((np.indices(shape) - half) / (half + 0.5)) ** 2).sum(axis=0) <= 0.9
    space = of_mask(mask, nib.affines.from_matvec(np.diag([8.0, 8, 8]), [-40, -48, -40]))
    points = nib.affines.apply_affine(space.affine, space.ijk)
    centres = points[rng.choice(len(points), 7, replace=False)]
    distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
    loading = np.exp(-((distance / 26) ** 2)) * np.linspace(1.4, 0.5, 7)
    people = []
    for number in range(10):
        noise = 1.5 * rng.normal(size=(80, len(points)))
        series = rng.normal(size=(80, 7)) @ loading.T + noise
        whole = series.mean(axis=1) - series.mean()
        series -= np.outer(whole, whole @ series / (whole @ whole))  # global signal regression
        people.append(Person(str(number), [unit_run(series)]))
    return people, space, (loading.argmax(axis=1) == 3) & (distance[:, 3] < 26)


RULE = Rule(radius_mm=9.0, min_voxels=5)


@told
def random_coordinates_as_data() -> Iterator[Bar]:
    people, space, _ = _normative(np.random.default_rng(6))
    peaks = [NULL_PEAKS] * NULL_CONTRASTS
    degree = connectome_degree(people, space.n_elements)
    voxel, size, r = [], [], []
    for study in range(NULL_STUDIES):
        every = random_null(people, space, peaks, RULE, draws=1 + NULL_DRAWS, seed=100 + study)
        null = RandomNull(every.counts[1:], every.sizes[1:], NULL_CONTRASTS)
        own = every.counts[0] / NULL_CONTRASTS
        masks = np.arange(NULL_CONTRASTS)[:, None] < every.counts[0][None]
        network = network_map(masks, space, share=RULE.share, min_voxels=RULE.min_voxels)
        found = judge(network, null, space)
        voxel.append(found.p_fwe.min() <= 0.05)
        size.append(found.p_size <= 0.05)
        r += [np.corrcoef(own, degree)[0, 1]] if own.any() else []
    name = f"{NULL_STUDIES} null studies, {NULL_DRAWS} draws each"
    yield at_most(f"{name}: any place at family-wise p <= .05", 100 * np.mean(voxel), 7.5, "%")
    yield at_most(f"{name}: size of the map at p <= .05", 100 * np.mean(size), 7.5, "%")
    yield holds(
        "similarity to degree of maps of random coordinates: mean r",
        f"{np.mean(r):+.2f}",
        "-",
        True,
    )
    naive = np.mean(np.abs(np.array(r)) > 1.96 / np.sqrt(space.n_elements))
    yield holds(
        "of these, 'significant' if voxels counted as independent",
        f"{100 * naive:.0f} %",
        "-",
        True,
    )


@told
def labels_at_random() -> Iterator[Bar]:
    people, space, _ = _normative(np.random.default_rng(7))
    rng = np.random.default_rng(8)
    points = random_peaks(space, [NULL_PEAKS] * 8 * LABEL_STUDIES, rng)
    alpha, voxel, maps = 0.05, [], []
    for start in range(0, len(points), 800):
        weights = seeds_at(points[start : start + 800], RULE.radius_mm, space).weights
        for masks in seed_masks(people, weights).reshape(-1, 8, space.n_elements):
            found = label_permutation(masks, np.arange(8) < 4)
            voxel.append(found.p_fwe.min() <= alpha)
            maps.append(found.p_maps <= alpha)
    name = f"{LABEL_STUDIES} null studies of 4 + 4 contrasts, exact labels"
    yield at_most(f"{name}: any place at family-wise p <= .05", 100 * np.mean(voxel), 6.5, "%")
    yield at_most(f"{name}: the maps differ at p <= .05", 100 * np.mean(maps), 6.5, "%")


@told
def planted_network() -> Iterator[Bar]:
    rng = np.random.default_rng(9)
    people, space, network = _normative(rng)
    points = space.ijk @ space.affine[:3, :3].T + space.affine[:3, 3]
    contrasts = []
    for direction, inside in (("increase", network), ("decrease", ~network)):
        for number in range(8):
            chosen = points[inside][rng.integers(0, int(inside.sum()), NULL_PEAKS)]
            contrasts.append(Contrast(f"{direction} {number}", str(number), direction, chosen))
    found = localize(people, contrasts, space, RULE, draws=NULL_DRAWS)
    one = found.directions[0]
    yield holds(
        "coordinates in one network: smallest family-wise p, Dice with it",
        f"{one.judgement.p_fwe.min():.3f}, {dice(one.network.inside, network, space):.2f}",
        "p <= .05", one.judgement.p_fwe.min() <= 0.05,
    )  # fmt: skip
    reached = one.judgement.p_fwe <= 0.05
    yield holds(
        "of the places at family-wise p <= .05, in that network",
        f"{100 * network[reached].mean():.0f} % of {int(reached.sum())}", "-", True,
    )  # fmt: skip
    assert found.labels is not None
    p = f"{found.labels.p_fwe.min():.4f}, {found.labels.p_maps:.4f}"
    yield holds("labels, that network against the others: family-wise p, maps p", p, "-", True)
    table = similarity_table(one.network, one.null, {"degree": found.degree})
    row = table.iloc[0]
    yield holds(
        "its similarity to degree: r, mean of random coordinates, p",
        f"{row['r']:+.2f}, {row['null_mean']:+.2f}, {row['p']:.2f}", "-", True,
    )  # fmt: skip


MEASURES = [
    published_map,
    sphere_counts,
    precision,
    beside_nilearn,
    from_files,
    memory,
    random_coordinates_as_data,
    labels_at_random,
    planted_network,
]

if __name__ == "__main__":  # a process of its own, whose memory is measured
    _stream(sys.argv[1], int(sys.argv[2]))
