"""`petfmri localize` from the command line, on people with a network in front and one at the back."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import load_atlas
from petfmri.cli import main
from petfmri.commands.localize_inputs import mni_grid
from petfmri.errors import DatasetError
from petfmri.images.resampling import carry_labels
from petfmri.images.transforms import Affine
from petfmri.localization.preview import read_connectome
from petfmri.study.files import read_table

GRID_MM = 8
FRONT = [(-40, 30, 20), (44, 28, 12), (-8, 52, 8), (6, 40, 30), (30, 50, -8), (-30, 46, 24)]
BACK = [(-30, -80, 10), (34, -76, 4), (-8, -88, 20), (12, -70, 40), (-44, -62, -8), (20, -60, 56)]


def write_coordinates(path: Path, studies: int = 4) -> Path:
    """Two peaks per contrast: increases in front, decreases at the back."""
    rows = [
        (f"{name}{k}", *side[(k + step) % 6], name, "MNI")
        for name, side in (("increase", FRONT), ("decrease", BACK))
        for k in range(studies)
        for step in (0, 2)
    ]
    table = pd.DataFrame(rows, columns=["study", "x", "y", "z", "direction", "space"])
    table.to_csv(path, sep="\t", index=False)
    return path


def write_people(folder: Path, people: int = 6) -> None:
    folder.mkdir()
    grid, rng = mni_grid(GRID_MM), np.random.default_rng(5)
    front = (grid.points()[:, 1] > -20).reshape(grid.shape)
    for number in range(people):
        courses = rng.normal(size=(2, 60))
        signal = np.where(front[..., None], courses[0], courses[1])
        noise = 1.5 * rng.normal(size=(*grid.shape, 60))
        image = nib.Nifti1Image((1000 + 10 * (signal + noise)).astype(np.float32), grid.affine)
        nib.save(image, folder / f"sub-{number:02d}_bold.nii")


def write_study(folder: Path, section: str, more: str = "") -> Path:
    path = folder / "study.yaml"
    path.write_text(f"name: Front and back\noutput: out\n{more}localization:\n{section}")
    return path


def call(path: Path, verb: str = "localize") -> int:
    return main([verb, str(path)] + ["--profile", "linear"] * (verb == "localize"))


OPTIONS = f"  grid_mm: {GRID_MM}\n  min_cluster_voxels: 3\n  nulls: 39\n  radii_mm: [4]\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A study after the first call."""
    folder = tmp_path_factory.mktemp("localize")
    write_coordinates(folder / "peaks.tsv")
    write_people(folder / "people")
    text = "  coordinates: peaks.tsv\n  normative: {images: 'people/sub-{subject}_bold.nii', store: store}\n"
    path = write_study(folder, text + OPTIONS)
    assert call(path) == 0
    return folder


def image(folder: Path, name: str) -> np.ndarray:
    path = folder / "out/group/localize" / f"space-MNI152NLin2009cAsym_{name}.nii.gz"
    return np.asarray(nib.load(path).dataobj)


def test_each_direction_finds_its_network(done):
    front = (mni_grid(GRID_MM).points()[:, 1] > -20).reshape(
        image(done, "desc-increase_mask").shape
    )
    brain = image(done, "stat-degree_boldmap") > 0
    for name, side in (("increase", front), ("decrease", ~front)):
        found = image(done, f"desc-{name}_mask") > 0
        assert found[brain & side].mean() > 0.9
        assert found[brain & ~side].mean() < 0.1
        assert image(done, f"desc-{name}_stat-p_boldmap")[~brain].min() == 1
    labels = read_table(done / "out/group/localize/labels.tsv").iloc[0]
    assert labels["p_maps"] == pytest.approx(2 / 70) and labels["exact"] == "True"


def test_everything_that_critics_ask_for_is_there(done):
    folder = done / "out/group/localize"
    tables = {path.stem: read_table(path) for path in folder.glob("*.tsv")}
    assert set(tables) == {
        *("contrasts", "peaks", "clusters", "networks", "specificity", "similarity"),
        *("null", "labels", "studies", "variants"),
    }
    assert len(tables["null"]) == 2 * 39 and len(tables["studies"]) == 8
    assert tables["specificity"]["p_smallest"].tolist() == pytest.approx([1 / 40] * 2)
    assert "degree" in set(tables["similarity"]["reference"])
    outside = tables["peaks"]["used"] == "outside the mask, not used"
    assert outside.sum() == tables["contrasts"]["peaks_outside"].sum() < 4
    for path in folder.rglob("*.nii.gz"):
        about = json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())
        assert about["NormativePeople"] == 6 and about["Description"]
    page = (folder / "localize.html").read_text()
    for text in ("nearly every place with a positive mean does", "Without each study", "6 normative people"):  # fmt: skip
        assert text in page
    assert "localize.html" in (done / "out/index.html").read_text()
    said = (folder / "verdict.txt").read_text()
    assert "Increase, 4 contrasts of 4 studies" in said and "(largest parts: " in said
    assert "% of draws" in said and "e+" not in said
    assert not list(folder.parent.glob(".localize*"))


