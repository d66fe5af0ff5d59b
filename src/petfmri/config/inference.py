"""Sections on tests of whole matrices and maps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from petfmri.config.base import Section


class Edges(Section):
    """Every connection of the matrices: single ones, and connected ones together (NBS)."""

    test: bool = True
    threshold_t: float | None = Field(
        None,
        gt=0,
        description="|t| that edges of a component exceed, declared before looking; unset: that of "
        "p = .001, two-sided",
    )


class Voxels(Section):
    """Every voxel of the maps, where there are maps in standard space."""

    test: bool = True
    maps: str | None = Field(
        None,
        description="path with {subject} and {session} of maps on one standard grid; unset: the "
        "SUVR maps of run",
    )
    fwhm_mm: float = Field(6.0, ge=0, description="smoothing before the test; 0: none")
    connectivity: Literal[6, 18, 26] = Field(6, description="voxels share a face, edge or corner")
    tfce_permutations: int = Field(
        500, ge=100, description="at most so many for TFCE, which is slow; max-T: as inference"
    )

    @field_validator("maps")
    @classmethod
    def _names_who(cls, value: str | None) -> str | None:
        if value is not None and not all(f"{{{word}}}" in value for word in ("subject", "session")):
            raise ValueError("the path must say where {subject} and {session} stand")
        return value
