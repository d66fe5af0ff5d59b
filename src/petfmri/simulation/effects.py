"""What a simulated study plants: changes after a dose, and how they go together over people."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from petfmri.errors import InputError
from petfmri.typing import FloatArray

BLOCK = 12  # people whose planted scores have exactly the planted moments together
LARGEST_SCORE = 2.0
SCORES = ("vt", "segregation", "symptoms", "baseline")


@dataclass(frozen=True)
class Effects:
    """Changes between the pre and the post session of a person who received the drug.

    Every change is ``mean * (1 + change_cv * score)``: one score per person and kind of change.
    In every block of 12 people the scores have mean 0, SD 1 and exactly the correlations below,
    so that a demo of 12 shows what was planted; other numbers of people draw from such blocks.

    Parameters
    ----------
    vt_change_percent : pairs of region pattern and percent
        Mean change of V_T at fixed K1; the first pattern that fits a region's name decides
        (upper and lower case are equal). Regions without a pattern do not change.
    k1_change_percent : float, percent
        Mean change of K1 everywhere: a change of blood flow, which uptake ratios partly show.
    within_fc_change, between_fc_change : float, correlation
        Mean change of the correlation between regions of one network and of different networks.
    default_sommot_fc_change : float, correlation
        What the edges between Default and SomMot change on top.
    symptom_fall : float, points
        Mean fall of the symptom score.
    change_cv : float
        Between-person SD of every change, relative to its mean.
    r_vt_segregation, r_vt_symptoms, r_segregation_symptoms : float
        Correlation over people of the rise of V_T, the loss of segregation and the fall of
        symptoms with one another.
    """

    vt_change_percent: tuple[tuple[str, float], ...] = (
        ("*pCunPCC*", 8.0),
        ("*posteriorcingulate*", 8.0),
    )
    k1_change_percent: float = 0.0
    within_fc_change: float = -0.07
    between_fc_change: float = 0.035
    default_sommot_fc_change: float = 0.05
    symptom_fall: float = 12.0
    change_cv: float = 0.6
    r_vt_segregation: float = 0.9
    r_vt_symptoms: float = 0.85
    r_segregation_symptoms: float = 0.85

    @classmethod
    def none(cls) -> Effects:
        """Plant nothing: what a false positive rate is measured with."""
        return cls((), 0.0, 0.0, 0.0, 0.0, 0.0)

    def vt_percent(self, names: pd.Series[str]) -> FloatArray:
        """Return the mean percent change of V_T of every region.

        Examples
        --------
        >>> Effects().vt_percent(pd.Series(["7Networks_LH_Default_pCunPCC_1", "thalamus_L"]))
        array([8., 0.])
        """
        return np.array([self._of_region(name.lower()) for name in names])

    def _of_region(self, name: str) -> float:
        changes = self.vt_change_percent
        return next((p for pattern, p in changes if fnmatchcase(name, pattern.lower())), 0.0)

    def correlation(self) -> FloatArray:
        """Return the correlation matrix of the scores, in the order of `SCORES`."""
        matrix = np.eye(len(SCORES))
        matrix[0, 1] = matrix[1, 0] = self.r_vt_segregation
        matrix[0, 2] = matrix[2, 0] = self.r_vt_symptoms
        matrix[1, 2] = matrix[2, 1] = self.r_segregation_symptoms
        return matrix


@dataclass(frozen=True)
class Arm:
    """A treatment arm.

    Parameters
    ----------
    name : str
    dose_mg_kg : float, mg/kg
        Given between the sessions; 0 plants nothing.
    """

    name: str
    dose_mg_kg: float


@dataclass(frozen=True)
class Design:
    """Who is studied, and when.

    Parameters
    ----------
    arms : tuple of Arm
        People are allotted to the arms in turn.
    sessions : 2 names
        Labels of the session before and after the dose, without ``ses-``.
    days_since_dose : earliest and latest day of the post session
    symptom_baseline, symptom_baseline_sd : float, points
        MADRS before the dose.
    missing_scores : int
        People of each block of 12 who lack one of their two scores, post and pre in turn.
    vt_sd_percent : float, percent
        Between-person SD of regional V_T.
    """

    arms: tuple[Arm, ...] = (Arm("ketamine", 0.5),)
    sessions: tuple[str, str] = ("pre", "post")
    days_since_dose: tuple[int, int] = (1, 8)
    symptom_baseline: float = 29.0
    symptom_baseline_sd: float = 4.0
    missing_scores: int = 2
    vt_sd_percent: float = 15.0


@dataclass(frozen=True)
class Person:
    """One simulated participant: what is planted, before any measurement.

    Parameters
    ----------
    participant_id : str
        With prefix.
    age, weight_kg : float, years and kg
    sex : str
        F or M.
    arm : Arm
    days_since_dose : int
    vt_scale, segregation_scale : float
        Multiply the planted mean changes of V_T and of connectivity; 0 in an arm without dose.
    traits : 2 standard normal values
        How the person's connectivity within and between networks differs from others'.
    madrs : 2 values, points
        Before and after; NaN where missing.
    """

    participant_id: str
    age: int
    sex: str
    weight_kg: float
    arm: Arm
    days_since_dose: int
    vt_scale: float
    segregation_scale: float
    traits: tuple[float, float]
    madrs: tuple[float, float]


def draw_people(n: int, effects: Effects, design: Design, seed: int) -> list[Person]:
    """Draw `n` people; more people do not change the earlier ones.

    Raises
    ------
    InputError
        If `n` is below one, or if the correlations of `effects` exclude one another.
    """
    if n < 1:
        raise InputError("number of people", str(n), "at least 1", "simulate somebody")
    scores = person_scores(n, effects, seed)
    return [_person(i, scores[i], effects, design, seed) for i in range(n)]


def person_scores(n: int, effects: Effects, seed: int) -> FloatArray:
    """Draw the scores that planted changes follow, exact in every block of 12 people.

    Returns
    -------
    array of shape (n, 4)
        Columns as in `SCORES`. Mean 0, SD 1 and correlation `effects.correlation()` over each
        block, and nobody beyond 2; the last column, the score before the dose, is independent of the
        others.

    Examples
    --------
    >>> scores = person_scores(12, Effects(), seed=1)
    >>> np.corrcoef(scores.T).round(4)[0]
    array([1.  , 0.9 , 0.85, 0.  ])
    """
    try:
        root = np.linalg.cholesky(effects.correlation())
    except np.linalg.LinAlgError:
        raise InputError(
            "planted correlations",
            f"{effects.r_vt_segregation}, {effects.r_vt_symptoms}, "
            f"{effects.r_segregation_symptoms}",
            "three correlations that can hold at once",
            "bring them closer together or nearer to zero",
        ) from None
    blocks = [_block(stream(seed, "scores", block), root) for block in range(-(-n // BLOCK))]
    return np.concatenate(blocks)[:n]


def _block(rng: np.random.Generator, root: FloatArray) -> FloatArray:
    """Draw scores of one block until nobody is extreme."""
    while True:
        scores = whitened(rng.normal(size=(BLOCK, len(SCORES)))) @ root.T
        if np.abs(scores).max() <= LARGEST_SCORE:
            return np.asarray(scores)


def whitened(values: FloatArray, settling: int = 0) -> FloatArray:
    """Turn columns into ones with mean 0, SD 1 (n − 1) and no sample correlation at all.

    The first `settling` rows are carried along but do not count.
    """
    centred = values - values[settling:].mean(axis=0)
    counted = centred[settling:]
    root = np.linalg.cholesky(counted.T @ counted / (len(counted) - 1))
    return np.asarray(np.linalg.solve(root, centred.T).T)


STREAMS = ("scores", "missing", "person", "anatomy", "kinetics", "pet", "bold", "tables")


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the random stream of one purpose: independent of every other, and of its order."""
    key = (STREAMS.index(purpose), *numbers)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _person(index: int, scores: FloatArray, effects: Effects, design: Design, seed: int) -> Person:
    rng = stream(seed, "person", index)
    sex = "FM"[index % 2]
    arm = design.arms[index % len(design.arms)]
    scale = (1 + effects.change_cv * scores) * (arm.dose_mg_kg > 0)
    return Person(
        participant_id=f"sub-{index + 1:02d}",
        age=int(rng.integers(21, 56)),
        sex=sex,
        weight_kg=round(min(max(float(rng.normal(66 if sex == "F" else 80, 8)), 48), 120), 1),
        arm=arm,
        days_since_dose=int(rng.integers(design.days_since_dose[0], design.days_since_dose[1] + 1)),
        vt_scale=float(scale[0]),
        segregation_scale=float(scale[1]),
        traits=(float(rng.normal()), float(rng.normal())),
        madrs=_scores(index, scores[3], effects.symptom_fall * scale[2], design, seed),
    )


def _scores(
    index: int, baseline: float, fall: float, design: Design, seed: int
) -> tuple[float, float]:
    """Return the symptom score before and after, whole points from 0 to 60, NaN if missing."""
    pre = round(design.symptom_baseline + design.symptom_baseline_sd * baseline)
    pre = min(max(pre, 7), 60)
    post = min(max(pre - round(fall), 0), 60)
    order = stream(seed, "missing", index // BLOCK).permutation(BLOCK)
    turn = int(np.flatnonzero(order == index % BLOCK)[0])
    if turn >= design.missing_scores:
        return float(pre), float(post)
    return (float(pre), float("nan")) if turn % 2 == 0 else (float("nan"), float(post))
