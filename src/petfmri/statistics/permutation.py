"""Permutation inference: which effects are too large for chance, over all outcomes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import Arrangements, sign_patterns
from petfmri.statistics.effects import checked_changes
from petfmri.statistics.tally import compiled_tally, tally
from petfmri.typing import FloatArray

MANY = 4096
"""With more outcomes than this, correlations are computed in single precision."""

TIE = 1e-10
"""Statistics of about 1 that differ by less are equal: rounding never makes a p smaller."""

_TIE = {np.dtype(np.float64): TIE, np.dtype(np.float32): 2e-6}
"""The same for correlations, by their precision."""

_BLOCK = 1 << 17
"""Correlations computed at a time, so that they stay in cache."""


@dataclass(frozen=True)
class PermutationTest:
    """Result of `permutation_test` and `sign_flip`; arrays have shape (n_outcomes,).

    Attributes
    ----------
    estimate : array
        Least-squares coefficient of the tested variable, in the unit of the outcome.
    t : array
        Its t statistic.
    df : int
        Residual degrees of freedom.
    p : array
        Two-sided, uncorrected.
    p_fwe : array
        Two-sided, corrected over all outcomes by the largest |t|.
    p_smallest : array
        The smallest p that these arrangements allow; of sign flips, also by the persons with
        exactly no change.
    arrangements : int
    exact : bool
        Whether all arrangements were enumerated.
    told : str
        Which arrangements, for readers.
    """

    estimate: FloatArray
    t: FloatArray
    df: int
    p: FloatArray
    p_fwe: FloatArray
    p_smallest: FloatArray
    arrangements: int
    exact: bool
    told: str

    @property
    def p_fdr(self) -> FloatArray:
        """Adjusted for the rate of false discoveries (Benjamini and Hochberg 1995)."""
        from scipy.stats import false_discovery_control

        return np.asarray(false_discovery_control(self.p))


def sign_flip(change: FloatArray, *, permutations: int = 10_000, seed: int = 1) -> PermutationTest:
    """Test whether changes are symmetric about zero, by flipping the signs of persons.

    A person keeps one sign for all outcomes, so their dependence is kept and the distribution of
    the largest |t| controls the family-wise error exactly [1]_ [2]_.

    Parameters
    ----------
    change : array of shape (n_persons, n_outcomes)
        Post minus pre, complete.
    permutations : int
        Random sign patterns, the observed one included, when 2^n exceeds 20,000. Below, all are
        enumerated.
    seed : int

    Returns
    -------
    PermutationTest

    Raises
    ------
    StatisticsError
        With fewer than 3 persons, missing values, an outcome without any spread, or fewer than 2
        permutations.

    References
    ----------
    .. [1] Nichols & Holmes 2002, Hum Brain Mapp 15:1-25.
    .. [2] Winkler et al. 2014, NeuroImage 92:381-397.

    Examples
    --------
    >>> result = sign_flip(np.array([[1.0], [2.0], [3.0]]))
    >>> float(result.p[0]), float(result.p_smallest[0]), result.arrangements, result.exact
    (0.25, 0.25, 8, True)
    """
    change = checked_changes(change)
    n = len(change)
    found = permutation_test(
        change, np.ones(n), arrangements=sign_patterns(n, permutations=permutations, seed=seed)
    )
    if found.exact:
        still = (change == 0).sum(axis=0)
        found = replace(found, p_smallest=2.0 ** (still + 1 - n))
    return found


def permutation_test(
    y: FloatArray,
    x: FloatArray,
    *,
    arrangements: Arrangements,
    nuisance: FloatArray | None = None,
    own: FloatArray | None = None,
) -> PermutationTest:
    """Test one variable of a linear model in all outcomes, adjusted for others.

    Outcomes are residuals of the nuisance variables before they are rearranged, and the model is
    fitted again each time (Freedman and Lane's method [1]_ [2]_); without nuisance variables
    beside a constant the test is exact.

    Parameters
    ----------
    y : array of shape (n_rows, n_outcomes)
        Complete.
    x : array of shape (n_rows,)
        The tested variable: ones for a mean, a group, a score.
    arrangements : Arrangements
        Sign patterns where `x` is ones; orders or regroupings otherwise.
    nuisance : array of shape (n_rows, k), optional
        Covariates for a mean, which is then that at their zero; a column of ones, and covariates,
        otherwise.
    own : array of shape (n_rows, n_outcomes), optional
        One covariate more of each outcome alone, such as the change of flow in the same region.

    Returns
    -------
    PermutationTest

    Raises
    ------
    StatisticsError
        If values are missing, no degree of freedom is left, `x` is a combination of the nuisance
        variables, or an outcome is explained by the nuisance variables alone.

    References
    ----------
    .. [1] Freedman D, Lane D (1983). J Bus Econ Stat 1:292. doi:10.1080/07350015.1983.10509354
    .. [2] Winkler AM et al. (2014). NeuroImage 92:381. doi:10.1016/j.neuroimage.2014.01.060

    Examples
    --------
    >>> from petfmri.statistics.arrangements import regroupings
    >>> found = permutation_test(np.array([[1.0], [2], [3], [7]]), np.array([0.0, 0, 1, 1]),
    ...     nuisance=np.ones((4, 1)), arrangements=regroupings([0, 0, 1, 1]))
    >>> round(float(found.estimate[0]), 3), round(float(found.t[0]), 3), round(float(found.p[0]), 3)
    (3.5, 1.698, 0.333)
    """
    models = [Model.of(y, x, nuisance)] if own is None else _own_models(y, x, nuisance, own)
    return permuted(models, arrangements)


def permuted(models: Sequence[Model], arrangements: Arrangements) -> PermutationTest:
    """Test all outcomes of some models against the same arrangements, and correct over them all."""
    n_outcomes = sum(len(model.r) for model in models)
    tie = _TIE[models[0].y.dtype]
    reached = np.empty(n_outcomes)
    largest = np.zeros(len(arrangements), dtype=models[0].y.dtype)
    first, count = 0, compiled_tally() if n_outcomes > MANY else tally
    for model in models:
        for columns, r in model.correlations(arrangements):
            found = count(r, largest, tie)
            reached[first + columns.start : first + columns.start + len(found)] = found
        first += len(model.r)
    observed = np.abs(np.concatenate([model.r for model in models]).astype(largest.dtype))
    return PermutationTest(
        estimate=np.concatenate([model.estimate for model in models]),
        t=np.concatenate([model.t for model in models]),
        df=models[0].df,
        p=reached / len(arrangements),
        p_fwe=share_reaching(largest, observed - tie),
        p_smallest=np.full(n_outcomes, arrangements.smallest),
        arrangements=arrangements.total,
        exact=arrangements.exact,
        told=arrangements.told,
    )


def arranged_t(
    y: FloatArray,
    x: FloatArray,
    *,
    arrangements: Arrangements,
    nuisance: FloatArray | None = None,
) -> Iterator[FloatArray]:
    """Give the t map of every arrangement, the observed one first, for statistics of whole maps.

    Parameters
    ----------
    y, x, arrangements, nuisance
        As `permutation_test`.

    Yields
    ------
    array of shape (n_outcomes,)
    """
    model = Model.of(y, x, nuisance)
    step = max(1, (1 << 20) // model.y.shape[1])
    for start in range(0, len(arrangements), step):
        part = slice(start, start + step)
        some = replace(
            arrangements,
            orders=None if arrangements.orders is None else arrangements.orders[part],
            signs=None if arrangements.signs is None else arrangements.signs[part],
        )
        maps = np.empty((len(some), model.y.shape[1]))
        for columns, r in model.correlations(some):
            maps[:, columns] = r.T
        yield from maps * np.sqrt(model.df / np.maximum(1 - maps**2, 1e-15))


def arranged_r(
    y: FloatArray,
    x: FloatArray,
    *,
    arrangements: Arrangements,
    nuisance: FloatArray | None = None,
) -> FloatArray:
    """Give the partial correlation of x with every outcome in every arrangement.

    Parameters
    ----------
    y, x, arrangements, nuisance
        As `permutation_test`.

    Returns
    -------
    array of shape (n_outcomes, n_arrangements)
    """
    model = Model.of(y, x, nuisance)
    return np.concatenate([r for _, r in model.correlations(arrangements)])


@dataclass(frozen=True)
class Model:
    """A linear model with one tested variable, ready to be rearranged.

    Attributes
    ----------
    y : array of shape (n_rows, n_outcomes)
        Residuals of the nuisance variables, columns of length 1, in the precision of the test.
    direction : array of shape (n_rows, 1)
        The part of x outside the nuisance variables, of length 1.
    basis : array of shape (n_rows, k)
        An orthonormal basis of the nuisance variables.
    r, t, estimate : arrays of shape (n_outcomes,)
    df : int
    """

    y: FloatArray
    direction: FloatArray
    basis: FloatArray
    r: FloatArray
    t: FloatArray
    estimate: FloatArray
    df: int

    @classmethod
    def of(cls, y: FloatArray, x: FloatArray, nuisance: FloatArray | None) -> Model:
        """Fit it (see `permutation_test`)."""
        y, x = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
        z = np.empty((len(y), 0)) if nuisance is None else np.asarray(nuisance, dtype=float)
        for name, values in (("outcomes", y), ("the tested variable", x), ("covariates", z)):
            _check_complete(name, values)
        basis = orthonormal(z)
        outside = x - basis @ (basis.T @ x)
        df = len(y) - basis.shape[1] - 1
        if df < 1 or np.linalg.norm(outside) <= 1e-9 * np.linalg.norm(x):
            raise StatisticsError(
                "linear model",
                f"{len(y)} persons and {z.shape[1]} covariates"
                if df < 1
                else "a tested variable that the covariates determine",
                "at least one degree of freedom, and variables that can be told apart",
                "leave out covariates",
            )
        residuals = y - basis @ (basis.T @ y) if basis.size else y
        length = np.sqrt((residuals**2).sum(axis=0))
        flat = np.flatnonzero(length <= 1e-10 * np.sqrt((y**2).sum(axis=0)))
        if flat.size:
            raise StatisticsError(
                "linear model",
                f"{flat.size} outcomes without spread beside the covariates, first number {flat[0]}",
                "outcomes that vary between persons",
                "leave these outcomes out, and say which",
            )
        direction = outside / np.linalg.norm(outside)
        unit = residuals / length
        r = direction @ unit
        estimate = r * length / np.linalg.norm(outside)
        t = r * np.sqrt(df / np.maximum(1 - r**2, 1e-15))
        precision = np.float32 if y.shape[1] > MANY else np.float64
        return cls(
            np.asarray(unit, dtype=precision),
            direction[:, None],
            basis,
            r,
            t,
            estimate,
            df,
        )

    def correlations(self, arrangements: Arrangements) -> Iterator[tuple[slice, FloatArray]]:
        """Partial correlation of x with the rearranged outcomes, tile by tile.

        Yields
        ------
        columns : slice
            Of the outcomes.
        r : array of shape (n_columns, n_arrangements), in memory that the next tile takes
        """
        moving = self.basis if arrangements.orders is None else _beside_constant(self.basis)
        undone = arrangements.undone(np.hstack([self.direction, moving])).astype(self.y.dtype)
        step = max(1, _BLOCK // len(arrangements))
        memory = np.empty((min(step, self.y.shape[1]), len(arrangements)), self.y.dtype)
        for start in range(0, self.y.shape[1], step):
            columns = slice(start, start + step)
            tile = np.ascontiguousarray(self.y[:, columns].T)
            r = np.matmul(tile, undone[0], out=memory[: len(tile)])
            if len(undone) > 1:
                left = 1 - sum((tile @ other) ** 2 for other in undone[1:])
                r /= np.sqrt(np.maximum(left, 1e-12))
            yield columns, r


def share_reaching(null: FloatArray, observed: FloatArray) -> FloatArray:
    """Share of the null values that reach each observed one.

    Examples
    --------
    >>> share_reaching(np.array([3.0, 1.0, 2.0, 2.0]), np.array([2.0, 9.0]))
    array([0.75, 0.  ])
    """
    below = np.searchsorted(np.sort(null), observed, side="left")
    return np.asarray((len(null) - below) / len(null))


def _own_models(
    y: FloatArray, x: FloatArray, nuisance: FloatArray | None, own: FloatArray
) -> list[Model]:
    """One model per outcome, each with its own covariate; all have the same degrees of freedom."""
    y = np.asarray(y, dtype=float)
    shared = np.empty((len(y), 0)) if nuisance is None else nuisance
    models = [
        Model.of(y[:, [j]], x, np.column_stack([shared, own[:, j]])) for j in range(y.shape[1])
    ]
    if len({model.df for model in models}) > 1:
        raise StatisticsError(
            "linear model",
            "a covariate of single outcomes that the others determine in some of them",
            "covariates that can be told apart",
            "leave out covariates",
        )
    return models


def orthonormal(z: FloatArray) -> FloatArray:
    """Orthonormal basis of the columns."""
    if z.shape[1] == 0:
        return z
    scaled = z / np.maximum(np.linalg.norm(z, axis=0), 1e-300)
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * s[0]])


def _beside_constant(basis: FloatArray) -> FloatArray:
    """Drop the constant from a basis that holds it: no order of the rows changes a sum of zero."""
    ones = np.full(len(basis), len(basis) ** -0.5)
    inside = basis.T @ ones
    if inside @ inside < 1 - 1e-9:
        return basis
    rest = basis - np.outer(ones, inside)
    u, s, _ = np.linalg.svd(rest, full_matrices=False)
    return np.asarray(u[:, s > 0.5])


def _check_complete(name: str, values: FloatArray) -> None:
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise StatisticsError(
            name,
            f"{missing} missing values",
            "complete values",
            "leave out the persons or outcomes concerned, and say which",
        )
