"""One scan, one model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.errors import DatasetError
from petfmri.pet.blood import InputFunction
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.compartment import one_tissue, two_tissue
from petfmri.pet.kinetics.estimates import Estimates, curve_flags
from petfmri.pet.kinetics.models import MODELS
from petfmri.pet.kinetics.mrtm2 import mrtm2
from petfmri.pet.kinetics.plasma_logan import plasma_logan
from petfmri.pet.kinetics.reference_logan import reference_logan
from petfmri.pet.kinetics.srtm import srtm
from petfmri.pet.kinetics.srtm2 import srtm2
from petfmri.pet.suvr import suvr, window_mean
from petfmri.typing import FloatArray


@dataclass(frozen=True)
class Inputs:
    """What a model is driven by.

    Attributes
    ----------
    reference : array of shape (n_frames,), optional
    plasma : InputFunction, optional
        Delay included.
    k2prime : float, optional, 1/min
    window_s : (float, float), optional, s
    tstar_s : float, s
    weights : array of shape (n_frames,), optional
    """

    reference: FloatArray | None = None
    plasma: InputFunction | None = None
    k2prime: float | None = None
    window_s: tuple[float, float] | None = None
    tstar_s: float = 1800.0
    weights: FloatArray | None = None


def estimate(
    model: str, tac: FloatArray, schedule: FrameSchedule, inputs: Inputs, *, fitted: bool = False
) -> Estimates:
    """Apply a model of `MODELS` to many curves.

    Parameters
    ----------
    model : str
    tac : array of shape (n_curves, n_frames), kBq/mL
    schedule : FrameSchedule
    inputs : Inputs
    fitted : bool
        Keep the fitted curves and test their residuals for runs.

    Returns
    -------
    Estimates
        DVR is beside BP_ND in reference models, as BP_ND + 1.

    Raises
    ------
    DatasetError
        If the model lacks something that it needs.
    FrameError
        As the models do.
    """
    needs = MODELS[model].needs
    if needs == "plasma":
        return _with_plasma(model, tac, schedule, inputs)
    if inputs.reference is None:
        raise DatasetError(model, "no reference curve", "one", "choose a reference region")
    if needs == "window":
        return _ratio(tac, inputs.reference, schedule, inputs.window_s)
    if model == "refLogan":
        return reference_logan(
            tac,
            inputs.reference,
            schedule,
            k2prime=inputs.k2prime,
            tstar_s=inputs.tstar_s,
            fitted=fitted,
        )
    if model == "SRTM":
        found = srtm(tac, inputs.reference, schedule, weights=inputs.weights, fitted=fitted)
    else:
        if inputs.k2prime is None:
            raise DatasetError(f"{schedule.where}: {model}", "no k2'", "a rate", "give k2prime")
        fit = {"SRTM2": srtm2, "MRTM2": mrtm2}[model]
        found = fit(
            tac,
            inputs.reference,
            schedule,
            k2prime=inputs.k2prime,
            weights=inputs.weights,
            fitted=fitted,
        )
    values = {**found.values, "dvr": found.values["bpnd"] + 1}
    errors = {**found.standard_errors, "dvr": found.standard_errors["bpnd"]}
    return Estimates(found.model, values, errors, found.flags, found.fitted)


def _with_plasma(model: str, tac: FloatArray, schedule: FrameSchedule, inputs: Inputs) -> Estimates:
    if inputs.plasma is None:
        raise DatasetError(
            f"{schedule.where}: {model}",
            "no input function",
            "blood samples (_blood.tsv) or an _inputfunction.tsv of this scan",
            "add it, or use a model with a reference region",
        )
    if model == "Logan":
        return plasma_logan(
            tac, schedule, inputs.plasma, tstar_s=inputs.tstar_s, weights=inputs.weights
        )
    fit = {"1TCM": one_tissue, "2TCM": two_tissue}[model]
    no_blood = inputs.plasma.whole_blood_kbq_ml is None
    return fit(tac, schedule, inputs.plasma, weights=inputs.weights, vb=0.0 if no_blood else None)


def _ratio(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    window_s: tuple[float, float] | None,
) -> Estimates:
    if window_s is None:
        raise DatasetError(schedule.where, "no window", "its start and end", "give pet.window_min")
    weights = schedule.window_weights(window_s)
    late = np.flatnonzero(weights)
    flags = curve_flags(np.asarray(tac)[:, late])
    ratio = suvr(window_mean(np.asarray(tac).T, weights), float(reference @ weights))
    return Estimates("SUVR", {"suvr": np.where(flags == 0, ratio, np.nan)}, {}, flags)
