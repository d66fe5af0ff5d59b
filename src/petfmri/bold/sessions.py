"""The sessions of one person: censored, cut to equal frames, cleaned and pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from petfmri.bold.censoring import kept_frames
from petfmri.bold.denoise import Cleaning, Denoised, clean, require_kept
from petfmri.bold.matching import SEED, Chosen, matched_frames
from petfmri.bold.pooling import pool_runs
from petfmri.errors import DenoisingError, ExcludedRunError
from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Run:
    """Parcel series of one run.

    Attributes
    ----------
    name : str
        For messages and the list of exclusions.
    series : array of shape (n_frames, n_parcels)
    tr_s : float
    confounds : DataFrame of n_frames rows, optional
        None if another program has cleaned the series.
    dummy : int
        Leading volumes to drop.
    mean_fd : float, mm
        Of a series that is clean; otherwise the confounds tell it.
    kept : bool array of shape (n_frames,), optional
        Of a series that is clean: which frames have not been censored before.
    missing : mapping of column number to reason
        Why a parcel has no signal.
    denoising : str
        How a series that is clean was cleaned.
    """

    name: str
    series: FloatArray
    tr_s: float
    confounds: pd.DataFrame | None = None
    dummy: int = 0
    mean_fd: float = float("nan")
    kept: BoolArray | None = None
    missing: Mapping[int, str] = field(default_factory=dict)
    denoising: str = ""


@dataclass(frozen=True)
class Session:
    """One session, clean.

    Attributes
    ----------
    denoised : Denoised
        Runs pooled.
    used : list of (number of the run, bool array of shape (n_frames,))
        Which frames of which run the series are made of.
    frames_kept, frames_total : int
        Of all runs: frames that survived censoring, before sessions were made equal, and frames
        scanned.
    """

    denoised: Denoised
    used: Chosen
    frames_kept: int = 0
    frames_total: int = 0

    @property
    def circumstances(self) -> dict[str, float]:
        """What may differ between two sessions, and readers want to see."""
        counts = {"frames_kept": self.frames_kept, "frames_total": self.frames_total}
        return {**self.denoised.circumstances, **counts}


@dataclass(frozen=True)
class Sessions:
    """Result of `clean_sessions`.

    Attributes
    ----------
    sessions : mapping of name to Session
        Those with anything left.
    excluded : mapping of run name to reason
    """

    sessions: Mapping[str, Session]
    excluded: Mapping[str, str] = field(default_factory=dict)


def clean_sessions(
    sessions: Mapping[str, Sequence[Run]], cleaning: Cleaning, *, seed: int = SEED
) -> Sessions:
    """Clean the sessions of one person on equal terms.

    A run that is too short after censoring, or has too few degrees of freedom, is left out and
    listed; a session without a run, or with less than `cleaning.minimum_kept_s` in all, is left out
    with its runs. The others are cut by `matched_frames`, then cleaned and pooled. If too little is
    left in common, the session that kept least is left out.

    Parameters
    ----------
    sessions : mapping of name to runs
    cleaning : Cleaning
    seed : int
        See `matched_frames`.

    Returns
    -------
    Sessions

    Raises
    ------
    DenoisingError
        If runs differ in repetition time, or their tables do not serve.
    """
    _check_repetition_times(sessions)
    excluded: dict[str, str] = {}
    kept = {
        name: left
        for name, runs in sessions.items()
        if (left := _usable(name, runs, cleaning, excluded))
    }
    while kept:
        chosen = matched_frames([list(runs.values()) for runs in kept.values()], seed=seed)
        used = {
            name: [(list(kept[name])[k], frames) for k, frames in cut]
            for name, cut in zip(kept, chosen, strict=True)
        }
        failed = _too_little_in_common(sessions, kept, used, cleaning)
        done: dict[str, Session] = {}
        if not failed:
            done, failed = _cleaned(sessions, used, cleaning)
        if not failed:
            return Sessions(_counted(done, sessions, cleaning), excluded)
        excluded |= failed  # and once more: the others may now keep more frames
        kept = {
            name: left
            for name, runs in kept.items()
            if (left := {k: m for k, m in runs.items() if sessions[name][k].name not in failed})
        }
    return Sessions({}, excluded)


def _too_little_in_common(
    sessions: Mapping[str, Sequence[Run]],
    kept: Mapping[str, Mapping[int, BoolArray]],
    used: Mapping[str, Chosen],
    cleaning: Cleaning,
) -> dict[str, str]:
    """Name the runs of the session that kept least, if what the sessions share is too short."""
    first = next(iter(used))
    shared_s = sum(int(frames.sum()) * sessions[first][run].tr_s for run, frames in used[first])
    if len(used) < 2 or shared_s >= cleaning.minimum_kept_s:
        return {}
    least = min(kept, key=lambda name: sum(int(frames.sum()) for frames in kept[name].values()))
    reason = (
        f"{shared_s:g} s kept in common with the other session; "
        f"expected at least {cleaning.minimum_kept_s:g} s"
    )
    return {sessions[least][run].name: reason for run in kept[least]}


def _counted(
    done: Mapping[str, Session], sessions: Mapping[str, Sequence[Run]], cleaning: Cleaning
) -> dict[str, Session]:
    """Add how many frames were scanned, and how many survived censoring."""
    return {
        name: replace(
            session,
            frames_kept=sum(int(_censored(run, cleaning).sum()) for run in sessions[name]),
            frames_total=sum(len(run.series) for run in sessions[name]),
        )
        for name, session in done.items()
    }


def _cleaned(
    sessions: Mapping[str, Sequence[Run]], used: Mapping[str, Chosen], cleaning: Cleaning
) -> tuple[dict[str, Session], dict[str, str]]:
    """Clean the chosen frames; also say which runs have too few degrees of freedom."""
    done, failed = {}, {}
    for name, chosen in used.items():
        runs = []
        for number, frames in chosen:
            run = sessions[name][number]
            try:
                runs.append(clean_run(run, frames, cleaning))
            except ExcludedRunError as error:
                failed[run.name] = _reason(error)
        if runs:
            done[name] = Session(pool_runs(runs), chosen)
    return done, failed


def _usable(
    name: str, runs: Sequence[Run], cleaning: Cleaning, excluded: dict[str, str]
) -> dict[int, BoolArray]:
    """Return the kept frames of each run that suffices by itself, by its number."""
    kept: dict[int, BoolArray] = {}
    for number, run in enumerate(runs):
        frames = _censored(run, cleaning)
        try:
            require_kept(
                frames,
                cleaning,
                tr_s=run.tr_s,
                dummy=run.dummy,
                share=1 / len(runs),
                where=run.name,
            )
            clean_run(run, frames, cleaning)  # before the other sessions' frames decide
        except ExcludedRunError as error:
            excluded[run.name] = _reason(error)
        else:
            kept[number] = frames
    total_s = sum(int(frames.sum()) * runs[number].tr_s for number, frames in kept.items())
    if kept and total_s < cleaning.minimum_kept_s:
        for number in kept:
            excluded[runs[number].name] = (
                f"{name} has {total_s:g} s kept in all; expected {cleaning.minimum_kept_s:g} s"
            )
        return {}
    return kept


def _censored(run: Run, cleaning: Cleaning) -> BoolArray:
    if run.confounds is not None:
        return kept_frames(run.confounds, cleaning.censoring, dummy=run.dummy, where=run.name)
    kept = np.ones(len(run.series), dtype=bool) if run.kept is None else run.kept
    return np.asarray(kept & (np.arange(kept.size) >= run.dummy))


def clean_run(run: Run, frames: BoolArray, cleaning: Cleaning) -> Denoised:
    """Clean chosen frames of a run; of one that is clean, cut them out.

    Raises
    ------
    DenoisingError, ExcludedRunError
        As `clean`.
    """
    if run.confounds is not None:
        return clean(run.series, run.confounds, frames, cleaning, tr_s=run.tr_s, where=run.name)
    series, times = run.series[frames], np.flatnonzero(frames)
    return Denoised(
        series=series - series.mean(axis=0),
        kept=frames,
        times=times - times[0],
        df_effective=float("nan"),
        n_regressors=float("nan"),
        mean_fd=run.mean_fd,
    )


def _reason(error: ExcludedRunError) -> str:
    problem = error.problems[0]
    return f"{problem.found}; expected {problem.expected}"


def _check_repetition_times(sessions: Mapping[str, Sequence[Run]]) -> None:
    times = {run.name: run.tr_s for runs in sessions.values() for run in runs}
    if len(set(times.values())) > 1:
        raise DenoisingError(
            "repetition times of one person",
            ", ".join(f"{name}: {tr_s:g} s" for name, tr_s in times.items()),
            "one: connectivity measured at different sampling rates is not comparable",
            "leave out the run that differs",
        )
