"""The page of a cross-validated prediction."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from petfmri.reports import figures
from petfmri.reports.page import Page

COLUMNS = {
    "block": "features", "n": "n", "n_features": "number of features", "q2": "Q²", "q2_low": "Q² from",
    "q2_high": "Q² to", "p": "p", "gain": "gain over baseline score", "p_gain": "p of gain", "mae": "MAE",
    "median_ae": "median error", "mae_mean": "MAE of the mean", "r": "r",
}  # fmt: skip
HELD_OUT = (
    "Held-out accuracy. Q² compares squared errors with those of predicting the training mean: above 0 is better "
    "than the mean. The gain is what a block adds to the score before the dose, which every model holds. Ranges "
    "are the 5–95 % spread over repeats of the cross-validation, not a confidence interval; p by permutation."
)


def predict_page(
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    study: str,
    score: str,
    verdict: str,
    notes: Sequence[str],
) -> Page:
    """Assemble the page: the verdict in words first, then what it rests on.

    Parameters
    ----------
    scores : DataFrame
        One row per question and block of features, see `COLUMNS`.
    predictions : DataFrame
        Columns question, participant_id, block, observed, predicted.
    study, score : str
    verdict : str
    notes : sequence of str
    """
    page = Page("Prediction of symptoms", study, verdict, [("Overview", "../../index.html")])
    for question in dict.fromkeys(scores["question"]):
        rows = scores[scores["question"] == question]
        each = predictions[predictions["question"] == question]
        section = page.section(question)
        section.table(rows, names=COLUMNS, caption=HELD_OUT)
        section.figure(
            figures.predictions(each, score=score),
            caption="One dot per person: mean of its held-out predictions. Dashed: perfect prediction.",
            alt="Observed against predicted scores for each block of features",
        )
    page.section("How this was done, and what it cannot show").bullets(notes)
    wide = predictions.pivot_table(
        index=["participant_id", "observed"], columns=["question", "block"], values="predicted"
    )
    wide.columns = [": ".join(column) for column in wide.columns]
    page.section("Each person").table(
        wide.reset_index(), caption=f"Observed and held-out predicted {score}"
    )
    return page
