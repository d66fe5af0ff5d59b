"""Exact threshold-free cluster enhancement, and its family-wise test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import Arrangements
from petfmri.statistics.cluster_tree import sum_compiled, sum_with_arrays
from petfmri.statistics.neighbours import Neighbours
from petfmri.statistics.permutation import MANY, arranged_t, share_reaching
from petfmri.typing import FloatArray

_TIE, _TIE_SINGLE = 1e-9, 1e-5
"""Enhanced values that differ by less than this share are equal; single where t maps are."""


@dataclass(frozen=True)
class EnhancedTest:
    """Result of `tfce_test`.

    Attributes
    ----------
    tfce : array of shape (n_elements,)
        Enhanced t, signed.
    p_fwe : array of shape (n_elements,)
        Two-sided, corrected over all elements by the largest enhanced value of either sign.
    largest : array of shape (n_arrangements,)
        That value in every arrangement, the observed one first.
    smallest : float
        The smallest p that these arrangements allow.
    """

    tfce: FloatArray
    p_fwe: FloatArray
    largest: FloatArray
    smallest: float


def tfce(
    values: FloatArray,
    neighbours: Neighbours,
    *,
    extent_power: float = 0.5,
    height_power: float = 2.0,
    compiled: bool | None = None,
) -> FloatArray:
    r"""Enhance a map by the extent of the clusters that hold each element at every height.

    .. math:: TFCE(v) = \int_0^{|t_v|} e(h)^E h^H dh

    where e is the number of elements of the cluster of v above h [1]_. Clusters change only at
    values of the map, so the integral is summed over the tree of clusters without any step dh
    [2]_. Elements above and below zero make clusters of their own.

    Parameters
    ----------
    values : array of shape (n_elements,)
        Such as t; finite.
    neighbours : Neighbours
    extent_power, height_power : float
        E and H. The defaults are those of [1]_ for volumes.
    compiled : bool, optional
        With numba or without; unset: with it where it is installed. Both give the same.

    Returns
    -------
    array of shape (n_elements,)
        With the sign of the values.

    Raises
    ------
    StatisticsError
        If values are not finite, or there is not one for each element.

    References
    ----------
    .. [1] Smith SM, Nichols TE (2009). NeuroImage 44:83. doi:10.1016/j.neuroimage.2008.03.061
    .. [2] Jones R (1999). Connected filtering and segmentation using component trees. Comput Vis
       Image Underst 75:215. doi:10.1006/cviu.1999.0777

    Examples
    --------
    Above 1 the first element is alone, below it is one of two: (8 - 1) / 3 + 2^.5 / 3.

    >>> pair = Neighbours.of(2, np.array([[0, 1]]))
    >>> tfce(np.array([2.0, 1.0]), pair).round(4).tolist()
    [2.8047, 0.4714]
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(neighbours),) or not np.isfinite(values).all():
        raise StatisticsError(
            "TFCE",
            f"{int(np.isfinite(values).sum())} finite values of an array of shape {values.shape}",
            f"a finite value for each of {len(neighbours)} elements",
            "leave out what has no value, also from the neighbours",
        )
    enhance = None if compiled is False else sum_compiled()
    if compiled and enhance is None:
        raise StatisticsError(
            "TFCE", "no numba", "numba, which `compiled` asks for", "install petfmri[fast]"
        )
    height = np.abs(values)
    order = np.argsort(-height)
    steps = np.append(height[order] ** (height_power + 1) / (height_power + 1), 0.0)
    found = (enhance or sum_with_arrays)(steps, order, values > 0, neighbours, extent_power)
    return np.copysign(found, values)


def tfce_test(
    y: FloatArray,
    x: FloatArray,
    neighbours: Neighbours,
    *,
    arrangements: Arrangements,
    nuisance: FloatArray | None = None,
    extent_power: float = 0.5,
    height_power: float = 2.0,
) -> EnhancedTest:
    """Test enhanced t maps, corrected over all elements and both signs.

    Parameters
    ----------
    y : array of shape (n_rows, n_elements)
    x, arrangements, nuisance
        As `permutation_test`.
    neighbours : Neighbours
    extent_power, height_power : float
        As `tfce`.

    Raises
    ------
    StatisticsError
        As `permutation_test` and `tfce`.

    Examples
    --------
    >>> from petfmri.statistics.arrangements import sign_patterns
    >>> change = np.array([[1.0, 2], [2, 1], [3, 3], [2, 4]])
    >>> pair = Neighbours.of(2, np.array([[0, 1]]))
    >>> tfce_test(change, np.ones(4), pair, arrangements=sign_patterns(4)).p_fwe.tolist()
    [0.125, 0.125]
    """
    maps = arranged_t(y, x, arrangements=arrangements, nuisance=nuisance)
    enhanced = (
        tfce(t, neighbours, extent_power=extent_power, height_power=height_power) for t in maps
    )
    observed, largest = _largest(enhanced, len(arrangements))
    tie = _TIE if y.shape[1] <= MANY else _TIE_SINGLE
    p = share_reaching(largest, np.abs(observed) * (1 - tie))
    return EnhancedTest(observed, p, largest, arrangements.smallest)


def _largest(maps: Iterable[FloatArray], n: int) -> tuple[FloatArray, FloatArray]:
    """Return the first map, and the largest size in each of n."""
    found = np.empty(n)
    first: FloatArray = np.empty(0)
    for number, values in enumerate(maps):
        if number == 0:
            first = values
        found[number] = np.abs(values).max()
    return first, found
