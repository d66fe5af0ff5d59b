"""The study YAML: what is analysed, validated strictly before anything is computed."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from petfmri.errors import ConfigError, Problem
from petfmri.pet.kinetics.models import MODELS

Range = tuple[float, float]
ModelName = Literal["SUVR", "SRTM", "SRTM2", "MRTM2", "refLogan", "1TCM", "2TCM", "Logan"]
Correction = Literal["none", "GTM", "IY"]
Strategy = Literal[
    "24P", "24P+GSR", "24P+aCompCor", "24P+aCompCor+GSR", "32P", "36P"
]  # of bold/strategies.py
ReferenceName = Literal["semiovale", "cerebellum", "wholebrain"]
Millimetres = Annotated[float, Field(gt=0, le=20)]
OUTCOMES = ("suvr", "bpnd", "dvr", "vt")
DEFAULT_ROI: dict[str, tuple[str, ...]] = {"PCC": ("*pCunPCC*", "*posteriorcingulate*")}


def _window(value: Range) -> Range:
    if not 0 <= value[0] < value[1]:
        raise ValueError("the window must start at 0 min or later and end after its start")
    if value[1] > 600:
        raise ValueError("the window is in minutes; it looks like seconds")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sessions(_Section):
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


class Columns(_Section):
    """Columns of the BIDS sessions.tsv (or participants.tsv) that describe the dose."""

    dose: str = Field("dose_mg_kg", description="dose given before this session")
    arm: str = Field("arm", description="treatment arm")
    days: str = Field("days_since_dose", description="days between dose and scan")


class Derivatives(_Section):
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


class AtlasFiles(_Section):
    """An atlas of the user's own, in MNI152NLin2009cAsym."""

    image: Path
    table: Path


class Series(_Section):
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


class Connectivity(_Section):
    """What `petfmri networks` adds to the metrics."""

    partial: bool = Field(False, description="matrices of shrunk partial correlation, too")
    sv2a: Literal["own", "group"] | Path | None = Field(
        None,
        description="map for SV2A-informed connectivity: of the person or all, before the dose",
    )
    maps: bool = Field(True, description="maps of voxels of every region of interest, after run")


class ReferenceLabels(_Section):
    """A reference region made of atlas regions, by name or pattern."""

    regions: tuple[str, ...] = Field(min_length=1)


class K2PrimeValue(_Section):
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


class Pet(_Section):
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
        return _window(value)

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


class Multiverse(_Section):
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
        return tuple(_window(window) for window in value)


class Bold(_Section):
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


class Symptoms(_Section):
    """The clinical score. A fall is an improvement."""

    table: Path = Field(Path("phenotype/madrs.tsv"), description="relative to the BIDS folder")
    score: str = "madrs"
    response_percent: float = Field(
        50.0, gt=0, le=100, description="response: a fall of at least this"
    )
    remission: float | None = Field(10.0, description="remission: a score of at most this")


class Inference(_Section):
    """Permutation tests; exact whenever 2^n is at most 20,000."""

    permutations: int = Field(10_000, ge=100)
    seed: int = 1


class Prediction(_Section):
    """Nested cross-validation over persons."""

    folds: int = Field(5, ge=2)
    repeats: int = Field(50, ge=1)
    permutations: int = Field(1_000, ge=100)
    seed: int = 1


class PlantedEffects(_Section):
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


class Simulation(_Section):
    """What `petfmri simulate` writes into the BIDS folder."""

    preset: Literal["tiny", "demo", "full", "tables"] = Field(
        "demo", description="tables: only group tables, into the output folder"
    )
    participants: int | None = Field(None, ge=1, description="unset: as the preset")
    seed: int = 1
    effects: PlantedEffects = PlantedEffects()


