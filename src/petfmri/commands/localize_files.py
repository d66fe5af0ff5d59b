"""Files of `petfmri localize`: what its steps read, and the folder that is handed over."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.atlases import load_template
from petfmri.commands.context import group_folder, resolved
from petfmri.commands.localize_inputs import Given, section
from petfmri.commands.overview import write_overview
from petfmri.config import Study
from petfmri.images.resampling import Grid, resample
from petfmri.images.transforms import Affine
from petfmri.images.volumes import load_canonical
from petfmri.localization.space import save_space
from petfmri.study.adopted import TEMPLATE
from petfmri.study.files import read_table, save_image, write_table, write_text
from petfmri.study.names import bids_label, write_dataset_description

SHOWN_MM = 2.0
HEIGHTS_MM = tuple(range(-48, 73, 16))
EXCLUDED = {
    "person": {"Description": "Normative person"},
    "run": {"Description": "File"},
    "reason": {"Description": "Why it does not count"},
}


def write_inputs(given: Given, folder: Path) -> dict[str, Path]:
    """Write what the steps of the workflow read, small files all."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = nib.Nifti1Image(given.labels.astype(np.int32), given.space.affine)
    return {
        "peaks": write_table(given.peaks, folder / "peaks.tsv"),
        "space": save_space(given.space, folder / "space.nii.gz"),
        "labels": save_image(labels, folder / "labels.nii.gz"),
        "regions": write_table(given.atlas.table, folder / "regions.tsv"),
    }


def deliver(study: Study, given: Given, made: Path, *, people: int, excluded: pd.DataFrame) -> None:
    """Put maps, tables, notes, verdict and page together beside ``group/localize``, then rename."""
    from petfmri.reports.localize_page import localize_page, verdict

    target = group_folder(study, "localize")
    beside = target.with_name(".localize_new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    if len(excluded):
        write_table(excluded, beside / "excluded.tsv", EXCLUDED)
    notes = (beside / "notes.txt").read_text(encoding="utf-8").splitlines() + given.notes
    write_text("\n".join(notes) + "\n", beside / "notes.txt")
    write_text(resolved(study), beside / "study.yaml")
    preview = section(study).preview is not None
    start = "preview_" if preview else ""
    tables = {path.stem.removeprefix(start): _table(path) for path in sorted(beside.glob("*.tsv"))}
    asked = section(study)
    said = verdict(tables, preview=preview, overlap=asked.overlap)
    write_text(said + "\n", beside / "verdict.txt")
    directions = list(dict.fromkeys(tables["contrasts"]["direction"]))
    localize_page(
        tables,
        _pictures(beside, directions, preview),
        study=study.name,
        said=said,
        notes=notes,
        people=people,
        preview=preview,
        overlap=asked.overlap,
        configuration=resolved(study),
    ).save(beside / "localize.html")
    old = target.with_name(".localize_old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.replace(old)
    beside.replace(target)
    shutil.rmtree(old, ignore_errors=True)
    write_dataset_description(study.output, name=study.name, source=study.bids)
    write_overview(study)


def _table(path: Path) -> pd.DataFrame:
    """Read a table with names as text, also names that are numbers."""
    table = read_table(path).replace({"True": "yes", "False": "no"})
    for name in ("study", "contrast", "name", "person"):
        if name in table:
            table[name] = pd.read_csv(
                path, sep="\t", dtype=str, usecols=[name], keep_default_na=False
            )[name]
    return table


def _pictures(
    folder: Path, directions: list[str], preview: bool
) -> dict[str, dict[str, np.ndarray]]:
    """Read slices of template, probability and network of each direction on one grid."""
    brain = load_template().brain
    whole = Grid.of(brain).spaced(SHOWN_MM)
    affine = whole.affine.copy()
    affine[:3, 2], affine[2, 3] = (0, 0, HEIGHTS_MM[1] - HEIGHTS_MM[0]), HEIGHTS_MM[0]
    grid = Grid((*whole.shape[:2], len(HEIGHTS_MM)), affine)
    ground = np.asarray(resample(brain, Affine(), grid, order=1).dataobj)
    start = "desc-preview" if preview else "desc-"
    pictures = {}
    for name in directions:
        label = f"space-{TEMPLATE}_{start}{bids_label(name)}"
        shown = {"background": ground, "height_mm": np.array(HEIGHTS_MM, dtype=float)}
        for kind in ("stat-probability_boldmap", "mask"):
            image = load_canonical(folder / f"{label}_{kind}.nii.gz")
            shown[kind.partition("_")[0]] = np.asarray(
                resample(image, Affine(), grid, order=0).dataobj
            )
        pictures[name] = shown
    return pictures
