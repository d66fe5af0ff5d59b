"""All sessions of one person, by every choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd

from petfmri.commands.arterial import Arterial
from petfmri.commands.choices import Choice
from petfmri.commands.quantify_files import describe_choice, write_estimates, write_fits, write_maps
from petfmri.commands.scan_curves import ImageScan, ScanCurves
from petfmri.config import Study
from petfmri.errors import PetfmriError, Problem
from petfmri.pet.blood import InputFunction
from petfmri.pet.kinetics.estimate import Inputs, estimate
from petfmri.pet.kinetics.estimates import Estimates
from petfmri.pet.kinetics.k2prime import K2Prime, scan_k2prime
from petfmri.pet.kinetics.models import MODELS
from petfmri.pet.kinetics.plasma_logan import logan_tstar
from petfmri.pet.kinetics.reference_logan import find_tstar
from petfmri.study.layout import Names
from petfmri.typing import FloatArray


class Scan(Protocol):
    """A scan that gives curves under a correction for partial volumes."""

    def curves(self, pvc: str) -> ScanCurves:
        """Return its curves."""
        ...


@dataclass(frozen=True)
class Person:
    """The scans of one person.

    Attributes
    ----------
    id : str
    names : Names
    scans : mapping of session to Scan
    blood : mapping of session to Arterial
        For models with plasma input.
    """

    id: str
    names: Names
    scans: Mapping[str, Scan]
    blood: Mapping[str, Arterial] = field(default_factory=dict)


@dataclass(frozen=True)
class Quantified:
    """What came out for one person.

    Attributes
    ----------
    estimates : DataFrame
        One row per session, choice and region.
    rates : DataFrame
        One row per session and k2' that was used.
    fits : dict of session to DataFrame
        Of the declared choice: mid_min, and for each region of interest its curve and the fit.
    tstars : DataFrame
        One row per session and graphical model: t* used, and from when its plot is straight.
    problems : list of Problem
        Scans and choices that failed.
    """

    estimates: pd.DataFrame
    rates: pd.DataFrame
    fits: dict[str, pd.DataFrame]
    tstars: pd.DataFrame
    problems: list[Problem]


def quantify_person(
    person: Person,
    study: Study,
    chosen: Sequence[Choice],
    rois: Mapping[str, Sequence[str]],
    *,
    maps: bool,
    figures: bool = False,
) -> Quantified:
    """Estimate every region of every session by every choice; write tables and maps.

    Parameters
    ----------
    person : Person
    study : Study
    chosen : sequence of Choice
        The first is the declared one.
    rois : mapping of name to region names
        Whose fits are kept for the page.
    maps : bool
        Also fit every voxel by the declared choice.
    figures : bool
        Also draw every fit.
    """
    rows: list[pd.DataFrame] = []
    rates: dict[tuple[str, str, str], K2Prime] = {}
    arterial: dict[str, tuple[InputFunction, float]] = {}
    fits: dict[str, pd.DataFrame] = {}
    tstars: list[dict[str, object]] = []
    problems: list[Problem] = []
    for choice in chosen:
        for session, scan in person.scans.items():
            try:
                curves = scan.curves(choice.pvc)
                inputs, k2prime = _inputs(person, session, choice, study, rates, arterial)
                found = estimate(
                    choice.model,
                    curves.tac,
                    curves.schedule,
                    inputs,
                    fitted=MODELS[choice.model].needs != "window",
                )
                delay_s = arterial[session][1] if inputs.plasma is not None else None
                about = describe_choice(choice, study, curves, k2prime, inputs.plasma, delay_s)
                if choice.model in ("refLogan", "Logan"):
                    straight = _straight_from(curves, inputs)
                    about["TstarStraightFrom"] = straight
                    tstars.append(
                        {
                            "participant_id": person.id,
                            "session_id": session,
                            "choice": choice.label,
                            "tstar_min": study.pet.tstar_min,
                            "straight_from_min": np.nan if straight is None else straight / 60,
                        }
                    )
                write_estimates(person.names, session, choice, study, curves, found, about)
                if figures:
                    write_fits(person.names, session, choice, study, curves, found)
                rows.append(_rows(person.id, session, choice, study, curves, found))
                if choice == chosen[0]:
                    fits[session] = _fits(curves, found, inputs, rois)
                    if maps and _is_mapped(choice) and isinstance(scan, ImageScan):
                        write_maps(person.names, session, choice, study, scan, inputs)
            except PetfmriError as error:
                problems += [
                    replace(problem, where=f"{person.id} {session}: {problem.where}")
                    for problem in error.problems
                ]
    for scan in person.scans.values():
        if isinstance(scan, ImageScan):
            scan.forget()
    return Quantified(
        pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(),
        _rate_table(person.id, rates),
        fits,
        pd.DataFrame(tstars),
        list(dict.fromkeys(problems)),  # choices often fail for one reason
    )


def _rate_table(participant: str, rates: Mapping[tuple[str, str, str], K2Prime]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "participant_id": participant,
            "session_id": session,
            "reference": reference,
            "pvc": pvc,
            "k2prime": rate.value,
            "k2prime_se": rate.se,
            "n_curves": rate.n_curves,
            "source": rate.source,
        }
        for (session, reference, pvc), rate in rates.items()
    )


def _inputs(
    person: Person,
    session: str,
    choice: Choice,
    study: Study,
    rates: dict[tuple[str, str, str], K2Prime],
    arterial: dict[str, tuple[InputFunction, float]],
) -> tuple[Inputs, K2Prime | None]:
    """Collect what drives the model; k2' is found once per scan, reference and correction."""
    curves = person.scans[session].curves(choice.pvc)
    model = MODELS[choice.model]
    rate = None
    if model.needs_k2prime and study.pet.k2prime != "none":
        key = (session, choice.reference, choice.pvc)
        if key not in rates:
            rates |= _rates(person, session, choice, study)
        rate = rates[key]
    plasma = None
    if model.needs == "plasma":
        if session not in arterial:
            arterial[session] = person.blood[session].at_brain(curves)
        plasma = arterial[session][0]
    return Inputs(
        reference=curves.references.get(choice.reference),
        plasma=plasma,
        k2prime=None if rate is None else rate.value,
        window_s=None
        if choice.window_min is None
        else (60 * choice.window_min[0], 60 * choice.window_min[1]),
        tstar_s=60 * study.pet.tstar_min,
        weights=curves.weights,
    ), rate


