from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from petfmri.errors import StatisticsError
from petfmri.prediction.ridge import ALPHAS
from petfmri.prediction.ridge import Ridge as BatchedRidge
from petfmri.prediction.validation import cross_validate, fit_split, repeated_splits

PEOPLE = [f"sub-{i:02d}" for i in range(20)]


def arrays(model: BatchedRidge) -> list[bytes]:
    fitted = {**dataclasses.asdict(model), **dataclasses.asdict(model.basis)}
    return [value.tobytes() for value in fitted.values() if isinstance(value, np.ndarray)]


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    X, C = rng.normal(size=(20, 6)), rng.normal(30, 4, (20, 1))
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, C, C + rng.normal(size=(20, 3))


def test_persons_are_never_split() -> None:
    rows = [person for person in PEOPLE for _ in range(1 + int(person[-1]) % 3)]
    people = np.array(rows)
    repeats = repeated_splits(rows, folds=5, repeats=4)
    assert len(repeats) == 4
    for folds in repeats:
        assert sorted(np.concatenate([split.test for split in folds])) == list(range(len(rows)))
        for split in folds:
            assert not set(people[split.train]) & set(people[split.test])
            assert len(split.train) + len(split.test) == len(rows)
            inside = people[split.train]
            for train, test in split.inner:
                assert not set(inside[train]) & set(inside[test])
                assert len(train) + len(test) == len(inside)


def test_splits_come_from_the_seed() -> None:
    def tests_of(seed: int) -> list[list[int]]:
        repeats = repeated_splits(PEOPLE, repeats=2, seed=seed)
        return [split.test.tolist() for folds in repeats for split in folds]

    assert tests_of(3) == tests_of(3) != tests_of(4)
    first, second = tests_of(3)[:5], tests_of(3)[5:]
    assert first != second


def test_refuses_folds_of_less_than_two_persons() -> None:
    with pytest.raises(StatisticsError, match="9 persons for 5 folds"):
        repeated_splits(PEOPLE[:9], folds=5)
    with pytest.raises(StatisticsError, match="3 persons for 2 folds"):
        repeated_splits(PEOPLE[:3] * 4, folds=2)  # twelve rows, three persons
    with pytest.raises(StatisticsError):
        repeated_splits(PEOPLE, folds=1)


def test_held_out_rows_cannot_change_the_model(
    data: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    X, C, Y = data
    for split in repeated_splits(PEOPLE, repeats=2)[1]:
        before = arrays(fit_split(X, C, Y, split))
        altered = [values.copy() for values in (X, C, Y)]
        for values in altered:
            values[split.test] = rng.normal(1e6, 1e6, values[split.test].shape)
        altered[0][split.test[0]] = np.nan
        altered[2][split.test[0]] = np.inf
        assert arrays(fit_split(*altered, split)) == before
        altered[0][split.train[0], 0] += 1  # what is learned from does change it
        assert arrays(fit_split(*altered, split)) != before


def test_nested_validation_equals_scikit_learn(rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 12))
    y = X[:, 0] + rng.normal(size=40)
    people = [f"sub-{i}" for i in range(40)]
    splits = repeated_splits(people, folds=4, repeats=1)
    alphas = ALPHAS[::3]
    scores = cross_validate(X, np.empty((40, 0)), y[:, None], splits, alphas=alphas)
    predicted, mean = np.empty(40), np.empty(40)
    for split in splits[0]:
        search = GridSearchCV(
            make_pipeline(StandardScaler(), Ridge()),
            {"ridge__alpha": alphas},
            cv=split.inner,
            scoring="neg_mean_squared_error",
        ).fit(X[split.train], y[split.train])
        predicted[split.test] = search.predict(X[split.test])
        mean[split.test] = y[split.train].mean()
    np.testing.assert_allclose(scores.predicted[0], predicted, atol=1e-9)
    q2 = 1 - ((y - predicted) ** 2).sum() / ((y - mean) ** 2).sum()
    assert scores.q2[0, 0] == pytest.approx(q2, abs=1e-9)


def test_each_column_goes_its_own_way(data: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    X, C, Y = data
    splits = repeated_splits(PEOPLE, repeats=2)
    together = cross_validate(X, C, Y, splits).q2
    alone = [cross_validate(X, C, Y[:, [k]], splits).q2[:, 0] for k in range(3)]
    np.testing.assert_allclose(together.T, alone, atol=1e-10)


def test_mean_scores_zero_and_a_line_scores_one(rng: np.random.Generator) -> None:
    C = rng.normal(size=(20, 1))
    nothing = np.empty((20, 0))
    splits = repeated_splits(PEOPLE, repeats=3)
    mean = cross_validate(nothing, nothing, rng.normal(size=(20, 1)), splits)
    np.testing.assert_allclose(mean.q2, 0, atol=1e-12)
    np.testing.assert_allclose(mean.predicted, mean.predicted_mean)
    np.testing.assert_allclose(cross_validate(nothing, C, 3 * C + 1, splits).q2, 1)


@pytest.mark.slow
def test_planted_signal_has_its_expected_q2(rng: np.random.Generator) -> None:
    people = [f"sub-{i:03d}" for i in range(200)]
    weights = np.full(10, np.sqrt(0.3 / 0.7 / 10))
    q2 = []
    for study in range(50):
        X = rng.normal(size=(200, 10))
        y = X @ weights + rng.normal(size=200)
        splits = repeated_splits(people, repeats=1, seed=study)
        q2.append(cross_validate(X, np.empty((200, 0)), y[:, None], splits).q2[0, 0])
    assert np.mean(q2) == pytest.approx(0.24, abs=0.03)
