"""Maps of voxels: seed connectivity, and connectivity informed by SV2A."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.bold.sessions import Run, Session
from petfmri.bold.voxels import clean_voxels
from petfmri.images.resampling import LEAST_COVERED, Grid, carry_labels, resample_frames
from petfmri.images.transform_files import read_affines
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine, Transform
from petfmri.images.volumes import Volumes, load_canonical
from petfmri.networks.connectivity import standardized
from petfmri.networks.seed_map import seed_map, sv2a_connectivity
from petfmri.study.files import save_image, write_json
from petfmri.study.names import bids_label
from petfmri.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class VoxelImage:
    """Where the voxels of one run are.

    Attributes
    ----------
    bold : Path
        4-D.
    labels : Path or Nifti1Image
        The parcels, in the space that `xfm` leads to.
    space : str
        Of the maps, as in file names.
    xfm : Path, optional
        Points of the BOLD reference to points of the labels; None: one space.
    motion : Path, optional
        Moves of each volume; None: they are aligned.
    run : str, optional
        ``"1"``, or such as ``"dir-AP_run-1"``.
    """

    bold: Path
    labels: Path | nib.Nifti1Image
    space: str
    xfm: Path | None = None
    motion: Path | None = None
    run: str | None = None

    @property
    def entities(self) -> dict[str, str]:
        """What tells the run from others, as in file names."""
        if self.run is None or "-" not in self.run:
            return {} if self.run is None else {"run": self.run}
        return dict(pair.split("-", 1) for pair in self.run.split("_"))

    def read(self) -> tuple[Grid, IntArray, Iterator[FloatArray]]:
        """Return the grid, its labels, and the volumes over the labelled voxels one by one."""
        volumes = Volumes(self.bold)
        grid = Grid(volumes.shape, volumes.affine)
        xfm: Transform = Affine() if self.xfm is None else read_transform(self.xfm)
        source = load_canonical(self.labels) if isinstance(self.labels, Path) else self.labels
        image = carry_labels(source, xfm, grid, samples=3, least=LEAST_COVERED)
        labels = np.asarray(image.dataobj)
        inside = labels > 0
        if self.motion is None:
            return grid, labels, (volume[inside] for volume in volumes)
        frames = resample_frames(
            volumes, volumes.affine, Affine(), grid, motion=read_affines(self.motion), where=inside
        )
        return grid, labels, iter(frames)


def write_session_maps(
    images: Sequence[VoxelImage | None],
    runs: Sequence[Run],
    session: Session,
    index: Sequence[int],
    *,
    path: Any,
    rois: Mapping[str, Sequence[int]],
    sv2a: FloatArray | None,
    present: BoolArray,
    told: Mapping[str, Any],
) -> Iterator[Path]:
    """Write the maps of every run that the session's metrics are made of.

    Parameters
    ----------
    images, runs : sequence
        One for each run of the session.
    session : Session
    index : sequence of int
        The label of each parcel, in the order of the columns.
    path : callable
        From entities to the final path.
    rois : mapping of name to columns
    sv2a : array of shape (n_parcels,), optional
    present : bool array of shape (n_parcels,)
        Parcels with a signal in every session of the person.
    told : mapping
        For the sidecars: how the series were cleaned.
    """
    operators = session.denoised.operators
    for (number, frames), operator in zip(session.used, operators, strict=True):
        image = images[number]
        if image is None:
            continue
        grid, labels, volumes = image.read()
        kept = np.array([v for v, keep in zip(volumes, frames) if keep], dtype=np.float32)
        voxels = clean_voxels(operator, kept)
        named = partial(path, space=image.space, **image.entities)
        parcels = operator.matrix @ _centred(runs[number].series[frames])
        about = {**told, "Frames": int(frames.sum()), "Sources": [image.bold.name]}
        for roi, columns in rois.items():
            seen = [k for k in columns if present[k]]
            if not seen:
                continue
            z = seed_map(standardized(parcels[:, seen]).mean(axis=1), voxels)
            text = f"Fisher z of the correlation with the mean of {len(seen)} parcels of {roi}"
            target = named(seed=bids_label(roi), stat="fisherz")
            yield from _save(z, labels, grid, target, {"Description": text, **about})
        if sv2a is not None:
            known = pd.Series(np.where(present, sv2a, np.nan), index=list(index))
            values = known.reindex(labels[labels > 0]).to_numpy()
            _, z = sv2a_connectivity(voxels, values)
            text = (
                "SV2A-informed connectivity: Fisher z of the correlation with the course that "
                "frames show when regressed on SV2A, dual regression as in REACT. The map of SV2A "
                "has one value per parcel and is the same for every session"
            )
            target = named(desc="SV2A", stat="fisherz")
            yield from _save(z, labels, grid, target, {"Description": text, **about})


def _centred(series: FloatArray) -> FloatArray:
    return series - series.mean(axis=0)


def _save(
    z: FloatArray, labels: IntArray, grid: Grid, target: Path, about: Mapping[str, Any]
) -> Iterator[Path]:
    """Write a map; 0 outside, as images of connectivity have it, and where there is no signal."""
    inside: BoolArray = labels > 0
    values = np.zeros(grid.shape, dtype=np.float32)
    values[inside] = np.nan_to_num(z)
    yield save_image(nib.Nifti1Image(values, grid.affine), target)
    lost = int(np.count_nonzero(np.isnan(z)))
    content = {**about, "VoxelsWithoutSignal": lost, "ValueOutside": 0}
    yield write_json(content, Path(str(target).removesuffix(".nii.gz") + ".json"))
