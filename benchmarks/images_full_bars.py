"""Bars of whole runs: one full-size participant, a memory limit, copies stored otherwise."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from bars import Bar, at_most, holds
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from spine_bars import STUDY, WORK, alignment_errors, brain_points_of, run

from petfmri.images.transforms import rigid
from petfmri.simulation.presets import PRESETS
from petfmri.simulation.study import simulate_study

LIMIT_GB = 2.0
TILT = rigid((3, -5, 4), (8, -6, 10)).matrix


def full() -> Iterator[Bar]:
    folder = WORK / "full"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.yaml").write_text(STUDY)
    if not (folder / "bids").exists():
        run("simulate", folder / "study.yaml", "--n-procs", "2")
    shutil.rmtree(folder / "out", ignore_errors=True)
    done = run("run", folder / "study.yaml", "--n-procs", "2")
    (WORK / "full.log").write_text(done.output)
    yield holds("full: exit status", done.status, "0", done.status == 0)
    yield at_most("full: wall, 2 cores", done.wall_s / 60, 8, "min")
    yield at_most("full: peak memory", done.peak_gb, 6, "GB")
    points = brain_points_of(folder)
    for session in ("ses-pre", "ses-post"):
        errors = alignment_errors(folder, session, points)["PET to BOLD composed"]
        name = f"full {session}: PET to BOLD composed"
        yield at_most(f"{name}, mean error", float(errors.mean()), 0.6, "mm")
        yield at_most(f"{name}, largest error", float(errors.max()), 1.5, "mm")


def memory() -> Iterator[Bar]:
    """Run the full-size participant with four workers and a limit near the largest step."""
    folder = WORK / "limited"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "bids").symlink_to(WORK / "full/bids")
    (folder / "study.yaml").write_text(STUDY)
    done = run("run", folder / "study.yaml", "--n-procs", "4", "--mem-gb", str(LIMIT_GB))
    (WORK / "limited.log").write_text(done.output)
    name = f"4 workers, --mem-gb {LIMIT_GB:g}"
    yield holds(f"{name}: exit status", done.status, "0", done.status == 0)
    yield at_most(f"{name}: peak memory", done.peak_gb, LIMIT_GB, "GB")


# ------------------------------------------------------------------------------ stored otherwise


def _reoriented(codes: str) -> Callable[[nib.Nifti1Image], nib.Nifti1Image]:
    def change(image: nib.Nifti1Image) -> nib.Nifti1Image:
        have = io_orientation(image.affine)
        return image.as_reoriented(ornt_transform(have, axcodes2ornt(codes)))

    return change


def _tilted(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Turn the head in the scanner: the same voxels elsewhere in the world."""
    return nib.Nifti1Image(np.asanyarray(image.dataobj), TILT @ image.affine, image.header)


def _anisotropic(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Give a 3-D image voxels that are a third thicker along z; a series stays as it is."""
    return image if image.ndim == 4 else _coarsened_along_z(image, 4 / 3)


def _coarsened_along_z(image: nib.Nifti1Image, factor: float) -> nib.Nifti1Image:
    """Average along z, as thicker slices would."""
    data = np.asarray(image.dataobj, dtype=np.float32)
    n_old = data.shape[2]
    n_new = int(n_old // factor)
    edges = np.arange(n_new + 1) * factor
    total = np.concatenate([np.zeros((*data.shape[:2], 1)), np.cumsum(data, axis=2)], axis=2)
    at = np.minimum(edges.astype(int), n_old - 1)
    summed = total[..., at] + (edges - at) * data[..., at]
    affine = image.affine @ np.diag([1, 1, factor, 1])
    affine[:3, 3] += image.affine[:3, 2] * (factor - 1) / 2
    thick = (np.diff(summed, axis=2) / factor).astype(np.float32)
    return nib.Nifti1Image(thick, affine)


COPIES = {
    "LAS": _reoriented("LAS"),
    "LPS": _reoriented("LPS"),
    "PIR": _reoriented("PIR"),
    "oblique": _tilted,
    "anisotropic": _anisotropic,
}


def stored_otherwise() -> Iterator[Bar]:
    folder = WORK / "stored"
    shutil.rmtree(folder, ignore_errors=True)
    preset = replace(
        PRESETS["demo"], n_people=1, t1w_mm=1.5, pet_mm=2.5, bold_mm=3.5, n_volumes=104,
        scan_start_s=3600.0, frame_durations_s=(600.0, 600.0, 600.0),
    )  # fmt: skip
    simulate_study(folder / "RAS/bids", preset, seed=3)
    for name, change in COPIES.items():
        _copy(folder / "RAS/bids", folder / name / "bids", change)
    tables = {name: _table(folder / name) for name in ("RAS", *COPIES)}
    for name in COPIES:
        for column in ("suvr", "suvr_boldref"):
            error = 100 * (tables[name][column] / tables["RAS"][column] - 1).abs()
            bar = f"{name} copy: {column}"
            yield at_most(f"{bar}, median change of a region", float(error.median()), 0.5, "%")
            yield at_most(
                f"{bar}, largest change ({error.idxmax()[1]})", float(error.max()), 0.5, "%"
            )


def _copy(source: Path, target: Path, change: Callable[[nib.Nifti1Image], nib.Nifti1Image]) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("truth"))
    for path in target.rglob("*.nii.gz"):
        image = nib.load(path)
        changed = change(image)
        changed.header.set_xyzt_units(*image.header.get_xyzt_units())
        if image.ndim == 4:
            spacing = changed.header.get_zooms()[:3]
            changed.header.set_zooms((*spacing, image.header.get_zooms()[3]))
        data = np.array(changed.dataobj)
        path.unlink()
        nib.save(nib.Nifti1Image(data, changed.affine, changed.header), path)


def _table(folder: Path) -> pd.DataFrame:
    (folder / "study.yaml").write_text(STUDY)
    done = run("run", folder / "study.yaml", "--n-procs", "2")
    if done.status:
        print(done.output, file=sys.stderr)
    table = pd.read_csv(folder / "out/group/regions.tsv", sep="\t")
    return table.set_index(["session_id", "region"])


MEASURES = [full, memory, stored_otherwise]
