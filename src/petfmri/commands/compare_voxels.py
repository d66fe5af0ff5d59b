"""Voxels for `petfmri compare`: from maps on one standard grid to tests, images and peaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.commands.compare_beside import beside
from petfmri.commands.context import atlas_of, group_folder, reference_name
from petfmri.config import Study
from petfmri.errors import DatasetError
from petfmri.images.resampling import Grid
from petfmri.images.smoothing import smooth_within
from petfmri.images.volumes import load_canonical
from petfmri.statistics.effects import MIN_PERSONS
from petfmri.statistics.maps import MapComparison, compare_maps, peaks
from petfmri.study.adopted import TEMPLATE
from petfmri.study.files import save_image, write_json, write_table
from petfmri.study.names import bids_label, parse_name
from petfmri.study.path_patterns import find_paths
from petfmri.typing import BoolArray, FloatArray

NEAR_MM = 10.0
PEAK_COLUMNS = {
    "cluster": {"Description": "By size; missing where no voxel stands out"},
    "voxels": {"Description": "With a corrected p of at most .05 by either test"},
    "volume_ml": {"Description": "Their volume", "Units": "mL"},
    "direction": {"Description": "rise or fall"},
    "x": {"Description": "Of the largest |t|", "Units": "mm"},
    "y": {"Units": "mm"},
    "z": {"Units": "mm"},
    "region": {"Description": f"Of the study's atlas, in {TEMPLATE}, at or near this point"},
    "change": {"Description": "Mean of post minus pre"},
    "t": {"Description": "Paired t"},
    "p_fwe": {"Description": "Family-wise p by the largest |t|"},
    "p_tfce": {"Description": "Family-wise p by the largest TFCE of either sign"},
}


@dataclass(frozen=True)
class VoxelTest:
    """What was tested where, for the page."""

    found: MapComparison
    grid: Grid
    peaks: pd.DataFrame


def voxel_level(
    study: Study, sessions: pd.DataFrame | None = None
) -> tuple[VoxelTest | None, list[str]]:
    """Compare every voxel, write images and peaks; or say why not.

    Raises
    ------
    DatasetError
        If maps lie on several grids, or have no voxel in common.
    """
    if not study.voxels.test:
        return None, []
    if study.voxels.maps is None and study.pet.outcome != "suvr":
        told = f"Voxels are not tested: the maps of `petfmri run` are of SUVR, the outcome is {study.pet.outcome}; name maps of it under voxels: maps."
        return None, [told] * (study.bids is not None)
    paths = _paired(study)
    also = beside(study, sessions, [f"sub-{person}" for person in paths])
    if also is not None:
        paths = {person: both for (person, both), stays in zip(paths.items(), also.kept) if stays}
    if len(paths) < MIN_PERSONS:
        told = f"Voxels are not tested: {len(paths)} persons have maps of both sessions in one standard space."
        return None, [told] * (len(paths) > 0 or study.voxels.maps is not None)
    pre, post, mask, grid = _read(paths, study.voxels.fwhm_mm)
    found = compare_maps(
        pre,
        post,
        mask,
        connectivity=study.voxels.connectivity,
        covariates=None if also is None else also.values,
        permutations=study.inference.permutations,
        tfce_permutations=study.voxels.tfce_permutations,
        seed=study.inference.seed,
    )
    table = peaks(found, grid.affine, study.voxels.connectivity)
    table.insert(table.columns.get_loc("change"), "region", _regions(study, table))
    _write(study, found, grid, table, sorted(paths))
    smoothed = f"smoothed by {study.voxels.fwhm_mm:g} mm" if study.voxels.fwhm_mm else "unsmoothed"
    return VoxelTest(found, grid, table), [
        *found.notes,
        f"Maps of voxels: {smoothed}, where all {2 * len(paths)} maps have values.",
        *(also.notes if also else ()),
    ]


def _paired(study: Study) -> dict[str, tuple[Path, Path]]:
    """Both maps of each person who has them."""
    if study.voxels.maps is not None:
        named = [
            (its["subject"], its["session"], path) for path, its in find_paths(study.voxels.maps)
        ]
    else:
        named = [
            (*path.name.split("_")[:2], path)
            for path in sorted(study.output.glob("sub-*/ses-*/pet/*_mimap.nii.gz"))
            if _is_standard(study, path)
        ]
    of: dict[str, dict[str, Path]] = {}
    for person, session, path in named:
        of.setdefault(person.removeprefix("sub-"), {})[session.removeprefix("ses-")] = path
    both = (study.sessions.pre, study.sessions.post)
    return {
        person: (maps[both[0]], maps[both[1]])
        for person, maps in of.items()
        if all(session in maps for session in both)
    }


def _is_standard(study: Study, path: Path) -> bool:
    """Tell whether a map is of `petfmri run`, in standard space, with the study's reference."""
    name = parse_name(path.name)
    wanted = {
        "space": TEMPLATE,
        "res": "2",
        "ref": bids_label(reference_name(study)),
        "pvc": "none",
        "meas": "SUVR",
        **({"trc": bids_label(study.pet.tracer)} if study.pet.tracer else {}),
    }
    if name is None or "model" in name.entities or "desc" in name.entities:
        return False
    return all(name.entities.get(key) == label for key, label in wanted.items())


