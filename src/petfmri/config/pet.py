"""The section on PET."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from petfmri.config.base import Range, Section
from petfmri.pet.kinetics.models import MODELS

ModelName = Literal["SUVR", "SRTM", "SRTM2", "MRTM2", "refLogan", "1TCM", "2TCM", "Logan"]
Correction = Literal["none", "GTM", "IY"]
ReferenceName = Literal["semiovale", "cerebellum", "wholebrain"]
Millimetres = Annotated[float, Field(gt=0, le=20)]
OUTCOMES = ("suvr", "bpnd", "dvr", "vt")


def ordered_window(value: Range) -> Range:
    """Refuse a window that does not rise, or is not in minutes."""
    if not 0 <= value[0] < value[1]:
        raise ValueError("the window must start at 0 min or later and end after its start")
    if value[1] > 600:
        raise ValueError("the window is in minutes; it looks like seconds")
    return value


class ReferenceLabels(Section):
    """A reference region made of atlas regions, by name or pattern."""

    regions: tuple[str, ...] = Field(min_length=1)


class K2PrimeValue(Section):
    """A k2' from elsewhere."""

    value: float = Field(ge=0.002, le=0.5, description="per minute")
    source: str = Field(min_length=1, description="where it is from; reports quote it")


def _k2prime(value: Any) -> Any:
    """Say in one sentence what k2' may be."""
    if isinstance(value, K2PrimeValue) or value in ("scan", "shared", "none"):
        return value
    try:
        return K2PrimeValue.model_validate(value)
    except ValidationError:
        raise ValueError(
            "scan, shared, none, or {value: 0.031, source: where it is from}, per minute"
        ) from None


class Pet(Section):
    """How PET is quantified."""

    tracer: str | None = Field(
        None, description="trc- entity, e.g. UCBJ; unset: the only one there is"
    )
    model: ModelName = Field("SUVR", description="how curves become an outcome")
    measure: Literal["SUVR", "BPND", "DVR", "VT"] | None = Field(
        None, description="outcome per region; unset: the usual one of the model"
    )
    k2prime: Annotated[
        Literal["scan", "shared", "none"] | K2PrimeValue, BeforeValidator(_k2prime)
    ] = Field("scan", description="efflux rate of the reference region")
    tstar_min: float = Field(30.0, ge=0, description="t* of refLogan and Logan")
    parent_fraction: Literal["hill", "power", "biexponential"] = Field(
        "hill", description="model of the parent fraction in plasma"
    )
    pvc: Correction = Field("none", description="partial-volume correction")
    window_min: Range = Field((60.0, 90.0), description="minutes after injection")
    reference: ReferenceName | ReferenceLabels = "semiovale"
    psf_mm: Millimetres | tuple[Millimetres, Millimetres, Millimetres] | None = Field(
        None, description="resolution (FWHM) of the PET; unset: 5.5 mm is assumed"
    )

    motion: Literal["auto", "off"] = Field("auto", description="off: frames are aligned already")
    coregistration: Literal["auto", "identity"] = Field(
        "auto", description="identity: PET and T1w are aligned already"
    )

    @field_validator("motion", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return "off" if value is False else value  # YAML takes a bare off for false

    @field_validator("window_min")
    @classmethod
    def _ordered(cls, value: Range) -> Range:
        return ordered_window(value)

    @model_validator(mode="after")
    def _measured(self) -> Pet:
        known = MODELS[self.model].measures
        if self.measure is not None and self.measure not in known:
            raise ValueError(f"measure: {self.model} gives {' or '.join(known)}")
        return self

    @property
    def outcome(self) -> str:
        """A column of the tables: the measure, and the correction for partial volumes if any."""
        correction = "" if self.pvc == "none" else f"_{self.pvc.lower()}"
        return self.base_outcome + correction

    @property
    def base_outcome(self) -> str:
        """The measure, lower case."""
        return (self.measure or MODELS[self.model].measures[0]).lower()

    @property
    def window_s(self) -> Range:
        """The window in seconds."""
        return self.window_min[0] * 60, self.window_min[1] * 60

    @property
    def psf_xyz_mm(self) -> tuple[float, float, float] | None:
        """The resolution along x, y and z, mm."""
        if isinstance(self.psf_mm, float):
            return self.psf_mm, self.psf_mm, self.psf_mm
        return self.psf_mm
