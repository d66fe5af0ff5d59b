"""What of a person is adopted from fMRIPrep and PETPrep, and what is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from petfmri.errors import Problem
from petfmri.study.adopted import Adopted, AdoptedAnat, AdoptedBold, AdoptedPet
from petfmri.study.bids import Participant
from petfmri.study.derivatives import DerivativeFolder
from petfmri.study.fmriprep import find_anat, find_bold
from petfmri.study.petprep_images import find_pet

GRID_MM = 1e-2  # grids that differ by less are one


def find_adopted(
    person: Participant,
    *,
    fmriprep: DerivativeFolder | None,
    petprep: DerivativeFolder | None,
    seg: str = "",
    regions: Collection[str] = (),
) -> Adopted:
    """Find what is there; of several anatomies fMRIPrep's is taken.

    Only names and the headers of the T1w are read.

    Parameters
    ----------
    person : Participant
    fmriprep, petprep : DerivativeFolder, optional
    seg, regions
        As of `find_pet`.
    """
    sessions = [session.id for session in person.sessions]
    found: dict[str, AdoptedAnat] = {}
    notes: list[str] = []
    for name, folder in (("fMRIPrep", fmriprep), ("PETPrep", petprep)):
        if folder is not None:
            found[name], told = find_anat(folder, person.id, sessions)
            notes += [f"{name}: {text}" for text in told]
    anat = next((one for one in found.values() if one), AdoptedAnat())
    runs: dict[Path, AdoptedBold] = {}
    scans: dict[Path, AdoptedPet] = {}
    unused: dict[Path, list[str]] = {}
    for session in person.sessions:
        for scan in session.bold:
            runs[scan.path] = AdoptedBold()
            if fmriprep is None:
                continue
            runs[scan.path], unused[scan.path] = find_bold(
                fmriprep,
                Path(person.id, session.id, "func"),
                scan.entities,
                in_t1w=_is_same(found["fMRIPrep"], anat, session.id),
            )
        for scan in session.pet[:1]:
            scans[scan.path] = AdoptedPet()
            if petprep is None:
                continue
            scans[scan.path], unused[scan.path] = find_pet(
                petprep,
                Path(person.id, session.id, "pet"),
                scan.entities,
                in_t1w=_is_same(found["PETPrep"], anat, session.id),
                seg=seg,
                regions=regions,
            )
    for raw, told in unused.items():
        notes += [f"{'fMRIPrep' if raw in runs else 'PETPrep'}: {text}" for text in told]
    return Adopted(anat, runs, scans, unused, tuple(dict.fromkeys(notes)))


def uneven_problems(person: Participant, adopted: Adopted) -> list[Problem]:
    """Warn where the scans of one person are not all adopted alike.

    Sessions then differ by their processing too, not by what happened between them alone.
    """
    session_of = {
        scan.path: session.id
        for session in person.sessions
        for scan in (*session.pet, *session.bold)
    }
    problems = []
    for kind, parts in (("PET", adopted.scans), ("BOLD", adopted.runs)):
        ways = {raw: _way(part) for raw, part in parts.items()}
        if len(set(ways.values())) < 2:
            continue
        fullest = max(map(len, ways.values()))
        told = []
        for raw, way in ways.items():
            why = "; ".join(adopted.unused.get(raw, ())) or "no other file of it is there"
            reason = f" ({why})" if len(way) < fullest or adopted.unused.get(raw) else ""
            told.append(f"{session_of[raw]}, {raw.name}: {', '.join(way) or 'nothing'}{reason}")
        problems.append(
            Problem(
                f"{person.id}: {kind} adopted",
                " | ".join(told),
                "the same of every session",
                "complete the derivatives, or remove them for all sessions of this person:"
                " as it is, its sessions are processed differently",
                "warning",
            )
        )
    return problems


def _way(part: AdoptedBold | AdoptedPet) -> tuple[str, ...]:
    """Name the steps that are adopted, and the space of the volumes."""
    steps = [step for step, path in part.sources().items() if path is not None]
    return tuple(f"{s} ({part.space})" if s.endswith("interpolation") else s for s in steps)


def sources_of(adopted: Adopted, roots: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Say of every step of the anatomy and of each scan where it is from.

    Parameters
    ----------
    adopted : Adopted
    roots : mapping of name to folder

    Returns
    -------
    dict of raw file (or ``"anatomy"``) to {step: file, as a BIDS URI, or ``"computed"``}
    """
    sources = {
        name: {
            step: "computed" if path is None else named(path, roots)
            for step, path in part.sources().items()
        }
        for name, part in adopted.parts.items()
    }
    for raw, run in adopted.runs.items():
        sources[raw.name] |= {
            step: f"as fMRIPrep left it, {named(path, roots)}" for step, path in run.left().items()
        }
    return sources


def named(path: Path, roots: Mapping[str, Path]) -> str:
    """Name a file within the innermost of the folders that hold it.

    Examples
    --------
    >>> named(Path("/d/raw/fmriprep/sub-01/a.tsv"), {"raw": Path("/d/raw"),
    ...     "fmriprep": Path("/d/raw/fmriprep")})
    'bids:fmriprep:sub-01/a.tsv'
    """
    holding = {name: root for name, root in roots.items() if path.is_relative_to(root)}
    if not holding:
        return str(path)
    name = max(holding, key=lambda name: len(holding[name].parts))
    return f"bids:{name}:{path.relative_to(holding[name]).as_posix()}"


def _is_same(own: AdoptedAnat, adopted: AdoptedAnat, session: str) -> bool:
    """Tell whether a session was aligned with the T1w that is adopted."""
    if adopted.t1w is None or adopted.session not in (None, session):
        return False
    if own.t1w is None:  # it was given an anatomy that others had made
        return True
    return own.t1w == adopted.t1w or _same_grid(own.t1w, adopted.t1w)


def _same_grid(one: Path, other: Path) -> bool:
    try:
        first, second = nib.load(one), nib.load(other)
    except (OSError, ImageFileError):
        return False
    return bool(
        first.shape == second.shape and np.allclose(first.affine, second.affine, atol=GRID_MM)
    )
