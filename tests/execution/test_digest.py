from __future__ import annotations

from petfmri.execution.digest import read_failures

CRASH = """Node: petfmri.sub_01.ses_pre.pet_motion
Working directory: /tmp/x

Traceback (most recent call last):
  File "nipype/pipeline/engine/nodes.py", line 1, in _run_command
    raise NodeExecutionError(
nipype.pipeline.engine.nodes.NodeExecutionError: Exception raised while executing Node pet_motion.

Traceback:
\tTraceback (most recent call last):
\t  File "x.py", line 2, in step
\tpetfmri.errors.FrameError: a.json: found 28 values; expected 27. Drop the last one.
"""


def test_the_innermost_cause_is_told(tmp_path):
    (tmp_path / "crash-1-pet_motion.txt").write_text(CRASH)
    (failure,) = read_failures(tmp_path, since=0)
    assert (failure.participant, failure.step) == ("sub-01", "ses_pre.pet_motion")
    assert failure.cause == "a.json: found 28 values; expected 27. Drop the last one."


def test_foreign_errors_keep_their_name(tmp_path):
    text = CRASH.replace("petfmri.errors.FrameError: a.json", "MemoryError: a.json")
    (tmp_path / "crash-1-pet_motion.txt").write_text(text)
    assert read_failures(tmp_path, since=0)[0].cause.startswith("MemoryError: a.json")


def test_old_crashes_do_not_count(tmp_path):
    (tmp_path / "crash-1-pet_motion.txt").write_text(CRASH)
    assert read_failures(tmp_path, since=9e12) == []
    assert read_failures(tmp_path / "none", since=0) == []
