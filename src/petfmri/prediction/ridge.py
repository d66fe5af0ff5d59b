"""Ridge regression for thousands of targets at once.

Scaling, imputation and the decomposition of the features do not depend on the target, so one
decomposition per fold serves the observed target and all its permutations; only the penalty is
chosen for each target anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petfmri.typing import FloatArray, IntArray

ALPHAS: FloatArray = np.logspace(-1, 5, 13)
"""From almost least squares to almost nothing but the covariates, for standardized features."""

Fold = tuple[IntArray, IntArray]
"""Training rows, test rows."""


@dataclass(frozen=True)
class Basis:
    """Everything that training rows teach about features, whatever the target.

    Attributes
    ----------
    median, mean, scale : array of shape (n_features,)
        Imputation and standardization.
    covariates_solve : array of shape (1 + n_covariates, n_train)
        Least squares on intercept and covariates.
    covariates_of_features : array of shape (1 + n_covariates, n_features)
        What the covariates explain of the features.
    left : array of shape (n_train, n_components)
    singular : array of shape (n_components,)
    right : array of shape (n_features, n_components)
        Singular value decomposition of the features without what the covariates explain.
    """

    median: FloatArray
    mean: FloatArray
    scale: FloatArray
    covariates_solve: FloatArray
    covariates_of_features: FloatArray
    left: FloatArray
    singular: FloatArray
    right: FloatArray

    @classmethod
    def fit(cls, X: FloatArray, C: FloatArray) -> Basis:
        """Learn from training rows only; the arguments are those of `fit_ridge`."""
        median = _medians(X)
        X = np.where(np.isnan(X), median, X)
        mean, scale = X.mean(axis=0), X.std(axis=0)
        scale[scale <= 1e-12 * np.abs(mean)] = np.inf  # a constant feature says nothing
        X = (X - mean) / scale
        Z = _with_intercept(C)
        solve = _least_squares(Z)
        of_features = solve @ X
        left, singular, right = _decompose(X - Z @ of_features)
        return cls(median, mean, scale, solve, of_features, left, singular, right)

    def components(self, X: FloatArray, C: FloatArray) -> FloatArray:
        """Rows in the coordinates of the basis, shape (n_rows, n_components)."""
        X = (np.where(np.isnan(X), self.median, X) - self.mean) / self.scale
        residual: FloatArray = X - _with_intercept(C) @ self.covariates_of_features
        return residual @ self.right


@dataclass(frozen=True)
class Ridge:
    """Fitted models of n_targets targets that share their features.

    Attributes
    ----------
    basis : Basis
    weights : array of shape (n_components, n_targets)
        In the coordinates of `basis`.
    covariate_weights : array of shape (1 + n_covariates, n_targets)
    alpha : array of shape (n_targets,)
        Penalty chosen for each target.
    """

    basis: Basis
    weights: FloatArray
    covariate_weights: FloatArray
    alpha: FloatArray

    def predict(self, X: FloatArray, C: FloatArray) -> FloatArray:
        """Predict the targets of new rows, shape (n_rows, n_targets)."""
        predicted: FloatArray = _with_intercept(C) @ self.covariate_weights
        return predicted + self.basis.components(X, C) @ self.weights


def fit_ridge(
    X: FloatArray,
    C: FloatArray,
    Y: FloatArray,
    inner: Sequence[Fold],
    *,
    alphas: FloatArray = ALPHAS,
) -> Ridge:
    """Fit targets on penalized features beside unpenalized covariates.

    The penalty of each target is the one with the smallest mean squared error over the `inner`
    folds, where imputation, standardization and covariates are fitted anew. As it grows, the
    model becomes the least-squares model of the covariates, so features are only asked what
    they add to them.

    Parameters
    ----------
    X : array of shape (n_train, n_features)
        NaN is replaced by the median of the training rows. May have no features.
    C : array of shape (n_train, n_covariates)
        Complete. May have no covariates: an intercept is always fitted.
    Y : array of shape (n_train, n_targets)
    inner : sequence of (training rows, test rows)
        Folds within these rows.
    alphas : array of shape (n_alphas,)
        Candidates, for features of unit variance.

    Returns
    -------
    Ridge
    """
    basis = Basis.fit(X, C)
    alpha = np.full(Y.shape[1], alphas[-1])
    if X.shape[1] and len(alphas) > 1:
        error = np.zeros((len(alphas), Y.shape[1]))
        longest = max(len(test) for _, test in inner)
        room = np.empty((len(alphas) * longest, Y.shape[1]))
        for train, test in inner:
            error += _path_error(X, C, Y, train, test, alphas, room)
        alpha = alphas[error.argmin(axis=0)]
    singular = basis.singular[:, None]
    return Ridge(
        basis=basis,
        weights=singular / (singular**2 + alpha) * (basis.left.T @ Y),
        covariate_weights=basis.covariates_solve @ Y,
        alpha=alpha,
    )


def _path_error(
    X: FloatArray,
    C: FloatArray,
    Y: FloatArray,
    train: IntArray,
    test: IntArray,
    alphas: FloatArray,
    room: FloatArray,
) -> FloatArray:
    """Mean squared test error of every alpha and target, shape (n_alphas, n_targets).

    `room` is memory to work in, shared by the folds because fresh memory costs more than the
    arithmetic: at least n_alphas * n_test rows of n_targets.
    """
    basis = Basis.fit(X[train], C[train])
    known = Y[train]
    beyond_covariates = Y[test] - _with_intercept(C[test]) @ (basis.covariates_solve @ known)
    shrink = basis.singular / (basis.singular**2 + alphas[:, None])
    path = basis.components(X[test], C[test]) * shrink[:, None, :]
    missed = room[: len(alphas) * len(test)]
    np.matmul(path.reshape(len(missed), -1), basis.left.T @ known, out=missed)
    missed = missed.reshape(len(alphas), len(test), -1)
    missed -= beyond_covariates
    errors: FloatArray = np.einsum("atk,atk->ak", missed, missed)
    errors /= len(test)
    return errors


def _decompose(X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    if X.shape[1] <= X.shape[0]:
        left, singular, right = np.linalg.svd(X, full_matrices=False)
        return left, singular, right.T
    squared, left = np.linalg.eigh(X @ X.T)
    kept = squared > 1e-13 * max(squared[-1], 1.0)
    left, singular = left[:, kept], np.sqrt(squared[kept])
    return left, singular, X.T @ (left / singular)


def _medians(X: FloatArray) -> FloatArray:
    """Medians of the known values, 0 for a feature without any."""
    known = (~np.isnan(X)).sum(axis=0)
    columns = np.arange(X.shape[1])
    ordered = np.sort(X, axis=0)  # NaN last
    middle = (ordered[(known - 1) // 2, columns] + ordered[known // 2, columns]) / 2
    return np.where(known > 0, middle, 0.0)


def _with_intercept(C: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(C)), C])


def _least_squares(Z: FloatArray) -> FloatArray:
    """Pseudo-inverse of a tall matrix with few columns, each brought to unit length first."""
    length = np.sqrt((Z**2).sum(axis=0))
    length[length == 0] = 1
    unit = Z / length
    return np.asarray(
        np.linalg.pinv(unit.T @ unit, rcond=1e-10, hermitian=True) @ unit.T / length[:, None]
    )
