from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

from petfmri.bold.denoise import Cleaning
from petfmri.bold.denoise import denoise as denoise_run
from petfmri.bold.operator import temporal_operator
from petfmri.bold.strategies import STRATEGIES
from petfmri.errors import DenoisingError

TR = 2.0
BANDS = [(0.01, 0.1), (None, 0.1), (0.01, None), (None, None)]


def denoise(series, confounds, *, tr_s, dummy=0, **options):
    return denoise_run(series, confounds, Cleaning(**options), tr_s=tr_s, dummy=dummy)


def confound_frame(rng, n_frames=300, fd=None):
    """Drifting motion with all columns that the strategies name."""
    columns = {}
    for name in dict.fromkeys(n for names in STRATEGIES.values() for n in names):
        columns[name] = rng.normal(size=n_frames).cumsum() * 0.1 + rng.normal(size=n_frames)
        if "derivative1" in name:
            columns[name][0] = np.nan
    columns["std_dvars"] = np.full(n_frames, 1.0)
    columns["framewise_displacement"] = np.full(n_frames, 0.1) if fd is None else fd
    columns["framewise_displacement"][0] = np.nan
    return pd.DataFrame(columns)


def bursts(rng, n_frames=300, fraction=0.15):
    fd = np.full(n_frames, 0.1)
    while np.mean(fd > 0.5) < fraction:
        start = rng.integers(0, n_frames)
        fd[start : start + rng.integers(1, 5)] = 1.0
    return fd


# ---- censoring -----------------------------------------------------------------------------


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("strategy", list(STRATEGIES))
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_censored_and_dummy_frames_change_nothing_at_all(rng, strategy, band, interpolation):
    fd = bursts(rng)
    fd[140:155] = fd[147:152] = 2.0  # round the middle, where nilearn leaks, and both ends
    fd[[3, 298, 299]] = 2.0
    confounds = confound_frame(rng, fd=fd)
    series = rng.normal(1000, 10, (300, 5))
    options = {
        "tr_s": TR, "strategy": strategy, "band_hz": band, "dummy": 3,
        "interpolation": interpolation, "minimum_df": 1,
    }  # fmt: skip
    before = denoise(series, confounds, **options)
    assert before.frames_kept < 260
    series[~before.kept] += rng.normal(1000, 1e6, (np.count_nonzero(~before.kept), 5))
    columns = [name for name in confounds if name != "framewise_displacement"]
    confounds.loc[~before.kept, columns] = -1e5
    after = denoise(series, confounds, **options)
    assert before.series.tobytes() == after.series.tobytes()
    assert before.df_effective == after.df_effective


def test_kept_frames_follow_the_threshold(rng):
    fd = np.full(300, 0.1)
    fd[[50, 51, 200]] = [0.6, 0.50001, 0.5]
    result = denoise(rng.normal(size=(300, 2)), confound_frame(rng, fd=fd), tr_s=TR, dummy=4)
    np.testing.assert_array_equal(np.flatnonzero(~result.kept), [0, 1, 2, 3, 50, 51])
    assert (result.frames_kept, result.frames_total) == (294, 300)
    assert result.mean_fd == pytest.approx(fd[4:].mean())
    assert result.series.shape == (294, 2)


def test_scrubbing_leaves_correlations_unbiased(rng):
    """15 % in bursts: signed bias ≤ 0.002, and half the error of cubic interpolation."""
    errors = {"linear": [], "cubic": []}
    for _ in range(12):
        kept = bursts(rng) <= 0.5
        pairs = np.einsum(
            "tnp,pq->tnq",
            rng.normal(size=(300, 400, 2)),
            np.linalg.cholesky([[1, 0.3], [0.3, 1]]).T,
        )
        options = {"tr_s": TR, "band_hz": (0.01, 0.1)}
        whole = temporal_operator(np.empty((300, 0)), np.ones(300, dtype=bool), **options).matrix
        truth = correlation_of_pairs(np.tensordot(whole, pairs, 1)[kept])
        for kind, error in errors.items():
            M = temporal_operator(np.empty((300, 0)), kept, interpolation=kind, **options).matrix
            error.append(correlation_of_pairs(np.tensordot(M, pairs[kept], 1)) - truth)
    assert abs(np.mean(errors["linear"])) <= 0.002
    assert np.std(errors["linear"]) < 0.045
    assert np.std(errors["cubic"]) > 1.8 * np.std(errors["linear"])


def correlation_of_pairs(pairs):
    centred = pairs - pairs.mean(axis=0)
    covariance = np.einsum("tnp,tnq->npq", centred, centred)
    return covariance[:, 0, 1] / np.sqrt(covariance[:, 0, 0] * covariance[:, 1, 1])


# ---- against nilearn -----------------------------------------------------------------------


