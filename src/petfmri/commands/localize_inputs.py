"""What `petfmri localize` works on: peaks, the space of its maps, the atlas and the people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np
import pandas as pd

from petfmri.atlases import Atlas, load_template
from petfmri.bold.series_files import read_run
from petfmri.commands.context import atlas_of, cleaning_of
from petfmri.config import Study
from petfmri.config.localization import Localization, Normative, Signed
from petfmri.errors import ConfigError, DatasetError, PetfmriError, Problem
from petfmri.images.resampling import LEAST_COVERED, Grid, carry_labels, carry_probability
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes
from petfmri.localization.contrasts import contrasts_of, coordinate_notes, in_mni, place_problems
from petfmri.localization.group import LEAST_PEOPLE
from petfmri.localization.localize import usable
from petfmri.localization.null import Rule
from petfmri.localization.preview import read_connectome
from petfmri.localization.space import Space, load_space, of_labels, of_mask, read_mask
from petfmri.localization.store import source_digest
from petfmri.study.check_images import inspect_image
from petfmri.study.coordinates import read_coordinates
from petfmri.study.files import read_json
from petfmri.study.normative import find_normative, find_normative_fmriprep, sources_of
from petfmri.study.run_inputs import RunInput
from petfmri.typing import BoolArray, FloatArray, IntArray

T = TypeVar("T")
GREY = 0.25
"""Least mean probability of grey matter of a voxel of the default mask."""

RECORD = "normative.json"


@dataclass(frozen=True)
class Given:
    """Everything that is known before an image is read.

    Attributes
    ----------
    peaks : DataFrame
        Of `in_mni`.
    space : Space
    atlas : Atlas
    labels : int array of shape (x, y, z)
        The atlas on the space's grid.
    people : mapping of name to runs
        Empty where a store is all there is, and for a preview.
    sources : mapping of name to digest
        Of the files and how they are cleaned.
    store : Path
    notes : list of str
    mean_r : array of shape (n_parcels, n_parcels), optional
        Of a preview.
    """

    peaks: pd.DataFrame
    space: Space
    atlas: Atlas
    labels: IntArray
    people: Mapping[str, Sequence[RunInput]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    store: Path = Path()
    notes: list[str] = field(default_factory=list)
    mean_r: FloatArray | None = None

    @property
    def parcels(self) -> list[str]:
        """Names of the space's parcels in their order; none in a space of voxels."""
        whole = self.space.n_elements == self.space.n_voxels
        return [] if whole else [str(name) for name in self.atlas.table["name"]]


def section(study: Study) -> Localization:
    """Return the section of the study.

    Raises
    ------
    ConfigError
        If it has none.
    """
    if study.localization is None:
        raise ConfigError(
            "localization",
            "nothing",
            "coordinates and a normative set",
            "see configs/localization.yaml",
        )
    return study.localization


def rule_of(given: Localization) -> Rule:
    """Turn the configuration into the values of the analysis."""
    return Rule(
        given.radius_mm, given.correction, given.alpha, given.overlap, given.min_cluster_voxels
    )


def store_folder(study: Study, given: Normative) -> Path:
    """Return where normalised series are kept."""
    return given.store or study.output / "work" / "normative"


def gather(study: Study) -> tuple[Given | None, list[Problem]]:
    """Read tables, find files, build the space: no image of a person is read.

    Returns
    -------
    given : Given or None
        None if anything is wrong that it needs.
    problems : list of Problem
        All of them, also warnings.
    """
    asked = section(study)
    peaks, problems = _peaks(asked)
    atlas = _or_none(problems, lambda: atlas_of(study))
    people = _or_none(problems, lambda: _people(study, asked.normative)) or {}
    placed = _or_none(problems, lambda: _space(study, asked, atlas)) if atlas else None
    if atlas is None or placed is None or any(one.severity == "error" for one in problems):
        return None, problems
    space, labels = placed
    folder = store_folder(study, asked.normative) if asked.normative else Path()
    notes = coordinate_notes(peaks)
    if _alone(asked.normative):
        notes.append(
            f"Grid and mask are those of the store: {space.n_voxels} voxels of {size_text(space)}."
        )
    given = Given(peaks, space, atlas, labels, people, {}, folder, notes)
    problems += _file_problems(people, given.parcels, asked.normative)
    _or_none(problems, lambda: usable(contrasts_of(peaks), space, rule_of(asked)))
    sources = _or_none(problems, lambda: _sources(study, asked, given))
    if asked.preview is not None:
        path, names = asked.preview.connectome, given.parcels
        mean_r = _or_none(problems, lambda: read_connectome(path, names))
        given = replace(given, mean_r=mean_r)
    if any(one.severity == "error" for one in problems):
        return None, problems
    return replace(given, sources=sources or {}), problems


