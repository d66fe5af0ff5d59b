"""The networks of one person: every session cleaned, made equal and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from petfmri.bold.denoise import Cleaning
from petfmri.bold.sessions import Run, Session, clean_sessions
from petfmri.networks.comparability import common_parcels
from petfmri.networks.fc_change import fc_change
from petfmri.networks.measures import Measured, SessionSeries, measure_sessions
from petfmri.networks.partial import partial_correlation
from petfmri.networks.seed_map import sv2a_connectivity
from petfmri.typing import FloatArray

LEAST_HALF = 30  # frames in either half, to speak of its metrics


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
        Sessions whose distance is measured.
    """

    cleaning: Cleaning
    networks: tuple[str, ...] = ()
    rois: Mapping[str, Sequence[str]] = field(default_factory=dict)
    partial: bool = False
    roles: tuple[str, str] = ("ses-pre", "ses-post")


@dataclass(frozen=True)
class PersonNetworks:
    """What was measured of one person.

    Attributes
    ----------
    measured : mapping of session to Measured
    excluded : mapping of run to reason
    cleaned : mapping of session to Session
    partial : mapping of session to array of shape (n_parcels, n_parcels)
    parts : list of dict
        Metrics of the halves and of the runs of each session, for reliability.
    fc_change : float
        From pre to post, over that within pre; NaN without both.
    """

    measured: Mapping[str, Measured]
    excluded: Mapping[str, str]
    cleaned: Mapping[str, Session]
    partial: Mapping[str, FloatArray] = field(default_factory=dict)
    parts: Sequence[Mapping[str, object]] = ()
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
            {**_conditions(sessions[name], options.cleaning), **session.denoised.circumstances},
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
        [
            {"session_id": name, "kind": kind, "part": part, **row}
            for name, session in found.sessions.items()
            for kind, part, row in _parts(given[name], session, atlas, options)
        ],
        _fc_change(series, atlas, options),
    )


def _conditions(runs: Sequence[Run], cleaning: Cleaning) -> dict[str, object]:
    """Say how the runs of a session were cleaned: by us, or before."""
    first = runs[0]
    if first.confounds is not None:
        return {**cleaning.conditions, "tr_s": first.tr_s}
    done = " | ".join(sorted({run.denoising for run in runs} - {""}))
    return {"strategy": done or "as given", "tr_s": first.tr_s}


def _fc_change(series: Mapping[str, FloatArray], atlas: pd.DataFrame, options: Options) -> float:
    """Measure the distance between pre and post over the cortex, where both are there."""
    if not set(options.roles) <= set(series):
        return float("nan")
    cortex = (atlas["structure"] == "cortex").to_numpy()
    pre, post = (series[role][:, cortex] for role in options.roles)
    return fc_change(pre, post) if len(pre) >= 2 * LEAST_HALF else float("nan")


def _parts(
    series: SessionSeries, session: Session, atlas: pd.DataFrame, options: Options
) -> Iterator[tuple[str, int, Mapping[str, object]]]:
    """Measure the halves of a session, and its runs cut to the length of the shortest."""
    n = len(series.series) // 2
    lengths = [int(frames.sum()) for _, frames in session.used]
    ends = np.cumsum(lengths)
    shortest = min(lengths)
    cuts = {"half": [slice(0, n), slice(n, 2 * n)]}
    if len(lengths) > 1:
        cuts["run"] = [slice(end - k, end - k + shortest) for end, k in zip(ends, lengths)]
    for kind, slices in cuts.items():
        if slices[0].stop - slices[0].start < LEAST_HALF:
            continue
        found = measure_sessions(
            {str(part): _cut(series, one) for part, one in enumerate(slices, 1)},
            atlas,
            networks=options.networks,
            rois=options.rois,
        )
        yield from ((kind, int(part), one.row) for part, one in found.items())


def _cut(series: SessionSeries, frames: slice) -> SessionSeries:
    times = None if series.times is None else series.times[frames]
    return replace(series, series=series.series[frames], times=times)
