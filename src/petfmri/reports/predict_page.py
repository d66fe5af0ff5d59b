"""The page of a cross-validated prediction."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page

COLUMNS = {
    "block": "features", "n": "n", "n_features": "features (number)", "q2": "Q²", "q2_low": "Q² from", "q2_high": "Q² to",
    "mae": "MAE", "median_ae": "median error", "mae_mean": "MAE of the mean", "r": "r", "p": "p (permutation)",
}  # fmt: skip


def predict_page(
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    study: str,
    question: str,
    score: str,
    verdict: str,
    notes: Sequence[str],
) -> Page:
    """Assemble the page: the verdict in words first, then what it rests on.

    Parameters
    ----------
    scores : DataFrame
        One row per block of features, see `COLUMNS`.
    predictions : DataFrame
        Columns participant_id, block, observed, predicted.
    study, question, score : str
    verdict : str
    notes : sequence of str
    """
    page = Page("Prediction of symptoms", study, verdict, [("Overview", "../../index.html")])
    section = page.section(question)
    section.table(
        scores,
        names=COLUMNS,
        caption="Held-out accuracy. Q² compares squared errors with those of predicting the training mean: above 0 is better than the mean. Ranges are the 5–95 % spread over repeats of the cross-validation, not a confidence interval.",
    )
    section.figure(
        figures.predictions(predictions, score=score),
        caption="One dot per person: mean of its held-out predictions. Dashed: perfect prediction.",
        alt="Observed against predicted scores for each block of features",
    )
    page.section("How this was done, and what it cannot show").bullets(notes)
    wide = predictions.pivot_table(
        index=["participant_id", "observed"], columns="block", values="predicted"
    ).reset_index()
    page.section("Each person").table(wide, caption=f"Observed and held-out predicted {score}")
    return page
