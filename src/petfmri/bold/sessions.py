"""The sessions of one person: censored, cut to equal frames, cleaned and pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import pandas as pd

from petfmri.bold.censoring import kept_frames
from petfmri.bold.denoise import Cleaning, Denoised, clean, require_kept
from petfmri.bold.matching import SEED, Chosen, matched_frames
from petfmri.bold.pooling import pool_runs
from petfmri.errors import DenoisingError, ExcludedRunError
from petfmri.typing import BoolArray, FloatArray

Lost: TypeAlias = dict[tuple[str, int], str]  # session and number of a run: why it is left out


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
    with its runs. The others are cut by `matched_frames`, then cleaned and pooled. Where what runs
    share does not suffice, the one that kept least is left out; where what sessions share does not,
    the session that kept least. A session that is left alone is used whole.

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
    usable = {
        name: left
        for name, runs in sessions.items()
        if (left := _usable(name, runs, cleaning, excluded))
    }
    while usable:
        done, lost = _on_equal_terms(sessions, usable, cleaning, seed)
        gone = (
            set() if done else {name for name, runs in usable.items() if _all_of(runs, name, lost)}
        )
        for (name, run), why in lost.items():
            if name in gone or not gone:  # the others get their runs back
                excluded[sessions[name][run].name] = why
        if not gone:
            return Sessions(_counted(done, sessions, cleaning), excluded)
        usable = {name: runs for name, runs in usable.items() if name not in gone}
    return Sessions({}, excluded)


def _on_equal_terms(
    sessions: Mapping[str, Sequence[Run]],
    usable: Mapping[str, Mapping[int, BoolArray]],
    cleaning: Cleaning,
    seed: int,
) -> tuple[dict[str, Session], Lost]:
    """Match and clean, leaving out runs until what is shared suffices; {} if a session has none."""
    kept = {name: dict(runs) for name, runs in usable.items()}
    lost: Lost = {}
    while all(kept.values()):
        chosen = matched_frames(list(kept.values()), seed=seed)
        used = dict(zip(kept, chosen, strict=True))
        failed = _too_little_in_common(sessions, kept, used, cleaning)
        cleaned: dict[str, list[Denoised]] = {name: [] for name in kept}
        for place in range(len(chosen[0])) if not failed else ():
            together = {name: cut[place] for name, cut in used.items()}
            try:
                for name, (number, frames) in together.items():
                    run = sessions[name][number]
                    if len(kept) > 1:
                        _require_share(run, frames, cleaning, 1 / len(sessions[name]))
                    cleaned[name].append(clean_run(run, frames, cleaning))
            except ExcludedRunError as error:
                least = min(together, key=lambda name: int(kept[name][together[name][0]].sum()))
                reason = f"in common with the other session, {_reason(error)}"
                failed[least, together[least][0]] = reason
        if not failed:
            made = {name: Session(pool_runs(runs), used[name]) for name, runs in cleaned.items()}
            return made, lost
        lost |= failed
        for name, number in failed:
            del kept[name][number]
    return {}, lost


def _all_of(runs: Mapping[int, BoolArray], name: str, lost: Lost) -> bool:
    return all((name, number) in lost for number in runs)


def _too_little_in_common(
    sessions: Mapping[str, Sequence[Run]],
    kept: Mapping[str, Mapping[int, BoolArray]],
    used: Mapping[str, Chosen],
    cleaning: Cleaning,
) -> Lost:
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
    return {(least, run): reason for run in kept[least]}


def _require_share(run: Run, frames: BoolArray, cleaning: Cleaning, share: float) -> None:
    by = None if run.confounds is not None else "the program that cleaned it"
    require_kept(
        frames, cleaning, tr_s=run.tr_s, dummy=run.dummy, share=share, by=by, where=run.name
    )


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


def _usable(
    name: str, runs: Sequence[Run], cleaning: Cleaning, excluded: dict[str, str]
) -> dict[int, BoolArray]:
    """Return the kept frames of each run that suffices by itself, by its number."""
    kept: dict[int, BoolArray] = {}
    for number, run in enumerate(runs):
        frames = _censored(run, cleaning)
        try:
            _require_share(run, frames, cleaning, 1 / len(runs))
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
