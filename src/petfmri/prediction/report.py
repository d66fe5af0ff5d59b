"""How well an outcome is predicted for persons that the model never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.prediction.chance import permutation_p, shuffled_targets, targets_without_features
from petfmri.prediction.validation import Scores, cross_validate, repeated_splits
from petfmri.typing import FloatArray

CLINICAL = "clinical"
ALPHA = 0.05
ENOUGH = 300
"""Persons; several hundred are asked for by Poldrack et al. 2020."""


@dataclass(frozen=True)
class PredictionResult:
    """Result of `predict`.

    Attributes
    ----------
    table : DataFrame
        One row per block: question block n n_features q2 mae median_ae mae_mean r q2_low q2_high
        p gain gain_low gain_high p_gain permutations repeats folds seed. `gain` is q2 minus that
        of the clinical block.
    predictions : DataFrame
        participant_id observed predicted block; `predicted` is the mean over repeats.
    verdicts : dict of block to str
        One sentence each.
    notes : tuple of str
    """

    table: pd.DataFrame
    predictions: pd.DataFrame
    verdicts: dict[str, str]
    notes: tuple[str, ...]


def predict(
    features: Mapping[str, pd.DataFrame],
    target: pd.Series[float],
    groups: Sequence[str] | None = None,
    *,
    clinical: pd.DataFrame | None = None,
    question: str = "",
    folds: int = 5,
    repeats: int = 50,
    permutations: int = 1000,
    seed: int = 1,
) -> PredictionResult:
    """Predict a target from blocks of features by nested, person-grouped, repeated k-fold ridge.

    Parameters
    ----------
    features : mapping of block name to DataFrame
        Rows as in `target`; NaN is filled with the median of the training persons.
    target : Series
        Rows without a value are left out and named.
    groups : sequence of str, optional
        The person of each row, never split; by default the index of `target`.
    clinical : DataFrame, optional
        Covariates that are in every model and unpenalized, such as the score before. Rows with a
        missing value are left out and named. They are also a block of their own, to which the
        others are compared; without covariates that is the mean.
    question : str
        Label for the table.
    folds, repeats, permutations, seed : int

    Returns
    -------
    PredictionResult

    Raises
    ------
    StatisticsError
        With fewer than two persons per fold, rows that do not match, or a target without spread.

    References
    ----------
    Poldrack, Huckins & Varoquaux 2020, JAMA Psychiatry 77:534-540; Varoquaux 2018, NeuroImage
    180:68-77.
    """
    clinical = pd.DataFrame(index=target.index) if clinical is None else clinical
    persons = pd.Series([*(target.index if groups is None else groups)], target.index, dtype=str)
    kept, notes = _complete_rows(features, target, clinical, persons)
    y, C = target[kept].to_numpy(dtype=float), clinical[kept].to_numpy(dtype=float)
    people = persons[kept].tolist()
    splits = repeated_splits(people, folds=folds, repeats=repeats, seed=seed)
    if np.ptp(y) == 0:
        raise StatisticsError(
            f"target {target.name}", "one value in all persons", "values that differ", "check it"
        )
    Y = np.column_stack(
        [
            y,
            shuffled_targets(y, people, permutations=permutations, seed=seed),
            targets_without_features(y, C, people, permutations=permutations, seed=seed),
        ]
    )
    base = cross_validate(np.empty((len(y), 0)), C, Y, splits)
    blocks = {CLINICAL: clinical[[]], **features} if C.shape[1] else dict(features)
    rows, predictions = [], []
    for block, table in blocks.items():
        X = table[kept].to_numpy(dtype=float)
        scores = base if block == CLINICAL else cross_validate(X, C, Y, splits)
        size = {"block": block, "n": len(set(people)), "n_features": X.shape[1] + C.shape[1]}
        rows.append(size | _summary(y, scores, base, permutations))
        predictions.append(_predictions(people, y, scores, block))
        notes += _imputed(block, table[kept], persons[kept])
    settings = {"permutations": permutations, "repeats": repeats, "folds": folds, "seed": seed}
    return PredictionResult(
        table=pd.DataFrame(rows).assign(question=question, **settings)[COLUMNS],
        predictions=pd.concat(predictions, ignore_index=True),
        verdicts={str(row["block"]): verdict(row) for row in rows},
        notes=(*notes, *HOW),
    )


def verdict(row: Mapping[str, Any]) -> str:
    """Say in one sentence what a row of the prediction table means.

    Parameters
    ----------
    row : mapping
        block, n, q2, p, gain and p_gain.

    Examples
    --------
    >>> verdict({"block": "clinical", "n": 12, "q2": -0.1, "p": 0.4})
    'n = 12, far below what prediction needs (several hundred): exploratory; clinical is no better
     than the mean (Q2 = -0.10).'
    """
    n, block, q2 = row["n"], row["block"], row["q2"]
    far = "far " if n < ENOUGH / 3 else ""
    size = f"{far}below what prediction needs (several hundred): exploratory; "
    start = f"n = {n}, {size if n < ENOUGH else ''}"
    if q2 <= 0:
        return f"{start}{block} is no better than the mean (Q2 = {q2:.2f})."
    if row["p"] >= ALPHA:
        return f"{start}{block} is not told apart from chance (Q2 = {q2:.2f}, p = {row['p']:.2g})."
    found = f"{start}{block} is better than the mean (Q2 = {q2:.2f}, p = {row['p']:.2g})"
    if block == CLINICAL or not np.isfinite(row["gain"]):
        return f"{found}."
    if row["gain"] <= 0:
        return f"{found}, but adds nothing to the clinical block."
    gain = f"Q2 {row['gain']:+.2f}, p = {row['p_gain']:.2g}"
    if row["p_gain"] >= ALPHA:
        return (
            f"{found}; what it adds to the clinical block is not told apart from chance ({gain})."
        )
    return f"{found} and adds to the clinical block ({gain})."


COLUMNS = [
    *("question", "block", "n", "n_features", "q2", "mae", "median_ae", "mae_mean", "r"),
    *("q2_low", "q2_high", "p", "gain", "gain_low", "gain_high", "p_gain"),
    *("permutations", "repeats", "folds", "seed"),
]

HOW = (
    "Q2 is 1 minus the squared error divided by that of the training-fold mean: 0 is as good as the "
    "mean, below 0 worse. It is not a squared correlation.",
    "The range of Q2 is that over repeated splits of the same persons. It is not a confidence "
    "interval: other persons would vary far more.",
    "p shuffles the outcome over persons and repeats everything, choice of penalty included, with "
    "the same splits. p of the gain shuffles only what the clinical block leaves unexplained. "
    "Neither is corrected for the number of blocks.",
)


def _complete_rows(
    features: Mapping[str, pd.DataFrame],
    target: pd.Series[float],
    clinical: pd.DataFrame,
    persons: pd.Series[str],
) -> tuple[pd.Series[bool], list[str]]:
    for name, table in {**features, CLINICAL: clinical}.items():
        if not table.index.equals(target.index) or target.index.has_duplicates:
            raise StatisticsError(
                f"features {name}",
                "rows unlike those of the target",
                "the same index",
                "align them",
            )
    notes = []
    imaged = pd.concat(features.values(), axis=1).notna().any(axis=1) if features else True
    checks = {
        "the outcome is": target.notna(),
        "a clinical value is": clinical.notna().all(axis=1),
        "all features are": pd.Series(imaged, target.index),
    }
    kept = pd.Series(True, target.index)
    for what, has in checks.items():
        lost = persons[kept & ~has].unique()
        if len(lost):
            notes.append(f"Left out because {what} missing: {', '.join(lost)}.")
        kept &= has
    return kept, notes


def _imputed(block: str, table: pd.DataFrame, persons: pd.Series[str]) -> list[str]:
    gaps = persons[table.isna().any(axis=1)].unique()
    if not len(gaps):
        return []
    return [
        f"Missing values of {block} were filled with the median of the training persons in: "
        f"{', '.join(gaps)}."
    ]


def _summary(
    y: FloatArray, scores: Scores, base: Scores, permutations: int
) -> dict[str, float | int | str]:
    q2 = scores.q2[:, 0]
    mean_q2 = scores.q2.mean(axis=0)
    gains = scores.q2 - base.q2
    mean_gain = gains.mean(axis=0)
    is_base = scores is base
    error = np.abs(scores.predicted - y)
    predicted = scores.predicted.mean(axis=0)
    constant = np.ptp(predicted) <= 1e-9 * np.abs(predicted).max()
    return {
        "q2": float(mean_q2[0]),
        "mae": float(error.mean()),
        "median_ae": float(np.median(error, axis=1).mean()),
        "mae_mean": float(np.abs(scores.predicted_mean - y).mean()),
        "r": np.nan if constant else float(np.corrcoef(predicted, y)[0, 1]),
        "q2_low": float(np.quantile(q2, 0.05)),
        "q2_high": float(np.quantile(q2, 0.95)),
        "p": permutation_p(mean_q2[0], mean_q2[1 : 1 + permutations]),
        "gain": np.nan if is_base else float(mean_gain[0]),
        "gain_low": np.nan if is_base else float(np.quantile(gains[:, 0], 0.05)),
        "gain_high": np.nan if is_base else float(np.quantile(gains[:, 0], 0.95)),
        "p_gain": np.nan if is_base else permutation_p(mean_gain[0], mean_gain[1 + permutations :]),
    }


def _predictions(people: list[str], y: FloatArray, scores: Scores, block: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": people,
            "observed": y,
            "predicted": scores.predicted.mean(axis=0),
            "block": block,
        }
    )
