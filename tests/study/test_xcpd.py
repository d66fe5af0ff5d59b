from __future__ import annotations

import json
import math

import numpy as np
import pytest

from petfmri.bold.series_files import read_run
from petfmri.errors import DatasetError
from petfmri.study.xcpd import find_xcpd, read_kept, read_xcpd_atlas

SESSIONS = ("ses-pre", "ses-post")
ATLAS = """index\tlabel\tnetwork_label\tlabel_7network\tatlas_name
1\tLH_Vis_1\tVis\t7Networks_LH_Vis_1\t4S156
2\tRH_Default_Par_1\tDefault\t7Networks_RH_Default_Par_1\t4S156
3\tLH-Pu\tn/a\tn/a\tCIT168Subcortical
4\tRH_Hippocampus\tn/a\tn/a\tSubcorticalHCP
5\tCerebellar_Region1\tn/a\tn/a\tCerebellum
"""
NAMES = ("LH_Vis_1", "RH_Default_Par_1", "LH-Pu", "RH_Hippocampus", "Cerebellar_Region1")
CENSORED = np.array([0, 0, 1, 0, 0, 1, 0, 0])


def write_run(root, sub, ses, *, run="", entity="seg", cut=True, values=None):
    """One run as XCP-D names it, 8 frames with two censored, the third parcel not covered."""
    func = root / f"sub-{sub}" / f"ses-{ses}" / "func"
    func.mkdir(parents=True, exist_ok=True)
    stem = f"sub-{sub}_ses-{ses}_task-rest{run}"
    rng = np.random.default_rng(len(run))
    values = rng.normal(size=(8, 5)) if values is None else values
    lines = [[f"{value:.6f}" for value in row] for row in values[CENSORED == 0] if cut] or [
        [f"{value:.6f}" for value in row] for row in values
    ]
    rows = [list(NAMES), *[[*row[:2], "n/a", *row[3:]] for row in lines]]
    name = f"{stem}_space-MNI152NLin2009cAsym_{entity}-4S156Parcels_stat-mean_timeseries"
    (func / f"{name}.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    (func / f"{name}.json").write_text('{"SamplingFrequency": "TR"}')
    (func / f"{stem}_space-MNI152NLin2009cAsym_res-2_desc-denoised_bold.json").write_text(
        json.dumps(
            {
                "RepetitionTime": 2.0,
                "NuisanceParameters": "36P",
                "SoftwareFilters": {"Bandpass filter": {"Low-pass cutoff (Hz)": 0.08}},
            }
        )
    )
    flags = "\n".join(f"{flag}\t0" for flag in CENSORED)
    (func / f"{stem}_outliers.tsv").write_text(f"framewise_displacement\texact_5\n{flags}\n")
    fd = "\n".join(f"0.0\t{0.1 + 0.4 * flag}" for flag in CENSORED)
    (func / f"{stem}_motion.tsv").write_text(f"trans_x\tframewise_displacement\n{fd}\n")
    return values.round(6)


@pytest.fixture
def old(tmp_path):
    """As XCP-D 0.7 to 0.14."""
    folder = tmp_path / "atlases" / "atlas-4S156Parcels"
    folder.mkdir(parents=True)
    (folder / "atlas-4S156Parcels_dseg.tsv").write_text(ATLAS)
    return tmp_path


@pytest.mark.parametrize("cut", [True, False])
def test_censored_frames_are_dropped_once(old, cut):
    """Cut away as in the mode linc, interpolated as in abcd: one result."""
    values = write_run(old, "01", "pre", cut=cut)
    write_run(old, "01", "post", cut=cut)
    (run, other), warnings = find_xcpd(old, SESSIONS, "rest", "4S156Parcels")
    assert (run.participant, run.session, run.run) == ("sub-01", "ses-pre", None)
    assert (run.tr_s, run.denoised, run.confounds) == (2.0, True, None)
    assert run.mean_fd == pytest.approx(0.2)
    assert '"NuisanceParameters": "36P"' in run.denoising
    assert run.denoising == other.denoising
    assert not warnings
    table = read_xcpd_atlas(run.parcels)
    read = read_run(run, table["name"].tolist())
    expected = values[CENSORED == 0]
    expected[:, 2] = np.nan
    np.testing.assert_array_equal(read.series, expected)
    assert read.missing == {2: "no value in the file"}
    np.testing.assert_array_equal(read.kept, CENSORED == 0)


def test_names_of_version_26_and_joined_runs(tmp_path):
    folder = tmp_path / "sourcedata" / "atlases" / "tpl-MNI152NLin2009cAsym"
    folder.mkdir(parents=True)
    table = folder / "tpl-MNI152NLin2009cAsym_atlas-4S156Parcels_res-01_dseg.tsv"
    table.write_text(ATLAS.replace("label", "name", 1))
    for ses in ("pre", "post"):
        for run in ("_run-1", "_run-02", ""):
            write_run(tmp_path, "01", ses, run=run, entity="atlas")
    runs, _ = find_xcpd(tmp_path, SESSIONS, "rest", "4S156Parcels")
    assert [(run.session, run.run) for run in runs] == [
        ("ses-pre", "1"),
        ("ses-pre", "2"),
        ("ses-post", "1"),
        ("ses-post", "2"),
    ]
    assert {run.parcels for run in runs} == {table}
    assert read_xcpd_atlas(table)["name"].tolist() == list(NAMES)


def test_without_censoring_motion_or_sidecar(old):
    write_run(old, "01", "pre", cut=False)
    write_run(old, "01", "post")
    for end in ("outliers.tsv", "motion.tsv", "desc-denoised_bold.json"):
        next(old.glob(f"sub-01/ses-pre/func/*_{end}")).unlink()
    run = find_xcpd(old, SESSIONS, "rest", "4S156Parcels")[0][0]
    assert (run.tr_s, run.kept) == (None, None)
    assert math.isnan(run.mean_fd)
    assert read_run(run, NAMES).series.shape == (8, 5)


def test_the_atlas_as_ours(old):
    table = read_xcpd_atlas(old / "atlases" / "atlas-4S156Parcels" / "atlas-4S156Parcels_dseg.tsv")
    assert table.to_numpy().tolist() == [
        [1, "LH_Vis_1", "Vis", "L", "cortex"],
        [2, "RH_Default_Par_1", "Default", "R", "cortex"],
        [3, "LH-Pu", "Subcortex", "L", "subcortex"],
        [4, "RH_Hippocampus", "Subcortex", "R", "subcortex"],
        [5, "Cerebellar_Region1", "Cerebellum", "B", "cerebellum"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index\tlabel\n1\tRight_V1\n", "no parcel with a network"),
        ("index\tlabel\tnetwork_label\n1\tA\tVis\n2\tA\tVis\n", "A twice"),
        ("index\tnetwork_label\n1\tVis\n", "also label"),
    ],
)
def test_refuses_other_tables(tmp_path, text, message):
    (tmp_path / "atlas.tsv").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_xcpd_atlas(tmp_path / "atlas.tsv")


def test_refuses_what_contradicts_itself(old):
    write_run(old, "01", "pre")
    write_run(old, "01", "post")
    write_run(old, "02", "pre")
    (old / "sub-03").mkdir()
    runs, warnings = find_xcpd(old, SESSIONS, "rest", "4S156Parcels")
    assert [warning.where for warning in warnings] == ["sub-02", "sub-03", "sub-03"]
    outliers = runs[0].kept
    outliers.write_text("framewise_displacement\n0\n1\n1\n0\n0\n0\n0\n")
    with pytest.raises(DatasetError, match=r"6 rows; expected 7 as .* or the 5 that it keeps"):
        read_run(runs[0], NAMES)
    outliers.write_text("framewise_displacement\n0\n0.3\n")
    with pytest.raises(DatasetError, match=r"0\.3; expected 0 for a kept frame"):
        read_kept(outliers)
    with pytest.raises(DatasetError, match=r"nearest name is .*seg-4S156Parcels"):
        find_xcpd(old, SESSIONS, "rest", "4S256Parcels")
    other = runs[0].series
    twin = other.with_name(other.name.replace("MNI152NLin2009cAsym", "fsLR"))
    twin.write_bytes(other.read_bytes())
    with pytest.raises(DatasetError, match=r"MNI152.* and .*fsLR.*one file"):
        find_xcpd(old, SESSIONS, "rest", "4S156Parcels")
    assert len(find_xcpd(old, SESSIONS[:1], "rest", "4S156Parcels", space="fsLR")[0]) == 1
