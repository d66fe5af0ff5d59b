"""Sections on what is compared with what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from petfmri.config.base import Section


class RetestNoise(Section):
    """Change of a measure between two scans without treatment."""

    sd: float = Field(gt=0, description="over persons")
    mean: float = 0.0
    n: int = Field(ge=2, description="persons in whom it was measured")
    unit: Literal["percent", "value"] = Field(
        "percent", description="of the first scan, or the unit of the measure"
    )
    source: str = Field(min_length=1, description="where it is from; reports quote it")


class Reliability(Section):
    """Reliability of the outcomes, for errors in variables."""

    reliability: float = Field(gt=0, le=1)
    source: str = Field(min_length=1, description="where it is from; reports quote it")


def _dependence(value: Any) -> Any:
    """Refuse the naive correlation with its reason."""
    if isinstance(value, Reliability) or value == "oldham":
        return value
    if isinstance(value, dict):
        try:
            return Reliability.model_validate(value)
        except ValidationError:
            value = "something else"
    from petfmri.statistics.baseline import NAIVE

    usable = "oldham, or {reliability: 0.8, source: where it is from}"
    if isinstance(value, str) and value.lower() in ("correlation", "naive", "ancova", "pearson"):
        raise ValueError(f"{usable}; never {NAIVE}")
    raise ValueError(usable)


Dependence = Annotated[Literal["oldham"] | Reliability, BeforeValidator(_dependence)]


class Arms(Section):
    """Two arms, or two groups, of which columns: arm: tells who is in which."""

    active: str = Field(description="arm or group of interest, such as ketamine or patient")
    control: str
    strata: str | None = Field(
        None, description="column of the sessions table; arms are exchanged within, such as site"
    )

    @model_validator(mode="after")
    def _differ(self) -> Arms:
        if self.active == self.control:
            raise ValueError("active and control must be two different arms")
        return self


class Power(Section):
    """What `petfmri power` plans for."""

    n: tuple[Annotated[int, Field(ge=3, le=10_000)], ...] = Field(
        (11, 16, 20, 30, 60), min_length=1, description="persons in all"
    )
    change_percent: tuple[Annotated[float, Field(gt=0)], ...] = (3.0, 5.0, 10.0)
    power: float = Field(0.8, gt=0.05, lt=1)
