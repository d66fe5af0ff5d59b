"""Tests of fixed effects with Satterthwaite's degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from petfmri.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Profile:
    """The profiled criterion at given ratios, over the outcomes of a tile.

    Attributes
    ----------
    value : array of shape (n,)
        Minus the profiled restricted log-likelihood, without constants.
    slope : array of shape (n, 2)
    curve : array of shape (n, 2, 2)
        Its first and second derivatives in (λ1, λ2).
    full : array of shape (n, 3, 3)
        Second derivatives of the unprofiled criterion in (log σ², λ1, λ2) at the best σ².
    beta : array of shape (n, p)
    sigma2 : array of shape (n,)
    inverse : array of shape (n, p, p)
        (X'V⁻¹X)⁻¹, of which σ² times is the covariance of beta.
    change : array of shape (n, 2, p, p)
        Derivatives of X'V⁻¹X in λ1 and λ2.
    """

    value: FloatArray
    slope: FloatArray
    curve: FloatArray
    full: FloatArray
    beta: FloatArray
    sigma2: FloatArray
    inverse: FloatArray
    change: FloatArray


@dataclass(frozen=True)
class Single:
    """One t test per contrast, arrays of shape (n_contrasts, n_outcomes)."""

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    t: FloatArray
    p: FloatArray


@dataclass(frozen=True)
class Joint:
    """One F test of several contrasts, arrays of shape (n_outcomes,)."""

    f: FloatArray
    df: FloatArray
    p: FloatArray


def single_tests(
    estimate: FloatArray, contrasts: FloatArray, at: Profile, free: BoolArray
) -> Single:
    """Test contrasts one by one.

    The variance of a contrast is f = σ² l'(X'V⁻¹X)⁻¹l, and its degrees of freedom are
    2f² / (g'Ag), g being the derivatives of f in (log σ², λ1, λ2) and A the inverse of the second
    derivatives of the criterion. Components that are not `free` take no part.

    Parameters
    ----------
    estimate : array of shape (n_contrasts, n)
    contrasts : array of shape (n_contrasts, p)
    at : Profile
    free : array of bool, shape (n, 2)
    """
    vectors = np.broadcast_to(contrasts[:, None], (len(contrasts), *at.beta.shape))
    variance, df = _precision(vectors, at, free)
    se = np.sqrt(variance)
    t = estimate / se
    return Single(estimate, se, df, t, 2 * special.stdtr(df, -np.abs(t)))


def joint_test(estimate: FloatArray, contrasts: FloatArray, at: Profile, free: BoolArray) -> Joint:
    """Test contrasts together; degrees of freedom as Fai and Cornelius [1]_.

    The contrasts are turned until their estimates are independent; F is the mean of their squared
    t, whose degrees of freedom ν give E = Σ ν/(ν − 2) and those of F, 2E/(E − rank).

    Parameters
    ----------
    estimate, contrasts, at, free
        As `single_tests`; the contrasts are independent of one another.

    References
    ----------
    .. [1] Fai & Cornelius 1996, J Stat Comput Simul 54:363. doi:10.1080/00949659608811740
    """
    rank = len(contrasts)
    covariance = contrasts @ at.inverse @ contrasts.T
    turn = np.linalg.eigh(covariance)[1].swapaxes(1, 2)  # (n, rank, rank)
    vectors = (turn @ contrasts).swapaxes(0, 1)
    variance, each = _precision(vectors, at, free)
    turned = np.einsum("nab,bn->an", turn, estimate)
    f = (turned**2 / variance).mean(axis=0)
    total = np.where(each > 2, each / np.maximum(each - 2, 1e-12), 0).sum(axis=0)
    df = np.where(total > rank, 2 * total / np.maximum(total - rank, 1e-12), 2.0)
    df = each[0] if rank == 1 else df
    return Joint(f, df, special.fdtrc(rank, df, f))


def _precision(vectors: FloatArray, at: Profile, free: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Compute variance and degrees of freedom of contrasts of shape (n_contrasts, n, p)."""
    solved = np.einsum("nij,cnj->cni", at.inverse, vectors, optimize=True)
    relative = np.einsum("cni,cni->cn", vectors, solved)
    moved = np.einsum("cni,naij,cnj->cna", solved, at.change, solved, optimize=True)
    gradient = np.concatenate(
        [np.ones((*relative.shape, 1)), -moved / relative[..., None] * free], axis=2
    )
    kept = np.concatenate([np.ones((len(free), 1), dtype=bool), free], axis=1)
    full = np.where(kept[:, :, None] & kept[:, None, :], at.full, np.eye(3))
    spread = np.einsum("cni,nij,cnj->cn", gradient, np.linalg.inv(full), gradient, optimize=True)
    return at.sigma2 * relative, np.where(spread > 0, 2 / np.maximum(spread, 1e-300), np.nan)
