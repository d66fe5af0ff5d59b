"""Workflows of network localization: everybody into the store, then draws and the group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nipype import Workflow

from petfmri.interfaces.localization import DrawNull, Localize, StorePerson
from petfmri.study.run_inputs import RunInput
from petfmri.workflows.build import add
from petfmri.workflows.memory import PROCESS_GB
from petfmri.workflows.steps import word

PEOPLE = "localization_people"
"""Name of the workflow that fills the store."""

AT_ONCE_GB = 6e-9
"""Per seed and element of a pass over people: two sums of float32 and room for a block."""


@dataclass(frozen=True)
class StoreValues:
    """What all steps on the store share.

    Attributes
    ----------
    store : Path
    space : Path
        Image of the space.
    n_elements : int
    """

    store: Path
    space: Path
    n_elements: int


def normative_workflow(
    people: Mapping[str, Sequence[RunInput]],
    sources: Mapping[str, str],
    values: StoreValues,
    *,
    cleaning: Mapping[str, Any],
    dummy: int | None,
    parcels: Sequence[str] = (),
    key: str | None = None,
    frames: int = 0,
) -> Workflow:
    """Build one node per person.

    Parameters
    ----------
    people : mapping of name to runs
    sources : mapping of name to digest
    values : StoreValues
    cleaning : mapping
        As `dataclasses.asdict` gives a `Cleaning`.
    dummy : int, optional
        Leading volumes to drop; None: as the confounds mark.
    parcels : sequence of str
    key : str, optional
    frames : int
        Of the longest run, for the estimate of memory.
    """
    workflow = Workflow(name=PEOPLE)
    gb = PROCESS_GB + 4.5 * 4e-9 * frames * values.n_elements
    for name, runs in people.items():
        own = Workflow(name=word(name))
        node = add(
            own,
            "series",
            StorePerson(),
            mem_gb=gb,
            series=[str(run.series) for run in runs],
            confounds=["" if run.confounds is None else str(run.confounds) for run in runs],
            tr_s=[run.tr_s or 0.0 for run in runs],
            source=sources[name],
            space=values.space,
            cleaning=dict(cleaning),
            dummy=-1 if dummy is None else dummy,
            parcels=list(parcels),
            key=key or "",
            person=name,
            store=str(values.store),
        )
        node.overwrite = True  # only those who are not in the store come here
        workflow.add_nodes([own])
    return workflow


def group_workflow(
    peaks: Path,
    directions: Mapping[str, int],
    names: Sequence[str],
    values: StoreValues,
    *,
    state: str,
    rule: Mapping[str, Any],
    draws: int,
    seed: int,
    at_once: int = 512,
    parts: int = 8,
    **group: Any,
) -> Workflow:
    """Build the draws of random coordinates, in parts, and the group step.

    Parameters
    ----------
    peaks : Path
        Table of peaks in MNI space.
    directions : mapping of direction to number of contrasts
    names : sequence of str
        Of the people.
    values : StoreValues
    state : str
        Digest of everybody's sources.
    rule : mapping
        As `dataclasses.asdict` gives a `Rule`.
    draws, seed
        See `localize`.
    at_once : int
        Seeds per pass over people.
    parts : int
        At most so many nodes per direction draw at the same time.
    **group
        Of the group step alone: its labels, regions, radii_mm, shares, permutations and about.
    """
    workflow = Workflow(name="localization")
    common = {
        "peaks": peaks,
        "space": values.space,
        "store": str(values.store),
        "names": list(names),
        "state": state,
        "rule": dict(rule),
        "seed": seed,
    }
    gb = PROCESS_GB + AT_ONCE_GB * 2 * at_once * values.n_elements
    nulls, of = [], []
    for number, (direction, contrasts) in enumerate(directions.items()):
        per_pass = max(1, at_once // contrasts)
        passes = -(-draws // per_pass)
        each = per_pass * -(-passes // min(parts, passes))
        for first in range(0, draws, each):
            some = {"direction": direction, "first": first, "draws": min(each, draws - first)}
            name = f"draws_{number}_{first}"
            node = add(workflow, name, DrawNull(), mem_gb=gb, **some, **common)
            nulls.append((node, "null"))
            of.append(direction)
    gb += 3e-9 * draws * values.n_elements * len(directions)
    last = add(workflow, "network", Localize(), mem_gb=gb, nulls=nulls, of=of, **group, **common)
    last.overwrite = True
    return workflow
