"""One normative person: runs read onto the space of the localization and cleaned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petfmri.bold.censoring import kept_frames
from petfmri.bold.denoise import Cleaning, clean, require_kept
from petfmri.bold.dummy import marked_dummy_volumes
from petfmri.bold.series_files import read_run
from petfmri.bold.voxels import clean_voxels
from petfmri.errors import DatasetError, ExcludedRunError
from petfmri.images.resampling import Grid, resample_frames
from petfmri.images.transforms import Affine
from petfmri.images.volumes import Volumes
from petfmri.localization.seeds import Run, unit_run
from petfmri.localization.space import Space
from petfmri.study.files import read_table
from petfmri.study.run_inputs import RunInput
from petfmri.typing import FloatArray

IMAGES = (".nii", ".nii.gz")


LEAST_SEEN = 0.9
"""Share of the mask in which a person must have a signal."""


@dataclass(frozen=True)
class Reading:
    """How the runs of a normative set are read.

    Attributes
    ----------
    cleaning : Cleaning
        Of runs with confounds; others are taken as they are.
    dummy : int, optional
        Leading volumes to drop; None: those that the confounds mark.
    parcels : sequence of str
        Names of the space's parcels in their order, where series are of parcels.
    key : str, optional
        The variable of ``.mat`` files.
    """

    cleaning: Cleaning
    dummy: int | None = None
    parcels: Sequence[str] = ()
    key: str | None = None


def person_runs(
    inputs: Sequence[RunInput], space: Space, reading: Reading
) -> tuple[list[Run], dict[str, str]]:
    """Read, clean and normalise the runs of one person.

    Parameters
    ----------
    inputs : sequence of RunInput
        Images are read onto the space's grid: as they are if they lie on it, else by linear
        interpolation.
    space : Space
    reading : Reading

    Returns
    -------
    runs : list of Run
        Those that suffice; no run, no person.
    excluded : mapping of file name to reason
        Runs with too little left after censoring.

    Raises
    ------
    PetfmriError
        If files cannot be read or do not fit each other.
    """
    runs: list[Run] = []
    excluded = {}
    for one in inputs:
        try:
            runs.append(_run(one, space, reading, share=1 / len(inputs)))
        except ExcludedRunError as error:
            problem = error.problems[0]
            excluded[one.series.name] = f"{problem.found}; expected {problem.expected}"
    return runs, excluded


def _run(one: RunInput, space: Space, reading: Reading, share: float) -> Run:
    image = one.series.name.endswith(IMAGES)
    values = read_voxels(one, space) if image else _parcels(one, space, reading)
    if one.confounds is None:
        return unit_run(values, overwrite=True)
    assert one.tr_s is not None  # the search has refused runs without
    confounds, where = read_table(one.confounds), one.series.name
    dummy = marked_dummy_volumes(confounds) if reading.dummy is None else reading.dummy
    kept = kept_frames(confounds, reading.cleaning.censoring, dummy=dummy, where=where)
    require_kept(kept, reading.cleaning, tr_s=one.tr_s, dummy=dummy, share=share, where=where)
    nothing = np.empty((len(values), 0))  # only the operator is wanted
    found = clean(nothing, confounds, kept, reading.cleaning, tr_s=one.tr_s, where=where)
    cleaned = clean_voxels(found.operators[0], values[kept], where)
    return unit_run(cleaned, overwrite=True)


def _parcels(one: RunInput, space: Space, reading: Reading) -> FloatArray:
    if space.n_elements == space.n_voxels or len(reading.parcels) != space.n_elements:
        raise DatasetError(
            str(one.series), "parcel series", "images, for a space of voxels", "name the atlas"
        )
    return read_run(one, reading.parcels, key=reading.key).series.astype(np.float32)


def read_voxels(one: RunInput, space: Space) -> FloatArray:
    """Read the voxels of the mask, one volume in memory beside the result.

    Returns
    -------
    float32 array of shape (n_frames, n_voxels)
        0 outside the image's field of view.

    Raises
    ------
    DatasetError
        If the image is unreadable, or less than half of the mask has a signal in it.
    ExcludedRunError
        If it is less than nine tenths: one such person would keep random coordinates of all out.
    """
    volumes = Volumes(one.series)
    grid = Grid(space.mask.shape, space.affine)
    if Grid(volumes.shape, volumes.affine) == grid:
        frames = volumes.inside(space.mask)
    else:
        frames = resample_frames(volumes, volumes.affine, Affine(), grid, where=space.mask, order=1)
    series = np.empty((len(volumes), space.n_voxels), dtype=np.float32)
    for row, values in zip(series, frames):
        row[:] = values
    seen = float((np.ptp(series, axis=0) > 0).mean())
    if 0.5 <= seen < LEAST_SEEN:
        raise ExcludedRunError(
            str(one.series),
            f"signal in {seen:.0%} of the mask",
            f"at least {LEAST_SEEN:.0%}",
            "leave it out",
        )
    if seen < 0.5:
        raise DatasetError(
            str(one.series),
            f"signal in {seen:.0%} of the mask",
            "at least half",
            "check that the image is in MNI space, as the mask is",
        )
    return series
