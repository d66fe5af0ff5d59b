"""A scan with arterial blood whose truth is integrated step by step, not by the code under test."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from petfmri.pet.frames import FrameSchedule

DELAY_S = 12.0
SECONDS = [30] * 6 + [60] * 3 + [120] * 2 + [300] * 19


def plasma_total(time_s):
    """Feng's curve, kBq/mL, which begins at 0 at the injection."""
    t = np.maximum(time_s, 0) / 60
    return (
        (851.1 * t - 42.69) * np.exp(-4.134 * t)
        + 21.88 * np.exp(-0.1191 * t)
        + 20.81 * np.exp(-0.0104 * t)
    )


def parent(time_s):
    risen = (np.maximum(time_s, 0) / 60 / 18.0) ** 1.4
    return 1 - 0.75 * risen / (1 + risen)


def ratio(time_s):
    return 1.05 + 0.3 * np.maximum(time_s, 0) / 6600


def aif(time_s):
    return plasma_total(time_s) * parent(time_s)


def whole_blood(time_s):
    return plasma_total(time_s) / ratio(time_s)


@dataclass
class Truth:
    """Frame averages by a Runge-Kutta scheme in steps of 1 s, with the areas as further states."""

    schedule: FrameSchedule = field(
        default_factory=lambda: FrameSchedule(np.cumsum([0, *SECONDS[:-1]]), SECONDS)
    )

    def curves(self, k1, k2, k3=0.0, k4=0.0, vb=0.05, delay_s=DELAY_S):
        """Curves of shape (n_curves, n_frames), kBq/mL; rates per minute."""
        k1, k2, k3, k4, vb = np.broadcast_arrays(*(np.atleast_1d(x) for x in (k1, k2, k3, k4, vb)))
        per_s = [x / 60 for x in (k1, k2, k3, k4)]
        half = np.arange(0, 2 * self.schedule.end_s[-1] + 1) / 2 - delay_s
        plasma, blood = aif(half), whole_blood(half)

        def slope(state, at):
            c1, c2, _ = state
            exchange = per_s[2] * c1 - per_s[3] * c2
            seen = (1 - vb) * (c1 + c2) + vb * blood[at]
            return np.array([per_s[0] * plasma[at] - per_s[1] * c1 - exchange, exchange, seen])

        state, area = np.zeros((3, k1.size)), [np.zeros(k1.size)]
        for at in range(0, half.size - 2, 2):
            a = slope(state, at)
            b = slope(state + a / 2, at + 1)
            c = slope(state + b / 2, at + 1)
            d = slope(state + c, at + 2)
            state = state + (a + 2 * b + 2 * c + d) / 6
            area.append(state[2])
        area = np.array(area)
        start, end = self.schedule.start_s.astype(int), self.schedule.end_s.astype(int)
        return ((area[end] - area[start]) / self.schedule.duration_s[:, None]).T


@pytest.fixture(scope="session")
def truth():
    return Truth()


@pytest.fixture(scope="session")
def blood_samples():
    return samples()


def samples():
    """Manual samples and a sampler of 1 Hz for 10 min, as measured at the wrist."""
    manual = 60 * np.array([3, 6, 10, 15, 20, 30, 40, 50, 60, 75, 90, 106.0])
    sampler = np.arange(0.0, 601)
    return {
        "time_s": manual,
        "plasma_kbq_ml": plasma_total(manual),
        "whole_blood_kbq_ml": whole_blood(manual),
        "fraction": parent(manual),
        "sampler": (sampler, whole_blood(sampler)),
    }


@pytest.fixture(scope="session")
def inputs():
    """The true input function, sampled densely, before the delay."""
    from petfmri.pet.blood import InputFunction

    time = np.unique(np.concatenate([np.arange(0, 300, 0.5), np.arange(300, 6481, 15.0)]))
    return InputFunction(time, aif(time), whole_blood(time))
