from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from petfmri.errors import StatisticsError
from petfmri.statistics.permutation import sign_flip
from petfmri.statistics.power import (
    Spread,
    detectable,
    needed_n,
    power_of,
    power_table,
    simulated_power,
)


def test_paired_power_is_that_of_the_noncentral_t():
    critical = stats.t.ppf(0.975, 10)
    expected = stats.nct.sf(critical, 10, 0.94 * np.sqrt(11)) + stats.nct.cdf(
        -critical, 10, 0.94 * np.sqrt(11)
    )
    assert power_of(0.94, 11) == pytest.approx(expected, abs=1e-9)
    assert power_of(0.0, 11) == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("design", ["prepost", "parallel", "crossover"])
def test_needed_and_detectable_are_inverse(design):
    for n in (10, 20, 60):
        effect = detectable(n, design)
        assert power_of(effect, n, design) == pytest.approx(0.8, abs=1e-3)
        assert needed_n(effect * 1.0001, design) == n


def test_power_rises_without_a_gap_up_to_thousands():
    values = [power_of(0.4, n) for n in range(7, 3000, 7)]
    assert np.all(np.diff(values) >= -1e-9) and values[-1] == 1
    assert needed_n(0.94) == 11 and needed_n(0.05) == 3142


def test_the_table_by_hand():
    table = power_table(
        [Spread("vt:PCC", 8.8, "%", 17, "x")], design="prepost", n=[11], effects=[5]
    )
    seen, needed = table.to_dict("records")
    assert seen["effect"] == pytest.approx(8.3, abs=0.06)  # science: 8.3 % at n = 11, SD 8.8 %
    assert seen["effect_low"] < seen["effect"] < seen["effect_high"]
    assert power_of(5 / 8.8, needed["n"]) >= 0.8 > power_of(5 / 8.8, needed["n"] - 1)


def test_what_is_stated_is_what_simulated_studies_show():
    def study(rng):
        change = rng.normal(detectable(12), 1, (12, 1))
        return bool(sign_flip(change).p[0] <= 0.05)

    share, se = simulated_power(study, studies=400)
    assert share == pytest.approx(0.8, abs=0.05 + se)


def test_too_few_persons_are_refused():
    with pytest.raises(StatisticsError, match="at least 10"):
        power_of(1, 5, "parallel")
