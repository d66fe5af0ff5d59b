from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from petfmri.atlases import load_template
from petfmri.errors import DatasetError, InputError
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain
from petfmri.images.midway import midway_t1w
from petfmri.images.registration import Greedy
from petfmri.images.transforms import rigid
from petfmri.images.volumes import Volumes, in_own_axes, load_canonical
from petfmri.simulation.painted import paint_head

SHAPE = (7, 5, 4, 6)


AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])


def saved(path, data, *, dtype=np.float32, order="<", slope=None, inter=0.0, affine=AFFINE):
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    image = nib.Nifti1Image(data, affine, header)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_volumes_are_those_of_nibabel(tmp_path, rng, extension, order, dtype):
    path = saved(tmp_path / f"a{extension}", rng.normal(300, 50, SHAPE), dtype=dtype, order=order)
    whole = nib.load(path)
    assert whole.header.endianness == order
    volumes = Volumes(path)
    assert len(volumes) == 6 and volumes.shape == SHAPE[:3]
    np.testing.assert_array_equal(volumes.affine, whole.affine)
    read = list(volumes)
    assert {volume.dtype for volume in read} == {np.dtype(np.float32)}
    np.testing.assert_allclose(np.stack(read, -1), whole.get_fdata(), rtol=1e-6)


STORED = [
    np.diag([-2.0, 3.0, 4.0, 1.0]),  # L A S
    np.array([[0, 0, 3.0, -9], [-2.0, 0.1, 0, 5], [0, -2.5, 0.2, 7], [0, 0, 0, 1]]),  # P I R
]


@pytest.mark.parametrize("affine", STORED)
def test_volumes_come_in_the_order_of_the_world(tmp_path, rng, affine):
    path = saved(tmp_path / "a.nii.gz", rng.normal(size=SHAPE), affine=affine)
    world = load_canonical(path)
    volumes = Volumes(path)
    assert volumes.shape == world.shape[:3]
    np.testing.assert_allclose(volumes.affine, world.affine)
    np.testing.assert_allclose(np.stack(list(volumes), -1), world.get_fdata(), rtol=1e-6)


@pytest.mark.parametrize("affine", STORED)
def test_trailing_axes_of_one_are_left_out(tmp_path, rng, affine):
    data = rng.normal(size=SHAPE[:3])
    flat = load_canonical(saved(tmp_path / "a.nii", data, affine=affine))
    for name, more in (("b.nii", (1,)), ("c.nii.gz", (1, 1))):
        found = load_canonical(
            saved(tmp_path / name, data.reshape(*SHAPE[:3], *more), affine=affine)
        )
        assert found.get_filename() == str(tmp_path / name)
        np.testing.assert_array_equal(found.affine, flat.affine)
        np.testing.assert_array_equal(found.get_fdata(), flat.get_fdata())
    series = rng.normal(size=(*SHAPE, 1))
    assert len(load_canonical(saved(tmp_path / "d.nii", series, affine=affine)).shape) == 4


def test_a_series_where_one_volume_is_needed_is_named(tmp_path):
    series = load_canonical(saved(tmp_path / "T1w.nii", np.ones(SHAPE)))
    rng = np.random.default_rng()
    for use in (
        lambda: extract_brain(series, load_template(), Greedy()),
        lambda: correct_bias(series),
        lambda: midway_t1w([series], Greedy()),
        lambda: paint_head(series, series, series, bias_percent=0, noise_percent=0, rng=rng),
    ):
        with pytest.raises(InputError, match=r"T1w\.nii: found .*7 × 5 × 4 × 6.*; expected .*3-D"):
            use()


@pytest.mark.parametrize("affine", STORED)
@pytest.mark.parametrize("direction", ["i", "i-", "j", "j-", "k", "k-"])
def test_a_direction_of_the_file_keeps_its_place_in_the_world(tmp_path, affine, direction):
    volumes = Volumes(saved(tmp_path / "a.nii", np.zeros(SHAPE), affine=affine))
    axis, sign = volumes.axis_of(direction)
    stored = affine[:3, "ijk".index(direction[0])] * (-1 if "-" in direction else 1)
    np.testing.assert_allclose(volumes.affine[:3, axis] * sign, stored)


def test_slope_and_intercept_are_applied(tmp_path):
    stored = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    path = saved(tmp_path / "a.nii", stored, dtype=np.int16, slope=0.5, inter=-10.0)
    assert nib.load(path).dataobj.slope == 0.5
    np.testing.assert_allclose(np.stack(list(Volumes(path)), -1), stored * 0.5 - 10, atol=1e-4)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_leading_volumes_are_left_out_in_every_pass(tmp_path, rng, extension):
    data = rng.normal(size=SHAPE).astype(np.float32)
    volumes = Volumes(saved(tmp_path / f"a{extension}", data), first=4)
    assert len(volumes) == 2
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(volumes), -1), data[..., 4:])


def test_three_dimensions_are_one_volume(tmp_path, rng):
    data = rng.normal(size=SHAPE[:3]).astype(np.float32)
    (only,) = Volumes(saved(tmp_path / "a.nii.gz", data))
    np.testing.assert_array_equal(only, data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_name_their_volume(tmp_path, value):
    data = np.ones(SHAPE, np.float32)
    data[1, 2, 3, 4] = value
    volumes = iter(Volumes(saved(tmp_path / "a.nii.gz", data)))
    for _ in range(4):
        next(volumes)
    with pytest.raises(DatasetError, match=r"a\.nii\.gz: volume 5: found NaN"):
        next(volumes)


@pytest.mark.parametrize("first", [0, 5])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_a_truncated_file_is_a_problem_of_the_dataset(tmp_path, rng, extension, first):
    path = saved(tmp_path / f"a{extension}", rng.normal(size=(20, 20, 20, 6)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DatasetError, match="damaged or ends in volume"):
        list(Volumes(path, first=first))


@pytest.mark.parametrize("first", [0, 5])
def test_damaged_compression_is_a_problem_of_the_dataset(tmp_path, rng, first):
    path = saved(tmp_path / "a.nii.gz", rng.normal(size=(20, 20, 20, 6)))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        list(Volumes(path, first=first))


def test_what_is_no_image_is_a_problem_of_the_dataset(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("no image")
    with pytest.raises(DatasetError, match="unreadable"):
        Volumes(path)
    with pytest.raises(DatasetError, match="unreadable"):
        Volumes(tmp_path / "none.nii")


def test_a_tilted_image_is_the_same_in_its_own_axes() -> None:
    data = np.arange(24.0).reshape(2, 3, 4)
    upright = np.array([[1.5, 0, 0, -3], [0, 2, 0, 5], [0, 0, 2.5, 7], [0, 0, 0, 1]])
    tilted = rigid((3, -5, 4), (8, -6, 10)).matrix @ upright
    one, two = (in_own_axes(nib.Nifti1Image(data, affine)) for affine in (upright, tilted))
    assert np.array_equal(one[0].affine, two[0].affine)
    corner = np.array([[1.0, 2, 3]])
    for (laid, back), affine in ((one, upright), (two, tilted)):
        there = back.map(nib.affines.apply_affine(laid.affine, corner))
        np.testing.assert_allclose(there, nib.affines.apply_affine(affine, corner), atol=1e-6)
