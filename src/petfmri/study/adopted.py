"""What other programs have already made of a person's scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

TEMPLATE = "MNI152NLin2009cAsym"
Space = Literal["native", "T1w", "MNI152NLin2009cAsym"]


@dataclass(frozen=True)
class AdoptedFiles:
    """Files of other programs, by what they are."""

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is used."""
        values = (getattr(self, item.name) for item in fields(self))
        return tuple(value for value in values if isinstance(value, Path))


@dataclass(frozen=True)
class AdoptedAnat(AdoptedFiles):
    """The anatomy, on the grid of its T1w.

    Attributes
    ----------
    session : str or None
        The one session whose T1w it is; None where it serves every session.
    t1w, mask : Path or None
        Without bias field; brain.
    grey, white, csf : Path or None
        Shares, 0 to 1: all three or none.
    to_template, from_template : Path or None
        The images that they move: template onto T1w, T1w onto template.
    """

    session: str | None = None
    t1w: Path | None = None
    mask: Path | None = None
    grey: Path | None = None
    white: Path | None = None
    csf: Path | None = None
    to_template: Path | None = None
    from_template: Path | None = None

    def sources(self) -> dict[str, Path | None]:
        """Name each step, and the file that stands for it."""
        return {
            "T1w without bias field": self.t1w,
            "brain mask": self.mask,
            "tissues": self.grey,
            "T1w to template": self.to_template or self.from_template,
        }


@dataclass(frozen=True)
class AdoptedBold(AdoptedFiles):
    """One BOLD run.

    Attributes
    ----------
    series, mask : Path or None
        Preprocessed volumes, and the brain on their grid.
    space : "native", "T1w" or the template
        Of the series.
    confounds : Path or None
    reference : Path or None
        The BOLD reference image, native.
    xfm : Path or None
        Between reference and T1w.
    xfm_moves_t1w : bool
        Whether it moves the T1w onto the reference, rather than the reference onto the T1w.
    motion : Path or None
        Moves each raw volume onto the reference.
    """

    series: Path | None = None
    mask: Path | None = None
    space: Space = "native"
    confounds: Path | None = None
    reference: Path | None = None
    xfm: Path | None = None
    xfm_moves_t1w: bool = False
    motion: Path | None = None

    @property
    def placed(self) -> bool:
        """Whether it is known how the reference lies, without a look at the raw volumes."""
        return self.reference is not None or self.xfm is not None

    def sources(self) -> dict[str, Path | None]:
        """Name each step, and the file that stands for it."""
        return {
            "BOLD motion": self.series or self.motion,
            "BOLD to T1w": self.xfm,
            "BOLD interpolation": self.series,
            "confounds": self.confounds,
        }

    def left(self) -> dict[str, Path]:
        """Name what stays as the other program left it, and the file that it is in."""
        found = {"slice timing": self.series, "distortion": self.series or self.xfm}
        return {step: path for step, path in found.items() if path is not None}


@dataclass(frozen=True)
class AdoptedPet(AdoptedFiles):
    """One PET scan.

    Attributes
    ----------
    series : Path or None
        Preprocessed frames.
    space : "native" or "T1w"
        Of the series.
    reference : Path or None
        The PET reference image, native.
    xfm, xfm_moves_t1w, motion, confounds
        As of `AdoptedBold`.
    curves : Path or None
        Regional curves of the study's own atlas.
    """

    series: Path | None = None
    space: Space = "native"
    reference: Path | None = None
    xfm: Path | None = None
    xfm_moves_t1w: bool = False
    motion: Path | None = None
    confounds: Path | None = None
    curves: Path | None = None

    def sources(self) -> dict[str, Path | None]:
        """Name each step, and the file that stands for it."""
        in_t1w = self.series if self.space == "T1w" else None
        return {
            "PET motion": self.motion or self.series,
            "PET to T1w": self.xfm or in_t1w,
            "PET interpolation": self.series,
            "regional curves": self.curves,
        }


@dataclass(frozen=True)
class Adopted:
    """What is used of one person.

    Attributes
    ----------
    anat : AdoptedAnat
    runs : mapping of raw BOLD file to AdoptedBold
    scans : mapping of raw PET file to AdoptedPet
    unused : mapping of raw file to sequence of str
        What was made of it but cannot be used, and why.
    notes : tuple of str
        All that is worth telling: what cannot be used of anatomy and scans, and why.
    """

    anat: AdoptedAnat = AdoptedAnat()
    runs: Mapping[Path, AdoptedBold] = field(default_factory=dict)
    scans: Mapping[Path, AdoptedPet] = field(default_factory=dict)
    unused: Mapping[Path, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, AdoptedAnat | AdoptedBold | AdoptedPet]:
        """The anatomy and every scan, by the name of its raw file."""
        parts: dict[str, AdoptedAnat | AdoptedBold | AdoptedPet] = {"anatomy": self.anat}
        parts |= {path.name: part for path, part in self.scans.items()}
        return parts | {path.name: part for path, part in self.runs.items()}

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that is used."""
        return tuple(path for part in self.parts.values() for path in part.files)
