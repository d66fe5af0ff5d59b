"""The networks of one person: every session cleaned, made equal and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd

from petfmri.bold.denoise import Cleaning
from petfmri.bold.pooling import pool_series
from petfmri.bold.sessions import Run, Session, clean_run, clean_sessions
from petfmri.errors import ExcludedRunError
from petfmri.networks.comparability import common_parcels
from petfmri.networks.fc_change import fc_change
from petfmri.networks.measures import Measured, SessionSeries, measure_sessions
from petfmri.networks.partial import partial_correlation
from petfmri.networks.seed_map import sv2a_connectivity
from petfmri.typing import BoolArray, FloatArray, IntArray

LEAST_PART = 30  # frames of a half or a run, to speak of its metrics

Part: TypeAlias = tuple[int, IntArray]  # number of the run, numbers of its frames


@dataclass(frozen=True)
class Options:
    """What is measured, and how.

    Attributes
    ----------
    cleaning : Cleaning
    networks : tuple of str
        Only these; empty: all of the atlas.
    rois : mapping of name to region names
    partial : bool
        Whether partial correlations are wanted, too.
    roles : (pre, post)
        Sessions whose distance is measured; empty in a crossover, which has many.
    """

    cleaning: Cleaning
    networks: tuple[str, ...] = ()
    rois: Mapping[str, Sequence[str]] = field(default_factory=dict)
    partial: bool = False
    roles: tuple[str, ...] = ("ses-pre", "ses-post")


@dataclass(frozen=True)
class PersonNetworks:
    """What was measured of one person.

    Attributes
    ----------
    measured : mapping of session to Measured
    excluded : mapping of run to reason
    cleaned : mapping of session to Session
    partial : mapping of session to array of shape (n_parcels, n_parcels)
    fc_change : float
        From pre to post, over that within pre; NaN without both.
    """

    measured: Mapping[str, Measured]
    excluded: Mapping[str, str]
    cleaned: Mapping[str, Session]
    partial: Mapping[str, FloatArray] = field(default_factory=dict)
    fc_change: float = float("nan")


def person_networks(
    sessions: Mapping[str, Sequence[Run]],
    atlas: pd.DataFrame,
    options: Options,
    *,
    sv2a: FloatArray | None = None,
    whole: bool = True,
) -> PersonNetworks:
    """Clean and measure the sessions of one person.

    Parameters
    ----------
    sessions : mapping of session to runs
    atlas : DataFrame
        ``name``, ``network`` and ``structure``, in the order of the columns.
    options : Options
    sv2a : array of shape (n_parcels,), optional
        The map for SV2A-informed connectivity, the same for every session.
    whole : bool
        False: the metrics only, for a multiverse.
    """
    found = clean_sessions(sessions, options.cleaning)
    if not found.sessions:
        return PersonNetworks({}, found.excluded, {})
    given = {
        name: SessionSeries(
            session.denoised.series,
            session.denoised.times,
            {**_conditions(sessions[name], options.cleaning), **session.circumstances},
        )
        for name, session in found.sessions.items()
    }
    measured = measure_sessions(given, atlas, networks=options.networks, rois=options.rois)
    if not whole:
        return PersonNetworks(measured, found.excluded, found.sessions)
    series = dict(zip(given, common_parcels([one.series for one in given.values()]), strict=True))
    if sv2a is not None:
        for name, one in measured.items():
            one.nodes["sv2a_fc"] = sv2a_connectivity(series[name], sv2a)[1]
    return PersonNetworks(
        measured,
        found.excluded,
        found.sessions,
        {name: partial_correlation(one)[0] for name, one in series.items() if options.partial},
        _fc_change(sessions, found.sessions, atlas, options),
    )


def _conditions(runs: Sequence[Run], cleaning: Cleaning) -> dict[str, object]:
    """Say how the runs of a session were cleaned: by us, or before."""
    first = runs[0]
    if first.confounds is not None:
        return {**cleaning.conditions, "tr_s": first.tr_s}
    done = " | ".join(sorted({run.denoising for run in runs} - {""}))
    return {"strategy": done or "as given", "tr_s": first.tr_s}


def _fc_change(
    runs: Mapping[str, Sequence[Run]],
    sessions: Mapping[str, Session],
    atlas: pd.DataFrame,
    options: Options,
) -> float:
    """Measure how far the cortex moved, where halves of both sessions suffice by themselves."""
    if not options.roles or not set(options.roles) <= set(sessions):
        return float("nan")
    cortex = (atlas["structure"] == "cortex").to_numpy()
    try:
        pre, post = (
            [half[:, cortex] for half in _halves(runs[role], sessions[role], options.cleaning)]
            for role in options.roles
        )
    except ExcludedRunError:
        return float("nan")
    return fc_change(pre, post) if len(pre[0]) >= LEAST_PART else float("nan")


def _halves(runs: Sequence[Run], session: Session, cleaning: Cleaning) -> list[FloatArray]:
    """Clean the first halves of all runs and the second halves, each by itself."""
    halves: list[list[FloatArray]] = [[], []]
    for number, frames in session.used:
        kept = np.flatnonzero(frames)
        half = kept.size // 2
        for cleaned, own in zip(halves, (kept[:half], kept[half : 2 * half]), strict=True):
            cleaned.append(clean_run(runs[number], _only(own, frames.size), cleaning).series)
    return [pool_series(cleaned) for cleaned in halves]


def _only(kept: IntArray, n_frames: int) -> BoolArray:
    frames = np.zeros(n_frames, dtype=bool)
    frames[kept] = True
    return frames


def repeats(session: Session) -> dict[str, list[Part]]:
    """Say which frames make the halves of the first run, and the first two runs, of a session."""
    number, frames = session.used[0]
    kept = np.flatnonzero(frames)
    half = kept.size // 2
    found: dict[str, list[Part]] = {"half": [(number, kept[:half]), (number, kept[half:])]}
    if len(session.used) > 1:
        found["run"] = [(number, np.flatnonzero(frames)) for number, frames in session.used[:2]]
    return found


def measure_parts(
    runs: Sequence[Run], parts: Sequence[Part], n_frames: int, atlas: pd.DataFrame, options: Options
) -> list[Mapping[str, object]] | None:
    """Measure parts of a session, each cleaned by itself over its first `n_frames` frames.

    Returns
    -------
    list of mappings, or None
        None where a part has too little to count.
    """
    given = {}
    for place, (number, kept) in enumerate(parts, 1):
        frames = _only(kept[:n_frames], len(runs[number].series))
        try:
            found = clean_run(runs[number], frames, options.cleaning)
        except ExcludedRunError:
            return None
        given[str(place)] = SessionSeries(found.series, found.times, found.circumstances)
    measured = measure_sessions(given, atlas, networks=options.networks, rois=options.rois)
    return [one.row for one in measured.values()]
