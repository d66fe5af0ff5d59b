"""Connections of interest: each, their sets, and whether two sets change differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from petfmri.atlases.connections import Connection
from petfmri.statistics.effects import MIN_PERSONS, detectable_effect, paired_effects, varies
from petfmri.statistics.pairing import CompleteCases, Paired, complete_cases
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.visits import Visits
from petfmri.typing import FloatArray

SETS, SPECIFIC = "connection sets", "set x treatment"
CHANGED = "set x change"
READING = (
    "The set “CLIPST letters” spells out the letters of the name (cortico-limbic-insular-striatal-"
    "pallidal-thalamic) on this atlas. It is a reading of the name, not the published list of "
    "connections, which is not public."
)
NOT_A_TEST = (
    "That connections of one set pass and those of another do not is no evidence that the sets "
    "differ. The row of the difference between sets is the test that such a claim needs: each "
    "person's mean of one set minus that of the other, through the same test."
)


@dataclass(frozen=True)
class ConnectionOutcomes:
    """Connections, means of sets and differences of sets, of every session.

    Attributes
    ----------
    visits : Visits
    families : dict of family to outcomes
        Of each set ``connections: SET``, of the means `SETS`, and of the differences `SPECIFIC`.
    """

    visits: Visits
    families: dict[str, list[str]]


def connection_outcomes(
    values: FloatArray, sets: Sequence[str], names: Sequence[str]
) -> ConnectionOutcomes:
    """Gather what is tested of connections of interest.

    Parameters
    ----------
    values : array of shape (n_sessions, n_connections), Fisher z
    sets, names : sequence of str
        Of every connection.

    Returns
    -------
    ConnectionOutcomes

    Examples
    --------
    >>> found = connection_outcomes(np.array([[0.1, 0.3, 0.5]]), ["A", "A", "B"], ["x", "y", "z"])
    >>> list(found.families), found.visits.values.round(2).tolist()
    (['connections: A', 'connections: B', 'connection sets', 'set x treatment'],
     [[0.1, 0.3, 0.5, 0.2, 0.5, -0.3]])
    """
    kinds = list(dict.fromkeys(sets))
    labels = [f"{one}:{name}" for one, name in zip(sets, names)]
    families = {
        f"connections: {kind}": [label for label, one in zip(labels, sets) if one == kind]
        for kind in kinds
    }
    means = [values[:, [one == kind for one in sets]].mean(axis=1) for kind in kinds]
    parts, outcomes = (
        [values, np.stack(means, axis=1)],
        [*labels, *(f"{kind}: mean" for kind in kinds)],
    )
    families[SETS] = outcomes[len(labels) :]
    pairs = list(combinations(range(len(kinds)), 2))
    if pairs:
        families[SPECIFIC] = [f"{kinds[a]} minus {kinds[b]}" for a, b in pairs]
        outcomes += families[SPECIFIC]
        parts.append(np.stack([means[a] - means[b] for a, b in pairs], axis=1))
    about = pd.DataFrame(
        {"kind": "connection", "measure": "connectivity", "region": outcomes, "network": None},
        index=outcomes,
    )
    return ConnectionOutcomes(Visits(np.hstack(parts), about), families)


def connection_names(connections: Sequence[Connection]) -> list[str]:
    """List everything that is tested of connections of interest."""
    sets, names = [one.group for one in connections], [one.name for one in connections]
    found = connection_outcomes(np.zeros((1, len(sets))), sets, names)
    return [name for outcomes in found.families.values() for name in outcomes]


def connection_notes(families: dict[str, list[str]]) -> list[str]:
    """Say what the sets are and what a difference between them needs."""
    kinds = [name.partition(": ")[2] for name in families if name.startswith("connections: ")]
    found = [READING] if any("CLIPST" in kind for kind in kinds) else []
    sizes = ", ".join(f"{kind} {len(families[f'connections: {kind}'])}" for kind in kinds)
    found.append(f"Connections of interest: {sizes}; p_fwe is corrected within each set.")
    return [*found, NOT_A_TEST] if len(kinds) > 1 else found


def connection_changes(
    found: ConnectionOutcomes, sessions: pd.DataFrame, *, permutations: int = 10_000, seed: int = 1
) -> pd.DataFrame:
    """Test the change from pre to post of connections, sets and differences between sets.

    Parameters
    ----------
    found : ConnectionOutcomes
    sessions : DataFrame
        participant_id and role (pre, post), rows as `found`.
    permutations, seed : int
        As `sign_flip`.

    Returns
    -------
    DataFrame
        One row per outcome: outcome family n mean_pre mean_post change g g_low g_high t p p_fwe
        p_smallest arrangements exact detectable_g. Outcomes that a person lacks are left out;
        `connection_losses` names them.
    """
    tables = []
    for family, outcomes in found.families.items():
        cut = _complete(found, outcomes, sessions)
        if not cut.outcomes:
            continue
        pre, post = cut.pre, cut.post
        effects = paired_effects(pre, post)
        flips = sign_flip(post - pre, permutations=permutations, seed=seed)
        rows = {name: getattr(effects, name) for name in ("n", "mean_pre", "mean_post", "change")}
        rows |= {name: getattr(effects, name) for name in ("g", "g_low", "g_high", "t")}
        rows |= {name: getattr(flips, name) for name in ("p", "p_fwe", "p_smallest")}
        rows |= {"arrangements": flips.arrangements, "exact": flips.exact}
        said = CHANGED if family == SPECIFIC else family
        front = {"outcome": cut.outcomes, "family": said}
        tables.append(pd.DataFrame({**front, **rows, "detectable_g": detectable_effect(effects.n)}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def connection_losses(found: ConnectionOutcomes, sessions: pd.DataFrame) -> list[str]:
    """Name the persons and outcomes that `connection_changes` leaves out.

    Parameters
    ----------
    found : ConnectionOutcomes
    sessions : DataFrame
        As `connection_changes`.
    """
    persons: dict[str, list[str]] = {}
    told = []
    for family, outcomes in found.families.items():
        cut = _complete(found, outcomes, sessions)
        said = CHANGED if family == SPECIFIC else family
        if cut.lost_persons:
            persons.setdefault(", ".join(cut.lost_persons), []).append(said)
        if not cut.outcomes:
            told.append(
                f"Not tested: {said}: of {len(cut.pre)} persons (at least {MIN_PERSONS} are needed) "
                "nobody may lack an outcome, and changes must differ."
            )
        elif cut.lost_outcomes:
            told.append(
                f"Left out of {said}, since a person lacks them or all change alike: "
                f"{', '.join(cut.lost_outcomes)}."
            )
    return [
        f"Left out of {', '.join(said)}, with fewer than half of the connections before and after: "
        f"{names}."
        for names, said in persons.items()
    ] + told


def _complete(
    found: ConnectionOutcomes, outcomes: Sequence[str], sessions: pd.DataFrame
) -> CompleteCases:
    """Keep persons with at least half of the outcomes, then outcomes that all of them have."""
    values = pd.DataFrame(found.visits.columns(outcomes), columns=list(outcomes))
    values.index = pd.Index(sessions["participant_id"])
    people = dict.fromkeys(values.index)
    before, after = (values[(sessions["role"] == role).to_numpy()] for role in ("pre", "post"))
    both = [person for person in people if person in before.index and person in after.index]
    paired = Paired(before.loc[both], after.loc[both], found.visits.outcomes, sessions, ())
    cut = complete_cases(paired, outcomes)
    once = [str(person) for person in people if person not in both]
    used = varies(cut.pre, cut.post) if len(cut.persons) >= MIN_PERSONS else np.array([], bool)
    kept = [name for name, moves in zip(cut.outcomes, used) if moves]
    where = [cut.outcomes.index(name) for name in kept]
    return replace(
        cut,
        outcomes=kept,
        pre=cut.pre[:, where],
        post=cut.post[:, where],
        lost_persons=[*once, *cut.lost_persons],
        lost_outcomes=[name for name in outcomes if name not in kept],
    )