@pytest.mark.parametrize("band", [(0.01, 0.1), (None, 0.1), (None, None)])
def test_equals_nilearn_without_censoring(rng, band):
    clean = pytest.importorskip("nilearn.signal").clean
    confounds = confound_frame(rng).fillna(0.0)
    series = rng.normal(1000, 10, (300, 20)) + np.linspace(0, 50, 300)[:, None]
    columns = list(STRATEGIES["36P"])
    kinds = {} if band == (None, None) else {"filter": "butterworth"}
    expected = clean(
        series, confounds=confounds[columns].to_numpy(), detrend=True, standardize=None,
        low_pass=band[1], high_pass=band[0], t_r=TR, **kinds,
    )  # fmt: skip
    result = denoise(series, confounds, tr_s=TR, strategy="36P", band_hz=band)
    np.testing.assert_allclose(result.series, expected - expected.mean(axis=0), atol=1e-9, rtol=0)


def test_equals_nilearn_given_a_boolean_mask(rng, monkeypatch):
    """nilearn indexes the censored volumes by ``~integers``; with a boolean mask we agree."""
    signal = pytest.importorskip("nilearn.signal")
    if not hasattr(signal, "_interpolate_volumes"):
        pytest.skip("this nilearn interpolates elsewhere")

    def interpolate(volumes, sample_mask, t_r, extrapolate):
        kept = np.zeros(len(volumes), dtype=bool)
        kept[sample_mask] = True
        time = t_r * np.arange(len(volumes))
        filled = volumes.copy()
        filled[~kept] = CubicSpline(time[kept], volumes[kept])(time[~kept])
        return filled

    monkeypatch.setattr(signal, "_interpolate_volumes", interpolate)
    fd = bursts(rng)
    fd[:10] = fd[-10:] = 0.1
    confounds = confound_frame(rng, fd=fd).fillna(0.0)
    series = rng.normal(1000, 10, (300, 20))
    columns = list(STRATEGIES["24P"])
    expected = signal.clean(
        series, confounds=confounds[columns].to_numpy(), detrend=True, standardize=None,
        low_pass=0.1, high_pass=0.01, t_r=TR, filter="butterworth",
        sample_mask=np.flatnonzero(confounds["framewise_displacement"] <= 0.5),
    )  # fmt: skip
    result = denoise(
        series, confounds, tr_s=TR, strategy="24P", interpolation="cubic", minimum_df=1
    )
    np.testing.assert_allclose(result.series, expected - expected.mean(axis=0), atol=1e-9, rtol=0)


def test_equals_nilearn_cosine_filter_with_censoring(rng):
    clean = pytest.importorskip("nilearn.signal").clean
    confounds = confound_frame(rng, fd=bursts(rng)).fillna(0.0)
    kept = np.flatnonzero(confounds["framewise_displacement"] <= 0.5)
    series = rng.normal(1000, 10, (300, 20))
    columns = list(STRATEGIES["24P"])
    with_trend = np.column_stack([confounds[columns], np.arange(300)])
    expected = clean(
        series, confounds=with_trend, detrend=False, standardize="zscore_sample",
        high_pass=0.01, t_r=TR, filter="cosine", sample_mask=kept,
    )  # fmt: skip
    result = denoise(series, confounds, tr_s=TR, strategy="24P", band_hz=(0.01, None)).series
    np.testing.assert_allclose(result / result.std(axis=0, ddof=1), expected, atol=1e-9, rtol=0)


# ---- degrees of freedom --------------------------------------------------------------------


@pytest.mark.parametrize("band", BANDS)
def test_effective_degrees_of_freedom_are_the_spread_of_null_correlations(rng, band):
    """The correlation of unrelated white noise has variance 1 / df_effective."""
    kept = bursts(rng, 200) <= 0.5
    operator = temporal_operator(rng.normal(size=(200, 24)), kept, tr_s=TR, band_hz=band)
    noise = operator.matrix @ rng.normal(size=(kept.sum(), 400))
    r = np.corrcoef(noise.T)[np.triu_indices(400, 1)]
    assert 1 / np.var(r) == pytest.approx(operator.df_effective, rel=0.05)


def test_without_filter_degrees_of_freedom_are_frames_less_regressors(rng):
    operator = temporal_operator(
        rng.normal(size=(100, 10)), np.ones(100, dtype=bool), tr_s=TR, band_hz=(None, None)
    )
    assert operator.n_regressors == 12  # with mean and trend
    assert operator.df_effective == pytest.approx(88)


def test_repeated_confounds_cost_one_degree_of_freedom(rng):
    confounds = rng.normal(size=(100, 4))
    doubled = np.hstack([confounds, 3 * confounds - 7, np.ones((100, 1))])
    kept = np.ones(100, dtype=bool)
    once = temporal_operator(confounds, kept, tr_s=TR)
    twice = temporal_operator(doubled, kept, tr_s=TR)
    assert twice.n_regressors == once.n_regressors == 5
    np.testing.assert_allclose(twice.matrix, once.matrix, atol=1e-10)


def test_refuses_a_run_that_the_filter_and_confounds_exhaust(rng):
    """80 frames, 29 regressors: 50 nominal degrees of freedom, but the band leaves three."""
    confounds = confound_frame(rng, 80)
    with pytest.raises(DenoisingError, match=r"effective degrees of freedom after 80 kept of 80"):
        denoise(rng.normal(size=(80, 3)), confounds, tr_s=TR, minimum_kept_s=0)


