"""Effects, permutation inference, comparisons and coupling."""

from petfmri.statistics.coupling import Coupling, correlate, critical_r, detectable_r
from petfmri.statistics.effects import Effects, detectable_effect, hedges_g, paired_effects
from petfmri.statistics.nbs import Component, NetworkTest, network_test
from petfmri.statistics.neighbours import Neighbours, parcel_neighbours, voxel_neighbours
from petfmri.statistics.pairing import Paired, complete_cases, pair_outcomes
from petfmri.statistics.permutation import PermutationTest, permutation_test, sign_flip
from petfmri.statistics.prepost import Comparison, compare
from petfmri.statistics.tfce import EnhancedTest, tfce_test

__all__ = [
    "Comparison",
    "Component",
    "Coupling",
    "Effects",
    "EnhancedTest",
    "Neighbours",
    "NetworkTest",
    "Paired",
    "PermutationTest",
    "compare",
    "complete_cases",
    "correlate",
    "critical_r",
    "detectable_effect",
    "detectable_r",
    "hedges_g",
    "network_test",
    "pair_outcomes",
    "paired_effects",
    "parcel_neighbours",
    "permutation_test",
    "sign_flip",
    "tfce_test",
    "voxel_neighbours",
]
