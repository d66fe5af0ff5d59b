from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import load_atlas
from petfmri.atlases.connections import load_connections, packaged_connections
from petfmri.errors import ConfigError
from petfmri.networks.connections import connection_means
from petfmri.simulation.crossover import CrossoverPlan, CrossoverTruth, crossover_values
from petfmri.statistics.connections import (
    CHANGED,
    SPECIFIC,
    connection_changes,
    connection_losses,
    connection_names,
    connection_notes,
    connection_outcomes,
)
from petfmri.statistics.crossover import contrasts_of
from petfmri.statistics.crossover_design import crossover_of

ATLAS = load_atlas().table


def listed(tmp_path, *rows):
    path = tmp_path / "mine.tsv"
    path.write_text("\n".join(("set connection a b".replace(" ", "\t"), *rows)) + "\n")
    return str(path)


def test_packaged_sets_are_matched_in_number_and_labelled_as_a_reading():
    assert list(packaged_connections()) == ["clipst", "control"]
    found = load_connections(["clipst", "control"], ATLAS)
    groups = [one.group for one in found]
    assert groups.count("CLIPST letters") == groups.count("sensorimotor control") == 16
    assert all("not the published list" in one.note for one in found)
    names = ATLAS["name"].to_numpy()
    used = {name for one in found[:16] for name in names[np.r_[one.a, one.b]]}
    letters = ("PFC", "Hippocampus", "FrOperIns", "Pallidum", "Caudate", "Thalamus")
    assert all(any(letter in name for name in used) for letter in letters)
    control = {name for one in found[16:] for name in names[np.r_[one.a, one.b]]}
    assert all("_Vis_" in name or "_SomMot_" in name for name in control)
    assert len(connection_names(found)) == 32 + 2 + 1


def test_a_list_of_ones_own_and_all_that_is_wrong_with_it(tmp_path):
    good = listed(tmp_path, "mine\tone\tAmygdala_L|Amygdala_R\tThalamus_*")
    (found,) = load_connections([good], ATLAS)
    assert (found.label, len(found.a), len(found.b)) == ("mine:one", 2, 2)
    bad = listed(
        tmp_path,
        "m\ta\tAmigdala_L\tThalamus_L",
        "m\tb\tThalamus_L\tThalamus_L",
        "m\tb\t\tPutamen_L",
    )
    with pytest.raises(ConfigError) as caught:
        load_connections([bad, "clipsd"], ATLAS)
    told = [str(problem) for problem in caught.value.problems]
    assert "Amigdala_L" in told[0] and "Amygdala_L" in told[0] and "line 2" in told[0]
    assert "one region" in told[1] and "nothing" in told[2]
    assert "clipsd" in told[3] and "clipst" in told[3]


def test_nodes_are_averaged_in_fisher_z_without_missing_regions():
    z = np.array([[9, 0.1, 0.3], [0.1, 9, np.nan], [0.3, np.nan, np.nan]])
    pairs = [([0], [1, 2]), ([1], [2]), ([0, 1], [0, 1])]
    found = connection_means(z, [(np.array(a), np.array(b)) for a, b in pairs])
    np.testing.assert_allclose(found, [0.2, np.nan, 0.1])


def test_changes_of_sets_and_of_their_difference_come_back(rng):
    n = 14
    sessions = pd.DataFrame(
        {"participant_id": [f"s{k}" for k in range(n)] * 2, "role": ["pre"] * n + ["post"] * n}
    )
    values = rng.normal(size=(2 * n, 6)) * 0.1 + np.tile(rng.normal(size=(n, 1)), (2, 1))
    values[n:, :3] += 0.25
    found = connection_outcomes(values, ["A"] * 3 + ["B"] * 3, list("uvwxyz"))
    table = connection_changes(found, sessions).set_index("outcome")
    assert (table.loc[["A:u", "A:v", "A:w", "A: mean"], "p_fwe"] < 0.05).all()
    assert table.loc["A minus B", "change"] == pytest.approx(0.25, abs=0.08)
    assert table.loc["A minus B", "p"] < 0.01 and table.loc["A minus B", "family"] == CHANGED
    means = values[n:].mean(axis=0) - values[:n].mean(axis=0)
    assert table["change"].to_numpy()[:6] == pytest.approx(means)
    assert "p_fwe is corrected within each set" in " ".join(connection_notes(found.families))

    assert connection_losses(found, sessions) == []


def test_persons_and_connections_left_out_are_named(rng):
    n = 8
    sessions = pd.DataFrame(
        {"participant_id": [f"s{k}" for k in range(n)] * 2, "role": ["pre"] * n + ["post"] * n}
    )
    values = rng.normal(size=(2 * n, 4))
    values[0, :2] = values[3, 3] = np.nan
    values[n:, 2] = values[:n, 2] + 1
    found = connection_outcomes(values, ["A"] * 2 + ["B"] * 2, list("uvwx"))
    assert connection_losses(found, sessions) == [
        "Left out of connections: A, with fewer than half of the connections before and after: s0.",
        "Left out of set x change, with fewer than half of the connections before and after: s0, s3.",
        *(
            f"Not tested: {family}: of 8 persons (at least 3 are needed) nobody may lack an outcome, "
            "and changes must differ."
            for family in ("connections: B", "connection sets")
        ),
    ]
    tested = connection_changes(found, sessions).set_index("outcome")["n"]
    assert tested.to_dict() == {"A:u": 7, "A:v": 7, "A minus B": 6}


def test_both_sets_changing_alike_is_no_specificity():
    plan = CrossoverPlan()
    sessions = plan.sessions()
    design = crossover_of(sessions, active="ketamine", control="placebo", baseline="0")
    truth = CrossoverTruth(0.3, 0.1, 0.2, treatment=(0.3,) * 4)
    values = crossover_values(sessions, plan, truth, 8, seed=3)
    found = connection_outcomes(values, ["A"] * 4 + ["B"] * 4, list("abcdefgh"))
    both = contrasts_of(found.visits.columns(found.families["connection sets"]), design)
    assert (both.sequences[0].p < 0.01).all()
    specific = contrasts_of(found.visits.columns(found.families[SPECIFIC]), design)
    assert specific.sequences[0].p[0] > 0.05
