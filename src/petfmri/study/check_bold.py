"""BOLD sidecars: the repetition time, and whether the image agrees with it."""

from __future__ import annotations

from petfmri.errors import Problem
from petfmri.study.bids import Scan
from petfmri.study.check_images import Image
from petfmri.study.check_pet import number

REPETITION_S = (0.1, 10.0)


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


def image_problems(scan: Scan, image: Image) -> list[Problem]:
    """Check that a BOLD image is a series, with the repetition time of its sidecar."""
    if image.n_frames == 1:
        return [
            Problem(
                scan.path.name,
                "a 3-D image",
                "a 4-D series of volumes",
                "convert it again from the scanner's files",
            )
        ]
    seconds = number(scan.sidecar.get("RepetitionTime"))
    plausible = seconds is not None and REPETITION_S[0] <= seconds <= REPETITION_S[1]
    if not plausible or not seconds or not image.frame_s:
        return []
    if abs(image.frame_s - seconds) <= 0.01 * seconds:
        return []
    return [
        Problem(
            scan.path.name,
            f"{image.frame_s:g} s between volumes in the header",
            f"{seconds:g} s, as RepetitionTime in its sidecar",
            "find out which is right and correct the other",
        )
    ]
