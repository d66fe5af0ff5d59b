"""What fMRIPrep (and, for the anatomy, PETPrep) left behind, by its own file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from petfmri.study.adopted import TEMPLATE, AdoptedAnat, AdoptedBold, Space
from petfmri.study.derivatives import DerivativeFolder

TISSUES = {"grey": "GM", "white": "WM", "csf": "CSF"}
NIFTI = (".nii.gz", ".nii")


def find_anat(
    folder: DerivativeFolder, sub: str, sessions: Sequence[str]
) -> tuple[AdoptedAnat, list[str]]:
    """Find the anatomy of a person: that of all sessions, else that of the first session.

    Everything refers to the grid of the preprocessed T1w: without it, nothing is used.

    Parameters
    ----------
    folder : DerivativeFolder
    sub : str
    sessions : sequence of str
        With prefix, in the order in which their T1w are preferred.

    Returns
    -------
    AdoptedAnat
    list of str
        What is there but cannot be used, and why.
    """
    places = {None: Path(sub, "anat")} | {
        session: Path(sub, session, "anat") for session in _sessions(folder, sub, sessions)
    }
    t1ws = {
        session: found
        for session, place in places.items()
        if (found := _image(folder, place, "T1w", desc="preproc")) is not None
    }
    if not t1ws:
        other = any(folder.names(place) for place in places.values())
        return AdoptedAnat(), ["no desc-preproc_T1w: the anatomy is computed"] * other
    session = next(iter(t1ws))
    place = places[session]
    tissues = {
        name: _image(folder, place, "probseg", label=label) for name, label in TISSUES.items()
    }
    if None in tissues.values():
        tissues = {}
    warps = {
        name: folder.find(place, "xfm", ".h5", from_=source, to=target, mode="image")
        for name, source, target in (
            ("to_template", TEMPLATE, "T1w"),
            ("from_template", "T1w", TEMPLATE),
        )
    }
    anat = AdoptedAnat(
        session=session if len(t1ws) > 1 else None,
        t1w=t1ws[session],
        mask=_image(folder, place, "mask", desc="brain"),
        **tissues,
        **warps,
    )
    return anat, _other_templates(folder, place) if not any(warps.values()) else []


def find_bold(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    *,
    in_t1w: bool,
) -> tuple[AdoptedBold, list[str]]:
    """Find what was made of one run.

    Series are taken with their confounds only, native before T1w before template space: the
    fewer interpolations the better. What refers to a T1w needs that T1w.

    Parameters
    ----------
    folder : DerivativeFolder
    place : Path
        Such as ``sub-01/ses-pre/func``.
    scan : mapping
        Entities of the raw run.
    in_t1w : bool
        Whether the T1w that it was aligned with is adopted.

    Returns
    -------
    AdoptedBold
    list of str
        What is there but cannot be used, and why.
    """
    confounds = _table(folder, place, scan)
    reference = next(
        (
            found
            for made in ({"desc": "coreg"}, {"desc": "hmc"}, {})
            if (found := _image(folder, place, "boldref", scan, **made)) is not None
        ),
        None,
    )
    xfm, moves_t1w = find_t1w_xfm(folder, place, scan, ("boldref", "scanner"))
    if not in_t1w:
        xfm = None
    motion = folder.find(place, "xfm", ".txt", scan=scan, from_="orig", to="boldref", mode="image")
    series: Path | None = None
    space: Space = "native"
    if confounds is not None:
        series, space = _series(folder, place, scan, in_t1w, reference or xfm)
    if series is not None:
        entities = {} if space == "native" else {"space": space}
        mask = _image(folder, place, "mask", scan, **entities, desc="brain")
        return AdoptedBold(series, mask, space, confounds, reference, xfm, moves_t1w), []
    if motion is not None and _undistorted(folder, place):
        return AdoptedBold(confounds=confounds), [
            f"{motion.name}: distortion was corrected too, and the corrected volumes are not"
            " there: motion is computed"
        ]
    if motion is None or not (reference or xfm):
        return AdoptedBold(confounds=confounds), []
    return (
        AdoptedBold(
            confounds=confounds,
            reference=reference,
            xfm=xfm,
            xfm_moves_t1w=moves_t1w,
            motion=motion,
        ),
        [],
    )


def find_t1w_xfm(
    folder: DerivativeFolder, place: Path, scan: Mapping[str, str], spaces: Sequence[str]
) -> tuple[Path | None, bool]:
    """Find the transform between a scan and the T1w, and whether it is the T1w that it moves."""
    for space in spaces:
        for moves_t1w, ends in ((False, (space, "T1w")), (True, ("T1w", space))):
            found = folder.find(
                place, "xfm", ".txt", scan=scan, from_=ends[0], to=ends[1], mode="image"
            )
            if found is not None:
                return found, moves_t1w
    return None, False


def _series(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    in_t1w: bool,
    placed: Path | None,
) -> tuple[Path | None, Space]:
    native = _image(folder, place, "bold", scan, desc="preproc")
    if native is not None and placed is not None:
        return native, "native"
    inside = _image(folder, place, "bold", scan, space="T1w", desc="preproc")
    if inside is not None and in_t1w:
        return inside, "T1w"
    found = _image(folder, place, "bold", scan, space=TEMPLATE, desc="preproc")
    return found, "MNI152NLin2009cAsym"


def _table(folder: DerivativeFolder, place: Path, scan: Mapping[str, str]) -> Path | None:
    """Find the confounds; fMRIPrep < 20.2 called them regressors."""
    return folder.find(place, "timeseries", ".tsv", scan=scan, desc="confounds") or folder.find(
        place, "regressors", ".tsv", scan=scan, desc="confounds"
    )


def _image(
    folder: DerivativeFolder,
    place: Path,
    suffix: str,
    scan: Mapping[str, str] | None = None,
    **made: str,
) -> Path | None:
    found = (folder.find(place, suffix, end, scan=scan, **made) for end in NIFTI)
    return next((path for path in found if path is not None), None)


def _sessions(folder: DerivativeFolder, sub: str, first: Sequence[str]) -> list[str]:
    """List the sessions in `first`, then all others."""
    others = sorted(path.name for path in (folder.root / sub).glob("ses-*"))
    return [*first, *(name for name in others if name not in first)]


def _other_templates(folder: DerivativeFolder, place: Path) -> list[str]:
    spaces = sorted(
        {
            name.entities["to"]
            for _, name in folder.names(place)
            if name.suffix == "xfm" and name.entities.get("to", "").startswith("MNI")
        }
        - {TEMPLATE}
    )
    text = f"the template is {', '.join(spaces)}, not {TEMPLATE}: our own alignment is computed"
    return [text] if spaces else []


def _undistorted(folder: DerivativeFolder, place: Path) -> bool:
    return any(
        name.suffix == "xfm"
        and name.entities.get("from") == "boldref"
        and name.entities.get("to") not in ("T1w", "orig")
        for _, name in folder.names(place)
    )
