"""Whose curves `petfmri quantify` fits, and where they come from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petfmri.commands.adoption import adoptions
from petfmri.commands.arterial import Arterial
from petfmri.commands.choices import Choice
from petfmri.commands.context import cohort_of, reference_name
from petfmri.commands.petprep import (
    Scans,
    full_sidecar,
    grey_structures,
    raw_pet,
    reference_regions,
)
from petfmri.commands.quantify_person import Person
from petfmri.commands.run import names_of, settings_of
from petfmri.commands.scan_curves import UNLIMITED_S, ImageScan, ScanCurves
from petfmri.config import Study
from petfmri.errors import DatasetError
from petfmri.pet.activity import half_life
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.psf import psf_fwhm_mm
from petfmri.study.adopted import AdoptedPet
from petfmri.study.bids import Scan
from petfmri.study.layout import Names
from petfmri.study.names import parse_name
from petfmri.study.petprep import PetprepTacs
from petfmri.typing import FloatArray

NO_NUCLIDE = "The nuclide is not stated: frames weigh by their duration alone, not by decay."


def image_people(study: Study, chosen: Sequence[Choice]) -> list[Person]:
    """List the people that `petfmri run` processed.

    Raises
    ------
    DatasetError
        If nobody has been processed.
    """
    cohort = cohort_of(study)
    settings, adopted = settings_of(study, cohort), adoptions(study, cohort)
    references = list(dict.fromkeys(choice.reference for choice in chosen if choice.reference))
    corrected = any(choice.pvc != "none" for choice in chosen)
    people = []
    for person in cohort.participants:
        names = names_of(study, settings, person.id)
        scans = {
            session.id: ImageScan(
                session.pet[0].path,
                dict(session.pet[0].sidecar),
                names,
                session.id,
                references or [reference_name(study)],
                _resolution(session.pet[0], study) if corrected else None,
                adopted[person.id].scans.get(session.pet[0].path, AdoptedPet()),
            )
            for session in person.sessions
            if session.pet and names.pet(session.id, "petref", ".nii.gz", desc="hmc").exists()
        }
        blood = {
            session: _arterial(scan.path, study, scan.sidecar) for session, scan in scans.items()
        }
        if scans:
            people.append(Person(person.id, names, scans, blood))
    if not people:
        raise DatasetError(
            str(study.output), "no PET that was run", "results of a run", "call `petfmri run` first"
        )
    return people


def _resolution(scan: Scan, study: Study) -> FloatArray:
    """Return the resolution of the PET, which must not depend on direction.

    Raises
    ------
    DatasetError
        If it is unknown, or differs between the axes of the PET: the correction works on the grid
        of the T1w, whose axes are others.
    """
    fwhm = psf_fwhm_mm(study.pet.psf_xyz_mm, scan.sidecar, scan.path.name)
    if np.ptp(fwhm) > 0.2:
        raise DatasetError(
            f"{scan.path.name}: resolution",
            " x ".join(f"{size:g}" for size in fwhm) + " mm",
            "one FWHM for all directions",
            "give pet.psf_mm one number, such as their geometric mean",
        )
    return fwhm


@dataclass(frozen=True, eq=False)
class TableScan:
    """A scan of which PETPrep wrote the curves."""

    found: ScanCurves

    def curves(self, pvc: str) -> ScanCurves:
        """Return the curves, which no image is at hand to correct."""
        if pvc != "none":
            raise DatasetError("PETPrep's curves", f"pvc: {pvc}", "none", "correct in PETPrep")
        return self.found


def petprep_people(study: Study, chosen: Sequence[Choice], found: Scans) -> list[Person]:
    """Gather each person's scans of those `found`."""
    tracer = study.pet.tracer
    people = []
    for participant in dict.fromkeys(participant for participant, _ in found):
        scans, blood, seg = {}, {}, None
        for (owner, session), scan in found.items():
            if owner != participant:
                continue
            scans[session] = TableScan(_table_curves(scan, study, chosen))
            name = parse_name(scan.path.name)
            entities = dict(name.entities) if name else {}
            seg = seg or entities.get("seg")
            blood[session] = _arterial(raw_pet(scan, study), study, full_sidecar(scan, study))
        names = Names(
            study.output, participant, seg or "unknown", tracer, reference_name(study), "rest"
        )
        people.append(Person(participant, names, scans, blood))
    return people


def _arterial(pet: Path, study: Study, sidecar: Mapping[str, Any]) -> Arterial:
    known = "TracerRadionuclide" in sidecar
    return Arterial(
        pet,
        study.derivatives.bloodstream,
        float(sidecar.get("InjectionStart", 0.0)),
        half_life(dict(sidecar), pet.name) if known else None,
        study.pet.parent_fraction,
    )


def _table_curves(scan: PetprepTacs, study: Study, chosen: Sequence[Choice]) -> ScanCurves:
    sidecar = full_sidecar(scan, study)
    injection_s = float(sidecar.get("InjectionStart", 0.0))
    where = scan.path.name
    schedule = FrameSchedule.from_edges(
        scan.frame_start_s - injection_s, scan.frame_end_s - injection_s, where
    )
    names = pd.DataFrame({"name": scan.tacs.index.astype(str)})
    references = {}
    for name in dict.fromkeys(choice.reference for choice in chosen if choice.reference):
        members = reference_regions(names, study, name, scan.path)
        volumes = None
        if scan.volumes_mm3 is not None and set(members) <= set(scan.volumes_mm3.index):
            volumes = scan.volumes_mm3[members].to_numpy(float)
        references[name] = np.average(scan.tacs.loc[members], axis=0, weights=volumes)
    known = "TracerRadionuclide" in sidecar
    if not known:
        remedy = "name bids: with the raw PET, whose sidecar tells"
        found = "no TracerRadionuclide: frames weigh by their duration alone, not by decay"
        print(f"warning: {where}: {found}; {remedy}.", file=sys.stderr)
    volumes_mm3 = None
    if scan.volumes_mm3 is not None:
        volumes_mm3 = scan.volumes_mm3.reindex(scan.tacs.index).fillna(0).to_numpy(float)
    return ScanCurves(
        tuple(scan.tacs.index.astype(str)),
        scan.tacs.to_numpy(float),
        volumes_mm3,
        references,
        schedule,
        half_life(dict(sidecar), where) if known else UNLIMITED_S,
        () if known else (NO_NUCLIDE,),
        scan.tacs.index.astype(str).isin(list(grey_structures(scan))),
    )
