"""Sidecars, column descriptions and texts of a simulated BIDS study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petfmri.simulation.presets import Preset

TRACER = "UCBJ"
SCANNER = {"Manufacturer": "petfmri", "ManufacturersModelName": "simulation"}
MASS_UG = 1.5  # injected

PEOPLE_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "age": {"Description": "Age", "Units": "a"},
    "sex": {"Description": "F female, M male"},
    "weight": {"Description": "Body weight", "Units": "kg"},
    "group": {"Description": "Treatment arm"},
}
SESSION_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "session_id": {"Description": "Session"},
    "acq_time": {"Description": "Start of the session, dates shifted before 1925"},
    "dose_mg_kg": {"Description": "Dose given before the session", "Units": "mg/kg"},
    "arm": {"Description": "Treatment arm"},
    "days_since_dose": {"Description": "Days between dose and session", "Units": "d"},
}
MADRS_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "madrs": {"Description": "Montgomery-Asberg Depression Rating Scale, sum of 10 items, 0-60"},
}
REGION_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "region": {"Description": "Region of the atlas"},
    "network": {"Description": "Network of the region"},
    "volume_mm3": {"Description": "Volume of the true parcel", "Units": "mm^3"},
    "k1": {"Description": "Influx", "Units": "mL/cm^3/min"},
    "vt": {"Description": "Distribution volume", "Units": "mL/cm^3"},
    "dvr": {"Description": "V_T over that of white matter"},
    "bpnd": {"Description": "DVR - 1"},
    "suvr_ideal": {
        "Description": "Activity 60-90 min over that of white matter, at perfect resolution"
    },
    "suvr_blurred": {
        "Description": "Mean of the true parcel over mean of the true reference region, 60-90 min,"
        " after the resolution of the scanner, without noise and movement"
    },
    "suvr_ideal_cerebellum": {"Description": "As suvr_ideal, over cerebellar grey matter"},
    "suvr_blurred_cerebellum": {"Description": "As suvr_blurred, over cerebellar grey matter"},
}
README = """Simulated study with known truth

Made by petfmri. Nobody was scanned. One T1w image serves both sessions of a person; each session
has a PET scan and a BOLD run. Left out of the simulation: susceptibility distortion, attenuation
and scatter, movement within a PET frame, slice timing.

truth/ holds what the measurement should find (truth/README says how it is defined).
"""
TRUTH_README = """Truth of the simulated study

planted.json             effects, and what each person received
regions.tsv              kinetics and uptake ratios per person, session and region
sessions.tsv             network metrics per person and session
sub-*/anat               tissue labels (1 CSF, 2 grey, 3 white matter, 4 soft tissue), parcels,
                         reference region; transforms to and from the template
sub-*/ses-*/pet, func    curves, connectivity, transforms

True parcels are the atlas labels, carried by the true warp, within true grey matter. The true
reference region is the template's start mask, carried by the true warp, more than 3 mm inside
true white matter. suvr_blurred averages both over the true activity blurred by the scanner's
resolution, before movement and noise: compare estimates with it, never with the planted V_T.

Transforms map points of the second space to points of the first one named (ITK; LPS in files).
*_desc-motion_xfm.txt maps points of the scan's reference pose to points of each frame.
*_desc-distortion_xfm.nii.gz, where distortion was asked for, maps points of that reference to where
they would lie without it; the other transforms are those without it.
"""


def dataset_description(preset: Preset, version: str) -> dict[str, Any]:
    """Return dataset_description.json."""
    return {
        "Name": f"petfmri simulated study ({preset.name})",
        "BIDSVersion": "1.9.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["the petfmri developers"],
        "GeneratedBy": [{"Name": "petfmri simulate", "Version": version}],
    }


def t1w_sidecar() -> dict[str, Any]:
    """Return the sidecar of a T1w image."""
    return {**SCANNER, "Modality": "MR", "MagneticFieldStrength": 3, "FlipAngle": 9}


def pet_sidecar(preset: Preset, injected_mbq: float, weight_kg: float) -> dict[str, Any]:
    """Return the sidecar of a PET scan."""
    return {
        **SCANNER,
        "Modality": "PT",
        "BodyPart": "HEAD",
        "TracerName": TRACER,
        "TracerRadionuclide": "C11",
        "InjectedRadioactivity": injected_mbq,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": MASS_UG,
        "InjectedMassUnits": "ug",
        "SpecificRadioactivity": round(injected_mbq / MASS_UG, 3),
        "SpecificRadioactivityUnits": "MBq/ug",
        "ModeOfAdministration": "bolus",
        "BodyWeight": weight_kg,
        "BodyWeightUnits": "kg",
        "TimeZero": "10:00:00",
        "InjectionStart": 0,
        "ScanStart": preset.scan_start_s,
        "FrameTimesStart": preset.frame_start_s.tolist(),
        "FrameDuration": preset.frame_duration_s.tolist(),
        "AcquisitionMode": "list mode",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "Units": "Bq/mL",
        "AttenuationCorrection": "none needed (simulated)",
        "ReconMethodName": "simulated",
        "ReconMethodParameterLabels": ["resolution"],
        "ReconMethodParameterUnits": ["mm"],
        "ReconMethodParameterValues": [preset.psf_fwhm_mm],
        "ReconFilterType": "none",
        "ReconFilterSize": 0,
    }


def bold_sidecar(preset: Preset) -> dict[str, Any]:
    """Return the sidecar of a BOLD run."""
    return {
        **SCANNER,
        "Modality": "MR",
        "MagneticFieldStrength": 3,
        "TaskName": "rest",
        "RepetitionTime": preset.repetition_time_s,
        "EchoTime": 0.03,
        "FlipAngle": 77,
        "PhaseEncodingDirection": "j-",
    }


def madrs_sidecar() -> dict[str, Any]:
    """Return the sidecar of the symptom table."""
    tool = {"Description": "Montgomery-Asberg Depression Rating Scale (simulated values)"}
    return {"MeasurementToolMetadata": tool, **{k: dict(v) for k, v in MADRS_COLUMNS.items()}}
