"""The images and transforms that PETPrep left behind, by its own file names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from petfmri.study.adopted import AdoptedPet, Space
from petfmri.study.derivatives import DerivativeFolder
from petfmri.study.fmriprep import find_t1w_xfm


def find_pet(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    *,
    in_t1w: bool,
    seg: str,
    regions: Collection[str],
) -> AdoptedPet:
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
    """

    def image(suffix: str, **made: str) -> Path | None:
        return folder.find(place, suffix, ".nii.gz", scan=scan, **made)

    series: Path | None = None
    space: Space = "native"
    reference = image("petref", desc="hmc") or image("petref")
    if in_t1w and (series := image("pet", space="T1w", desc="preproc")) is not None:
        space = "T1w"
    elif reference is not None:
        series = image("pet", desc="preproc")
    motion = folder.find(place, "xfm", ".txt", scan=scan, from_="orig", to="petref", mode="image")
    if reference is None or (motion is None and series is None):
        motion = None
        reference = None  # a scan moved onto another reference is not placed by this one
    xfm, moves_t1w = find_t1w_xfm(folder, place, scan, ("petref",))
    return AdoptedPet(
        series=series,
        space=space,
        reference=reference,
        xfm=xfm if in_t1w and reference is not None else None,
        xfm_moves_t1w=moves_t1w,
        motion=motion,
        confounds=folder.find(place, "timeseries", ".tsv", scan=scan, desc="confounds")
        if motion or series
        else None,
        curves=_curves(folder, place, scan, seg, regions),
    )


def _curves(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    seg: str,
    regions: Collection[str],
) -> Path | None:
    """Find curves of every region of the atlas, uncorrected."""
    path = folder.find(place, "tacs", ".tsv", scan=scan, desc="preproc", seg=seg)
    if path is None:
        return None
    with path.open(encoding="utf-8-sig") as stream:
        header = stream.readline().rstrip("\r\n").split("\t")
    return path if set(regions) <= set(header) else None
