from __future__ import annotations

import os
from pathlib import Path

import pytest
from nipype import Node, Workflow
from nipype.interfaces.utility import Function, Merge

from petfmri.execution.profiles import load_profile
from petfmri.execution.run import run_workflow


def half(number, log):
    """Half of an even number; every call leaves a file in the folder `log`.

    A log in one file would be an input that changes: Nipype would rightly run the node again.
    """
    import tempfile

    from petfmri.errors import InputError

    tempfile.mkstemp(prefix=f"{number}_", dir=log)
    if number % 2:
        raise InputError("number", str(number), "an even one", "double it")
    return number // 2


def study(log: Path, starts: dict[str, int]) -> Workflow:
    """Two steps for each participant: a half, and its half."""
    log.mkdir(exist_ok=True)
    whole = Workflow(name="petfmri")
    for participant, start in starts.items():
        person = Workflow(name=participant)
        steps = [
            Node(Function(["number", "log"], ["out"], half), name=name)
            for name in ("first", "then")
        ]
        steps[0].inputs.number = start
        for step in steps:
            step.inputs.log = str(log)
        person.connect(steps[0], "out", steps[1], "number")
        whole.add_nodes([person])
    return whole


def calls(log: Path) -> list[int]:
    return sorted(int(path.name.split("_")[0]) for path in log.iterdir())


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What a run sets for its own process does not outlive the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture(params=["linear", pytest.param("laptop", marks=pytest.mark.slow)])
def profile(request):
    return load_profile(request.param, n_procs=2, memory_gb=2.0)


@pytest.mark.parametrize(
    ("start", "step", "made"), [(3, "first", [2, 3, 4]), (6, "then", [2, 3, 4, 6])]
)
def test_a_failure_stops_only_what_depends_on_it(profile, tmp_path, start, step, made):
    log = tmp_path / "log"
    workflow = study(log, {"sub_01": start, "sub_02": 4})
    outcome = run_workflow(workflow, profile, work_dir=tmp_path / "work", progress=False)
    assert calls(log) == made
    assert outcome.nodes == 4 and outcome.executed == len(made)
    (failure,) = outcome.failures
    assert (failure.participant, failure.step) == ("sub-01", step)
    assert failure.cause == "number: found 3; expected an even one. Double it."
    assert failure.crash_file.is_file()


def test_a_second_call_executes_nothing(profile, tmp_path):
    log, starts = tmp_path / "log", {"sub_01": 4, "sub_02": 8}
    first = run_workflow(study(log, starts), profile, work_dir=tmp_path / "work", progress=False)
    assert (first.nodes, first.executed, first.failures) == (4, 4, [])
    again = run_workflow(study(log, starts), profile, work_dir=tmp_path / "work", progress=False)
    assert (again.nodes, again.executed, again.failures) == (4, 0, [])
    assert calls(log) == [2, 4, 4, 8]


def test_a_repaired_participant_resumes_where_it_failed(tmp_path):
    profile, log = load_profile("linear", n_procs=1, memory_gb=2.0), tmp_path / "log"
    broken = study(log, {"sub_01": 6, "sub_02": 4})
    assert run_workflow(broken, profile, work_dir=tmp_path / "work", progress=False).failures
    repaired = study(log, {"sub_01": 12, "sub_02": 4})
    outcome = run_workflow(repaired, profile, work_dir=tmp_path / "work", progress=False)
    assert not outcome.failures and outcome.executed == 2
    assert calls(log) == [2, 3, 4, 6, 6, 12]  # the last two are new


def test_the_progress_bar_reaches_its_end(tmp_path, capfd):
    profile = load_profile("linear", n_procs=1, memory_gb=2.0)
    run_workflow(study(tmp_path / "log", {"sub_01": 4}), profile, work_dir=tmp_path / "work")
    shown = capfd.readouterr().err
    assert "2/2" in shown and "sub-01.then" in shown


def test_steps_that_the_scheduler_does_itself_are_counted(profile, tmp_path):
    workflow = study(tmp_path / "log", {"sub_01": 4})
    gather = Node(Merge(1), name="gather", run_without_submitting=True)
    (person,) = workflow._graph.nodes()
    person.connect(person.get_node("then"), "out", gather, "in1")
    outcome = run_workflow(workflow, profile, work_dir=tmp_path / "work", progress=False)
    assert (outcome.nodes, outcome.executed) == (3, 3)
