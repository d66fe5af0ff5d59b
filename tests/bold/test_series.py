from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.bold.series import SignalCollector
from petfmri.errors import DatasetError

SHAPE = (12, 10, 8)
INDEX = np.array([7, 2, 30, 11])


@pytest.fixture
def labels(rng):
    return rng.choice([0, 2, 7, 11, 30, 99], size=np.prod(SHAPE))


def volumes(rng, n_frames=40, mean=1000.0, sd=10.0):
    return rng.normal(mean, sd, size=(n_frames, np.prod(SHAPE)))


def collect(data, labels, *, index=INDEX, in_fov=None, white_matter=None, csf=None, **options):
    nowhere = np.zeros(labels.size, dtype=bool)
    collector = SignalCollector(
        labels,
        index,
        in_fov=~nowhere if in_fov is None else in_fov,
        brain=labels > 0,
        white_matter=nowhere if white_matter is None else white_matter,
        csf=nowhere if csf is None else csf,
        **options,
    )
    for volume in data:
        collector.add(volume)
    return collector.finish()


def test_means_of_parcels_and_tissues_in_table_order(rng, labels):
    data = volumes(rng)
    run = collect(data, labels, white_matter=labels == 99, csf=labels == 0)
    for column, label in enumerate(INDEX):
        np.testing.assert_allclose(run.series[:, column], data[:, labels == label].mean(axis=1))
    np.testing.assert_allclose(run.tissues["global_signal"], data[:, labels > 0].mean(axis=1))
    np.testing.assert_allclose(run.tissues["white_matter"], data[:, labels == 99].mean(axis=1))
    np.testing.assert_allclose(run.tissues["csf"], data[:, labels == 0].mean(axis=1))
    np.testing.assert_allclose(
        run.compcor_voxels, data[:, (labels == 99) | (labels == 0)], rtol=1e-6
    )
    assert not run.missing


def test_reordering_the_table_reorders_the_columns(rng, labels):
    data = volumes(rng)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(
        collect(data, labels, index=INDEX[order]).series, collect(data, labels).series[:, order]
    )


@pytest.mark.parametrize("axes", [(0,), (0, 1, 2), (1,)])
def test_orientation_of_the_grid_does_not_matter(rng, labels, axes):
    """LAS, RAS or turned: labels and volumes on one grid give one answer."""
    data = volumes(rng, 10)
    flipped = np.array([np.flip(volume.reshape(SHAPE), axes).ravel() for volume in data])
    turned = np.flip(labels.reshape(SHAPE), axes).ravel()
    np.testing.assert_allclose(
        collect(flipped, turned).series, collect(data, labels).series, rtol=1e-13
    )


def test_voxels_outside_the_field_of_view_or_without_signal_do_not_count(rng, labels):
    data = volumes(rng)
    in_fov = rng.random(labels.size) < 0.9
    dead = rng.random(labels.size) < 0.2
    data[:, dead] = 555.0
    data[:, ~in_fov] = rng.normal(size=(len(data), np.count_nonzero(~in_fov)))
    run = collect(data, labels, in_fov=in_fov)
    for column, label in enumerate(INDEX):
        counted = (labels == label) & in_fov & ~dead
        np.testing.assert_allclose(run.series[:, column], data[:, counted].mean(axis=1))
        assert run.coverage[column] == pytest.approx(counted.sum() / np.sum(labels == label))


def test_missing_parcels_are_nan_columns_with_a_reason(rng, labels):
    data = volumes(rng)
    in_fov = labels != 7
    in_fov[np.flatnonzero(labels == 2)[::3]] = False
    data[:, labels == 30] = 3.0
    run = collect(data, labels, index=np.array([7, 2, 30, 11, 5]), in_fov=in_fov, min_coverage=0.75)
    assert run.series.shape == (40, 5)
    np.testing.assert_array_equal(np.isnan(run.series).all(axis=0), [True, True, True, False, True])
    assert run.missing[0] == "no voxel with signal inside the field of view"
    assert run.missing[1].startswith("coverage 0.6")
    assert run.missing[2] == "no voxel with signal inside the field of view"
    assert run.missing[4] == "no voxel of this label on the BOLD grid"
    assert "white_matter" not in run.tissues


def test_float32_at_a_high_mean_keeps_the_correlation(rng):
    """Mean 10,000 and sd 10 in float32: the correlation is right to 1e-6."""
    labels = np.repeat([1, 2], 400)
    shared = rng.normal(size=(300, 1))
    data = (10_000 + 10 * (0.3 * shared + rng.normal(size=(300, 800)))).astype(np.float32)
    series = collect(data, labels, index=np.array([1, 2])).series
    expected = [data[:, labels == k].astype(np.longdouble).mean(axis=1) for k in (1, 2)]
    assert np.corrcoef(series.T)[0, 1] == pytest.approx(
        np.corrcoef(np.array(expected, dtype=float))[0, 1], abs=1e-6
    )


def test_dvars_by_hand():
    """Two voxels at 1000: a change of 30 and 40 has a root mean square of 25·√2 per mille."""
    labels = np.array([1, 1])
    data = [[1000.0, 1000], [1030, 1040], [1000, 1000], [1001, 999], [1000, 1000]]
    dvars = collect(data, labels, index=np.array([1])).dvars
    median = np.mean(data, axis=0)
    scale = 1000 / np.median(median)
    assert np.isnan(dvars[0])
    np.testing.assert_allclose(dvars[1:3], 25 * np.sqrt(2) * scale)
    np.testing.assert_allclose(dvars[3:], scale)


def test_dvars_agrees_with_nipype(rng, labels, tmp_path, monkeypatch):
    confounds = pytest.importorskip("nipype.algorithms.confounds")
    monkeypatch.setattr(  # what nitime, which nipype would import here, computes at order 1
        confounds, "_AR_est_YW", lambda x, order: np.array([x[1:] @ x[:-1] / (x @ x)])
    )
    data = volumes(rng, 80, sd=15.0)
    data[1:] += 0.5 * (data[:-1] - 1000)
    data[40] += 60
    brain = labels > 0
    nib.save(
        nib.Nifti1Image(data.T.reshape(*SHAPE, 80).astype(np.float32), np.eye(4)),
        tmp_path / "bold.nii",
    )
    nib.save(
        nib.Nifti1Image(brain.reshape(SHAPE).astype(np.uint8), np.eye(4)), tmp_path / "mask.nii"
    )
    std, nstd, _ = confounds.compute_dvars(tmp_path / "bold.nii", tmp_path / "mask.nii")
    run = collect(data, labels)
    np.testing.assert_allclose(run.dvars[1:], nstd, rtol=5e-3)
    np.testing.assert_allclose(run.std_dvars[1:], std, rtol=5e-3)


def test_refuses_damaged_volumes_and_other_grids(rng, labels):
    data = volumes(rng)
    data[3, np.flatnonzero(labels == 7)[0]] = np.nan
    with pytest.raises(DatasetError, match="volume 3: found 1 voxels not finite"):
        collect(data, labels)
    with pytest.raises(DatasetError, match="one grid"):
        collect(data[:, 1:], labels)
    with pytest.raises(DatasetError, match="BOLD grid"):
        collect(data, labels, in_fov=np.ones(3, dtype=bool))
    with pytest.raises(DatasetError, match="2 volumes"):
        collect(data[:2], labels)
    with pytest.raises(DatasetError, match="each once"):
        collect(data, labels, index=np.array([2, 2]))


def test_refuses_a_brain_mask_off_the_brain(rng, labels):
    with pytest.raises(DatasetError, match="brain mask lies on the image"):
        collect(np.zeros((5, labels.size)), labels)
