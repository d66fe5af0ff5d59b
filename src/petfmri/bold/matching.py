"""Equal frames for the sessions of one person, chosen before anything is cleaned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.typing import BoolArray

SEED = 1  # of every table that this package writes, so that two calls agree

Chosen = list[tuple[int, BoolArray]]


def matched_frames(sessions: Sequence[Sequence[BoolArray]], *, seed: int = SEED) -> list[Chosen]:
    """Cut the sessions of one person to the same runs and the same number of frames.

    NGSC, correlations' noise and whatever rests on them move with the number of frames and of
    degrees of freedom as much as with a drug. So frames are chosen first and each session is then
    cleaned with as many frames and as many confounds as the other:

    1. Every session uses as many runs as the one with the fewest: those with the most kept frames
       (of equals the earlier), in the order of acquisition.
    2. The k-th runs of all sessions use the same number of kept frames, that of the shortest. They
       are consecutive kept frames; where the window starts is drawn at random with `seed`.

    Parameters
    ----------
    sessions : for each session, for each run, bool array of shape (n_frames,)
        True for frames that survived censoring.
    seed : int
        Draws depend on it and on the place of session and run, not on other persons.

    Returns
    -------
    for each session, list of (number of the run, bool array of shape (n_frames,))

    Examples
    --------
    >>> pre, post = np.ones(5, dtype=bool), np.array([True, False, True, True])
    >>> for ((run, kept),) in matched_frames([[pre], [post]], seed=1):
    ...     print(run, kept.astype(int))
    0 [0 1 1 1 0]
    0 [1 0 1 1]
    """
    n_runs = min(len(runs) for runs in sessions)
    longest = [_longest(runs, n_runs) for runs in sessions]
    lengths = [
        min(int(runs[chosen[k]].sum()) for runs, chosen in zip(sessions, longest, strict=True))
        for k in range(n_runs)
    ]
    return [
        [
            (run, _window(runs[run], length, np.random.default_rng([seed, number, run])))
            for run, length in zip(chosen, lengths, strict=True)
        ]
        for number, (runs, chosen) in enumerate(zip(sessions, longest, strict=True))
    ]


def _longest(runs: Sequence[BoolArray], n_runs: int) -> list[int]:
    """Number the runs with the most kept frames, in the order of acquisition."""
    order = sorted(range(len(runs)), key=lambda run: (-int(runs[run].sum()), run))
    return sorted(order[:n_runs])


def _window(kept: BoolArray, length: int, rng: np.random.Generator) -> BoolArray:
    frames = np.flatnonzero(kept)
    start = int(rng.integers(frames.size - length + 1))
    chosen = np.zeros(kept.size, dtype=bool)
    chosen[frames[start : start + length]] = True
    return chosen
