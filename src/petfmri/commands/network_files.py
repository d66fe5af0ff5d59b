"""Matrices and maps that `petfmri networks` writes beside the results of `run`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from petfmri.commands.context import cleaning_of, rois_of
from petfmri.commands.network_inputs import Loaded, source_of
from petfmri.commands.network_maps import write_session_maps
from petfmri.commands.network_person import PersonNetworks
from petfmri.config import Study
from petfmri.study.files import write_table
from petfmri.study.names import derivative_path, write_dataset_description


def remove_earlier(study: Study) -> None:
    """Remove what an earlier call made, lest it pass for a result of this one."""
    patterns = ["*_stat-partialcorrelation_relmat.tsv", "*_stat-fisherz_boldmap.*"]
    if source_of(study) != "run":  # which writes the others itself
        patterns.append("*_stat-pearsoncorrelation_relmat.tsv")
    made = [
        path for pattern in patterns for path in study.output.glob(f"sub-*/ses-*/func/{pattern}")
    ]
    folder = study.output / "group" / "networks"
    made += [path for path in folder.glob("*") if path.suffix in (".tsv", ".json", ".html", ".txt")]
    for path in made:
        path.unlink(missing_ok=True)


def write_matrices(study: Study, loaded: Loaded, results: Sequence[PersonNetworks]) -> None:
    """Write Pearson correlations, and partial ones if asked, beside those of `run`."""
    write_dataset_description(study.output, name=study.name, source=study.bids)
    for person, result in zip(loaded.people, results, strict=True):
        pearson = {name: found.connectivity for name, found in result.measured.items()}
        kinds = {"pearsoncorrelation": pearson, "partialcorrelation": result.partial}
        for stat, matrices in kinds.items():
            for session, matrix in matrices.items():
                table = pd.DataFrame(matrix, columns=loaded.atlas["name"])
                table.insert(0, "name", loaded.atlas["name"])
                path = _path(study, person.id, session)
                write_table(
                    table, path(suffix="relmat", extension=".tsv", seg=loaded.name, stat=stat)
                )


def write_maps(study: Study, loaded: Loaded, results: Sequence[PersonNetworks]) -> None:
    """Write the maps of voxels of every session whose images are at hand."""
    names = list(loaded.atlas["name"])
    rois = {
        roi: [names.index(name) for name in members]
        for roi, members in rois_of(study, names).items()
    }
    told = {**cleaning_of(study.bold).conditions, "Atlas": loaded.name}
    for person, result in zip(loaded.people, results, strict=True):
        for session, cleaned in result.cleaned.items():
            if any(person.images.get(session, ())):
                write_session_maps(
                    person.images[session],
                    person.sessions[session],
                    cleaned,
                    loaded.atlas["index"].tolist(),
                    path=partial(
                        _path(study, person.id, session), suffix="boldmap", extension=".nii.gz"
                    ),
                    rois=rois,
                    sv2a=person.sv2a,
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
