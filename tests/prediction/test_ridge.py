from __future__ import annotations

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from petfmri.prediction.ridge import ALPHAS, Basis, Fold, fit_ridge


def folds(n: int, k: int, rng: np.random.Generator) -> list[Fold]:
    parts = np.array_split(rng.permutation(n), k)
    return [(np.setdiff1d(np.arange(n), part), np.sort(part)) for part in parts]


def none(n: int) -> np.ndarray:
    return np.empty((n, 0))


@pytest.mark.parametrize("n_features", [1, 6, 60])
@pytest.mark.parametrize("missing", [False, True])
def test_equals_a_grid_search_of_scikit_learn(
    n_features: int, missing: bool, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(34, n_features)) * rng.uniform(0.1, 50, n_features) + 7
    Y = X[:, :1] / X[:, :1].std() * [[0.0, 0.5, 2.0]] + rng.normal(size=(34, 3))
    if missing:
        X[rng.random(X.shape) < 0.1] = np.nan
    train, test = np.arange(24), np.arange(24, 34)
    inner = folds(24, 5, rng)
    alphas = ALPHAS[::3]
    model = fit_ridge(X[train], none(24), Y[train], inner, alphas=alphas)
    predicted = model.predict(X[test], none(10))
    pipeline = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge())
    for k in range(3):
        search = GridSearchCV(
            pipeline, {"ridge__alpha": alphas}, cv=inner, scoring="neg_mean_squared_error"
        ).fit(X[train], Y[train, k])
        assert model.alpha[k] == search.best_params_["ridge__alpha"]
        np.testing.assert_allclose(predicted[:, k], search.predict(X[test]), atol=1e-9)


def test_targets_choose_their_own_penalty(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 8))
    Y = np.column_stack([X[:, 0] * 5 + rng.normal(size=60), rng.normal(size=60)])
    alpha = fit_ridge(X, none(60), Y, folds(60, 5, rng)).alpha
    assert alpha[0] < 10 < alpha[1]


@pytest.mark.parametrize("n_features", [4, 50])
def test_covariates_are_not_penalized(n_features: int, rng: np.random.Generator) -> None:
    X, C = rng.normal(size=(25, n_features)), rng.normal(30, 5, (25, 2))
    X[:, 0] += C[:, 0]
    y = C @ [0.5, -0.2] + X[:, 1] + rng.normal(size=25)
    alpha = 3.0
    model = fit_ridge(X, C, y[:, None], [], alphas=np.array([alpha]))
    # the normal equations written out
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    design = np.column_stack([np.ones(25), C, standard])
    penalty = np.diag([0.0] * 3 + [alpha] * n_features)
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ y)
    new_X, new_C = rng.normal(size=(5, n_features)), rng.normal(30, 5, (5, 2))
    new = np.column_stack([np.ones(5), new_C, (new_X - X.mean(axis=0)) / X.std(axis=0)])
    np.testing.assert_allclose(model.predict(new_X, new_C)[:, 0], new @ weights, atol=1e-8)


def test_a_large_penalty_leaves_the_covariates(rng: np.random.Generator) -> None:
    X, C = rng.normal(size=(20, 5)), rng.normal(30, 5, (20, 1))
    y = C[:, 0] + X[:, 0] + rng.normal(size=20)
    model = fit_ridge(X, C, y[:, None], [], alphas=np.array([1e12]))
    ordinary = LinearRegression().fit(C, y)
    np.testing.assert_allclose(model.predict(X, C)[:, 0], ordinary.predict(C), atol=1e-8)


def test_a_line_by_hand() -> None:
    # slope of y = 2 x on x = -1, 0, 1 with alpha 3 and unit variance x: 2 * 3 / (3 + 3)
    x = np.array([[-1.0], [0.0], [1.0]])
    model = fit_ridge(x, none(3), 2 * x + 5, [], alphas=np.array([3.0]))
    np.testing.assert_allclose(model.predict(x, none(3))[:, 0], [4, 5, 6], atol=1e-12)


def test_constant_and_empty_features_say_nothing(rng: np.random.Generator) -> None:
    X, y = rng.normal(size=(15, 2)), rng.normal(size=(15, 1))
    useless = np.column_stack([X, np.full(15, 0.1), np.full(15, np.nan)])
    alphas = np.array([2.0])
    plain = fit_ridge(X, none(15), y, [], alphas=alphas).predict(X, none(15))
    with_useless = fit_ridge(useless, none(15), y, [], alphas=alphas)
    useless[:, 2:] = 99.0  # whatever new persons have there
    np.testing.assert_allclose(with_useless.predict(useless, none(15)), plain, atol=1e-12)


def test_constant_covariates_do_no_harm(rng: np.random.Generator) -> None:
    y = rng.normal(size=(12, 1))
    for value in (0.0, 30.0):
        model = fit_ridge(none(12), np.full((12, 1), value), y, [])
        np.testing.assert_allclose(
            model.predict(none(12), np.full((12, 1), value)), np.full((12, 1), y.mean())
        )


def test_medians_ignore_what_is_missing(rng: np.random.Generator) -> None:
    X = rng.normal(size=(11, 5))
    X[rng.random(X.shape) < 0.3] = np.nan
    np.testing.assert_allclose(Basis.fit(X, none(11)).median, np.nanmedian(X, axis=0))
