"""The page of each participant, drawn from what was delivered."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from petfmri.config import Study
from petfmri.errors import PetfmriError
from petfmri.images.resampling import Grid, resample
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine, Transform
from petfmri.reports.participant_page import Carpet, Overlay, participant_page
from petfmri.study.bids import Participant, Session
from petfmri.study.files import read_table
from petfmri.study.layout import Names

CURVES = 4


def write_participant_pages(
    study: Study, people: Sequence[tuple[Participant, Names]], *, n_procs: int
) -> None:
    """Write the pages of several participants, `n_procs` at a time."""
    if n_procs == 1 or len(people) < 2:
        for person, names in people:
            _write_or_warn(study, person, names)
        return
    with ProcessPoolExecutor(n_procs, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(_write_or_warn, study, person, names) for person, names in people]
        for job in jobs:
            job.result()


def _write_or_warn(study: Study, person: Participant, names: Names) -> None:
    """Write a page; results that cannot be drawn are told, and harm no other page."""
    try:
        write_participant_page(study, person, names)
    except PetfmriError as error:
        print(f"warning: no page of {person.id}: {error}", file=sys.stderr)


def write_participant_page(study: Study, person: Participant, names: Names) -> Path:
    """Write ``sub-XX.html`` from whatever of the participant's results is there."""
    sessions = read_table(study.output / "group" / "sessions.tsv")
    quality = study.output / "group" / "quality.tsv"
    scores = read_table(quality) if quality.exists() else pd.DataFrame(columns=["participant_id"])
    fd, curves, carpets = {}, {}, {}
    for session in person.sessions:
        for scan in session.bold:
            title, run = f"{session.id} {scan.path.name}", scan.entities.get("run")
            path = names.func(session.id, "timeseries", ".tsv", run=run, desc="confounds")
            if path.exists():
                fd[title] = read_table(path)["framewise_displacement"].fillna(0).to_numpy(float)
            path = names.func(session.id, "timeseries", ".tsv", run=run, desc="carpet")
            if path.exists() and title in fd:
                rows = read_table(path)
                tissues = [str(name).rstrip("0123456789") for name in rows]
                carpets[title] = Carpet(rows.to_numpy(float), tissues, fd[title])
        path = names.pet(session.id, "tacs", ".tsv", desc="preproc", seg=names.seg)
        if path.exists():
            curves[session.id] = _curves(read_table(path), study)
    page = participant_page(
        person.id,
        study=study.name,
        overlays=list(_overlays(person, names)),
        fd_mm=fd,
        fd_threshold_mm=study.bold.fd_threshold_mm,
        carpets=carpets,
        curves=curves,
        window_min=study.pet.window_min,
        sessions=sessions[sessions["participant_id"] == person.id],
        quality=scores[scores["participant_id"] == person.id],
    )
    return page.save(study.output / f"{person.id}.html")


def _curves(tacs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Pick the reference and the curves of the regions of interest."""
    from petfmri.commands.context import rois_of

    names = [name for name in tacs if name not in ("frame_start", "frame_end", "reference")]
    chosen = {
        "mid_min": (tacs["frame_start"] + tacs["frame_end"]) / 120,
        "reference": tacs["reference"],
    }
    rois = list(rois_of(study, names).items())[:CURVES]
    return pd.DataFrame(chosen | {roi: tacs[regions].mean(axis=1) for roi, regions in rois})


def _overlays(person: Participant, names: Names) -> Iterator[Overlay]:
    """Show every image on the T1w grid, with the outline of the person's grey-matter regions."""
    segmentation = names.anat("dseg", seg=names.seg)
    if not segmentation.exists():
        return
    labels = nib.as_closest_canonical(nib.load(segmentation))
    yield _overlay("Atlas regions on T1w", names.anat("T1w", desc="preproc"), labels, Affine())
    whole = nib.Nifti1Image((np.asarray(labels.dataobj) > 0).astype(np.int16), labels.affine)
    for session in person.sessions:
        for title, path, xfm in _aligned(session, names):
            if path.exists() and xfm.exists():
                yield _overlay(f"{title}, {session.id}", path, whole, ~read_transform(xfm))


def _aligned(session: Session, names: Names) -> Iterator[tuple[str, Path, Path]]:
    """List title, image and transform of each scan of a session."""
    entities = {"from_": "T1w", "mode": "image"}
    petref = names.pet(session.id, "petref", ".nii.gz", desc="hmc")
    yield (
        "Grey matter on PET",
        petref,
        names.pet(session.id, "xfm", ".txt", to="petref", **entities),
    )
    runs = [scan.entities.get("run") for scan in session.bold]
    for run in runs:
        boldref = names.func(session.id, "boldref", ".nii.gz", run=run, desc="hmc")
        ends = (".h5", ".txt")  # with or without a field of distortion
        found = [names.func(session.id, "xfm", e, run=run, to="boldref", **entities) for e in ends]
        xfm = found[0] if found[0].exists() else found[1]
        yield f"Grey matter on BOLD run {run or 1}", boldref, xfm
        if run == runs[0]:
            joined = names.suvr(session.id, "mimap", ".nii.gz", space="boldref")
            yield "Grey matter on the joined SUVR (BOLD grid)", joined, xfm


def _overlay(title: str, path: Path, labels: nib.Nifti1Image, xfm: Transform) -> Overlay:
    """Bring an image onto the grid of the labels, for display only."""
    image = resample(nib.load(path), xfm, Grid.of(labels), order=1)
    spacing = [float(size) for size in labels.header.get_zooms()[:3]]
    return Overlay(title, np.asarray(image.dataobj), np.asarray(labels.dataobj), spacing)
