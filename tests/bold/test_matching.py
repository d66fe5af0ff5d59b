from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.bold.test_denoise import confound_frame

from petfmri.bold.censoring import FD
from petfmri.bold.denoise import Cleaning
from petfmri.bold.matching import matched_frames
from petfmri.bold.sessions import Run, clean_sessions
from petfmri.errors import DenoisingError
from petfmri.networks.ngsc import ngsc


def frames(n, censored=()):
    kept = np.ones(n, dtype=bool)
    kept[list(censored)] = False
    return kept


def test_sessions_get_the_same_runs_and_frames():
    pre = [frames(50, range(30)), frames(100), frames(80, [3, 4])]
    post = [frames(90, range(10)), frames(60)]
    (first, second) = matched_frames([dict(enumerate(pre, 1)), {4: post[0], 5: post[1]}])
    assert [run for run, _ in first] == [2, 3]  # no number in common: those with most frames
    assert [run for run, _ in second] == [4, 5]
    for k, n_kept in enumerate((78, 60)):
        lines = [chosen[k][1] for chosen in (first, second)]
        places = [np.flatnonzero(kept) - kept.argmax() for kept in lines]
        assert places[0].size in (n_kept, n_kept + 2)  # the pair censored may fall outside
        np.testing.assert_array_equal(places[0], places[1])  # the same frames, not only as many
    for session, chosen, start in ((pre, first, 1), (post, second, 4)):
        for run, kept in chosen:
            assert not np.any(kept & ~session[run - start])
    both = matched_frames([{0: pre[0], 1: pre[1]}, {1: post[1], 2: post[0]}])
    assert [[run for run, _ in chosen] for chosen in both] == [[1], [1]]  # the same run


def test_the_window_depends_on_the_seed_alone():
    pre, post = {0: frames(200)}, {0: frames(100)}
    starts = {
        seed: int(np.argmax(matched_frames([pre, post], seed=seed)[0][0][1])) for seed in range(8)
    }
    again = {
        seed: int(np.argmax(matched_frames([pre, post], seed=seed)[0][0][1])) for seed in range(8)
    }
    assert starts == again
    assert len(set(starts.values())) > 4
    alone = matched_frames([pre], seed=3)
    assert alone[0][0][1].all()


def session(rng, *lengths, fd=0.1, name="sub-01 ses-pre"):
    runs = []
    for number, n in enumerate(lengths, 1):
        table = confound_frame(rng, n, fd=np.full(n, fd))
        runs.append(Run(f"{name}, run {number}", rng.normal(1000, 10, (n, 4)), 2.0, table))
    return runs


def test_both_sessions_are_cleaned_of_as_many_frames_and_regressors(rng):
    found = clean_sessions(
        {"pre": session(rng, 300), "post": session(rng, 220)}, Cleaning("24P"), seed=1
    )
    pre, post = (found.sessions[name].denoised for name in ("pre", "post"))
    assert pre.frames_kept == post.frames_kept == 220
    assert pre.n_regressors == post.n_regressors
    assert pre.df_effective == pytest.approx(post.df_effective, rel=0.15)  # 1.6 times, if uncut
    np.testing.assert_array_equal(pre.times, post.times)
    assert found.sessions["pre"].circumstances["frames_kept"] == 300
    np.testing.assert_array_equal(np.diff(pre.times), 1)
    assert not found.excluded


def test_what_is_left_out_is_said_with_its_counts(rng):
    bad = session(rng, 300, 300)
    bad[1].confounds["framewise_displacement"] = 0.9
    found = clean_sessions({"pre": bad, "post": session(rng, 300, 300)}, Cleaning("24P"), seed=1)
    assert list(found.excluded) == ["sub-01 ses-pre, run 2"]
    assert (
        "0 s kept (300 frames, 0 dummies, 300 censored" in found.excluded["sub-01 ses-pre, run 2"]
    )
    assert [run for run, _ in found.sessions["pre"].used] == [0]
    assert found.sessions["post"].denoised.frames_kept == 300  # one run, as the other session


def test_runs_that_share_no_frame_are_left_out_and_the_others_stay(rng):
    pre, post = session(rng, 300, 300), session(rng, 300, 300, name="sub-01 ses-post")
    pre[0].confounds.loc[80:219, "framewise_displacement"] = 0.9
    post[0].confounds.loc[:79, "framewise_displacement"] = 0.9
    post[0].confounds.loc[220:, "framewise_displacement"] = 0.9
    found = clean_sessions({"pre": pre, "post": post}, Cleaning("24P"))
    assert [run for run, _ in found.sessions["pre"].used] == [1]
    assert list(found.excluded) == ["sub-01 ses-post, run 1"]
    assert "in common with the other session, " in found.excluded["sub-01 ses-post, run 1"]
    clean = {
        name: [
            Run(run.name, run.series, 2.0, kept=run.confounds[FD].to_numpy() < 0.5) for run in runs
        ]
        for name, runs in (("pre", pre), ("post", post))
    }
    assert [run for run, _ in clean_sessions(clean, Cleaning()).sessions["post"].used] == [1]


