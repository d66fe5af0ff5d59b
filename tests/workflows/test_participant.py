from __future__ import annotations

from pathlib import Path

import pytest

from petfmri.workflows.participant import participant_workflow
from petfmri.workflows.values import BoldRun, PetScan, SessionScans, Settings

# What may reach the join besides the raw PET: transforms, the grid, labels and one number.
NOT_PET = {"motion", "pet_xfm", "bold_xfm", "boldref", "segmentation", "regions", "uptake"}


@pytest.fixture
def scans(tmp_path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("t1w", "pet", "bold", "bold2")}
    for path in paths.values():
        path.touch()
    return paths


def build(scans, tmp_path, **session):
    given = {"pet": PetScan(scans["pet"], {}), "runs": (BoldRun(scans["bold"], 2.0),)} | session
    return participant_workflow(
        "sub-01",
        t1w=scans["t1w"],
        sessions=[SessionScans("ses-pre", **given)],
        output=tmp_path / "out",
        settings=Settings(),
    )


def node_names(workflow):
    return {node.name for node in workflow._create_flat_graph().nodes()}


def test_pet_reaches_the_bold_grid_by_exactly_one_resampling(scans, tmp_path):
    graph = build(scans, tmp_path)._create_flat_graph()
    join = next(node for node in graph if node.name == "ses_pre_pet_to_bold")
    assert join.inputs.in_file == str(scans["pet"])  # the raw scan itself
    assert join.interface.resamples
    arriving = {
        field for *_, edge in graph.in_edges(join, data=True) for _, field in edge["connect"]
    }
    assert arriving == NOT_PET
    resampling = [
        node
        for node in graph
        if getattr(node.interface, "resamples", False)
        and node.inputs.trait_get().get("in_file") == str(scans["pet"])
        and any("_space-boldref_" in target for target in _delivered(graph, node))
    ]
    assert resampling == [join]


def test_pet_reaches_the_template_by_exactly_one_resampling(scans, tmp_path):
    graph = build(scans, tmp_path)._create_flat_graph()
    standard = next(node for node in graph if node.name == "ses_pre_pet_to_template")
    assert standard.inputs.in_file == str(scans["pet"])
    arriving = {
        field for *_, edge in graph.in_edges(standard, data=True) for _, field in edge["connect"]
    }
    assert arriving == {"motion", "pet_xfm", "template_xfm", "uptake"}
    (name,) = [Path(target).name for target in _delivered(graph, standard)]
    assert "_space-MNI152NLin2009cAsym_res-2_" in name


def _delivered(graph, node):
    """Final names that are fed by an image of `node`, directly or through a list."""
    after = {target for _, target in graph.out_edges(node)}
    after |= {
        further
        for target in after
        if not hasattr(target.inputs, "targets")
        for _, further in graph.out_edges(target)
    }
    return [name for target in after for name in target.inputs.trait_get().get("targets") or []]


def test_the_same_segmentation_serves_every_session(scans, tmp_path):
    sessions = [SessionScans(label, PetScan(scans["pet"], {})) for label in ("ses-pre", "ses-post")]
    workflow = participant_workflow(
        "sub-01", t1w=scans["t1w"], sessions=sessions, output=tmp_path, settings=Settings()
    )
    graph = workflow._create_flat_graph()
    sources = {
        (source.name, field)
        for source, target, edge in graph.edges(data=True)
        for field, wanted in edge["connect"]
        if target.name.endswith("pet_regions") and wanted in ("segmentation", "reference_mask")
    }
    assert sources == {("atlas", "segmentation"), ("reference_semiovale", "mask")}


@pytest.mark.parametrize(
    ("missing", "absent", "present"),
    [
        ({"pet": None}, "pet", "connectivity"),
        ({"runs": ()}, "bold", "ses_pre_pet_regions"),
    ],
)
def test_a_missing_modality_leaves_the_other(scans, tmp_path, missing, absent, present):
    names = node_names(build(scans, tmp_path, **missing))
    assert present in names
    assert not [name for name in names if f"_{absent}_" in name]


def test_runs_are_denoised_apart_and_pooled(scans, tmp_path):
    runs = (BoldRun(scans["bold"], 2.0, "1"), BoldRun(scans["bold2"], 2.5, "2"))
    graph = build(scans, tmp_path, runs=runs)._create_flat_graph()
    denoise = next(node for node in graph if node.name == "ses_pre_denoise")
    assert denoise.inputs.tr_s == [2.0, 2.5]
    assert {"ses_pre_run_1_bold_signals", "ses_pre_run_2_bold_signals"} <= {
        node.name for node in graph
    }


def test_every_final_name_is_unique(scans, tmp_path):
    graph = build(scans, tmp_path)._create_flat_graph()
    targets = [t for node in graph for t in node.inputs.trait_get().get("targets") or []]
    assert len(targets) == len(set(targets)) > 20


def test_distortion_is_part_of_the_way_to_the_t1w(scans, tmp_path):
    runs = (BoldRun(scans["bold"], 2.0, phase_encoding="j-"),)
    graph = build(scans, tmp_path, runs=runs)._create_flat_graph()
    readers = {
        target.name
        for source, target, edge in graph.edges(data=True)
        for output, _ in edge["connect"]
        if (source.name, output) == ("ses_pre_run_1_bold_distortion", "xfm")
    }
    assert {
        "ses_pre_run_1_bold_signals",
        "ses_pre_pet_to_bold",
        "ses_pre_run_1_bold_quality",
    } <= readers
    targets = [t for node in graph for t in node.inputs.trait_get().get("targets") or []]
    placed = [Path(t).name for t in targets if "from-T1w_to-boldref" in t]
    stem = "sub-01_ses-pre_task-rest_from-T1w_to-boldref_mode-image_xfm"
    assert sorted(placed) == [f"{stem}.h5", f"{stem}.json"]
    assert "ses_pre_run_1_bold_distortion" not in node_names(build(scans, tmp_path))


def test_slices_are_interpolated_in_time_only_when_asked(scans, tmp_path):
    runs = (
        BoldRun(scans["bold"], 2.0, slice_times_s=(0.0, 1.0)),
        BoldRun(scans["bold2"], 2.0, "2"),
    )
    graph = build(scans, tmp_path, runs=runs)._create_flat_graph()
    times = [
        next(node for node in graph if node.name == f"ses_pre_run_{n}_bold_signals").inputs
        for n in (1, 2)
    ]
    assert [inputs.slice_times_s for inputs in times] == [[0.0, 1.0], []]
