from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from petfmri.simulation.anatomy import Head, draw_head
from petfmri.simulation.effects import stream
from petfmri.simulation.phantom import Phantom, load_phantom
from petfmri.simulation.presets import PRESETS, Preset
from petfmri.simulation.study import simulate_study


@pytest.fixture(scope="session")
def tiny() -> Preset:
    return PRESETS["tiny"]


@pytest.fixture(scope="session")
def still(tiny: Preset) -> Preset:
    """Nothing moves, nothing is noisy, the head lies in every scanner as in the T1w image."""
    return replace(
        tiny,
        pet_noise_percent=0.0,
        pet_offset=(0.0, 0.0),
        bold_offset=(0.0, 0.0),
        pet_drift_mm=0.0,
        pet_jump_mm=0.0,
        mean_fd_mm=0.0,
    )


@pytest.fixture(scope="session")
def phantom(tiny: Preset) -> Phantom:
    return load_phantom(tiny.t1w_mm)


@pytest.fixture(scope="session")
def head(phantom: Phantom, tiny: Preset) -> Head:
    return draw_head(phantom, tiny.t1w_mm, 20.0, 3.0, stream(5, "anatomy", 0))


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, tiny: Preset) -> Path:
    """Two people, simulated in two processes."""
    folder = tmp_path_factory.mktemp("simulated") / "bids"
    simulate_study(folder, tiny, seed=11, n_procs=2)
    return folder
