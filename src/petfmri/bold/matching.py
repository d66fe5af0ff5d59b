"""Equal frames for the sessions of one person, chosen before anything is cleaned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from petfmri.typing import BoolArray

SEED = 1  # of every table that this package writes, so that two calls agree

Chosen = list[tuple[int, BoolArray]]


def matched_frames(
    sessions: Sequence[Mapping[int, BoolArray]], *, seed: int = SEED
) -> list[Chosen]:
    """Cut the sessions of one person to the same runs and the same frames of each.

    NGSC, the noise of correlations and whatever rests on them move with the degrees of freedom as
    much as with a drug. These depend on how many frames there are and on how they lie: as many
    frames scattered over a longer time have more of them. So frames are chosen first, and each
    session is then cleaned with the same frames of its time line and as many confounds:

    1. Runs that every session has, by number, are used. If there is none, every session uses as
       many as the one with the fewest: those with the most kept frames, in their order.
    2. Runs that go together are cut to one length, that of the shortest from its first to its last
       kept frame; where the cut starts in a longer one is drawn at random with `seed`.
    3. A frame that any session has censored there is censored in all.

    Parameters
    ----------
    sessions : for each session, mapping of run number to bool array of shape (n_frames,)
        True for frames that survived censoring; at least one in each run.
    seed : int
        Draws depend on it and on the place of session and run, not on other persons.

    Returns
    -------
    for each session, list of (number of the run, bool array of shape (n_frames,))

    Examples
    --------
    >>> pre, post = np.ones(6, dtype=bool), np.array([True, False, True, True])
    >>> for ((run, kept),) in matched_frames([{0: pre}, {0: post}]):
    ...     print(run, kept.astype(int))
    0 [0 1 0 1 1 0]
    0 [1 0 1 1]
    """
    together = list(zip(*_paired(sessions), strict=True))
    chosen: list[Chosen] = [[] for _ in sessions]
    for k, numbers in enumerate(together):
        lines = [_line(runs[number]) for runs, number in zip(sessions, numbers, strict=True)]
        length = min(stop - start for start, stop in lines)
        starts = [
            start + int(np.random.default_rng([seed, place, k]).integers(stop - start - length + 1))
            for place, (start, stop) in enumerate(lines)
        ]
        shared = np.all(
            [
                runs[number][start : start + length]
                for runs, number, start in zip(sessions, numbers, starts, strict=True)
            ],
            axis=0,
        )
        for place, (number, start) in enumerate(zip(numbers, starts, strict=True)):
            frames = np.zeros(sessions[place][number].size, dtype=bool)
            frames[start : start + length] = shared
            chosen[place].append((number, frames))
    return chosen


def _paired(sessions: Sequence[Mapping[int, BoolArray]]) -> list[list[int]]:
    """Number the runs of each session that go together."""
    common = sorted(set.intersection(*(set(runs) for runs in sessions)))
    if common:
        return [common for _ in sessions]
    n_runs = min(len(runs) for runs in sessions)
    return [
        sorted(sorted(runs, key=lambda run: (-int(runs[run].sum()), run))[:n_runs])
        for runs in sessions
    ]


def _line(kept: BoolArray) -> tuple[int, int]:
    """Say where the first kept frame is and where the last one ends."""
    frames = np.flatnonzero(kept)
    return int(frames[0]), int(frames[-1]) + 1
