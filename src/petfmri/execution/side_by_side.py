"""Participants side by side: each runs its own workflow in a process of its own.

One graph for a whole cohort would keep Nipype's scheduler busier than the steps themselves, and
what harms one participant could reach the others.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tqdm import tqdm

from petfmri.execution.digest import Failure
from petfmri.execution.profiles import Profile
from petfmri.execution.run import ONE_THREAD, PRELOADED, Outcome, run_workflow

KILLED = "a worker process was killed, most likely for want of memory; run again to resume"


def run_side_by_side(
    builds: Mapping[str, Callable[[], Any]],
    *,
    n_procs: int,
    memory_gb: float,
    participant_gb: float,
    work_dir: Path,
    progress: bool = True,
) -> Outcome:
    """Build and run one workflow per participant, as many at a time as processes and memory allow.

    Parameters
    ----------
    builds : mapping of participant to what builds its workflow
        Picklable, such as a partial of `participant_workflow`.
    n_procs : int
    memory_gb : float
        For all of them; one always runs.
    participant_gb : float
        The largest step of a participant: the steps of one run one by one.
    work_dir : Path
    progress : bool
        Show a progress bar on standard error.
    """
    os.environ.update(ONE_THREAD)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    outcomes = []
    width = max(1, min(n_procs, len(builds), int(memory_gb // participant_gb)))
    with (
        ProcessPoolExecutor(width, mp_context=context) as pool,
        tqdm(total=len(builds), unit="participant", disable=not progress) as bar,
    ):
        jobs = {pool.submit(_run_one, build, work_dir): name for name, build in builds.items()}
        for job in as_completed(jobs):
            outcomes.append(_outcome(job, jobs[job], work_dir))
            bar.update()
    return Outcome(
        nodes=sum(outcome.nodes for outcome in outcomes),
        executed=sum(outcome.executed for outcome in outcomes),
        failures=sorted((failure for outcome in outcomes for failure in outcome.failures), key=str),
    )


def _run_one(build: Callable[[], Any], work_dir: Path) -> Outcome:
    workflow = build()
    outcome = run_workflow(workflow, Profile("Linear"), work_dir=work_dir, progress=False)
    own = [one for one in outcome.failures if one.participant == workflow.name.replace("_", "-", 1)]
    return Outcome(outcome.nodes, outcome.executed, own)


def _outcome(job: Future[Outcome], participant: str, work_dir: Path) -> Outcome:
    try:
        return job.result()
    except BrokenProcessPool:
        return Outcome(0, 0, [Failure(participant, "worker", KILLED, work_dir)])
    except Exception as error:  # of whatever kind: the others go on
        cause = f"{type(error).__name__}: {error}"
        return Outcome(0, 0, [Failure(participant, "workflow", cause, work_dir)])
