from __future__ import annotations

import pickle

import numpy as np
import pytest

from petfmri.errors import FrameError
from petfmri.pet.frames import FrameSchedule

STARTS = [0, 60, 120, 300, 600, 1200, 1800, 2400, 3000, 3600, 4200, 4800]
DURATIONS = [60, 60, 180, 300, 600, 600, 600, 600, 600, 600, 600, 600]
SIDECAR = {
    "FrameTimesStart": STARTS,
    "FrameDuration": DURATIONS,
    "InjectionStart": 0,
    "ScanStart": 0,
    "TracerRadionuclide": "C11",
}


def problems_of(sidecar, n_frames=12):
    with pytest.raises(FrameError) as caught:
        FrameSchedule.from_sidecar({**SIDECAR, **sidecar}, n_frames, "pet.json")
    return caught.value.problems


def test_sidecar_in_seconds():
    schedule = FrameSchedule.from_sidecar(SIDECAR, 12, "pet.json")
    assert schedule.n_frames == 12
    assert schedule.end_s[-1] == 5400
    assert schedule.mid_s[2] == 210
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(schedule)).start_s, schedule.start_s)


def test_schedule_cannot_be_altered():
    schedule = FrameSchedule.from_sidecar(SIDECAR, 12)
    with pytest.raises(ValueError, match="read-only"):
        schedule.start_s[0] = 5


def test_times_count_from_the_injection():
    schedule = FrameSchedule.from_sidecar({**SIDECAR, "InjectionStart": -3600}, 12)
    assert schedule.start_s[0] == 3600


@pytest.mark.parametrize(
    "late",
    [
        {"FrameTimesStart": 3600, "FrameDuration": 1800, "ScanStart": 3600},
        {"FrameTimesStart": [0], "FrameDuration": [1800], "InjectionStart": -3600},
    ],
)
def test_static_late_scan(late):
    schedule = FrameSchedule.from_sidecar({**SIDECAR, **late}, 1)
    np.testing.assert_array_equal(schedule.window_weights((3600, 5400)), [1.0])


def test_one_time_too_many_is_one_problem():
    problems = problems_of({"FrameTimesStart": [*STARTS, 5400]})
    assert len(problems) == 1
    assert "found 13 values; expected 12" in str(problems[0])
    assert "end of the scan" in problems[0].remedy


def test_sidecar_of_another_image_is_one_problem():
    problems = problems_of({}, n_frames=11)
    assert len(problems) == 1
    assert "expected 11" in str(problems[0])


def test_all_problems_at_once():
    problems = problems_of(
        {"FrameTimesStart": None, "FrameDuration": ["a"], "InjectionStart": "noon"}
    )
    assert [problem.where.split(": ")[1] for problem in problems] == [
        "FrameTimesStart",
        "FrameDuration",
        "InjectionStart",
    ]
    problems = problems_of(
        {"FrameTimesStart": [0, 60, 60, *STARTS[3:]], "FrameDuration": [-1, *DURATIONS[1:]]}
    )
    assert len(problems) == 2
    assert "frame 3 starting at 60 s, before frame 2 ends at 120 s" in problems[1].found


@pytest.mark.parametrize(
    ("divide_starts", "divide_durations", "found"),
    [
        (60, 60, "ends at 90 s, apparently in minutes"),
        (60, 1, "starts in minutes"),
        (1, 60, "durations in minutes"),
        (1e-3, 1e-3, "milliseconds"),
    ],
)
def test_times_in_other_units(divide_starts, divide_durations, found):
    problems = problems_of(
        {
            "FrameTimesStart": [value / divide_starts for value in STARTS],
            "FrameDuration": [value / divide_durations for value in DURATIONS],
        }
    )
    assert len(problems) == 1
    assert found in problems[0].found


def test_static_scan_in_minutes():
    found = {"FrameTimesStart": [60], "FrameDuration": [30]}
    assert "minutes" in problems_of(found, n_frames=1)[0].found


