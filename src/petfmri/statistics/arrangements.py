"""Which rearrangements of a study leave it as likely as it was, if nothing had happened."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.typing import FloatArray, IntArray

EXACT_LIMIT = 20_000
"""Up to this many arrangements all are enumerated instead of drawn."""


@dataclass(frozen=True)
class Arrangements:
    """Arrangements of the rows of a table, the observed one first.

    Attributes
    ----------
    orders : array of int, shape (n_arrangements, n_rows), or None
        Which row comes to stand in each place; None where rows stay.
    signs : array of int8, shape (n_arrangements, n_rows), or None
        The sign that the row in each place takes; None where signs stay.
    total : int
        Arrangements that the rows stand for: of sign patterns only one of two mirror images is
        kept, because a two-sided statistic cannot tell them apart.
    exact : bool
        Whether these are all.
    smallest : float
        The smallest two-sided p that they allow.
    told : str
        What they are, for readers.
    """

    orders: IntArray | None
    signs: IntArray | None
    total: int
    exact: bool
    smallest: float
    told: str

    def __len__(self) -> int:
        arranged = self.signs if self.orders is None else self.orders
        return 0 if arranged is None else len(arranged)

    def undone(self, vectors: FloatArray) -> FloatArray:
        """Apply the inverse of every arrangement to vectors.

        A product with arranged data equals the product of the data with vectors so treated.

        Parameters
        ----------
        vectors : array of shape (n_rows, k)

        Returns
        -------
        array of shape (k, n_rows, n_arrangements)

        Examples
        --------
        >>> turned = Arrangements(np.array([[0, 1, 2], [2, 0, 1]]), None, 2, True, 1.0, "")
        >>> data, vector = np.array([5.0, 6.0, 7.0]), np.array([[1.0], [10.0], [100.0]])
        >>> float(vector[:, 0] @ data[turned.orders[1]])
        657.0
        >>> float(data @ turned.undone(vector)[0, :, 1])
        657.0
        """
        values = np.repeat(vectors.T[:, None], len(self), axis=1)
        if self.signs is not None:
            values = values * self.signs
        if self.orders is not None:
            placed = np.empty_like(values)
            np.put_along_axis(placed, self.orders[None], values, axis=2)
            values = placed
        return np.ascontiguousarray(values.transpose(0, 2, 1))

    def some(self, number: int, *, seed: int = 1) -> Arrangements:
        """Draw from them without repeating any, for tests that are slow.

        Parameters
        ----------
        number : int
            How many to keep, the observed one included; all where there are no more.
        seed : int

        Examples
        --------
        >>> few = sign_patterns(10).some(100)
        >>> len(few), few.total, few.exact, few.smallest
        (100, 100, False, 0.01)
        """
        if number >= len(self):
            return self
        _check_number(number)
        drawn = np.random.default_rng(seed).permutation(len(self) - 1)[: number - 1] + 1
        kept = np.concatenate([[0], np.sort(drawn)])
        return Arrangements(
            None if self.orders is None else self.orders[kept],
            None if self.signs is None else self.signs[kept],
            number,
            False,
            1 / number,
            f"{number:,} of {self.told} (seed {seed})",
        )

    def arranged(self, values: FloatArray, which: int) -> FloatArray:
        """Arrange a table of shape (n_rows, n_columns) in one of the ways."""
        taken = values if self.orders is None else values[self.orders[which]]
        return taken if self.signs is None else taken * self.signs[which][:, None]


def sign_patterns(
    n: int, *, permutations: int = 10_000, seed: int = 1, blocks: Sequence[object] | None = None
) -> Arrangements:
    """Flip the signs of rows: for changes that are symmetric about zero if nothing happened.

    Parameters
    ----------
    n : int
        Rows.
    permutations : int
        How many to draw, the observed one included, when all are more than 20,000.
    seed : int
    blocks : sequence of length n, optional
        Rows of one block, such as the visits of one person, take one sign together [1]_.

    Raises
    ------
    StatisticsError
        With fewer than 2 permutations.

    References
    ----------
    .. [1] Winkler AM et al. (2015). NeuroImage 123:253. doi:10.1016/j.neuroimage.2015.05.092

    Examples
    --------
    >>> sign_patterns(3).signs.tolist()
    [[1, 1, 1], [1, 1, -1], [1, -1, 1], [1, -1, -1]]
    >>> sign_patterns(4, blocks="aabb").signs.tolist()
    [[1, 1, 1, 1], [1, 1, -1, -1]]
    """
    of_row = np.arange(n) if blocks is None else _codes(blocks, n)
    units = int(of_row.max(initial=-1)) + 1
    what = "persons" if blocks is None else "blocks"
    if 2**units <= EXACT_LIMIT:
        codes = np.arange(2 ** max(units - 1, 0))
        flipped = codes[:, None] >> np.arange(units - 1, -1, -1) & 1
        signs = (1 - 2 * flipped).astype(np.int8)
        told = f"all {2**units:,} sign patterns of {units} {what}"
        return Arrangements(None, signs[:, of_row], 2**units, True, 2.0 ** (1 - units), told)
    _check_number(permutations)
    signs = np.random.default_rng(seed).integers(0, 2, (permutations, units), dtype=np.int8) * 2 - 1
    signs[0] = 1
    told = f"{permutations:,} random sign patterns of {units} {what} (seed {seed})"
    drawn = signs.astype(np.int8)[:, of_row]
    return Arrangements(None, drawn, permutations, False, 1 / permutations, told)


def person_orders(
    n: int, *, permutations: int = 10_000, seed: int = 1, blocks: Sequence[object] | None = None
) -> Arrangements:
    """Exchange rows with one another, or whole blocks of rows.

    Parameters
    ----------
    n : int
        Rows.
    permutations, seed : int
        As `sign_patterns`.
    blocks : sequence of length n, optional
        Blocks, such as persons with several visits, change places as wholes, their rows in
        unchanged order; all must be of one size.

    Raises
    ------
    StatisticsError
        With fewer than 2 permutations, or blocks of several sizes.

    Examples
    --------
    >>> person_orders(3).orders.tolist()[:3]
    [[0, 1, 2], [0, 2, 1], [1, 0, 2]]
    >>> person_orders(4, blocks="abab").orders.tolist()
    [[0, 1, 2, 3], [1, 0, 3, 2]]
    """
    of_row = np.arange(n) if blocks is None else _codes(blocks, n)
    rows = [np.flatnonzero(of_row == code) for code in range(int(of_row.max(initial=-1)) + 1)]
    if len({len(found) for found in rows}) > 1:
        raise StatisticsError(
            "exchange of blocks",
            f"blocks of {min(map(len, rows))} to {max(map(len, rows))} rows",
            "blocks of one size",
            "leave out incomplete blocks, and say which",
        )
    units, what = len(rows), "persons" if blocks is None else "blocks"
    if math.factorial(units) <= EXACT_LIMIT:
        orders = np.array(list(itertools.permutations(range(units))), dtype=int)
        total, exact, smallest = len(orders), True, 1 / len(orders)
        told = f"all {total:,} orders of {units} {what}"
    else:
        _check_number(permutations)
        orders = np.tile(np.arange(units), (permutations, 1))
        orders[1:] = np.random.default_rng(seed).permuted(orders[1:], axis=1)
        total, exact, smallest = permutations, False, 1 / permutations
        told = f"{total:,} random orders of {units} {what} (seed {seed})"
    if blocks is None:
        return Arrangements(orders, None, total, exact, smallest, told)
    places = np.array(rows)  # (units, rows of a block)
    whole = np.empty((len(orders), n), dtype=int)
    whole[:, places.ravel()] = places[orders].reshape(len(orders), -1)
    return Arrangements(whole, None, total, exact, smallest, told)


def regroupings(
    labels: Sequence[object],
    *,
    permutations: int = 10_000,
    seed: int = 1,
    strata: Sequence[object] | None = None,
    adjusted: bool = False,
) -> Arrangements:
    """Give the labels of two groups (arms, or sequences of a crossover) to persons anew.

    Parameters
    ----------
    labels : sequence of length n_persons
        Two different ones.
    permutations, seed : int
        As `sign_patterns`.
    strata : sequence of length n_persons, optional
        Labels are exchanged within a stratum, such as a site, only.
    adjusted : bool
        Draw orders of the persons even where the groupings could be enumerated: with covariates
        (Freedman-Lane) two orders of one grouping are not the same.

    Raises
    ------
    StatisticsError
        If there are not two groups, or nothing can be exchanged.

    Examples
    --------
    >>> found = regroupings("abba")
    >>> found.total, round(found.smallest, 3), found.told
    (6, 0.333, 'all 6 assignments of 4 persons to groups of 2 and 2')
    """
    codes = _codes(labels, len(labels))
    if set(codes) != {0, 1}:
        raise StatisticsError(
            "groups", f"{len(set(codes))} different labels", "two groups", "name the two groups"
        )
    layers = np.zeros(len(codes), int) if strata is None else _codes(strata, len(codes))
    parts = [np.flatnonzero(layers == layer) for layer in range(int(layers.max()) + 1)]
    sizes = [(len(part), int(codes[part].sum())) for part in parts]
    total = math.prod(math.comb(*size) for size in sizes)
    if total < 2:
        raise StatisticsError(
            "groups",
            "strata with one group each",
            "strata with persons of both groups",
            "compare without strata, or merge them",
        )
    n, k = len(codes), int(codes.sum())
    within = "" if strata is None else f" within {len(parts)} strata"
    if total <= EXACT_LIMIT and not adjusted:
        orders = np.array(list(_groupings(codes, parts)), dtype=int)
        mirrored = all(2 * ones == size for size, ones in sizes)
        told = f"all {total:,} assignments of {n} persons to groups of {n - k} and {k}{within}"
        return Arrangements(orders, None, total, True, (1 + mirrored) / total, told)
    _check_number(permutations)
    orders, rng = np.tile(np.arange(n), (permutations, 1)), np.random.default_rng(seed)
    for part in parts:
        orders[1:, part] = rng.permuted(orders[1:, part], axis=1)
    told = f"{permutations:,} random assignments of {n} persons to groups of {n - k} and {k}{within} (seed {seed})"
    return Arrangements(orders, None, permutations, False, max(1 / permutations, 1 / total), told)


def _groupings(codes: IntArray, parts: Sequence[IntArray]) -> Iterator[IntArray]:
    """One order of the rows for each different grouping, the observed one first.

    Rows change places in pairs, so that each order is its own inverse: it is all the same whether
    labels are given to rows or rows to labels.
    """
    choices = []
    for part in parts:
        ones = frozenset(part[codes[part] == 1].tolist())
        places = map(frozenset, itertools.combinations(part.tolist(), len(ones)))
        # Where the ones stand; the observed places first.
        ordered = sorted(places, key=lambda chosen: chosen != ones)
        choices.append([(sorted(chosen - ones), sorted(ones - chosen)) for chosen in ordered])
    for combination in itertools.product(*choices):
        order = np.arange(len(codes))
        for entering, leaving in combination:
            order[entering], order[leaving] = leaving, entering
        yield order


def _codes(labels: Sequence[object], n: int) -> IntArray:
    """Number labels in the order of their first appearance."""
    known: dict[object, int] = {}
    codes = np.array([known.setdefault(label, len(known)) for label in labels], dtype=int)
    if len(codes) != n:
        raise ValueError(f"{len(codes)} labels for {n} rows")
    return codes


def _check_number(permutations: int) -> None:
    if permutations < 2:
        raise StatisticsError(
            "permutations", str(permutations), "at least 2, usually 10,000", "ask for more"
        )
