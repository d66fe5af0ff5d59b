"""How much a measure changes when nothing is done, which a change has to exceed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from petfmri.errors import StatisticsError
from petfmri.statistics.effects import percent_change
from petfmri.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Retest:
    """Change of a measure between two scans without treatment.

    Attributes
    ----------
    mean, sd : float
        Over persons, of the change.
    n : int
        Persons in whom this was measured.
    source : str
        Where it is from.
    percent : bool
        Whether it is in percent of the first scan, else in the unit of the measure.
    """

    mean: float
    sd: float
    n: int
    source: str
    percent: bool = True


_TUNCEL = "Tuncel et al. 2020, doi:10.1177/0271678X20964248, rescanned after 28 days"
PUBLISHED: Mapping[tuple[str, str], Retest] = {
    ("UCBJ", "vt"): Retest(-2.2, 8.5, 17, _TUNCEL),
    ("UCBJ", "dvr"): Retest(0.4, 12.0, 17, _TUNCEL),
    ("UCBJ", "bpnd"): Retest(-8.0, 10.2, 17, _TUNCEL),
}


def published_retest(tracer: str | None, measure: str) -> Retest | None:
    """Find published test-retest noise of a tracer's measure.

    Examples
    --------
    >>> published_retest("[11C]UCB-J", "vt").sd
    8.5
    >>> published_retest("UCBJ", "suvr") is None
    True
    """
    plain = "".join(filter(str.isalnum, tracer or "")).upper()
    return next(
        (noise for (name, of), noise in PUBLISHED.items() if name in plain and of == measure), None
    )


def retest_of_reliability(pre: FloatArray, icc: float, n: int, source: str) -> Retest:
    """Expect the noise of a change from a reliability: SD √(2 (1 − ICC)).

    Parameters
    ----------
    pre : array of shape (n_persons,)
        The measure before, whose spread between persons the ICC refers to.
    icc : float
    n : int
        Persons of the reliability.
    source : str

    Examples
    --------
    >>> round(retest_of_reliability(np.array([1.0, 2, 3]), 0.5, 20, "").sd, 3)
    1.0
    """
    sd = float(np.std(pre, ddof=1) * np.sqrt(2 * (1 - np.clip(icc, 0, 1))))
    return Retest(0.0, sd, n, source, percent=False)


def beyond_retest(
    changes: FloatArray, noise: Retest, *, confidence: float = 0.95
) -> tuple[BoolArray, IntArray]:
    """Tell whether mean changes, and how many persons, leave what rescanning alone gives.

    A mean exceeds it if it differs from the untreated mean by more than
    ``t · SD · √(1/n + 1/n_retest)``; a person, by more than ``t · SD``, with the quantile of t for
    the persons of the test-retest study, because its SD is an estimate. Both presume that the
    study's scans are as repeatable as those.

    Parameters
    ----------
    changes : array of shape (n_persons, n_outcomes)
        In the unit of `noise`.
    noise : Retest
    confidence : float

    Returns
    -------
    exceeds : array of bool, shape (n_outcomes,)
    persons : array of int, shape (n_outcomes,)

    Raises
    ------
    StatisticsError
        If the noise has no positive SD or number of persons.

    Examples
    --------
    >>> noise = Retest(0.0, 8.0, 16, "")
    >>> beyond_retest(np.array([[10.0], [12.0], [20.0], [2.0]]), noise)
    (array([ True]), array([1]))
    """
    if not (noise.sd > 0 and noise.n > 1):
        raise StatisticsError(
            "test-retest noise",
            f"SD {noise.sd:g} of {noise.n} persons",
            "a positive SD and number of persons",
            "state the SD over persons of the change without treatment",
        )
    t = -special.stdtrit(noise.n - 1, (1 - confidence) / 2)
    away = np.abs(changes - noise.mean)
    limit = t * noise.sd * np.sqrt(1 / len(changes) + 1 / noise.n)
    exceeds = np.abs(changes.mean(axis=0) - noise.mean) > limit
    return np.asarray(exceeds), np.asarray((away > t * noise.sd).sum(axis=0))


def retest_columns(
    outcomes: Sequence[str],
    pre: FloatArray,
    post: FloatArray,
    retest: Mapping[str, Retest],
    tracer: str | None,
) -> pd.DataFrame:
    """Hold every change against its test-retest noise, where that is known.

    Parameters
    ----------
    outcomes : sequence of str
    pre, post : array of shape (n_persons, n_outcomes)
    retest, tracer
        As `noise_of`.

    Returns
    -------
    DataFrame
        noise_sd noise_unit exceeds_noise n_beyond_noise, one row per outcome; missing where no
        noise is known, or it is in percent of a measure that has none.
    """
    rows: list[tuple[object, ...]] = []
    percent = percent_change(pre, post)
    for j, outcome in enumerate(outcomes):
        noise = noise_of(outcome, retest, tracer)
        changes = percent if noise and noise.percent else post - pre
        if noise is None or not np.isfinite(changes[:, j]).all():
            rows.append((np.nan, None, None, None))
            continue
        exceeds, beyond = beyond_retest(changes[:, [j]], noise)
        unit = "%" if noise.percent else "of the measure"
        rows.append((noise.sd, unit, bool(exceeds[0]), int(beyond[0])))
    columns = ["noise_sd", "noise_unit", "exceeds_noise", "n_beyond_noise"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"exceeds_noise": "boolean", "n_beyond_noise": "Int64"}
    )


def noise_of(outcome: str, retest: Mapping[str, Retest], tracer: str | None) -> Retest | None:
    """Find the test-retest noise of an outcome: its own, its measure's, or a published one.

    Parameters
    ----------
    outcome : str
        Such as ``vt:PCC``, ``vt_grey`` or ``ngsc``.
    retest : mapping of outcome or measure to Retest
    tracer : str or None
    """
    measure = outcome.partition(":")[0].removesuffix("_grey")
    for name in (outcome, measure):
        if name in retest:
            return retest[name]
    return published_retest(tracer, measure)
