"""Trees as fMRIPrep and PETPrep write them, made of a run of petfmri's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from petfmri.images.resampling import Grid, resample_frames
from petfmri.images.transform_files import read_affine, read_affines, read_warp, write_affine
from petfmri.images.transforms import Affine, Transform, Warp, compose
from petfmri.images.volumes import Volumes

MNI = "MNI152NLin2009cAsym"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Person:
    """One person's raw scans and results of a run, to be copied under other programs' names."""

    def __init__(self, bids: Path, out: Path, sub: str) -> None:
        self.bids, self.out, self.sub = bids, out, sub
        self.ours = out / sub / "anat" / sub
        self.t1w = nib.load(self.result("desc-preproc_T1w.nii.gz"))

    def result(self, end: str) -> Path:
        return Path(f"{self.ours}_{end}")

    def anat(self, root: Path, *, session: str | None = None, whole: bool = True) -> None:
        """Write the anatomy, of all sessions or named by the one that had the T1w.

        Unless it is whole, T1w and brain alone.
        """
        stem = self.sub if session is None else f"{self.sub}_{session}"
        folder = root / stem.replace("_", "/") / "anat"
        folder.mkdir(parents=True)
        tissues = [f"label-{tissue}_probseg" for tissue in TISSUES] if whole else []
        for end in ("desc-preproc_T1w", "desc-brain_mask", *tissues):
            shutil.copy(self.result(f"{end}.nii.gz"), folder / f"{stem}_{end}.nii.gz")
        for a, b in (("T1w", MNI), (MNI, "T1w")) if whole else ():
            warp = read_warp(self.result(f"from-{a}_to-{b}_mode-image_xfm.nii.gz"))
            write_composite(folder / f"{stem}_from-{a}_to-{b}_mode-image_xfm.h5", split(warp))

    def func(self, root: Path, session: str, *, spaces: Sequence[str], version: int = 25) -> None:
        """Write one run: confounds, transforms, and series in some of ``""``, T1w and MNI."""
        source, target = self._pair(root, session, "func", "task-rest")
        raw = Volumes(self._raw(source, "func", "bold.nii.gz"))
        boldref, to_t1w = nib.load(f"{source}_desc-hmc_boldref.nii.gz"), "from-T1w_to-boldref"
        xfm = read_affine(Path(f"{source}_{to_t1w}_mode-image_xfm.txt"))
        motion = Path(f"{source}_from-orig_to-boldref_mode-image_xfm.txt")
        shutil.copy(f"{source}_desc-confounds_timeseries.tsv", target.parent)
        own = {20: "scanner", 25: "boldref", 26: "run"}[version]
        desc = "" if version == 20 else "_desc-coreg"
        write_affine(~xfm, Path(f"{target}_from-{own}_to-T1w_mode-image{desc}_xfm.txt"))
        if version != 20:
            shutil.copy(motion, f"{target}_from-orig_to-{own}_mode-image_desc-hmc_xfm.txt")
            for name in REFERENCES[version]:
                nib.save(boldref, f"{target}_{name}_boldref.nii.gz")
        to_mni = read_warp(self.result(f"from-T1w_to-{MNI}_mode-image_xfm.nii.gz"))
        grids = {
            "": (Grid.of(boldref), Affine()),
            "T1w": (Grid.of(self.t1w).spaced(raw_mm(raw)), ~xfm),
            MNI: (Grid(to_mni.displacement.shape[:3], to_mni.affine), compose(~xfm, to_mni)),
        }
        for space in spaces:
            grid, chain = grids[space]
            named = f"_space-{space}" * bool(space) + "_res-2" * (space == MNI)
            frames = resample_frames(raw, raw.affine, chain, grid, motion=read_affines(motion))
            save_series(frames, grid, Path(f"{target}{named}_desc-preproc_bold.nii.gz"))

    def pet(self, root: Path, session: str, *, spaces: Sequence[str], moves: bool = True) -> None:
        """Write one scan: transforms, and frames in some of ``""`` and T1w."""
        source, target = self._pair(root, session, "pet", "trc-UCBJ")
        raw = Volumes(self._raw(source, "pet", "pet.nii.gz"))
        xfm = read_affine(Path(f"{source}_from-T1w_to-petref_mode-image_xfm.txt"))
        motion = Path(f"{source}_from-orig_to-petref_mode-image_xfm.txt")
        if moves:
            shutil.copy(motion, f"{target}_from-orig_to-petref_mode-image_desc-hmc_xfm.txt")
            shutil.copy(f"{source}_desc-hmc_petref.nii.gz", target.parent)
            shutil.copy(f"{source}_desc-confounds_timeseries.tsv", target.parent)
            write_affine(~xfm, Path(f"{target}_from-petref_to-T1w_mode-image_xfm.txt"))
        grids = {"": (Grid(raw.shape, raw.affine), Affine()), "T1w": (Grid.of(self.t1w), ~xfm)}
        for space in spaces:
            grid, chain = grids[space]
            named = f"_space-{space}" * bool(space)
            frames = resample_frames(raw, raw.affine, chain, grid, motion=read_affines(motion))
            save_series(frames, grid, Path(f"{target}{named}_desc-preproc_pet.nii.gz"))

    def curves(self, root: Path, session: str, seg: str) -> None:
        """Write regional curves of the atlas, in Bq/mL."""
        source, target = self._pair(root, session, "pet", "trc-UCBJ")
        end = f"desc-preproc_seg-{seg}_tacs"
        table = np.genfromtxt(f"{source}_{end}.tsv", delimiter="\t", names=True, deletechars="")
        columns = {name: table[name] for name in table.dtype.names if name != "reference"}
        values = [v if "frame" in n else 1000 * v for n, v in columns.items()]
        np.savetxt(
            f"{target}_{end}.tsv",
            np.column_stack(values),
            delimiter="\t",
            header="\t".join(columns),
            comments="",
        )
        Path(f"{target}_{end}.json").write_text(json.dumps({"Units": "Bq/mL"}))

    def _pair(self, root: Path, session: str, kind: str, entity: str) -> tuple[Path, Path]:
        """Return the stems of our results and of the new files."""
        name = f"{self.sub}/{session}/{kind}/{self.sub}_{session}_{entity}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        return self.out / name, root / name

    def _raw(self, source: Path, kind: str, end: str) -> Path:
        session = source.name.split("_")[1]
        return self.bids / self.sub / session / kind / f"{source.name}_{end}"


REFERENCES = {
    25: ("desc-hmc", "desc-coreg"),
    26: ("space-orig_desc-hmc", "space-run"),
}
TISSUES = ("GM", "WM", "CSF")


def raw_mm(volumes: Volumes) -> float:
    return float(nib.affines.voxel_sizes(volumes.affine).mean())


def save_series(frames: Iterator[np.ndarray], grid: Grid, path: Path) -> None:
    nib.save(nib.Nifti1Image(np.stack(list(frames), axis=-1), grid.affine), path)


def split(warp: Warp) -> list[Transform]:
    """Take the affine out of a warp, as ANTs stores the two apart."""
    grid = Grid(warp.displacement.shape[:3], warp.affine)
    points = grid.points()
    mapped = points + warp.displacement.reshape(-1, 3)
    solved = np.linalg.lstsq(np.column_stack([points, np.ones(len(points))]), mapped, rcond=None)
    affine = Affine(np.vstack([solved[0].T, [0, 0, 0, 1]]))
    rest = (~affine).map(mapped) - points
    return [affine, Warp(rest.reshape(warp.displacement.shape), warp.affine)]


def write_composite(path: Path, parts: Sequence[Transform]) -> None:
    """Write an ITK composite: LPS, the last transform applied first, vectors first in memory."""
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup")
        group.create_group("0")["TransformType"] = [b"CompositeTransform_float_3_3"]
        for number, part in enumerate(parts, 1):
            own = group.create_group(str(number))
            if isinstance(part, Affine):
                matrix = LPS @ part.matrix @ LPS
                own["TransformType"] = [b"AffineTransform_float_3_3"]
                own["TransformParameters"] = np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]])
                own["TransformFixedParameters"] = np.zeros(3)
            else:
                affine, sizes = LPS @ part.affine, nib.affines.voxel_sizes(part.affine)
                vectors = np.moveaxis(part.displacement * np.float32([-1, -1, 1]), -1, 0)
                turn = (affine[:3, :3] / sizes).ravel()
                shape = part.displacement.shape[:3]
                own["TransformType"] = [b"DisplacementFieldTransform_float_3_3"]
                own["TransformParameters"] = vectors.ravel(order="F")
                own["TransformFixedParameters"] = np.concatenate(
                    [shape, affine[:3, 3], sizes, turn]
                )
