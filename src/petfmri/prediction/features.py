"""What is predicted and from what, out of the tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics.pairing import pair_outcomes

Source = Literal["baseline", "change"]


@dataclass(frozen=True)
class Question:
    """One prediction question; all tables are indexed by participant.

    Attributes
    ----------
    name : str
        Such as ``madrs after, from baseline``.
    target : Series
        The score after.
    clinical : DataFrame
        The score before: in every model, never penalized, so that a block of features is asked
        what it adds to it. That is how a change is predicted without predicting its baseline.
    features : dict of str to DataFrame
        Imaging blocks: sv2a, fmri, all.
    notes : tuple of str
        What was left out, and what the question cannot mean.
    """

    name: str
    target: pd.Series[float]
    clinical: pd.DataFrame
    features: dict[str, pd.DataFrame]
    notes: tuple[str, ...]


def ask(
    regions: pd.DataFrame | None,
    sessions: pd.DataFrame,
    *,
    symptom: str,
    rois: Mapping[str, Sequence[str]] | None = None,
    networks: Sequence[str] = (),
    source: Source = "baseline",
    measure: str = "suvr",
) -> Question:
    """Collect the features of one question.

    Parameters
    ----------
    regions, sessions : DataFrame
        The tidy tables, as in `petfmri.statistics.compare`.
    symptom : str
        Column of `sessions` with the score.
    rois : mapping of name to region names
    networks : sequence of str
        Columns of `sessions` with network metrics.
    source : {"baseline", "change"}
        Features before the dose, or their change from before to after.
    measure : str
        Column of `regions`.

    Returns
    -------
    Question

    Raises
    ------
    StatisticsError
        As `pair_outcomes`, or when there is no imaging feature at all.
    """
    everywhere = f"{measure}_grey"
    metrics = [symptom, *([everywhere] if everywhere in sessions else []), *networks]
    paired = pair_outcomes(
        regions, sessions, rois=rois, measures=(measure,) if rois else (), metrics=metrics
    )
    values = paired.pre if source == "baseline" else paired.post - paired.pre
    notes = list(paired.notes)
    sv2a = [*paired.names("roi", measure), *(name for name in metrics if name == everywhere)]
    features = {}
    for block, names in (("sv2a", sv2a), ("fmri", list(networks))):
        known = values[names].notna().mean() > 0.5
        lost = [name for name in names if not known[name]]
        if lost:
            notes.append(f"Not used, missing in half of the persons or more: {', '.join(lost)}.")
        if known.any():
            features[block] = values[[name for name in names if known[name]]]
    if not features:
        raise StatisticsError(
            "prediction",
            "no imaging feature with values",
            "regions of interest, global SV2A or network metrics",
            "run the participants first, or name regions of interest",
        )
    if len(features) > 1:
        features["all"] = pd.concat(features.values(), axis=1)
    if source == "change":
        notes.append(
            "The features are changes measured together with the outcome: they can go with it, but "
            "nobody could have used them to foretell it."
        )
    notes.append(
        f"Every model holds {symptom} before, unpenalized: a block of features is asked what it "
        "adds to the baseline score."
    )
    described = "baseline" if source == "baseline" else "change"
    return Question(
        name=f"{symptom} after, from {described}",
        target=paired.post[symptom].rename(symptom),
        clinical=paired.pre[[symptom]].add_suffix(" before"),
        features=features,
        notes=tuple(notes),
    )
