"""What a BOLD run shows to the eye: its carpet, and how its signal compares with its noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray

ROWS = {"GM": 120, "WM": 60, "CSF": 30}  # of the carpet
_PARALLEL = 1e-9  # share of the variance below which a row counts as constant


@dataclass(frozen=True)
class RunQuality:
    """The carpet of a run, and its signal-to-noise ratio.

    Attributes
    ----------
    carpet : array of shape (n_frames, n_rows)
        Mean of a few neighbouring voxels in each row, without mean and linear trend, over its
        standard deviation; dummies take no part in these and are not cut off. A row that does
        not vary is 0.
    tissues : tuple of n_rows str
        GM, WM or CSF of each row.
    tsnr : float
        Median over grey-matter voxels of mean over standard deviation, in time, without linear
        trend; NaN without such a voxel.

    References
    ----------
    Power JD. A simple but useful way to assess fMRI scan qualities. NeuroImage 2017;154:150-158.
    Krüger G, Glover GH. Physiological noise in oxygenation-sensitive magnetic resonance imaging.
    Magn Reson Med 2001;46:631-637.
    """

    carpet: FloatArray
    tissues: tuple[str, ...]
    tsnr: float

    def table(self) -> pd.DataFrame:
        """Tabulate the carpet, two decimals, columns GM000, GM001, ... CSF029."""
        number = {tissue: count() for tissue in dict.fromkeys(self.tissues)}
        columns = [f"{tissue}{next(number[tissue]):03d}" for tissue in self.tissues]
        return pd.DataFrame(self.carpet.round(2), columns=columns)


class QualityCollector:
    """Collects carpet and noise, one volume at a time.

    Parameters
    ----------
    masks : mapping of GM, WM or CSF to bool array of shape (n_voxels,)
        Voxels that are followed; those of one tissue are averaged in groups of neighbours.
    dummy : int, default=0
        Leading volumes that no mean, trend or deviation takes in.
    rows : mapping of tissue to the largest number of rows, optional

    Examples
    --------
    >>> collector = QualityCollector({"GM": np.array([True, True, False])}, rows={"GM": 1})
    >>> for volume in ([9, 11, 0], [11, 13, 0], [9, 11, 0], [11, 13, 0], [9, 11, 0]):
    ...     collector.add(volume)
    >>> quality = collector.finish()
    >>> quality.carpet.ravel().round(2)
    array([-0.82,  1.22, -0.82,  1.22, -0.82])
    >>> round(quality.tsnr, 2)
    8.54
    """

    def __init__(
        self,
        masks: Mapping[str, BoolArray],
        *,
        dummy: int = 0,
        rows: Mapping[str, int] = ROWS,
    ) -> None:
        self._dummy = dummy
        voxels = {tissue: np.flatnonzero(mask) for tissue, mask in masks.items()}
        groups = [
            (tissue, part)
            for tissue, found in voxels.items()
            if found.size
            for part in np.array_split(found, min(rows[tissue], found.size))
        ]
        self._tissues = tuple(tissue for tissue, _ in groups)
        self._shape = next(iter(masks.values())).shape
        self._mean_over = _mean_matrix([part for _, part in groups], self._shape[0])
        self._grey = voxels.get("GM", np.array([], dtype=int))
        self._rows: list[FloatArray] = []
        self._moments: FloatArray = np.zeros((3, self._grey.size))  # of y, y * y, t * y

    def add(self, volume: ArrayLike) -> None:
        """Take the next volume, of shape (n_voxels,)."""
        values = np.asarray(volume, dtype=float)
        time = len(self._rows) - self._dummy
        if time >= 0:
            grey = values[self._grey]
            self._moments += np.stack([grey, grey * grey, time * grey])
        self._rows.append(self._mean_over @ values)

    def finish(self) -> RunQuality:
        """Standardise the rows and estimate the noise.

        Raises
        ------
        DatasetError
            If fewer than 4 volumes came after the dummies.
        """
        n_frames = len(self._rows) - self._dummy
        if n_frames < 4:
            raise DatasetError(
                "quality of a BOLD run", f"{n_frames} volumes", "at least 4", "check the run"
            )
        time = np.arange(len(self._rows)) - self._dummy
        rows = np.array(self._rows)
        centred = time - (n_frames - 1) / 2
        steady = slice(self._dummy, None)
        slope = centred[steady] @ rows[steady] / (centred[steady] @ centred[steady])
        mean = rows[steady].mean(axis=0)
        left = rows - mean - centred[:, None] * slope
        deviation = left[steady].std(axis=0)
        varies = deviation > _PARALLEL * np.abs(rows).max(axis=0, initial=0)
        carpet = np.divide(left, deviation, out=np.zeros_like(left), where=varies)
        return RunQuality(carpet, self._tissues, self._tsnr(n_frames))

    def _tsnr(self, n: int) -> float:
        total, squares, products = self._moments
        spread = n * (n * n - 1) / 12  # of 0, 1, ... n - 1 about their mean
        slope = (products - (n - 1) / 2 * total) / spread
        left = (squares - total**2 / n - slope**2 * spread) / (n - 2)
        varies = left > _PARALLEL * squares / n
        if not varies.any():
            return float("nan")
        return float(np.median(total[varies] / n / np.sqrt(left[varies])))


def _mean_matrix(groups: list[np.ndarray], n_voxels: int) -> sparse.csr_array:
    """Make the (n_groups, n_voxels) matrix that averages the voxels of each group."""
    row = np.repeat(np.arange(len(groups)), [part.size for part in groups])
    weight = np.repeat([1 / part.size for part in groups], [part.size for part in groups])
    column = np.concatenate(groups) if groups else np.array([], dtype=int)
    return sparse.csr_array((weight, (row, column)), shape=(len(groups), n_voxels))
