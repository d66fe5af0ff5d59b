"""What fMRIPrep (and, for the anatomy, PETPrep) left behind, by its own file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from petfmri.study.adopted import TEMPLATE, AdoptedAnat, AdoptedBold, Space
from petfmri.study.derivatives import DerivativeFolder

TISSUES = {"grey": "GM", "white": "WM", "csf": "CSF"}
CONFOUNDS = ("timeseries", "regressors")  # since and before fMRIPrep 20.2
NATIVE = ("boldref", "run", "scanner")  # fMRIPrep 23 to 25, 26, before 23
OTHER_T1W = "it belongs to a T1w that is not used"
REFERENCES: tuple[dict[str, str], ...] = (
    *({"desc": "coreg"}, {"space": "run"}),
    *({"desc": "hmc"}, {"space": "orig", "desc": "hmc"}, {}),
)


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
    notes = [
        f"{len(several)} desc-preproc_T1w in {place} ({', '.join(several)}): none is used"
        for place in places.values()
        if len(several := _t1w_names(folder, place)) > 1
    ]
    if not t1ws:
        other = any(folder.names(place) for place in places.values()) and not notes
        missing = ["no desc-preproc_T1w: the anatomy is computed"] * other
        return AdoptedAnat(), notes + missing
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
    return anat, notes + (_other_templates(folder, place) if not any(warps.values()) else [])


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
    named = (folder.find(place, s, ".tsv", scan=scan, desc="confounds") for s in CONFOUNDS)
    confounds = next((path for path in named if path is not None), None)
    reference = folder.find_first(place, "boldref", ".nii.gz", REFERENCES, scan=scan)
    xfm, moves_t1w = find_t1w_xfm(folder, place, scan, NATIVE)
    notes = []
    if xfm is not None and not in_t1w:
        notes, xfm = [f"{xfm.name}: {OTHER_T1W}"], None
    motion = find_motion(folder, place, scan, NATIVE)
    obstacles: dict[Space, str] = {
        "native": "" if reference or xfm else "neither reference nor transform beside it",
        "T1w": "" if in_t1w else OTHER_T1W,
        "MNI152NLin2009cAsym": "",
    }
    if confounds is None:
        obstacles = dict.fromkeys(obstacles, "no confounds beside it")
    series, space, told = _series(folder, place, scan, obstacles)
    notes += told if confounds else told[:1]
    if series is not None:
        spaces = [{}, {"space": "run"}] if space == "native" else [{"space": space}]
        made = [{**entities, "desc": "brain"} for entities in spaces]
        mask = folder.find_first(place, "mask", ".nii.gz", made, scan=scan)
        return AdoptedBold(series, mask, space, confounds, reference, xfm, moves_t1w), notes
    if motion is not None and _undistorted(folder, place):
        return AdoptedBold(confounds=confounds), [
            *notes,
            f"{motion.name}: distortion was corrected too, and the corrected volumes are not"
            " there: motion is computed",
        ]
    if motion is None or not (reference or xfm):
        return AdoptedBold(confounds=confounds), notes
    return (
        AdoptedBold(
            confounds=confounds,
            reference=reference,
            xfm=xfm,
            xfm_moves_t1w=moves_t1w,
            motion=motion,
        ),
        notes,
    )


def find_t1w_xfm(
    folder: DerivativeFolder, place: Path, scan: Mapping[str, str], spaces: Sequence[str]
) -> tuple[Path | None, bool]:
    """Find the transform between a scan and the T1w, and whether it is the T1w that it moves."""
    for moves_t1w in (False, True):
        pairs = [(space, t1w) for space in spaces for t1w in ("T1w", "anat")]
        found = _xfm(folder, place, scan, [p[::-1] for p in pairs] if moves_t1w else pairs, "coreg")
        if found is not None:
            return found, moves_t1w
    return None, False


def find_motion(
    folder: DerivativeFolder, place: Path, scan: Mapping[str, str], spaces: Sequence[str]
) -> Path | None:
    """Find the transforms that move the volumes of a scan onto its reference."""
    return _xfm(folder, place, scan, [("orig", space) for space in spaces], "hmc")


def _xfm(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
    desc: str,
) -> Path | None:
    """Find a transform between two spaces, with or without the description of newer versions."""
    made = [
        {"from_": source, "to": target, "mode": "image", **described}
        for source, target in pairs
        for described in ({"desc": desc}, {})
    ]
    return folder.find_first(place, "xfm", ".txt", made, scan=scan)


def _series(
    folder: DerivativeFolder,
    place: Path,
    scan: Mapping[str, str],
    obstacles: Mapping[Space, str],
) -> tuple[Path | None, Space, list[str]]:
    """Take the first series that nothing stands against; say what does against those before."""
    notes: list[str] = []
    for space, obstacle in obstacles.items():
        made = {} if space == "native" else {"space": space}
        found = _image(folder, place, "bold", scan, desc="preproc", **made)
        if found is not None and not obstacle:
            return found, space, notes
        if found is not None:
            notes.append(f"{found.name}: {obstacle}")
    return None, "native", notes


def _image(
    folder: DerivativeFolder,
    place: Path,
    suffix: str,
    scan: Mapping[str, str] | None = None,
    **made: str,
) -> Path | None:
    return folder.find(place, suffix, ".nii.gz", scan=scan, **made)


def _sessions(folder: DerivativeFolder, sub: str, first: Sequence[str]) -> list[str]:
    """List the sessions in `first`, then all others."""
    others = sorted(path.name for path in (folder.root / sub).glob("ses-*"))
    return [*first, *(name for name in others if name not in first)]


def _t1w_names(folder: DerivativeFolder, place: Path) -> list[str]:
    """List the T1w of which `find` takes one only if there is one."""
    kinds = {
        path.name
        for path, name in folder.names(place)
        if (name.suffix, name.extension) == ("T1w", ".nii.gz")
        and name.entities.get("desc") == "preproc"
        and "space" not in name.entities
    }
    return sorted(kinds)


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
        and name.entities.get("from") in NATIVE
        and name.entities.get("to") not in ("T1w", "T2w", "anat")
        for _, name in folder.names(place)
    )