class Study(_Section):
    """One study: what was scanned, what is measured, and the one primary outcome."""

    name: str
    bids: Path | None = None
    output: Path
    design: Literal["prepost"] = "prepost"
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
    inference: Inference = Inference()
    prediction: Prediction = Prediction()
    simulation: Simulation = Simulation()

    @model_validator(mode="before")
    @classmethod
    def _default_primary(cls, data: Any) -> Any:
        """Take the measure of the posterior cingulate for the primary outcome where none is named."""
        if not isinstance(data, dict) or data.get("primary"):
            return data
        if not data.get("bids") and _has_series(data):
            return data  # nothing is primary unless it is declared
        try:
            outcome = Pet.model_validate(data.get("pet") or {}).outcome
        except ValidationError:  # told with all other problems
            outcome = "suvr"
        return {**data, "primary": f"{outcome}:PCC"}

    @model_validator(mode="after")
    def _has_input(self) -> Study:
        ready = (self.derivatives.petprep, self.derivatives.kinpar)
        of_networks = (self.series, self.derivatives.xcpd, self.derivatives.fmriprep)
        if self.bids is None and ready == (None, None) and of_networks == (None, None, None):
            raise ValueError(
                "name the BIDS folder (bids:), a folder of another program (derivatives:) or "
                "parcel series (series:)"
            )
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
    return bool(data.get("series") or others.get("xcpd") or others.get("fmriprep"))


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"line {line}: key {key!r} given twice"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_study(path: Path) -> Study:
    """Read and validate a study YAML; relative paths are relative to the file.

    Parameters
    ----------
    path : Path
        The YAML file.

    Returns
    -------
    Study

    Raises
    ------
    ConfigError
        With every problem at once: unknown keys (and the nearest known one), wrong types, values
        out of range.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError:
        raise ConfigError(
            str(path), "no such file", "a study YAML", "copy one of configs/ or run `petfmri demo`"
        ) from None
    except IsADirectoryError:
        raise ConfigError(str(path), "a folder", "a study YAML", "name the file in it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            str(path), f"invalid YAML ({reason})", "valid YAML", "correct it"
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(
            str(path), "no settings", "keys such as name, bids, output", "see configs/"
        )
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError.of(_problem(path, item) for item in error.errors()) from None
    study = _with_absolute_paths(study, path.resolve().parent)
    _require_own_output(study, path)
    return study


def _require_own_output(study: Study, path: Path) -> None:
    """Refuse to write where another program's or the dataset's files are."""
    of_others = {f"derivatives.{name}": root for name, root in study.derivatives if root}
    inside = [key for key, root in of_others.items() if study.output.is_relative_to(root)]
    if study.output == study.bids:
        inside.append("bids")
    if inside:
        raise ConfigError(
            f"{path.name}: output",
            f"{study.output}, which is or lies in the folder of {' and '.join(inside)}",
            "a folder of petfmri's own: names are alike, and files would replace one another",
            "name another folder, such as derivatives/petfmri",
        )


def _problem(path: Path, item: Any) -> Problem:
    keys = [str(part) for part in item["loc"]]
    where = f"{path.name}: {'.'.join(keys)}" if keys else path.name
    if item["type"] == "extra_forbidden":
        known = _known_keys(keys[:-1])
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.5)
        remedy = f"did you mean {near[0]!r}" if near else "remove it"
        return Problem(where, "an unknown key", f"one of {', '.join(known)}", remedy)
    if item["type"] == "missing":
        return Problem(where, "nothing", "a value", "add this key; configs/ explains it")
    message = item["msg"].removeprefix("Value error, ")
    whole = isinstance(item["input"], dict) and item["type"] == "value_error"
    return Problem(
        where,
        "settings that do not go together" if whole else repr(item["input"])[:80],
        message,
        "correct the value; configs/ explains it",
    )


def _known_keys(keys: list[str]) -> list[str]:
    model: type[BaseModel] = Study
    for key in keys:
        if key in model.model_fields:
            candidates = _models(model.model_fields[key].annotation)
            model = candidates[0] if candidates else model
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]


def _with_absolute_paths(section: Any, root: Path) -> Any:
    """Resolve relative paths against `root`, except the symptom table (relative to BIDS)."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Symptoms):
            continue
        if isinstance(value, BaseModel):
            changes[name] = _with_absolute_paths(value, root)
        elif isinstance(value, tuple):
            changes[name] = tuple(
                _with_absolute_paths(part, root) if isinstance(part, BaseModel) else part
                for part in value
            )
        elif isinstance(section, Series) and name in ("files", "confounds") and value:
            changes[name] = str((root / Path(value).expanduser()).resolve())
        elif isinstance(value, Path):
            changes[name] = (root / value.expanduser()).resolve()
    return section.model_copy(update=changes)