def test_water_scan_may_be_short():
    water = {**SIDECAR, "FrameTimesStart": [0, 30], "FrameDuration": [30, 30]}
    water["TracerRadionuclide"] = "O15"
    assert FrameSchedule.from_sidecar(water, 2).end_s[-1] == 60


def test_frames_before_the_scan():
    problems = problems_of({"ScanStart": 3600})
    assert "3600 s before the scan" in problems[0].found
    FrameSchedule.from_sidecar({**SIDECAR, "ScanStart": 2}, 12)


def test_edges():
    schedule = FrameSchedule.from_edges([0, 300], [300, 900])
    np.testing.assert_array_equal(schedule.duration_s, [300, 600])
    with pytest.raises(FrameError, match="minutes"):
        FrameSchedule.from_edges([0, 5], [5, 90])
    with pytest.raises(FrameError, match="2 starts, 1 ends"):
        FrameSchedule.from_edges([0, 5], [5])


def test_rounded_times_and_gaps_are_allowed():
    FrameSchedule([0, 299.5, 7200], [300, 300, 600])
    with pytest.raises(FrameError, match="without overlap"):
        FrameSchedule([0, 298], [300, 300])


@pytest.mark.parametrize(
    ("start", "duration"), [([], []), ([0, 1], [1]), ([0, np.nan], [1, 1]), ([[0]], [[1]])]
)
def test_malformed_schedules(start, duration):
    with pytest.raises(FrameError):
        FrameSchedule(start, duration)


def test_weights_by_duration():
    weights = FrameSchedule([0, 600, 1200], [600, 600, 300]).window_weights((600, 1500))
    np.testing.assert_allclose(weights, [0, 2 / 3, 1 / 3])


def test_partial_frames_weigh_their_overlap():
    schedule = FrameSchedule([3300, 3900, 4500, 5100], [600, 600, 600, 600])
    weights = schedule.window_weights((3600, 5400))
    np.testing.assert_allclose(weights, np.array([300, 600, 600, 300]) / 1800)


def test_window_must_be_covered():
    schedule = FrameSchedule([0, 600], [600, 4800], "pet.json")
    assert schedule.window_covered((3600, 7200)) == 0.5
    with pytest.raises(FrameError, match=r"pet.json: window 60-120 min: found 50 %"):
        schedule.window_weights((3600, 7200))
    with pytest.raises(FrameError, match="0 % of the window"):
        schedule.window_weights((6000, 7200))
    with pytest.raises(FrameError, match="start before end"):
        schedule.window_weights((7200, 3600))


def test_short_of_the_window_within_tolerance():
    schedule = FrameSchedule([3600], [1700])
    np.testing.assert_array_equal(schedule.window_weights((3600, 5400)), [1.0])


def test_one_long_frame_is_not_a_late_window():
    with pytest.raises(FrameError, match="67 % of the signal from outside"):
        FrameSchedule([0], [5400]).window_weights((3600, 5400))


def test_sliver_of_a_frame_does_no_harm():
    """Times shifted by 2 s against the window, as by a scan that started 2 s late."""
    schedule = FrameSchedule(np.arange(3302, 5500, 300), np.full(8, 300))
    assert schedule.window_weights((3600, 5400)) @ schedule.mid_s == pytest.approx(4500, abs=4)


def test_recovery_of_the_window_mean_of_a_known_curve():
    """Frame means of a washout curve; aligned frames are exact, straddling ones within 0.3 %."""

    def mean(start, end, rate=1e-4):
        return (np.exp(-rate * start) - np.exp(-rate * end)) / (rate * (end - start))

    for starts, tolerance in ((np.arange(0, 5400, 300), 1e-12), (np.arange(140, 5500, 300), 3e-3)):
        schedule = FrameSchedule(starts, np.full(starts.size, 300.0))
        weights = schedule.window_weights((3600, 5400))
        estimate = weights @ mean(schedule.start_s, schedule.end_s)
        assert estimate == pytest.approx(mean(3600, 5400), rel=tolerance)
