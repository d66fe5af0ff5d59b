"""Exact TFCE against a staircase of thresholds, and its family-wise test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.cluster_tree import sum_compiled
from petfmri.statistics.neighbours import Neighbours, parcel_neighbours, voxel_neighbours
from petfmri.statistics.tfce import tfce, tfce_test

PATHS = [
    False,
    pytest.param(
        True, marks=pytest.mark.skipif(sum_compiled() is None, reason="numba is not installed")
    ),
]


def staircase(values, mask, rank, *, steps, e=0.5, h=2.0):
    """Sum over fine steps, with clusters labelled anew at each."""
    volume, found = np.zeros(mask.shape), np.zeros(mask.shape)
    volume[mask] = values
    structure = ndimage.generate_binary_structure(3, rank)
    dh = np.abs(values).max() / steps
    for sign in (1, -1):
        for level in dh * (np.arange(steps) + 0.5):
            labels, _ = ndimage.label(sign * volume > level, structure)
            extent = np.bincount(labels.ravel()).astype(float)
            extent[0] = 0
            found += sign * extent[labels] ** e * level**h * dh
    return found[mask]


@pytest.mark.parametrize("compiled", PATHS)
def test_a_ridge_by_hand(compiled):
    """Heights 3 1 2 and, apart, -2: e.g. the middle is in a cluster of three up to 1."""
    line = Neighbours.of(4, np.array([[0, 1], [1, 2], [2, 3]]))
    low = np.sqrt(3) * 1 / 3
    expected = [low + (27 - 1) / 3, low, low + (8 - 1) / 3, -8 / 3]
    found = tfce(np.array([3.0, 1.0, 2.0, -2.0]), line, compiled=compiled)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("compiled", PATHS)
@pytest.mark.parametrize(("connectivity", "rank"), [(6, 1), (18, 2), (26, 3)])
def test_equals_the_limit_of_fine_steps(compiled, connectivity, rank):
    rng = np.random.default_rng(connectivity)
    mask = rng.random((9, 10, 11)) < 0.8
    values = ndimage.gaussian_filter(rng.normal(size=mask.shape), 0.8)[mask]
    values *= 2 / values.std()
    found = tfce(values, voxel_neighbours(mask, connectivity), compiled=compiled)
    limit = staircase(values, mask, rank, steps=1000)
    assert np.corrcoef(found, limit)[0, 1] > 0.99999
    np.testing.assert_allclose(found, limit, atol=2e-3 * np.abs(limit).max())


@pytest.mark.skipif(sum_compiled() is None, reason="numba is not installed")
@pytest.mark.parametrize("digits", [1, 12])
def test_same_with_and_without_numba(digits):
    rng = np.random.default_rng(digits)
    mask = rng.random((20, 20, 20)) < 0.7
    values, around = rng.normal(size=mask.sum()).round(digits), voxel_neighbours(mask)
    ours, compiled = (
        tfce(values, around, extent_power=1, height_power=1.5, compiled=how)
        for how in (False, True)
    )
    np.testing.assert_allclose(ours, compiled, rtol=1e-9, atol=1e-9 * np.abs(ours).max())


def test_elements_without_neighbours_and_zeros():
    alone = Neighbours.of(3, np.empty((0, 2), dtype=int))
    np.testing.assert_allclose(tfce(np.array([3.0, 0.0, -3.0]), alone), [9, 0, -9])
    with pytest.raises(StatisticsError, match="2 finite values"):
        tfce(np.array([3.0, np.nan, -3.0]), alone)


def test_order_of_axes_and_sign_do_not_matter():
    rng = np.random.default_rng(2)
    mask = rng.random((6, 7, 8)) < 0.7
    volume = np.where(mask, rng.normal(size=mask.shape), 0)
    turned = volume[::-1].transpose(2, 0, 1)
    found = np.zeros(mask.shape)
    found[mask] = tfce(volume[mask], voxel_neighbours(mask))
    other = tfce(-turned[turned != 0], voxel_neighbours(turned != 0))
    np.testing.assert_allclose(found[::-1].transpose(2, 0, 1)[turned != 0], -other, rtol=1e-9)


def test_parcels_touch_by_faces():
    labels = np.zeros((3, 3, 2), dtype=int)
    labels[0], labels[1, 0], labels[2, 1] = 4, 9, 6
    around = parcel_neighbours(labels, [9, 6, 4])
    touching = [around.others[a:b].tolist() for a, b in zip(around.starts, around.starts[1:])]
    assert touching == [[0, 2], [1], [0, 2]]  # 9 and 6 share an edge only


@pytest.mark.parametrize("draw", [0, 1, 2])
def test_p_equals_full_enumeration(draw):
    rng = np.random.default_rng(draw)
    mask = np.ones((4, 4, 3), dtype=bool)
    around = voxel_neighbours(mask)
    change = rng.normal(0.3, 1, (6, mask.sum()))
    found = tfce_test(change, np.ones(6), around, arrangements=sign_patterns(6))
    largest, observed = [], None
    for bits in range(2**6):
        signs = 1 - 2 * (bits >> np.arange(6) & 1)
        moved = change * signs[:, None]
        enhanced = tfce(moved.mean(0) / moved.std(0, ddof=1) * np.sqrt(6), around)
        observed = enhanced if bits == 0 else observed
        largest.append(np.abs(enhanced).max())
    reached = [(np.array(largest) >= size * (1 - 1e-9)).mean() for size in np.abs(observed)]
    np.testing.assert_allclose(found.tfce, observed, rtol=1e-9)
    np.testing.assert_allclose(found.p_fwe, reached, atol=1e-12)
    assert found.smallest == 2 / 64


def test_finds_a_planted_blob():
    """A weak change in 5 x 5 x 5 of 12 x 12 x 12 voxels that single voxels do not show."""
    rng = np.random.default_rng(4)
    shape = (12, 12, 12)
    planted = np.zeros(shape, dtype=bool)
    planted[3:8, 3:8, 3:8] = True
    noise = ndimage.gaussian_filter(rng.normal(size=(14, *shape)), (0, 1, 1, 1))
    change = (noise / noise.std() + 1.0 * planted).reshape(14, -1)
    few = sign_patterns(14).some(300)
    found = tfce_test(change, np.ones(14), voxel_neighbours(np.ones(shape, dtype=bool)), arrangements=few)  # fmt: skip
    seen = found.p_fwe <= 0.05
    assert seen[planted.ravel()].mean() > 0.8
    assert seen[~ndimage.binary_dilation(planted, iterations=3).ravel()].mean() < 0.01
    assert found.smallest == 1 / 300
