"""A placebo-controlled crossover: treatment effects of every outcome, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from petfmri.errors import StatisticsError
from petfmri.statistics import crossover_notes as notes
from petfmri.statistics.crossover_design import LEAST_PERSONS, Crossover, baselines
from petfmri.statistics.crossover_mixed import MixedTests, mixed_tests
from petfmri.statistics.crossover_sequences import (
    Rest,
    SequenceTest,
    interaction_rests,
    interaction_test,
    names_of_contrasts,
    over_times,
    period_differences,
    rest_of,
    sequence_test,
)
from petfmri.statistics.families import OF_ONE, Wanted, families
from petfmri.statistics.visits import Visits
from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class CrossoverComparison:
    """Result of `compare_crossover`.

    Attributes
    ----------
    comparisons : DataFrame
        One row per outcome and contrast.
    differences : DataFrame
        One row per person, outcome and time: active minus control, for figures.
    notes : tuple of str
    """

    comparisons: pd.DataFrame
    differences: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Contrasts:
    """All tests of some outcomes that are corrected together.

    Attributes
    ----------
    mixed : MixedTests
    sequences : list of SequenceTest or None
        Over all times, then at each.
    omnibus : (p, p_fwe)
        Of treatment × time.
    names : list of str
        Of the contrasts.
    rests : dict of contrast to list of Rest
        On whom the permutations rest; treatment × time may rest on others in each outcome.
    """

    mixed: MixedTests
    sequences: list[SequenceTest | None]
    omnibus: tuple[FloatArray, FloatArray]
    names: list[str] = field(default_factory=list)
    rests: dict[str, list[Rest]] = field(default_factory=dict)

    def rests_in(self, table: pd.DataFrame) -> dict[str, list[Rest]]:
        """Keep those of the contrasts of a table."""
        return {name: self.rests[name] for name in self.names if name in set(table["contrast"])}


def compare_crossover(
    visits: Visits,
    design: Crossover,
    wanted: Wanted,
    *,
    more: Mapping[str, Sequence[str]] | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> CrossoverComparison:
    """Test the treatment effect over all times, at each, and whether times differ.

    Estimates, degrees of freedom and `p` are of mixed models over every visit there is
    (`mixed_tests`); `p_permutation` and the family-wise `p_fwe` come from giving the sequences
    anew to the persons (`sequence_test`), which presumes no distribution.

    Parameters
    ----------
    visits : Visits
    design : Crossover
        Of the same table of sessions.
    wanted : Wanted
    more : mapping of family to outcomes
        Families beside those of `wanted`.
    permutations, seed : int
        For more than 20,000 ways of giving sequences.

    Returns
    -------
    CrossoverComparison

    Raises
    ------
    InputError
        If the primary outcome is unknown.
    StatisticsError
        If nothing, or the primary outcome, can be tested.
    """
    claimed = families(visits, wanted)
    taken = {name for names in claimed.values() for name in names}
    for family, names in (more or {}).items():
        fresh = [name for name in names if name not in taken]
        if fresh:
            claimed[family, family] = fresh
    tables, shown, rests = [], [], {}
    for (family, _), outcomes in claimed.items():
        values = visits.columns(outcomes)
        found = contrasts_of(values, design, permutations=permutations, seed=seed)
        tables.append(contrast_table(found, outcomes, values, design, family=family))
        rests[family] = found.rests_in(tables[-1])
        if family not in ("regions", "network details"):
            shown.append(_differences(values, outcomes, design))
    table = pd.concat(tables, ignore_index=True)
    _require_tests(table, wanted.primary, design)
    about = visits.outcomes.loc[table["outcome"], ["measure", "region", "network"]]
    table = pd.concat(
        [table[["outcome"]], about.reset_index(drop=True), table.drop(columns="outcome")], axis=1
    )
    told = [
        *notes.design_notes(design),
        *notes.inference_notes(table),
        *notes.gap_notes(rests, design),
    ]
    return CrossoverComparison(table, pd.concat(shown, ignore_index=True), tuple(told))


def _require_tests(table: pd.DataFrame, primary: str | None, design: Crossover) -> None:
    if len(table) and (primary is None or (table["outcome"] == primary).any()):
        return
    both = len(design.persons) - len(design.one_period)
    raise StatisticsError(
        f"primary outcome {primary}" if len(table) else "crossover",
        "nothing that can be tested in "
        + f"{both} persons with both periods ({', '.join(f'{n} {k}' for k, n in design.sequences.items())})",
        f"at least {LEAST_PERSONS} persons with both periods, two of each sequence, and values that differ",
        "check the tables" if len(table) else "look at the persons themselves",
    )


def contrasts_of(
    values: FloatArray, design: Crossover, *, permutations: int = 10_000, seed: int = 1
) -> Contrasts:
    """Do all tests of outcomes that are corrected together.

    Parameters
    ----------
    values : array of shape (n_sessions, n_outcomes)
    design : Crossover
    permutations, seed : int
    """
    differences = period_differences(values, design)
    both = baselines(values, design)
    before = None if both is None else both[:, 0] - both[:, 1]
    parts = [over_times(differences), *differences.swapaxes(0, 1)]
    chance = {"permutations": permutations, "seed": seed}
    names = names_of_contrasts(design.times)
    rests = [[rest_of(part, design, **chance)] for part in parts]
    rests.append(interaction_rests(differences, design, **chance))
    return Contrasts(
        mixed_tests(values, design),
        [
            sequence_test(part, design, before=before, permutations=permutations, seed=seed)
            for part in parts
        ],
        interaction_test(differences, design, **chance),
        names,
        dict(zip(names, rests, strict=True)),
    )


def contrast_table(
    found: Contrasts,
    outcomes: Sequence[str],
    values: FloatArray,
    design: Crossover,
    *,
    family: str,
) -> pd.DataFrame:
    """Write tests as one row per outcome and contrast; contrasts that nothing tests have none."""
    mixed, parts = found.mixed, []
    shared = {
        "outcome": list(outcomes),
        "family": family,
        "n": mixed.n,
        "visits": mixed.visits,
        "variance_person": mixed.person,
        "variance_period": mixed.period,
        "variance_residual": mixed.residual,
        "boundary": _boundary(mixed),
    }
    alone = family in OF_ONE
    for number, (name, test) in enumerate(zip(found.names, found.sequences)):
        here = design.time == number - 1 if number else np.ones(len(design.time), dtype=bool)
        rows = {
            **shared,
            "contrast": name,
            "mean_active": _mean(values, design, here & design.treated),
            "mean_control": _mean(values, design, here & ~design.treated),
            "estimate": mixed.estimate[number],
            "se": mixed.se[number],
            "df": mixed.df[number],
            "t": mixed.t[number],
            "p": mixed.p[number],
            **_permuted(test, len(outcomes), alone=alone),
        }
        parts.append(pd.DataFrame(rows))
    joint = {"f": mixed.f, "f_rank": mixed.f_rank, "df": mixed.f_df, "p": mixed.f_p}
    p, fwe = found.omnibus
    permuted = {"p_permutation": p, "p_fwe": np.nan if alone else fwe}
    parts.append(pd.DataFrame({**shared, "contrast": found.names[-1], **joint, **permuted}))
    table = pd.concat(parts, keys=range(len(parts)), names=["contrast_number", "row"])
    table = table.sort_index(level=["row", "contrast_number"], kind="stable")
    tested = table[["p", "p_permutation"]].notna().any(axis=1)
    order = ["outcome", "family", "contrast"]
    rest = [name for name in table if name not in order]
    return table.loc[tested, [*order, *rest]].reset_index(drop=True)


def _boundary(mixed: MixedTests) -> list[str]:
    names = {"person": mixed.person_boundary, "period": mixed.period_boundary}
    return [
        " and ".join(name for name, at in names.items() if at[k]) or "none"
        for k in range(len(mixed.n))
    ]


def _mean(values: FloatArray, design: Crossover, visits: BoolArray) -> FloatArray:
    """Mean over the visits that were measured; NaN where none was."""
    chosen = values[design.rows[visits]]
    known = np.isfinite(chosen)
    count = known.sum(axis=0)
    return np.asarray(np.where(known, chosen, 0).sum(axis=0) / np.where(count, count, np.nan))


def _permuted(test: SequenceTest | None, n: int, *, alone: bool) -> dict[str, object]:
    if test is None:
        none = np.full(n, np.nan)
        names = ("p_permutation", "p_fwe", "g", "g_low", "g_high", "p_smallest", "detectable_g")
        return dict.fromkeys(names, none) | {"n_permuted": 0, "arrangements": 0, "exact": False}
    return {
        "p_permutation": test.p,
        "p_fwe": np.nan if alone else test.p_fwe,
        "g": test.g,
        "g_low": test.g_low,
        "g_high": test.g_high,
        "p_smallest": test.p_smallest,
        "detectable_g": test.detectable,
        "n_permuted": len(test.persons),
        "arrangements": test.arrangements,
        "exact": test.exact,
    }


def _differences(values: FloatArray, outcomes: Sequence[str], design: Crossover) -> pd.DataFrame:
    """Active minus control of every person, time and outcome that has both."""
    sign = np.where(design.first, 1, -1)[:, None, None]
    found = period_differences(values, design) * sign
    person, time, outcome = np.nonzero(np.isfinite(found))
    return pd.DataFrame(
        {
            "participant_id": np.array(design.persons)[person],
            "outcome": np.array(list(outcomes))[outcome],
            "time": np.array(design.times)[time],
            "difference": found[person, time, outcome],
        }
    )
