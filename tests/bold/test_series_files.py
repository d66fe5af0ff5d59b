from __future__ import annotations

import gzip

import numpy as np
import pytest
from scipy.io import savemat

from petfmri.bold.series_files import read_run, read_series
from petfmri.errors import DatasetError
from petfmri.study.run_inputs import RunInput


@pytest.fixture
def series(rng):
    return rng.normal(size=(7, 3)).round(6)


def text(series, separator, header=""):
    rows = [separator.join(f"{value:.6f}" for value in row) for row in series]
    return "\n".join([header] * bool(header) + rows) + "\n"


@pytest.mark.parametrize("header", ["", "Vis_1\tVis_2\tDefault_1"])
def test_tables_with_and_without_header(series, tmp_path, header):
    (tmp_path / "run.tsv").write_text(text(series, "\t", header))
    np.testing.assert_allclose(read_series(tmp_path / "run.tsv"), series)
    (tmp_path / "run.csv").write_text(text(series, ",", header.replace("\t", ",")))
    np.testing.assert_allclose(read_series(tmp_path / "run.csv"), series)
    with gzip.open(tmp_path / "run.csv.gz", "wt") as file:
        file.write(text(series, ",", header.replace("\t", ",")))
    np.testing.assert_allclose(read_series(tmp_path / "run.csv.gz"), series)


def test_missing_values_are_nan(tmp_path):
    (tmp_path / "run.tsv").write_text("a\tb\n1\tn/a\n2\tn/a\n")
    np.testing.assert_array_equal(read_series(tmp_path / "run.tsv"), [[1, np.nan], [2, np.nan]])


def test_arrays(series, tmp_path):
    np.save(tmp_path / "run.npy", series)
    np.testing.assert_array_equal(read_series(tmp_path / "run.npy"), series)
    savemat(tmp_path / "run.mat", {"V_roi": series, "tr": 2.0})
    np.testing.assert_array_equal(read_series(tmp_path / "run.mat"), series)
    np.testing.assert_array_equal(read_series(tmp_path / "run.mat", "V_roi"), series)


def test_a_matlab_file_of_two_matrices_needs_the_key(series, tmp_path):
    savemat(tmp_path / "run.mat", {"raw": series, "clean": 2 * series})
    with pytest.raises(DatasetError, match=r"raw \(7, 3\), clean \(7, 3\)"):
        read_series(tmp_path / "run.mat")
    with pytest.raises(DatasetError, match="the key V_roi"):
        read_series(tmp_path / "run.mat", "V_roi")
    np.testing.assert_array_equal(read_series(tmp_path / "run.mat", "clean"), 2 * series)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.tsv", b"1\t2\n3\toops\n", "'oops' in line 2, column 2"),
        ("run.csv", b"1,2\n3,4,5\n", "cannot be read"),
        ("run.csv", b"", "cannot be read"),
        ("run.tsv", b"1\n2\n3\n", "shape"),
        ("run.npy", b"not an array", "cannot be read"),
        ("run.mat", b"not a matrix", "cannot be read"),
        ("run.csv.gz", b"not gzip", "cannot be read"),
        ("run.xlsx", b"", "a .xlsx file"),
    ],
)
def test_refuses_what_it_cannot_read(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_series(tmp_path / name)


def test_refuses_an_absent_file(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read_series(tmp_path / "run.tsv")


def test_real_files(shared_data):
    lsd = shared_data / "fmri" / "lsd_ds003059" / "SchaeferTian232"
    for path in sorted(lsd.glob("*.mat")):
        assert read_series(path, "V_roi").shape == (217, 232)
    (lemon,) = (shared_data / "fmri" / "lemon_rest").glob("*.csv.gz")
    assert read_series(lemon).shape == (652, 200)


def run_of(path):
    return RunInput("sub-01", "ses-pre", None, path, None, None, denoised=True)


def test_columns_follow_the_atlas_by_name_or_by_position(series, tmp_path):
    (tmp_path / "run.tsv").write_text(text(series, "\t", "b\tc\ta"))
    read = read_run(run_of(tmp_path / "run.tsv"), ["a", "b", "c"])
    np.testing.assert_allclose(read.series, series[:, [2, 0, 1]])
    assert read.kept.all()
    (tmp_path / "run.tsv").write_text(text(series, "\t", "0\t1\t2"))
    np.testing.assert_allclose(read_run(run_of(tmp_path / "run.tsv"), "abc").series, series)
    np.save(tmp_path / "run.npy", series)
    np.testing.assert_allclose(read_run(run_of(tmp_path / "run.npy"), "abc").series, series)


def test_columns_without_signal_are_missing_parcels(series, tmp_path):
    series[:, 0], series[3, 1] = 0, np.nan
    np.save(tmp_path / "run.npy", series)
    read = read_run(run_of(tmp_path / "run.npy"), "abc")
    assert read.missing == {0: "one value in all frames", 1: "no value in 1 of 7 frames"}
    np.testing.assert_array_equal(np.isnan(read.series).all(axis=0), [True, True, False])
    np.save(tmp_path / "run.npy", 0 * series)
    with pytest.raises(DatasetError, match="no parcel with values"):
        read_run(run_of(tmp_path / "run.npy"), "abc")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Vis_1", "Vis_3", "Default_1"], "'Vis_3' absent; 'Vis_2' unknown.*'Vis_3' is 'Vis_"),
        (["Vis_1", "Vis_2"], "'Default_1' unknown to the atlas table; expected the 2 names"),
    ],
)
def test_names_that_are_not_the_atlas(series, tmp_path, names, message):
    (tmp_path / "run.tsv").write_text(text(series, "\t", "Vis_1\tVis_2\tDefault_1"))
    with pytest.raises(DatasetError, match=message):
        read_run(run_of(tmp_path / "run.tsv"), names)


def test_positions_need_the_right_count(series, tmp_path):
    np.save(tmp_path / "run.npy", series)
    with pytest.raises(DatasetError, match="3 columns without names; expected 2"):
        read_run(run_of(tmp_path / "run.npy"), "ab")
    with pytest.raises(DatasetError, match="Transpose it"):
        read_run(run_of(tmp_path / "run.npy"), "abcdefg")
