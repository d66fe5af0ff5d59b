"""The T1w that serves every session of a person: the only one, or the mean of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nipype import Workflow

from petfmri.interfaces import anat
from petfmri.interfaces.deliver import Deliver
from petfmri.study.layout import Names
from petfmri.study.names import derivative_path, parse_name
from petfmri.workflows.build import Source, add
from petfmri.workflows.memory import step_gb

KEPT = ("ses", "acq", "rec", "run")  # of a raw name, in that of its transform


def one_t1w(
    workflow: Workflow, names: Names, paths: Sequence[Path], lesions: Sequence[Path]
) -> tuple[Path | Source, list[str] | Source]:
    """Add what it takes to have one T1w.

    Parameters
    ----------
    workflow : Workflow
    names : Names
    paths : sequence of Path
        Every raw T1w of the person.
    lesions : sequence of Path
        On the grid of the first of them.

    Returns
    -------
    t1w : Path or (node, output)
        The file itself where there is only one.
    lesions : list of str or (node, output)
        On its grid.
    """
    masks = [str(path) for path in lesions]
    if len(paths) == 1:
        return paths[0], masks
    joined = add(
        workflow,
        "join_t1w",
        anat.JoinT1w(),
        mem_gb=step_gb(*paths),
        in_files=[str(path) for path in paths],
        lesions=masks,
    )
    delivery = add(
        workflow,
        "deliver_t1w_xfms",
        Deliver(),
        in_files=(joined, "xfms"),
        targets=[str(path) for path in xfm_paths(names, paths)],
    )
    delivery.overwrite = True
    told = names.anat("metrics", ".tsv", desc="midway")
    add(workflow, "deliver_midway", Deliver(), in_files=(joined, "metrics"), targets=[str(told)])
    return (joined, "out_file"), (joined, "lesions") if masks else []


def xfm_paths(names: Names, paths: Sequence[Path]) -> list[Path]:
    """Name the transforms of the raw images to their mean, one for each."""
    found = [_xfm_path(names, path, "orig") for path in paths]
    if len(set(found)) == len(found):
        return found
    return [_xfm_path(names, path, f"orig{number}") for number, path in enumerate(paths, 1)]


def t1w_sidecar(names: Names, paths: Sequence[Path]) -> dict[str, Any]:
    """Say what the T1w was made of."""
    sources = [f"bids:raw:{path.name}" for path in paths]
    if len(paths) == 1:
        return {"Description": "T1w without bias field", "SkullStripped": False, "Sources": sources}
    return {
        "Description": "Mean of the T1w images of all sessions, half way between them, at equal "
        "brightness, without bias field",
        "SkullStripped": False,
        "Sources": sources,
        "Transforms": [path.relative_to(names.root).as_posix() for path in xfm_paths(names, paths)],
        "Interpolation": "each image once, from its own grid (cubic spline)",
    }


def _xfm_path(names: Names, path: Path, source: str) -> Path:
    name = parse_name(path.name)
    entities = dict(name.entities) if name is not None else {}
    kept: dict[str, Any] = {key: entities.get(key) for key in KEPT}
    return derivative_path(
        names.root,
        sub=names.sub,
        datatype="anat",
        suffix="xfm",
        extension=".txt",
        **kept,
        from_=source,
        to="T1w",
        mode="image",
    )
