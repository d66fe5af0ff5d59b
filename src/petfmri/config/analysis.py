"""Sections on BOLD, symptoms, inference, prediction and simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from petfmri.config.base import Range, Section
from petfmri.config.inputs import AtlasFiles
from petfmri.config.pet import Correction, ModelName, ReferenceName, ordered_window

Strategy = Literal[
    "24P", "24P+GSR", "24P+aCompCor", "24P+aCompCor+GSR", "32P", "36P"
]  # of bold/strategies.py


class Multiverse(Section):
    """Every combination of these choices, beside the declared one; what is unset stays as in pet."""

    reference: tuple[ReferenceName, ...] = ()
    model: tuple[ModelName, ...] = ()
    pvc: tuple[Correction, ...] = ()
    window_min: tuple[Range, ...] = Field((), description="for SUVR")
    strategy: tuple[Strategy, ...] = Field((), description="for networks")
    global_signal: tuple[bool, ...] = Field((), description="for networks: regressed out or not")
    scrub: tuple[bool, ...] = Field((), description="for networks: frames censored or not")
    atlas: tuple[str | AtlasFiles, ...] = Field((), description="for networks")

    @field_validator("window_min")
    @classmethod
    def _ordered(cls, value: tuple[Range, ...]) -> tuple[Range, ...]:
        return tuple(ordered_window(window) for window in value)


class Bold(Section):
    """How resting-state BOLD is cleaned."""

    task: str = "rest"
    dummy_scans: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    strategy: Strategy = "24P+aCompCor"
    band_hz: Range = (0.01, 0.1)
    fd_threshold_mm: float | None = Field(
        0.5, gt=0, description="frames above it are censored; null: none"
    )
    dvars_threshold: float | None = Field(
        None, gt=0, description="frames with a standardized DVARS above it, too"
    )
    censor_before: int = Field(0, ge=0, description="and so many frames before each")
    censor_after: int = Field(0, ge=0, description="and after each")
    minimum_contiguous: int = Field(
        1, ge=1, description="shorter stretches between censored frames go, too"
    )
    slice_timing: bool = Field(False, description="read all slices at one moment")
    distortion: Literal["auto", "none", "registration"] = Field(
        "none", description="correction along the phase encoding, without a fieldmap"
    )
    minimum_kept_s: float = Field(240.0, gt=0, description="shortest session after censoring")
    minimum_df: float = Field(10.0, ge=1, description="least effective degrees of freedom of a run")

    @field_validator("band_hz")
    @classmethod
    def _ordered(cls, value: Range) -> Range:
        if not 0 < value[0] < value[1]:
            raise ValueError("the band must be two rising frequencies above 0 Hz")
        return value


class Symptoms(Section):
    """The clinical score. A fall is an improvement."""

    table: Path = Field(Path("phenotype/madrs.tsv"), description="relative to the BIDS folder")
    score: str = "madrs"
    response_percent: float = Field(
        50.0, gt=0, le=100, description="response: a fall of at least this"
    )
    remission: float | None = Field(10.0, description="remission: a score of at most this")


class Inference(Section):
    """Permutation tests; exact whenever 2^n is at most 20,000."""

    permutations: int = Field(10_000, ge=100)
    seed: int = 1


class Prediction(Section):
    """Nested cross-validation over persons."""

    folds: int = Field(5, ge=2)
    repeats: int = Field(50, ge=1)
    permutations: int = Field(1_000, ge=100)
    seed: int = 1


class PlantedEffects(Section):
    """What a simulation plants; unset: its default (see `petfmri.simulation.effects.Effects`)."""

    vt_percent: float | None = Field(
        None, description="change of V_T in the first region of interest"
    )
    k1_change_percent: float | None = Field(None, description="change of blood flow everywhere")
    within_fc_change: float | None = Field(None, description="change of r within networks")
    between_fc_change: float | None = Field(None, description="change of r between networks")
    default_sommot_fc_change: float | None = None
    symptom_fall: float | None = Field(None, description="points")
    change_cv: float | None = Field(None, ge=0, description="spread of changes over people")
    r_vt_segregation: float | None = Field(None, ge=-1, le=1)
    r_vt_symptoms: float | None = Field(None, ge=-1, le=1)
    r_segregation_symptoms: float | None = Field(None, ge=-1, le=1)


class Simulation(Section):
    """What `petfmri simulate` writes into the BIDS folder."""

    preset: Literal["tiny", "demo", "full", "tables"] = Field(
        "demo", description="tables: only group tables, into the output folder"
    )
    participants: int | None = Field(None, ge=1, description="unset: as the preset")
    seed: int = 1
    effects: PlantedEffects = PlantedEffects()
