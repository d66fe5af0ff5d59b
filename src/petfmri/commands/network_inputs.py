"""Whose networks `petfmri networks` measures, and where their series come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from petfmri.atlases import Atlas, load_atlas
from petfmri.bold.dummy import marked_dummy_volumes
from petfmri.bold.parcels import ParcelSeries, stream_parcel_series
from petfmri.bold.series_files import read_run
from petfmri.bold.sessions import Run
from petfmri.commands.adoption import adoptions
from petfmri.commands.context import (
    atlas_of,
    cohort_of,
    session_roles,
)
from petfmri.commands.network_maps import VoxelImage
from petfmri.commands.run import names_of, settings_of
from petfmri.commands.tables import read_group_tables
from petfmri.config import AtlasFiles, Study
from petfmri.errors import DatasetError, PetfmriError
from petfmri.images.resampling import LEAST_COVERED, Grid, carry_labels, fraction_on_grid
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes, load_canonical, require_volume
from petfmri.study.adopted import TEMPLATE
from petfmri.study.bids import Scan
from petfmri.study.files import read_table
from petfmri.study.layout import Names
from petfmri.study.names import bids_label
from petfmri.study.run_inputs import RunInput, find_fmriprep, find_series
from petfmri.study.xcpd import find_xcpd, read_xcpd_atlas
from petfmri.typing import FloatArray

Source = Literal["series", "xcpd", "run", "fmriprep"]
SOURCES = {
    "series": "parcel series of another program",
    "xcpd": "XCP-D's clean parcel series",
    "run": "`petfmri run`",
    "fmriprep": "fMRIPrep's BOLD in MNI152NLin2009cAsym",
}


@dataclass(frozen=True)
class Person:
    """One person's runs and their images by session, and the map for SV2A-informed connectivity."""

    id: str
    sessions: Mapping[str, Sequence[Run]]
    images: Mapping[str, Sequence[VoxelImage | None]] = field(default_factory=dict)
    sv2a: FloatArray | None = None


@dataclass(frozen=True)
class Loaded:
    """Everybody's series over one atlas.

    Attributes
    ----------
    people : list of Person
    atlas : DataFrame
        ``name``, ``network``, ``structure``, in the order of the columns of the series.
    name : str
        Of the atlas, as in file names.
    source : str
        In words.
    notes : list of str
        What readers must know.
    """

    people: Sequence[Person]
    atlas: pd.DataFrame
    name: str
    source: str
    notes: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """Everybody's runs."""
        return [run for one in self.people for runs in one.sessions.values() for run in runs]

    @property
    def is_clean(self) -> bool:
        """Whether another program has denoised the series."""
        return all(run.confounds is None for run in self.runs)


def source_of(study: Study) -> Source:
    """Say where the series come from: what is named outright before what `run` made."""
    if study.series is not None:
        return "series"
    if study.derivatives.xcpd is not None:
        return "xcpd"
    return "run" if study.bids is not None else "fmriprep"


def load_runs(study: Study, atlas: str | AtlasFiles) -> Loaded:
    """Read everybody's series over an atlas.

    Raises
    ------
    PetfmriError
        With every problem of every file.
    """
    source = source_of(study)
    if source == "series":
        loaded = _of_series(study)
    elif source == "run":
        loaded = _of_run(study)
    else:
        loaded = _of_xcpd(study, atlas) if source == "xcpd" else _of_fmriprep(study, atlas)
    if not loaded.people:
        raise DatasetError(
            study.name, f"no runs of {loaded.source}", "at least one", "check paths and sessions"
        )
    return loaded


def _sessions(study: Study) -> list[str]:
    return list(session_roles(study).values())


def _people(
    inputs: Iterable[RunInput], read: Callable[[RunInput], tuple[Run, VoxelImage | None]]
) -> list[Person]:
    """Read every run, and report all that cannot be read at once."""
    runs: dict[str, dict[str, list[Run]]] = {}
    images: dict[str, dict[str, list[VoxelImage | None]]] = {}
    problems = []
    for one in inputs:
        try:
            run, image = read(one)
        except PetfmriError as error:
            problems += error.problems
            continue
        runs.setdefault(one.participant, {}).setdefault(one.session, []).append(run)
        images.setdefault(one.participant, {}).setdefault(one.session, []).append(image)
    if problems:
        raise DatasetError.of(problems)
    return [Person(name, found, images[name]) for name, found in sorted(runs.items())]


