"""PET sidecars: times, activity, weight, units, and whether the image agrees with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from petfmri.errors import Problem
from petfmri.study.bids import Participant, Scan
from petfmri.study.check_images import Image, constant_problems
from petfmri.typing import FloatArray

REQUIRED = ("FrameTimesStart", "FrameDuration", "InjectionStart", "Units", "ImageDecayCorrected")
USEFUL = (
    *("TracerName", "TracerRadionuclide", "TimeZero", "ScanStart", "ImageDecayCorrectionTime"),
    *("InjectedRadioactivity", "InjectedRadioactivityUnits"),
)
MBQ_PER_UNIT = {"Bq": 1e-6, "kBq": 1e-3, "MBq": 1.0, "GBq": 1e3, "uCi": 0.037, "mCi": 37.0}
BQ_PER_ML = {"bq/ml": 1.0, "bq/cc": 1.0, "kbq/ml": 1e3, "mbq/ml": 1e6, "nci/ml": 37.0}
ACTIVITY_MBQ = (50.0, 1000.0)
WEIGHT_KG = (25.0, 300.0)
SCAN_END_S = (200.0, 86_400.0)
FRAMES_MIN_S = 120.0
OXYGEN_15 = ("15O", "O15", "O-15")
SIXTYFOLD = (45.0, 75.0)
TOLERANCE_S = 1.0
ARRIVAL_S = 60.0  # after the injection: until then frames may be empty
SUV_MAX = 0.5


def sidecar_problems(
    scan: Scan, person: Participant, window_s: tuple[float, float] | None = None
) -> list[Problem]:
    """Check the sidecar of one PET scan.

    Parameters
    ----------
    scan : Scan
        With its inherited sidecar.
    person : Participant
        Whose weight in participants.tsv is checked too.
    window_s : (float, float), optional
        Seconds after injection that the frames must cover.
    """
    if not scan.readable:
        return []
    return [
        *_missing_fields(scan),
        *_frames(scan, window_s),
        *_activity(scan),
        *_weight(scan, person),
        *_units(scan),
    ]


def image_problems(scan: Scan, image: Image) -> list[Problem]:
    """Check that the image has the frames of its sidecar, none empty, and voxels in its units."""
    durations = numbers(scan.sidecar.get("FrameDuration"))
    starts = numbers(scan.sidecar.get("FrameTimesStart"))
    agree = starts is None or durations is None or len(starts) == len(durations)
    if durations is not None and agree and len(durations) != image.n_frames:
        found = "a 3-D image" if image.n_frames == 1 else f"{image.n_frames} frames"
        return [
            Problem(
                scan.path.name,
                found,
                f"{len(durations)} frames, as FrameDuration in its sidecar",
                "convert it again with all frames, or correct the sidecar",
            )
        ]
    problems = list(_too_dim(scan, image))
    if starts is None or durations is None or not agree or image.voxels is None:
        return problems
    ends = starts + durations - (number(scan.sidecar.get("InjectionStart")) or 0.0)
    empty = [frame for frame in image.voxels.constant if ends[frame] > ARRIVAL_S]
    remedy = "reconstruct it again, or remove it from image and sidecar"
    return problems + constant_problems(scan.path, empty, "frame", remedy)


def _missing_fields(scan: Scan) -> Iterator[Problem]:
    for fields, severity in ((REQUIRED, "error"), (USEFUL, "warning")):
        absent = [name for name in fields if scan.sidecar.get(name) is None]
        if absent:
            yield Problem(
                f"{scan.path.name.partition('.')[0]}.json",
                f"no {', '.join(absent)}",
                "these fields of PET-BIDS",
                "add them from the scan protocol",
                "error" if severity == "error" else "warning",
            )


def number(value: object) -> float | None:
    """Read one finite number; None if it is anything else."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and np.isfinite(value) else None  # type: ignore[arg-type, call-overload]


def numbers(value: object) -> FloatArray | None:
    """Read a JSON list of finite numbers; None if it is anything else."""
    found = [number(item) for item in value] if isinstance(value, list) else []
    return np.array(found, dtype=float) if found and None not in found else None


def _frames(scan: Scan, window_s: tuple[float, float] | None) -> list[Problem]:
    given = {name: scan.sidecar.get(name) for name in ("FrameTimesStart", "FrameDuration")}
    bad = [name for name, value in given.items() if value is not None and numbers(value) is None]
    if bad:
        return [
            Problem(
                scan.where(name), f"{given[name]!r:.60}", "a list of numbers (s)", "one per frame"
            )
            for name in bad
        ]
    starts, durations = numbers(given["FrameTimesStart"]), numbers(given["FrameDuration"])
    if starts is None or durations is None:
        return []
    starts = starts - (number(scan.sidecar.get("InjectionStart")) or 0.0)
    short_lived = scan.sidecar.get("TracerRadionuclide") in OXYGEN_15
    found = frame_problems(scan.where("FrameTimesStart"), starts, durations, any_length=short_lived)
    errors = any(problem.severity == "error" for problem in found)
    if window_s is None or errors:
        return found
    return found + _window(scan, starts, durations, window_s)


