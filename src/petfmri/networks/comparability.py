"""Sessions on an equal footing: what a difference of network metrics needs to mean anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from petfmri.errors import Problem
from petfmri.typing import FloatArray

#: What travels with every value, and how it is said: the columns of the tables.
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "atlas": {"Description": "Parcellation"},
    "n_parcels": {"Description": "Parcels with a signal in all sessions of the person"},
    "missing_parcels": {"Description": "Parcels left out of all sessions of the person"},
    "n_frames": {
        "Description": "Frames that the metrics are computed of: the same ones of each run in every "
        "session of the person, longer runs cut from a start that is drawn with seed 1"
    },
    "tr_s": {"Description": "Repetition time", "Units": "s"},
    "strategy": {"Description": "Denoising strategy"},
    "global_signal": {"Description": "Whether the global signal was regressed out"},
    "low_hz": {"Description": "Lower end of the band", "Units": "Hz"},
    "high_hz": {"Description": "Upper end of the band", "Units": "Hz"},
    "censoring": {"Description": "When a frame is left out"},
}
#: What travels with every value, too, but may differ: to be looked at, or a covariate.
CIRCUMSTANCES: Mapping[str, Mapping[str, str]] = {
    "df_effective": {"Description": "Effective degrees of freedom of these frames"},
    "n_regressors": {"Description": "Independent regressors"},
    "frames_kept": {"Description": "BOLD volumes after censoring, before sessions are made equal"},
    "frames_total": {"Description": "BOLD volumes scanned"},
    "mean_fd": {
        "Description": "Mean framewise displacement, censored frames included",
        "Units": "mm",
    },
}


def common_parcels(sessions: Sequence[FloatArray]) -> list[FloatArray]:
    """Leave out of all sessions the parcels that any session lacks.

    Parameters
    ----------
    sessions : arrays of shape (n_frames, n_parcels)
        Missing parcels are columns of NaN.

    Examples
    --------
    >>> pre, post = np.array([[1.0, 2], [3, 4]]), np.array([[5, np.nan], [6, np.nan]])
    >>> common_parcels([pre, post])[0]
    array([[ 1., nan],
           [ 3., nan]])
    """
    missing = np.any([np.isnan(series).all(axis=0) for series in sessions], axis=0)
    return [np.where(missing, np.nan, series) for series in sessions]


def incomparable(sessions: pd.DataFrame, where: str = "sessions.tsv") -> list[Problem]:
    """Find persons whose sessions were measured under different conditions.

    Parameters
    ----------
    sessions : DataFrame
        One row per participant_id and session_id, with the columns of `CONDITIONS`. Rows without
        n_frames hold no network metrics and are passed over.
    where : str

    Returns
    -------
    list of Problem
        One per person, which says what differs.

    Examples
    --------
    >>> table = pd.DataFrame({"participant_id": "sub-01", "session_id": ["ses-pre", "ses-post"],
    ...                       "n_frames": [200, 180], "tr_s": 2.0})
    >>> print(*incomparable(table))
    sessions.tsv: sub-01: found n_frames 200 in ses-pre, 180 in ses-post; expected sessions measured \
under the same conditions. Compute both anew with one configuration: `petfmri networks`.
    """
    problems = []
    columns = [name for name in CONDITIONS if name in sessions]
    if "n_frames" not in columns:
        return []
    for person, rows in sessions.dropna(subset="n_frames").groupby("participant_id", sort=False):
        differing = [name for name in columns if len(set(rows[name].astype(str))) > 1]
        if differing:
            found = "; ".join(
                f"{name} "
                + ", ".join(
                    f"{value} in {session}"
                    for session, value in zip(rows["session_id"], rows[name], strict=True)
                )
                for name in differing
            )
            problems.append(
                Problem(
                    f"{where}: {person}",
                    found,
                    "sessions measured under the same conditions",
                    "compute both anew with one configuration: `petfmri networks`",
                )
            )
    return problems