def test_other_coordinates_need_no_images(done, tmp_path, capsys):
    write_coordinates(tmp_path / "others.tsv", studies=3)
    text = f"  coordinates: others.tsv\n  normative: {{store: {done / 'store'}}}\n"
    assert call(write_study(tmp_path, text + OPTIONS), "check") == 0
    assert "6 normative people" in capsys.readouterr().out
    assert call(write_study(tmp_path, text + OPTIONS)) == 0
    contrasts = read_table(tmp_path / "out/group/localize/contrasts.tsv")
    assert len(contrasts) == 6


def test_the_same_people_are_not_read_again(done, monkeypatch, capsys):
    monkeypatch.setattr("petfmri.localization.people.read_voxels", None)
    path = done / "again.yaml"
    path.write_text((done / "study.yaml").read_text() + "  overlap: 0.7\n")
    assert call(path) == 0
    assert "6 of 6 people are in the store" in capsys.readouterr().out
    path.write_text(path.read_text().replace("grid_mm: 8", "grid_mm: 7").replace("store}", "new}"))
    assert call(path) == 1  # another grid must be read, and cannot
    told = capsys.readouterr().err
    assert told.count("failed: sub-") == 6
    kept = (done / "out/group/localize/study.yaml").read_text()
    assert "grid_mm: 8" in kept and "overlap: 0.7" in kept  # the result before is whole


def test_parcel_series(tmp_path):
    atlas = write_atlas(tmp_path)
    rng = np.random.default_rng(3)
    grid = mni_grid(GRID_MM)
    labels = np.asarray(carry_labels(atlas, Affine(), grid, samples=3, least=1 / 3).dataobj)
    front = [grid.points()[labels.ravel() == k, 1].mean() > -20 for k in range(1, 41)]
    for number in range(5):
        courses = rng.normal(size=(2, 50))
        series = np.where(front, courses[0][:, None], courses[1][:, None]) + rng.normal(
            size=(50, 40)
        )
        np.save(tmp_path / f"sub-{number}_ts.npy", series)
    write_coordinates(tmp_path / "peaks.tsv", studies=3)
    text = "  coordinates: peaks.tsv\n  normative: {series: 'sub-{subject}_ts.npy'}\n"
    assert (
        call(write_study(tmp_path, text + OPTIONS, "atlas: {image: a.nii.gz, table: a.tsv}\n")) == 0
    )
    found = image(tmp_path, "desc-increase_mask") > 0
    assert found[np.isin(labels, 1 + np.flatnonzero(front))].mean() > 0.8
    assert found[np.isin(labels, 1 + np.flatnonzero(~np.array(front)))].mean() < 0.2


