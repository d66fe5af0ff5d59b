"""Steps that hand on what other programs made: small images with known truth."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.errors import DatasetError
from petfmri.images.resampling import Grid
from petfmri.images.transform_files import (
    read_affine,
    read_affines,
    read_warp,
    write_affine,
    write_affines,
    write_warp,
)
from petfmri.images.transforms import Affine, Warp, rigid
from petfmri.interfaces.adopt import AdoptAnatomy, AdoptBold, AdoptedSignals, AdoptPet
from petfmri.interfaces.pet import RegionalPet
from petfmri.study.files import read_table

N, SHAPE = 12, (8, 8, 6)
RAS = np.diag([4.0, 4, 4, 1])
LAS = RAS @ np.array([[-1.0, 0, 0, 7], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
OBLIQUE = rigid((3, -2, 5), (20, -10, 15)).matrix @ RAS
AFFINES = pytest.mark.parametrize("affine", [RAS, LAS, OBLIQUE], ids=["RAS", "LAS", "oblique"])
MOVE = rigid((2.0, -1.0, 3.0), (5.0, 0.0, -8.0))


@pytest.fixture
def save(tmp_path):
    def write(name, data, affine=RAS) -> str:
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(np.asarray(data, dtype=np.float32), affine), path)
        return str(path)

    return write


@pytest.fixture
def labels(save, tmp_path):
    """Left and right halves, with their table."""
    values = np.ones(SHAPE)
    values[4:] = 2
    table = pd.DataFrame({"index": [1, 2], "name": ["a", "b"]})
    table.to_csv(tmp_path / "regions.tsv", sep="\t", index=False)
    return values, str(tmp_path / "regions.tsv")


def confounds(path, n=N, dummies=2):
    columns = {"framewise_displacement": [np.nan] + [0.1] * (n - 1)}
    columns |= {f"non_steady_state_outlier{k:02d}": np.eye(n)[k] for k in range(dummies)}
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


@AFFINES
def test_an_anatomy_keeps_its_files_and_its_warp_its_place(save, tmp_path, affine):
    t1w = save("t1w", np.random.default_rng(1).random(SHAPE), affine)
    shift = Warp(np.tile(np.float32([3, -2, 1]), (*SHAPE, 1)), affine)
    write_warp(shift, tmp_path / "to.nii.gz")
    write_warp(~shift, tmp_path / "from.nii.gz")
    xfms = {
        "to_template": str(tmp_path / "to.nii.gz"),
        "from_template": str(tmp_path / "from.nii.gz"),
    }
    for given in ({}, {"to_template": xfms["to_template"]}, xfms):
        out = AdoptAnatomy(t1w=t1w, mask=t1w, **given).step(tmp_path)
        assert out["out_file"] == out["mask"] == t1w and "grey" not in out
        if given:
            points = Grid(SHAPE, affine).points()
            found = read_warp(out["to_template"]).map(points) - points
            np.testing.assert_allclose(found, [[3, -2, 1]] * len(points), atol=1e-4)
            back = read_warp(out["from_template"]).map(points) - points
            np.testing.assert_allclose(back, [[-3, 2, -1]] * len(points), atol=2e-3)
    other = save("other", np.zeros(SHAPE), affine + _shift(2))
    with pytest.raises(DatasetError, match="another grid"):
        AdoptAnatomy(t1w=t1w, mask=other).step(tmp_path)


def _shift(mm):
    matrix = np.zeros((4, 4))
    matrix[0, 3] = mm
    return matrix


def test_a_run_is_placed_whichever_way_its_transform_goes(save, tmp_path):
    bold = save("bold", np.ones((*SHAPE, N)))
    motion = [rigid((k / 10, 0, 0)) for k in range(N)]
    write_affines(motion, tmp_path / "motion_in.txt")
    write_affine(MOVE, tmp_path / "from-boldref_to-T1w.txt")  # T1w points to boldref points
    write_affine(~MOVE, tmp_path / "from-T1w_to-boldref.txt")
    table = confounds(tmp_path / "confounds.tsv")
    for name, moves_t1w in (("from-boldref_to-T1w", False), ("from-T1w_to-boldref", True)):
        out = AdoptBold(
            in_file=bold,
            xfm=str(tmp_path / f"{name}.txt"),
            xfm_moves_t1w=moves_t1w,
            motion=str(tmp_path / "motion_in.txt"),
            confounds=table,
        ).step(tmp_path)
        assert read_affine(out["xfm"]) == ~MOVE  # points of the reference to points of the T1w
        assert read_affines(out["motion"]) == motion
        assert out["dummy"] == 2 and out["confounds"] == table
        assert nib.load(out["reference"]).shape == SHAPE
        fd = read_table(out["parameters"])["framewise_displacement"]
        np.testing.assert_allclose(fd[1:], 0.1, atol=1e-6)
    assert AdoptBold(in_file=bold, confounds=table, dummy_scans=4).step(tmp_path)["dummy"] == 4
    (tmp_path / "header.nii").write_bytes(gzip.decompress(Path(bold).read_bytes())[:352])
    reference = save("reference", np.ones(SHAPE))
    named = AdoptBold(in_file=str(tmp_path / "header.nii"), reference=reference, dummy_scans=4)
    assert named.step(tmp_path)["dummy"] == 4  # a number needs no look at the volumes
    write_affines(motion[:-1], tmp_path / "short.txt")
    with pytest.raises(DatasetError, match=r"short\.txt: found 11 .* expected 12"):
        AdoptBold(in_file=bold, motion=str(tmp_path / "short.txt")).step(tmp_path)


@AFFINES
def test_signals_of_preprocessed_volumes_are_plain_means(save, labels, tmp_path, affine):
    values, regions = labels
    rng = np.random.default_rng(3)
    course = {1: 100 + rng.normal(size=N), 2: 200 + rng.normal(size=N)}
    series = np.stack(
        [np.choose(values.astype(int), [0, course[1][k], course[2][k]]) for k in range(N)], -1
    )
    series += rng.normal(scale=0.1, size=series.shape)
    series[0, 0, 0, 3] = 0  # outside the field of view in one volume
    inside = np.ones(SHAPE, dtype=bool)
    inside[0, 0, 0] = False
    given = {
        "in_file": save("series", series, affine),
        "confounds": confounds(tmp_path / "confounds.tsv"),
        "regions": regions,
    }
    same = AdoptedSignals(**given, segmentation=save("labels", values, affine)).step(tmp_path)
    expected = {n: series[inside & (values == k)].mean(axis=0) for n, k in (("a", 1), ("b", 2))}
    moved = save("moved", values, (~MOVE).matrix @ affine)  # the T1w lies elsewhere
    write_affine(~MOVE, tmp_path / "xfm.txt")
    native = AdoptedSignals(**given, segmentation=moved, xfm=str(tmp_path / "xfm.txt"))
    for out in (same, native.step(tmp_path)):
        found = read_table(out["series"])
        for name, mean in expected.items():
            np.testing.assert_allclose(found[name], mean, rtol=1e-5)
        assert read_table(out["coverage"])["coverage"].round(3).tolist() == [0.995, 1.0]
    with pytest.raises(DatasetError, match="expected 12"):
        wrong = given | {"confounds": confounds(tmp_path / "other.tsv", n=9)}
        AdoptedSignals(**wrong, segmentation=moved).step(tmp_path)


@AFFINES
def test_preprocessed_volumes_have_a_carpet_and_a_noise(save, labels, tmp_path, affine):
    values, regions = labels
    values[:, :, 0] = 0
    deep = np.zeros(SHAPE)
    deep[:2, :, 0] = 1
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(*SHAPE, 200))
    series = 500 + 10 * noise + 5000 * (np.arange(200) < 3)  # three dummies
    write_affine(~MOVE, tmp_path / "xfm.txt")
    moved = (~MOVE).matrix @ affine  # the T1w lies elsewhere
    given = {
        "in_file": save("series", series, affine),
        "confounds": confounds(tmp_path / "confounds.tsv", n=200),
        "regions": regions,
        "segmentation": save("labels", values, moved),
        "xfm": str(tmp_path / "xfm.txt"),
        "dummy": 3,
    }
    white = save("white", deep, moved)
    out = AdoptedSignals(**given, deep_white=white).step(tmp_path)
    assert read_table(out["scores"])["tsnr"].item() == pytest.approx(50, rel=0.05)
    carpet = read_table(out["carpet"])
    assert len(carpet) == 200 and sum(name.startswith("WM") for name in carpet) == 16
    assert not any(name.startswith("CSF") for name in carpet)
    np.testing.assert_allclose(carpet[3:].std(ddof=0), 1, atol=0.01)
    # Each row of so few white-matter voxels is one voxel.
    rows = [name for name in carpet if name.startswith("WM")]
    own = noise[:2, :, 0, 3:].reshape(16, -1)
    linked = np.corrcoef(np.vstack([carpet.loc[3:, rows].to_numpy().T, own]))[:16, 16:]
    assert (linked.max(axis=1) > 0.98).all()


SIDECAR = {
    "FrameTimesStart": [0, 600, 1200],
    "FrameDuration": [600, 600, 600],
    "InjectionStart": 0,
    "ScanStart": 0,
    "TimeZero": "10:00:00",
    "Units": "Bq/mL",
    "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0,
    "TracerRadionuclide": "C11",
}


def test_a_scan_is_handed_on_with_or_without_its_motion(save, tmp_path):
    raw = save("pet", np.ones((*SHAPE, 3)))
    series = save("series", np.full((*SHAPE, 3), [1.0, 2.0, 6.0]))
    write_affine(MOVE, tmp_path / "petref_to_T1w.txt")
    write_affines([Affine(), rigid((1, 0, 0)), rigid((2, 0, 0))], tmp_path / "moved.txt")
    out = AdoptPet(
        in_file=raw,
        sidecar=SIDECAR,
        series=series,
        series_in_t1w=True,
        reference=raw,
        xfm=str(tmp_path / "petref_to_T1w.txt"),
        motion=str(tmp_path / "moved.txt"),
    ).step(tmp_path)
    assert read_affine(out["xfm"]) == ~MOVE and read_affine(out["series_xfm"]) == Affine()
    assert len(read_affines(out["motion"])) == 3
    alone = AdoptPet(in_file=raw, sidecar=SIDECAR, series=series, series_in_t1w=True).step(tmp_path)
    assert read_affine(alone["xfm"]) == Affine() and "motion" not in alone
    np.testing.assert_allclose(nib.load(alone["reference"]).get_fdata(), 3.0)
    assert read_table(alone["confounds"])["framewise_displacement"].isna().all()


@AFFINES
def test_preprocessed_frames_give_their_own_means_and_zeros_are_not_seen(
    save, labels, tmp_path, affine
):
    values, regions = labels
    frames = np.stack([np.where(values == 1, 1000.0 * k, 3000.0 * k) for k in (1, 2, 3)], -1)
    frames[:, :2] = 0  # cut off by the field of view
    segmentation, everywhere = save("labels", values, affine), save("mask", np.ones(SHAPE), affine)
    write_affine(Affine(), tmp_path / "same.txt")
    given = {
        "in_file": save("series", frames, affine),
        "sidecar": SIDECAR,
        "xfm": str(tmp_path / "same.txt"),
        "segmentation": segmentation,
        "regions": regions,
        "reference_mask": save("ref", (values == 1) & (frames[..., 0] > 0), affine),
        "brain_mask": everywhere,
        "reference_name": "wholebrain",
        "window_s": (600.0, 1800.0),
    }
    out = RegionalPet(**given).step(tmp_path)
    tacs, table = read_table(out["tacs"]), read_table(out["table"])
    np.testing.assert_allclose(tacs["a"], [1, 2, 3], rtol=1e-5)
    np.testing.assert_allclose(tacs["b"], [3, 6, 9], rtol=1e-5)
    np.testing.assert_allclose(table["suvr"], [1, 3], rtol=1e-5)
    np.testing.assert_allclose(table["coverage"], 0.75)

    curves = pd.DataFrame({"frame_start": [0, 600, 1200], "frame_end": [600, 1200, 1800]})
    curves = curves.assign(a=[1100.0, 2200, 3300], b=[3000.0, 6000, 9000])
    curves.to_csv(tmp_path / "own_tacs.tsv", sep="\t", index=False)
    (tmp_path / "own_tacs.json").write_text(json.dumps({"Units": "Bq/mL"}))
    out = RegionalPet(**given, curves=str(tmp_path / "own_tacs.tsv")).step(tmp_path)
    np.testing.assert_allclose(read_table(out["tacs"])["a"], [1.1, 2.2, 3.3], rtol=1e-6)
    np.testing.assert_allclose(read_table(out["table"])["suvr"], [1.1, 3], rtol=1e-5)
