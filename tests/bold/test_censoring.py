from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.bold.censoring import Censoring, kept_frames
from petfmri.bold.strategies import (
    STRATEGIES,
    regresses_global_signal,
    strategy_columns,
    with_global_signal,
)
from petfmri.errors import DenoisingError


def moved(fd, dvars=1.0):
    return pd.DataFrame({"framewise_displacement": fd, "std_dvars": dvars})


def test_frames_before_and_after_go_too():
    fd = np.full(12, 0.1)
    fd[5] = 0.9
    for before, after, expected in ((0, 0, [5]), (2, 0, [3, 4, 5]), (1, 3, [4, 5, 6, 7, 8])):
        kept = kept_frames(moved(fd), Censoring(before=before, after=after))
        np.testing.assert_array_equal(np.flatnonzero(~kept), expected)


def test_short_stretches_go_too_also_after_the_dummies():
    fd = np.full(20, 0.1)
    fd[[4, 7, 13]] = 0.9  # stretches: 2-3 after the dummies, 5-6, 8-12, 14-19
    kept = kept_frames(moved(fd), Censoring(minimum_contiguous=5), dummy=2)
    np.testing.assert_array_equal(np.flatnonzero(kept), [*range(8, 13), *range(14, 20)])


def test_either_limit_censors_and_none_needs_no_column():
    fd, dvars = np.full(6, 0.1), np.ones(6)
    fd[1], dvars[4], dvars[0], fd[0] = 0.6, 2.0, np.nan, np.nan
    both = kept_frames(moved(fd, dvars), Censoring(dvars_threshold=1.5))
    np.testing.assert_array_equal(np.flatnonzero(~both), [1, 4])
    nothing = Censoring(fd_threshold_mm=None)
    assert kept_frames(pd.DataFrame({"x": fd}), nothing).all()
    assert (str(nothing), nothing.censors) == ("nothing", False)
    assert str(Censoring(0.2, 1.5, 1, 2, 5)) == (
        "framewise displacement > 0.2 mm or std dvars > 1.5, with 1 before and 2 after, "
        "and stretches shorter than 5"
    )
    with pytest.raises(DenoisingError, match="std_dvars: found no such column"):
        kept_frames(pd.DataFrame({"framewise_displacement": fd}), Censoring(dvars_threshold=1.5))


def test_every_strategy_has_its_twin_with_and_without_the_global_signal():
    assert len(STRATEGIES["32P"]) == 32 and len(STRATEGIES["36P"]) == 36
    for name, columns in STRATEGIES.items():
        without, with_it = with_global_signal(name, False), with_global_signal(name, True)
        assert name in (without, with_it)
        assert [regresses_global_signal(n) for n in (without, with_it)] == [False, True]
        assert set(STRATEGIES[with_it]) - set(STRATEGIES[without]) == {
            f"global_signal{suffix}"
            for suffix in ("", "_derivative1", "_power2", "_derivative1_power2")
        }
        assert len(set(columns)) == len(columns)
    with pytest.raises(DenoisingError, match="the nearest is csf_wm"):
        strategy_columns(["csf"], ["csf_wm", "rot_x"])
