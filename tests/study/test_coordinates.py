from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from petfmri.study.coordinates import UNSIGNED, read_coordinates


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_read_by_its_headings(tmp_path):
    path = write(
        tmp_path / "peaks.tsv",
        "PMID\tcontrast\tX\tY\tZ\tdirection\tspace\tn\n"
        "11\ta\t−10\t20.5\t30\tincreased\tMNI152\t20\n"
        "11\ta\t-12\t22\t30\thypo\tTAL\t20\n\n",
    )
    table, problems = read_coordinates([path])
    assert not problems
    assert table[["study", "direction", "space", "x", "row"]].values.tolist() == [
        ["11", "increase", "MNI", -10.0, 2],
        ["11", "decrease", "Talairach", -12.0, 3],
    ]


@pytest.mark.parametrize("mark", [",", ";"])
def test_csv_without_sign_or_space(tmp_path, mark):
    text = "study,x,y,z\nA,1,2,3\n".replace(",", mark)
    table, problems = read_coordinates([write(tmp_path / "a.csv", text)], space="Talairach")
    assert not problems
    assert table.loc[0, ["direction", "space"]].tolist() == [UNSIGNED, "Talairach"]
    assert not table.loc[0, "stated"]


def test_a_folder_of_sheets_is_one_study_each(tmp_path):
    folder = tmp_path / "peaks"
    folder.mkdir()
    for name in ("Li2001", "Wu2002"):
        sheet = pd.DataFrame([[-40, 20, 4, "left"], [42, 18, 6, "right"]])
        if name == "Wu2002":
            sheet[0] += 1
        sheet.to_excel(folder / f"{name}.xlsx", header=False, index=False)
    (folder / "~$Li2001.xlsx").write_text("a lock file")
    table, problems = read_coordinates([folder], direction="decrease")
    assert not problems
    assert table.groupby("study").size().to_dict() == {"Li2001": 2, "Wu2002": 2}
    assert set(table["direction"]) == {"decrease"}


def test_every_problem_of_every_file_at_once(tmp_path):
    bad = write(
        tmp_path / "bad.tsv",
        "study\tx\ty\tz\tdirection\tspace\n"
        "A\t1\t2\tabc\tincrease\tMNI\n"
        "A\t-10,5\t2\t3\tincrease\tMNI\n"
        "A\t1\t2\t3\tincrease\tscanner\n"
        "A\t1\t2\t3\tincrease\tscanner\n"
        "A\t1\t2\t3\tsideways\tMNI\n"
        "\t1\t2\t3\tincrease\tMNI\n",
    )
    other = write(tmp_path / "other.tsv", "a\tb\n1\t2\n")
    junk = write(tmp_path / "junk.xlsx", "no spreadsheet")
    empty = tmp_path / "empty"
    empty.mkdir()
    absent, word = tmp_path / "none.csv", write(tmp_path / "paper.docx", "")
    table, problems = read_coordinates([bad, other, junk, empty, absent, word])
    told = "\n".join(map(str, problems))
    assert table.empty and all(problem.severity == "error" for problem in problems)
    for part in (
        "row 2: found 'abc' for z",
        "row 3: found '-10,5' for x",
        "decimal points",
        "rows 4, 5: found the space 'scanner'",
        "row 6: found the direction 'sideways'",
        "row 7: found no study",
        "other.tsv: found columns a, b",
        "junk.xlsx",
        "no .tsv, .csv, .txt, .xlsx in this folder",
        "none.csv: found no such file",
        "a file in .docx",
    ):
        assert part in told


def test_a_sign_that_contradicts_the_list_of_the_file(tmp_path):
    path = write(tmp_path / "a.tsv", "study\tx\ty\tz\tdirection\nA\t1\t2\t3\tdecrease\n")
    _, problems = read_coordinates([path], direction="increase")
    assert "increase, as this file is listed" in str(problems[0])


def test_duplicates_are_warned_of(tmp_path):
    path = write(
        tmp_path / "a.tsv",
        "study\tx\ty\tz\nA\t1\t2\t3\nA\t1\t2\t3\nA\t4\t5\t6\nB\t1\t2\t3\nB\t4\t5\t6\n",
    )
    table, problems = read_coordinates([path])
    assert len(table) == 5
    assert [problem.severity for problem in problems] == ["warning", "warning"]
    assert "row 3" in str(problems[0]) and "the same peaks as A" in str(problems[1])


