from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from petfmri.bold.confounds import acompcor, confounds_table, cosine_drift
from petfmri.errors import DenoisingError


def run_signals(rng, n_frames=150, n_voxels=60):
    tissues = {
        name: rng.normal(1000, 5, n_frames) for name in ("global_signal", "white_matter", "csf")
    }
    return SimpleNamespace(
        series=np.zeros((n_frames, 3)),
        tissues=tissues,
        dvars=rng.random(n_frames),
        std_dvars=rng.random(n_frames),
        compcor_voxels=rng.normal(500, 4, (n_frames, n_voxels)).astype(np.float32),
    )


def table(rng, **options):
    run = run_signals(rng)
    motion = rng.normal(scale=0.1, size=(150, 6))
    return run, motion, confounds_table(run, motion, np.full(150, 0.1), tr_s=2.0, **options)


def test_expansions_by_hand(rng):
    run, motion, confounds = table(rng)
    np.testing.assert_array_equal(confounds["rot_z"], motion[:, 5])
    np.testing.assert_allclose(confounds["trans_y_derivative1"][1:], np.diff(motion[:, 1]))
    assert np.isnan(confounds["trans_y_derivative1"][0])
    np.testing.assert_allclose(confounds["csf_power2"], run.tissues["csf"] ** 2)
    np.testing.assert_allclose(
        confounds["trans_x_derivative1_power2"][1:], np.diff(motion[:, 0]) ** 2
    )


def test_names_are_those_of_fmriprep(rng):
    fmriprep = pytest.importorskip("nilearn.interfaces.fmriprep")
    from pathlib import Path

    example = Path(fmriprep.__file__).parent / "data" / "test_desc-confounds_regressors.tsv"
    if not example.exists():
        pytest.skip("this nilearn has no example table")
    names = set(pd.read_csv(example, sep="\t", nrows=1).columns)
    ours = set(table(rng, dummy=2)[2].columns)
    assert len(ours) >= 50
    assert ours - names <= {"non_steady_state_outlier01"}


def test_dummies_get_a_column_each_and_no_part_in_components(rng):
    _, _, confounds = table(rng, dummy=2)
    np.testing.assert_array_equal(np.flatnonzero(confounds["non_steady_state_outlier01"]), [1])
    for name in ("a_comp_cor_00", "cosine00"):
        np.testing.assert_array_equal(confounds[name][:2], 0)
        assert np.all(confounds[name][2:] != 0)


def test_cosines_are_those_of_nilearn():
    design = pytest.importorskip("nilearn.glm.first_level.design_matrix")
    expected = design.create_cosine_drift(0.01, 2.0 * np.arange(155))[:, :-1]
    np.testing.assert_allclose(cosine_drift(155, 2.0, 0.01), expected, atol=1e-12)


def test_acompcor_finds_the_planted_courses(rng):
    drift = cosine_drift(200, 2.0, 1 / 128)
    courses = np.linalg.qr(rng.normal(size=(200, 3)))[0]
    courses -= drift @ (drift.T @ courses)
    loadings = rng.normal(size=(3, 500))
    voxels = 800 + 40 * courses @ loadings + 300 * drift[:, :1] + rng.normal(size=(200, 500))
    components = acompcor(voxels, drift, 3)
    residual = courses - courses.mean(axis=0)
    residual -= components @ (components.T @ residual)
    assert np.linalg.norm(residual) / np.linalg.norm(courses) < 0.1
    np.testing.assert_allclose(components.T @ components, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(drift.T @ components, 0, atol=1e-12)


def test_voxels_without_signal_do_not_disturb_components(rng):
    drift = cosine_drift(100, 2.0, 1 / 128)
    voxels = rng.normal(1000, 5, (100, 50))
    with_dead = np.hstack([voxels, np.full((100, 9), 1234.5)])
    np.testing.assert_allclose(acompcor(with_dead, drift, 4), acompcor(voxels, drift, 4))


def test_refuses_too_few_noise_voxels_and_lengths_that_differ(rng):
    with pytest.raises(DenoisingError, match="3 varying voxels"):
        acompcor(rng.normal(size=(50, 3)), cosine_drift(50, 2.0, 0.01), 5)
    with pytest.raises(DenoisingError, match="149 framewise displacements"):
        confounds_table(run_signals(rng), np.zeros((150, 6)), np.zeros(149), tr_s=2.0)


def test_no_components_on_request(rng):
    run = run_signals(rng, n_voxels=0)
    confounds = confounds_table(run, np.zeros((150, 6)), np.zeros(150), tr_s=2.0, n_compcor=0)
    assert not any(name.startswith("a_comp_cor") for name in confounds)


def test_volumes_that_moved_get_a_motion_outlier_unless_they_are_dummies(rng):
    fd, run = np.full(150, 0.1), run_signals(rng)
    fd[[1, 7, 20]] = 0.6
    run.std_dvars[[20, 30]] = 1.6
    confounds = confounds_table(run, np.zeros((150, 6)), fd, tr_s=2.0, dummy=2)
    marked = confounds.filter(like="motion_outlier")
    assert list(marked) == ["motion_outlier00", "motion_outlier01", "motion_outlier02"]
    np.testing.assert_array_equal(marked.to_numpy().argmax(axis=0), [7, 20, 30])
    np.testing.assert_array_equal(marked.sum(), 1)
