"""Cross-validation in which no person is on both sides, and nothing is fitted outside a fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.prediction.ridge import ALPHAS, Fold, Ridge, fit_ridge
from petfmri.typing import FloatArray, IntArray


@dataclass(frozen=True)
class Split:
    """One fold: rows to learn from and to be tested on.

    Attributes
    ----------
    train, test : array of int
        Rows.
    inner : tuple of (training rows, test rows)
        Folds within `train`, as positions in it, that choose the penalty.
    """

    train: IntArray
    test: IntArray
    inner: tuple[Fold, ...]


@dataclass(frozen=True)
class Scores:
    """Errors on held-out persons.

    Attributes
    ----------
    q2 : array of shape (n_repeats, n_targets)
        ``1 - SS(error) / SS(error of the training mean)`` over all folds of one repeat; below 0
        where the mean would have done better.
    predicted : array of shape (n_repeats, n_rows)
        Of the first target.
    predicted_mean : array of shape (n_repeats, n_rows)
        What the training mean predicts of the first target.
    """

    q2: FloatArray
    predicted: FloatArray
    predicted_mean: FloatArray


def repeated_splits(
    groups: Sequence[str], *, folds: int = 5, repeats: int = 50, inner_folds: int = 5, seed: int = 1
) -> list[list[Split]]:
    """Divide persons into folds, again and again.

    Parameters
    ----------
    groups : sequence of str, length n_rows
        The person of each row.
    folds, repeats : int
        Folds of one repeat; repeats.
    inner_folds : int
        Folds within the training rows (fewer when they hold fewer persons).
    seed : int

    Returns
    -------
    list over repeats of lists over folds of Split

    Raises
    ------
    StatisticsError
        With fewer than two persons per fold.
    """
    n_persons = len(set(groups))
    if folds < 2 or n_persons < 2 * folds:
        raise StatisticsError(
            "cross-validation",
            f"{n_persons} persons for {folds} folds",
            "at least 2 folds and 2 persons in each",
            "prediction needs many more persons than that; with a few, look at correlations",
        )
    rng = np.random.default_rng(seed)
    person = np.unique(np.asarray(groups), return_inverse=True)[1]
    splits = []
    for _ in range(repeats):
        outer = _fold_rows(person, folds, rng)
        splits.append(
            [
                Split(train, test, _fold_rows(person[train], inner_folds, rng))
                for train, test in outer
            ]
        )
    return splits


def _fold_rows(person: IntArray, folds: int, rng: np.random.Generator) -> tuple[Fold, ...]:
    persons = rng.permutation(np.unique(person))
    rows = []
    for held_out in np.array_split(persons, min(folds, len(persons))):
        test = np.isin(person, held_out)
        rows.append((np.flatnonzero(~test), np.flatnonzero(test)))
    return tuple(rows)


def fit_split(
    X: FloatArray, C: FloatArray, Y: FloatArray, split: Split, *, alphas: FloatArray = ALPHAS
) -> Ridge:
    """Fit the model of one fold; the rows of `split.test` are never read.

    Parameters
    ----------
    X, C, Y : array of shape (n_rows, ...)
        Features, covariates and targets of all rows, as in `fit_ridge`.
    split : Split
    alphas : array of shape (n_alphas,)

    Returns
    -------
    Ridge
    """
    train = split.train
    return fit_ridge(X[train], C[train], Y[train], split.inner, alphas=alphas)


def cross_validate(
    X: FloatArray,
    C: FloatArray,
    Y: FloatArray,
    splits: Sequence[Sequence[Split]],
    *,
    alphas: FloatArray = ALPHAS,
) -> Scores:
    """Predict every row from models that never saw its person.

    Parameters
    ----------
    X : array of shape (n_rows, n_features)
    C : array of shape (n_rows, n_covariates)
    Y : array of shape (n_rows, n_targets)
        The observed target and, beside it, its permutations: all go through the same splits.
    splits : as `repeated_splits` returns them
    alphas : array of shape (n_alphas,)

    Returns
    -------
    Scores
    """
    q2 = np.empty((len(splits), Y.shape[1]))
    predicted = np.empty((len(splits), len(Y)))
    predicted_mean = np.empty((len(splits), len(Y)))
    for repeat, folds in enumerate(splits):
        error, error_of_mean = np.zeros(Y.shape[1]), np.zeros(Y.shape[1])
        for split in folds:
            model = fit_split(X, C, Y, split, alphas=alphas)
            guess = model.predict(X[split.test], C[split.test])
            mean = Y[split.train].mean(axis=0)
            error += ((Y[split.test] - guess) ** 2).sum(axis=0)
            error_of_mean += ((Y[split.test] - mean) ** 2).sum(axis=0)
            predicted[repeat, split.test] = guess[:, 0]
            predicted_mean[repeat, split.test] = mean[0]
        q2[repeat] = 1 - error / error_of_mean
    return Scores(q2, predicted, predicted_mean)
