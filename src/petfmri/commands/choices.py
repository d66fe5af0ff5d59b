"""The declared way to quantify, and the others of a multiverse."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from petfmri.commands.context import reference_name
from petfmri.config import Study
from petfmri.errors import Problem
from petfmri.pet.kinetics.models import MODELS, refusals


@dataclass(frozen=True)
class Choice:
    """One way to quantify.

    Attributes
    ----------
    reference : str
        ``""`` for models with plasma input.
    model, pvc : str
    window_min : (float, float) or None
        For SUVR.
    """

    reference: str
    model: str
    pvc: str
    window_min: tuple[float, float] | None

    @property
    def label(self) -> str:
        """In words, for tables and figures."""
        window = f"{self.window_min[0]:g}-{self.window_min[1]:g} min" if self.window_min else ""
        correction = "" if self.pvc == "none" else self.pvc
        return ", ".join(filter(None, (self.model, window, self.reference, correction)))

    def measure(self, study: Study) -> str:
        """The outcome, lower case: the declared one if the model has it, else DVR if it has that."""
        known = [name.lower() for name in MODELS[self.model].measures]
        usual = "dvr" if "dvr" in known else known[0]  # a ratio, like SUVR
        return study.pet.base_outcome if study.pet.base_outcome in known else usual


def choices(study: Study) -> list[Choice]:
    """List the declared choice first, then every other combination, each once."""
    pet, many = study.pet, study.multiverse
    combinations = product(
        dict.fromkeys((reference_name(study), *many.reference)) if many.reference
        else (reference_name(study),),
        many.model or (pet.model,),
        many.pvc or (pet.pvc,),
        many.window_min or (pet.window_min,),
    )  # fmt: skip
    declared = _choice(reference_name(study), pet.model, pet.pvc, pet.window_min)
    return list(dict.fromkeys([declared, *(_choice(*each) for each in combinations)]))


def choice_problems(study: Study, *, from_tables: bool) -> list[Problem]:
    """Find models that must not be used with the tracer and reference region of the study."""
    problems = []
    for choice in choices(study):
        setting = study.pet.k2prime if isinstance(study.pet.k2prime, str) else "given"
        problems += refusals(
            choice.model, tracer=study.pet.tracer, reference=choice.reference, k2prime=setting
        )
    if not from_tables:
        return list(dict.fromkeys(problems))
    if any(choice.pvc != "none" for choice in choices(study)):
        problems.append(
            Problem(
                "pet.pvc, multiverse.pvc",
                "a correction for partial volumes",
                "none: PETPrep's curves come without images",
                "correct in PETPrep, or quantify from raw images",
            )
        )
    return list(dict.fromkeys(problems))


def _choice(reference: str, model: str, pvc: str, window_min: tuple[float, float]) -> Choice:
    needs = MODELS[model].needs
    return Choice(
        "" if needs == "plasma" else reference,
        model,
        pvc,
        tuple(window_min) if needs == "window" else None,
    )
