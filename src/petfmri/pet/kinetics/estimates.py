"""What a kinetic model says about each curve, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import ndtr

from petfmri.typing import BoolArray, FloatArray, IntArray


class Flag(IntFlag):
    """Why an estimate may not be believed; `RUNS` alone does not exclude a curve."""

    MISSING = 1  # a frame that is not finite
    EMPTY = 2  # no activity, or less than zero on the whole
    TOO_FEW_FRAMES = 4
    AT_BOUND = 8  # a parameter stopped at the edge of what was searched
    NOT_CONVERGED = 16
    IMPLAUSIBLE = 32  # a value that no tissue has
    POOR = 128  # residuals that are not random and large: the model does not describe the curve
    RUNS = 64  # residuals keep their sign for too long: the model may not describe the curve


EXCLUDES = Flag(63 | 128)
DESCRIPTIONS: Mapping[Flag, str] = {
    Flag.MISSING: "not finite in some frame",
    Flag.EMPTY: "no activity",
    Flag.TOO_FEW_FRAMES: "too few frames",
    Flag.AT_BOUND: "at the edge of the search",
    Flag.NOT_CONVERGED: "did not converge",
    Flag.IMPLAUSIBLE: "implausible value",
    Flag.POOR: "the model misses the curve",
    Flag.RUNS: "residuals not random",
}
RUNS_ALPHA = 0.01
LARGEST_MISFIT = 0.1  # of the curve, root mean square, where residuals are not random


@dataclass(frozen=True, eq=False)
class Estimates:
    """Parameters of one model over many curves.

    Attributes
    ----------
    model : str
    values : mapping of parameter to array of shape (n_curves,)
        Such as ``bpnd``, ``dvr``, ``r1`` (no unit), ``k2`` (1/min), ``vt`` (mL/cm³), ``k1``
        (mL/cm³/min). NaN where a curve is excluded.
    standard_errors : mapping of parameter to array of shape (n_curves,)
    flags : int array of shape (n_curves,)
        Sums of `Flag`; 0 is a good fit.
    fitted : array of shape (n_curves, n_frames), optional
        The model's curves, for figures; empty where a map was fitted.
    """

    model: str
    values: Mapping[str, FloatArray]
    standard_errors: Mapping[str, FloatArray]
    flags: IntArray
    fitted: FloatArray | None = None

    @property
    def usable(self) -> BoolArray:
        """Curves that no rule excludes."""
        return np.asarray((self.flags & int(EXCLUDES)) == 0)

    def table(self, names: Sequence[str]) -> pd.DataFrame:
        """One row per curve: name, parameters, their standard errors (``_se``), and the flag."""
        columns: dict[str, object] = {"name": list(names)}
        for name, values in self.values.items():
            columns[name] = values
            if name in self.standard_errors:
                columns[f"{name}_se"] = self.standard_errors[name]
        return pd.DataFrame(columns | {"flag": [describe(int(flag)) for flag in self.flags]})


@cache
def describe(flag: int) -> str:
    """Say in words what is wrong; empty for a good fit.

    Examples
    --------
    >>> describe(0), describe(Flag.EMPTY | Flag.RUNS)
    ('', 'no activity; residuals not random')
    """
    return "; ".join(text for bit, text in DESCRIPTIONS.items() if flag & bit)


def curve_flags(tac: FloatArray) -> IntArray:
    """Flag curves that no model can be fitted to.

    Parameters
    ----------
    tac : array of shape (n_curves, n_frames)

    Examples
    --------
    >>> curve_flags(np.array([[1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]]))
    array([0, 2, 1])
    """
    finite = np.isfinite(tac).all(axis=1)
    total = np.where(finite, tac.sum(axis=1), 1.0)
    flags = np.where(finite, 0, int(Flag.MISSING)) | np.where(total > 0, 0, int(Flag.EMPTY))
    return np.asarray(flags, dtype=np.int64)


def runs_p(residuals: FloatArray) -> FloatArray:
    """Probability of so few runs of one sign, if the signs were random (Wald-Wolfowitz, one-sided).

    Parameters
    ----------
    residuals : array of shape (n_curves, n_frames)

    Returns
    -------
    array of shape (n_curves,)
        1 where all residuals have one sign.

    References
    ----------
    Wald A, Wolfowitz J (1940). Ann Math Stat 11:147. doi:10.1214/aoms/1177731909

    Examples
    --------
    >>> runs_p(np.array([[1.0, -1, 1, -1, 1, -1, 1, -1], [1, 1, 1, 1, -1, -1, -1, -1]])).round(3)
    array([0.996, 0.028])
    """
    positive = residuals > 0
    n1 = positive.sum(axis=1).astype(float)
    n2 = residuals.shape[1] - n1
    runs = 1 + (positive[:, 1:] != positive[:, :-1]).sum(axis=1)
    n = n1 + n2
    mean = 1 + 2 * n1 * n2 / n
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(2 * n1 * n2 * (2 * n1 * n2 - n) / (n**2 * (n - 1)))
        score = (runs + 0.5 - mean) / sd
    return np.asarray(np.where(sd > 0, ndtr(score), 1.0))
