"""Restricted maximum likelihood of many outcomes at once: persons, and visits within persons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from petfmri.errors import StatisticsError
from petfmri.statistics.reml_layers import Layers
from petfmri.statistics.satterthwaite import Joint, Profile, Single, joint_test, single_tests
from petfmri.typing import BoolArray, FloatArray, IntArray

GRID = (0.0, 0.3, 1.5, 8.0)
"""Variance ratios from which the best start is taken; 0 is the boundary."""
LARGEST = 1e6
"""Largest variance ratio."""
DECREMENT = 1e-10
"""A Newton step that promises less than this of the log-likelihood is the last one."""
MOST_STEPS = 60
LONGEST = 1.5  # step of log(1 + ratio)
FLAT = 1e-10  # an outcome or covariate that the others explain but for this share of its size
_TILE_BYTES = 1 << 24


@dataclass(frozen=True)
class Reml:
    """Result of `reml`, one entry per outcome; NaN where an outcome is explained without rest.

    Attributes
    ----------
    beta : array of shape (n_outcomes, p)
    residual, person, cell : array of shape (n_outcomes,)
        Variances; exactly 0 at the boundary. `cell` is 0 throughout if no cells were given.
    person_boundary, cell_boundary : array of bool, shape (n_outcomes,)
        Whether the estimate lies at the boundary.
    converged : array of bool, shape (n_outcomes,)
    criterion : array of shape (n_outcomes,)
        −2 × the restricted log-likelihood, as lme4 and statsmodels define it.
    tests : Single
        Of the contrasts, arrays of shape (n_contrasts, n_outcomes).
    joint : Joint or None
    """

    beta: FloatArray
    residual: FloatArray
    person: FloatArray
    cell: FloatArray
    person_boundary: BoolArray
    cell_boundary: BoolArray
    converged: BoolArray
    criterion: FloatArray
    tests: Single
    joint: Joint | None


def reml(
    y: FloatArray,
    x: FloatArray,
    *,
    person: IntArray,
    cell: IntArray | None = None,
    covariates: FloatArray | None = None,
    contrasts: FloatArray,
    joint: FloatArray | None = None,
) -> Reml:
    """Fit y = Xβ + person + cell within person + residual to every outcome, by REML.

    All outcomes share the design and the grouping, which need not be balanced; each has its own
    variances. With λ1 = σ²_person/σ² and λ2 = σ²_cell/σ², V⁻¹ depends on sums over cells only, so
    X'V⁻¹X is a weighted sum of few matrices (`Layers`), and the profiled criterion with its exact
    first and second derivatives costs products of p × p matrices. Newton steps in log(1 + λ)
    start from the best point of a grid that includes the boundary; a component whose best
    value is 0 is reported as exactly 0. Degrees of freedom are Satterthwaite's, from the second
    derivatives of the unprofiled criterion [1]_ [2]_; at the boundary from those of the model
    without the component.

    Parameters
    ----------
    y : array of shape (n_obs, n_outcomes)
        Complete. Observations that are missing are left out as rows.
    x : array of shape (n_obs, p_shared)
        Of full rank.
    person : array of shape (n_obs,)
        Labels.
    cell : array of shape (n_obs,), optional
        Labels within a person, such as the period. None: one component, that of persons.
    covariates : array of shape (n_obs, n_outcomes, q), optional
        Columns that each outcome has of its own, after those of `x`: p = p_shared + q.
    contrasts : array of shape (n_contrasts, p)
        Tested one by one.
    joint : array of shape (rank, p), optional
        Contrasts that are tested together, by F.

    Returns
    -------
    Reml

    Raises
    ------
    StatisticsError
        With missing values, a design of deficient rank, too few observations, or a component that
        cannot be told from the residual.

    References
    ----------
    .. [1] Giesbrecht & Burns 1985, Biometrics 41:477. doi:10.2307/2530872
    .. [2] Kuznetsova, Brockhoff & Christensen 2017, J Stat Softw 82(13). doi:10.18637/jss.v082.i13

    Examples
    --------
    Two values each of three persons: the variance between is that of the means less half of that
    within.

    >>> y = np.array([[1.0], [3.0], [5.0], [7.0], [9.0], [11.0]])
    >>> fit = reml(y, np.ones((6, 1)), person=np.array([0, 0, 1, 1, 2, 2]), contrasts=np.eye(1))
    >>> round(float(fit.residual[0]), 6), round(float(fit.person[0]), 6)
    (2.0, 15.0)
    >>> round(float(fit.tests.df[0, 0]), 6)  # two: persons less one
    2.0
    """
    y, x = _checked(y, x, covariates)
    layers = Layers.of(person, cell)
    own = np.zeros((*y.shape, 0)) if covariates is None else np.asarray(covariates, dtype=float)
    n_outcomes, k = y.shape[1], x.shape[1] + own.shape[2] + 1
    per_outcome = 8 * (len(y) * k + k**2 * (len(GRID) ** 2 + 40))
    step = max(1, _TILE_BYTES // per_outcome)
    parts = [
        _tile(y[:, tile], x, own[:, tile], layers, np.atleast_2d(contrasts), joint)
        for tile in (slice(start, start + step) for start in range(0, n_outcomes, step))
    ]
    return _joined(parts)


def _checked(
    y: FloatArray, x: FloatArray, covariates: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    y, x = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    own = 0 if covariates is None else covariates.shape[2]
    parts = (y, x) if covariates is None else (y, x, covariates)
    missing = sum(int((~np.isfinite(part)).sum()) for part in parts)
    where = "mixed model"
    if missing:
        raise StatisticsError(
            where, f"{missing} missing values", "complete rows", "leave these observations out"
        )
    rank = int(np.linalg.matrix_rank(x))
    if rank < x.shape[1]:
        raise StatisticsError(
            where,
            f"a design of {x.shape[1]} columns and rank {rank}",
            "effects that can be told apart",
            "leave out what another column says already, such as a period nobody was in",
        )
    if len(y) <= x.shape[1] + own + 1:
        raise StatisticsError(
            where,
            f"{len(y)} observations for {x.shape[1] + own} effects",
            "more observations than effects and components",
            "test fewer effects",
        )
    return y, x


def _tile(
    y: FloatArray,
    x: FloatArray,
    own: FloatArray,
    layers: Layers,
    contrasts: FloatArray,
    joint: FloatArray | None,
) -> Reml:
    """Fit the outcomes of one tile, those that vary; the others are NaN."""
    ordinary, *_ = np.linalg.lstsq(x, y, rcond=None)
    rest = y - x @ ordinary
    varies = rest.std(axis=0) > FLAT * np.abs(y).max(axis=0, initial=0)
    found = np.flatnonzero(varies & _independent(x, own))
    n, p = found.size, x.shape[1] + own.shape[2]
    columns = np.empty((n, len(y), p + 1))
    columns[:, :, : x.shape[1]] = x
    columns[:, :, x.shape[1] : p] = own[:, found].swapaxes(0, 1)
    columns[:, :, p] = rest[:, found].T
    basis = layers.basis(columns)
    ratios, converged = _newton(basis, layers, _start(basis, layers, len(y)), len(y))
    at = profile(basis, layers, ratios, len(y))
    beta = at.beta.copy()
    beta[:, : x.shape[1]] += ordinary[:, found].T
    free = (ratios > 0) & np.array([layers.two, True])
    who = 0 if layers.two else 1
    fitted = Reml(
        beta=beta,
        residual=at.sigma2,
        person=at.sigma2 * ratios[:, who],
        cell=at.sigma2 * ratios[:, 1] * layers.two,
        person_boundary=ratios[:, who] == 0,
        cell_boundary=(ratios[:, 1] == 0) & layers.two,
        converged=converged,
        criterion=2 * at.value + (len(y) - p) * (np.log(2 * np.pi) + 1 - np.log(len(y) - p)),
        tests=single_tests(contrasts @ beta.T, contrasts, at, free),
        joint=None if joint is None else joint_test(joint @ beta.T, joint, at, free),
    )
    return _among(fitted, found, y.shape[1])


def _independent(x: FloatArray, own: FloatArray) -> BoolArray:
    """Tell for which outcomes the own covariates add to the shared columns and to one another."""
    n_outcomes, q = own.shape[1:]
    if not q:
        return np.ones(n_outcomes, dtype=bool)
    basis = np.linalg.qr(x)[0]
    each = own.swapaxes(0, 1)  # (n_outcomes, n_obs, q)
    rest = each - basis @ (basis.T @ each)
    size = np.linalg.norm(each, axis=1)
    enough = np.linalg.norm(rest, axis=1) > np.sqrt(FLAT) * size
    scaled = rest / np.where(size > 0, size, 1)[:, None, :]
    return np.asarray(enough.all(axis=1) & (np.linalg.matrix_rank(scaled, rtol=1e-6) == q))


def _start(basis: FloatArray, layers: Layers, n_obs: int) -> FloatArray:
    """Return the best point of the grid for every outcome, shape (n, 2)."""
    persons = GRID if layers.two else (0.0,)
    grid = np.array([(one, other) for one in persons for other in GRID])
    weights, k = layers.weights(grid)[0], basis.shape[-1]
    flat = basis.reshape(*basis.shape[:2], k * k)
    augmented = np.matmul(weights, flat).reshape(len(basis), len(grid), k, k)
    roots = np.diagonal(np.linalg.cholesky(augmented), axis1=2, axis2=3)
    values = np.log(roots[..., :-1]).sum(axis=2) + (n_obs - k + 1) * np.log(roots[..., -1])
    values += layers.log_determinant(grid)[0] / 2
    return grid[values.argmin(axis=1)]


def _newton(
    basis: FloatArray, layers: Layers, start: FloatArray, n_obs: int
) -> tuple[FloatArray, BoolArray]:
    """Minimize the criterion of every outcome within 0 and `LARGEST`.

    Returns
    -------
    ratios : array of shape (n, 2)
    converged : array of bool, shape (n,)
    """
    best, trial = np.log1p(start), np.log1p(start)
    lowest = np.full(len(start), np.inf)
    step, converged = np.zeros_like(best), np.zeros(len(start), dtype=bool)
    active = np.arange(len(start))
    for _ in range(MOST_STEPS):
        if not active.size:
            break
        at = profile(basis[active], layers, np.expm1(trial[active]), n_obs)
        better = at.value <= lowest[active] + 1e-12 * np.abs(at.value)
        taken = active[better]
        best[taken], lowest[taken] = trial[taken], at.value[better]
        step[taken], promised = _step(best[taken], at.slope[better], at.curve[better], layers.two)
        step[active[~better]] *= 0.3
        trial[active] = np.clip(best[active] + step[active], 0, np.log1p(LARGEST))
        done = np.abs(step[active]).max(axis=1) < 1e-9
        done[np.flatnonzero(better)] |= promised < DECREMENT
        converged[active[done]] = True
        active = active[~done]
    best[converged] = trial[converged]
    return np.expm1(best), converged


def _step(
    t: FloatArray, slope: FloatArray, curve: FloatArray, two: bool
) -> tuple[FloatArray, FloatArray]:
    """Take the Newton step of t = log(1 + λ), downhill and not too long; and what it promises."""
    factor = np.exp(t)
    g = slope * factor
    h = curve * factor[:, :, None] * factor[:, None, :]
    h[:, [0, 1], [0, 1]] += g
    held = (t <= 0) & (g >= 0)
    held[:, 0] |= not two
    g = np.where(held, 0, g)
    h = np.where(held[:, :, None] | held[:, None, :], np.eye(2), h)
    values, vectors = np.linalg.eigh(h)
    along = np.einsum("nij,ni->nj", vectors, g)
    size = np.maximum(np.abs(values), 1e-6)
    step = -np.einsum("nij,nj->ni", vectors, along / size)
    longest = np.abs(step).max(axis=1, keepdims=True)
    step *= np.minimum(1, LONGEST / np.maximum(longest, 1e-300))
    promised = np.where((values > 0).all(axis=1), (along**2 / size).sum(axis=1), np.inf)
    return step, promised


def profile(basis: FloatArray, layers: Layers, ratios: FloatArray, n_obs: int) -> Profile:
    """Compute the profiled criterion and its derivatives.

    Parameters
    ----------
    basis : array of shape (n, n_basis, p + 1, p + 1)
        Of the design and, last, the outcome: `Layers.basis`.
    layers : Layers
    ratios : array of shape (n, 2)
    n_obs : int

    Returns
    -------
    Profile
    """
    n, n_basis, k, _ = basis.shape
    p = k - 1
    weights = layers.weights(ratios).swapaxes(0, 1)
    products = np.matmul(weights, basis.reshape(n, n_basis, k * k)).reshape(n, 6, k, k)
    inverse = np.linalg.inv(products[:, 0, :p, :p])
    beta = np.einsum("nij,nj->ni", inverse, products[:, 0, :p, p])
    errors = np.concatenate([-beta, np.ones((n, 1))], axis=1)
    of_error = products @ errors[:, None, :, None]  # (n, 6, k, 1)
    rss = np.einsum("nk,nak->an", errors, of_error[..., 0])  # value and five derivatives
    score = of_error[:, 1:3, :p, 0]
    turned = np.matmul(score, inverse)
    solved = np.matmul(inverse[:, None], products[:, 1:, :p, :p])  # M⁻¹ dM
    trace = np.trace(solved, axis1=2, axis2=3).T
    first, second = solved[:, :2], trace[2:]
    twice = np.stack(
        [np.einsum("nij,nji->n", first[:, a], first[:, b]) for a, b in ((0, 0), (0, 1), (1, 1))]
    )
    rss2 = rss[3:] - 2 * np.stack(
        [np.einsum("np,np->n", score[:, a], turned[:, b]) for a, b in ((0, 0), (0, 1), (1, 1))]
    )
    log_v = layers.log_determinant(ratios)
    sigma2 = rss[0] / (n_obs - p)
    log_m = -np.linalg.slogdet(inverse)[1]
    value = (log_v[0] + log_m + (n_obs - p) * np.log(rss[0])) / 2
    slope = (log_v[1:3] + trace[:2] + rss[1:3] / sigma2) / 2
    curve = (log_v[3:] + second - twice + rss2 / sigma2) / 2
    cross = np.stack([rss[1] ** 2, rss[1] * rss[2], rss[2] ** 2])
    profiled = curve - cross / sigma2**2 / (n_obs - p) / 2
    full = np.empty((n, 3, 3))
    full[:, 0, 0] = (n_obs - p) / 2
    full[:, 0, 1:] = full[:, 1:, 0] = -(rss[1:3] / sigma2).T / 2
    full[:, 1:, 1:] = _square(curve)
    change = products[:, 1:3, :p, :p]
    return Profile(value, slope.T, _square(profiled), full, beta, sigma2, inverse, change)


def _square(three: FloatArray) -> FloatArray:
    """Make symmetric matrices of (11, 12, 22), shape (n, 2, 2)."""
    return np.stack([three[[0, 1]], three[[1, 2]]]).transpose(2, 0, 1)


def _among(fitted: Reml, found: IntArray, n_outcomes: int) -> Reml:
    """Put fits back among the outcomes that could not be fitted."""

    def placed(values: FloatArray, axis: int) -> FloatArray:
        shape = list(values.shape)
        shape[axis] = n_outcomes
        whole = np.full(shape, False if values.dtype == bool else np.nan)
        whole[(slice(None),) * axis + (found,)] = values
        return whole

    return _mapped([fitted], lambda parts, axis: placed(parts[0], axis))


def _joined(parts: list[Reml]) -> Reml:
    return _mapped(parts, lambda arrays, axis: np.concatenate(arrays, axis=axis))


def _mapped(parts: list[Reml], work: Callable[[list[Any], int], Any]) -> Reml:
    """Apply `work` to every array of fits, of outcomes along `axis`."""
    tests = Single(
        *(work([getattr(one.tests, f.name) for one in parts], 1) for f in fields(Single))
    )
    together = [one.joint for one in parts if one.joint is not None]
    joint = (
        Joint(*(work([getattr(one, f.name) for one in together], 0) for f in fields(Joint)))
        if together
        else None
    )
    single = {
        f.name: work([getattr(one, f.name) for one in parts], 0)
        for f in fields(Reml)
        if f.name not in ("tests", "joint")
    }
    return Reml(**single, tests=tests, joint=joint)
