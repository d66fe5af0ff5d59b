"""Edges, parcels and voxels for `petfmri compare`: what is tested, told and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from petfmri.commands.compare_edges import Matrices, edge_level, parcel_level, read_matrices
from petfmri.commands.compare_voxels import VoxelTest, voxel_level
from petfmri.config import Study
from petfmri.statistics.edges import EdgeComparison
from petfmri.statistics.prepost import Comparison

if TYPE_CHECKING:
    from petfmri.reports.page import Page


@dataclass(frozen=True)
class Levels:
    """Tests of whole matrices and maps, and what each says of itself."""

    matrices: Matrices | None
    edges: EdgeComparison | None
    parcels: pd.DataFrame | None
    voxels: VoxelTest | None
    told: dict[str, list[str]]

    @property
    def notes(self) -> list[str]:
        """All that is told, in order."""
        return [note for notes in self.told.values() for note in notes]


def levels_of(
    study: Study,
    result: Comparison,
    regions: pd.DataFrame,
    sessions: pd.DataFrame | None = None,
) -> Levels:
    """Test edges, parcels and voxels where there are any, and write what was found.

    The covariates of the study that are columns of `sessions` adjust all of them.
    """
    matrices = read_matrices(study, regions)
    edges, of_edges = edge_level(study, matrices, sessions) if matrices else (None, [])
    parcels, of_parcels = parcel_level(study, result, sessions)
    voxels, of_voxels = voxel_level(study, sessions)
    told = {"connection": of_edges, "region": of_parcels, "voxel": of_voxels}
    return Levels(matrices, edges, parcels, voxels, told)


def level_sections(page: Page, levels: Levels) -> None:
    """Show the tests, or say why there are none."""
    from petfmri.reports.levels_page import edges_section, parcels_section, voxels_section

    told = levels.told
    if levels.edges is not None and levels.matrices is not None:
        found, networks = levels.edges, levels.matrices.networks
        tables = (found.edges, found.components)
        edges_section(page, *tables, found.t, found.shown, networks, told["connection"])
    if levels.parcels is not None:
        parcels_section(page, levels.parcels, told["region"])
    if levels.voxels is not None:
        test, found_there = levels.voxels, levels.voxels.found
        shown = found_there.volume(found_there.significant.astype(float)) > 0
        step, first = test.grid.affine[2, 2], test.grid.affine[2, 3]
        heights_mm = first + step * np.arange(test.grid.shape[2])
        t = found_there.volume(found_there.t)
        voxels_section(page, test.peaks, t, found_there.mask, shown, heights_mm, told["voxel"])
    tests = (levels.edges, levels.parcels, levels.voxels)
    for (level, notes), test in zip(told.items(), tests, strict=True):
        if test is None and notes:
            page.section(f"Every {level}").bullets(notes)
