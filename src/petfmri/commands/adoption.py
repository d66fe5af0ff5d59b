"""What `run` takes over from fMRIPrep and PETPrep, and whether it can be used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.bold.strategies import STRATEGIES
from petfmri.commands.context import atlas_of, strategies_of
from petfmri.config import AtlasFiles, Study
from petfmri.errors import ConfigError, PetfmriError, Problem
from petfmri.images.transform_files import read_affines
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine
from petfmri.study.adopted import Adopted, AdoptedAnat, AdoptedBold, AdoptedPet
from petfmri.study.adoption import find_adopted, uneven_problems
from petfmri.study.bids import Cohort
from petfmri.study.check_images import SAME_GRID_MM, Image, inspect_image
from petfmri.study.derivatives import DerivativeFolder
from petfmri.study.files import read_table
from petfmri.study.names import bids_label

REMEDY = "make the derivatives anew from this scan, or remove the file to have it computed"
ROUND_TRIP_MM = 2.0  # the two directions of an alignment may differ by, in the middle of brains


def adoption_roots(study: Study) -> dict[str, Path]:
    """Return the folders of other programs by name.

    Raises
    ------
    ConfigError
        If one does not exist.
    """
    named = {"fmriprep": study.derivatives.fmriprep, "petprep": study.derivatives.petprep}
    roots = {name: root for name, root in named.items() if root is not None}
    for name, root in roots.items():
        if not root.is_dir():
            raise ConfigError(
                f"derivatives.{name}",
                f"{root}, which is no folder",
                f"the folder with {name}'s sub-* folders",
                "correct the path or remove the key",
            )
    return roots


def adoptions(study: Study, cohort: Cohort) -> dict[str, Adopted]:
    """Find what of each person is adopted: by names, the headers of T1w and of curves."""
    roots = adoption_roots(study)
    folders = {name: DerivativeFolder(root) for name, root in roots.items()}
    files = study.atlas if isinstance(study.atlas, AtlasFiles) else None
    seg = bids_label(files.image.name.partition(".")[0] if files else str(study.atlas))
    regions = list(atlas_of(study).table["name"]) if "petprep" in roots else []
    found = {
        person.id: find_adopted(
            person,
            fmriprep=folders.get("fmriprep"),
            petprep=folders.get("petprep"),
            seg=seg,
            regions=regions,
        )
        for person in cohort.participants
    }
    return {
        person: replace(one, notes=(*one.notes, *_left_notes(study, one)))
        for person, one in found.items()
    }


def _left_notes(study: Study, adopted: Adopted) -> list[str]:
    """Say of what runs an option of the study leaves as it is."""
    asked = {
        "slice timing": study.bold.slice_timing,
        "distortion": study.bold.distortion != "none",
    }
    runs = {
        step: [raw.name for raw, run in adopted.runs.items() if step in run.left()]
        for step, wanted in asked.items()
        if wanted
    }
    return [
        f"{step} as fMRIPrep left it in {', '.join(names)}" for step, names in runs.items() if names
    ]


def adoption_line(participant: str, adopted: Adopted) -> str:
    """Say in one line what is adopted of a person and what is computed."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for part in adopted.parts.values():
        for step, path in part.sources().items():
            counts[step].append(path is not None)
    taken = [_counted(step, sum(done), len(done)) for step, done in counts.items() if any(done)]
    made = [
        _counted(step, len(done) - sum(done), len(done))
        for step, done in counts.items()
        if not all(done)
    ]
    line = f"{participant}: adopted {', '.join(taken) or 'nothing'}; computed {', '.join(made) or 'nothing else'}"
    return "; ".join([line, *adopted.notes])


def _counted(step: str, n: int, of: int) -> str:
    return step if n == of else f"{step} ({n} of {of})"


def adoption_problems(
    study: Study, cohort: Cohort, found: Mapping[str, Adopted], *, voxels: bool = True
) -> list[Problem]:
    """Find every adopted file that cannot be used.

    Parameters
    ----------
    study : Study
    cohort : Cohort
    found : mapping of participant to Adopted
    voxels : bool
        Decompress every image once, as of `check_cohort`.
    """
    problems = []
    needed = {name for strategy in strategies_of(study) for name in STRATEGIES[strategy]}
    for person in cohort.participants:
        adopted = found[person.id]
        check = _Check(voxels)
        check.anatomy(adopted.anat)
        for raw, run in adopted.runs.items():
            check.bold(raw, run, sorted(needed))
        for raw, scan in adopted.scans.items():
            check.pet(raw, scan)
        problems += [*check.problems, *uneven_problems(person, adopted)]
    for name, root in adoption_roots(study).items():
        if not any(path.is_relative_to(root) for one in found.values() for path in one.files):
            problems.append(_nothing_fits(name, root, cohort))
    return problems


