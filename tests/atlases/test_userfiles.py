"""A user's own atlas: read whatever its grid, and everything that is wrong said at once."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import load_atlas
from petfmri.errors import DatasetError

TABLE = pd.DataFrame(
    {
        "index": [1, 2, 7],
        "name": ["Left", "Right", "Middle"],
        "network": ["Default", "Default", "Vis"],
        "hemisphere": ["L", "R", "B"],
        "structure": ["cortex", "cortex", "subcortex"],
    }
)
RAS = np.array([[4.0, 0, 0, -78], [0, 4, 0, -112], [0, 0, 4, -70], [0, 0, 0, 1]])


def oblique():
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    return turn @ RAS


def anisotropic():
    return np.array([[3.0, 0, 0, -78], [0, 4, 0, -112], [0, 0, 5, -70], [0, 0, 0, 1]])


def las():
    return RAS @ np.array([[-1.0, 0, 0, 39], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def labels_on(affine, shape=(40, 48, 40)):
    """Two boxes beside and one on the midline, drawn in mm."""
    i, j, k = np.indices(shape)
    x, y, z = np.moveaxis(np.stack([i, j, k, np.ones(shape)], -1) @ affine[:3].T, -1, 0)
    values = np.zeros(shape, np.int16)
    box = (np.abs(y) < 20) & (np.abs(z) < 20)
    values[box & (x > -40) & (x < -20)] = 1
    values[box & (x < 40) & (x > 20)] = 2
    values[box & (np.abs(x) < 8)] = 7
    return values


@pytest.fixture
def write(tmp_path):
    def write_atlas(values=None, affine=RAS, table=TABLE, text=None, name="mine_dseg"):
        values = labels_on(affine) if values is None else values
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(values, affine), path)
        text = table.to_csv(sep="\t", index=False) if text is None else text
        (tmp_path / f"{name}.tsv").write_bytes(text.encode())
        return path

    return write_atlas


def problems_of(path, table=None):
    with pytest.raises(DatasetError) as caught:
        load_atlas(path, table)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("affine", [RAS, las(), oblique(), anisotropic()])
def test_own_atlas_on_any_grid(write, affine):
    path = write(affine=affine)
    atlas = load_atlas(path)
    assert atlas.name == "mine_dseg"
    pd.testing.assert_frame_equal(atlas.table, TABLE)
    np.testing.assert_array_equal(np.asanyarray(atlas.image.dataobj), labels_on(affine))
    np.testing.assert_allclose(atlas.image.affine, affine, atol=1e-5)


def test_table_elsewhere_and_further_columns(write, tmp_path):
    path = write()
    elsewhere = tmp_path / "other" / "regions.tsv"
    elsewhere.parent.mkdir()
    TABLE.assign(color="#ff0000")[["color", *TABLE]].to_csv(elsewhere, sep="\t", index=False)
    path.with_name("mine_dseg.tsv").unlink()
    pd.testing.assert_frame_equal(load_atlas(path, elsewhere).table, TABLE)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_any_line_ends(write, end):
    text = TABLE.to_csv(sep="\t", index=False).replace("\n", end)
    pd.testing.assert_frame_equal(load_atlas(write(text="\ufeff" + text)).table, TABLE)


def test_float_labels_and_a_fourth_dimension_of_one_are_fine(write):
    values = labels_on(RAS).astype(np.float32)[..., None]
    image = load_atlas(write(values)).image
    assert image.shape == (40, 48, 40)
    assert np.asanyarray(image.dataobj).dtype == np.int32


def test_all_problems_of_a_table_at_once(write):
    table = pd.DataFrame(
        {
            "index": ["1", "1", "2.5", "x"],
            "name": ["a", "b", "b", ""],
            "network": ["Vis", "n/a", "Vis", "Vis"],
            "hemisphere": ["L", "left", "R", "R"],
            "structure": ["cortex", "cortex", "cortx", "cortex"],
        }
    )
    problems = problems_of(write(table=table))
    assert len(problems) == 7
    for told in (
        "index: found 2.5, x; expected whole numbers",
        "index: found 1 more than once",
        "name: found b more than once",
        "name: found 1 empty",
        "network: found 1 empty",
        "hemisphere: found left; expected one of L, R, B",
        "structure: found cortx; expected one of cortex",
    ):
        assert any(told in problem for problem in problems), told


def test_labels_and_rows_that_do_not_match_are_told_both_ways(write):
    table = TABLE.assign(index=[1, 2, 8])
    problems = problems_of(write(table=table))
    assert "labels 7 without a row" in problems[0]
    assert "index 8 without a voxel" in problems[1]


def test_problems_of_image_and_table_come_together(write):
    values = labels_on(RAS).astype(np.float32)
    values[0, 0, 0] = np.nan
    problems = problems_of(write(values, text="index\tname\n1\ta\n"))
    assert len(problems) == 2
    assert "NaN" in problems[0]
    assert "also network, hemisphere, structure" in problems[1]


def test_ragged_and_empty_tables(write):
    good = TABLE.to_csv(sep="\t", index=False)
    ragged = good.replace("\tR\t", "\t")
    assert "line 3: found 4 columns; expected 5" in problems_of(write(text=ragged))[0]
    assert "no rows" in problems_of(write(text=good.split("\n")[0]))[0]
    commas = good.replace("\t", ",")
    assert "also index, name, network, hemisphere, structure" in problems_of(write(text=commas))[0]


def test_missing_table(write):
    path = write()
    path.with_name("mine_dseg.tsv").unlink()
    assert "mine_dseg.tsv: found no such file" in problems_of(path)[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: v + np.float32(0.4) * (v == 2), "not integers"),
        (lambda v: v - 1, "negative label -1"),
        (lambda v: v * 0, "no label above 0"),
        (lambda v: np.stack([v, v], -1), "4 dimensions"),
        (lambda v: np.where(v == 2, np.inf, v), "NaN or infinite"),
    ],
)
def test_unusable_label_images(write, change, told):
    assert told in problems_of(write(change(labels_on(RAS))))[0]


def test_truncated_image(write):
    path = write()
    path.write_bytes(path.read_bytes()[:500])
    assert "unreadable" in problems_of(path)[0]


def test_left_that_is_right_is_noticed(write):
    swapped = TABLE.assign(hemisphere=["R", "L", "B"])
    assert "2 of 2 regions on the other side" in problems_of(write(table=swapped))[0]


def test_labels_outside_the_standard_brain_are_noticed(write):
    affine = RAS.copy()
    affine[:3, 3] = 0  # a header without its origin
    assert (
        "inside the brain of MNI152NLin2009cAsym" in problems_of(write(labels_on(RAS), affine))[0]
    )