def frame_problems(
    where: str, starts_s: FloatArray, durations_s: FloatArray, *, any_length: bool = False
) -> list[Problem]:
    """Check a frame schedule in seconds after injection.

    Parameters
    ----------
    where : str
        File and field, for the messages.
    starts_s, durations_s : array of shape (n_frames,), s
    any_length : bool
        Accept a scan of a few minutes, as with oxygen-15.

    Returns
    -------
    list of Problem
        The first kind of error found (lengths, then units, then overlap), or warnings on gaps.
    """
    if len(starts_s) != len(durations_s):
        extra = len(starts_s) == len(durations_s) + 1
        return [
            Problem(
                where,
                f"{len(starts_s)} values",
                f"{len(durations_s)}, one per FrameDuration",
                "remove the last, which is the end of the scan" if extra else "correct the lists",
            )
        ]
    if (durations_s <= 0).any():
        worst = durations_s.min()
        return [
            Problem(
                where, f"a frame of {worst:g} s", "durations above 0 s", "correct FrameDuration"
            )
        ]
    wrong_unit = [] if any_length else _wrong_unit(where, starts_s, durations_s)
    return wrong_unit or _sequence(where, starts_s, durations_s)


def _wrong_unit(where: str, starts_s: FloatArray, durations_s: FloatArray) -> list[Problem]:
    """Recognise minutes and milliseconds by when the scan ends and by steps against durations."""
    end = starts_s[-1] + durations_s[-1]
    ratio = np.median(np.diff(starts_s)) / np.median(durations_s[:-1]) if len(starts_s) > 1 else 1.0
    mixed = SIXTYFOLD[0] < ratio < SIXTYFOLD[1] or SIXTYFOLD[0] < 1 / (ratio or 1) < SIXTYFOLD[1]
    if end > SCAN_END_S[1]:
        unit, factor = "milliseconds", "divide by 1000"
    elif mixed or 0 < end <= SCAN_END_S[0] or durations_s.sum() < FRAMES_MIN_S:
        unit, factor = (
            "seconds mixed with minutes" if mixed else "minutes",
            "multiply minutes by 60",
        )
    else:
        return []
    return [
        Problem(
            where,
            f"frames of {durations_s.min():g} to {durations_s.max():g} that end at {end:g} after "
            f"injection, which look like {unit}",
            "seconds in FrameTimesStart, FrameDuration and InjectionStart",
            factor,
        )
    ]


def _sequence(where: str, starts_s: FloatArray, durations_s: FloatArray) -> list[Problem]:
    """Check that each frame begins where the one before it ends, to 1 s."""
    steps = starts_s[1:] - (starts_s + durations_s)[:-1]
    unordered = (steps < -TOLERANCE_S) | (np.diff(starts_s) <= 0)
    overlaps, gaps = np.flatnonzero(unordered), np.flatnonzero(steps > TOLERANCE_S)
    if len(overlaps):
        frame = int(overlaps[0])
        return [
            Problem(
                where,
                f"frame {frame + 2} beginning {-steps[frame]:g} s before frame {frame + 1} ends",
                "frames that follow one another",
                "correct the start times or durations",
            )
        ]
    if len(gaps):
        frame = int(gaps[0])
        number_of = "1 gap" if len(gaps) == 1 else f"{len(gaps)} gaps, the first"
        return [
            Problem(
                where,
                f"{number_of} of {steps[frame]:g} s after frame {frame + 1}",
                "frames without gaps",
                "check the times; means over a window leave the gap out",
                "warning",
            )
        ]
    return []


def _window(
    scan: Scan, starts_s: FloatArray, durations_s: FloatArray, window_s: tuple[float, float]
) -> list[Problem]:
    """Check that frames cover the window: under 90 % is an error, under 99 % a warning."""
    first, last = window_s
    ends_s = starts_s + durations_s
    covered = np.clip(np.minimum(ends_s, last) - np.maximum(starts_s, first), 0, None).sum()
    share = covered / (last - first)
    if share >= 0.99:
        return []
    return [
        Problem(
            scan.where("FrameTimesStart"),
            f"frames from {starts_s[0] / 60:g} to {ends_s[-1] / 60:g} min after injection, "
            f"{100 * share:.0f} % of the window",
            f"the window {first / 60:g} to {last / 60:g} min",
            "choose a window that every scan covers, or correct InjectionStart",
            "error" if share < 0.9 else "warning",
        )
    ]


