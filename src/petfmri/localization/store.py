"""A store of normalised series, one entry per person, so that later analyses read no image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from petfmri.errors import DatasetError
from petfmri.images.volumes import Volumes
from petfmri.localization.seeds import Person, Run, unit_run
from petfmri.localization.space import Space
from petfmri.study.files import read_json, write_json, written_beside
from petfmri.typing import FloatArray

LAYOUT = 1
ENDS = 1 << 16
Kept = Literal["float16", "float32"]


def read_run(path: Path | str, space: Space) -> Run:
    """Read clean 4-D BOLD on the grid of the mask, one volume in memory beside the result.

    Parameters
    ----------
    path : path
        NIfTI on exactly this grid; axes may be stored in any order. Nothing is resampled.
    space : Space
        Of voxels.

    Returns
    -------
    Run

    Raises
    ------
    DatasetError
        If the file cannot be read, is on another grid or has fewer than 3 volumes, or the space
        is one of parcels.
    """
    if space.n_elements != space.n_voxels:
        raise DatasetError(
            str(path), "an image, for a space of parcels", "parcel series", "give the mask instead"
        )
    volumes = Volumes(Path(path))
    space.require_grid(volumes.shape, volumes.affine, str(path))
    series = np.empty((len(volumes), space.n_voxels), dtype=np.float32)
    for row, values in zip(series, volumes.inside(space.mask)):
        row[:] = values
    return unit_run(series, overwrite=True)


def run_of_parcels(series: FloatArray, space: Space, where: str = "parcel series") -> Run:
    """Take parcel series, (n_frames, n_parcels), in the order of the space's index.

    Raises
    ------
    DatasetError
        If the number of columns is not that of the space.
    """
    series = np.asarray(series)
    if series.ndim != 2 or series.shape[1] != space.n_elements:
        raise DatasetError(
            where,
            f"shape {series.shape}",
            f"(n_frames, {space.n_elements})",
            "give the series of the atlas that the space was made of",
        )
    return unit_run(series)


def source_digest(paths: Sequence[Path | str]) -> str:
    """Name source files by size, time of change, and their first and last 64 KB.

    Gzip files end with a checksum of all they hold. Where files lie, and what they are called
    does not count.

    Raises
    ------
    DatasetError
        If a file is absent.
    """
    content = hashlib.sha256()
    for path in map(Path, paths):
        try:
            state = path.stat()
            with path.open("rb") as stream:
                ends = stream.read(ENDS)
                stream.seek(max(0, state.st_size - ENDS))
                ends += stream.read()
        except OSError as error:
            raise DatasetError(
                str(path), error.strerror or "an error", "a file", "correct the path"
            ) from None
        content.update(f"{state.st_size} {state.st_mtime_ns} ".encode() + ends)
    return content.hexdigest()[:16]


@dataclass(frozen=True)
class Store:
    """A folder with the normalised series of people on one space.

    ``NAME_series.npy`` holds the unit columns of all runs end to end, ``NAME_norm.npy`` what they
    were divided by, ``NAME.json`` what they were made of. An entry is complete once the JSON is
    there: it is written last.

    Iterating yields every `Person` of `names`, one in memory at a time, as often as needed.

    Attributes
    ----------
    folder : Path
    space : Space
    names : tuple of str
        Who is read when iterating; must have entries.
    """

    folder: Path
    space: Space
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Person]:
        for name in self.names:
            yield self.read(name)

    def write(
        self,
        name: str,
        runs: Sequence[Run],
        *,
        source: str = "",
        tr_s: float | None = None,
        kept: Kept = "float16",
    ) -> Path:
        """Add or replace a person.

        Parameters
        ----------
        name : str
            Such as sub-01; part of the file names.
        runs : sequence of Run
        source : str
            See `source_digest`.
        tr_s : float, optional
            For the record.
        kept : {"float16", "float32"}
            float16 takes half the space and changes r by less than 1e-4.

        Returns
        -------
        Path
            Of the JSON.

        Raises
        ------
        DatasetError
            If a run has another number of elements than the space.
        """
        for run in runs:
            if run.norm.size != self.space.n_elements:
                raise DatasetError(
                    f"{name}: series",
                    f"{run.norm.size} elements",
                    f"{self.space.n_elements} as the space has",
                    "read them with this space",
                )
        json_path = self._path(name, ".json")
        json_path.unlink(missing_ok=True)  # from here to the end the entry does not exist
        with written_beside(self._path(name, "_series.npy")) as beside:
            shape = (sum(map(len, runs)), self.space.n_elements)
            np.concatenate(
                [run.unit for run in runs],
                out=np.lib.format.open_memmap(beside, "w+", np.dtype(kept), shape),
                casting="same_kind",
            )
        with written_beside(self._path(name, "_norm.npy")) as beside:
            np.save(beside, np.stack([run.norm for run in runs]))
        return write_json(self._record(source, list(map(len, runs)), tr_s, kept), json_path)

    def read(self, name: str) -> Person:
        """Open a person, with the series mapped from disk rather than loaded.

        Raises
        ------
        DatasetError
            If there is no entry, it is of another mask or layout, or its arrays are damaged.
        """
        path = self._path(name, ".json")
        record = read_json(path)
        if record.get("layout") != LAYOUT or record.get("space") != self.space.digest():
            raise DatasetError(
                str(path),
                "series of another mask, atlas or layout of the store",
                "those of the mask in use",
                "build the store anew in another folder",
            )
        try:
            series = np.load(self._path(name, "_series.npy"), mmap_mode="r")
            norm = np.load(self._path(name, "_norm.npy"))
            ends = np.cumsum(record["frames"])
            if series.shape != (ends[-1], self.space.n_elements):
                raise ValueError(f"shape {series.shape}")
        except (OSError, ValueError, KeyError) as error:
            raise DatasetError(
                str(path), f"damaged arrays ({error})", "what the JSON describes", "build it anew"
            ) from None
        return Person(name, [Run(*one) for one in zip(np.split(series, ends[:-1]), norm)])

    def is_current(self, name: str, source: str) -> bool:
        """Tell whether a person's entry is there, of this space and made of this source."""
        path = self._path(name, ".json")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        wanted = {"layout": LAYOUT, "space": self.space.digest(), "source": source}
        return isinstance(record, Mapping) and wanted == {key: record.get(key) for key in wanted}

    def _path(self, name: str, end: str) -> Path:
        return Path(self.folder) / f"{name}{end}"

    def _record(
        self, source: str, frames: list[int], tr_s: float | None, kept: Kept
    ) -> dict[str, Any]:
        return {
            "layout": LAYOUT,
            "space": self.space.digest(),
            "source": source,
            "grid": list(self.space.mask.shape),
            "affine": self.space.affine.tolist(),
            "elements": self.space.n_elements,
            "frames": frames,
            "tr_s": tr_s,
            "kept": kept,
        }
