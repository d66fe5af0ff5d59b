from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.bold import parcels
from petfmri.bold.parcels import columns_of, parcel_series, stream_parcel_series
from petfmri.bold.series import SignalCollector
from petfmri.errors import DatasetError

SHAPE = (9, 8, 7)
INDEX = np.array([7, 2, 30, 11])


@pytest.fixture
def labels(rng):
    return rng.choice([0, 2, 7, 11, 30, 99], size=np.prod(SHAPE))


@pytest.fixture
def data(rng):
    return rng.normal(1000, 10, size=(np.prod(SHAPE), 30))


def both(data, labels, index=INDEX, **options):
    """The result in memory, once it is known to be that of the stream."""
    whole = parcel_series(data, labels, index, **options)
    for streamed in (
        stream_parcel_series(data.T, labels, index, **options),
        parcel_series(np.asfortranarray(data), labels, index, **options),
    ):
        np.testing.assert_allclose(streamed.series, whole.series, rtol=1e-13)
        np.testing.assert_array_equal(streamed.coverage, whole.coverage)
        assert streamed.missing == whole.missing
    return whole


@pytest.mark.parametrize("group_bytes", [0, parcels.GROUP_BYTES])
def test_means_in_table_order(data, labels, group_bytes, monkeypatch):
    monkeypatch.setattr(parcels, "GROUP_BYTES", group_bytes)
    run = both(data, labels)
    expected = [data[labels == label].mean(axis=0) for label in INDEX]
    np.testing.assert_allclose(run.series.T, expected, rtol=1e-13)
    assert not run.missing
    np.testing.assert_array_equal(run.coverage, 1)


def test_agrees_with_the_collector_of_signals(rng, data, labels):
    """Field of view, dead voxels, cut-off and missing parcels mean the same in both."""
    in_fov = rng.random(labels.size) < 0.9
    in_fov[np.flatnonzero(labels == 2)[::2]] = False
    data[rng.random(labels.size) < 0.2] = 555.0
    data[labels == 30] = 3.0
    index, on_grid = np.array([7, 2, 30, 11, 5]), np.array([0.9, 1, 1, 0.6, 1])
    run = both(data, labels, index, in_fov=in_fov, on_grid=on_grid, min_coverage=0.45)
    collector = SignalCollector(
        labels, index, in_fov=in_fov, brain=labels == 7, white_matter=labels < 0, csf=labels < 0,
        on_grid=on_grid, min_coverage=0.45,
    )  # fmt: skip
    for volume in data.T:
        collector.add(volume)
    expected = collector.finish()
    np.testing.assert_allclose(run.series, expected.series, rtol=1e-13)
    np.testing.assert_allclose(run.coverage, expected.coverage)
    assert run.missing == expected.missing
    assert set(run.missing) == {1, 2, 3, 4}


@pytest.mark.parametrize("affine", [(2, 2, 2), (-2, 2, 2), (3, -3, 5)])
def test_images_of_any_orientation_and_layout(rng, labels, affine, tmp_path):
    """RAS, LAS, anisotropic; stored by nibabel in Fortran order, or turned to C order."""
    values = rng.normal(500, 5, size=(*SHAPE, 12)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([*affine, 1.0])), tmp_path / "run.nii")
    image = nib.load(tmp_path / "run.nii")
    labels = labels.reshape(SHAPE)
    expected = [values[labels == label].mean(axis=0, dtype=float) for label in INDEX]
    mapped = np.asanyarray(image.dataobj)
    for volumes in (
        (image.dataobj[..., t] for t in range(12)),
        (mapped[..., t] for t in range(12)),
        (np.ascontiguousarray(mapped[..., t]) for t in range(12)),
    ):
        run = stream_parcel_series(volumes, labels, INDEX, in_fov=labels > 0)
        np.testing.assert_allclose(run.series.T, expected, rtol=1e-7)


def test_whole_numbers_are_summed_exactly(rng, labels):
    data = rng.integers(0, 4, size=(labels.size, 8)).astype(np.int16)
    run = both(data, labels)
    counted = data[labels == 7][np.ptp(data[labels == 7], axis=1) > 0]
    np.testing.assert_allclose(run.series[:, 0], counted.mean(axis=0))


@pytest.mark.parametrize("baseline_sd", [0, 3000])
def test_float32_at_a_high_mean_keeps_the_correlations(rng, baseline_sd):
    """Mean 10,000 and sd 10 in float32, 150 voxels a parcel: right to 1e-6."""
    labels = np.repeat(np.arange(40), 150)
    signal = 0.2 * rng.normal(size=(1, 200)) + 0.1 * rng.normal(size=(40, 200))
    data = 10_000 + baseline_sd * rng.uniform(-1, 1, size=(labels.size, 1))
    data = (data + 10 * (signal[labels] + rng.normal(size=(labels.size, 200)))).astype(np.float32)
    run = parcel_series(data, labels, np.arange(40))
    streamed = stream_parcel_series(data.T, labels, np.arange(40))
    means = data.reshape(40, 150, 200).astype(np.longdouble).mean(axis=1)
    expected = np.corrcoef(means.astype(float))
    for found in (run, streamed):
        np.testing.assert_allclose(np.corrcoef(found.series.T), expected, atol=1e-6)


@pytest.mark.parametrize("far", [0, 10**9])
def test_columns_of_labels(rng, far):
    labels = rng.choice([-3, 0, 4, 9, 5 + far], size=200)
    index = np.array([9, 5 + far, 4])
    expected = [index.tolist().index(x) if x in index else -1 for x in labels]
    np.testing.assert_array_equal(columns_of(labels, index), expected)


def test_refuses_what_does_not_fit(data, labels):
    data[np.flatnonzero(labels == 7)[:2], 3] = np.nan
    for take in (parcel_series, lambda x, *rest: stream_parcel_series(x.T, *rest)):
        with pytest.raises(DatasetError, match="volume 3: found 2 voxels not finite"):
            take(data, labels, INDEX)
        with pytest.raises(DatasetError, match="2 volumes"):
            take(data[:, :2], labels, INDEX)
        with pytest.raises(DatasetError, match="one grid"):
            take(data[1:], labels, INDEX)
        with pytest.raises(DatasetError, match="each once"):
            take(data, labels, np.array([2, 2]))
    with pytest.raises(DatasetError, match="field of view"):
        parcel_series(data, labels, INDEX, in_fov=np.ones(3, dtype=bool))
    with pytest.raises(DatasetError, match="0 volumes"):
        stream_parcel_series([], labels, INDEX)
    assert set(both(data, labels, np.array([1000, 1001])).missing) == {0, 1}
