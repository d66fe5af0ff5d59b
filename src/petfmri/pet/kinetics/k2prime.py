"""The efflux rate of the reference region, of one scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from petfmri.errors import DatasetError
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.kinetics.curves import NUMERICAL, Curves
from petfmri.pet.kinetics.operator import frame_integral
from petfmri.pet.kinetics.rate_search import Directions, best_rate, resolvents
from petfmri.pet.kinetics.srtm import srtm
from petfmri.pet.kinetics.srtm2 import PARAMETERS, srtm2_shapes
from petfmri.typing import FloatArray

STEP = 0.02  # of log k2', for derivatives
CANDIDATES = np.geomspace(0.006, 0.2, 15)
FLOOR = 1e-3  # of the median residual variance: a curve that happens to fit does not decide alone


@dataclass(frozen=True)
class K2Prime:
    """k2' of one scan.

    Attributes
    ----------
    value, se : float, 1/min
    n_curves : int
        Curves that it rests on.
    source : str
        ``this scan``, or where a fixed value is from.
    """

    value: float
    se: float
    n_curves: int
    source: str = "this scan"


def scan_k2prime(
    tac: FloatArray,
    reference: FloatArray,
    schedule: FrameSchedule,
    *,
    weights: FloatArray | None = None,
) -> K2Prime:
    """Find the one k2' with which all curves of a scan fit best.

    The sum over curves of the squared residuals of SRTM2, each relative to that curve's own noise
    (from SRTM), is minimised. The standard error is the larger of that by its curvature, which knows of noise
    only, and of that by how the regions disagree (sandwich); the reference counts as noiseless.

    Parameters
    ----------
    tac, reference, schedule, weights
        As for `srtm`; regional curves, not voxels.

    Raises
    ------
    DatasetError
        If no curve can be fitted, or the best value lies at the edge of what is plausible.

    References
    ----------
    Wu Y, Carson RE (2002). J Cereb Blood Flow Metab 22:1440.
    doi:10.1097/01.WCB.0000033967.83623.34
    """
    free = srtm(tac, reference, schedule, weights=weights, fitted=True)
    use = free.usable
    if not use.any():
        raise DatasetError(
            f"{schedule.where}: k2'",
            f"no curve of {len(use)} that SRTM fits",
            "regional curves of a dynamic scan",
            "give pet.k2prime a value and its source",
        )
    curves = Curves.of(np.asarray(tac)[use], reference, weights, schedule, PARAMETERS)
    weighted = np.asarray(curves.tac, dtype=float) * curves.root
    noise = _squares(weighted - np.asarray(free.fitted)[use] * curves.root)
    noise = noise / max(schedule.n_frames - 3, 1)
    total = _squares(weighted)
    noise = np.maximum(noise, FLOOR * np.median(noise))
    noise = np.maximum(noise, NUMERICAL**2 * total / schedule.n_frames)
    convolved = resolvents(frame_integral(schedule), curves.reference)

    def misfits(log_rate: float) -> FloatArray:
        shapes = srtm2_shapes(curves.reference, *convolved, float(np.exp(log_rate)))
        found = best_rate(weighted, Directions.of(*(shape * curves.root for shape in shapes)))
        return np.asarray((total - found.size**2) / noise)

    def misfit(log_rate: float) -> float:
        return float(misfits(log_rate).sum())

    coarse = [misfit(np.log(k)) for k in CANDIDATES]
    best = int(np.argmin(coarse))
    if best in (0, len(CANDIDATES) - 1):
        raise DatasetError(
            f"{schedule.where}: k2'",
            f"a best value at {CANDIDATES[best]:g} per min, the edge of the search",
            f"one between {CANDIDATES[0]:g} and {CANDIDATES[-1]:g}",
            "give pet.k2prime a value and its source",
        )
    span = (float(np.log(CANDIDATES[best - 1])), float(np.log(CANDIDATES[best + 1])))
    found = minimize_scalar(misfit, bounds=span, method="bounded", options={"xatol": 1e-6})
    middle, *sides = (misfits(found.x + shift) for shift in (0.0, -STEP, STEP))
    bend = float((sides[1] - 2 * middle + sides[0]).sum()) / STEP**2
    slopes = (sides[1] - sides[0]) / (2 * STEP)
    value = float(np.exp(found.x))
    # Curvature knows of noise only; how regions disagree tells of what the model lacks.
    error = max(np.sqrt(2 / bend), np.sqrt(float(slopes @ slopes)) / bend)
    return K2Prime(value, value * float(error), int(use.sum()))


def _squares(residuals: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->i", residuals, residuals))
