"""What every section of the study YAML shares."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Range = tuple[float, float]


class Section(BaseModel):
    """Settings that refuse unknown keys and later changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)
