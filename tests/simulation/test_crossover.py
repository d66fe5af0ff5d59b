from __future__ import annotations

import numpy as np
import pytest

from petfmri.errors import InputError
from petfmri.simulation.crossover import (
    CrossoverPlan,
    CrossoverTruth,
    crossover_values,
    simulate_crossover,
)
from petfmri.simulation.effects import Effects


def test_values_have_the_variances_and_effects_that_were_asked_for():
    plan = CrossoverPlan(20, 20, times=("50", "80"))
    truth = CrossoverTruth(1.0, 0.5, 0.25, period=3.0, treatment=(2.0, 1.0))
    sessions = plan.sessions()
    values = crossover_values(sessions, plan, truth, 2000, seed=1).reshape(40, 2, 3, -1)
    first = np.arange(40) < 20
    means = values.mean(axis=3)
    assert means[first, 0].mean(axis=0) == pytest.approx([0, 2, 1], abs=0.03)
    assert means[~first, 1].mean(axis=0) == pytest.approx([3, 5, 4], abs=0.03)
    assert values[:, 0, 0].std(axis=0).mean() == pytest.approx(np.sqrt(1.3125), abs=0.03)
    apart = values[:, 0, 0] - values[:, 1, 0]
    assert apart.std(axis=0).mean() == pytest.approx(np.sqrt(0.625), abs=0.02)


def test_visits_go_missing_after_the_dose_only():
    whole, some = CrossoverPlan().sessions(2), CrossoverPlan(missing=0.2).sessions(2)
    assert len(whole) == 160 and 120 < len(some) < 150
    assert (some["time"] == "0").sum() == 32
    with pytest.raises(InputError, match="persons"):
        CrossoverPlan(1, 0).sessions()


def test_networks_change_after_the_active_treatment():
    plan = CrossoverPlan(2, 2, times=("50", "1440"), baseline=None)
    effects = Effects(within_fc_change=-0.2, change_cv=0.0)
    rows = [visit.session for visit in simulate_crossover(plan, effects, seed=4)]
    visits = list(simulate_crossover(plan, effects, seed=4))
    assert [visit.session["segregation"] for visit in visits] == [r["segregation"] for r in rows]
    assert visits[0].correlations.shape == (216, 217) and len(visits[0].regions) == 216
    drug = np.mean([r["within_fc"] for r in rows if r["treatment"] == "ketamine"])
    placebo = np.mean([r["within_fc"] for r in rows if r["treatment"] == "placebo"])
    assert drug < placebo - 0.1
