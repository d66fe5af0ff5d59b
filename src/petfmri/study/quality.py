"""The quality table: every score of every step, and which of them call for a look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.study.files import read_json, read_table
from petfmri.study.layout import Names


@dataclass(frozen=True)
class Score:
    """What a score means, and between which limits it needs no second look."""

    description: str
    unit: str
    low: float = -np.inf
    high: float = np.inf

    def flag(self, value: float) -> str:
        """Say how a value leaves the limits; nothing when it does not."""
        if value < self.low:
            return f"below {self.low:g}"
        return f"above {self.high:g}" if value > self.high else ""


SCORES: Mapping[str, Score] = {
    "brain_ml": Score("Volume of the brain mask", "mL", 900, 2000),
    "gm_ml": Score("Volume of grey matter", "mL"),
    "wm_ml": Score("Volume of white matter", "mL"),
    "csf_ml": Score("Volume of CSF in the brain mask", "mL"),
    "cjv": Score("Noise of grey and white matter over their contrast in the T1w", "1", 0, 0.8),
    "template_overlap": Score(
        "Dice of the brain mask and the template's, brought there", "1", 0.93
    ),
    "nmi": Score("Normalised mutual information with the T1w, in the brain", "1"),
    "edge_agreement": Score(
        "Share of the white-matter surface where grey matter is brighter (0.5 by chance)", "1", 0.6
    ),
    "identity_mm": Score(
        "How far a registration that scores better than the given identity moves the brain",
        "mm",
        0,
        2,
    ),
    "t1w_agreement": Score(
        "Lowest correlation of one of several T1w with the others: low in another person", "1", 0.85
    ),
    "fd_mean": Score("Mean framewise displacement", "mm", 0, 0.5),
    "fd_max": Score("Largest framewise displacement", "mm"),
    "frames_borrowed": Score("Frames too poor to align, with the motion of a neighbour", "1", 0, 5),
    "frames_borrowed_share": Score("Share of the frames too poor to align", "1", 0, 0.2),
    "dvars_std_mean": Score("Mean standardised DVARS (1 is usual)", "1", 0, 2),
    "tsnr": Score("Median temporal signal-to-noise ratio of grey matter", "1", 20),
    "distortion_mm": Score(
        "Largest distortion that is corrected; 0 if none was found", "mm", 0, 25
    ),
    "non_steady": Score("Volumes before the steady state", "1", 0, 10),
}
OF_PET = {  # frames last minutes: people move more from one to the next
    "fd_mean": Score("Mean framewise displacement", "mm", 0, 3),
}
QUALITY_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session; missing for the anatomy, which serves all"},
    "image": {"Description": "T1w, pet or bold"},
    "run": {"Description": "BOLD run, where there are several"},
    "score": {"Description": "Name of the score"},
    "value": {"Description": "Its value", "Units": "see unit"},
    "unit": {"Description": "Unit of the value"},
    "description": {"Description": "What the score tells"},
    "flag": {"Description": "How it leaves the usual limits: look at the images; empty if not"},
}


def quality_table(names: Names, sessions: Mapping[str, Iterable[str | None]]) -> pd.DataFrame:
    """Collect the scores of one participant.

    Parameters
    ----------
    names : Names
        Where the results lie.
    sessions : mapping of session to labels of its BOLD runs, None for a run without one

    Returns
    -------
    DataFrame
        One row per score, columns as `QUALITY_COLUMNS`; empty if nothing was delivered.
    """
    found = _delivered(names.anat("metrics", ".tsv", desc="quality"))
    found |= _delivered(names.anat("metrics", ".tsv", desc="midway"))
    rows = list(_rows(names, None, "T1w", None, found))
    for session, runs in sessions.items():
        found = _delivered(names.pet(session, "metrics", ".tsv", desc="quality"))
        found |= _pet_motion(names.pet(session, "timeseries", ".tsv", desc="confounds"))
        beside = names.pet(session, "xfm", ".json", from_="T1w", to="petref", mode="image")
        found |= _said(beside, "RegistrationDisplacement_mm", "identity_mm")
        rows += _rows(names, session, "pet", None, found)
        for run in runs:
            found = _delivered(names.func(session, "metrics", ".tsv", run=run, desc="quality"))
            found |= _bold_motion(
                names.func(session, "timeseries", ".tsv", run=run, desc="confounds")
            )
            beside = names.func(
                session, "xfm", ".json", run=run, from_="T1w", to="boldref", mode="image"
            )
            found |= _said(beside, "LargestDisplacement_mm", "distortion_mm")
            rows += _rows(names, session, "bold", run, found)
    return pd.DataFrame(rows, columns=list(QUALITY_COLUMNS))


def _rows(
    names: Names, session: str | None, image: str, run: str | None, found: Mapping[str, float]
) -> Iterator[dict[str, object]]:
    for name, score in ({**SCORES, **OF_PET} if image == "pet" else SCORES).items():
        if name in found and np.isfinite(found[name]):
            yield {
                "participant_id": names.sub,
                "session_id": session,
                "image": image,
                "run": run,
                "score": name,
                "value": found[name],
                "unit": score.unit,
                "description": score.description,
                "flag": score.flag(found[name]),
            }


def _delivered(path: Path) -> dict[str, float]:
    """Read a table of one row of scores; none where the step delivered nothing."""
    if not path.exists():
        return {}
    return {str(name): float(value) for name, value in read_table(path).iloc[0].items()}


def _pet_motion(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    table = read_table(path)
    scores = _displacement(table)
    if "alignment" in table:
        borrowed = table["alignment"].eq("borrowed")
        scores["frames_borrowed"] = float(borrowed.sum())
        scores["frames_borrowed_share"] = float(borrowed.mean())
    return scores


def _bold_motion(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    table = read_table(path)
    leading = [name for name in table if str(name).startswith("non_steady_state_outlier")]
    steady = table.iloc[len(leading) :]
    scores = _displacement(steady) | {"non_steady": float(len(leading))}
    if "std_dvars" in table:
        scores["dvars_std_mean"] = float(steady["std_dvars"].iloc[1:].mean())
    return scores


def _said(path: Path, key: str, score: str) -> dict[str, float]:
    """Read a score from the sidecar of an alignment, if it was looked for."""
    said = read_json(path) if path.exists() else {}
    return {score: float(said[key])} if key in said else {}


def _displacement(table: pd.DataFrame) -> dict[str, float]:
    moved = table["framewise_displacement"].astype(float)
    return {"fd_mean": float(moved.mean()), "fd_max": float(moved.max())}
