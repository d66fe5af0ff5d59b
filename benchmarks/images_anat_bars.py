"""The anatomical bars: T1w to template, brain, tissues, real heads, repeatability."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import image_tools as tools
import nibabel as nib
import numpy as np
from bars import Bar, at_most, holds
from scipy import ndimage

from petfmri.atlases import load_atlas, load_reference_mask, load_template
from petfmri.images.bias import correct_bias
from petfmri.images.brain import Brain, extract_brain
from petfmri.images.labels import labels_in_grey
from petfmri.images.registration import Greedy
from petfmri.images.resampling import Grid, carry_labels, carry_mask, resample
from petfmri.images.template import normalise
from petfmri.images.tissues import Tissues, carry_tissues, segment_tissues
from petfmri.images.transforms import Affine, Transform
from petfmri.interfaces.anat import FINEST_MM, QUICK
from petfmri.pet.reference import semiovale_reference
from petfmri.simulation.anatomy import Head, draw_head, rician_noise
from petfmri.simulation.painted import paint_head
from petfmri.simulation.phantom import load_phantom

SEEDS = range(200, 206)  # of the simulated heads
AGAINST_SYN = 2  # of them also go through antspyx, which takes minutes each
CSF, GREY, WHITE = 1, 2, 3


class Anatomy(NamedTuple):
    brain: Brain
    t1w: nib.Nifti1Image
    xfm: Transform
    tissues: Tissues
    wall_s: float  # of brain extraction and template together
    cpu_s: float


class _Clock:
    def __init__(self) -> None:
        self.wall_s, self.cpu_s = 0.0, 0.0

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), _cpu_s()
        result = function(*args, **kwargs)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += _cpu_s() - cpu
        return result


def _cpu_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def _branch(raw: nib.Nifti1Image) -> Anatomy:
    """Run the anatomical branch as the workflow does."""
    clock, template = _Clock(), load_template()
    brain = clock(extract_brain, raw, template, Greedy(iterations=QUICK))
    t1w = correct_bias(raw, brain.mask)
    engine = Greedy(finest_mm=FINEST_MM)
    xfm = clock(normalise, t1w, brain.mask, template, engine, initial=brain.affine)
    tissues = segment_tissues(t1w, brain.mask, carry_tissues(template, xfm, brain.mask))
    return Anatomy(brain, t1w, xfm, tissues, clock.wall_s, clock.cpu_s)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def _above(image: nib.Nifti1Image) -> np.ndarray:
    return np.asarray(image.dataobj) > 0.5


def _at_least(name: str, value: float, limit: float) -> Bar:
    return holds(name, f"{value:.4f}", f">= {limit:g}", value >= limit)


# ------------------------------------------------------------------------------ simulated heads


class OfHead(NamedTuple):
    """What came of one simulated head."""

    errors: np.ndarray  # mm, of points of the brain
    overlaps: tuple[float, float, float]  # Dice of brain, GM, WM
    ours: tuple[float, float, float]  # mean error mm, wall s, CPU s
    peer: tuple[float, float, float] | None


def simulated() -> Iterator[Bar]:
    """Six heads of 1 mm; the truth is the tissue label of each voxel in the simulator."""
    heads = tools.each(_of_head, SEEDS)
    errors = [head.errors for head in heads]
    ours = np.mean([head.ours for head in heads if head.peer], axis=0)
    yield from _template_bars(errors, ours, np.mean([h.peer for h in heads if h.peer], axis=0))
    overlaps = np.transpose([head.overlaps for head in heads])
    for name, values, limit in zip(
        ("brain", "GM", "WM"), overlaps, (0.97, 0.90, 0.90), strict=True
    ):
        yield _at_least(f"6 simulated heads: {name} Dice, lowest", float(values.min()), limit)


def _of_head(seed: int) -> OfHead:
    head = draw_head(load_phantom(1.0), 1.0, 20.0, 3.0, np.random.default_rng(seed))
    found = _branch(nib.Nifti1Image(head.t1w, head.grid.affine))
    of_brain = np.isin(head.tissue, (CSF, GREY, WHITE))
    points = tools.brain_points(nib.Nifti1Image(of_brain.astype(np.uint8), head.grid.affine))
    true = head.to_template.map(points)
    errors = tools.distances_mm(found.xfm.map(points), true)
    overlaps = (
        _dice(_above(found.brain.mask), of_brain),
        _dice(_above(found.tissues.gm), head.tissue == GREY),
        _dice(_above(found.tissues.wm), head.tissue == WHITE),
    )
    peer = None
    if seed in SEEDS[:AGAINST_SYN]:
        syn = _syn(found, points, seed)
        mean = float(tools.distances_mm(syn.mapped[0], true).mean())
        peer = (mean, float(syn.wall_s[0]), float(syn.cpu_s[0]))
    return OfHead(errors, overlaps, (float(errors.mean()), found.wall_s, found.cpu_s), peer)


def _syn(found: Anatomy, points: np.ndarray, seed: int) -> tools.Found:
    """Register with antspyx SyN, brain to brain, the bias field and the skull taken off for it."""
    fixed, moving = (tools.WORK / f"{name}_{seed}.nii.gz" for name in ("t1w", "template"))
    inside = np.asarray(found.brain.mask.dataobj) > 0
    brain = np.asarray(found.t1w.dataobj) * inside
    nib.save(nib.Nifti1Image(brain.astype(np.float32), found.t1w.affine), fixed)
    nib.save(load_template().brain, moving)
    return tools.antspyx([tools.Job("SyN", fixed, moving, points)], threads=1)[0]


def _template_bars(errors: list[np.ndarray], ours: np.ndarray, peer: np.ndarray) -> Iterator[Bar]:
    means = [float(one.mean()) for one in errors]
    name = "T1w to template, 6 simulated heads"
    yield at_most(f"{name}: mean error, mean of heads", float(np.mean(means)), 0.6, "mm")
    yield holds(f"{name}: mean error, worst head", f"{max(means):.3g} mm", "-", True)
    p95 = float(np.mean([np.percentile(one, 95) for one in errors]))
    yield holds(f"{name}: p95 error, mean of heads", f"{p95:.3g} mm", "-", True)
    name = f"T1w to template against antspyx SyN, same {AGAINST_SYN} heads"
    yield holds(
        f"{name}: mean error", f"{ours[0]:.3g}, SyN {peer[0]:.3g} mm", "< SyN", ours[0] < peer[0]
    )
    for kind, mine, other in zip(("wall", "CPU"), ours[1:], peer[1:], strict=True):
        value = f"{mine:.0f} s, SyN {other:.0f} s"
        yield holds(f"{name}: {kind}, with brain extraction", value, "<= half", mine <= other / 2)


# ---------------------------------------------------------------------------- independent head


def independent() -> Iterator[Bar]:
    """A T1w painted on ps11's maps; the truth is where each map, or their sum, exceeds a half."""
    stem = tools.DATA / "pet_dynamic/ps11/anat/sub-PS11_ses-baselinebrain_label"
    gm, wm, csf = (nib.load(f"{stem}-{name}_probseg.nii.gz") for name in ("GM", "WM", "CSF"))
    rng = np.random.default_rng(1)
    found = _branch(paint_head(gm, wm, csf, bias_percent=20, noise_percent=3, rng=rng))
    total = sum(np.asarray(one.dataobj) for one in (gm, wm, csf))
    for name, mine, true, limit in (
        ("brain", found.brain.mask, total > 0.5, 0.96),
        ("GM", found.tissues.gm, _above(gm), 0.85),
        ("WM", found.tissues.wm, _above(wm), 0.88),
    ):
        yield _at_least(f"independent head: {name} Dice", _dice(_above(mine), true), limit)


