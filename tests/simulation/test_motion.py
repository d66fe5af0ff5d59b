from __future__ import annotations

import numpy as np
import pytest

from petfmri.simulation.motion import bold_movement, head_offset, pet_movement

CENTER = np.array([1.0, -16.0, 4.0])
MIDDLE_S = np.arange(12) * 450.0


def test_offset_has_the_asked_size(rng):
    offset = head_offset(10.0, 8.0, CENTER, rng)
    assert np.linalg.norm(offset.map(CENTER[None])[0] - CENTER) == pytest.approx(10)
    angle = np.rad2deg(np.arccos((np.trace(offset.matrix[:3, :3]) - 1) / 2))
    assert angle == pytest.approx(8, abs=0.4)  # Euler angles of length 8


def test_pet_drifts_and_jumps_once(rng):
    moved = pet_movement(MIDDLE_S, 4.0, 6.0, CENTER, rng).parameters[:, :3]
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=1)
    jump = steps.argmax()
    drift = np.delete(np.diff(moved, axis=0), jump, axis=0)
    np.testing.assert_allclose(np.linalg.norm(drift, axis=1), 4 / 11)
    without_drift = np.diff(moved, axis=0)[jump] - drift[0]
    assert np.linalg.norm(without_drift) == pytest.approx(6)
    assert not pet_movement(MIDDLE_S[:1], 4.0, 6.0, CENTER, rng).parameters.any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_frames", [64, 120, 304])
def test_bold_moves_by_the_asked_mean_with_spikes(n_frames, seed):
    movement = bold_movement(n_frames, 0.2, CENTER, np.random.default_rng(seed))
    fd = movement.fd_mm[1:]
    assert fd.mean() == pytest.approx(0.2, abs=1e-6)
    assert 1.2 < fd.max() < 1.9
    assert np.median(fd) < 0.2
    assert len(movement) == n_frames


def test_framewise_displacement_by_hand(rng):
    movement = bold_movement(20, 0.0, CENTER, rng)
    movement.parameters[10:, 0] = 0.3
    movement.parameters[10:, 4] = np.rad2deg(0.002)  # 0.1 mm at 50 mm
    expected = np.zeros(20)
    expected[10] = 0.4
    np.testing.assert_allclose(movement.fd_mm, expected, atol=1e-12)


def test_parameters_become_transforms_about_the_center(rng):
    movement = bold_movement(64, 0.2, CENTER, rng)
    np.testing.assert_allclose(
        movement[30].map(CENTER[None])[0] - CENTER, movement.parameters[30, :3], atol=1e-12
    )


def test_reach_by_hand(rng):
    movement = pet_movement(MIDDLE_S, 0.0, 0.0, CENTER, rng)
    movement.parameters[:] = 0
    movement.parameters[3, 1] = 5.0
    assert movement.reach_mm == pytest.approx(5)