def test_refuses_more_regressors_than_frames(rng):
    confounds = confound_frame(rng, 20)
    with pytest.raises(DenoisingError, match="independent regressors for 20 kept frames"):
        denoise(
            rng.normal(size=(20, 3)), confounds, tr_s=TR, strategy="24P", band_hz=(0.01, None),
            minimum_kept_s=0,
        )  # fmt: skip


def test_refuses_a_run_that_is_all_motion(rng):
    confounds = confound_frame(rng, fd=np.full(300, 0.9))
    with pytest.raises(DenoisingError, match=r"2 s kept \(300 frames, 0 dummies, 299 censored"):
        denoise(rng.normal(size=(300, 3)), confounds, tr_s=TR)


# ---- other errors --------------------------------------------------------------------------


def test_names_what_is_missing(rng):
    confounds = confound_frame(rng)
    series = rng.normal(size=(300, 3))
    with pytest.raises(DenoisingError, match=r"no column csf, .*the nearest is"):
        denoise(series, confounds.drop(columns=["csf", "csf_power2"]), tr_s=TR, strategy="36P")
    with pytest.raises(DenoisingError, match="one of 24P, 24P"):
        denoise(series, confounds, tr_s=TR, strategy="12P")
    with pytest.raises(DenoisingError, match="no such column"):
        denoise(series, confounds.drop(columns="framewise_displacement"), tr_s=TR)
    with pytest.raises(DenoisingError, match="299 rows"):
        denoise(series, confounds.iloc[1:], tr_s=TR)
    with pytest.raises(DenoisingError, match="half the sampling rate"):
        denoise(series, confounds, tr_s=6.0)


def test_refuses_missing_values_inside_the_run(rng):
    confounds = confound_frame(rng)
    series = rng.normal(size=(300, 3))
    series[5, 1] = np.nan
    with pytest.raises(DenoisingError, match="finite only in part"):
        denoise(series, confounds, tr_s=TR)
    confounds.loc[9, "rot_x"] = np.nan
    with pytest.raises(DenoisingError, match="not finite in 1 columns"):
        denoise(series[:, [0, 2]], confounds, tr_s=TR)
    confounds.loc[9, "rot_x"] = 0.0
    confounds.loc[9, "framewise_displacement"] = np.nan
    with pytest.raises(DenoisingError, match="framewise_displacement: found missing values"):
        denoise(series[:, [0, 2]], confounds, tr_s=TR)


def test_missing_parcels_stay_missing_and_touch_no_other(rng):
    confounds = confound_frame(rng)
    series = rng.normal(1000, 10, (300, 4))
    whole = denoise(series, confounds, tr_s=TR).series
    series[:, 2] = np.nan
    result = denoise(series, confounds, tr_s=TR).series
    assert np.isnan(result[:, 2]).all()
    np.testing.assert_allclose(result[:, [0, 1, 3]], whole[:, [0, 1, 3]], atol=1e-9)


# ---- recovery ------------------------------------------------------------------------------


def test_recovers_planted_connectivity_under_motion(rng):
    """Within 0.5 and between 0.1, buried under motion: both back within 0.03."""
    n_frames, n_parcels = 400, 40
    network = np.repeat([0, 1], n_parcels // 2)
    truth = np.where(network[:, None] == network, 0.5, 0.1)
    np.fill_diagonal(truth, 1.0)
    same = np.triu(network[:, None] == network, 1)
    other = np.triu(network[:, None] != network, 1)
    estimates, raw = [], []
    for _ in range(12):
        neural = rng.normal(size=(n_frames, n_parcels)) @ np.linalg.cholesky(truth).T
        motion = rng.normal(scale=0.02, size=(n_frames, 6)).cumsum(axis=0)
        motion += 0.4 * (rng.random((n_frames, 1)) < 0.06)
        change = np.diff(motion, axis=0, prepend=motion[:1])
        fd = np.abs(change).sum(axis=1)
        parts = [motion, change, motion**2, change**2]
        confounds = pd.DataFrame(np.hstack(parts), columns=list(STRATEGIES["24P"]))
        confounds["framewise_displacement"] = fd
        artefact = 8 * np.hstack([motion, change, change**2]) @ rng.normal(1, 0.3, (18, n_parcels))
        spikes = 30 * (fd > 0.5)[:, None] * rng.normal(1, 0.2, n_parcels)
        series = 1000 + 10 * neural + artefact + spikes
        result = denoise(series, confounds, tr_s=TR, strategy="24P")
        assert 25 < np.count_nonzero(~result.kept) < 100
        r = np.corrcoef(result.series.T)
        estimates.append([r[same].mean(), r[other].mean()])
        r = np.corrcoef(series.T)
        raw.append([r[same].mean(), r[other].mean()])
    np.testing.assert_allclose(np.mean(estimates, axis=0), [0.5, 0.1], atol=0.03)
    assert np.mean(raw, axis=0)[1] > 0.4
