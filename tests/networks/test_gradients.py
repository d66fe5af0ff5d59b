from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg
from scipy.spatial.transform import Rotation

from petfmri.bold.pooling import pool_series
from petfmri.bold.series_files import read_series
from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.gradients import (
    GRADIENT_METRICS,
    affinity,
    align,
    aligned_gradients,
    gradient_metrics,
    gradients,
)

ALONG = ["SomMot", "Vis", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default"]


def session(rng, n_parcels, *, n_frames=300, flat=0.0):
    """Fisher z of parcels along an axis from somatomotor to default, with noise and smaller axes.

    With `flat`, courses that connect parcels wherever they lie take the place of the axis.
    """
    place, anywhere = np.random.default_rng(7).normal(size=(2, n_parcels, 4))
    axis = np.linspace(-1, 1, n_parcels)
    ends = (1 - flat) * np.column_stack([1 + axis, 1 - axis])
    loadings = np.column_stack([ends, 0.5 * place, flat * anywhere])
    series = rng.normal(size=(n_frames, 10)) @ loadings.T
    return fisher_z(correlate(series + 0.7 * rng.normal(size=(n_frames, n_parcels))))


def along(n_parcels):
    """Networks in order along the axis."""
    return [ALONG[number * 7 // n_parcels] for number in range(n_parcels)]


def dense_solution(z, n_components, keep=0.1, alpha=0.5):
    """Diffusion map by its definition: all eigenvectors of the non-symmetric P, no shortcut."""
    n = len(z)
    rows = np.zeros((n, n))
    for i in range(n):
        order = [j for j in np.argsort(-z[i]) if j != i][: round(keep * n)]
        rows[i, order] = np.maximum(z[i, order], 0)
    W = np.array([[a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for b in rows] for a in rows])
    d = W.sum(axis=1)
    W = W / (d[:, None] ** alpha * d[None, :] ** alpha)
    values, vectors = linalg.eig(W / W.sum(axis=1, keepdims=True))
    assert np.abs(values.imag).max() < 1e-10
    order = np.argsort(-values.real)[: n_components + 1]
    stationary = W.sum(axis=1) / W.sum()
    psi = vectors.real[:, order[1:]]
    psi /= np.sqrt(stationary @ psi**2)
    values = values.real[order]
    assert values[0] == pytest.approx(1, abs=1e-10)
    return values[1:], psi * values[1:] / (1 - values[1:])


@pytest.mark.parametrize("n_parcels", [100, 200, 400])
def test_equals_an_exact_dense_solution(rng, n_parcels):
    z = session(rng, n_parcels)
    found = gradients(z)
    eigenvalues, values = dense_solution(z, 10)
    np.testing.assert_allclose(found.eigenvalues, eigenvalues, atol=1e-9)
    for one, exact in zip(found.values.T, values.T):
        assert abs(np.corrcoef(one, exact)[0, 1]) >= 0.99999
        assert one.std() == pytest.approx(exact.std(), rel=1e-6)  # the scale too


def test_affinity_by_hand():
    """Kept are 2 of each row; row 3 keeps one, because its second largest is negative."""
    r = np.array(
        [[1, 0.8, 0.6, 0.1], [0.8, 1, 0.6, -0.2], [0.6, 0.6, 1, -0.3], [0.1, -0.2, -0.3, 1]]
    )
    kept = np.array([[0, 0.8, 0.6, 0], [0.8, 0, 0.6, 0], [0.6, 0.6, 0, 0], [0.1, 0, 0, 0]])
    W = affinity(r, keep=0.5)
    assert W[0, 1] == pytest.approx(0.36, abs=1e-12)
    assert W[0, 2] == pytest.approx(0.8 * np.sqrt(0.5), abs=1e-12)
    assert W[3, 1] == pytest.approx(0.8, abs=1e-12)
    unit = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    np.testing.assert_allclose(W, unit @ unit.T, atol=1e-12)


@pytest.mark.parametrize(("n", "kept"), [(400, 40), (200, 20), (105, 10), (219, 21), (5, 1)])
def test_how_many_of_a_row_stay(n, kept):
    """Parcel i prefers those that follow it; the neighbours of 0 and 1 are shifted by one."""
    rank = (np.arange(n)[None, :] - np.arange(n)[:, None]) % n
    W = affinity(1 - rank / n, keep=0.1)
    weights = 1 - np.arange(1, kept + 1) / n
    assert W[0, 1] == pytest.approx(weights[1:] @ weights[:-1] / (weights @ weights), abs=1e-12)


def test_recovers_a_planted_axis(rng):
    z = session(rng, 150, n_frames=1000)
    first = gradients(z).values[:, 0]
    assert abs(np.corrcoef(first, np.linspace(-1, 1, 150))[0, 1]) > 0.95


def test_diagonal_and_missing_parcels_play_no_part(rng):
    z = session(rng, 60)
    holes = np.insert(np.insert(z, 20, np.nan, axis=0), 20, np.nan, axis=1) + np.eye(61)
    found, expected = gradients(holes, 5), gradients(z, 5)
    assert np.isnan(found.values[20]).all()
    np.testing.assert_array_equal(np.delete(found.values, 20, axis=0), expected.values)
    np.testing.assert_array_equal(found.eigenvalues, expected.eigenvalues)


def test_alignment_is_a_rotation_and_nothing_else(rng):
    template = rng.normal(size=(50, 3))
    turned = 0.4 * template @ Rotation.from_rotvec([0.3, 1.0, -2.0]).as_matrix() * [1, 1, -1]
    np.testing.assert_allclose(align(turned, template), 0.4 * template, atol=1e-12)
    turned[3], template[7] = np.nan, np.nan
    found = align(turned, template)
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, axis=0)).all()
    rest = np.delete(np.arange(50), [3, 7])
    np.testing.assert_allclose(found[rest], 0.4 * template[rest], atol=1e-12)


def test_the_order_of_sessions_changes_nothing(rng):
    n, order = 120, [4, 0, 3, 5, 1, 2]
    sessions = [session(rng, n, n_frames=200) for _ in order]
    sessions[2][5] = sessions[2][:, 5] = np.nan
    for networks in (None, along(n)):
        straight = aligned_gradients(sessions, networks)
        other = aligned_gradients([sessions[i] for i in order], networks)
        for place, i in enumerate(order):
            np.testing.assert_allclose(other[place].values, straight[i].values, atol=1e-8)
            assert np.isfinite(straight[i].values[6]).all()


def test_default_lies_above_somatomotor_in_every_session(rng):
    for networks in (along(120), along(120)[::-1]):
        for one in aligned_gradients([session(rng, 120) for _ in range(4)], networks):
            assert gradient_metrics(one.values, networks)["default_sommot_distance"] > 0


def test_a_session_keeps_its_own_scale(rng):
    """The same session twice beside a flatter one: equal twins, and lengths as before turning."""
    whole = session(rng, 120)
    flat = session(rng, 120, flat=0.5)
    first, twin, other = aligned_gradients([whole, whole, flat], along(120))
    np.testing.assert_array_equal(first.values, twin.values)
    for aligned, z in ((first, whole), (other, flat)):
        lengths = np.linalg.norm(gradients(z).values, axis=1)
        np.testing.assert_allclose(np.linalg.norm(aligned.values, axis=1), lengths, rtol=1e-10)


def test_a_planted_flattening_is_monotone(rng):
    """At five strengths, in four sessions of 300 frames each."""
    n = 150
    networks = along(n)
    sessions = [session(rng, n, flat=f) for f in (0, 0.1, 0.2, 0.3, 0.4) for _ in range(4)]
    found = [
        gradient_metrics(one.values, networks) for one in aligned_gradients(sessions, networks)
    ]
    for metric in GRADIENT_METRICS:
        means = np.reshape([one[metric.name] for one in found], (5, 4)).mean(axis=1)
        assert np.all(np.diff(means) < 0), (metric.name, means)


def test_metrics_by_hand():
    values = np.column_stack([np.arange(101.0), np.zeros(101)])
    values[50] = np.nan
    values = np.delete(values, 50, axis=0)
    values = np.vstack([values, [50.0, 0], [np.nan, np.nan]])
    networks = ["SomMot"] * 11 + ["Vis"] * 79 + ["Default"] * 11 + ["Default"]
    found = gradient_metrics(values, networks)
    assert found["gradient_range"] == pytest.approx(90)
    assert set(found) == {metric.name for metric in GRADIENT_METRICS}
    assert found["default_sommot_distance"] == pytest.approx(
        np.mean([*range(91, 101), 50]) - np.mean(range(11))
    )
    assert np.isnan(gradient_metrics(values, ["Vis"] * 102)["default_sommot_distance"])


def test_real_sessions_on_one_scale(shared_data):
    """One person, placebo and LSD: default against somatomotor in both, no conclusion drawn."""
    lines = (shared_data / "atlas" / "SchaeferTian232_2mm.txt").read_text().splitlines()
    networks = [line.split("_")[2] for line in lines if line.startswith("7Networks_")]
    folder = shared_data / "fmri" / "lsd_ds003059" / "SchaeferTian232"
    sessions = []
    for name in ("PLCB", "LSD"):
        runs = [
            read_series(folder / f"sub-001_ses-{name}_task-rest_run-{run}_bold.mat", "V_roi")
            for run in ("01", "03")
        ]
        sessions.append(fisher_z(correlate(pool_series(runs)[:, :200])))
    assert set(networks) == set(ALONG)
    for one, z in zip(aligned_gradients(sessions, networks), sessions):
        found = gradient_metrics(one.values, networks)
        assert 0 < found["default_sommot_distance"] < 2 * found["gradient_range"]
        exact = dense_solution(z, 3)[0]
        np.testing.assert_allclose(one.eigenvalues[:3], exact, atol=1e-9)


def test_refuses_what_has_no_gradient(rng):
    with pytest.raises(DatasetError, match="11 parcels"):
        gradients(session(rng, 11))
    apart = np.kron(np.eye(2), np.full((20, 20), 0.5))
    with pytest.raises(DatasetError, match="without any common neighbour"):
        gradients(apart, 3)
    alone = np.full((20, 20), 0.4)
    alone[3] = alone[:, 3] = -0.1
    with pytest.raises(DatasetError, match="1 parcels without a positive"):
        gradients(alone, 3)
