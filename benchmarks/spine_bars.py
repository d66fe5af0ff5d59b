"""The bars of the spine: the demo, one full-size participant, real tables, broken input, CI."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from bars import Bar, at_most, holds, within

from petfmri.images.resampling import Grid, resample_frames
from petfmri.images.transform_files import read_affine, read_affines
from petfmri.images.transforms import Affine
from petfmri.simulation.recovery import unplanted_changes

ROOT = Path(__file__).parents[1]
WORK = Path(os.environ.get("PETFMRI_BARS_DIR") or tempfile.mkdtemp(prefix="petfmri_bars_"))
DATA = Path(os.environ.get("PETFMRI_TEST_DATA", ROOT.parent / "shared" / "data"))
PETFMRI = [sys.executable, "-m", "petfmri"]


class Done:
    """A finished command: status, output, wall seconds, peak memory of its whole process tree."""

    def __init__(self, command: list[str], **options: object) -> None:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        self.peak_gb = 0.0
        watch = threading.Thread(target=self._watch, args=(process,), daemon=True)
        watch.start()
        self.output = process.communicate()[0]
        self.status, self.wall_s = process.returncode, time.perf_counter() - start

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            self.peak_gb = max(self.peak_gb, _tree_gb(process.pid))
            time.sleep(0.5)


def _tree_gb(pid: int) -> float:
    """Proportional memory of a process and its descendants, GB (shared pages counted once)."""
    total, waiting = 0.0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            rollup = Path(f"/proc/{current}/smaps_rollup").read_text()
            total += float(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE).group(1)) / 1e6
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, AttributeError):
            continue
    return total


def run(*arguments: str | Path, **options: object) -> Done:
    return Done([*PETFMRI, *map(str, arguments)], **options)


# ---------------------------------------------------------------------------------------- demo


def demo() -> Iterator[Bar]:
    done = run("demo", WORK / "demo", "--n-procs", "2")
    (WORK / "demo.log").write_text(done.output)
    yield holds("demo: exit status", done.status, "0", done.status == 0)
    yield at_most("demo: wall, 2 cores", done.wall_s / 60, 8, "min")
    yield at_most("demo: peak memory", done.peak_gb, 6, "GB")
    out = WORK / "demo/derivatives/petfmri"
    effects = pd.read_csv(out / "group/recovered.tsv", sep="\t")
    for row in effects.itertuples():
        value = f"{row.recovered:.3g} (planted {row.planted:.3g})"
        yield holds(f"demo: sign of {row.effect}", value, "same sign", row.sign_recovered)
    pages = sorted(out.rglob("*.html"))
    loads = [hit for page in pages for hit in _loads(page)]
    yield holds(
        "demo: pages that load something from elsewhere",
        f"{len(loads)} of {len(pages)}",
        "0",
        pages and not loads,
    )
    comparisons = pd.read_csv(out / "group/compare/comparisons.tsv", sep="\t")
    planted = json.loads((WORK / "demo/bids/truth/planted.json").read_text())[
        "planted_mean_percent"
    ]
    estimated = comparisons.set_index("outcome").loc["suvr:PCC", "percent"]
    error = abs(estimated - planted["suvr_blurred"])
    yield at_most("demo: dSUVR in PCC, estimated minus PSF-blurred truth", error, 1, "points")
    others = unplanted_changes(WORK / "demo/bids/truth", comparisons)
    yield at_most(
        "demo: mean change over all unplanted regions", float(abs(others["found"].mean())), 1, "%"
    )
    known = _known_geometry_changes().reindex(others.index)
    largest, counted = others["found"].abs().max(), known.abs().max()
    name = f"demo: unplanted regions, largest mean change ({counted:.3g} % with known geometry)"
    yield holds(name, f"{largest:.3g} %", "-", True)
    excess = (others["found"] - known).abs()
    yield at_most(
        f"demo: unplanted regions, largest departure from known geometry ({excess.idxmax()})",
        float(excess.max()),
        1,
        "%",
    )
    page = (out / "index.html").read_text()
    said = f"{planted['vt']:#.3g}" in page and f"{planted['suvr_blurred']:#.3g}" in page
    yield holds("demo: page says how much of the planted dV_T SUVR sees", said, "True", said)


def _known_geometry_changes() -> pd.Series:
    """Mean change of SUVR in each region of the demo's noisy scans, %, with nothing estimated.

    Labels, reference region and transforms are the simulator's own: what is left beside the planted
    change is what the simulated counts and the resolution of the scanner do to any analysis.
    """
    truth = WORK / "demo/bids/truth"
    changes = []
    for person in sorted(truth.glob("sub-*")):
        labels = nib.load(person / f"anat/{person.name}_seg-Schaefer200_dseg.nii.gz")
        semiovale = nib.load(person / f"anat/{person.name}_label-semiovale_mask.nii.gz")
        values, reference = (np.asarray(i.dataobj).astype(int) for i in (labels, semiovale))
        where = (values > 0) | (reference > 0)
        ratios = []
        for session in ("ses-pre", "ses-post"):
            stem = f"{person.name}_{session}_trc-UCBJ"
            scan = nib.load(WORK / f"demo/bids/{person.name}/{session}/pet/{stem}_pet.nii.gz")
            folder = person / session / "pet"
            frames = resample_frames(
                [np.asarray(scan.dataobj[..., k], dtype=np.float32) for k in (-3, -2, -1)],
                scan.affine,
                ~read_affine(folder / f"{stem}_from-T1w_to-pet_mode-image_xfm.txt"),
                Grid.of(labels),
                motion=read_affines(folder / f"{stem}_desc-motion_xfm.txt")[-3:],
                where=where,
                fill=np.nan,
            )
            uptake = np.mean(list(frames), axis=0)  # 60 to 90 min: three frames of 10 min
            means = pd.Series(uptake).groupby(values[where]).mean()
            ratios.append(means / np.nanmean(uptake[reference[where] > 0]))
        changes.append(100 * (ratios[1] / ratios[0] - 1))
    (table,) = (WORK / "demo/derivatives/petfmri/sub-01/anat").glob("*_dseg.tsv")
    names = pd.read_csv(table, sep="\t").set_index("index")["name"]
    return pd.concat(changes, axis=1).mean(axis=1).rename(index=names)


def _loads(page: Path) -> list[str]:
    text = page.read_text()
    return re.findall(
        r"(?:src|href)=\"(?:https?:)?//[^\"]+|url\(\s*['\"]?(?!data:)|@import|<script", text
    )


def second_run() -> Iterator[Bar]:
    done = run("run", WORK / "demo/study.yaml")
    executed = re.search(r"(\d+) (?:of \d+ )?steps executed", done.output)
    count = int(executed.group(1)) if executed else -1
    yield holds("second run: steps executed", count, "0", count == 0 and done.status == 0)
    yield at_most("second run: wall", done.wall_s, 10, "s")


# ---------------------------------------------------------------------------------------- full

STUDY = """\
name: full
bids: bids
output: out
pet: {tracer: UCBJ}
symptoms: {table: phenotype/madrs.tsv, score: madrs}
simulation: {preset: full}
"""


def full() -> Iterator[Bar]:
    folder = WORK / "full"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(STUDY)
    if not (folder / "bids").exists():
        simulated = run("simulate", folder / "study.yaml", "--n-procs", "2")
        yield holds("full: simulated", simulated.status, "0", simulated.status == 0)
    done = run("run", folder / "study.yaml", "--n-procs", "2")
    (WORK / "full.log").write_text(done.output)
    yield holds("full: exit status", done.status, "0", done.status == 0)
    yield at_most("full: peak memory", done.peak_gb, 6, "GB")
    yield holds("full: wall, 2 cores (no bar here)", f"{done.wall_s / 60:.1f} min", "-", True)
    points = brain_points_of(folder)
    for session in ("ses-pre", "ses-post"):
        yield from _alignment(folder, session, points)
        yield from _uptake(folder, session)


def brain_points_of(folder: Path) -> np.ndarray:
    image = nib.load(folder / "bids/truth/sub-01/anat/sub-01_dseg.nii.gz")
    voxels = np.argwhere(np.isin(np.asarray(image.dataobj), (1, 2, 3)))[::101]  # CSF, grey, white
    return Affine(image.affine).map(voxels.astype(float))


def _alignment(folder: Path, session: str, points: np.ndarray) -> Iterator[Bar]:
    for name, errors in alignment_errors(folder, session, points).items():
        bar = f"full {session}: {name}"
        yield at_most(f"{bar}, mean error over the brain", float(errors.mean()), 0.8, "mm")
        yield at_most(f"{bar}, largest error", float(errors.max()), 2, "mm")


def alignment_errors(folder: Path, session: str, points: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of where points of the brain in T1w space are found in the scans, mm.

    Each is the median over frames (those of the uptake window for PET), one value per point.
    """
    stem = f"sub-01_{session}"
    truth, out = (folder / base / "sub-01" / session for base in ("bids/truth", "out"))
    trues, founds, errors = {}, {}, {}
    for kind, sub, name, ref, motion in (
        ("PET", "pet", "trc-UCBJ", "petref", "trc-UCBJ_from-orig_to-petref_mode-image_xfm.txt"),
        (
            "BOLD",
            "func",
            "task-rest",
            "boldref",
            "task-rest_from-orig_to-boldref_mode-image_xfm.txt",
        ),
    ):
        space = "pet" if kind == "PET" else ref
        true = read_affine(truth / sub / f"{stem}_{name}_from-T1w_to-{space}_mode-image_xfm.txt")
        found = read_affine(out / sub / f"{stem}_{name}_from-T1w_to-{ref}_mode-image_xfm.txt")
        moves = read_affines(truth / sub / f"{stem}_{name}_desc-motion_xfm.txt")
        estimates = read_affines(out / sub / f"{stem}_{motion}")
        trues[kind] = [move @ ~true for move in moves]
        founds[kind] = [move @ ~found for move in estimates]
        each = [_distance(a, b, points) for a, b in zip(founds[kind], trues[kind], strict=True)]
        errors[f"{kind} to T1w"] = np.median(each[-6:] if kind == "PET" else each, axis=0)
    middle = len(trues["BOLD"]) // 2
    back_true, back_found = ~trues["BOLD"][middle], ~founds["BOLD"][middle]
    there = trues["BOLD"][middle].map(points)
    each = [
        _distance(founds["PET"][frame] @ back_found, trues["PET"][frame] @ back_true, there)
        for frame in range(-6, 0)
    ]
    return errors | {"PET to BOLD composed": np.median(each, axis=0)}


