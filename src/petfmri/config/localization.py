"""The section of `petfmri localize`: published coordinates and a normative set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from petfmri.config.base import Section

Files = Path | Annotated[tuple[Path, ...], Field(min_length=1)]


class Signed(Section):
    """Files without a column direction, by what their peaks are."""

    increase: Files | None = None
    decrease: Files | None = None

    @model_validator(mode="after")
    def _any(self) -> Signed:
        if self.increase is None and self.decrease is None:
            raise ValueError("name files for increase:, decrease: or both")
        return self


class Normative(Section):
    """Healthy people at rest: one source, or a store that an earlier call has built."""

    fmriprep: Path | None = Field(
        None, description="derivatives with BOLD in MNI152NLin2009cAsym, cleaned as bold: says"
    )
    images: str | None = Field(
        None,
        description="path of 4-D images in MNI space, with {subject}, perhaps {session}, {run}",
    )
    series: str | None = Field(None, description="path of series over the parcels of atlas:")
    confounds: str | None = Field(
        None, description="tables, by the same words; unset: images or series are clean"
    )
    tr_s: float | None = Field(None, gt=0, le=20, description="unset: as sidecar or header say")
    key: str | None = Field(None, description="the variable of .mat files")
    store: Path | None = Field(
        None, description="where normalised series are kept; unset: OUTPUT/work/normative"
    )

    @field_validator("images", "series", "confounds")
    @classmethod
    def _names_who(cls, value: str | None) -> str | None:
        if value is not None and "{subject}" not in value:
            raise ValueError("the path must say where {subject} stands")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Normative:
        sources = [name for name in ("fmriprep", "images", "series") if getattr(self, name)]
        if len(sources) > 1 or not (sources or self.store):
            raise ValueError("name one of fmriprep:, images:, series:, or a store: built before")
        if self.confounds and sources not in (["images"], ["series"]):
            raise ValueError("confounds: belongs to images: or series:; fMRIPrep's are found")
        return self


class PreviewConnectome(Section):
    """A group-mean matrix over the parcels of atlas:, where there are no normative people."""

    connectome: Path = Field(description="table of mean r, one row and column per parcel")
    threshold: float = Field(0.2, gt=-1, lt=1, description="on mean r; nothing is tested")


class Localization(Section):
    """Network localization of published coordinates."""

    coordinates: Files | Signed
    space: Literal["MNI", "Talairach"] = Field(
        "MNI", description="of rows and files that do not say it"
    )
    normative: Normative | None = None
    preview: PreviewConnectome | None = None
    grid_mm: float = Field(3.0, ge=1, le=8, description="voxel size of all maps")
    mask: Literal["grey", "brain"] | Path = Field(
        "grey", description="where maps and random coordinates lie; a path also sets the grid"
    )
    radius_mm: float = Field(4.0, gt=0, le=20, description="of the sphere round each peak")
    correction: Literal["fdr_positive", "fdr", "fwe", "none"] = Field(
        "fdr_positive", description="of each contrast's positive t"
    )
    alpha: float = Field(0.05, gt=0, lt=0.5)
    overlap: float = Field(
        0.6, gt=0, le=1, description="share of contrasts that must reach a place"
    )
    min_cluster_voxels: int = Field(30, ge=1, description="neighbours share a face or edge (18)")
    radii_mm: tuple[Annotated[float, Field(gt=0, le=20)], ...] = (1.0, 4.0, 7.0)
    overlaps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.5, 0.6, 0.7)
    nulls: int = Field(1000, ge=19, le=20_000, description="draws of random coordinates")
    permutations: int = Field(10_000, ge=100, description="of labels increase and decrease")
    seed: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _one_set(self) -> Localization:
        if (self.normative is None) == (self.preview is None):
            raise ValueError("name normative: (people), or preview: (a mean matrix), not both")
        return self
