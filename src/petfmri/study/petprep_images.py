"""The images and transforms that PETPrep left behind, by its own file names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from petfmri.study.adopted import AdoptedPet, Space
from petfmri.study.derivatives import DerivativeFolder
from petfmri.study.fmriprep import OTHER_T1W, find_motion, find_t1w_xfm


def find_pet(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    *,
    in_t1w: bool,
    seg: str,
    regions: Collection[str],
) -> tuple[AdoptedPet, list[str]]:
    """Find what was made of one scan.

    Parameters
    ----------
    folder : DerivativeFolder
    place : Path
        Such as ``sub-01/ses-pre/pet``.
    scan : mapping
        Entities of the raw scan.
    in_t1w : bool
        Whether the T1w that it was aligned with is adopted.
    seg : str
        The study's atlas, as it stands in names.
    regions : collection of str
        Its regions: curves are taken where all of them have one.

    Returns
    -------
    AdoptedPet
    list of str
        What is there but cannot be used, and why.
    """

    def image(suffix: str, **made: str) -> Path | None:
        return folder.find(place, suffix, ".nii.gz", scan=scan, **made)

    series: Path | None = None
    space: Space = "native"
    reference = image("petref", desc="hmc") or image("petref", desc="coreg") or image("petref")
    notes = []
    inside, native = image("pet", space="T1w", desc="preproc"), image("pet", desc="preproc")
    if inside is not None and in_t1w:
        series, space = inside, "T1w"
    elif inside is not None:
        notes.append(f"{inside.name}: {OTHER_T1W}")
    if series is None and reference is not None:
        series = native
    elif series is None and native is not None:
        notes.append(f"{native.name}: no petref beside it")
    motion = find_motion(folder, place, scan, ("petref",))
    xfm, moves_t1w = find_t1w_xfm(folder, place, scan, ("petref",))
    if xfm is not None and not in_t1w:
        notes.append(f"{xfm.name}: {OTHER_T1W}")
    unplaced = motion is None and series is None  # raw frames are moved onto another reference
    if reference is None or unplaced or (space == "T1w" and xfm is None):
        motion = reference = None
    curves = folder.find(place, "tacs", ".tsv", scan=scan, desc="preproc", seg=seg)
    if curves is not None and not _has_all(curves, regions):
        notes.append(f"{curves.name}: not every region of the atlas has a curve")
        curves = None
    adopted = AdoptedPet(
        series=series,
        space=space,
        reference=reference,
        xfm=xfm if in_t1w and reference is not None else None,
        xfm_moves_t1w=moves_t1w,
        motion=motion,
        confounds=folder.find(place, "timeseries", ".tsv", scan=scan, desc="confounds")
        if motion or series
        else None,
        curves=curves,
    )
    return adopted, notes


def _has_all(path: Path, regions: Collection[str]) -> bool:
    """Tell whether a table of curves has one of every region of the atlas."""
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline().rstrip("\r\n").split("\t")
    return set(regions) <= set(header)