def _distance(found: Affine, true: Affine, points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found.map(points) - true.map(points), axis=1)


def _uptake(folder: Path, session: str) -> Iterator[Bar]:
    regions = pd.read_csv(folder / "out/group/regions.tsv", sep="\t")
    mine = regions[regions["session_id"] == session].set_index("region")
    truth = pd.read_csv(folder / "bids/truth/regions.tsv", sep="\t")
    true = truth[truth["session_id"] == session].set_index("region")["suvr_blurred"]
    error = 100 * (mine["suvr"] / true.reindex(mine.index) - 1).abs()
    yield at_most(
        f"full {session}: SUVR against PSF-blurred truth, median error",
        float(error.median()),
        2,
        "%",
    )
    worst = f"full {session}: SUVR against PSF-blurred truth, worst ({error.idxmax()})"
    yield at_most(worst, float(error.max()), 6, "%")
    grids = 100 * (mine["suvr_boldref"] / mine["suvr"] - 1).abs()
    yield at_most(
        f"full {session}: SUVR on the BOLD against the T1w grid, median",
        float(grids.median()),
        1,
        "%",
    )


# ---------------------------------------------------------------------------- real tables, errors


def one_resampling() -> Iterator[Bar]:
    test = "tests/workflows/test_participant.py::test_pet_reaches_the_bold_grid_by_exactly_one_resampling"
    done = Done([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test], cwd=ROOT)
    yield holds(
        "one resampling node between raw PET and the BOLD grid", done.status, "0", done.status == 0
    )


