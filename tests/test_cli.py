from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from petfmri.cli import VERBS, main


def test_help_is_quick_and_names_every_verb():
    best = 9.0
    for _ in range(3):
        start = time.process_time(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "petfmri", "--help"], capture_output=True, text=True, check=True
        )
        best = min(best, time.perf_counter() - start[1])
    assert all(verb in done.stdout for verb in VERBS)
    assert (
        best < 2.0
    )  # the bar of 0.5 s is measured by benchmarks/bars.py; this one only sees eager imports


def test_help_imports_nothing_heavy():
    code = "import sys, petfmri.cli as c; c.parser(); print([m for m in ('numpy','pandas','nipype','pydantic') if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_an_unusable_study_exits_with_status_2(tmp_path, capsys):
    assert main(["check", str(tmp_path / "none.yaml")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["analyse", "x.yaml"], ["run"], ["run", "x.yaml", "--n-procs", "0"]]
)
def test_wrong_arguments_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: petfmri" in capsys.readouterr().err


@pytest.mark.parametrize("n_lines", [1, 100_000])
def test_a_reader_that_has_left_ends_the_command_silently(n_lines):
    """As in `petfmri check study.yaml | head`: what is printed at once, and what at the end."""
    code = (
        "import sys, types; from petfmri.cli import main; check = types.ModuleType('check');"
        f"check.main = lambda _: print('a line\\n' * {n_lines}) or 0;"
        "sys.modules['petfmri.commands.check'] = check; sys.exit(main(['check', 'study.yaml']))"
    )
    kept, given = os.pipe()
    os.close(kept)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=given, stderr=subprocess.PIPE, text=True, check=False)
    os.close(given)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("memory", ["0", "-4", "nan"])
def test_memory_that_no_step_fits_in_is_refused(memory, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "study.yaml", "--mem-gb", memory])
    assert stopped.value.code == 2
    assert "at least 0.5" in capsys.readouterr().err
