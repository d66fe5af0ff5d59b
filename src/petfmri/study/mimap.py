"""Parametric maps of other tools and of our own: ``_mimap.nii.gz`` and what they measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from petfmri.errors import DatasetError
from petfmri.study.check_images import inspect_image
from petfmri.study.kinpar import ORIGIN, describe
from petfmri.study.measures import MEASURES, UNITS, joined, measure_of, require_alike

UNITLESS = ("", "1", "unitless", "arbitrary", "a.u.", "n/a", "ml/ml", "ratio")


@dataclass(frozen=True)
class ParametricMap:
    """A map on a voxel grid.

    Attributes
    ----------
    path : Path
    measure : str
        VT, DVR, BPND, SUVR, R1 or K1.
    units : str
        As stated; the measure's own where nothing is.
    space : str or None
        The ``space-`` entity.
    tracer, model, reference : str or None
    pvc : str
    """

    path: Path
    measure: str
    units: str
    space: str | None
    tracer: str | None
    model: str | None
    reference: str | None
    pvc: str


def find_mimaps(folder: Path, **entities: str) -> tuple[Path, ...]:
    """Find the maps of all people on voxel grids; maps on surfaces (``hemi-``) are passed over.

    Parameters
    ----------
    folder : Path
    **entities : str
        Choose by entities of the name, such as ``meas``, ``space``, ``model`` or ``ref``.

    Raises
    ------
    DatasetError
        If there is none.
    """
    paths = sorted(Path(folder).rglob("sub-*_mimap.nii*"))
    told = [(path, describe(path).entities) for path in paths]
    found = [
        path
        for path, its in told
        if "hemi" not in its and all(its.get(key) == label for key, label in entities.items())
    ]
    if not found:
        wanted = "".join(f"_{key}-{label}" for key, label in entities.items())
        raise DatasetError(
            str(folder), f"no *{wanted}_mimap.nii.gz", "parametric maps", "correct folder or labels"
        )
    return tuple(found)


def read_mimap(path: Path) -> ParametricMap:
    """Say what a map measures, from its name, its sidecar and its header; no voxel is read.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DatasetError
        If the image is damaged, not 3-D, without geometry or on a surface, if its measure is not
        stated or stated differently in name and sidecar, or if a ratio has units.
    """
    path = Path(path)
    about = describe(path)
    _require_volume(path, "hemi" in about.entities)
    measure = _measure(path, about.entities.get("meas"), joined(about.sidecar.get("Measure")))
    units = str(about.sidecar.get("Units") or UNITS[measure])
    if UNITS[measure] == "unitless" and units.lower() not in UNITLESS:
        raise DatasetError(
            f"{path}: Units", units, f"unitless for {measure}", "correct the sidecar"
        )
    origin = about.origin
    return ParametricMap(
        path=path,
        measure=measure,
        units=units,
        space=about.entities.get("space"),
        tracer=origin["tracer"],
        model=origin["model"] or ("SUVR" if measure == "SUVR" else None),
        reference=origin["reference"],
        pvc=origin["pvc"] or "none",
    )


def require_one_measure(maps: Sequence[ParametricMap]) -> None:
    """Refuse maps of one analysis that differ in measure or in how they were made.

    Raises
    ------
    DatasetError
        That names both files.
    """
    told = ("measure", "space", *ORIGIN)
    require_alike([(item.path, {what: getattr(item, what) for what in told}) for item in maps])


def _require_volume(path: Path, surface: bool) -> None:
    image = inspect_image(path, voxels=False)
    if image.problem is not None:
        raise DatasetError.of([image.problem])
    if surface or len(image.shape) != 3 or image.affine is None:
        shape = " × ".join(map(str, image.shape))
        found = (
            "a surface"
            if surface
            else f"{shape} voxels" + (" without geometry" if image.affine is None else "")
        )
        raise DatasetError(str(path), found, "one volume in space", "choose the volume's map")


def _measure(path: Path, named: str | None, stated: str | None) -> str:
    known = {measure_of(text) for text in (named, stated) if text}
    if len(known) != 1 or None in known:
        said = " and ".join(text for text in (named, stated) if text) or "no meas- entity"
        raise DatasetError(
            str(path), said, f"one of {', '.join(MEASURES)}", "name the measure, e.g. meas-BPND"
        )
    return str(known.pop())