# ----------------------------------------------------------------------------------- real heads


def real_heads() -> Iterator[Bar]:
    template, engine = load_template(), Greedy(iterations=QUICK)
    folder = tools.DATA / "anat"
    colin = extract_brain(nib.load(folder / "colin27_ch2.nii.gz"), template, engine)
    published = _above(nib.load(folder / "colin27_brain.nii.gz"))
    yield _at_least("Colin27: brain Dice", _dice(_above(colin.mask), published), 0.95)
    neck = extract_brain(nib.load(folder / "niivue_T1_head_ext2.nii.gz"), template, engine)
    litres = _above(neck.mask).sum() * Grid.of(neck.mask).spacing_mm.prod() / 1e6
    name = "head with a long neck: brain"
    yield holds(f"{name} volume", f"{litres:.2f} L", "0.9 to 1.9 L", 0.9 <= litres <= 1.9)
    points = Affine(neck.mask.affine).map(np.argwhere(_above(neck.mask)).astype(float))
    yield at_most(f"{name}, from vertex to lowest point", float(np.ptp(points[:, 2])), 160, "mm")
    picture = tools.ROOT / "docs/images/colin27_brain.webp"
    yield at_most("Colin27 in docs/images", picture.stat().st_size / 1000, 150, "kB")


# -------------------------------------------------------------------------------- repeatability


