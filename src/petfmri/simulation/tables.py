"""A simulated study as tidy tables only, for the statistics that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from petfmri.atlases import Atlas, load_atlas
from petfmri.networks.connectivity import correlate, fisher_z
from petfmri.networks.registry import network_metrics, nodal_metrics
from petfmri.simulation.connectivity import person_networks
from petfmri.simulation.effects import Design, Effects, Person, draw_people, stream
from petfmri.simulation.regional import (
    Kinetics,
    changed_kinetics,
    families,
    person_kinetics,
    typical_kinetics,
)
from petfmri.simulation.tracer import PlasmaInput, frame_averages, window_mean
from petfmri.study.group import REGION_COLUMNS
from petfmri.typing import FloatArray

FRAMES_S = 3600 + 300 * np.arange(6.0), np.full(6, 300.0)  # 60-90 min
WINDOW_S = np.array([3600.0, 5400.0])
INJECTED_MBQ = 350.0


@dataclass(frozen=True)
class TableNoise:
    """How well a session is measured, where no image is simulated.

    Parameters
    ----------
    suvr_percent : float, percent
        SD of the SUVR of one region in one session.
    reference_percent : float, percent
        SD that a session's reference region adds to all its SUVR alike.
    n_frames : int
        BOLD volumes kept.
    repetition_time_s : float, s
    mean_fd_mm : float, mm
        Median over sessions of mean framewise displacement.
    """

    suvr_percent: float = 2.0
    reference_percent: float = 1.5
    n_frames: int = 200
    repetition_time_s: float = 2.0
    mean_fd_mm: float = 0.2


def simulate_tables(
    n: int,
    effects: Effects | None = None,
    seed: int = 0,
    *,
    design: Design | None = None,
    noise: TableNoise | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate the group tables of a study: nothing is scanned, SUVR is not blurred.

    Parameters
    ----------
    n : int
        People.
    effects : Effects, optional
        What is planted; ``Effects.none()`` for nothing.
    seed : int, default=0
        The people and their planted changes are those of `simulate_study` with this seed.
    design : Design, optional
    noise : TableNoise, optional

    Returns
    -------
    regions : DataFrame
        One row per person, session and region, columns as in group/regions.tsv.
    sessions : DataFrame
        One row per person and session, columns as in group/sessions.tsv.

    Raises
    ------
    InputError
        If the planted effects contradict one another.

    Examples
    --------
    >>> regions, sessions = simulate_tables(2, seed=1)
    >>> len(regions), len(sessions)
    (864, 4)
    """
    effects, design, noise = effects or Effects(), design or Design(), noise or TableNoise()
    atlas = load_atlas()
    table = atlas.table.assign(volume_mm3=_volumes(atlas))
    regions, sessions = [], []
    for index, person in enumerate(draw_people(n, effects, design, seed)):
        typical = typical_kinetics(table["name"])
        rng = stream(seed, "kinetics", index)
        own = person_kinetics(typical, families(table), design.vt_sd_percent, rng)
        for number, label in enumerate(design.sessions):
            after = number > 0
            kinetics = changed_kinetics(own, effects, person, table["name"]) if after else own
            rng = stream(seed, "tables", index, number)
            networks = person_networks(person, table["network"], effects, after=after)
            series = networks.series(noise.n_frames, noise.repetition_time_s, rng)
            keys = {"participant_id": person.participant_id, "session_id": f"ses-{label}"}
            rows = _region_rows(keys, table, kinetics, series, person, noise, rng)
            regions.append(rows)
            sessions.append(
                {**keys, **_session_row(person, number, rows, series, table, noise, rng)}
            )
    return pd.concat(regions, ignore_index=True), pd.DataFrame(sessions)


def _region_rows(
    keys: dict[str, str],
    table: pd.DataFrame,
    kinetics: Kinetics,
    series: FloatArray,
    person: Person,
    noise: TableNoise,
    rng: np.random.Generator,
) -> pd.DataFrame:
    n = len(table)
    plasma = PlasmaInput.injected(INJECTED_MBQ, person.weight_kg)
    uptake = window_mean(
        frame_averages(kinetics.vt, kinetics.k1, plasma, *FRAMES_S), *FRAMES_S, WINDOW_S
    )
    suvr = uptake[:n] / uptake[n] * np.exp(noise.reference_percent / 100 * rng.normal())
    suvr = suvr * (1 + noise.suvr_percent / 100 * rng.normal(size=n))
    nodal = nodal_metrics(fisher_z(correlate(series)), table["network"].tolist())
    rows = table.rename(columns={"name": "region"})
    rows = rows.assign(
        **keys,
        suvr=suvr,
        suvr_boldref=suvr * (1 + 0.005 * rng.normal(size=n)),
        pet_coverage=1.0,
        bold_coverage=1.0,
        **nodal,
    )
    return rows[[*REGION_COLUMNS, *nodal]]


def _session_row(
    person: Person,
    number: int,
    rows: pd.DataFrame,
    series: FloatArray,
    table: pd.DataFrame,
    noise: TableNoise,
    rng: np.random.Generator,
) -> dict[str, Any]:
    metrics = network_metrics(series, table["network"].tolist(), table["structure"].tolist())
    lost = int(rng.integers(0, max(1, noise.n_frames // 20)))
    return {
        "role": ("pre", "post")[number],
        "arm": person.arm.name,
        "dose": (0.0, person.arm.dose_mg_kg)[number],
        "days_since_dose": (float("nan"), float(person.days_since_dose))[number],
        "age": person.age,
        "sex": person.sex,
        "suvr_grey": float(np.average(rows["suvr"], weights=rows["volume_mm3"])),
        "reference_ml": 20.0,
        **metrics,
        "mean_fd": float(noise.mean_fd_mm * np.exp(0.3 * rng.normal())),
        "frames_kept": noise.n_frames,
        "frames_total": noise.n_frames + lost,
        "df_effective": float(round(0.3 * noise.n_frames)),
        "madrs": person.madrs[number],
    }


def _volumes(atlas: Atlas) -> FloatArray:
    """Return the volumes of the regions in the template, mm³."""
    voxel_mm3 = abs(float(np.linalg.det(atlas.image.affine[:3, :3])))
    count = np.bincount(np.asanyarray(atlas.image.dataobj).ravel())
    return np.asarray(count[atlas.table["index"]] * voxel_mm3)
