"""BOLD sidecars: the repetition time, and whether the image agrees with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from petfmri.errors import Problem
from petfmri.study.bids import Participant, Scan
from petfmri.study.check_images import Image, constant_problems
from petfmri.study.check_pet import number

REPETITION_S = (0.1, 10.0)
DIRECTIONS = ("i", "j", "k", "i-", "j-", "k-")


@dataclass(frozen=True)
class BoldNeeds:
    """What the study asks of BOLD sidecars beyond what every run must state.

    Attributes
    ----------
    slice_timing : bool
        Slices are interpolated in time.
    distortion : str
        How distortion is corrected: "none", "registration", or "auto" where the sidecar allows it.
    resampled, aligned : frozenset of Path
        Raw runs of which another program's volumes, or its way to the T1w, are used: no slice is
        interpolated in time, no distortion corrected.
    """

    slice_timing: bool = False
    distortion: Literal["auto", "none", "registration"] = "none"
    resampled: frozenset[Path] = frozenset()
    aligned: frozenset[Path] = frozenset()


def sidecar_problems(scan: Scan) -> list[Problem]:
    """Check that the sidecar of a BOLD run states a plausible RepetitionTime in seconds."""
    if not scan.readable:
        return []
    value = scan.sidecar.get("RepetitionTime")
    seconds = number(value)
    if seconds is not None and REPETITION_S[0] <= seconds <= REPETITION_S[1]:
        return []
    in_ms = seconds is not None and REPETITION_S[0] <= seconds / 1000 <= REPETITION_S[1]
    return [
        Problem(
            scan.where("RepetitionTime"),
            "no such field" if value is None else f"{value!r}{', which looks like ms' * in_ms}",
            f"{REPETITION_S[0]:g} to {REPETITION_S[1]:g} s",
            f"write {seconds / 1000:g}" if in_ms and seconds else "add it from the scan protocol",
        )
    ]


def sampling(person: Participant) -> list[Problem]:
    """Check that all runs of a person have one repetition time, without which none compare."""
    seconds = {
        scan.path.name: value
        for session in person.sessions
        for scan in session.bold
        if (value := number(scan.sidecar.get("RepetitionTime"))) is not None
    }
    if len(set(seconds.values())) < 2:
        return []
    return [
        Problem(
            f"{person.id}: RepetitionTime",
            ", ".join(f"{value:g} s in {name}" for name, value in seconds.items()),
            "one: connectivity measured at different sampling rates is not comparable",
            "correct the sidecars, or leave out the runs that differ",
        )
    ]


def image_problems(scan: Scan, image: Image) -> list[Problem]:
    """Check that a BOLD image is a series, none of it empty, with its sidecar's repetition time."""
    if image.n_frames == 1:
        return [
            Problem(
                scan.path.name,
                "a 3-D image",
                "a 4-D series of volumes",
                "convert it again from the scanner's files",
            )
        ]
    empty = image.voxels.constant if image.voxels else ()
    remedy = "convert it again from the scanner's files, or cut the run before it"
    found = constant_problems(scan.path, empty, "volume", remedy)
    seconds = number(scan.sidecar.get("RepetitionTime"))
    plausible = seconds is not None and REPETITION_S[0] <= seconds <= REPETITION_S[1]
    if not plausible or not seconds or not image.frame_s:
        return found
    if abs(image.frame_s - seconds) <= 0.01 * seconds:
        return found
    return [
        *found,
        Problem(
            scan.path.name,
            f"{image.frame_s:g} s between volumes in the header",
            f"{seconds:g} s, as RepetitionTime in its sidecar",
            "find out which is right and correct the other",
        ),
    ]


def option_problems(scan: Scan, image: Image, needs: BoldNeeds) -> list[Problem]:
    """Check what only some options need: times of the slices, direction of the phase encoding."""
    if not scan.readable:
        return []
    in_time = needs.slice_timing and scan.path not in needs.resampled
    problems = _slice_problems(scan, image) if in_time else []
    field = "PhaseEncodingDirection"
    direction = scan.sidecar.get(field)
    left = needs.distortion == "none" or scan.path in needs.resampled | needs.aligned
    if left or direction in DIRECTIONS:
        return problems
    if needs.distortion == "auto" and direction is None:
        remedy = "add it from the scan protocol; without it distortion stays"
        expected = "it, to correct distortion"
        return [*problems, Problem(scan.where(field), "no such field", expected, remedy, "warning")]
    return [*problems, _not_a_direction(scan, field)]


def _slice_problems(scan: Scan, image: Image) -> list[Problem]:
    """Compare SliceTiming with the repetition time and the number of slices."""
    direction, times = (
        scan.sidecar.get("SliceEncodingDirection", "k"),
        scan.sidecar.get("SliceTiming"),
    )
    if direction not in DIRECTIONS:
        return [_not_a_direction(scan, "SliceEncodingDirection")]
    n_slices = image.shape["ijk".index(direction[0])]
    expected = f"seconds after the start of the volume, one for each of {n_slices} slices"
    remedy = "add it from the scanner's files, or set bold.slice_timing to false"
    if not isinstance(times, list):
        found = "no such field" if times is None else repr(times)[:80]
        return [Problem(scan.where("SliceTiming"), found, expected, remedy)]
    seconds = [number(value) for value in times]
    repetition_s = number(scan.sidecar.get("RepetitionTime")) or 0.0
    if len(times) != n_slices:
        return [Problem(scan.where("SliceTiming"), f"{len(times)} values", expected, remedy)]
    wrong = [
        time
        for time, s in zip(times, seconds, strict=True)
        if s is None or not 0 <= s <= repetition_s
    ]
    if not wrong:
        return []
    found = f"{len(wrong)} of {len(times)} values such as {wrong[0]!r}"
    within = f"seconds from 0 to the RepetitionTime, {repetition_s:g}"
    return [Problem(scan.where("SliceTiming"), found, within, "correct its unit or the values")]


def _not_a_direction(scan: Scan, field: str) -> Problem:
    value = scan.sidecar.get(field)
    found = "no such field" if value is None else repr(value)
    remedy = "add it from the scan protocol, or switch the option off in bold:"
    return Problem(scan.where(field), found, f"one of {', '.join(DIRECTIONS)}", remedy)