def ds004869() -> Iterator[Bar]:
    folder = WORK / "ds004869"
    folder.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "configs/petprep_tacs.yaml").read_text()
    petprep = DATA / "pet_dynamic/ds004869/derivatives/petprep"
    text = text.replace("ds004869/derivatives/petprep", str(petprep)).replace(
        "output: derivatives", f"output: {folder}"
    )
    (folder / "study.yaml").write_text(text)
    done = run("compare", folder / "study.yaml")
    yield holds("ds004869: exit status", done.status, "0", done.status == 0)
    row = pd.read_csv(folder / "petfmri/group/compare/comparisons.tsv", sep="\t").iloc[0]
    yield within(
        "ds004869: SUVR in left and right PCC, baseline to blocked", row["percent"], -20.2, 0.1, "%"
    )
    yield holds(
        "ds004869: persons who fall",
        f"{row['n_fall']} of {row['n']}",
        "10 of 10",
        (row["n_fall"], row["n"]) == (10, 10),
    )
    yield within("ds004869: exact two-sided sign-flip p", row["p"], 2 / 1024, 1e-12)


def broken_datasets() -> Iterator[Bar]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/study/test_checks.py",
    ]
    done = Done([*command, "-k", "stops_the_command"], cwd=ROOT)
    passed = re.search(r"(\d+) passed", done.output)
    count = int(passed.group(1)) // 2 if passed else 0  # each with check and with run
    name = "broken datasets: one clear message, exit 2, nothing written"
    yield holds(name, count, ">= 10, none failing", count >= 10 and done.status == 0)


def help_time() -> Iterator[Bar]:
    times = [run("--help").wall_s for _ in range(5)]
    yield at_most("petfmri --help", min(times), 0.5, "s")


def wheel() -> Iterator[Bar]:
    folder = WORK / "wheel"
    Done([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)])
    (path,) = folder.glob("*.whl")
    yield at_most("wheel", path.stat().st_size / 1e6, 6, "MB")


def ci() -> Iterator[Bar]:
    clone = WORK / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    environment = {**os.environ, "PETFMRI_TEST_DATA": str(DATA)}
    done = Done(["bash", ".ci/run"], cwd=clone, env=environment)
    (WORK / "ci.log").write_text(done.output)
    yield holds(".ci/run in a fresh clone: exit status", done.status, "0", done.status == 0)
    yield at_most(".ci/run: wall", done.wall_s / 60, 25, "min")
    tests = re.search(r"in (\d+(?:\.\d+)?)s(?: \(|\s*=|\s*$)", done.output, re.MULTILINE)
    yield at_most(
        ".ci/run: tests", float(tests.group(1)) / 60 if tests else float("inf"), 10, "min"
    )


MEASURES = [help_time, wheel, ds004869, broken_datasets, one_resampling, demo, second_run, full, ci]
