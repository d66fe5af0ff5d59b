"""Sections on what was scanned, and what other programs made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from petfmri.config.base import Section


class Sessions(Section):
    """Which BIDS session plays which role."""

    pre: str = Field("pre", description="session before the dose")
    post: str = Field("post", description="session after the dose")

    @field_validator("pre", "post", mode="before")
    @classmethod
    def _without_prefix(cls, value: object) -> str:
        return str(value).removeprefix("ses-")

    @model_validator(mode="after")
    def _differ(self) -> Sessions:
        if self.pre == self.post:
            raise ValueError("pre and post must be two different sessions")
        return self


class Columns(Section):
    """Columns of the BIDS sessions.tsv (or participants.tsv) that describe the dose."""

    dose: str = Field("dose_mg_kg", description="dose given before this session")
    arm: str = Field("arm", description="treatment arm")
    days: str = Field("days_since_dose", description="days between dose and scan")


class Derivatives(Section):
    """Folders of other tools whose results are used instead of computing them."""

    fmriprep: Path | None = Field(
        None, description="fMRIPrep derivatives: what is there is not computed again"
    )
    petprep: Path | None = Field(
        None,
        description="PETPrep derivatives; with bids: what is there is not computed again, "
        "without it its *_tacs.tsv are compared",
    )
    kinpar: Path | None = Field(
        None, description="*_kinpar.tsv of PETFit, PETsurfer-BIDS, petprep_km or petfmri"
    )
    xcpd: Path | None = Field(
        None, description="XCP-D's clean parcel series of atlas:, for `petfmri networks`"
    )
    bloodstream: Path | None = Field(None, description="input functions, *_inputfunction.tsv")


class AtlasFiles(Section):
    """An atlas of the user's own, in MNI152NLin2009cAsym."""

    image: Path
    table: Path


class Series(Section):
    """Parcel series that another program made, for `petfmri networks`."""

    files: str = Field(
        description="path with {subject}, {session} and perhaps {run}: .tsv, .csv, .mat or .npy"
    )
    parcels: Path = Field(
        description="table of the columns in their order: name, network, perhaps structure"
    )
    tr_s: float = Field(gt=0, le=20, description="repetition time, seconds")
    key: str | None = Field(None, description="the variable of .mat files")
    confounds: str | None = Field(
        None, description="fMRIPrep's tables, by the same words; unset: the series are clean"
    )

    @field_validator("files", "confounds")
    @classmethod
    def _names_who(cls, value: str | None) -> str | None:
        if value is not None and not all(f"{{{word}}}" in value for word in ("subject", "session")):
            raise ValueError("the path must say where {subject} and {session} stand")
        return value


class Connectivity(Section):
    """What `petfmri networks` adds to the metrics."""

    partial: bool = Field(False, description="matrices of shrunk partial correlation, too")
    sv2a: Literal["own", "group"] | Path | None = Field(
        None,
        description="map for SV2A-informed connectivity: of the person or all, before the dose",
    )
    maps: bool = Field(True, description="maps of voxels of every region of interest, after run")