def _or_none(problems: list[Problem], work: Callable[[], T]) -> T | None:
    """Do it, or add what is wrong to the problems."""
    try:
        return work()
    except PetfmriError as error:
        problems += error.problems
        return None


def _file_problems(
    people: Mapping[str, Sequence[RunInput]], parcels: Sequence[str], asked: Normative | None
) -> list[Problem]:
    """Look at every header, and at the first file of parcels."""
    problems: list[Problem] = []
    for runs in people.values():
        for run in runs:
            if parcels:
                _or_none(problems, lambda: read_run(run, parcels, key=asked and asked.key))  # noqa: B023
                return problems
            found = inspect_image(run.series, voxels=False)
            if found.problem is not None:
                problems.append(found.problem)
            elif len(found.shape) != 4:
                size = " × ".join(map(str, found.shape))
                remedy = "name the series, not an image of one volume"
                problems.append(Problem(str(run.series), size, "a 4-D image", remedy))
    return problems


def _peaks(asked: Localization) -> tuple[pd.DataFrame, list[Problem]]:
    named: dict[str | None, Any] = {None: asked.coordinates}
    if isinstance(asked.coordinates, Signed):
        named = {key: files for key, files in asked.coordinates if files is not None}
    tables, problems = [], []
    for direction, files in named.items():
        paths = [files] if isinstance(files, Path) else list(files)
        table, found = read_coordinates(paths, direction=direction, space=asked.space)
        tables.append(table)
        problems += found
    filled = [table for table in tables if len(table)]
    if not filled:
        return tables[0], problems
    peaks = in_mni(pd.concat(filled, ignore_index=True))
    mask = load_template().mask
    return peaks, problems + place_problems(peaks, np.asarray(mask.dataobj) > 0, mask.affine)


def _people(study: Study, asked: Normative | None) -> Mapping[str, Sequence[RunInput]]:
    if asked is None:
        return {}
    if asked.fmriprep is not None:
        people = find_normative_fmriprep(asked.fmriprep, study.bold.task)
    elif asked.images or asked.series:
        pattern = asked.images or asked.series or ""
        people = find_normative(pattern, confounds=asked.confounds, tr_s=asked.tr_s)
    else:
        return {}
    if len(people) < LEAST_PEOPLE:
        raise DatasetError(
            "localization.normative",
            f"{len(people)} people ({', '.join(people)})",
            f"at least {LEAST_PEOPLE}, and hundreds for a stable map",
            "add people, or use preview: with a mean matrix to look at coordinates only",
        )
    return people


def _space(study: Study, asked: Localization, atlas: Atlas) -> tuple[Space, IntArray]:
    """Build the space of the maps, and the atlas on its grid."""
    normative = asked.normative
    if _alone(normative):
        path = store_folder(study, normative) / "space.nii.gz"
        space = load_space(path)
        _require_as_asked(asked, space, path)
        return space, _labels(atlas, Grid(_shape(space.mask), space.affine))
    if isinstance(asked.mask, Path):
        mask = read_mask(asked.mask)
        grid = Grid(_shape(mask.mask), mask.affine)
    else:
        grid = mni_grid(asked.grid_mm)
    labels = _labels(atlas, grid)
    if normative is None or normative.series:
        return of_labels(labels, atlas.table["index"].to_numpy(int), grid.affine), labels
    return _masked(asked.mask, grid), labels


def _alone(normative: Normative | None) -> TypeGuard[Normative]:
    """Tell whether a store is all there is."""
    return normative is not None and not (
        normative.fmriprep or normative.images or normative.series
    )


def _masked(mask: str | Path, grid: Grid) -> Space:
    if isinstance(mask, Path):
        return read_mask(mask)
    template = load_template()
    image = template.gm if mask == "grey" else template.mask
    covered = np.asarray(carry_probability(image, Affine(), grid, samples=2).dataobj)
    return of_mask(covered >= (GREY if mask == "grey" else 0.5), grid.affine)


