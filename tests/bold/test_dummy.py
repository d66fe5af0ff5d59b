from __future__ import annotations

import numpy as np
import pytest

from petfmri.bold.dummy import count_dummy_volumes
from petfmri.errors import DenoisingError


def steady_state_signal(rng, n_dummy, n_frames=120):
    """T1 relaxation on top of noise: the first volumes are brighter."""
    excess = np.zeros(n_frames)
    excess[:n_dummy] = 300.0 * np.exp(-np.arange(n_dummy))
    return 1000 + excess + rng.normal(scale=2.0, size=n_frames)


@pytest.mark.parametrize("n_dummy", [0, 1, 3, 4])
def test_detects_the_planted_volumes(rng, n_dummy):
    assert count_dummy_volumes(steady_state_signal(rng, n_dummy)) == n_dummy


def test_agrees_with_nipype(rng):
    is_outlier = pytest.importorskip("nipype.algorithms.confounds").is_outlier
    for _ in range(50):
        signal = steady_state_signal(rng, int(rng.integers(0, 6)))
        assert count_dummy_volumes(signal) == is_outlier(signal[:50])


def test_a_later_spike_or_a_drift_is_no_dummy(rng):
    signal = steady_state_signal(rng, 0) + np.linspace(0, 100, 120)
    signal[5] += 500
    assert count_dummy_volumes(signal) == 0


def test_the_setting_rules_then_the_declared_count(rng):
    signal = steady_state_signal(rng, 3)
    assert count_dummy_volumes(signal, setting=0) == 0
    assert count_dummy_volumes(signal, setting=5, declared=2) == 5
    assert count_dummy_volumes(signal, declared=2) == 2


def test_a_constant_signal_has_no_dummies():
    assert count_dummy_volumes(np.full(60, 7.0)) == 0


@pytest.mark.parametrize("setting", [-1, 120])
def test_refuses_an_impossible_count(rng, setting):
    with pytest.raises(DenoisingError, match="0 to 119"):
        count_dummy_volumes(steady_state_signal(rng, 0), setting=setting)


def test_refuses_a_damaged_signal():
    with pytest.raises(DenoisingError, match="1 of 3 values not finite"):
        count_dummy_volumes(np.array([1.0, np.nan, 2.0]))
