"""Which matrices the page of `petfmri compare` shows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from petfmri.commands.compare_edges import read_matrices
from petfmri.config import load_study
from petfmri.networks.connectivity import fisher_z
from petfmri.study.files import write_table

NAMES = ["a", "b", "c"]


def matrix(r):
    values = np.full((3, 3), r)
    np.fill_diagonal(values, 1.0)
    return values


def test_pearson_of_the_studys_atlas_beside_other_files(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("name: x\nbids: bids\noutput: out\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub-01.html").write_text("a page")
    for session, r in (("pre", 0.5), ("post", 0.3)):
        stem = tmp_path / f"out/sub-01/ses-{session}/func/sub-01_ses-{session}_task-rest_seg-"
        for end, value in (
            ("Schaefer200_stat-pearsoncorrelation", r),
            ("Schaefer200_stat-partialcorrelation", 0.1),
            ("Another_stat-pearsoncorrelation", 0.2),
        ):
            table = pd.DataFrame(matrix(value), columns=NAMES)
            table.insert(0, "name", NAMES)
            write_table(table, stem.with_name(f"{stem.name}{end}_relmat.tsv"))
    regions = pd.DataFrame({"region": NAMES, "network": ["Vis", "Vis", "Default"]})
    found = read_matrices(load_study(path), regions).means()
    for role, r in (("pre", 0.5), ("post", 0.3)):
        np.testing.assert_allclose(found[role], fisher_z(matrix(r)), atol=1e-12)
    assert found["networks"] == ["Vis", "Vis", "Default"]
