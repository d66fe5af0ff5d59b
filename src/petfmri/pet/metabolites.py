"""How much of the activity in plasma is still the tracer: models of the parent fraction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize

from petfmri.errors import DatasetError
from petfmri.pet.kinetics.estimates import Flag
from petfmri.typing import FloatArray

ParentModel = Literal["hill", "power", "biexponential"]
MIN_SAMPLES = 4
MAX_RMSE = 0.1
MAX_RISE = 0.1
NEAR_BOUND = 1e-3


@dataclass(frozen=True)
class _Shape:
    """A model: its curve at minutes, names, start and bounds of its parameters."""

    curve: Callable[..., FloatArray]
    names: tuple[str, ...]
    start: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]


def _hill(minutes: FloatArray, share: float, half_min: float, steepness: float) -> FloatArray:
    risen = (minutes / half_min) ** steepness
    return 1 - share * risen / (1 + risen)


def _power(minutes: FloatArray, scale_min: float, exponent: float) -> FloatArray:
    return (1 + (minutes / scale_min) ** 2) ** -exponent


def _biexponential(minutes: FloatArray, share: float, fast: float, slow: float) -> FloatArray:
    return share * np.exp(-fast * minutes) + (1 - share) * np.exp(-slow * minutes)


SHAPES: Mapping[str, _Shape] = {
    "hill": _Shape(
        _hill,
        ("share", "half_min", "steepness"),
        (0.8, 15.0, 1.5),
        (0.0, 0.05, 0.2),
        (1.0, 2000.0, 10.0),
    ),
    "power": _Shape(_power, ("scale_min", "exponent"), (8.0, 0.4), (0.05, 0.0), (2000.0, 50.0)),
    "biexponential": _Shape(
        _biexponential,
        ("share", "fast_per_min", "slow_per_min"),
        (0.6, 0.1, 0.005),
        (0.0, 0.0, 0.0),
        (1.0, 10.0, 1.0),
    ),
}


@dataclass(frozen=True, eq=False)
class ParentFraction:
    """A fitted parent fraction; call it with times to evaluate it.

    Attributes
    ----------
    model : str
    parameters : mapping
        ``at_zero`` and those of the model, with times in minutes.
    rmse : float
        Root mean square of the residuals.
    flags : int
        Sum of `petfmri.pet.kinetics.estimates.Flag`; 0 is a good fit. ``IMPLAUSIBLE`` marks
        samples that rise by more than 0.1, and an `rmse` above 0.1.
    """

    model: str
    parameters: Mapping[str, float]
    rmse: float
    flags: int

    def __call__(self, time_s: FloatArray) -> FloatArray:
        """Return the fraction at times since the injection, s; before it, that at 0."""
        minutes = np.maximum(np.asarray(time_s, dtype=float), 0.0) / 60
        shape = SHAPES[self.model]
        own = [self.parameters[name] for name in shape.names]
        return np.asarray(self.parameters["at_zero"] * shape.curve(minutes, *own))


def fit_parent_fraction(
    time_s: FloatArray,
    fraction: FloatArray,
    *,
    model: ParentModel = "hill",
    weights: FloatArray | None = None,
    at_zero: float | None = 1.0,
) -> ParentFraction:
    """Fit a model of the parent fraction to samples, by least squares.

    With t in minutes, ``hill`` is ``1 - a t^n / (t^n + h^n)``, ``power`` ``(1 + (t/s)²)^-b`` and
    ``biexponential`` ``a exp(-f t) + (1 - a) exp(-g t)``, each times the fraction at 0.

    Parameters
    ----------
    time_s : array of shape (n_samples,), s
        Since the injection.
    fraction : array of shape (n_samples,)
        0 to 1; NaN where a sample was not analysed.
    model : {"hill", "power", "biexponential"}
    weights : array of shape (n_samples,), optional
        Inverse variances, to a factor.
    at_zero : float, optional
        Fraction at the injection; None: fitted, between 0.5 and 1.

    Raises
    ------
    DatasetError
        If fewer than 4 samples, or fewer than the parameters plus one, can be used, if fractions
        lie outside 0 to 1.05 (which look like percent), or if the model is unknown.

    References
    ----------
    Tonietto M, et al. Plasma radiometabolite correction in dynamic PET studies: insights on the
    available modeling approaches. J Cereb Blood Flow Metab 2016;36:326-339.
    doi:10.1177/0271678X15610585

    Examples
    --------
    >>> minutes = np.array([0.0, 5, 10, 20, 40, 80])
    >>> fit = fit_parent_fraction(60 * minutes, 1 / np.sqrt(1 + (minutes / 10) ** 2), model="power")
    >>> round(fit.parameters["scale_min"], 3), round(fit.parameters["exponent"], 3)
    (10.0, 0.5)
    """
    shape = SHAPES.get(model)
    if shape is None:
        raise DatasetError("parent fraction", f"model {model!r}", ", ".join(SHAPES), "choose one")
    free = at_zero is None
    fixed = [] if at_zero is None else [at_zero]
    time, value, weight = _usable(time_s, fraction, weights, len(shape.names) + free)

    def full(parameters: FloatArray) -> FloatArray:
        return np.concatenate([parameters, fixed])

    def residuals(parameters: FloatArray) -> FloatArray:
        *own, zero = full(parameters)
        return np.sqrt(weight) * (zero * shape.curve(time / 60, *own) - value)

    low, high = np.array([*shape.lower, 0.5]), np.array([*shape.upper, 1.0])
    n = len(shape.names) + free
    start = np.array([*shape.start, 0.98])[:n]
    found = optimize.least_squares(
        residuals, start, bounds=(low[:n], high[:n]), x_scale=start, xtol=1e-12, ftol=1e-12
    )
    best = full(found.x)
    rmse = float(np.sqrt(np.mean((best[-1] * shape.curve(time / 60, *best[:-1]) - value) ** 2)))
    names = (*shape.names, "at_zero")
    flags = _flags(found.x, low[:n], high[:n], bool(found.success), rmse, value)
    return ParentFraction(model, dict(zip(names, map(float, best), strict=True)), rmse, flags)


def _usable(
    time_s: FloatArray, fraction: FloatArray, weights: FloatArray | None, n_parameters: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Samples that were analysed, in order of time."""
    time, value = np.asarray(time_s, dtype=float), np.asarray(fraction, dtype=float)
    weight = np.ones_like(value) if weights is None else np.asarray(weights, dtype=float)
    keep = np.isfinite(time) & np.isfinite(value) & np.isfinite(weight) & (weight > 0)
    order = np.argsort(time[keep], kind="stable")
    time, value, weight = (array[keep][order] for array in (time, value, weight))
    needed = max(MIN_SAMPLES, n_parameters + 1)
    if time.size < needed:
        raise DatasetError(
            "parent fraction",
            f"{time.size} samples",
            f"at least {needed} for this model",
            "add samples, or choose a model with fewer parameters",
        )
    if (value < 0).any() or (value > 1.05).any():
        raise DatasetError(
            "parent fraction",
            f"fractions from {value.min():g} to {value.max():g}",
            "0 to 1",
            "divide percent by 100, and correct negative fractions",
        )
    return time, value, weight


def _flags(
    parameters: FloatArray,
    low: FloatArray,
    high: FloatArray,
    converged: bool,
    rmse: float,
    value: FloatArray,
) -> int:
    flags = Flag(0) if converged else Flag.NOT_CONVERGED
    span = NEAR_BOUND * (high - low)
    # Shares of 0 and 1 and rates of 0 are values like others; other bounds only end the search.
    at_low = (parameters <= low + span) & (low != 0)
    at_high = (parameters >= high - span) & (high != 1)
    if (at_low | at_high).any():
        flags |= Flag.AT_BOUND
    if rmse > MAX_RMSE or (value - np.minimum.accumulate(value)).max() > MAX_RISE:
        flags |= Flag.IMPLAUSIBLE
    return int(flags)
