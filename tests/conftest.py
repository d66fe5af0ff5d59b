from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans and tables, which is not part of the project."""
    folder = Path(
        os.environ.get("PETFMRI_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
    )
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip("real test data absent: set PETFMRI_TEST_DATA to its folder")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)
