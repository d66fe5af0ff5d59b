"""Connectivity gradients: diffusion maps on one scale for all sessions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh, svd

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray

CONNECTED = 1e-9


@dataclass(frozen=True)
class Gradients:
    """Diffusion map of one connectivity matrix.

    Attributes
    ----------
    values : array of shape (n_parcels, n_components)
        Position of each parcel on each gradient; NaN for missing parcels.
    eigenvalues : array of shape (n_components,)
        Of the diffusion operator, largest first, the trivial 1 left out. They belong to the
        gradients before `align`, which mixes them.
    """

    values: FloatArray
    eigenvalues: FloatArray


@dataclass(frozen=True)
class GradientMetric:
    """One number per session from the aligned gradients, described for tables."""

    name: str
    label: str
    unit: str
    description: str


GRADIENT_METRICS: tuple[GradientMetric, ...] = (
    GradientMetric(
        "gradient_range",
        "Range of the principal gradient",
        "diffusion units",
        "5th to 95th percentile over parcels of the first gradient, aligned to the study's template",
    ),
    GradientMetric(
        "default_sommot_distance",
        "Distance of default and somatomotor network on the principal gradient",
        "diffusion units",
        "Mean over default minus mean over somatomotor parcels, aligned to the study's template",
    ),
)


def gradients(
    connectivity: FloatArray, n_components: int = 10, keep: float = 0.1, alpha: float = 0.5
) -> Gradients:
    """Embed the parcels by the similarity of their connectivity profiles [1]_ [2]_.

    1. Of each row the ⌊keep · n⌋ largest values (at least 1) stay, n the number of present parcels
       and the diagonal not among them: 40 of 400 (BrainSpace: 39).
       Values tied with the smallest of them stay too; what is negative then becomes 0.
    2. Affinity W: cosine of every two rows (not BrainSpace's normalised angle).
    3. W_α = W / (d_i d_j)^α, with d the row sums of W.
    4. Eigenvectors of S = D^{−1/2} W_α D^{−1/2}, D the row sums of W_α, by a dense symmetric solve.
       It has the eigenvalues λ of the diffusion operator D⁻¹ W_α, whose eigenvectors ψ are those
       of S times D^{−1/2}.
    5. Gradient k is ψ_k λ_k / (1 − λ_k), with ψ_k of variance 1 under the stationary distribution
       D / ΣD: the sum over all diffusion times. This is the scale of every session; nothing is
       divided by a session's own spread.

    Signs are arbitrary in nature: here the largest absolute value is positive. For comparisons use
    `aligned_gradients`.

    Parameters
    ----------
    connectivity : array of shape (n_parcels, n_parcels)
        Pearson r or Fisher z of the cortex: subcortical parcels would span axes of their own. The
        diagonal is not read except for NaN, which marks missing parcels.
    n_components : int
    keep : float
        Share of each row that stays.
    alpha : float
        0: density of parcels counts fully; 1: not at all; 0.5: as [1]_.

    Raises
    ------
    DatasetError
        With fewer than ``n_components + 2`` present parcels, a parcel that has no positive
        connectivity, or parcels that fall apart into groups without any common neighbour.

    References
    ----------
    .. [1] Margulies DS et al (2016). PNAS 113:12574. doi:10.1073/pnas.1608282113
    .. [2] Coifman RR, Lafon S (2006). Appl Comput Harmon Anal 21:5. doi:10.1016/j.acha.2006.04.006

    Examples
    --------
    >>> position = np.linspace(0, 1, 40)
    >>> found = gradients(np.exp(-10 * (position[:, None] - position) ** 2), 2, keep=0.3)
    >>> round(abs(float(np.corrcoef(found.values[:, 0], position)[0, 1])), 2)
    0.98
    """
    present = ~np.isnan(np.diag(connectivity))
    n = int(np.count_nonzero(present))
    if n < n_components + 2:
        raise DatasetError(
            "connectivity",
            f"{n} parcels with signal",
            f"at least {n_components + 2} for {n_components} gradients",
            "check coverage, or ask for fewer gradients",
        )
    W = affinity(np.asarray(connectivity, dtype=float)[np.ix_(present, present)], keep)
    density = W.sum(axis=1) ** alpha
    W = W / np.outer(density, density)
    degree = W.sum(axis=1)
    S = W / np.sqrt(np.outer(degree, degree))
    eigenvalues, vectors = eigh((S + S.T) / 2, subset_by_index=[n - n_components - 1, n - 1])
    eigenvalues, vectors = eigenvalues[-2::-1], vectors[:, -2::-1]
    if eigenvalues[0] > 1 - CONNECTED:
        raise DatasetError(
            "connectivity",
            "groups of parcels without any common neighbour",
            "one connected whole",
            "keep a larger share of each row",
        )
    psi = vectors * np.sqrt(degree.sum() / degree)[:, None]
    values = np.full((present.size, n_components), np.nan)
    values[present] = _largest_positive(psi * (eigenvalues / (1 - eigenvalues)))
    return Gradients(values, eigenvalues)


def affinity(connectivity: FloatArray, keep: float = 0.1) -> FloatArray:
    """Cosine of the strongest connections of every two parcels; steps 1 and 2 of `gradients`.

    Parameters
    ----------
    connectivity : array of shape (n_parcels, n_parcels)
        Without missing parcels; the diagonal is not read.

    Returns
    -------
    array of shape (n_parcels, n_parcels)
        0 to 1, symmetric.

    Raises
    ------
    DatasetError
        If a parcel has no positive connectivity.

    Examples
    --------
    >>> affinity(np.array([[1, 0.3, 0.4], [0.3, 1, 0.4], [0.4, 0.4, 1]]), 0.7)[0].round(3)
    array([1.   , 0.64 , 0.424])
    """
    n = len(connectivity)
    rows = np.array(connectivity, dtype=float)
    np.fill_diagonal(rows, -np.inf)
    kept = min(max(math.floor(keep * n + 1e-9), 1), n - 1)
    smallest = np.partition(rows, n - kept, axis=1)[:, n - kept, None]
    rows = np.where((rows >= smallest) & (rows > 0), rows, 0.0)
    norm: FloatArray = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norm.all():
        raise DatasetError(
            "connectivity",
            f"{np.count_nonzero(norm == 0)} parcels without a positive connection",
            "at least one in each row",
            "check the signals of these parcels",
        )
    cosine = (rows / norm) @ (rows / norm).T
    return np.asarray(np.clip((cosine + cosine.T) / 2, 0, 1))


def align(values: FloatArray, template: FloatArray) -> FloatArray:
    """Turn gradients onto a template: orthogonal Procrustes [1]_.

    The rotation or reflection R that minimises ‖values R − template‖ over parcels present in both.
    Neither scaled nor centred, so distances between parcels stay what they were.

    Parameters
    ----------
    values, template : array of shape (n_parcels, n_components)
        Missing parcels are NaN.

    Returns
    -------
    array of shape (n_parcels, n_components)

    References
    ----------
    .. [1] Schönemann PH (1966). Psychometrika 31:1. doi:10.1007/BF02289451

    Examples
    --------
    >>> template = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    >>> align(0.5 * template[:, ::-1], template).round(12) + 0.0  # half the size stays half
    array([[ 1. ,  0. ],
           [-1. ,  0. ],
           [ 0. ,  0.5],
           [ 0. , -0.5]])
    """
    both = np.isfinite(values).all(axis=1) & np.isfinite(template).all(axis=1)
    U, _, Vt = svd(values[both].T @ template[both])
    return np.asarray(values @ (U @ Vt))


def aligned_gradients(
    connectivity: Sequence[FloatArray],
    networks: Sequence[str] | None = None,
    n_components: int = 10,
    keep: float = 0.1,
    alpha: float = 0.5,
) -> list[Gradients]:
    """Gradients of all sessions of a study, on one template and one scale.

    The template is the `gradients` of the mean connectivity over all sessions, over the parcels
    present in every one. Each session is turned onto it by `align`. All have the scale of step 5 of
    `gradients`, so a compressed gradient stays compressed. Signs come from the template: the mean
    over Default lies above that over SomMot if both are among `networks`, else the largest
    absolute value is positive. The order of the sessions plays no part.

    Parameters
    ----------
    connectivity : sequence of arrays of shape (n_parcels, n_parcels)
        Fisher z of the cortex in each session; missing parcels are NaN.
    networks : sequence of str, of length n_parcels, optional
    n_components, keep, alpha
        As `gradients`.

    Returns
    -------
    list of Gradients

    Raises
    ------
    DatasetError
        As `gradients`, for a session or the template.
    """
    mean = np.mean(np.asarray(connectivity, dtype=float), axis=0)
    lost = np.isnan(np.diag(mean))
    mean[lost] = mean[:, lost] = np.nan
    template = _upright(gradients(mean, n_components, keep, alpha).values, networks)
    sessions = [gradients(one, n_components, keep, alpha) for one in connectivity]
    return [Gradients(align(one.values, template), one.eigenvalues) for one in sessions]


def gradient_metrics(values: FloatArray, networks: Sequence[str]) -> dict[str, float]:
    """Flattening of the principal gradient [1]_.

    Range: 95th minus 5th percentile of the first gradient over the present parcels. Distance: its
    mean over Default minus its mean over SomMot. The range is that of any axis: where other
    connections have taken the place of the principal one, it may rise again; the distance does not.

    Parameters
    ----------
    values : array of shape (n_parcels, n_components)
        Of `aligned_gradients`.
    networks : sequence of str, of length n_parcels

    Returns
    -------
    dict of name to value
        Those of `GRADIENT_METRICS`; NaN for the distance if either network has no parcel.

    References
    ----------
    .. [1] Girn M et al (2022). NeuroImage 256:119220. doi:10.1016/j.neuroimage.2022.119220

    Examples
    --------
    >>> values = np.array([[3.0], [1.0], [-2.0]])
    >>> gradient_metrics(values, ["Default", "Default", "SomMot"])
    {'gradient_range': 4.5, 'default_sommot_distance': 4.0}
    """
    first = values[:, 0]
    low, high = np.nanpercentile(first, [5, 95])
    default, sommot = (_members(first, networks, name) for name in ("Default", "SomMot"))
    both = default.any() and sommot.any()
    distance = first[default].mean() - first[sommot].mean() if both else np.nan
    return {"gradient_range": float(high - low), "default_sommot_distance": float(distance)}


def _upright(values: FloatArray, networks: Sequence[str] | None) -> FloatArray:
    """Turn each gradient so that Default lies above SomMot, if both are there."""
    if networks is None:
        return values
    default, sommot = (_members(values[:, 0], networks, name) for name in ("Default", "SomMot"))
    if not (default.any() and sommot.any()):
        return values
    return np.where(values[default].mean(axis=0) < values[sommot].mean(axis=0), -values, values)


def _members(first: FloatArray, networks: Sequence[str], name: str) -> BoolArray:
    return np.asarray((np.asarray(networks) == name) & np.isfinite(first))


def _largest_positive(values: FloatArray) -> FloatArray:
    extreme = values[np.abs(values).argmax(axis=0), np.arange(values.shape[1])]
    return np.asarray(values * np.sign(extreme))
