from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.study.files import read_json, read_table, write_json, write_table, written_beside


def test_a_failed_write_leaves_the_old_file_and_nothing_beside(tmp_path):
    target = tmp_path / "table.tsv"
    target.write_text("old")
    with pytest.raises(RuntimeError), written_beside(target) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_tables_survive_the_round_trip_with_missing_values_and_padded_ids(tmp_path):
    table = pd.DataFrame(
        {"participant_id": ["01", "02"], "age": [30.5, np.nan], "arm": [None, "a"]}
    )
    path = write_table(table, tmp_path / "t.tsv", {"age": {"Description": "age", "Units": "year"}})
    assert "n/a" in path.read_text()
    read = read_table(path)
    assert read["participant_id"].tolist() == ["01", "02"]
    assert read["age"].iloc[0] == 30.5
    assert read.isna().to_numpy().sum() == 2
    assert list(read_json(path.with_suffix(".json"))) == ["age"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_line_ends_are_read(tmp_path, ends):
    path = tmp_path / "t.tsv"
    path.write_bytes(f"﻿a\tb{ends}1\tx{ends}".encode())
    assert read_table(path, ("a", "b")).to_dict("list") == {"a": [1], "b": ["x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 lines"),
        (b"a\tb\n", "1 lines"),
        (b"a\tb\n1\n", "line 2: found 1 columns; expected 2"),
        (b"a,b\n1,2\n", "columns a,b; expected also a"),
        (b"a\tb\n\xff\t2\n", "UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "t.tsv"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_table(path, ("a",))


def test_json_refuses_nan_arrays_and_damage(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": np.nan}, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
    (tmp_path / "b.json").write_text("[1]")
    (tmp_path / "c.json").write_text('{"a": 1,}')
    for name, found in (("b", "list"), ("c", "invalid JSON"), ("d", "no such file")):
        with pytest.raises(DatasetError, match=found):
            read_json(tmp_path / f"{name}.json")


def test_a_column_is_numeric_only_if_every_given_cell_is(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a\tb\tc\td\te\n1\t1.5\tn/a\tNaN\tx\n2\tn/a\tN/A\t3\t4\n")
    table = read_table(path)
    assert table["a"].tolist() == [1, 2]
    assert table["a"].dtype == np.int64
    assert table["b"].iloc[0] == 1.5
    assert table["c"].isna().all()
    assert table["d"].tolist() == ["NaN", "3"]
    assert table["e"].tolist() == ["x", "4"]


def test_a_column_named_twice_is_refused(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("a\ta\n1\t2\n")
    with pytest.raises(DatasetError, match="column a twice"):
        read_table(path)
