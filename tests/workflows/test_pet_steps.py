"""The PET steps on simulated scans of a coarse head: a static late one, and one kept as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from petfmri.images.transform_files import read_affine, write_affine
from petfmri.images.transforms import Affine
from petfmri.interfaces.pet import CoregisterPet, PetMotion, PetToBold, RegionalPet
from petfmri.interfaces.pet_template import PetToTemplate
from petfmri.simulation import sidecars
from petfmri.simulation.anatomy import GREY, SOFT, Head, draw_head
from petfmri.simulation.effects import stream
from petfmri.simulation.pet import PetScan, simulate_pet
from petfmri.simulation.phantom import load_phantom
from petfmri.simulation.presets import PRESETS, STATIC_60_90, Preset
from petfmri.simulation.regional import typical_kinetics
from petfmri.simulation.tracer import PlasmaInput, frame_averages
from petfmri.study.files import read_json, read_table, write_table

TINY = PRESETS["tiny"]
STATIC = replace(TINY, scan_start_s=STATIC_60_90[0], frame_durations_s=STATIC_60_90[1], pet_mm=4.0)


@pytest.fixture(scope="module")
def head() -> Head:
    return draw_head(load_phantom(3.0), 3.0, 20.0, 3.0, stream(5, "anatomy", 0))


def scanned(head: Head, preset: Preset, folder: Path) -> tuple[PetScan, dict[str, object]]:
    """Write pet.nii.gz, t1w.nii.gz and mask.nii.gz; return the truth and the raw inputs."""
    names = load_phantom(3.0).table["name"]
    kinetics = typical_kinetics(names)
    plasma = PlasmaInput.injected(350.0, 75.0, delay_s=10.0)
    start, duration = preset.frame_start_s, preset.frame_duration_s
    tac = frame_averages(kinetics.vt, kinetics.k1, plasma, start, duration)
    masks = np.where(head.reference, head.n_regions + 1, head.parcels)
    scan = simulate_pet(head, tac, masks, preset, np.random.default_rng(3))
    image = nib.Nifti1Image(scan.frames, scan.grid.affine)
    image.header.set_slope_inter(scan.slope, 0)
    nib.save(image, folder / "pet.nii.gz")
    brain = (head.tissue > 0) & (head.tissue < SOFT)
    for name, values in (
        ("t1w", head.t1w),
        ("mask", brain.astype(np.uint8)),
        ("dseg", head.parcels.astype(np.int16)),
        ("ref", head.reference.astype(np.uint8)),
    ):
        nib.save(nib.Nifti1Image(values, head.grid.affine), folder / f"{name}.nii.gz")
    regions = names.to_frame("name").assign(index=np.arange(1, len(names) + 1))
    write_table(regions, folder / "dseg.tsv")
    sidecar = sidecars.pet_sidecar(preset, 350.0, 75.0)
    return scan, {"in_file": str(folder / "pet.nii.gz"), "sidecar": sidecar}


def step(interface: type, folder: Path, **inputs: object) -> dict[str, object]:
    return interface(**inputs).step(folder)


def aligned(folder: Path, moved: dict[str, object], **inputs: object) -> dict[str, object]:
    images = {"t1w": folder / "t1w.nii.gz", "brain_mask": folder / "mask.nii.gz"}
    return step(CoregisterPet, folder, reference=moved["reference"], **images, **inputs)


def test_a_static_late_scan_goes_through_every_step(head: Head, tmp_path: Path) -> None:
    scan, raw = scanned(head, STATIC, tmp_path)
    moved = step(PetMotion, tmp_path, **raw)
    confounds = read_table(moved["confounds"])
    assert confounds["alignment"].tolist() == ["aligned"]
    assert confounds["framewise_displacement"].tolist() == [0]
    xfm = aligned(tmp_path, moved)
    told = read_json(xfm["sidecar"])
    assert told["Score"] > told["BestShiftedScore"] > 1 and told["StartThatWon"] >= 1
    brain = head.grid.points()[(head.tissue == GREY).ravel()][::50]
    found = (~read_affine(xfm["xfm"])).map(brain)
    assert np.linalg.norm(found - scan.from_pet_to_t1w.map(brain), axis=1).mean() < 1.0
    common = {
        **raw,
        "motion": moved["motion"],
        "segmentation": tmp_path / "dseg.nii.gz",
        "regions": tmp_path / "dseg.tsv",
        "window_s": (3600.0, 5400.0),
    }
    regional = step(
        RegionalPet, tmp_path, **common, xfm=xfm["xfm"], reference_name="semiovale",
        reference_mask=tmp_path / "ref.nii.gz", brain_mask=tmp_path / "mask.nii.gz",
    )  # fmt: skip
    suvr = read_table(regional["table"])["suvr"].to_numpy()
    truth = scan.blurred[:-1, 0] / scan.blurred[-1, 0]
    assert np.median(np.abs(suvr / truth - 1)) < 0.06
    (tmp_path / "bold").mkdir()
    joined = step(
        PetToBold, tmp_path / "bold", **common, pet_xfm=xfm["xfm"], uptake=regional["uptake"],
        bold_xfm=write_affine(Affine(), tmp_path / "bold.txt"), boldref=tmp_path / "mask.nii.gz",
    )  # fmt: skip
    there = read_table(joined["table"])["suvr_boldref"].to_numpy()
    assert np.nanmedian(np.abs(there / suvr - 1)) < 0.03
    check_template(common, xfm, regional, tmp_path)


def check_template(common, xfm, regional, folder: Path) -> None:
    """With a known shift to the template, its map holds what the T1w's holds there."""
    shift = write_affine(Affine(np.array([[1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 1, -3], [0, 0, 0, 1]])), folder / "to.txt")  # fmt: skip
    (folder / "standard").mkdir()
    inputs = {name: common[name] for name in ("in_file", "sidecar", "motion", "window_s")}
    found = step(
        PetToTemplate, folder / "standard", **inputs, pet_xfm=xfm["xfm"], template_xfm=shift,
        uptake=regional["uptake"],
    )  # fmt: skip
    standard, own = nib.load(found["suvr_map"]), nib.load(regional["suvr_map"])
    assert standard.shape == (97, 115, 97)
    assert standard.affine.tolist() == [[2, 0, 0, -96], [0, 2, 0, -132], [0, 0, 2, -78], [0, 0, 0, 1]]  # fmt: skip
    data = standard.get_fdata()
    inside = np.argwhere(data > 0)[::200]
    points = nib.affines.apply_affine(standard.affine, inside) + np.array([3, 0, -3])
    voxels = nib.affines.apply_affine(np.linalg.inv(own.affine), points)
    expected = ndimage.map_coordinates(own.get_fdata(), voxels.T, order=1)
    usable = expected > 0.3
    assert usable.sum() > 300
    ratio = data[tuple(inside.T)][usable] / expected[usable]
    assert abs(np.median(ratio) - 1) < 0.02
    assert np.corrcoef(data[tuple(inside.T)][usable], expected[usable])[0, 1] > 0.97


