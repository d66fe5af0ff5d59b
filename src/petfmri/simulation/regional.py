"""Regional tracer kinetics of the living human brain, on any atlas whose regions have names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from petfmri.simulation.effects import Effects, Person
from petfmri.typing import FloatArray

CORTEX_VT = 19.0  # mL/cm³, grey matter of the cortex
CORTEX_BMAX = 575.0  # pmol/mL, mean of the cortical regions below
WHITE_VT = 5.0
GREY_K1 = 0.33  # mL/cm³/min
WHITE_K1 = 0.155  # k2' = 0.155 / 5 = 0.031 per min
SOFT_TISSUE_VT, SOFT_TISSUE_K1 = 2.0, 0.08  # scalp, muscle, marrow: low and soon in equilibrium

# Synaptic vesicle density, pmol/mL, by region name; the first pattern that fits decides.
BMAX_PATTERNS: tuple[tuple[str, float], ...] = (
    ("*pcunpcc*", 597), ("*posteriorcingulate*", 577), ("*isthmus*", 484), ("*pcun*", 616),
    ("*_vis_*", 572), ("*_sommot_*", 536), ("*temppole*", 600), ("*_temp_*", 614),
    ("*frope*", 566), ("*frontalopercul*", 566), ("*ins*", 566), ("*paroper*", 570),
    ("*_par_*", 598), ("*_post_*", 598), ("*ofc*", 559), ("*_phc_*", 491), ("*_cing_*", 545),
    ("*pfc*", 572), ("*_fef_*", 560), ("*_prcv*", 560),
    ("*putamen*", 604), ("*accumb*", 598), ("*caudate*", 539), ("*amygdala*", 472),
    ("*thalam*", 352), ("*hippocampus*", 350), ("*cerebell*", 341), ("*pallid*", 304),
    ("*ventraldc*", 250), ("*pons*", 95), ("*brainstem*", 95),
)  # fmt: skip


@dataclass(frozen=True)
class Kinetics:
    """Distribution volumes and influx of every region and of the tissues between them.

    Parameters
    ----------
    vt, k1 : array of shape (n_regions + 3,), mL/cm³ and mL/cm³/min
        The atlas regions in the order of their table, then white matter, cerebrospinal fluid
        and the soft tissue of the head.
    """

    vt: FloatArray
    k1: FloatArray


def typical_kinetics(names: pd.Series[str]) -> Kinetics:
    """Return the population mean of every region.

    The cortex has 19 mL/cm³; other regions follow the ratios of vesicle density.

    Parameters
    ----------
    names : Series of str
        Region names of an atlas. A region without a known density counts as cortex.

    References
    ----------
    Johansen A, et al. An in vivo high-resolution human brain atlas of synaptic density.
    J Neurosci 2024;44:e1750232024. (Table 2)

    Examples
    --------
    >>> typical_kinetics(pd.Series(["7Networks_LH_Default_PFC_1", "thalamus_L"])).vt.round(1)
    array([18.9, 11.6,  5. ,  0. ,  2. ])
    """
    grey = np.array([CORTEX_VT * _bmax(name) / CORTEX_BMAX for name in names])
    return Kinetics(
        vt=np.array([*grey, WHITE_VT, 0.0, SOFT_TISSUE_VT]),
        k1=np.array([*np.full(len(grey), GREY_K1), WHITE_K1, 0.0, SOFT_TISSUE_K1]),
    )


def person_kinetics(
    typical: Kinetics, families: pd.Series[str], sd_percent: float, rng: np.random.Generator
) -> Kinetics:
    """Draw one person's values around the population mean.

    Two thirds of the variance are common to the whole brain, the rest belongs to anatomical
    families of regions. Left and right are equal. Influx varies with V_T only through the
    common part, so that k2 keeps its spread over regions.

    Parameters
    ----------
    typical : Kinetics
    families : Series of str
        One per region; regions of one family, left and right, vary together.
    sd_percent : float, percent
        Between-person SD of V_T, lognormal.
    rng : Generator
    """
    spread = np.sqrt(np.log1p((sd_percent / 100) ** 2))
    common = rng.normal(0, spread * np.sqrt(2 / 3))
    codes, groups = pd.factorize(families)
    own = rng.normal(0, spread / np.sqrt(3), len(groups) + 1)
    log_factor = np.array([*(common + own[codes]), common + own[-1], 0.0, 0.0])
    mean_correction = spread**2 / 2
    factor = np.exp(np.where(typical.vt > 0, log_factor, 0) - mean_correction * (log_factor != 0))
    k1_factor = np.exp(np.where(log_factor != 0, common - spread**2 / 3, 0))
    return Kinetics(vt=typical.vt * factor, k1=typical.k1 * k1_factor)


def changed_kinetics(
    own: Kinetics, effects: Effects, person: Person, names: pd.Series[str]
) -> Kinetics:
    """Return a person's kinetics after the dose: V_T changes at fixed K1.

    Parameters
    ----------
    own : Kinetics
        Before the dose.
    effects : Effects
    person : Person
    names : Series of str
        Regions of the atlas.
    """
    percent = effects.vt_percent(names) * person.vt_scale
    flow = 1 + effects.k1_change_percent / 100 * (person.arm.dose_mg_kg > 0)
    return replace(own, vt=own.vt * np.append(1 + percent / 100, np.ones(3)), k1=own.k1 * flow)


def families(table: pd.DataFrame) -> pd.Series[str]:
    """Name the anatomical family of every region of an atlas table."""
    pairs = zip(table["name"], table["structure"], strict=True)
    return pd.Series([region_family(name, structure) for name, structure in pairs])


def region_family(name: str, structure: str) -> str:
    """Name the part of the brain that a region shares with its mirror image and neighbours.

    Examples
    --------
    >>> region_family("7Networks_RH_Default_pCunPCC_2", "cortex")
    'Default_pCunPCC'
    >>> region_family("7Networks_LH_Vis_3", "cortex"), region_family("Left-Putamen", "subcortex")
    ('Vis', 'Putamen')
    """
    sides = {"lh", "rh", "l", "r", "left", "right", "7networks", "17networks", structure}
    parts = [part for part in name.replace("-", "_").split("_") if part.lower() not in sides]
    family = "_".join(part for part in parts if not part.isdigit())
    return family or structure


def _bmax(name: str) -> float:
    lowered = name.lower()
    return next(
        (value for pattern, value in BMAX_PATTERNS if fnmatchcase(lowered, pattern)), CORTEX_BMAX
    )