def activity_mbq(sidecar: Mapping[str, Any]) -> float | None:
    """Injected activity in MBq; None if it is absent or its unit unknown."""
    unit = str(sidecar.get("InjectedRadioactivityUnits")).replace("µ", "u").replace("μ", "u")
    value = number(sidecar.get("InjectedRadioactivity"))
    return None if value is None or unit not in MBQ_PER_UNIT else value * MBQ_PER_UNIT[unit]


def _is_between(value: float | None, bounds: tuple[float, float]) -> bool:
    return value is not None and bounds[0] <= value <= bounds[1]


def _activity(scan: Scan) -> Iterator[Problem]:
    value = scan.sidecar.get("InjectedRadioactivity")
    unit = scan.sidecar.get("InjectedRadioactivityUnits")
    if value is None or unit is None:
        return
    mbq = activity_mbq(scan.sidecar)
    if mbq is None:
        yield Problem(
            scan.where("InjectedRadioactivity"),
            f"{value!r} {unit}",
            f"a number in {', '.join(MBQ_PER_UNIT)}",
            "correct value and unit",
        )
    elif not _is_between(mbq, ACTIVITY_MBQ):
        yield Problem(
            scan.where("InjectedRadioactivity"),
            f"{value:.10g} {unit}, which is {mbq:.3g} MBq",
            f"{ACTIVITY_MBQ[0]:g} to {ACTIVITY_MBQ[1]:g} MBq for a person",
            f"correct value or unit{_hint(scan, float(value))}",
        )


def _hint(scan: Scan, value: float) -> str:
    """Name what the activity may have meant: another unit, or DICOM's total dose (always Bq)."""
    units = [unit for unit, mbq in MBQ_PER_UNIT.items() if _is_between(value * mbq, ACTIVITY_MBQ)]
    hint = f": {value:.10g} {units[0]} would be plausible" if units else ""
    dose = number(scan.sidecar.get("RadionuclideTotalDose"))
    return hint if dose is None else f"{hint}; RadionuclideTotalDose says {dose / 1e6:.4g} MBq"


def _weight(scan: Scan, person: Participant) -> Iterator[Problem]:
    given = {
        scan.where("BodyWeight"): scan.sidecar.get("BodyWeight"),
        f"participants.tsv: {person.id}, weight": person.columns.get("weight"),
    }
    for where, value in given.items():
        if value is not None and not _is_between(number(value), WEIGHT_KG):
            yield Problem(
                where,
                repr(value) if isinstance(value, str) else f"{value} kg",
                f"{WEIGHT_KG[0]:g} to {WEIGHT_KG[1]:g} kg",
                "correct it, or write n/a if unknown",
            )
    if all(value is None for value in given.values()):
        yield Problem(
            scan.where("BodyWeight"),
            "no weight here or in participants.tsv",
            "body weight (kg)",
            "add it if SUV is wanted; SUVR does not need it",
            "warning",
        )


def _units(scan: Scan) -> Iterator[Problem]:
    units, corrected = scan.sidecar.get("Units"), scan.sidecar.get("ImageDecayCorrected")
    if units is not None and bq_per_ml(units) is None:
        yield Problem(
            scan.where("Units"),
            repr(units),
            "Bq/mL (or kBq/mL, MBq/mL, nCi/mL)",
            "convert the image, then correct the field",
        )
    if corrected is False:
        known = scan.sidecar.get("TracerRadionuclide") is not None
        yield Problem(
            scan.where("ImageDecayCorrected"),
            "false",
            "true: frames corrected for decay to one time",
            "nothing to do: the frames will be corrected from their times and TracerRadionuclide"
            if known
            else "add TracerRadionuclide, so that the frames can be corrected",
            "warning" if known else "error",
        )
    elif corrected not in (None, True):
        yield Problem(
            scan.where("ImageDecayCorrected"), repr(corrected), "true or false", "correct it"
        )


def bq_per_ml(units: object) -> float | None:
    """Bq/mL in one of `units`; None if these are no concentration of activity."""
    return BQ_PER_ML.get(str(units).replace(" ", "").lower())


def _too_dim(scan: Scan, image: Image) -> Iterator[Problem]:
    """Compare the hottest voxel with the dose per weight, which exposes kBq written as Bq."""
    mbq, weight = activity_mbq(scan.sidecar), number(scan.sidecar.get("BodyWeight"))
    scale = bq_per_ml(scan.sidecar.get("Units"))
    if image.voxels is None or mbq is None or weight is None or scale is None:
        return
    if not (_is_between(mbq, ACTIVITY_MBQ) and _is_between(weight, WEIGHT_KG)):
        return
    suv = image.voxels.maximum * scale / (mbq * 1e6 / (weight * 1e3))
    if suv < SUV_MAX:
        yield Problem(
            scan.path.name,
            f"a hottest voxel of {image.voxels.maximum:.4g} (SUV {suv:.2g})",
            f"an SUV above {SUV_MAX:g} somewhere in the head",
            "check the units of image and activity; SUVR is not affected",
            "warning",
        )
