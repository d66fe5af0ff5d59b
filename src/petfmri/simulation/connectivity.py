"""True connectivity of a session, and parcel series that have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import fft

from petfmri.errors import InputError
from petfmri.networks.connectivity import fisher_z
from petfmri.networks.registry import metrics_for
from petfmri.simulation.effects import Effects, Person, whitened
from petfmri.typing import FloatArray, IntArray

WITHIN_FC = {"Vis": 0.60, "SomMot": 0.60, "DorsAttn": 0.54, "SalVentAttn": 0.54, "Limbic": 0.50,
             "Cont": 0.54, "Default": 0.56, "Subcortex": 0.50, "Cerebellum": 0.54}  # fmt: skip
BETWEEN_FC = {
    ("Vis", "SomMot"): 0.12, ("Vis", "DorsAttn"): 0.16, ("SomMot", "DorsAttn"): 0.13,
    ("SomMot", "SalVentAttn"): 0.16, ("DorsAttn", "Cont"): 0.12, ("SalVentAttn", "Cont"): 0.13,
    ("Cont", "Default"): 0.13, ("Limbic", "Default"): 0.15, ("SomMot", "Default"): 0.03,
    ("DorsAttn", "Default"): 0.03, ("Vis", "Default"): 0.05,
}  # fmt: skip
OTHER_WITHIN_FC, OTHER_BETWEEN_FC = 0.52, 0.09
PERSON_SD = 0.02  # of within- and between-network correlation over people
BAND_HZ = (0.01, 0.09)


@dataclass(frozen=True)
class NetworkModel:
    """Regions that follow the course of their network, networks that correlate.

    Parameters
    ----------
    codes : int array of shape (n_regions,)
        The network of every region, a row of `blocks`.
    blocks : array of shape (n_networks, n_networks)
        Correlation between two regions of one network (diagonal) or of two networks.
    """

    codes: IntArray
    blocks: FloatArray

    def matrix(self) -> FloatArray:
        """Return the true connectivity, array of shape (n_regions, n_regions)."""
        matrix = self.blocks[np.ix_(self.codes, self.codes)]
        np.fill_diagonal(matrix, 1.0)
        return np.asarray(matrix)

    @property
    def loadings(self) -> FloatArray:
        """Correlation of a region with the course of its network, per network."""
        return np.asarray(np.sqrt(np.diag(self.blocks)))

    @property
    def course_correlation(self) -> FloatArray:
        """Correlation between the courses of the networks."""
        return np.asarray(self.blocks / np.outer(self.loadings, self.loadings))

    def series(
        self,
        n_frames: int,
        repetition_time_s: float,
        rng: np.random.Generator,
        *,
        settling: int = 0,
    ) -> FloatArray:
        """Draw slow parcel series with this connectivity.

        The courses of the networks are made uncorrelated within the scan before they are mixed,
        so that a session shows its true network correlations instead of one draw around them;
        what belongs to single regions is drawn freely.

        Parameters
        ----------
        n_frames : int
        repetition_time_s : float, s
        rng : Generator
        settling : int, default=0
            Leading frames (dummy scans) that do not count for exactness.

        Returns
        -------
        array of shape (n_frames, n_regions), SD 1

        Raises
        ------
        InputError
            If the scan is too short for the number of networks.
        """
        _require_freedom(n_frames - settling, repetition_time_s, len(self.blocks))
        raw = slow_noise(n_frames, len(self.blocks), repetition_time_s, rng)
        latent = whitened(raw, settling)
        courses = latent @ np.linalg.cholesky(self.course_correlation).T
        own = slow_noise(n_frames, len(self.codes), repetition_time_s, rng)
        own = own - own[settling:].mean(axis=0)
        counted = latent[settling:]
        own = own - latent @ (counted.T @ own[settling:] / (len(counted) - 1))
        own /= own[settling:].std(axis=0, ddof=1)
        weight = self.loadings[self.codes]
        return np.asarray(courses[:, self.codes] * weight + own * np.sqrt(1 - weight**2))


def network_model(
    networks: pd.Series[str], effects: Effects, scale: float, traits: tuple[float, float]
) -> NetworkModel:
    """Return the connectivity of one session.

    Parameters
    ----------
    networks : Series of str
        The network of every region.
    effects : Effects
    scale : float
        Of the planted change; 0 before the dose.
    traits : 2 standard normal values
        How the person differs from others within and between networks, in both sessions.

    Raises
    ------
    InputError
        If the planted changes leave no valid correlation matrix.

    Examples
    --------
    >>> networks = pd.Series(["Vis", "Vis", "Default"])
    >>> network_model(networks, Effects(), 0.0, (0.0, 0.0)).matrix()
    array([[1.  , 0.6 , 0.05],
           [0.6 , 1.  , 0.05],
           [0.05, 0.05, 1.  ]])
    """
    names = sorted(set(networks))
    between = PERSON_SD * traits[1] + scale * effects.between_fc_change
    blocks = np.full((len(names), len(names)), OTHER_BETWEEN_FC + between)
    for (first, second), value in BETWEEN_FC.items():
        if first in names and second in names:
            i, j = names.index(first), names.index(second)
            extra = effects.default_sommot_fc_change if (i, j) == _pair(names) else 0.0
            blocks[i, j] = blocks[j, i] = value + between + scale * extra
    within = np.array([WITHIN_FC.get(name, OTHER_WITHIN_FC) for name in names])
    np.fill_diagonal(blocks, within + PERSON_SD * traits[0] + scale * effects.within_fc_change)
    model = NetworkModel(np.array([names.index(name) for name in networks]), blocks)
    _require_valid(model)
    return model


def person_networks(
    person: Person, networks: pd.Series[str], effects: Effects, *, after: bool
) -> NetworkModel:
    """Return a person's true connectivity before or after the dose."""
    scale = person.segregation_scale if after else 0.0
    return network_model(networks, effects, scale, person.traits)


