from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from petfmri.errors import DatasetError
from petfmri.networks.ngsc import ngsc


def marchenko_pastur_ngsc(n_frames, n_parcels):
    """Entropy of the Marchenko–Pastur law, the spectrum of white noise, over ln m."""
    m = min(n_frames, n_parcels)
    ratio = m / max(n_frames, n_parcels)
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2

    def entropy(x):
        density = np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * x)
        return density * x * np.log(x)

    return (np.log(m) - quad(entropy, low, high)[0]) / np.log(m)


@pytest.mark.parametrize(
    ("n_frames", "n_parcels", "printed"),
    [(217, 100, 0.9500), (510, 100, 0.9787), (510, 400, 0.9345)],
)
def test_white_noise_follows_marchenko_pastur(rng, n_frames, n_parcels, printed):
    expected = marchenko_pastur_ngsc(n_frames, n_parcels)
    assert expected == pytest.approx(printed, abs=1e-4)
    values = [ngsc(rng.normal(size=(n_frames, n_parcels))) for _ in range(50)]
    assert np.mean(values) == pytest.approx(expected, abs=1.5e-3)


def test_more_parcels_than_frames(rng):
    values = [ngsc(rng.normal(size=(217, 400))) for _ in range(20)]
    assert np.mean(values) == pytest.approx(marchenko_pastur_ngsc(217, 400), abs=1.5e-3)


def test_both_shapes_of_the_gram_matrix_agree(rng):
    series = rng.normal(size=(60, 59))
    share = np.linalg.svd(series - series.mean(0), compute_uv=False)
    z = (series - series.mean(0)) / series.std(0)
    share = np.linalg.svd(z, compute_uv=False) ** 2
    share /= share.sum()
    expected = -np.sum(share * np.log(share)) / np.log(59)
    assert ngsc(series) == pytest.approx(expected, abs=1e-12)
    wide = np.hstack([series, rng.normal(size=(60, 10))])
    share = np.linalg.svd((wide - wide.mean(0)) / wide.std(0), compute_uv=False)[:59] ** 2
    share /= share.sum()
    expected = -np.sum(share * np.log(share)) / np.log(59)
    assert ngsc(wide) == pytest.approx(expected, abs=1e-12)


def test_limits():
    course = np.sin(np.arange(50.0))[:, None]
    assert ngsc(course @ np.array([[1.0, -2.0, 5.0]])) == pytest.approx(0, abs=1e-6)
    two = np.hstack([course, course, np.cos(np.arange(50.0))[:, None]])
    shares = np.array([2, 1]) / 3
    expected = -np.sum(shares * np.log(shares)) / np.log(3)
    assert ngsc(two) == pytest.approx(expected, abs=2e-3)


def test_scale_offset_and_missing_parcels_do_not_matter(rng):
    series = rng.normal(size=(120, 20)) @ rng.normal(size=(20, 20))
    changed = np.hstack([1000 + 7 * series, np.full((120, 3), np.nan)])
    assert ngsc(changed) == pytest.approx(ngsc(series), abs=1e-10)


def test_fewer_frames_inflate_it_and_equal_ones_do_not(rng):
    """One process scanned for 300 and 150 frames: no difference, once cut alike."""
    mixing = rng.normal(size=(10, 100))
    pairs = []
    for _ in range(20):
        long, short = (
            rng.normal(size=(n, 10)) @ mixing + 2 * rng.normal(size=(n, 100)) for n in (300, 150)
        )
        pairs.append([ngsc(long) - ngsc(short), ngsc(long[:150]) - ngsc(short)])
    raw, matched = np.mean(pairs, axis=0)
    assert abs(raw) > 0.01
    assert abs(matched) < 0.002


def test_refuses_a_single_parcel(rng):
    with pytest.raises(DatasetError, match="1 parcels with signal"):
        ngsc(rng.normal(size=(50, 1)))
