"""What goes wrong, said so that the reader knows what to do.

Every error of petfmri is one or several `Problem`: which file or field, what was found, what was
expected, and the remedy. Input errors end a command with status 2, others with status 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input.

    An ``"error"`` stops the command; with a ``"warning"`` the result is right but less complete.

    Examples
    --------
    >>> print(Problem("sub-01_pet.json: FrameDuration", "28 values", "27", "drop the last one"))
    sub-01_pet.json: FrameDuration: found 28 values; expected 27. Drop the last one.
    """

    where: str
    found: str
    expected: str
    remedy: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        remedy = self.remedy[:1].upper() + self.remedy[1:]
        return f"{self.where}: found {self.found}; expected {self.expected}. {remedy.rstrip('.')}."


class PetfmriError(Exception):
    """Base of all errors that petfmri raises on purpose.

    Parameters
    ----------
    where, found, expected, remedy : str
        The parts of one `Problem`.
    """

    exit_status = 1

    def __init__(self, where: str, found: str, expected: str, remedy: str) -> None:
        self.problems = [Problem(where, found, expected, remedy)]
        super().__init__(str(self.problems[0]))

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> PetfmriError:
        """Make one error that reports all `problems` at once."""
        problems = list(problems)
        first = problems[0]
        error = cls(first.where, first.found, first.expected, first.remedy)
        error.problems = problems
        error.args = ("\n".join(map(str, problems)),)
        return error

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by problems, so that errors survive the way back from a worker process."""
        return (type(self).of, (self.problems,))


class InputError(PetfmriError):
    """What the user gave cannot be used as it is."""

    exit_status = 2


class ConfigError(InputError):
    """The study YAML."""


class DatasetError(InputError):
    """A file or table of the BIDS dataset or of a derivatives folder."""


class FrameError(InputError):
    """The frame schedule of a PET scan."""


class ReferenceRegionError(PetfmriError):
    """A reference region that is too small, empty or outside the field of view."""


class RegistrationError(PetfmriError):
    """Two images could not be aligned to an acceptable quality."""


class SegmentationError(PetfmriError):
    """A brain or tissue segmentation outside the limits of a human head."""


class DenoisingError(PetfmriError):
    """A BOLD run whose tables do not serve the denoising that was asked for."""


class ExcludedRunError(DenoisingError):
    """A BOLD run that is sound but has too little left to count."""


class StatisticsError(InputError):
    """A comparison or prediction that its data cannot support."""
