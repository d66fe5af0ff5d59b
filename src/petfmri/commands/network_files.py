"""Matrices and maps that `petfmri networks` writes beside the results of `run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.commands.context import cleaning_of, rois_of
from petfmri.commands.network_inputs import Loaded, source_of
from petfmri.commands.network_maps import write_session_maps
from petfmri.commands.network_person import PersonNetworks
from petfmri.config import Study
from petfmri.study.files import write_table, write_text
from petfmri.study.names import derivative_path, write_dataset_description


def remove_earlier(study: Study) -> None:
    """Remove what an earlier call wrote, and nothing else, lest it pass for a result of this one."""
    record = _record(study)
    if record.exists():
        for line in record.read_text(encoding="utf-8").splitlines():
            (study.output / line).unlink(missing_ok=True)
        record.unlink()


def write_record(study: Study, written: Iterable[Path]) -> None:
    """Note which files were written, for `remove_earlier`."""
    lines = [str(path.relative_to(study.output)) for path in written]
    write_text("\n".join(lines) + "\n", _record(study))


def _record(study: Study) -> Path:
    return study.output / "group" / "networks" / "written.txt"


def write_matrices(
    study: Study, loaded: Loaded, results: Sequence[PersonNetworks]
) -> Iterator[Path]:
    """Write Pearson correlations unless `run` has, and partial ones if asked."""
    ran = source_of(study) == "run"
    if not ran:
        write_dataset_description(study.output, name=study.name, source=study.bids)
    for person, result in zip(loaded.people, results, strict=True):
        pearson = {name: found.connectivity for name, found in result.measured.items()}
        kinds = {"pearsoncorrelation": {} if ran else pearson, "partialcorrelation": result.partial}
        for stat, matrices in kinds.items():
            for session, matrix in matrices.items():
                table = pd.DataFrame(matrix, columns=loaded.atlas["name"])
                table.insert(0, "name", loaded.atlas["name"])
                path = _path(study, person.id, session)
                yield write_table(
                    table, path(suffix="relmat", extension=".tsv", seg=loaded.name, stat=stat)
                )


def write_maps(study: Study, loaded: Loaded, results: Sequence[PersonNetworks]) -> Iterator[Path]:
    """Write the maps of voxels of every session whose images are at hand."""
    names = list(loaded.atlas["name"])
    rois = {
        roi: [names.index(name) for name in members]
        for roi, members in rois_of(study, names).items()
    }
    told = {**cleaning_of(study.bold).conditions, "Atlas": loaded.name}
    for person, result in zip(loaded.people, results, strict=True):
        matrices = [found.connectivity for found in result.measured.values()]
        present = np.all([np.isfinite(np.diag(matrix)) for matrix in matrices], axis=0)
        for session, cleaned in result.cleaned.items():
            if any(person.images.get(session, ())):
                yield from write_session_maps(
                    person.images[session],
                    person.sessions[session],
                    cleaned,
                    loaded.atlas["index"].tolist(),
                    path=partial(
                        _path(study, person.id, session), suffix="boldmap", extension=".nii.gz"
                    ),
                    rois=rois,
                    sv2a=person.sv2a,
                    present=present,
                    told=told,
                )


def _path(study: Study, person: str, session: str) -> partial[Path]:
    return partial(
        derivative_path,
        study.output,
        sub=person,
        ses=session,
        datatype="func",
        task=study.bold.task,
    )