def true_metrics(connectivity: FloatArray, table: pd.DataFrame) -> dict[str, float]:
    """Compute the network metrics of the cortex from a true correlation matrix.

    Parameters
    ----------
    connectivity : array of shape (n_regions, n_regions)
    table : DataFrame
        Of the atlas, in the order of the matrix.
    """
    cortex = (table["structure"] == "cortex").to_numpy()
    labels = table["network"][cortex].tolist()
    z = fisher_z(connectivity)[np.ix_(cortex, cortex)]
    metrics = (metric for metric in metrics_for(labels) if metric.of == "connectivity")
    return {metric.name: metric.function(z, labels) for metric in metrics}


def slow_noise(
    n_frames: int, n_series: int, repetition_time_s: float, rng: np.random.Generator
) -> FloatArray:
    """Draw noise of the resting-state band with a 1/f power spectrum, SD about 1.

    Returns
    -------
    array of shape (n_frames, n_series)
    """
    padded = 2 * n_frames  # what is cut off keeps the two ends from joining
    frequency = fft.rfftfreq(padded, repetition_time_s)
    inside = (frequency >= BAND_HZ[0]) & (frequency <= BAND_HZ[1])
    shape = np.where(inside, 1 / np.sqrt(np.maximum(frequency, BAND_HZ[0])), 0.0)
    spectrum = fft.rfft(rng.normal(size=(padded, n_series)), axis=0) * shape[:, None]
    sd = np.sqrt(np.mean(shape[1:] ** 2))
    return np.asarray(fft.irfft(spectrum, padded, axis=0)[:n_frames] / sd)


def _pair(names: list[str]) -> tuple[int, int] | None:
    both = "SomMot" in names and "Default" in names
    return (names.index("SomMot"), names.index("Default")) if both else None


def _require_valid(model: NetworkModel) -> None:
    within = np.diag(model.blocks)
    valid = within.min() > 0 and within.max() < 1
    if valid and np.linalg.eigvalsh(model.course_correlation)[0] > 1e-3:
        return
    raise InputError(
        "planted change of connectivity",
        f"correlations from {within.min():.2f} to {within.max():.2f} within networks that cannot "
        "hold with those between them",
        "networks that stay more similar within than between",
        "plant a smaller change or less spread over people",
    )


def _require_freedom(n_frames: int, repetition_time_s: float, n_networks: int) -> None:
    freedom = int(2 * n_frames * repetition_time_s * (BAND_HZ[1] - BAND_HZ[0]))
    if freedom <= n_networks:
        raise InputError(
            "simulated BOLD series",
            f"{n_frames} frames: {freedom} degrees of freedom of slow signal",
            f"more than the {n_networks} networks",
            "simulate a longer scan",
        )
