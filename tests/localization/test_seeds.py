from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import sparse, stats

from petfmri.errors import DatasetError
from petfmri.localization.group import Moments, contrast_maps, positive, seed_masks
from petfmri.localization.seeds import Person, seed_z, unit_run
from petfmri.localization.space import Space, of_labels, of_mask, read_mask
from petfmri.localization.spheres import seeds_at
from petfmri.localization.store import Store, read_run, run_of_parcels, source_digest


def plain_z(series: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Mean raw series, Pearson r, Fisher z, the long way in float64."""
    seed = series[:, members].astype(float).mean(axis=1)
    r = np.corrcoef(np.column_stack([seed, series]).T.astype(float))[0, 1:]
    return np.arctanh(r)


@pytest.mark.parametrize(("mean", "sd"), [(0, 1), (1000, 10), (10_000, 10)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_z_of_a_combined_seed(mean: float, sd: float, dtype: str, rng: np.random.Generator) -> None:
    common = rng.normal(size=(200, 1))
    loud = rng.uniform(0.2, 5, 60)  # signals of other sizes: the mean of r would be wrong
    series = (mean + sd * loud * (common + rng.normal(size=(200, 60)))).astype(dtype)
    weights = np.zeros((2, 60))
    weights[0, :9], weights[1, [3, 40, 41]] = 1, 1
    z = seed_z(Person("a", [unit_run(series)]), sparse.csr_array(weights))
    for row, found in zip(weights, z):
        assert np.abs(found - plain_z(series, row > 0)).max() < 5e-6


def test_runs_count_by_their_frames(rng: np.random.Generator) -> None:
    runs = [rng.normal(size=(n, 8)) for n in (30, 90)]
    weights = sparse.csr_array(np.eye(8)[:1] + np.eye(8)[1:2])
    alone = [seed_z(Person("a", [unit_run(run)]), weights) for run in runs]
    both = seed_z(Person("a", [unit_run(run) for run in runs]), weights)
    np.testing.assert_allclose(both, alone[0] / 4 + alone[1] * 3 / 4, atol=1e-6)


def test_silent_places(rng: np.random.Generator) -> None:
    series = 10_000 + rng.normal(size=(40, 5))
    series[:, 1], series[:, 3] = 10_000.1, np.nan
    person = Person("a", [unit_run(series)])
    assert person.covered.tolist() == [True, False, True, False, True]
    z = seed_z(person, sparse.csr_array([[1.0, 1, 1, 1, 0]]))
    np.testing.assert_allclose(z[0, [0, 2, 4]], plain_z(series, [0, 2])[[0, 2, 4]], atol=1e-5)
    assert np.isnan(z[0, [1, 3]]).all()
    with pytest.raises(DatasetError, match="no signal in seed"):
        seed_z(person, sparse.csr_array([[1.0, 0, 0, 0, 0], [0, 1, 0, 1, 0]]))


def test_t_over_people_streamed_and_merged(rng: np.random.Generator) -> None:
    people = [Person(str(k), [unit_run(rng.normal(size=(50, 30)))]) for k in range(9)]
    weights = sparse.csr_array(rng.integers(0, 2, (4, 30)).astype(float))
    maps = contrast_maps(people, weights)
    expected = stats.ttest_1samp([seed_z(one, weights) for one in people], 0).statistic
    np.testing.assert_allclose(maps.t, expected, rtol=2e-5, atol=2e-5)
    halves = [Moments.empty(4, 30), Moments.empty(4, 30)]
    for number, person in enumerate(people):
        halves[number > 5].add(person, weights)
    halves[0].merge(halves[1])
    np.testing.assert_allclose(halves[0].t(), maps.t, rtol=1e-9)
    np.testing.assert_array_equal(seed_masks(people, weights), maps.inside)


def test_places_that_some_people_lack(rng: np.random.Generator) -> None:
    series = rng.normal(size=(10, 50, 6))
    series[0, :, 4] = series[:5, :, 5] = 0
    people = [Person(str(k), [unit_run(one)]) for k, one in enumerate(series)]
    maps = contrast_maps(people, sparse.csr_array([[1.0, 1, 0, 0, 0, 0]]))
    assert maps.count.tolist() == [10, 10, 10, 10, 9, 5]
    assert np.isfinite(maps.t[0, 4]) and np.isnan(maps.t[0, 5])
    z = [seed_z(one, sparse.csr_array([[1.0, 1, 0, 0, 0, 0]]))[0, 4] for one in people[1:]]
    assert maps.t[0, 4] == pytest.approx(stats.ttest_1samp(z, 0).statistic, rel=1e-4)
    assert maps.covered.tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize("correction", ["fdr_positive", "fdr", "fwe"])
def test_corrections_equal_the_textbook(correction: str, rng: np.random.Generator) -> None:
    t = rng.normal(0.8, 1.8, (20, 400))
    count = np.where(np.arange(400) < 350, 12, 10)
    t[:, 7] = np.nan
    found = positive(t, count, correction=correction)
    for row, inside in zip(t, found):
        p = stats.t.sf(row, count - 1)
        tested = row > 0 if correction == "fdr_positive" else np.isfinite(row)
        if correction == "fwe":
            expected = p <= 0.05 / tested.sum()
        else:
            adjusted = np.ones(row.size)
            adjusted[tested] = stats.false_discovery_control(p[tested])
            expected = (adjusted <= 0.05) & (row > 0)
        np.testing.assert_array_equal(inside, expected)


def image(space: Space, series: np.ndarray, axes: str = "RAS") -> nib.Nifti1Image:
    data = np.zeros((*space.mask.shape, len(series)), dtype="f4")
    data[space.mask] = series.T
    made = nib.Nifti1Image(data, space.affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(space.affine), nib.orientations.axcodes2ornt(axes)
    )
    return made.as_reoriented(turn)


@pytest.mark.parametrize("axes", ["RAS", "LAS", "PIR"])
@pytest.mark.parametrize("name", ["bold.nii", "bold.nii.gz"])
def test_series_are_read_in_any_orientation(
    axes: str, name: str, space: Space, tmp_path: Path, rng: np.random.Generator
) -> None:
    series = (5000 + 10 * rng.normal(size=(12, space.n_voxels))).astype("f4")
    nib.save(image(space, series, axes), tmp_path / name)
    nib.save(image(space, np.ones((1, space.n_voxels)), axes), tmp_path / "mask.nii")
    again = read_mask(str(tmp_path / "mask.nii"))
    assert again.digest() == space.digest()
    found = read_run(tmp_path / name, again)
    np.testing.assert_allclose(found.unit, unit_run(series).unit, atol=1e-6)


def test_scaled_integers_are_read(space: Space, tmp_path: Path, rng: np.random.Generator) -> None:
    series = 300 + 10 * rng.normal(size=(12, space.n_voxels))
    made = image(space, series)
    made.set_data_dtype("i2")
    nib.save(made, tmp_path / "bold.nii")
    found = read_run(tmp_path / "bold.nii", space)
    np.testing.assert_allclose(found.unit, unit_run(series).unit, atol=1e-3)


def test_another_grid_is_refused(space: Space, tmp_path: Path) -> None:
    moved = of_mask(space.mask, space.affine + _shift(0.5))
    nib.save(image(moved, np.ones((4, space.n_voxels))), tmp_path / "bold.nii")
    with pytest.raises(DatasetError, match=r"affine differs by up to 0\.5"):
        read_run(tmp_path / "bold.nii", space)


def _shift(mm: float) -> np.ndarray:
    shift = np.zeros((4, 4))
    shift[0, 3] = mm
    return shift


def test_store_returns_what_it_was_given(
    space: Space, tmp_path: Path, rng: np.random.Generator
) -> None:
    runs = [unit_run(1000 + rng.normal(size=(n, space.n_voxels))) for n in (60, 40)]
    seeds = seeds_at([np.array([[0.0, 0, 0], [9, 3, 0]])], 4, space)
    expected = seed_z(Person("a", runs), seeds.weights)
    for kept, tolerance in (("float32", 1e-6), ("float16", 1e-3)):
        store = Store(tmp_path / kept, space, ("sub-01",))
        store.write("sub-01", runs, source="x", tr_s=2.0, kept=kept)
        (person,) = store
        assert np.abs(seed_z(person, seeds.weights) - expected).max() < tolerance
        assert store.is_current("sub-01", "x")
        assert not store.is_current("sub-01", "y")
        assert not store.is_current("sub-02", "x")


def test_store_of_another_mask_or_damaged_is_refused(
    space: Space, tmp_path: Path, rng: np.random.Generator
) -> None:
    store = Store(tmp_path, space, ("sub-01",))
    store.write("sub-01", [unit_run(rng.normal(size=(20, space.n_voxels)))], source="x")
    smaller = space.mask.copy()
    smaller[tuple(space.ijk[0])] = False
    other = Store(tmp_path, of_mask(smaller, space.affine), ("sub-01",))
    assert not other.is_current("sub-01", "x")
    with pytest.raises(DatasetError, match="another mask"):
        other.read("sub-01")
    np.save(tmp_path / "sub-01_series.npy", np.zeros((3, 3)))
    with pytest.raises(DatasetError, match="damaged"):
        store.read("sub-01")


def test_changed_sources_have_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "bold.nii"
    path.write_bytes(b"one")
    first = source_digest([path])
    assert source_digest([path]) == first
    path.write_bytes(b"two")
    assert source_digest([path]) != first
    with pytest.raises(DatasetError, match="absent"):
        source_digest([tmp_path / "absent"])


def test_parcels_give_the_same_as_their_series(rng: np.random.Generator) -> None:
    labels = np.repeat(np.arange(1, 5), 16).reshape(4, 4, 4)
    space = of_labels(labels, np.arange(1, 5), np.diag([3.0, 3, 3, 1]))
    series = rng.normal(size=(80, 4))
    seeds = seeds_at([np.array([[1.0, 4.5, 4.5]])], 4, space)
    share = seeds.weights.toarray()[0]
    assert np.count_nonzero(share) == 2
    course = series @ share
    z = seed_z(Person("a", [run_of_parcels(series, space)]), seeds.weights)[0]
    expected = [np.arctanh(np.corrcoef(course, one)[0, 1]) for one in series.T]
    np.testing.assert_allclose(z, expected, atol=1e-5)
    with pytest.raises(DatasetError, match="parcel series: found shape"):
        run_of_parcels(series[:, :3], space)