def _of_series(study: Study) -> Loaded:
    given = study.series
    assert given is not None
    table = _parcel_table(given.parcels)
    inputs, notes = find_series(given.files, _sessions(study), confounds=given.confounds)

    def read(one: RunInput) -> tuple[Run, None]:
        if one.tr_s is not None and abs(one.tr_s - given.tr_s) > 0.01 * given.tr_s:
            raise DatasetError(
                "series.tr_s",
                f"{given.tr_s:g} s",
                f"{one.tr_s:g} s, as beside {one.series.name}",
                "correct the one that is wrong",
            )
        confounds = None if one.confounds is None else read_table(one.confounds)
        found = read_run(one, table["name"].tolist(), key=given.key)
        made = Run(_named(one), found.series, given.tr_s, confounds, _dummies(confounds, study))
        return replace(made, missing=found.missing), None

    return Loaded(
        _people(inputs, read),
        table,
        bids_label(given.parcels.name.partition(".")[0]),
        SOURCES["series"],
        [str(note) for note in notes],
    )


def _parcel_table(path: Path) -> pd.DataFrame:
    """Read what the columns are; without a structure, all of them are cortex."""
    table = read_table(path, ["name", "network"])
    if "structure" not in table:
        table["structure"] = "cortex"
    outside = table["network"].isna() & (table["structure"] != "cortex")
    table["network"] = table["network"].mask(outside, table["structure"].str.capitalize())
    if table["network"].isna().any():
        first = table["name"][table["network"].isna()].iloc[0]
        raise DatasetError(
            str(path),
            f"no network of {first}",
            "a network for each parcel of the cortex",
            "add it, or say in a column structure that the parcel is subcortex or cerebellum",
        )
    repeated = table["name"][table["name"].duplicated()]
    if len(repeated):
        raise DatasetError(
            str(path), f"{repeated.iloc[0]} twice", "each name once", "correct the table"
        )
    return table[["name", "network", "structure"]].astype(str)


def _of_run(study: Study) -> Loaded:
    cohort = cohort_of(study)
    settings = settings_of(study, cohort)
    adopted = adoptions(study, cohort)
    table = atlas_of(study).table
    people, problems = [], []
    for person in cohort.participants:
        names = names_of(study, settings, person.id)
        runs: dict[str, list[Run]] = {}
        images: dict[str, list[VoxelImage | None]] = {}
        for session in person.sessions:
            for scan in session.bold:
                label = scan.entities.get("run")
                try:
                    run = _delivered(names, session.id, label, scan)
                except PetfmriError as error:
                    problems += error.problems
                    continue
                other = adopted[person.id].runs.get(scan.path)
                image = None if other and other.series else _raw_voxels(names, session.id, scan)
                runs.setdefault(session.id, []).append(run)
                images.setdefault(session.id, []).append(image)
        if runs:
            people.append(Person(person.id, runs, images))
    if problems:
        raise DatasetError.of(problems)
    return Loaded(_with_sv2a(study, people, table), table, settings.seg, SOURCES["run"])


def _delivered(names: Names, session: str, label: str | None, scan: Scan) -> Run:
    """Read the raw parcel series and the confounds of a run that `run` delivered."""
    path = names.func(session, "timeseries", ".tsv", run=label, seg=names.seg, desc="preproc")
    coverage = read_table(names.func(session, "coverage", ".tsv", run=label, seg=names.seg))
    reasons = coverage["missing"]
    confounds = read_table(names.func(session, "timeseries", ".tsv", run=label, desc="confounds"))
    return Run(
        f"{names.sub} {session}" + (f", run {label}" if label else ""),
        read_table(path).to_numpy(float),
        float(scan.sidecar["RepetitionTime"]),
        confounds,
        marked_dummy_volumes(confounds),
        missing={int(k): str(why) for k, why in reasons[reasons.notna()].items()},
    )


def _raw_voxels(names: Names, session: str, scan: Scan) -> VoxelImage:
    label = scan.entities.get("run")
    moved, placed = (
        names.func(session, "xfm", ".txt", run=label, from_=source, to="boldref", mode="image")
        for source in ("orig", "T1w")
    )
    if not placed.exists():  # with the distortion
        placed = placed.with_suffix(".h5")
    labels = names.anat("dseg", seg=names.seg)
    return VoxelImage(scan.path, labels, "boldref", placed, moved, label)


def _with_sv2a(study: Study, people: Sequence[Person], atlas: pd.DataFrame) -> list[Person]:
    """Give each person the map of SV2A over parcels that the study asks for."""
    wanted = study.connectivity.sv2a
    if wanted is None:
        return list(people)
    if isinstance(wanted, Path):
        values = _template_map(wanted, atlas_of(study))
        return [replace(person, sv2a=values) for person in people]
    outcome = study.pet.outcome
    regions, _ = read_group_tables(study, outcome)
    before = regions[regions["session_id"] == f"ses-{study.sessions.pre}"]
    maps = before.pivot_table(index="participant_id", columns="region", values=outcome)
    maps = maps.reindex(columns=atlas["name"])
    if wanted == "group":
        mean = maps.mean().to_numpy(float)
        return [replace(person, sv2a=mean) for person in people]
    absent = [person.id for person in people if person.id not in maps.index]
    if absent:
        raise DatasetError(
            "connectivity.sv2a: own",
            f"no {outcome} before the dose of {', '.join(absent)}",
            "a PET scan before the dose of everybody",
            "use sv2a: group",
        )
    return [replace(one, sv2a=maps.loc[one.id].to_numpy(float)) for one in people]


