"""The values that a participant's workflow is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petfmri.bold.denoise import Cleaning
from petfmri.study.adopted import AdoptedBold, AdoptedPet
from petfmri.study.names import bids_label


@dataclass(frozen=True)
class PetScan:
    """A PET file, its BIDS metadata, and what others made of it."""

    path: Path
    sidecar: dict[str, Any]
    adopted: AdoptedPet = field(default_factory=AdoptedPet)


@dataclass(frozen=True)
class BoldRun:
    """A BOLD file, its repetition time, and what others made of it.

    Attributes
    ----------
    slice_times_s : tuple of float
        To interpolate slices in time; empty leaves them as they are.
    slice_direction : str
        BIDS' SliceEncodingDirection.
    phase_encoding : str or None
        BIDS' PhaseEncodingDirection, to correct distortion along it; None leaves it.
    """

    path: Path
    tr_s: float
    run: str | None = None
    adopted: AdoptedBold = field(default_factory=AdoptedBold)
    slice_times_s: tuple[float, ...] = ()
    slice_direction: str = "k"
    phase_encoding: str | None = None


@dataclass(frozen=True)
class SessionScans:
    """What one session has; either modality may be missing."""

    id: str
    pet: PetScan | None = None
    runs: tuple[BoldRun, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What is computed, and how: the values of the study's configuration."""

    atlas: str | Path = "Schaefer200"
    atlas_table: Path | None = None
    reference: str = "semiovale"
    reference_regions: tuple[str, ...] = ()
    other_references: tuple[str, ...] = ()
    psf_mm: tuple[float, float, float] | None = None
    tracer: str | None = None
    window_s: tuple[float, float] = (3600.0, 5400.0)
    pet_motion: str = "auto"
    pet_coregistration: str = "auto"
    task: str = "rest"
    dummy_scans: int | str = "auto"
    slice_timing: bool = False
    distortion: str = "none"
    cleaning: Cleaning = field(default_factory=Cleaning)
    n_compcor: int = 5
    networks: tuple[str, ...] = ()
    rois: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def seg(self) -> str:
        """The atlas as a BIDS label."""
        return bids_label(
            self.atlas.name.partition(".")[0] if isinstance(self.atlas, Path) else self.atlas
        )
