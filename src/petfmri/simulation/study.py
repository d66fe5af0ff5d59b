"""A complete raw BIDS study with known truth."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import petfmri
from petfmri.errors import DatasetError
from petfmri.simulation import sidecars
from petfmri.simulation.connectivity import person_networks
from petfmri.simulation.effects import Design, Effects, Person, draw_people
from petfmri.simulation.participant import Study, Truth, simulate_participant
from petfmri.simulation.phantom import load_phantom
from petfmri.simulation.presets import Preset
from petfmri.study.files import write_json, write_table, write_text

FIRST_DAY = pd.Timestamp("1924-03-03T09:00:00")


def simulate_study(
    folder: Path,
    preset: Preset,
    *,
    seed: int,
    n_procs: int = 1,
    effects: Effects | None = None,
    design: Design | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Simulate a raw BIDS study: T1w, PET and BOLD before and after a dose, symptoms, truth.

    The same seed gives the same files, byte for byte, however many processes work; more people
    do not change the earlier ones. The folder appears when everything is in it.

    Parameters
    ----------
    folder : Path
        Must not exist, or be empty.
    preset : Preset
        One of `PRESETS`, or one's own (``dataclasses.replace(PRESETS["demo"], n_people=20)``).
    seed : int
    n_procs : int, default=1
        Participants simulated at a time.
    effects : Effects, optional
        What is planted.
    design : Design, optional
    progress : callable, optional
        Called with the id of every finished participant.

    Raises
    ------
    DatasetError
        If `folder` has something in it.
    InputError
        If the planted effects contradict one another.
    """
    effects, design = effects or Effects(), design or Design()
    people = draw_people(preset.n_people, effects, design, seed)
    for person in people:  # refuse what cannot be planted before anything is written
        person_networks(person, load_phantom(preset.t1w_mm).table["network"], effects, after=True)
    with _appearing(Path(folder)) as root:
        study = Study(root, preset, effects, design, seed)
        truths = []
        for person, truth in zip(people, _simulated(study, people, n_procs), strict=True):
            truths.append(truth)
            if progress is not None:
                progress(person.participant_id)
        _write_tables(study, people)
        _write_truth(study, people, truths)


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that takes its name when the block succeeds."""
    if folder.exists() and any(folder.iterdir()):
        raise DatasetError(
            str(folder), "a folder with content", "no such folder", "name another, or remove it"
        )
    beside = folder.with_name(f".{folder.name}-partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _simulated(study: Study, people: list[Person], n_procs: int) -> Iterator[Truth]:
    if n_procs <= 1 or len(people) == 1:
        for index, person in enumerate(people):
            yield simulate_participant(study, index, person)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(n_procs, len(people)), mp_context=context) as pool:
        jobs = [pool.submit(simulate_participant, study, i, p) for i, p in enumerate(people)]
        try:
            for job in jobs:
                yield job.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _write_tables(study: Study, people: list[Person]) -> None:
    """Write what BIDS asks for beside the images."""
    root, design = study.root, study.design
    description = sidecars.dataset_description(study.preset, petfmri.__version__)
    write_json(description, root / "dataset_description.json")
    write_text(sidecars.README, root / "README")
    write_text("truth/\n", root / ".bidsignore")
    table = pd.DataFrame(
        {
            "participant_id": [person.participant_id for person in people],
            "age": [person.age for person in people],
            "sex": [person.sex for person in people],
            "weight": [person.weight_kg for person in people],
            "group": [person.arm.name for person in people],
        }
    )
    write_table(table, root / "participants.tsv", sidecars.PEOPLE_COLUMNS)
    madrs = [
        {"participant_id": p.participant_id, "session_id": f"ses-{label}", "madrs": score}
        for p in people
        for label, score in zip(design.sessions, p.madrs, strict=True)
    ]
    write_table(pd.DataFrame(madrs), root / "phenotype" / "madrs.tsv")
    write_json(sidecars.madrs_sidecar(), root / "phenotype" / "madrs.json")
    for number, person in enumerate(people):
        sub = person.participant_id
        path = root / sub / f"{sub}_sessions.tsv"
        write_table(_sessions(person, design, number), path, sidecars.SESSION_COLUMNS)


def _sessions(person: Person, design: Design, number: int) -> pd.DataFrame:
    """Return a person's sessions.tsv: one person a week, the dose on the day after `pre`."""
    first = FIRST_DAY + pd.Timedelta(weeks=number)
    second = first + pd.Timedelta(days=1 + person.days_since_dose)
    return pd.DataFrame(
        {
            "session_id": [f"ses-{label}" for label in design.sessions],
            "acq_time": [time.isoformat() for time in (first, second)],
            "dose_mg_kg": [0.0, person.arm.dose_mg_kg],
            "arm": person.arm.name,
            "days_since_dose": [np.nan, person.days_since_dose],
        }
    )


def _write_truth(study: Study, people: list[Person], truths: list[Truth]) -> None:
    truth = study.root / "truth"
    regions = pd.concat([one.regions for one in truths], ignore_index=True)
    sessions = pd.concat([one.sessions for one in truths], ignore_index=True)
    write_text(sidecars.TRUTH_README, truth / "README")
    write_table(regions, truth / "regions.tsv", sidecars.REGION_COLUMNS)
    write_table(sessions, truth / "sessions.tsv")
    write_json(_planted(study, people, regions, sessions), truth / "planted.json")


def _planted(
    study: Study, people: list[Person], regions: pd.DataFrame, sessions: pd.DataFrame
) -> dict[str, Any]:
    """Return what was planted, and what of it a perfect measurement would see."""
    names = load_phantom(study.preset.t1w_mm).table["name"]
    mean_change = study.effects.vt_percent(names)
    planted = names[mean_change != 0].tolist()
    labels = [f"ses-{label}" for label in study.design.sessions]
    changes = _changes(regions[regions["region"].isin(planted)], labels)
    segregation = sessions.pivot_table("segregation", "participant_id", "session_id")
    each = [
        {
            "participant_id": person.participant_id,
            "arm": person.arm.name,
            "vt_scale": person.vt_scale,
            "segregation_scale": person.segregation_scale,
            **{f"{key}_percent": changes[key].get(person.participant_id) for key in changes},
            **{f"segregation_{v}": segregation.loc[person.participant_id, v] for v in labels},
            "madrs": [None if np.isnan(score) else score for score in person.madrs],
        }
        for person in people
    ]
    return {
        "seed": study.seed,
        "preset": asdict(study.preset),
        "design": asdict(study.design),
        "effects": asdict(study.effects),
        "planted_regions": planted,
        "planted_mean_percent": {key: _mean(values) for key, values in changes.items()},
        "people": json.loads(json.dumps(each, default=float)),
    }


def _changes(regions: pd.DataFrame, labels: list[str]) -> dict[str, dict[str, float]]:
    """Return each person's percent change of the planted regions' mean, per measure."""
    changes: dict[str, dict[str, float]] = {}
    for measure in ("vt", "suvr_ideal", "suvr_blurred") if len(regions) else ():
        means = regions.pivot_table(measure, "participant_id", "session_id", "mean")
        percent = 100 * (means[labels[1]] / means[labels[0]] - 1)
        changes[measure] = {str(sub): float(value) for sub, value in percent.items()}
    return changes


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))