def _template_map(path: Path, atlas: Atlas) -> FloatArray:
    """Average a map in the template's space over the parcels."""
    image = load_canonical(path)
    require_volume(image)
    grid = Grid.of(image)
    labels = np.asarray(carry_labels(atlas.image, Affine(), grid, samples=3).dataobj).ravel()
    values = np.asarray(image.dataobj, dtype=float).ravel()
    seen = np.isfinite(values) & (values != 0) & (labels > 0)
    sums = np.bincount(labels[seen], values[seen], minlength=labels.max() + 1)
    counts = np.bincount(labels[seen], minlength=labels.max() + 1)
    means = pd.Series(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
    return means.reindex(atlas.table["index"]).to_numpy(float)


def _of_fmriprep(study: Study, atlas: str | AtlasFiles) -> Loaded:
    root = study.derivatives.fmriprep
    assert root is not None
    image = _atlas(atlas)
    inputs, notes = find_fmriprep(root, _sessions(study), study.bold.task)

    def read(one: RunInput) -> tuple[Run, VoxelImage]:
        assert one.confounds is not None  # find_fmriprep has refused runs without
        confounds = read_table(one.confounds)
        found = _averaged(one, image)
        run = Run(
            _named(one),
            found.series,
            _repetition_time(one),
            confounds,
            _dummies(confounds, study),
            missing=found.missing,
        )
        return run, VoxelImage(one.series, image.image, TEMPLATE, run=one.run)

    people = _people(inputs, read)
    if isinstance(study.connectivity.sv2a, Path):
        values = _template_map(study.connectivity.sv2a, image)
        people = [replace(person, sv2a=values) for person in people]
    return Loaded(
        people,
        image.table,
        bids_label(image.name),
        SOURCES["fmriprep"],
        [str(note) for note in notes],
    )


def _averaged(one: RunInput, atlas: Atlas) -> ParcelSeries:
    """Average the voxels of each parcel of a run in the template's space."""
    volumes = Volumes(one.series)
    grid = Grid(volumes.shape, volumes.affine)
    labels = carry_labels(atlas.image, Affine(), grid, samples=3, least=LEAST_COVERED)
    index = atlas.table["index"].to_numpy(int)
    return stream_parcel_series(
        volumes,
        np.asarray(labels.dataobj),
        index,
        on_grid=fraction_on_grid(atlas.image, Affine(), grid, index),
        where=one.series.name,
    )


def _of_xcpd(study: Study, atlas: str | AtlasFiles) -> Loaded:
    root = study.derivatives.xcpd
    assert root is not None
    name = str(atlas)
    inputs, notes = find_xcpd(root, _sessions(study), study.bold.task, name)
    if inputs[0].parcels is None:
        raise DatasetError(
            str(root), f"no atlas-{name}_dseg.tsv", "XCP-D's table of its atlas", "restore it"
        )
    table = read_xcpd_atlas(inputs[0].parcels)

    def read(one: RunInput) -> tuple[Run, None]:
        found = read_run(one, table["name"].tolist())
        series = np.full((found.kept.size, len(table)), np.nan)
        series[found.kept] = found.series  # on the time line of the scan
        made = Run(_named(one), series, _repetition_time(one), mean_fd=one.mean_fd)
        return (
            replace(made, kept=found.kept, denoising=one.denoising, missing=found.missing),
            None,
        )

    unknown = [_named(one) for one in inputs if one.kept is None]
    told = [str(note) for note in notes]
    if unknown:
        told.append(
            f"No list of kept frames (*_outliers.tsv) of {', '.join(unknown)}: all of their frames "
            "count, interpolated ones too."
        )
    return Loaded(_people(inputs, read), table, name, SOURCES["xcpd"], told)


def _atlas(atlas: str | AtlasFiles) -> Atlas:
    return (
        load_atlas(atlas.image, atlas.table) if isinstance(atlas, AtlasFiles) else load_atlas(atlas)
    )


def _dummies(confounds: pd.DataFrame | None, study: Study) -> int:
    """Count the leading volumes to drop: as the study says, else as the confounds mark them."""
    if study.bold.dummy_scans != "auto":
        return study.bold.dummy_scans
    return 0 if confounds is None else marked_dummy_volumes(confounds)


def _repetition_time(one: RunInput) -> float:
    if one.tr_s is None:
        raise DatasetError(
            str(one.series), "no RepetitionTime beside it", "seconds, in its JSON", "add it"
        )
    return one.tr_s


def _named(one: RunInput) -> str:
    return f"{one.participant} {one.session}" + (f", run {one.run}" if one.run else "")