def _require_as_asked(asked: Localization, space: Space, path: Path) -> None:
    """Refuse a store whose grid or mask is not what the configuration names."""
    remedy = "remove {} to take the store's, or name the people to build it anew"
    size = np.linalg.norm(space.affine[:3, :3], axis=0)
    named = asked.model_fields_set
    sized = "grid_mm" in named and not isinstance(asked.mask, Path)
    if sized and not np.allclose(size, asked.grid_mm, atol=1e-3):
        found, expected = f"voxels of {size_text(space)}", f"grid_mm: {asked.grid_mm:g}"
        raise DatasetError(str(path), found, expected, remedy.format("grid_mm:"))
    if "mask" not in named:
        return
    own = _masked(asked.mask, Grid(_shape(space.mask), space.affine))
    if isinstance(asked.mask, Path):
        space.require_grid(own.mask.shape, own.affine, str(asked.mask))
    voxels = space.n_elements == space.n_voxels
    if voxels and not np.array_equal(own.mask, space.mask):
        found = f"a mask of {space.n_voxels} voxels"
        expected = f"mask: {asked.mask}, {own.n_voxels} voxels"
        raise DatasetError(str(path), found, expected, remedy.format("mask:"))


def size_text(space: Space) -> str:
    """Name the voxel size.

    Examples
    --------
    >>> size_text(of_mask(np.ones((1, 1, 1), bool), np.diag([3.0, 3.0, 4.0, 1.0])))
    '3 × 3 × 4 mm'
    """
    size = np.linalg.norm(space.affine[:3, :3], axis=0)
    return " × ".join(f"{one:.4g}" for one in size) + " mm"


def mni_grid(size_mm: float) -> Grid:
    """Cover the template's brain with voxels of one size, whose centres are multiples of it.

    Examples
    --------
    >>> grid = mni_grid(3.0)
    >>> grid.shape, grid.affine[:3, 3]
    ((49, 62, 53), array([ -72., -108.,  -72.]))
    """
    mask = load_template().mask
    brain = np.asarray(mask.dataobj) > 0
    held = [np.flatnonzero(brain.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    corners = Affine(mask.affine).map(
        np.array([[one[0] for one in held], [one[-1] for one in held]], float)
    )
    low, high = np.floor(corners[0] / size_mm), np.ceil(corners[1] / size_mm)
    affine = np.diag([size_mm, size_mm, size_mm, 1.0])
    affine[:3, 3] = low * size_mm
    x, y, z = (int(n) for n in high - low + 1)
    return Grid((x, y, z), affine)


def _shape(mask: BoolArray) -> tuple[int, int, int]:
    x, y, z = mask.shape
    return x, y, z


def _labels(atlas: Atlas, grid: Grid) -> IntArray:
    image = carry_labels(atlas.image, Affine(), grid, samples=3, least=LEAST_COVERED)
    return np.asarray(image.dataobj)


def _sources(study: Study, asked: Localization, given: Given) -> dict[str, str]:
    """Name what everybody's series are made of; of a store alone, what it says of itself."""
    normative, people = asked.normative, given.people
    if normative is None:
        return {}
    if people:
        how: list[object] = [normative.key, given.parcels]
        if any(run.confounds for runs in people.values() for run in runs):
            how += [asdict(cleaning_of(study.bold)), study.bold.dummy_scans]
        text = json.dumps(how)
        return {
            name: digest(source_digest(sources_of(runs)), text) for name, runs in people.items()
        }
    path = given.store / RECORD
    record = read_json(path)
    kept = record.get("parcels", [])
    if kept != given.parcels:
        raise DatasetError(
            str(path),
            f"series of {len(kept)} parcels",
            f"the {len(given.parcels)} of atlas: {given.atlas.name}, by name",
            "name the atlas that the store was made with",
        )
    found = {name: str(one["source"]) for name, one in record["people"].items() if one["used"]}
    if len(found) < LEAST_PEOPLE:
        raise DatasetError(
            str(path), f"{len(found)} people", f"at least {LEAST_PEOPLE}", "add people"
        )
    return found


def digest(*texts: str) -> str:
    """Name texts by their content."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def longest_run(people: Mapping[str, Sequence[RunInput]]) -> int:
    """Count the frames of the longest image, for the estimate of memory; 0 for parcel series."""
    images = [
        run.series
        for runs in people.values()
        for run in runs
        if run.series.name.endswith((".nii", ".nii.gz"))
    ]
    return max((len(Volumes(path)) for path in images), default=0)
