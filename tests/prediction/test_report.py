from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.prediction.report import CLINICAL, PredictionResult, predict, verdict

quick = partial(predict, repeats=2, permutations=49)


def study(
    n: int, rng: np.random.Generator, *, imaging: float = 0.0, baseline: float = 0.7
) -> tuple[dict[str, pd.DataFrame], pd.Series, pd.DataFrame]:
    people = pd.Index([f"sub-{i + 1:02d}" for i in range(n)])
    before = pd.DataFrame({"madrs before": rng.normal(30, 5, n)}, people)
    sv2a = pd.DataFrame(rng.normal(size=(n, 3)), people, columns=["PCC", "ACC", "grey"])
    after = baseline * before["madrs before"] + imaging * sv2a["PCC"] + rng.normal(0, 3, n)
    return {"sv2a": sv2a}, after.rename("madrs"), before


def row(result: PredictionResult, block: str) -> pd.Series:
    return result.table.set_index("block").loc[block]


def test_planted_signal_is_found_beyond_the_baseline(rng: np.random.Generator) -> None:
    features, target, clinical = study(40, rng, imaging=4.0)
    result = predict(features, target, clinical=clinical, repeats=4, permutations=99)
    base, sv2a = row(result, CLINICAL), row(result, "sv2a")
    assert sv2a["q2"] > base["q2"] + 0.2
    assert sv2a["gain"] == pytest.approx(sv2a["q2"] - base["q2"])
    assert sv2a["p"] == sv2a["p_gain"] == 0.01
    assert sv2a["q2_low"] <= sv2a["q2"] <= sv2a["q2_high"]
    assert sv2a["mae"] < base["mae"] < base["mae_mean"]
    assert sv2a["r"] > 0.7
    assert (sv2a["n"], sv2a["n_features"], base["n_features"]) == (40, 4, 1)
    assert "and adds to the clinical block" in result.verdicts["sv2a"]


def test_numbers_are_those_of_the_predictions(rng: np.random.Generator) -> None:
    features, target, clinical = study(20, rng, imaging=3.0)
    result = predict(features, target, clinical=clinical, repeats=1, permutations=9)
    table = result.predictions.query("block == 'sv2a'").set_index("participant_id")
    error = (table["predicted"] - table["observed"]).abs()
    sv2a = row(result, "sv2a")
    assert sv2a["mae"] == pytest.approx(error.mean())
    assert sv2a["median_ae"] == pytest.approx(error.median())
    assert sv2a["r"] == pytest.approx(table["predicted"].corr(table["observed"]))
    pd.testing.assert_series_equal(table["observed"], target, check_names=False)


def test_baseline_alone_is_not_credited_to_imaging(rng: np.random.Generator) -> None:
    features, target, clinical = study(60, rng, imaging=0.0, baseline=1.5)
    result = predict(features, target, clinical=clinical, repeats=3, permutations=99)
    assert row(result, "sv2a")["p"] == 0.01  # the whole model does predict
    assert row(result, "sv2a")["p_gain"] > 0.05
    assert "and adds to" not in result.verdicts["sv2a"]


def test_null_studies(rng: np.random.Generator) -> None:
    p, p_gain, q2, gain = [], [], [], []
    for _ in range(80):
        features, target, clinical = study(20, rng, baseline=0.0)
        result = quick(features, target, clinical=clinical, repeats=1, permutations=39)
        sv2a = row(result, "sv2a")
        p.append(sv2a["p"])
        p_gain.append(sv2a["p_gain"])
        q2.append(sv2a["q2"])
        gain.append(sv2a["gain"])
    assert np.mean(q2) < 0
    assert np.mean(gain) < 0
    for values in (p, p_gain):
        assert stats.kstest(np.array(values) - 0.5 / 40, "uniform").pvalue > 0.01


def test_same_seed_same_table(rng: np.random.Generator) -> None:
    features, target, clinical = study(14, rng)
    first = quick(features, target, clinical=clinical)
    second = quick(features, target, clinical=clinical)
    pd.testing.assert_frame_equal(first.table, second.table)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    other = quick(features, target, clinical=clinical, seed=2)
    assert (other.table["q2"] != first.table["q2"]).all()


def test_who_is_left_out_or_filled_in_is_named(rng: np.random.Generator) -> None:
    features, target, clinical = study(20, rng)
    target["sub-02"] = np.nan
    clinical.loc["sub-04"] = np.nan
    features["sv2a"].loc["sub-06"] = np.nan
    features["sv2a"].loc["sub-08", "ACC"] = np.nan
    result = quick(features, target, clinical=clinical)
    assert set(result.table["n"]) == {17}
    assert np.isfinite(result.predictions["predicted"]).all()
    for said in (
        "Left out because the outcome is missing: sub-02.",
        "Left out because a clinical value is missing: sub-04.",
        "Left out because all features are missing: sub-06.",
        "Missing values of sv2a were filled with the median of the training persons in: sub-08.",
    ):
        assert said in result.notes


def test_rows_of_one_person_stay_together(rng: np.random.Generator) -> None:
    # two near copies of every person: if they were split, the copies would give the target away
    n = 16
    features = pd.DataFrame(np.repeat(rng.normal(size=(n, 40)), 2, axis=0))
    features += rng.normal(0, 1e-3, features.shape)
    target = pd.Series(np.repeat(rng.normal(size=n), 2))
    people = np.repeat([f"sub-{i}" for i in range(n)], 2)
    kept = quick({"fmri": features}, target, list(people))
    assert row(kept, "fmri")["q2"] < 0.1
    assert row(kept, "fmri")["n"] == n
    leaked = quick({"fmri": features}, target, [f"row-{i}" for i in range(2 * n)])
    assert row(leaked, "fmri")["q2"] > 0.5


def test_without_covariates_there_is_no_clinical_block(rng: np.random.Generator) -> None:
    features, target, _ = study(20, rng)
    result = quick(features, target)
    assert result.table["block"].tolist() == ["sv2a"]
    assert row(result, "sv2a")["gain"] == pytest.approx(row(result, "sv2a")["q2"])


def test_refuses_what_cannot_be_validated(rng: np.random.Generator) -> None:
    features, target, clinical = study(9, rng)
    with pytest.raises(StatisticsError, match="9 persons for 5 folds"):
        quick(features, target, clinical=clinical)
    features, target, clinical = study(12, rng)
    with pytest.raises(StatisticsError, match="one value in all persons"):
        quick(features, target * 0 + 3, clinical=clinical)
    with pytest.raises(StatisticsError, match="the same index"):
        quick({"sv2a": features["sv2a"].iloc[::-1]}, target, clinical=clinical)


def test_verdicts() -> None:
    base = {"block": "sv2a", "n": 12, "q2": 0.2, "p": 0.01, "gain": 0.1, "p_gain": 0.01}
    assert verdict(base | {"q2": -0.3}) == (
        "n = 12, far below what prediction needs (several hundred): exploratory; sv2a is no better "
        "than the mean (Q2 = -0.30)."
    )
    assert "not told apart from chance (Q2 = 0.20, p = 0.3)" in verdict(base | {"p": 0.3})
    assert verdict(base | {"n": 150}).startswith("n = 150, below what prediction needs")
    assert verdict(base | {"n": 400}).startswith("n = 400, sv2a is better than the mean")
    assert "adds nothing to the clinical block" in verdict(base | {"gain": -0.01})
    assert "what it adds to the clinical block is not told" in verdict(base | {"p_gain": 0.2})