def _read(
    paths: Mapping[str, tuple[Path, Path]], fwhm_mm: float
) -> tuple[FloatArray, FloatArray, BoolArray, Grid]:
    """Read all maps where all have values, and smooth them there."""
    images = {path: load_canonical(path) for pair in paths.values() for path in pair}
    first, *others = images
    grid = Grid.of(images[first])
    for path in others:
        if len(images[path].shape) != 3 or Grid.of(images[path]) != grid:
            raise DatasetError(
                str(path),
                f"{' × '.join(map(str, images[path].shape))} voxels of another grid",
                f"the grid of {first}",
                "resample the maps onto one standard grid",
            )
    volumes = {path: np.asarray(image.dataobj, dtype=np.float32) for path, image in images.items()}
    mask = np.logical_and.reduce([np.isfinite(v) & (v != 0) for v in volumes.values()])
    if not mask.any():
        raise DatasetError(
            f"{len(images)} maps such as {first}",
            "no voxel with a value in all of them",
            "maps in one standard space",
            "look at them side by side",
        )
    sides = []
    for side in (0, 1):
        maps = (volumes[pair[side]] for pair in paths.values())
        smoothed = (
            smooth_within(values, mask, fwhm_mm=fwhm_mm, spacing_mm=grid.spacing_mm)[mask]
            for values in maps
        )
        sides.append(np.array(list(smoothed)))
    return sides[0], sides[1], mask, grid


def _regions(study: Study, table: pd.DataFrame) -> list[str]:
    """Name the region of the atlas at each peak, or the nearest one within `NEAR_MM`."""
    atlas = atlas_of(study)
    labels = np.asarray(atlas.image.dataobj)
    filled = np.argwhere(labels > 0)
    places = filled @ atlas.image.affine[:3, :3].T + atlas.image.affine[:3, 3]
    names = dict(zip(atlas.table["index"], atlas.table["name"], strict=True))
    found = []
    for point in table[["x", "y", "z"]].to_numpy(float):
        distance = ((places - point) ** 2).sum(axis=1)
        nearest = int(distance.argmin())
        name, away = (
            str(names.get(int(labels[tuple(filled[nearest])]), "")),
            distance[nearest] ** 0.5,
        )
        inside = away <= atlas.image.header.get_zooms()[0]
        found.append(name if inside else f"near {name}" if away <= NEAR_MM else "")
    return found


def _write(
    study: Study, found: MapComparison, grid: Grid, table: pd.DataFrame, people: list[str]
) -> None:
    folder = group_folder(study, "compare")
    about: dict[str, Any] = {
        "SmoothingFWHM_mm": study.voxels.fwhm_mm,
        "Persons": people,
        "Tests": len(found.t),
        "Inference": list(found.notes),
        "ValueOutside": 0,
    }
    images = {
        "voxels_t": (found.t, "Paired t of post minus pre"),
        "voxels_logpfwe": (
            -np.log10(found.p_fwe),
            "-log10 of the family-wise p by the largest |t|; 1.301 is .05",
        ),
        "voxels_logptfce": (
            -np.log10(found.p_tfce),
            "-log10 of the family-wise p of exact TFCE; 1.301 is .05",
        ),
    }
    for name, (values, text) in images.items():
        image = nib.Nifti1Image(found.volume(values).astype(np.float32), grid.affine)
        save_image(image, folder / f"{name}.nii.gz")
        write_json({"Description": text, **about}, folder / f"{name}.json")
    write_table(table, folder / "peaks.tsv", PEAK_COLUMNS)