def test_too_few_degrees_of_freedom_in_common_cost_one_session_not_both(rng):
    sessions = {name: session(rng, 220, 220, name=f"sub-01 ses-{name}") for name in ("pre", "post")}
    for run in (run for runs in sessions.values() for run in runs):
        run.confounds.loc[rng.random(220) < 0.3, FD] = 0.9
    lenient, names = Cleaning("36P", minimum_kept_s=60, minimum_df=1), ("pre", "post")
    alone = {n: clean_sessions({n: sessions[n]}, lenient).sessions[n].denoised for n in names}
    together = clean_sessions(sessions, lenient).sessions["pre"].denoised
    least = min(operator.df_effective for n in names for operator in alone[n].operators)
    most = max(operator.df_effective for operator in together.operators)
    assert most < least
    strict = replace(lenient, minimum_df=(most + least) / 2)
    found = clean_sessions(sessions, strict)
    ((name, left),) = found.sessions.items()
    assert all("in common with the other session" in why for why in found.excluded.values())
    assert left.denoised.frames_kept == alone[name].frames_kept  # whole again


def test_a_session_that_is_lost_leaves_the_other_whole(rng):
    lost = session(rng, 300, fd=0.9, name="sub-01 ses-post")
    found = clean_sessions({"pre": session(rng, 300), "post": lost}, Cleaning("24P"), seed=1)
    assert list(found.sessions) == ["pre"]
    assert found.sessions["pre"].denoised.frames_kept == 300
    nobody = clean_sessions({"post": lost}, Cleaning("24P"), seed=1)
    assert (nobody.sessions, list(nobody.excluded)) == ({}, ["sub-01 ses-post, run 1"])


def test_runs_without_degrees_of_freedom_are_left_out_not_measured(rng):
    short = {"pre": session(rng, 80), "post": session(rng, 300)}
    found = clean_sessions(short, Cleaning(minimum_kept_s=0), seed=1)
    assert list(found.sessions) == ["post"]
    assert "effective degrees of freedom after 80 kept" in found.excluded["sub-01 ses-pre, run 1"]
    assert found.sessions["post"].denoised.frames_kept == 300  # once more, without the other


def test_clean_series_are_only_cut(rng):
    runs = [Run(str(n), rng.normal(5, 1, (n, 3)), 2.0, mean_fd=0.2) for n in (200, 150)]
    found = clean_sessions({"pre": runs[:1], "post": runs[1:]}, Cleaning(), seed=2)
    pre = found.sessions["pre"].denoised
    r = np.corrcoef(runs[0].series[pre.kept].T)
    np.testing.assert_allclose(np.corrcoef(pre.series.T), r, atol=1e-12)
    assert (pre.frames_kept, pre.mean_fd) == (150, 0.2)
    assert np.isnan([pre.df_effective, pre.n_regressors]).all()  # not known


def test_refuses_two_repetition_times(rng):
    slow = [Run("post", rng.normal(size=(300, 3)), 3.0)]
    with pytest.raises(DenoisingError, match=r"pre: 2 s, post: 3 s"):
        clean_sessions({"a": [Run("pre", slow[0].series, 2.0)], "b": slow}, Cleaning(), seed=1)


def noise_of(rng, n, scrubbed):
    """Six courses of 40 parcels under noise; a share of the frames in bursts of one to four."""
    series = 1000 + rng.normal(size=(n, 6)) @ rng.normal(size=(6, 40))
    series += 2 * rng.normal(size=(n, 40))
    table, fd = confound_frame(rng, n), np.full(n, 0.1)
    while np.mean(fd > 0.5) < scrubbed:
        start = rng.integers(0, n)
        fd[start : start + rng.integers(1, 5)] = 1.0
    return series, table.assign(framewise_displacement=fd)


@pytest.mark.parametrize(("frames", "scrubbed"), [((300, 150), 0.0), ((300, 300), 0.3)])
def test_the_guard_removes_the_bias_of_unequal_frames(rng, frames, scrubbed):
    """NGSC of one noise, shorter or scrubbed afterwards: 0.02 apart, 0.005 once made equal."""
    differences: dict[str, list[float]] = {"as they are": [], "guarded": []}
    ratios = []
    cleaning = Cleaning("24P", minimum_kept_s=60, minimum_df=1)
    for _ in range(16):
        sessions = {}
        for name, n, share in zip(("pre", "post"), frames, (0.0, scrubbed)):
            series, table = noise_of(rng, n, share)
            sessions[name] = [Run(name, series, 2.0, table)]
        apart = {
            name: clean_sessions({name: runs}, cleaning).sessions[name]
            for name, runs in sessions.items()
        }
        equal = clean_sessions(sessions, cleaning).sessions
        df = [equal[name].denoised.df_effective for name in ("pre", "post")]
        ratios.append(df[0] / df[1])
        for kind, found in (("as they are", apart), ("guarded", equal)):
            values = [ngsc(found[name].denoised.series) for name in ("pre", "post")]
            differences[kind].append(values[0] - values[1])
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)
    assert abs(np.mean(differences["as they are"])) > 0.012
    assert abs(np.mean(differences["guarded"])) < 0.005


def test_sessions_that_share_too_little_time_are_not_compared(rng):
    """Half of each is censored, never the same frames: nothing in common."""
    early, late = session(rng, 300), session(rng, 300, name="sub-01 ses-post")
    early[0].confounds.loc[150:, "framewise_displacement"] = 0.9
    late[0].confounds.loc[1:149, "framewise_displacement"] = 0.9
    late[0].confounds.loc[0, "framewise_displacement"] = 0.1
    cleaning = Cleaning("24P", minimum_kept_s=200)
    found = clean_sessions({"pre": early, "post": late}, cleaning)
    assert len(found.sessions) == 1
    (reason,) = found.excluded.values()
    assert "kept in common with the other session; expected at least 200 s" in reason