def test_the_published_peaks_of_16_studies(shared_data):
    folder = shared_data / "coordinates" / "fcnm_mo2024" / "peaks_state"
    table, problems = read_coordinates([folder])
    assert len(table) == 157 and table["study"].nunique() == 16
    assert [problem.severity for problem in problems] == ["warning"]
    first = table[table["study"] == "P09copolov2003"].iloc[0]
    assert first[["x", "y", "z"]].tolist() == [12.12, 18.88, 20.23]


def test_scraped_tables(shared_data):
    root = shared_data / "coordinates"
    table, problems = read_coordinates([root / "neurosynth_v7_ketamine.tsv"])
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    assert len(errors) == 1 and "'UNKNOWN'" in errors[0]
    assert {"MNI", "Talairach"} == set(table["space"]) and set(table["direction"]) == {UNSIGNED}
    table, problems = read_coordinates([root / "neuroquery_v1_ketamine.tsv"])
    assert len(table) == 217 and not any(problem.severity == "error" for problem in problems)
    assert table["study"].iloc[0] == "21035788"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("study,x,x,y,z", "columns x, x"),
        ("study,x,X,y,z", "columns x, X"),
        ("study,mni_x,y,z,tal_x", "columns mni_x, tal_x"),
    ],
)
def test_two_columns_of_one_meaning_are_refused(tmp_path, names, told):
    path = write(tmp_path / "a.csv", f"{names}\nA,1,2,3,4\n")
    table, problems = read_coordinates([path])
    assert table.empty and told in str(problems[0]) and problems[0].severity == "error"


def test_repeated_headings_that_are_not_used_move_nothing(tmp_path):
    text = "study,table,note,note,,x,y,z\nA,t1,a,b,c,1,2,3\nA,t2,a,b,c,4,5,6\n"
    table, problems = read_coordinates([write(tmp_path / "a.csv", text)])
    assert table[["contrast", "x", "y", "z"]].values.tolist() == [["t1", 1, 2, 3], ["t2", 4, 5, 6]]
    assert [problem.severity for problem in problems] == ["warning"]
    assert "not used: note, note" in str(problems[0])


def test_more_cells_than_headings_and_underscores(tmp_path):
    path = write(tmp_path / "a.csv", "study,x,y,z\nA,-10,5,2,3\nA,1_0,2,3\n")
    table, problems = read_coordinates([path])
    told = "\n".join(map(str, problems))
    assert table.empty and "row 2: found more cells" in told and "row 3: found '1_0'" in told


def test_sheets_that_hold_rows(tmp_path):
    path = tmp_path / "a.xlsx"
    sheet, none = pd.DataFrame({"x": [1], "y": [2], "z": [3]}), pd.DataFrame()
    for second, errors in ((none, 0), (sheet, 1)):
        with pd.ExcelWriter(path) as book:
            for name, content in (("up", sheet), ("down", second)):
                content.to_excel(book, sheet_name=name, index=False)
        table, problems = read_coordinates([path])
        assert (len(problems), len(table)) == (errors, 1 - errors)
    assert "up, down" in str(problems[0])


def test_files_of_one_name_are_not_one_study(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "Li.csv", "x,y,z\n1,2,3\n")
    files = [tmp_path / "a", tmp_path / "b"]
    _, problems = read_coordinates(files)
    told = str(problems[0])
    assert str(files[0] / "Li.csv") in told and str(files[1] / "Li.csv") in told
    for k, folder in enumerate(files):
        write(folder / "Li.csv", f"study,x,y,z\nLi,{k},2,3\n")
    table, problems = read_coordinates(files)
    assert not problems and len(table) == 2


def test_empty_files_and_spaces_are_called_so(tmp_path):
    files = [write(tmp_path / "a.txt", "\n"), write(tmp_path / "b.txt", "x y z\n1 2 3\n")]
    _, (empty, spaces) = read_coordinates(files)
    assert "found an empty file" in str(empty) and "separated by spaces" in str(spaces)
