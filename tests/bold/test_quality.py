"""The carpet and the signal-to-noise ratio of a run."""

from __future__ import annotations

import numpy as np
import pytest

from petfmri.bold.quality import QualityCollector
from petfmri.errors import DatasetError


def collected(series, masks, **options):
    collector = QualityCollector(masks, **options)
    for volume in series:
        collector.add(volume)
    return collector.finish()


def test_a_row_is_the_mean_of_neighbours_standardised():
    series = np.array([[1.0, 3, 5, 7], [2, 2, 6, 8], [1, 3, 5, 9], [2, 2, 6, 8]])
    masks = {
        "GM": np.array([True, True, False, False]),
        "CSF": np.array([False, False, True, True]),
    }
    found = collected(series, masks, rows={"GM": 2, "CSF": 1})
    assert found.tissues == ("GM", "GM", "CSF")
    assert list(found.table()) == ["GM000", "GM001", "CSF000"]
    row = series[:, 2:].mean(axis=1)
    time = np.arange(4)
    left = row - np.polyval(np.polyfit(time, row, 1), time)
    np.testing.assert_allclose(found.carpet[:, 2], left / left.std())


def test_trends_and_dummies_leave_the_signal_to_noise_ratio_alone():
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 2, (60, 400))
    trend = np.arange(60)[:, None] * 0.5
    everywhere = {"GM": np.ones(400, bool)}
    plain = collected(100 + noise, everywhere)
    drifting = collected(100 - trend.mean() + noise + trend, everywhere)
    led = collected(np.vstack([np.full((3, 400), 900.0), 100 + noise]), everywhere, dummy=3)
    assert drifting.tsnr == pytest.approx(plain.tsnr)
    assert led.tsnr == pytest.approx(plain.tsnr)
    np.testing.assert_allclose(led.carpet[3:], plain.carpet)


def test_a_planted_ratio_comes_back():
    rng = np.random.default_rng(5)
    level = rng.uniform(300, 900, 3000)
    series = level * (1 + rng.normal(0, 1 / 60, (200, 3000)))
    assert collected(series, {"GM": np.ones(3000, bool)}).tsnr == pytest.approx(60, rel=0.01)


def test_a_constant_row_is_zero_and_has_no_ratio():
    found = collected(np.full((5, 2), 7.0), {"GM": np.ones(2, bool)})
    assert not found.carpet.any()
    assert np.isnan(found.tsnr)


def test_a_short_run_is_an_error():
    with pytest.raises(DatasetError, match="3 volumes"):
        collected(np.ones((5, 2)), {"GM": np.ones(2, bool)}, dummy=2)