def write_atlas(folder: Path) -> nib.Nifti1Image:
    """The embedded cortex, five parcels each made one."""
    atlas = load_atlas()
    labels = np.asarray(atlas.image.dataobj)
    merged = np.where((labels > 0) & (labels <= 200), (labels - 1) // 5 + 1, 0).astype(np.int16)
    made = nib.Nifti1Image(merged, atlas.image.affine)
    nib.save(made, folder / "a.nii.gz")
    rows = [(k, f"P{k}", f"N{k % 4}", "LR"[k > 20], "cortex") for k in range(1, 41)]
    names = ["index", "name", "network", "hemisphere", "structure"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "a.tsv", sep="\t", index=False)
    return made


def test_a_preview_says_so_everywhere(tmp_path):
    write_atlas(tmp_path)
    write_coordinates(tmp_path / "peaks.tsv", studies=2)
    r = np.full((40, 40), 0.1)
    r[:20, :20] = r[20:, 20:] = 0.6
    names = [f"P{k}" for k in range(1, 41)]
    order = np.random.default_rng(0).permutation(40)
    shuffled = [names[k] for k in order]
    pd.DataFrame(r[np.ix_(order, order)], shuffled, shuffled).to_csv(tmp_path / "r.tsv", sep="\t")
    text = "  coordinates: peaks.tsv\n  preview: {connectome: r.tsv, threshold: 0.3}\n"
    path = write_study(tmp_path, text + OPTIONS, "atlas: {image: a.nii.gz, table: a.tsv}\n")
    assert call(path) == 0
    folder = tmp_path / "out/group/localize"
    written = [p for p in folder.rglob("*") if p.suffix in (".tsv", ".gz")]
    assert written and all("preview" in p.name for p in written)
    for name in ("verdict.txt", "notes.txt", "localize.html"):
        assert "no inference" in (folder / name).read_text()
    for p in folder.rglob("space-*.json"):
        assert "no inference" in p.read_text()
    assert not any(
        p.startswith("p_") or p == "p" for t in folder.glob("*.tsv") for p in read_table(t)
    )


def test_a_matrix_of_z_or_of_another_atlas_is_refused(tmp_path, capsys):
    write_atlas(tmp_path)
    write_coordinates(tmp_path / "peaks.tsv")
    np.savetxt(tmp_path / "r.tsv", np.eye(39), delimiter="\t")
    text = "  coordinates: peaks.tsv\n  preview: {connectome: r.tsv}\n"
    path = write_study(tmp_path, text + OPTIONS, "atlas: {image: a.nii.gz, table: a.tsv}\n")
    assert call(path) == 2
    assert "symmetric matrix of mean r of the 40 parcels" in capsys.readouterr().err


def test_problems_of_coordinates_and_people_at_once(tmp_path, capsys):
    (tmp_path / "peaks.tsv").write_text("study\tx\ty\tz\nA\t1\t2\tx\nA\t1\t2\t300\n")
    text = "  coordinates: peaks.tsv\n  normative: {images: 'people/sub-{subject}.nii'}\n"
    path = write_study(tmp_path, text + OPTIONS)
    for verb in ("check", "localize"):
        assert call(path, verb) == 2
        told = capsys.readouterr().err
        for part in ("row 2: found 'x'", "row 3: found peaks up to", "nothing like people"):
            assert part in told
    assert not (tmp_path / "out").exists()


def test_people_of_motion_are_left_out_and_listed(tmp_path):
    write_coordinates(tmp_path / "peaks.tsv", studies=2)
    write_people(tmp_path / "people", 4)
    rng = np.random.default_rng(1)
    for number in range(4):
        table = {"csf": rng.normal(size=60), "framewise_displacement": 2.0 if number == 2 else 0.1}
        for axis in ("trans", "rot"):
            table |= {f"{axis}_{k}": rng.normal(size=60) for k in "xyz"}
        frame = pd.DataFrame(table)
        for name in [c for c in frame if c[:3] in ("tra", "rot")]:
            frame[f"{name}_derivative1"] = frame[name].diff()
            frame[f"{name}_power2"] = frame[name] ** 2
            frame[f"{name}_derivative1_power2"] = frame[f"{name}_derivative1"] ** 2
        path = tmp_path / "people" / f"sub-{number:02d}_confounds.tsv"
        frame.to_csv(path, sep="\t", index=False, na_rep="n/a")
    text = (
        "  coordinates: peaks.tsv\n  normative: {images: 'people/sub-{subject}_bold.nii', "
        "confounds: 'people/sub-{subject}_confounds.tsv', tr_s: 2}\n"
    )
    bold = "bold: {strategy: 24P, band_hz: [0.001, 0.24], minimum_kept_s: 60, minimum_df: 5}\n"
    path = write_study(tmp_path, text + OPTIONS, bold)
    assert call(path) == 0
    left = read_table(tmp_path / "out/group/localize/excluded.tsv")
    assert left["person"].tolist() == ["sub-02"] and "0 s" in left["reason"].iloc[0]
    store = tmp_path / "out/work/normative"
    assert len(list(store.iterdir())) == 2 + 3 * 3  # the record, the space and three people
    record = json.loads((store / "normative.json").read_text())
    assert record["people"]["sub-02"]["used"] == 0 and record["cleaning"]["strategy"] == "24P"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: "", "found an empty file"),
        (lambda r: "0.1\n" * 40, "a table of 40 × 1"),
        (lambda r: r.replace("0.5", "1.4"), "values that are not r (up to 1.4)"),
        (lambda r: r.replace("0.5", "nan"), "NaN in 2 cells (first: 1, 2)"),
        (lambda r: r.replace("0.5", "0.3", 1), "differ from their mirror by 0.2"),
    ],
)
def test_check_names_what_is_wrong_with_a_matrix(tmp_path, change, told):
    r = np.eye(40)
    r[0, 1] = r[1, 0] = 0.5
    path = tmp_path / "r.tsv"
    path.write_text(change("\n".join("\t".join(f"{v:g}" for v in row) for row in r)))
    with pytest.raises(DatasetError) as caught:
        read_connectome(path, [f"P{k}" for k in range(40)])
    assert told in str(caught.value) and "r.tsv" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  grid_mm: 4\n", ("8 × 8 × 8 mm", "grid_mm: 4")),
        ("  grid_mm: 8\n  mask: brain\n", ("a mask of", "mask: brain")),
        ("  mask: grey\n", ()),
        ("", ()),
    ],
)
def test_a_store_of_another_grid_or_mask_is_refused(done, tmp_path, capsys, line, told):
    write_coordinates(tmp_path / "peaks.tsv")
    text = f"  coordinates: peaks.tsv\n  normative: {{store: {done / 'store'}}}\n"
    path = write_study(tmp_path, text + line + "  min_cluster_voxels: 3\n")
    assert call(path, "check") == (2 if told else 0)
    error = capsys.readouterr().err
    assert all(part in error for part in told)
