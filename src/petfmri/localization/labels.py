"""Do contrasts of increase and of decrease map to different networks: label permutation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import regroupings
from petfmri.statistics.permutation import TIE, share_reaching
from petfmri.typing import BoolArray, FloatArray

BLOCK = 1 << 22  # differences computed at a time


@dataclass(frozen=True)
class LabelTest:
    """Result of `label_permutation`.

    Attributes
    ----------
    difference : array of shape (n_elements,)
        Probability over the first set less that over the second.
    p : array of shape (n_elements,)
        Two-sided, uncorrected.
    p_fwe : array of shape (n_elements,)
        Corrected over all elements by the largest difference.
    p_maps : float
        Whether the two maps differ at all, by the sum of squared differences. Few contrasts give
        few possible differences, so that it sees more than the largest one does.
    p_smallest : float
        That so many arrangements allow.
    arrangements : int
    exact : bool
        Whether all arrangements were enumerated.
    """

    difference: FloatArray
    p: FloatArray
    p_fwe: FloatArray
    p_maps: float
    p_smallest: float
    arrangements: int
    exact: bool


def label_permutation(
    masks: BoolArray, first: BoolArray, *, permutations: int = 10_000, seed: int = 1
) -> LabelTest:
    """Move the labels of the contrasts between two sets; the masks stay as they are.

    Tests whether a label goes with a place, given all masks. Sets whose contrasts have more peaks,
    or larger samples, differ for that reason too. Contrasts of one study count as independent,
    which is cautious where a study is in both sets.

    Parameters
    ----------
    masks : bool array of shape (n_contrasts, n_elements)
    first : bool array of shape (n_contrasts,)
        True for the first set, such as increase.
    permutations : int
        Random arrangements, the observed one included, when there are more than 20,000. Below, all
        are enumerated.
    seed : int

    Returns
    -------
    LabelTest

    Raises
    ------
    StatisticsError
        If a set has fewer than 2 contrasts.

    Examples
    --------
    >>> masks = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]], dtype=bool)
    >>> test = label_permutation(masks, np.array([1, 1, 1, 0, 0, 0], dtype=bool))
    >>> test.difference, test.p_fwe, test.p_maps, test.arrangements
    (array([ 1., -1.]), array([0.1, 0.1]), 0.1, 20)
    """
    masks, first = np.asarray(masks, dtype=bool), np.asarray(first, dtype=bool)
    n_first, n = int(first.sum()), first.size
    if masks.shape[:1] != first.shape or min(n_first, n - n_first) < 2:
        raise StatisticsError(
            "label permutation",
            f"{n_first} and {n - n_first} contrasts",
            "at least 2 in each set, one label per mask",
            "map the sets without testing their difference",
        )
    ways = regroupings(first.tolist(), permutations=permutations, seed=seed)
    chosen = first[ways.orders]
    # Masks that are equal everywhere count once, and voxels that no label could tell apart not.
    patterns, which = np.unique(masks, axis=1, return_inverse=True)
    patterns = patterns.astype(float)
    signs = np.where(chosen, 1 / n_first, -1 / (n - n_first))
    repeats = np.bincount(which.ravel())
    observed = signs[0] @ patterns
    reached, largest = np.zeros(observed.size), np.empty(len(signs))
    squares = np.empty(len(signs))
    step = max(1, BLOCK // observed.size)
    for start in range(0, len(signs), step):
        part = slice(start, start + step)
        block = np.abs(signs[part] @ patterns)
        reached += (block >= np.abs(observed) - TIE).sum(axis=0)
        largest[part] = block.max(axis=1)
        squares[part] = block**2 @ repeats
    return LabelTest(
        difference=observed[which.ravel()],
        p=(reached / len(signs))[which.ravel()],
        p_fwe=share_reaching(largest, np.abs(observed) - TIE)[which.ravel()],
        p_maps=float((squares >= squares[0] * (1 - TIE)).mean()),
        p_smallest=ways.smallest,
        arrangements=ways.total,
        exact=ways.exact,
    )
