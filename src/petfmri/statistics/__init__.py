"""Effects, permutation inference, comparisons and coupling."""

from petfmri.statistics.coupling import Coupling, correlate, critical_r, detectable_r
from petfmri.statistics.effects import Effects, detectable_effect, hedges_g, paired_effects
from petfmri.statistics.pairing import Paired, complete_cases, pair_outcomes
from petfmri.statistics.permutation import PermutationTest, permutation_test, sign_flip
from petfmri.statistics.prepost import Comparison, compare

__all__ = [
    "Comparison",
    "Coupling",
    "Effects",
    "Paired",
    "PermutationTest",
    "compare",
    "complete_cases",
    "correlate",
    "critical_r",
    "detectable_effect",
    "detectable_r",
    "hedges_g",
    "pair_outcomes",
    "paired_effects",
    "permutation_test",
    "sign_flip",
]