def _is_mapped(choice: Choice) -> bool:
    """Voxels are neither corrected for partial volumes nor fitted with plasma input."""
    return choice.pvc == "none" and MODELS[choice.model].needs != "plasma"


def _straight_from(curves: ScanCurves, inputs: Inputs) -> float | None:
    """Find from when the plot is straight within 10 %, s; None if never."""
    seen = curves.brain
    try:
        if inputs.plasma is not None:
            return logan_tstar(curves.tac[seen], curves.schedule, inputs.plasma)
        if inputs.k2prime is None or inputs.reference is None:
            return None
        return find_tstar(
            curves.tac[seen], inputs.reference, curves.schedule, k2prime=inputs.k2prime
        )
    except PetfmriError:
        return None


def _rates(
    person: Person, session: str, choice: Choice, study: Study
) -> dict[tuple[str, str, str], K2Prime]:
    """Find k2' of every session: of its own scan, shared by them, or given."""
    setting = study.pet.k2prime
    keys = {label: (label, choice.reference, choice.pvc) for label in person.scans}
    if not isinstance(setting, str):
        given = K2Prime(setting.value, float("nan"), 0, setting.source)
        return dict.fromkeys(keys.values(), given)
    found = {}
    for label in (session,) if setting == "scan" else person.scans:  # one scan may fail alone
        curves = person.scans[label].curves(choice.pvc)
        reference = curves.references[choice.reference]
        found[keys[label]] = scan_k2prime(
            curves.tac[curves.brain], reference, curves.schedule, weights=curves.weights
        )
    if setting == "shared":
        precision = np.array([1 / rate.se**2 for rate in found.values()])
        values = np.array([rate.value for rate in found.values()])
        shared = K2Prime(
            float(np.average(values, weights=precision)),
            float(1 / np.sqrt(precision.sum())),
            sum(rate.n_curves for rate in found.values()),
            "shared by the sessions",
        )
        return dict.fromkeys(found, shared)
    return found


def _rows(
    participant: str,
    session: str,
    choice: Choice,
    study: Study,
    curves: ScanCurves,
    found: Estimates,
) -> pd.DataFrame:
    """One row per region, in long form."""
    measure = choice.measure(study)
    table = found.table(curves.names)
    missing = pd.Series(np.nan, table.index)
    window = (
        "" if choice.window_min is None else f"{choice.window_min[0]:g}-{choice.window_min[1]:g}"
    )
    return pd.DataFrame(
        {
            "participant_id": participant,
            "session_id": session,
            "region": table["name"],
            "reference": choice.reference,
            "model": choice.model,
            "pvc": choice.pvc,
            "window_min": window,
            "measure": measure,
            "value": table[measure],
            "se": table.get(f"{measure}_se", missing),
            "r1": table.get("r1", missing),
            "flag": table["flag"],
            "excluded": ~found.usable,
            "grey": True if curves.grey is None else curves.grey,
        }
    )


def _fits(
    curves: ScanCurves,
    found: Estimates,
    inputs: Inputs,
    rois: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Curves and fits of the regions of interest, and of the first regions that were excluded."""
    frame: dict[str, FloatArray] = {"mid_min": curves.schedule.mid_s / 60}
    if inputs.reference is not None:
        frame["reference"] = inputs.reference
    place = {name: row for row, name in enumerate(curves.names)}
    for roi, members in rois.items():
        if not set(members) <= set(place):
            continue  # the multiverse counts the person as lost
        rows = [place[name] for name in members]
        frame[roi] = curves.tac[rows].mean(axis=0)
        if found.fitted is not None:
            frame[f"{roi} fit"] = found.fitted[rows].mean(axis=0)
    return pd.DataFrame(frame)
