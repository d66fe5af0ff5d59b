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
