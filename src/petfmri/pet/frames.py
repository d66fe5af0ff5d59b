"""When each frame of a PET scan was acquired, in seconds since the injection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from petfmri.errors import DatasetError, FrameError, Problem
from petfmri.pet.nuclides import nuclide
from petfmri.typing import FloatArray

OVERLAP_TOLERANCE_S = 1.0  # scanners round the times that they write
SCAN_START_TOLERANCE_S = 60.0
SHORTEST_SCAN_S = 200.0  # a scan that ends earlier was most likely written in minutes
LONGEST_SCAN_S = 86_400.0
MIN_COVERED = 0.9
MAX_OUTSIDE = 0.2


@dataclass(frozen=True, eq=False)
class FrameSchedule:
    """Start and duration of every frame.

    Parameters
    ----------
    start_s : array of shape (n_frames,), s
        Start of each frame, counted from the injection.
    duration_s : array of shape (n_frames,), s
    where : str
        What errors name, usually the sidecar's path.

    Raises
    ------
    FrameError
        If the arrays differ in length, are empty or not finite, if a duration is not positive, or
        if frames are out of order or overlap by more than 1 s. Gaps between frames are allowed.

    Examples
    --------
    >>> schedule = FrameSchedule([0, 600, 1200], [600, 600, 1200])
    >>> schedule.mid_s
    array([ 300.,  900., 1800.])
    >>> schedule.window_weights((600, 2400))
    array([0.        , 0.33333333, 0.66666667])
    """

    start_s: FloatArray
    duration_s: FloatArray
    where: str = "frame schedule"

    def __post_init__(self) -> None:
        for name in ("start_s", "duration_s"):
            values = np.array(getattr(self, name), dtype=float, ndmin=1)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        problems = _schedule_problems(self.start_s, self.duration_s, self.where)
        if problems:
            raise FrameError.of(problems)

    @classmethod
    def from_edges(
        cls, start_s: ArrayLike, end_s: ArrayLike, where: str = "frame schedule"
    ) -> FrameSchedule:
        """Make a schedule of the start and end columns of a table of time-activity curves.

        Raises
        ------
        FrameError
            As for the class, and if the times appear to be minutes.
        """
        start, end = (np.array(edges, dtype=float, ndmin=1) for edges in (start_s, end_s))
        if start.shape != end.shape:
            raise FrameError(
                where, f"{start.size} starts, {end.size} ends", "one of each", "correct the table"
            )
        schedule = cls(start, end - start, where)
        problem = _unit_problem(schedule.start_s, schedule.duration_s, where)
        if problem:
            raise FrameError.of([problem])
        return schedule

    @classmethod
    def from_sidecar(
        cls, sidecar: Mapping[str, Any], n_frames: int, where: str = "PET sidecar"
    ) -> FrameSchedule:
        """Read a BIDS PET sidecar and report everything that is wrong with its times at once.

        ``FrameTimesStart`` counts from ``TimeZero``, as ``InjectionStart`` does (taken as 0 where
        it is absent); the schedule counts from the injection.

        Parameters
        ----------
        sidecar : mapping
            With ``FrameTimesStart`` and ``FrameDuration`` in seconds.
        n_frames : int
            Number of frames of the image.
        where : str
            What errors name.

        Raises
        ------
        FrameError
            If a field is absent, not numeric or not of the image's length; if times appear to be
            minutes or milliseconds; if frames begin more than 60 s before ``ScanStart``; and as
            for the class.

        References
        ----------
        Norgaard et al., PET-BIDS. Sci Data 2022;9:65. doi:10.1038/s41597-022-01164-1
        """
        problems: list[Problem] = []
        start = _times(sidecar, "FrameTimesStart", where, problems)
        duration = _times(sidecar, "FrameDuration", where, problems)
        offsets = {
            name: _times({name: 0.0, **sidecar}, name, where, problems)
            for name in ("InjectionStart", "ScanStart")
        }
        if not problems:
            problems = _count_problems(start, duration, n_frames, where)
        if not problems:
            early = start[0] - offsets["ScanStart"][0]
            start = start - offsets["InjectionStart"][0]
            if not _is_short_lived(sidecar):
                problem = _unit_problem(start, duration, where)
                problems = [problem] if problem else []
            if not problems and "ScanStart" in sidecar and early < -SCAN_START_TOLERANCE_S:
                problems = [_early_problem(-early, where)]
        if problems:
            raise FrameError.of(problems)
        return cls(start, duration, where)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.start_s.size)

    @property
    def end_s(self) -> FloatArray:
        """End of each frame, s."""
        return self.start_s + self.duration_s

    @property
    def mid_s(self) -> FloatArray:
        """Middle of each frame, s."""
        return self.start_s + self.duration_s / 2

    def overlap_s(self, window_s: tuple[float, float]) -> FloatArray:
        """Seconds of each frame that lie inside the window, shape (n_frames,)."""
        low, high = window_s
        return np.clip(np.minimum(self.end_s, high) - np.maximum(self.start_s, low), 0.0, None)

    def window_covered(self, window_s: tuple[float, float]) -> float:
        """Fraction of the window, 0 to 1, during which a frame was acquired."""
        low, high = window_s
        return float(min(self.overlap_s(window_s).sum() / (high - low), 1.0))

    def window_weights(
        self, window_s: tuple[float, float], *, min_covered: float = MIN_COVERED
    ) -> FloatArray:
        """Weights of the frames for the mean over a time window.

        A frame weighs as many seconds as it shares with the window, so that a frame which is partly
        inside counts in part. Its value is nevertheless the mean of the whole frame: windows of
        which such frames would carry too much are refused.

        Parameters
        ----------
        window_s : (float, float), s
            Start and end since the injection.
        min_covered : float
            Smallest fraction of the window that frames must cover.

        Returns
        -------
        weights : array of shape (n_frames,)
            They sum to 1; frames outside the window have 0.

        Raises
        ------
        FrameError
            If the window is empty, if frames cover less than `min_covered` of it, or if more than
            20 % of the weighted signal would come from outside the window.
        """
        low, high = window_s
        label = f"{self.where}: window {low / 60:g}-{high / 60:g} min"
        if not low < high:
            raise FrameError(label, f"{low:g} to {high:g} s", "start before end", "correct it")
        scan = f"frames from {self.start_s[0] / 60:g} to {self.end_s[-1] / 60:g} min"
        covered = self.window_covered(window_s)
        if covered < min_covered:
            raise FrameError(
                label,
                f"{100 * covered:.0f} % of the window covered ({scan} since the injection)",
                f"at least {100 * min_covered:.0f} %",
                "choose a window inside the scan, or correct the frame times",
            )
        overlap = self.overlap_s(window_s)
        weights = overlap / overlap.sum()
        outside = float(weights @ (1 - overlap / self.duration_s))
        if outside > MAX_OUTSIDE:
            raise FrameError(
                label,
                f"{100 * outside:.0f} % of the signal from outside the window ({scan})",
                f"at most {100 * MAX_OUTSIDE:.0f} %",
                "choose a window whose ends are ends of frames",
            )
        return weights


def _times(
    sidecar: Mapping[str, Any], field: str, where: str, problems: list[Problem]
) -> FloatArray:
    """Numbers of one field as a vector; what is wrong with them is added to `problems`."""
    value = sidecar.get(field)
    try:
        numbers = np.array(value, dtype=float, ndmin=1)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if numbers.ndim != 1 or numbers.size == 0 or not np.isfinite(numbers).all():
        found = "no such field" if value is None else f"{str(value)[:60]}"
        problems.append(
            Problem(f"{where}: {field}", found, "finite numbers in seconds", "add or correct it")
        )
    return numbers


def _count_problems(
    start: FloatArray, duration: FloatArray, n_frames: int, where: str
) -> list[Problem]:
    counts = {"FrameTimesStart": start.size, "FrameDuration": duration.size}
    wrong = {field: size for field, size in counts.items() if size != n_frames}
    remedy = "correct the sidecar, or use the image that belongs to it"
    if wrong == {"FrameTimesStart": n_frames + 1}:
        remedy = "remove the last time, which is the end of the scan"
    if len(set(counts.values())) == 1 and wrong:
        wrong = {"FrameTimesStart and FrameDuration": start.size}
    return [
        Problem(f"{where}: {field}", f"{size} values", f"{n_frames}, one per frame", remedy)
        for field, size in wrong.items()
    ]


def _early_problem(early_s: float, where: str) -> Problem:
    return Problem(
        f"{where}: FrameTimesStart",
        f"a first frame {early_s:g} s before the scan began (ScanStart)",
        "times since TimeZero",
        "add ScanStart to every value, or correct ScanStart",
    )


def _is_short_lived(sidecar: Mapping[str, Any]) -> bool:
    try:
        return nuclide(str(sidecar.get("TracerRadionuclide"))).is_short_lived
    except DatasetError:
        return False


def _unit_problem(start: FloatArray, duration: FloatArray, where: str) -> Problem | None:
    """Recognise minutes and milliseconds by the length of the scan and by start against duration."""
    end = float(start[-1] + duration[-1])
    found = None
    if start.size > 1 and (duration > 0).all():
        ratio = float(np.median(np.diff(start)) / np.median(duration[:-1]))
        if 45 < ratio < 75:
            found = "starts in seconds with durations in minutes"
        elif 1 / 75 < ratio < 1 / 45:
            found = "starts in minutes with durations in seconds"
    if found is None and 0 < end <= SHORTEST_SCAN_S:
        found = f"a scan that ends at {end:g} s, apparently in minutes"
    elif found is None and end > LONGEST_SCAN_S:
        found = f"a scan that ends at {end:g} s, apparently in milliseconds"
    if found is None:
        return None
    return Problem(f"{where}: frame times", found, "seconds", "convert the times to seconds")


def _schedule_problems(start: FloatArray, duration: FloatArray, where: str) -> list[Problem]:
    if start.ndim != 1 or start.shape != duration.shape or start.size == 0:
        return [
            Problem(
                where,
                f"starts of shape {start.shape}, durations of shape {duration.shape}",
                "one of each per frame",
                "correct the frame times",
            )
        ]
    if not (np.isfinite(start).all() and np.isfinite(duration).all()):
        return [Problem(where, "times that are not finite", "seconds", "correct the frame times")]
    problems = []
    bad = np.flatnonzero(duration <= 0)
    if bad.size:
        found = f"duration {duration[bad[0]]:g} s in frame {bad[0] + 1} ({bad.size} such frames)"
        problems.append(Problem(where, found, "durations above 0 s", "correct FrameDuration"))
    overlap = (start + duration)[:-1] - start[1:]
    bad = np.flatnonzero((overlap > OVERLAP_TOLERANCE_S) | (np.diff(start) <= 0))
    if bad.size:
        first = bad[0]
        found = (
            f"frame {first + 2} starting at {start[first + 1]:g} s, before frame {first + 1} ends "
            f"at {start[first] + duration[first]:g} s ({bad.size} such frames)"
        )
        problems.append(
            Problem(where, found, "frames in order without overlap", "correct the frame times")
        )
    return problems
