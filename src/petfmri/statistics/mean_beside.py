"""The mean of changes beside covariates, where persons are few."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from petfmri.errors import StatisticsError
from petfmri.statistics.arrangements import sign_patterns
from petfmri.statistics.permutation import Model, PermutationTest, orthonormal, permuted
from petfmri.typing import FloatArray


def mean_beside(
    y: FloatArray,
    covariates: FloatArray,
    *,
    own: FloatArray | None = None,
    permutations: int = 10_000,
    seed: int = 1,
) -> PermutationTest:
    """Test the mean of outcomes at the zero of covariates, by sign flips.

    Residuals of persons depend on one another through the fitted covariates, and flipping them
    passes too often where persons are few. So n - k combinations of the n persons are flipped that
    k covariates leave independent, each as near to one person as can be (Theil's residuals
    [1]_ [2]_): exact for normal errors, and honest about what few persons allow.

    Parameters
    ----------
    y : array of shape (n_persons, n_outcomes)
    covariates : array of shape (n_persons, k)
    own : array of shape (n_persons, n_outcomes), optional
        As `permutation_test`.
    permutations, seed : int
        As `sign_patterns`.

    Raises
    ------
    StatisticsError
        As `permutation_test`.

    References
    ----------
    .. [1] Theil H (1965). J Am Stat Assoc 60:1067. doi:10.1080/01621459.1965.10480851
    .. [2] Winkler AM et al. (2020). NeuroImage 220:117065. doi:10.1016/j.neuroimage.2020.117065

    Examples
    --------
    >>> y, age = np.array([[1.0], [2.0], [1.5], [2.5]]), np.array([[-1.0], [-1.0], [1.0], [1.0]])
    >>> found = mean_beside(y, age)
    >>> round(float(found.estimate[0]), 2), found.df, found.arrangements
    (1.75, 2, 8)
    """
    y, ones = np.asarray(y, dtype=float), np.ones(len(y))
    Model.of(y[:, :1], ones, covariates)  # refuses what cannot be fitted
    groups = [(y, covariates)]
    if own is not None:
        groups = [(y[:, [j]], np.column_stack([covariates, own[:, j]])) for j in range(y.shape[1])]
    models = []
    for outcomes, z in groups:
        models.append(Model.of(*independent(outcomes, z), None))
    rows = {len(model.y) for model in models}
    if len(rows) > 1:
        raise StatisticsError(
            "covariates",
            "a regional covariate that the others determine in some regions",
            "covariates that can be told apart",
            "leave out covariates",
        )
    return permuted(models, sign_patterns(rows.pop(), permutations=permutations, seed=seed))


def independent(y: FloatArray, covariates: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Combine persons so that covariates leave them independent, for tests of a mean.

    Parameters
    ----------
    y : array of shape (n_persons, n_outcomes)
    covariates : array of shape (n_persons, k), or None for none

    Returns
    -------
    y : array of shape (n_persons - k, n_outcomes)
    x : array of shape (n_persons - k,)
        What a constant became: the tested variable, whose signs may be flipped with those of y.
    """
    y, ones = np.asarray(y, dtype=float), np.ones(len(y))
    if covariates is None or covariates.shape[1] == 0:
        return y, ones
    outside = _theil(np.asarray(covariates, dtype=float))
    return outside.T @ y, outside.T @ ones


def _theil(z: FloatArray) -> FloatArray:
    """Orthonormal basis outside the columns of z, as near to single rows as can be."""
    basis = orthonormal(z)
    rest = np.eye(len(z)) - basis @ basis.T
    left = len(z) - basis.shape[1]
    kept = np.sort(linalg.qr(rest, pivoting=True)[2][:left])
    values, vectors = np.linalg.eigh(rest[np.ix_(kept, kept)])
    root = vectors / np.sqrt(np.maximum(values, 1e-12)) @ vectors.T
    return np.asarray(rest[:, kept] @ root)
