"""The models by name: what each needs, what it gives, and where it must not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from petfmri.errors import Problem

Needs = Literal["window", "reference", "plasma"]


@dataclass(frozen=True)
class Model:
    """A way from curves to an outcome.

    Attributes
    ----------
    name : str
        As in file names, and as PETFit calls it.
    needs : {"window", "reference", "plasma"}
        A late window, the whole scan with a reference region, or the whole scan with blood.
    measures : tuple of str
        Outcomes, the usual one first.
    needs_k2prime : bool
    """

    name: str
    needs: Needs
    measures: tuple[str, ...]
    needs_k2prime: bool = False


MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Model("SUVR", "window", ("SUVR",)),
        Model("SRTM", "reference", ("BPND", "DVR")),
        Model("SRTM2", "reference", ("BPND", "DVR"), needs_k2prime=True),
        Model("MRTM2", "reference", ("BPND", "DVR"), needs_k2prime=True),
        Model("refLogan", "reference", ("DVR", "BPND"), needs_k2prime=True),
        Model("1TCM", "plasma", ("VT",)),
        Model("2TCM", "plasma", ("VT",)),
        Model("Logan", "plasma", ("VT",)),
    )
}
SV2A_TRACERS = ("UCBJ", "SYNVEST1", "SYNVEST2", "SDM8", "SDM16", "UCBH", "UCBA")


def is_sv2a(tracer: str | None) -> bool:
    """Tell whether a tracer binds to SV2A.

    Examples
    --------
    >>> is_sv2a("UCB-J"), is_sv2a("11CUCBJ"), is_sv2a("PS13"), is_sv2a(None)
    (True, True, False, False)
    """
    letters = "".join(filter(str.isalnum, tracer or "")).upper()
    return any(letters.endswith(name) for name in SV2A_TRACERS)


def refusals(model: str, *, tracer: str | None, reference: str, k2prime: object) -> list[Problem]:
    """Say why a model must not be used with this tracer and reference region.

    Parameters
    ----------
    model : str
        A key of `MODELS`.
    tracer : str or None
    reference : str
        Name of the reference region.
    k2prime : object
        ``"none"`` where k2' is left out.

    References
    ----------
    SynVesT-1 in the cerebellum: k2 of 0.021 per min is close to that of its targets, SRTM was
    unstable and DVR 10 % low, SRTM2 with k2' given was not.
    """
    problems = []
    if MODELS[model].needs_k2prime and k2prime == "none":
        if model != "refLogan":
            problems.append(_problem(model, "no k2'", "a rate", "write k2prime: scan"))
        elif is_sv2a(tracer):
            problems.append(
                _problem(
                    f"{model} of {tracer}",
                    "no k2': tracers of SV2A leave the reference region so slowly that DVR comes out "
                    "a fifth too low, and more where blood flow is high",
                    "k2' of the scan, or a value with its source",
                    "write k2prime: scan",
                )
            )
    if model == "SRTM" and reference == "cerebellum" and is_sv2a(tracer):
        problems.append(
            _problem(
                f"SRTM of {tracer} over the cerebellum",
                "k2' left free, which is so close to the k2 of the targets that the fit is unstable",
                "k2' given",
                "use SRTM2",
            )
        )
    return problems


def _problem(where: str, found: str, expected: str, remedy: str) -> Problem:
    return Problem(f"pet.model: {where}", found, expected, remedy)
