"""The files of one scan and choice: table, maps and what their sidecars say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from petfmri import __version__
from petfmri.commands.choices import Choice
from petfmri.commands.scan_curves import UNLIMITED_S, ImageScan, ScanCurves
from petfmri.config import K2PrimeValue, Study
from petfmri.pet.blood import InputFunction
from petfmri.pet.kinetics.estimate import Inputs, estimate
from petfmri.pet.kinetics.estimates import Estimates, Flag
from petfmri.pet.kinetics.k2prime import K2Prime
from petfmri.pet.kinetics.models import MODELS
from petfmri.study.files import write_json, write_table, written_beside
from petfmri.study.layout import Names
from petfmri.study.names import bids_label

SHOWN = ("bpnd", "dvr", "vt", "suvr", "r1", "k1", "k2", "k3", "k4", "vb")  # in tables
TSTAR_MIN = 30.0  # the default
MAPPED = ("bpnd", "dvr", "suvr", "r1")


def write_estimates(
    names: Names,
    session: str,
    choice: Choice,
    study: Study,
    curves: ScanCurves,
    found: Estimates,
    about: dict[str, Any],
) -> None:
    """Write the table of one choice, named so that no other overwrites it, with its sidecar."""
    table = found.table(curves.names)
    kept = [
        column
        for column in table
        if column in ("name", "flag") or column.removesuffix("_se") in SHOWN
    ]
    path = _path(names, session, "kinpar", ".tsv", choice, study, seg=names.seg)
    write_table(table[kept], path)
    write_json(about, path.with_suffix(".json"))


def _path(
    names: Names,
    session: str,
    suffix: str,
    extension: str,
    choice: Choice,
    study: Study,
    **entities: str,
) -> Path:
    variant = _variant(choice, study)
    return names.pet(
        session,
        suffix,
        extension,
        **entities,
        **({"desc": variant} if variant else {}),
        **({"ref": choice.reference} if choice.reference else {}),
        pvc=choice.pvc,
        model=choice.model,
    )


def _variant(choice: Choice, study: Study) -> str:
    """Name what else was chosen, where it is not the default: no file replaces another's."""
    parts = []
    model, rate = MODELS[choice.model], study.pet.k2prime
    if choice.window_min is not None:
        parts.append("{:g}to{:g}min".format(*choice.window_min))
    if model.needs_k2prime and rate != "scan":
        given = f"{rate.value:g}" if isinstance(rate, K2PrimeValue) else rate
        parts.append(f"k2prime{given}")
    if choice.model in ("refLogan", "Logan") and study.pet.tstar_min != TSTAR_MIN:
        parts.append(f"tstar{study.pet.tstar_min:g}min")
    if model.needs == "plasma" and study.pet.parent_fraction != "hill":
        parts.append(f"parent{study.pet.parent_fraction}")
    return bids_label("".join(parts).replace(".", "p"))


def describe_choice(
    choice: Choice,
    study: Study,
    curves: ScanCurves,
    k2prime: K2Prime | None,
    plasma: InputFunction | None,
    delay_s: float | None,
) -> dict[str, Any]:
    """Say in a sidecar how a table was made, and what its columns are."""
    about: dict[str, Any] = {
        "ModelName": choice.model,
        "ReferenceRegion": choice.reference or None,
        "ReferenceRegionOf": _members(choice, study),
        "PartialVolumeCorrection": choice.pvc,
        "SoftwareName": "petfmri",
        "SoftwareVersion": __version__,
        "WeightOfFrames": "duration / typical activity"
        if curves.half_life_s >= UNLIMITED_S
        else "duration / (decay correction x typical activity)",
        "name": {"Description": "Region"},
        "flag": {
            "Description": "Why an estimate is excluded (then n/a) or doubtful; empty if neither"
        },
        "bpnd": {"Description": "Binding potential, non-displaceable", "Units": "unitless"},
        "dvr": {"Description": "Distribution volume ratio, BP_ND + 1", "Units": "unitless"},
        "suvr": {"Description": "Standardised uptake value ratio", "Units": "unitless"},
        "vt": {"Description": "Distribution volume", "Units": "mL/cm^3"},
        "r1": {"Description": "Influx relative to the reference region", "Units": "unitless"},
        "k1": {"Description": "Influx", "Units": "mL/cm^3/min"},
        "k2": {"Description": "Efflux", "Units": "1/min"},
    }
    if choice.window_min is not None:
        about["WindowStart"], about["WindowEnd"] = (60 * m for m in choice.window_min)
    if choice.model in ("refLogan", "Logan"):
        about["Tstar"] = 60 * study.pet.tstar_min
    if k2prime is not None:
        about["k2prime"] = {
            "Value": k2prime.value,
            "StandardError": None if np.isnan(k2prime.se) else k2prime.se,
            "Units": "1/min",
            "Source": k2prime.source,
            "NumberOfCurves": k2prime.n_curves,
        }
    notes = [*curves.notes, *(plasma.notes if plasma else ())]
    if delay_s is not None:
        about["InputDelay"] = delay_s
        about["ParentFractionModel"] = study.pet.parent_fraction
    if notes:
        about["Notes"] = notes
    return {key: value for key, value in about.items() if value is not None}


def write_fits(
    names: Names,
    session: str,
    choice: Choice,
    study: Study,
    curves: ScanCurves,
    found: Estimates,
) -> None:
    """Draw the curve and the fit of every region beside the table."""
    from petfmri.reports.figures import DPI, every_fit

    if found.fitted is None:
        return
    path = _path(names, session, "fits", ".png", choice, study, seg=names.seg)
    figure = every_fit(
        curves.names,
        curves.schedule.mid_s / 60,
        curves.tac,
        found.fitted,
        ~found.usable,
        title=f"{names.sub} {session}, {choice.label}: dots measured, lines fitted, orange excluded",
    )
    with written_beside(path) as beside:
        figure.savefig(beside, dpi=DPI)


def _members(choice: Choice, study: Study) -> list[str] | None:
    """List the patterns of a reference region of the user's own."""
    own = study.pet.reference
    return list(own.regions) if choice.reference == "custom" and not isinstance(own, str) else None


def write_maps(
    names: Names,
    session: str,
    choice: Choice,
    study: Study,
    scan: ImageScan,
    inputs: Inputs,
) -> None:
    """Fit every voxel of the brain; what is excluded by rule is 0 and counted in the sidecar."""
    voxels, where, affine = scan.voxels()
    found = estimate(choice.model, voxels, scan.schedule, inputs)
    flagged = {flag.name: int(np.count_nonzero(found.flags & flag)) for flag in Flag if flag.name}
    for name in MAPPED:
        if name not in found.values:
            continue
        values = np.zeros(where.shape, dtype=np.float32)
        values[where] = np.nan_to_num(found.values[name])
        path = _path(
            names, session, "mimap", ".nii.gz", choice, study, space="T1w", meas=name.upper()
        )
        with written_beside(path) as beside:
            nib.save(nib.Nifti1Image(values, affine), beside)
        sidecar = {
            "MeasureName": name.upper(),
            "ModelName": choice.model,
            "ReferenceRegion": choice.reference,
            "PartialVolumeCorrection": choice.pvc,
            "Excluded": "0: outside the brain, or excluded by a flag",
            "VoxelsFitted": int(where.sum()),
            "VoxelsExcluded": int(np.count_nonzero(~found.usable)),
            "VoxelsByFlag": flagged,
        }
        if inputs.k2prime is not None:
            sidecar["k2prime"] = inputs.k2prime
        write_json(sidecar, path.with_name(path.name.removesuffix(".nii.gz") + ".json"))