def test_scan_that_is_kept_as_it_is_says_what_speaks_against_that(
    head: Head, tmp_path: Path
) -> None:
    _, raw = scanned(head, replace(TINY, frame_durations_s=(900.0, 4500.0)), tmp_path)
    moved = step(PetMotion, tmp_path, **raw, method="off")
    assert read_table(moved["confounds"])["alignment"].tolist() == ["off", "off"]
    xfm = aligned(tmp_path, moved, method="identity")
    assert read_affine(xfm["xfm"]).is_identity
    told = read_json(xfm["sidecar"])
    assert told["Method"] == "identity" and told["StartThatWon"] is None
    assert any("displaces the brain by" in warning for warning in told["Warnings"])


def test_frames_too_poor_to_align_are_told(head: Head, tmp_path: Path) -> None:
    preset = replace(TINY, frame_durations_s=(5.0, 900.0, 2000.0, 2000.0))
    _, raw = scanned(head, preset, tmp_path)
    moved = step(PetMotion, tmp_path, **raw)
    table, told = read_table(moved["confounds"]), read_json(moved["confounds_sidecar"])
    assert table["alignment"].tolist() == ["borrowed", "aligned", "aligned", "aligned"]
    assert table["motion_from_frame"].tolist() == [1, 1, 2, 3]
    assert set(table.columns) == set(told) - {"Warnings"}
    assert told["Warnings"] == [
        "frame 0 holds too little signal to be aligned: it has the motion of frame 1"
    ]
