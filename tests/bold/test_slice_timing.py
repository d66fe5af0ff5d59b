from __future__ import annotations

import weakref

import numpy as np
import pytest

from petfmri.bold.slice_timing import REACH, interpolate_slices, slice_shifts
from petfmri.errors import DatasetError

TR_S = 2.0
INTERLEAVED = [0.0, 1.0, 0.25, 1.25, 0.5, 1.5, 0.75, 1.75]  # middle 0.875 s


def test_shifts_by_hand():
    np.testing.assert_allclose(slice_shifts([0.0, 0.5, 1.0], TR_S), [0.25, 0, -0.25])
    np.testing.assert_allclose(slice_shifts([0.0, 0.5, 1.0], TR_S, falling=True), [-0.25, 0, 0.25])
    np.testing.assert_allclose(slice_shifts([0.0, 0.0], TR_S), [0, 0])


def test_a_slice_in_the_middle_is_left_as_it_is(rng):
    series = list(rng.normal(size=(20, 2, 3, 3)).astype(np.float32))
    found = list(interpolate_slices(series, 2, np.array([0.3, 0.0, -0.2])))
    np.testing.assert_array_equal(np.array(found)[..., 1], np.array(series)[..., 1])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("falling", [False, True])
def test_sinusoids_sampled_at_slice_times_come_back(axis, falling):
    """Up to 0.15 Hz, of 0.25 Hz that a TR of 2 s can hold."""
    n, middle = 80, 0.875
    times = np.array(INTERLEAVED[::-1] if falling else INTERLEAVED)
    start = TR_S * np.arange(n)

    def signal(t):
        return sum(np.sin(2 * np.pi * f * t + f) for f in (0.01, 0.04, 0.1, 0.15))

    sampled = np.moveaxis(signal(start[:, None, None, None] + times), 3, axis + 1)
    shifts = slice_shifts(INTERLEAVED, TR_S, falling=falling)
    found = np.array(list(interpolate_slices(sampled.astype(np.float32), axis, shifts)))
    assert found.shape == sampled.shape
    errors = found - signal(start + middle)[:, None, None, None]
    before = sampled - signal(start + middle)[:, None, None, None]
    assert np.abs(errors[10:-10]).max() < 0.02 < 0.5 < np.abs(before[10:-10]).max()
    assert np.std(errors) < 0.25 * np.std(before)  # the ends, which are mirrored, included


def test_dummies_pass_and_stay_out_of_the_others(rng):
    steady = [np.full((1, 1, 2), 100, np.float32)] * 12
    dummies = [np.full((1, 1, 2), 1e6, np.float32)] * 3
    shifts = np.array([0.25, -0.25])
    found = list(interpolate_slices([*dummies, *steady], 2, shifts, skip=3))
    assert [volume.max() for volume in found[:3]] == [1e6] * 3
    np.testing.assert_allclose(found[3:], 100, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, REACH, 40])
def test_every_volume_once_however_short_the_series(n):
    series = [np.full((1, 2, 2), 5, np.float32)] * n
    found = list(interpolate_slices(series, 1, np.array([0.2, -0.2])))
    assert len(found) == n
    np.testing.assert_allclose(found, 5, rtol=1e-6)


class Hashable(np.ndarray):
    """An array that a set of weak references can hold."""

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def test_few_volumes_are_in_memory():
    alive: weakref.WeakSet[np.ndarray] = weakref.WeakSet()
    most = 0

    def volumes():
        nonlocal most
        for _ in range(60):
            volume = np.zeros((1, 1, 2), np.float32).view(Hashable)
            alive.add(volume)
            most = max(most, len(alive))
            yield volume
            del volume

    for _ in interpolate_slices(volumes(), 2, np.zeros(2)):
        pass
    assert most <= 2 * REACH + 2


@pytest.mark.parametrize("times", [[0.0, 2.5], [-0.1, 0.3], [0.0, float("nan")], []])
def test_times_outside_the_repetition(times):
    with pytest.raises(DatasetError, match="expected seconds from 0 to 2"):
        slice_shifts(times, TR_S)


def test_times_of_another_image():
    with pytest.raises(DatasetError, match="found 3 slices and 2 slice times"):
        next(interpolate_slices([np.zeros((1, 1, 3))], 2, np.zeros(2)))
