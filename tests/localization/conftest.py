from __future__ import annotations

import numpy as np
import pytest

from petfmri.localization.seeds import Person, unit_run
from petfmri.localization.space import Space, of_mask

SHAPE = (12, 14, 12)


@pytest.fixture
def space() -> Space:
    """An ellipsoid of 3 mm voxels."""
    place = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    mask = ((place / (np.array(SHAPE)[:, None, None, None] / 2)) ** 2).sum(axis=0) <= 1
    return of_mask(
        mask, np.array([[3.0, 0, 0, -16.5], [0, 3, 0, -19.5], [0, 0, 3, -16.5], [0] * 3 + [1]])
    )


def two_networks(
    space: Space, rng: np.random.Generator, people: int = 12
) -> tuple[list[Person], np.ndarray]:
    """People in whom front (network A) and back each follow a course of their own."""
    front = space.ijk[:, 1] >= space.mask.shape[1] / 2
    found = []
    for number in range(people):
        courses = rng.normal(size=(2, 120))
        series = np.where(front, courses[0][:, None], courses[1][:, None])
        series = series - series.mean(axis=1, keepdims=True)
        series = series + 2 * rng.normal(size=series.shape)
        found.append(Person(f"sub-{number:02d}", [unit_run(10_000 + 10 * series)]))
    return found, front
