"""The section on a crossover."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from petfmri.config.base import Section


class Crossover(Section):
    """Two treatments in two periods, and visits before and after each dose."""

    treatments: tuple[str, str] = Field(description="active and control, as sessions.tsv has them")
    treatment: str = Field("treatment", description="column of sessions.tsv: what was given")
    period: str = Field("period", description="column: first or second period, such as 1 and 2")
    time: str = Field("time_min", description="column: time after the dose, a number or a name")
    baseline: float | str | None = Field(
        0.0, description="value of time of the visit before the dose; null: there is none"
    )
    sessions: tuple[str, ...] = Field(
        (), description="unset: every session of sessions.tsv that has a treatment"
    )

    @field_validator("sessions", mode="before")
    @classmethod
    def _without_prefix(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return tuple(str(name).removeprefix("ses-") for name in value)

    @model_validator(mode="after")
    def _differ(self) -> Crossover:
        if self.treatments[0] == self.treatments[1]:
            raise ValueError("treatments must be two different ones: [active, control]")
        return self
