"""Nothing is computed again that is there: by the names of the graph's nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from petfmri.study.adopted import TEMPLATE, AdoptedAnat, AdoptedBold, AdoptedPet
from petfmri.workflows.bold import _slice_timing
from petfmri.workflows.participant import participant_workflow
from petfmri.workflows.values import BoldRun, PetScan, SessionScans, Settings

ESTIMATING = {
    *("brain", "bias", "template", "template_start", "tissues"),
    *("ses_pre_pet_motion", "ses_pre_pet_coregistration"),
    *("ses_pre_run_1_bold_motion", "ses_pre_run_1_bold_coregistration"),
    "ses_pre_run_1_bold_signals",
}
ANAT = ("t1w", "mask", "grey", "white", "csf", "to_template", "from_template")
IN_T1W = {"space": "T1w"}


@pytest.fixture
def file(tmp_path):
    def touch(name: str) -> Path:
        path = tmp_path / f"{name}.nii.gz"
        path.touch()
        return path

    return touch


def graph_of(file, tmp_path, anat=(), bold=(), pet=(), *, bold_space="native", pet_space="native"):
    run = AdoptedBold(space=bold_space, **{name: file(f"bold_{name}") for name in bold})
    scan = AdoptedPet(space=pet_space, **{name: file(f"pet_{name}") for name in pet})
    session = SessionScans(
        "ses-pre",
        PetScan(file("pet"), {}, scan),
        (BoldRun(file("bold"), 2.0, None, run),),
    )
    return participant_workflow(
        "sub-01",
        t1w=file("raw_t1w"),
        sessions=[session],
        output=tmp_path / "out",
        settings=Settings(),
        adopted=AdoptedAnat(**{name: file(f"anat_{name}") for name in anat}),
    )._create_flat_graph()


def estimated(graph) -> set[str]:
    return {node.name for node in graph} & ESTIMATING


def node(graph, name):
    return next(each for each in graph if each.name == name)


def test_everything_there_leaves_nothing_to_estimate(file, tmp_path):
    bold = ("series", "mask", "confounds", "reference", "xfm")
    pet = ("series", "reference", "xfm", "motion", "confounds", "curves")
    graph = graph_of(file, tmp_path, ANAT, bold, pet, pet_space="T1w")
    assert estimated(graph) == set()
    assert node(graph, "ses_pre_pet_regions").inputs.in_file.endswith("pet_series.nii.gz")
    join = node(graph, "ses_pre_pet_to_bold")
    assert join.inputs.in_file == str(tmp_path / "pet.nii.gz")  # still one interpolation of raw PET
    # What is delivered has our names, whoever made it.
    targets = [t for each in graph for t in each.inputs.trait_get().get("targets") or []]
    assert any(t.endswith("from-T1w_to-petref_mode-image_xfm.txt") for t in targets)
    assert any(t.endswith(f"from-{TEMPLATE}_to-T1w_mode-image_xfm.nii.gz") for t in targets)


def test_a_file_that_moved_is_handed_on_anew(file, tmp_path):
    bold, pet = ("series", "confounds", "reference"), ("series", "reference")
    names = ("adopt_anatomy", "ses_pre_run_1_adopt_bold", "ses_pre_adopt_pet")

    def hashes() -> list[str]:
        graph = graph_of(file, tmp_path, ("t1w", "mask"), bold, pet)
        return [node(graph, name).inputs.get_hashval("content")[1] for name in names]

    first = hashes()
    assert hashes() == first
    moved = tmp_path / "moved"  # same content elsewhere
    moved.mkdir()

    def elsewhere(name: str) -> Path:
        raw = name in ("pet", "bold", "raw_t1w")
        path = (tmp_path if raw else moved) / f"{name}.nii.gz"
        path.touch()
        return path

    graph = graph_of(elsewhere, tmp_path, ("t1w", "mask"), bold, pet)
    second = [node(graph, name).inputs.get_hashval("content")[1] for name in names]
    assert all(one != other for one, other in zip(first, second, strict=True))


def test_nothing_there_computes_everything(file, tmp_path):
    assert estimated(graph_of(file, tmp_path)) == ESTIMATING - {"template_start"}


@pytest.mark.parametrize(
    ("anat", "left"),
    [
        (("t1w",), {"brain", "template", "tissues"}),
        (("t1w", "mask"), {"template_start", "template", "tissues"}),
        (("t1w", "mask", "grey", "white", "csf"), {"template_start", "template"}),
        (("t1w", "mask", "to_template"), {"tissues"}),
    ],
)
def test_a_partial_anatomy_is_completed_on_its_own_t1w(file, tmp_path, anat, left):
    graph = graph_of(file, tmp_path, anat)
    names = estimated(graph)
    assert {name for name in names if not name.startswith("ses")} == left
    assert not any(
        str(value).endswith("raw_t1w.nii.gz")
        for each in graph
        for value in each.inputs.trait_get().values()
    )


@pytest.mark.parametrize(
    ("bold", "space", "left"),
    [
        (("confounds",), "native", {"motion", "coregistration", "signals"}),
        (("motion", "reference", "xfm"), "native", {"signals"}),
        (("motion", "reference"), "native", {"coregistration", "signals"}),
        (("series", "confounds", "xfm"), "native", set()),
        (("series", "confounds", "reference", "xfm"), "T1w", set()),
        (("series", "confounds"), TEMPLATE, {"motion", "coregistration"}),  # for the join alone
    ],
)
def test_a_partial_run(file, tmp_path, bold, space, left):
    graph = graph_of(file, tmp_path, bold=bold, bold_space=space)
    names = {name.split("_bold_")[1] for name in estimated(graph) if "_bold_" in name}
    assert names == left
    confounds = {
        source.name
        for source, target, edge in graph.in_edges(node(graph, "ses_pre_denoise"), data=True)
        for output, field in edge["connect"]
        if field == "confounds" or "confounds" in source.name
    }
    adopted = any("confounds" in name for name in bold)
    assert confounds == {"ses_pre_denoise_confounds"}
    feeding = {
        source.name for source, _ in graph.in_edges(node(graph, "ses_pre_denoise_confounds"))
    }
    assert feeding == {f"ses_pre_run_1_{'adopt_bold' if adopted else 'bold_signals'}"}


@pytest.mark.parametrize(
    ("pet", "space", "left", "joined"),
    [
        (("motion", "reference", "xfm"), "native", set(), "pet"),
        (("motion", "reference"), "native", {"coregistration"}, "pet"),
        (("series",), "T1w", set(), "pet_series"),
        (("series", "reference"), "native", {"coregistration"}, "pet_series"),
        (("curves",), "native", {"motion", "coregistration"}, "pet"),
    ],
)
def test_a_partial_scan(file, tmp_path, pet, space, left, joined):
    graph = graph_of(file, tmp_path, pet=pet, pet_space=space)
    names = {name.split("_pet_")[1] for name in estimated(graph) if "_pet_" in name}
    assert names == left
    join = node(graph, "ses_pre_pet_to_bold")
    assert Path(join.inputs.in_file).name == f"{joined}.nii.gz"


def test_slice_timing_is_told_of_each_run_where_runs_differ(file):
    timed = BoldRun(file("a"), 2.0, slice_times_s=(0.0, 1.0))
    left = BoldRun(file("b"), 2.0, adopted=AdoptedBold(series=file("s")), slice_times_s=(0.0, 1.0))
    assert _slice_timing([timed, timed]) == {"SliceTimingCorrected": True}
    assert _slice_timing([timed, left]) == {
        "SliceTimingCorrectedRuns": {"a.nii.gz": True, "b.nii.gz": "as its program left it"}
    }
    assert _slice_timing([left]) == {}


@pytest.mark.parametrize("space", ["native", "T1w", TEMPLATE])
def test_quality_of_an_adopted_run_is_delivered_as_of_any_other(file, tmp_path, space):
    graph = graph_of(file, tmp_path, ANAT, ("series", "confounds", "reference"), bold_space=space)
    targets = [t for each in graph for t in each.inputs.trait_get().get("targets") or []]
    assert any(t.endswith("task-rest_desc-carpet_timeseries.tsv") for t in targets)
    scored = node(graph, "ses_pre_run_1_bold_quality")
    assert "ses_pre_run_1_adopted_signals" in {one.name for one, _ in graph.in_edges(scored)}
    signals = node(graph, "ses_pre_run_1_adopted_signals")
    read = {
        field for _, _, edge in graph.in_edges(signals, data=True) for _, field in edge["connect"]
    }
    assert "dummy" in read and ({"deep_white", "deep_csf"} <= read) == (space != TEMPLATE)
