from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.reliability import icc, spearman_brown

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


def test_example_of_shrout_and_fleiss():
    """MSR 11.24, MSC 32.49, MSE 1.02: ICC(2,1) is printed as .29; interval as of R's psych."""
    found = icc(SHROUT_FLEISS)
    assert found.icc == pytest.approx(0.29, abs=5e-3)
    assert (found.low, found.high) == pytest.approx((0.019, 0.761), abs=1e-3)
    assert (found.n, found.k) == (6, 4)


def test_by_hand():
    """Rows 1 2, 3 4, 5 6: MSR 8, MSC 1.5, MSE 0, so 8 / (8 + 2 · 1.5 / 3)."""
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert icc(values).icc == pytest.approx(8 / 9, abs=1e-12)
    perfect = icc(np.tile(values[:, :1], 3))
    assert (perfect.icc, perfect.low, perfect.high) == (1, 1, 1)


@pytest.mark.parametrize("truth", [0.2, 0.5, 0.8])
def test_recovers_a_known_reliability_and_covers_it(rng, truth):
    persons = np.sqrt(truth) * rng.normal(size=(600, 25, 1))
    studies = persons + np.sqrt(1 - truth) * rng.normal(size=(600, 25, 3))
    found = [icc(study) for study in studies]
    assert np.mean([one.icc for one in found]) == pytest.approx(truth, abs=0.02)
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.03)
    large = persons[:300].reshape(-1, 1) + np.sqrt(1 - truth) * rng.normal(size=(7500, 2))
    assert icc(large).icc == pytest.approx(truth, abs=0.02)


def test_a_shift_between_measurements_lowers_agreement(rng):
    values = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 2))
    assert icc(values + np.array([0, 2])).icc < 0.5 < 0.95 < icc(values).icc


def test_halves_foretell_the_whole(rng):
    person = rng.normal(size=(4000, 1))
    quarters = person + 2 * rng.normal(size=(4000, 4))
    halves = np.column_stack([quarters[:, :2].mean(axis=1), quarters[:, 2:].mean(axis=1)])
    assert spearman_brown(icc(halves).icc) == pytest.approx(0.5, abs=0.03)  # 1 / (1 + 4 / 4)
    assert spearman_brown(0.2, 4) == pytest.approx(0.5)


def test_refuses():
    with pytest.raises(StatisticsError, match="at least 3 persons"):
        icc(SHROUT_FLEISS[:2])
    with pytest.raises(StatisticsError, match="2 measurements"):
        icc(SHROUT_FLEISS[:, :1])
    with pytest.raises(StatisticsError, match="1 missing values"):
        icc(np.where(SHROUT_FLEISS == 10, np.nan, SHROUT_FLEISS))
    with pytest.raises(StatisticsError, match="one value"):
        icc(np.full((5, 2), 3.0))
    with pytest.raises(StatisticsError, match="factor 0"):
        spearman_brown(0.5, 0)
