"""The study YAML as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from petfmri.config.analysis import Bold, Inference, Multiverse, Prediction, Simulation, Symptoms
from petfmri.config.base import Section
from petfmri.config.comparison import Arms, Dependence, Power, RetestNoise
from petfmri.config.crossover import Crossover
from petfmri.config.inference import Edges, Voxels
from petfmri.config.inputs import AtlasFiles, Columns, Connectivity, Derivatives, Series, Sessions
from petfmri.config.localization import Localization
from petfmri.config.pet import OUTCOMES, Pet

DEFAULT_ROI: dict[str, tuple[str, ...]] = {"PCC": ("*pCunPCC*", "*posteriorcingulate*")}


class Study(Section):
    """One study: what was scanned, what is measured, and the one primary outcome."""

    name: str
    bids: Path | None = None
    output: Path
    design: Literal["prepost", "parallel", "crossover"] = "prepost"
    sessions: Sessions = Sessions()
    columns: Columns = Columns()
    derivatives: Derivatives = Derivatives()
    atlas: str | AtlasFiles = "Schaefer200"
    regions_of_interest: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: dict(DEFAULT_ROI)
    )
    networks: tuple[str, ...] | None = Field(None, description="unset: all of the atlas")
    pet: Pet = Pet()
    multiverse: Multiverse = Multiverse()
    bold: Bold = Bold()
    series: Series | None = None
    connectivity: Connectivity = Connectivity()
    symptoms: Symptoms | None = None
    primary: str = Field(
        "",
        description="one outcome, declared before looking; unset: the PET measure in the PCC, or "
        "none where there is no PET",
    )
    arms: Arms | None = Field(None, description="of design: parallel")
    crossover: Crossover | None = Field(None, description="of design: crossover")
    connections: tuple[str, ...] = Field(
        (), description="lists of connections of interest: clipst, control, or paths of tables"
    )
    covariates: tuple[str, ...] = Field(
        (), description="columns of the sessions table, or one of regions such as r1"
    )
    test_retest: dict[str, RetestNoise] = Field(
        default_factory=dict, description="by outcome or measure; before what is published"
    )
    baseline_dependence: Dependence = "oldham"
    inference: Inference = Inference()
    power: Power = Power()
    edges: Edges = Edges()
    voxels: Voxels = Voxels()
    prediction: Prediction = Prediction()
    localization: Localization | None = None
    simulation: Simulation = Simulation()

    @model_validator(mode="before")
    @classmethod
    def _default_primary(cls, data: Any) -> Any:
        """Take the measure of the posterior cingulate for the primary outcome where none is named."""
        if not isinstance(data, dict) or data.get("primary"):
            return data
        if data.get("design") == "crossover" or (not data.get("bids") and _has_series(data)):
            return data  # nothing is primary unless it is declared
        try:
            outcome = Pet.model_validate(data.get("pet") or {}).outcome
        except ValidationError:  # told with all other problems
            outcome = "suvr"
        return {**data, "primary": f"{outcome}:PCC"}

    @model_validator(mode="after")
    def _fits_design(self) -> Study:
        if (self.design == "crossover") != (self.crossover is not None):
            raise ValueError("design: crossover needs crossover:, and no other design has it")
        if self.connections and self.design == "parallel":
            raise ValueError("connections: are compared by the designs prepost and crossover")
        if self.covariates and self.design == "crossover":
            raise ValueError(
                "covariates: are not for a crossover, whose models hold period, sequence and the "
                "value before the dose"
            )
        if self.baseline_dependence != "oldham" and self.design == "crossover":
            raise ValueError(
                "baseline_dependence: is not for a crossover, whose comparison of two treatments "
                "does not ask how a change depends on where persons started"
            )
        return self

    @model_validator(mode="after")
    def _has_input(self) -> Study:
        ready = (self.derivatives.petprep, self.derivatives.kinpar)
        others = (self.series, self.derivatives.xcpd, self.derivatives.fmriprep, self.localization)
        if self.bids is None and ready == (None, None) and not any(others):
            raise ValueError(
                "name the BIDS folder (bids:), a folder of another program (derivatives:), "
                "parcel series (series:) or published coordinates (localization:)"
            )
        if (self.design == "parallel") != (self.arms is not None):
            raise ValueError("design: parallel needs arms:, and no other design has them")
        if self.series and self.derivatives.xcpd:
            raise ValueError("series: and derivatives: xcpd: are two analyses; name one")
        if None not in ready:
            raise ValueError("derivatives: petprep: and kinpar: are two analyses; name one")
        measure, _, region = self.primary.partition(":")
        if measure == self.pet.outcome and not region:
            raise ValueError(f"primary: a regional measure needs its region, e.g. {measure}:PCC")
        if region and measure.partition("_")[0] in OUTCOMES and measure != self.pet.outcome:
            raise ValueError(
                f"primary: {measure} is not what pet: gives, which is {self.pet.outcome}"
            )
        return self


def _has_series(data: dict[str, Any]) -> bool:
    """Tell whether a configuration without BIDS folder starts from BOLD alone."""
    others = data.get("derivatives") or {}
    if not isinstance(others, dict) or others.get("petprep") or others.get("kinpar"):
        return False
    named = (data.get("series"), others.get("xcpd"), others.get("fmriprep"))
    return any(named) or bool(data.get("localization"))