def two_noise_draws() -> Iterator[Bar]:
    """One head with two draws of 3 % noise; one PET without noise, read through both."""
    head = draw_head(load_phantom(1.0), 1.0, 20.0, 0.0, np.random.default_rng(210))
    pet = _pet(head)
    volumes, ratios = [], []
    for seed in (1, 2):
        noisy = rician_noise(head.t1w, 0.03, np.random.default_rng(seed))
        labels, reference = _regions(_branch(nib.Nifti1Image(noisy, head.grid.affine)))
        n = head.n_regions
        volumes.append(np.bincount(labels.ravel(), minlength=n + 1)[1 : n + 1])
        sums = np.bincount(labels.ravel(), pet.ravel(), minlength=n + 1)[1 : n + 1]
        ratios.append(sums / volumes[-1] / pet[reference].mean())
    for name, (one, other), limit in (
        ("parcel volume", volumes, 1.0),
        ("regional SUVR", ratios, 0.5),
    ):
        change = 100 * np.abs(one - other) / ((one + other) / 2)
        yield at_most(f"same head, two noise draws: {name}, median", np.median(change), limit, "%")
        yield holds(
            f"same head, two noise draws: {name}, worst", f"{change.max():.3g} %", "-", True
        )


def _pet(head: Head) -> np.ndarray:
    """Paint regional uptake of SV2A-like contrast, blur it by 5.5 mm, scan it at 2 mm."""
    n = head.n_regions
    uptake = np.zeros(n + 4)
    uptake[1 : n + 1] = np.random.default_rng(4).uniform(2.5, 4.5, n)
    uptake[n + 1 :] = (1.0, 0.3, 0.5)  # white matter, CSF, soft tissue
    grid = head.grid
    sharp = uptake[head.compartment].astype(np.float32)
    blurred = ndimage.gaussian_filter(sharp, 5.5 / 2.3548 / grid.spacing_mm)
    scan = resample(nib.Nifti1Image(blurred, grid.affine), Affine(), grid.spaced(2.0))
    return np.asarray(resample(scan, Affine(), grid).dataobj)


def _regions(found: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Return atlas labels 1..n in the order of the table, and the reference region."""
    atlas, grid = load_atlas(), Grid.of(found.t1w)
    labels = labels_in_grey(carry_labels(atlas.image, found.xfm, grid), found.tissues.gm)
    rows = np.zeros(int(atlas.table["index"].max()) + 1, dtype=int)
    rows[atlas.table["index"]] = np.arange(1, len(atlas.table) + 1)
    start = np.asarray(carry_mask(load_reference_mask("semiovale"), found.xfm, grid).dataobj)
    csf, gm, wm = (np.asarray(getattr(found.tissues, name).dataobj) for name in ("csf", "gm", "wm"))
    region = semiovale_reference(start, wm, gm, csf, grid.affine)
    return rows[np.asarray(labels.dataobj).astype(int)], region.mask > 0


MEASURES = [real_heads, independent, two_noise_draws, simulated]
