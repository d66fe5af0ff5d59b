from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, block_mean

from petfmri.atlases import load_template
from petfmri.images.resampling import Grid
from petfmri.images.transform_files import read_affine
from petfmri.images.transforms import rigid
from petfmri.interfaces.anat import JoinT1w
from petfmri.study.layout import Names
from petfmri.workflows.participant import participant_workflow
from petfmri.workflows.t1w import t1w_sidecar, xfm_paths
from petfmri.workflows.values import PetScan, SessionScans, Settings

RAW = ("sub-01_ses-pre_T1w.nii.gz", "sub-01_ses-post_run-2_T1w.nii.gz")


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    for name in (*RAW, "pet.nii.gz", "lesion.nii.gz"):
        (tmp_path / name).touch()
    return [tmp_path / name for name in RAW]


def graph(paths, tmp_path, **given):
    scan = PetScan(tmp_path / "pet.nii.gz", {})
    workflow = participant_workflow(
        "sub-01",
        t1w=paths[0],
        further_t1w=paths[1:],
        sessions=[SessionScans("ses-pre", scan)],
        output=tmp_path / "out",
        settings=Settings(),
        **given,
    )
    return workflow._create_flat_graph()


def edges(found, target, field):
    return {
        (source.name, output)
        for source, node, edge in found.edges(data=True)
        for output, wanted in edge["connect"]
        if (node.name, wanted) == (target, field)
    }


def test_one_t1w_is_used_as_it_is(paths, tmp_path):
    found = graph(paths[:1], tmp_path)
    brain = next(node for node in found if node.name == "brain")
    assert brain.inputs.in_file == str(paths[0])
    assert "join_t1w" not in {node.name for node in found}


def test_several_t1w_serve_as_one(paths, tmp_path):
    found = graph(paths, tmp_path, lesions=[tmp_path / "lesion.nii.gz"])
    joined = next(node for node in found if node.name == "join_t1w")
    assert joined.inputs.in_files == [str(path) for path in paths]
    for step in ("brain", "bias"):
        assert edges(found, step, "in_file") == {("join_t1w", "out_file")}
    assert edges(found, "reference_semiovale", "lesions") == {("join_t1w", "lesions")}


def test_names_and_sidecar_list_every_source(paths, tmp_path):
    names = Names(tmp_path / "out", "sub-01", "Schaefer200", None, "semiovale", "rest")
    found = xfm_paths(names, paths)
    assert [path.name for path in found] == [
        "sub-01_ses-pre_from-orig_to-T1w_mode-image_xfm.txt",
        "sub-01_ses-post_run-2_from-orig_to-T1w_mode-image_xfm.txt",
    ]
    assert len(set(xfm_paths(names, [paths[0], paths[0]]))) == 2
    sidecar = t1w_sidecar(names, paths)
    assert sidecar["Sources"] == [f"bids:raw:{name}" for name in RAW]
    assert sidecar["Transforms"][0].startswith("sub-01/ses-pre/anat/")
    assert "Transforms" not in t1w_sidecar(names, paths[:1])


@pytest.mark.slow
def test_step_writes_mean_transforms_and_lesions(tmp_path):
    """A lesion of the first T1w lies where its transform says."""
    head = block_mean(load_template().head, 3)
    moves = (rigid((4, 0, 0), (0, 0, 6)), rigid((-4, 0, 0), (0, 0, -6)))
    files = []
    for number, move in enumerate(moves):
        files.append(tmp_path / f"{number}.nii.gz")
        nib.save(acquired(head, move, Grid.of(head), 3, number), files[-1])
    spot = np.zeros(head.shape, np.uint8)
    spot[30:34, 40:44, 35:39] = 1
    nib.save(nib.Nifti1Image(spot, head.affine), tmp_path / "lesion.nii.gz")
    step = JoinT1w(
        in_files=[str(path) for path in files], lesions=[str(tmp_path / "lesion.nii.gz")]
    )
    outputs = step.step(tmp_path)
    first = read_affine(Path(outputs["xfms"][0]))
    carried = nib.load(outputs["lesions"][0])
    center = nib.affines.apply_affine(carried.affine, np.argwhere(np.asarray(carried.dataobj)))
    expected = nib.affines.apply_affine(head.affine, np.argwhere(spot))
    there = first.map(center.mean(axis=0, keepdims=True))[0]
    assert np.linalg.norm(there - expected.mean(axis=0)) < 1
