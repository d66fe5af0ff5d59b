"""Run a Nipype workflow: plugin by profile, progress, and a digest instead of a traceback."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from petfmri.execution import quiet  # noqa: F401  (silences Nipype in this process)
from petfmri.execution.digest import Failure, read_failures
from petfmri.execution.profiles import Profile

# Each node computes on one thread; the profile decides how many nodes run beside one another.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ),
    "1",
)

PRELOADED = [
    f"petfmri.{name}" for name in ("execution.quiet", "interfaces.anat", "interfaces.bold")
]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    nodes: int
    executed: int
    failures: list[Failure]


def run_workflow(
    workflow: Any, profile: Profile, *, work_dir: Path, progress: bool = True
) -> Outcome:
    """Run `workflow`; a failing node stops only what depends on it.

    Parameters
    ----------
    workflow : nipype.Workflow
        Its nodes live under ``sub_XX`` workflows, by which failures are reported.
    profile : Profile
        The plugin and its arguments.
    work_dir : Path
        Where intermediate results and crash files are kept; a later run resumes from there.
    progress : bool
        Show a progress bar on standard error.
    """
    crash_dir = work_dir / "crashes"
    os.environ.update({**ONE_THREAD, "NIPYPE_NO_ET": "1"})
    multiprocessing.set_forkserver_preload(PRELOADED)
    workflow.base_dir = str(work_dir)
    workflow.config["execution"] = {
        "crashdump_dir": str(crash_dir),
        "crashfile_format": "txt",
        "hash_method": "content",
        "poll_sleep_duration": "0.1",
        "stop_on_first_crash": "false",
        "create_report": "false",
        "check_version": "false",
        "remove_unnecessary_outputs": "false",
    }
    start, counter = time.time(), _Counter(workflow, show=progress)
    arguments = {**profile.plugin_args, "status_callback": counter}
    try:
        workflow.run(plugin=profile.plugin, plugin_args=arguments)
    except Exception as error:
        failures = read_failures(crash_dir, since=start - 1)
        if not failures:
            raise
        logging.getLogger(__name__).debug("the run ended with %s", error)
    else:
        failures = []
    finally:
        counter.bar.close()
    return Outcome(counter.total, len(counter.executed), failures)


class _Counter:
    """Nipype's status callback: advance the bar, remember which nodes really computed.

    Nipype also announces nodes that it only finds done; those leave their records untouched.
    """

    def __init__(self, workflow: Any, *, show: bool) -> None:
        self.total = len(workflow._create_flat_graph().nodes())
        self.executed: set[str] = set()
        self._started: set[str] = set()
        self._before = _records(Path(workflow.base_dir) / workflow.name, "**/_0x*.json")
        self.bar = tqdm(total=self.total, unit="step", disable=not show, dynamic_ncols=True)

    def __call__(self, node: Any, status: str) -> None:
        if status == "start":
            self._started.add(node.fullname)
            return
        failed = status != "end" and node.fullname in self._started  # else it waited for one
        if failed or _records(Path(node.output_dir()), "_0x*.json") - self._before:
            self.executed.add(node.fullname)
        if status == "end":
            self.bar.update()
            self.bar.set_postfix_str(node.fullname.split(".", 1)[-1].replace("_", "-", 1))


def _records(folder: Path, pattern: str) -> set[tuple[str, int]]:
    """Paths and times of the records that Nipype writes when a node starts and ends."""
    return {(str(path), path.stat().st_mtime_ns) for path in folder.glob(pattern)}