def _nothing_fits(name: str, root: Path, cohort: Cohort) -> Problem:
    """Refuse a folder of which nothing is used, unless it is the others of the dataset's."""
    inner = [place for place in sorted(root.glob("*")) if _holds_people(place)]
    chosen = {person.id for person in cohort.participants}
    others = {path.name for path in cohort.bids.glob("sub-*")} - chosen
    of_others = any((root / person).is_dir() for person in others)
    remedy = f"did you mean {' or '.join(map(str, inner))}?" if inner else "correct the path"
    return Problem(
        f"derivatives.{name}",
        f"nothing in {root} that can be used of any participant of the study",
        f"{name}'s sub-* folders, files by its own names",
        "everything is computed for those who are not in it"
        if of_others
        else f"{remedy}; without this key everything is computed",
        "warning" if of_others else "error",
    )


def _holds_people(folder: Path) -> bool:
    """Tell whether a folder has BIDS' folders of people: FreeSurfer's have other content."""
    inside = ("ses-*", "anat", "func", "pet")
    return any(place.is_dir() for kind in inside for place in folder.glob(f"sub-*/{kind}"))


class _Check:
    """Looks at the files of one person and collects what is wrong."""

    def __init__(self, voxels: bool) -> None:
        self.problems: list[Problem] = []
        self._voxels = voxels

    def anatomy(self, anat: AdoptedAnat) -> None:
        t1w = self._image(anat.t1w)
        for path in (anat.mask, anat.grey, anat.white, anat.csf):
            self._same_grid(self._image(path), t1w)
        try:
            xfms = [
                read_transform(path)
                for path in (anat.to_template, anat.from_template)
                if path is not None
            ]
        except PetfmriError as error:
            self.problems += error.problems
            return
        if len(xfms) < 2 or t1w is None or t1w.affine is None:
            return
        middle = np.array([[x, y, z] for x in (0.4, 0.6) for y in (0.4, 0.6) for z in (0.5, 0.6)])
        points = Affine(t1w.affine).map(middle * np.array(t1w.shape[:3]))
        off = np.linalg.norm(xfms[1].map(xfms[0].map(points)) - points, axis=1).max()
        if off > ROUND_TRIP_MM:
            self._wrong(
                anat.from_template, f"{off:.1f} mm off after the way there and back", "an inverse"
            )

    def bold(self, raw: Path, run: AdoptedBold, columns: tuple[str, ...]) -> None:
        n_frames = inspect_image(raw, voxels=False).n_frames if run else 0
        series = self._image(run.series, n_frames)
        self._same_grid(self._image(run.mask), series)
        reference = self._image(run.reference)
        if run.space == "native":
            self._same_grid(series, reference)
        self._xfm(run.xfm)
        self._motion(run.motion, n_frames)
        table = self._table(run.confounds, n_frames)
        if table is not None:
            missing = [name for name in (*columns, "framewise_displacement") if name not in table]
            if missing:
                self._wrong(
                    run.confounds,
                    f"no column {', '.join(missing[:4])}" + " and others" * (len(missing) > 4),
                    "the columns of bold: strategy",
                    "choose another strategy, or " + REMEDY,
                )

    def pet(self, raw: Path, scan: AdoptedPet) -> None:
        n_frames = inspect_image(raw, voxels=False).n_frames if scan else 0
        series, reference = self._image(scan.series, n_frames), self._image(scan.reference)
        if scan.space == "native":
            self._same_grid(series, reference)
        self._xfm(scan.xfm)
        self._motion(scan.motion, n_frames)
        for path in (scan.confounds, scan.curves):
            self._table(path, n_frames)

    def _wrong(self, path: Path | None, found: str, expected: str, remedy: str = REMEDY) -> None:
        self.problems.append(Problem(str(path), found, expected, remedy))

    def _image(self, path: Path | None, n_frames: int | None = None) -> Image | None:
        if path is None:
            return None
        image = inspect_image(path, voxels=self._voxels)
        if image.problem is not None:
            self._wrong(path, image.problem.found, image.problem.expected)
            return None
        if n_frames is not None and image.n_frames != n_frames:
            self._wrong(path, f"{image.n_frames} volumes", f"{n_frames}, as the raw scan has")
        return image

    def _same_grid(self, image: Image | None, other: Image | None) -> None:
        if image is None or other is None or image.affine is None or other.affine is None:
            return
        same = image.shape[:3] == other.shape[:3]
        if not same or not np.allclose(image.affine, other.affine, atol=SAME_GRID_MM):
            self._wrong(image.path, "another grid", f"that of {other.path.name}")

    def _xfm(self, path: Path | None) -> None:
        if path is None:
            return
        try:
            xfm = read_transform(path)
        except PetfmriError as error:
            self.problems += error.problems
            return
        if not isinstance(xfm, Affine):
            self._wrong(path, "a deformation", "an affine")

    def _motion(self, path: Path | None, n_frames: int) -> None:
        if path is None:
            return
        try:
            found = len(read_affines(path))
        except PetfmriError as error:
            self.problems += error.problems
            return
        if found != n_frames:
            self._wrong(path, f"{found} transforms", f"{n_frames}, as the raw scan has volumes")

    def _table(self, path: Path | None, n_frames: int) -> pd.DataFrame | None:
        if path is None:
            return None
        try:
            table = read_table(path)
        except PetfmriError as error:
            self.problems += error.problems
            return None
        if len(table) != n_frames:
            self._wrong(path, f"{len(table)} rows", f"{n_frames}, as the raw scan has volumes")
        return table
