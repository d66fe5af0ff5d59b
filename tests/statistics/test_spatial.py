from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import StatisticsError
from petfmri.statistics.spatial import distances, spatial_coupling, variogram_surrogates


@pytest.fixture
def places(rng):
    return distances(rng.uniform(-60, 60, (80, 3)))


def smooth(distance, rng, number, scale=30):
    mixing = np.linalg.cholesky(np.exp(-distance / scale) + 1e-6 * np.eye(len(distance)))
    return mixing @ rng.normal(size=(len(distance), number))


def test_surrogates_hold_the_values_and_are_as_smooth(places, rng):
    values = smooth(places, rng, 1)[:, 0]
    drawn = variogram_surrogates(values, places, number=60)
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.tile(np.sort(values)[:, None], 60))
    near = (places < np.quantile(places, 0.05)) & (places > 0)

    def roughness(each):
        return ((each[:, None] - each[None]) ** 2)[near].mean()

    found = np.mean([roughness(each) for each in drawn.T])
    shuffled = np.mean([roughness(rng.permutation(values)) for _ in range(60)])
    assert abs(found - roughness(values)) < 0.4 * abs(shuffled - roughness(values))


def test_equal_maps_have_the_smallest_p_and_by_hand_r(places, rng):
    values = smooth(places, rng, 1)[:, 0]
    found = spatial_coupling(values, 3 - 2 * values, places, surrogates=100)
    assert found.r == pytest.approx(-1)
    assert found.p == found.p_smallest == 0.01


def test_unrelated_smooth_maps_rarely_pass_where_plain_permutation_does(places, rng):
    ours = plain = 0
    for k in range(60):
        x, y = smooth(places, rng, 2, scale=60).T
        found = spatial_coupling(x, y, places, surrogates=60, seed=k)
        ours += found.p <= 0.05
        plain += abs(found.r) > 0.22  # the two-sided .05 of 80 independent regions
    assert ours / 60 <= 0.1 < 0.2 < plain / 60


def test_a_planted_resemblance_is_found(places, rng):
    x, noise = smooth(places, rng, 2, scale=15).T
    assert spatial_coupling(x, x + 0.5 * noise, places, surrogates=200).p < 0.05


def test_what_cannot_be_judged_is_refused(places, rng):
    x = smooth(places, rng, 1)[:, 0]
    with pytest.raises(StatisticsError, match="20 regions"):
        spatial_coupling(x[:20], x[:20], places[:20, :20])
    with pytest.raises(StatisticsError, match="missing"):
        spatial_coupling(np.where(x > 1, np.nan, x), x, places)
    with pytest.raises(StatisticsError, match="one value everywhere"):
        spatial_coupling(np.ones(80), x, places)
