"""Everything that denoising needs from a 4-D image, gathered in one pass over its volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from petfmri.bold.parcels import ParcelSeries, check_index, columns_of, missing_parcels
from petfmri.errors import DatasetError
from petfmri.typing import BoolArray, FloatArray, IntArray

DVARS_SAMPLE = 5000
TISSUES = ("global_signal", "white_matter", "csf")


@dataclass(frozen=True)
class RunSignals(ParcelSeries):
    """The mean signals of one run, before denoising.

    Attributes
    ----------
    series, coverage, missing
        As in `ParcelSeries`.
    tissues : mapping of ``global_signal``, ``white_matter``, ``csf`` to array of shape (n_frames,)
        Absent where the mask holds no voxel with signal.
    dvars : array of shape (n_frames,)
        Root mean square over the brain of the change from the volume before, in per mille of the
        median brain intensity [1]_; NaN for the first volume.
    std_dvars : array of shape (n_frames,)
        `dvars` over its expectation from the voxels' own noise and lag-1 autocorrelation [2]_,
        so that 1 is usual.
    compcor_voxels : array of shape (n_frames, n_voxels), float32
        The white-matter and CSF voxels for aCompCor.

    References
    ----------
    .. [1] Power JD et al (2012). NeuroImage 59:2142. doi:10.1016/j.neuroimage.2011.10.018
    .. [2] Nichols TE (2017). Notes on creating a standardized version of DVARS. arXiv:1704.01469
    """

    tissues: Mapping[str, FloatArray]
    dvars: FloatArray
    std_dvars: FloatArray
    compcor_voxels: FloatArray


class SignalCollector:
    """Collects parcel means and confound signals, one volume at a time.

    Only sums and a few sampled voxels are kept of each volume. Sums are float64; voxels that never
    vary are taken out of them at the end, exactly.

    Parameters
    ----------
    labels : int array of shape (n_voxels,)
        Atlas labels on the BOLD grid, flattened.
    index : int array of shape (n_parcels,)
        Labels in the order of the atlas table: the columns of the result, always all of them.
    in_fov : bool array of shape (n_voxels,)
        True where *every* volume of the run has data after motion correction.
    brain, white_matter, csf : bool array of shape (n_voxels,)
        The tissue masks eroded already, clear of the cortex.
    on_grid : array of shape (n_parcels,), optional
        Fraction of each parcel that the BOLD grid contains at all; 1 when absent.
    min_coverage : float
        Parcels with a smaller covered fraction are missing.
    where : str
        Names the run in errors.

    Raises
    ------
    DatasetError
        If the arrays differ in length or the index repeats a label.

    Examples
    --------
    >>> labels = np.array([1, 1, 2, 2, 0])
    >>> nowhere, everywhere = np.zeros(5, dtype=bool), np.ones(5, dtype=bool)
    >>> collector = SignalCollector(labels, np.array([1, 2, 3]), in_fov=everywhere,
    ...                             brain=labels > 0, white_matter=nowhere, csf=nowhere)
    >>> for volume in ([1, 3, 5, 0, 9], [3, 5, 7, 0, 9], [2, 4, 9, 0, 9]):
    ...     collector.add(volume)
    >>> run = collector.finish()
    >>> run.series
    array([[ 2.,  5., nan],
           [ 4.,  7., nan],
           [ 3.,  9., nan]])
    >>> run.coverage
    array([1. , 0.5, 0. ])
    >>> run.missing
    {2: 'no voxel of this label on the BOLD grid'}
    """

    def __init__(
        self,
        labels: IntArray,
        index: IntArray,
        *,
        in_fov: BoolArray,
        brain: BoolArray,
        white_matter: BoolArray,
        csf: BoolArray,
        on_grid: FloatArray | None = None,
        min_coverage: float = 0.5,
        where: str = "BOLD run",
    ) -> None:
        labels, index = np.asarray(labels), np.asarray(index)
        masks = [np.asarray(mask, dtype=bool) for mask in (brain, white_matter, csf)]
        self._where, self._min_coverage = where, min_coverage
        self._shape = labels.shape
        self._on_grid = np.ones(index.size) if on_grid is None else np.asarray(on_grid)
        self._check_arguments(index, [np.asarray(in_fov), *masks])

        column = columns_of(labels, index)
        self._expected = np.bincount(column[column >= 0], minlength=index.size)
        self._used = np.flatnonzero(in_fov & np.any([column >= 0, *masks], axis=0))
        column, masks = column[self._used], [mask[self._used] for mask in masks]
        self._sum_over = _sum_matrix(column, masks, index.size)
        brain_voxels = np.flatnonzero(masks[0])
        self._is_brain = masks[0]
        self._compcor = np.flatnonzero(masks[1] | masks[2])
        self._dvars_sample = brain_voxels[:: max(1, brain_voxels.size // DVARS_SAMPLE)]

        self._first: FloatArray | None = None
        self._previous: FloatArray
        self._varies: BoolArray = np.zeros(self._used.size, dtype=bool)
        self._total: FloatArray = np.zeros(self._used.size)
        self._sums: list[FloatArray] = []
        self._changes: list[float] = []
        self._compcor_rows: list[FloatArray] = []
        self._dvars_rows: list[FloatArray] = []

    def _check_arguments(self, index: IntArray, masks: Sequence[BoolArray]) -> None:
        check_index(index)
        for mask in masks:
            if mask.shape != self._shape:
                raise DatasetError(
                    f"{self._where}: masks",
                    f"shape {mask.shape}",
                    f"{self._shape} as the labels",
                    "bring atlas and masks onto the BOLD grid",
                )

    def add(self, volume: ArrayLike) -> None:
        """Take the next volume, flattened.

        Parameters
        ----------
        volume : array of shape (n_voxels,)

        Raises
        ------
        DatasetError
            If its length differs from the labels' or a voxel in use is not finite.
        """
        values = np.asarray(volume)
        if values.shape != self._shape:
            raise DatasetError(
                f"{self._where}: volume {len(self._sums)}",
                f"shape {values.shape}",
                f"{self._shape} as the labels",
                "resample volume and labels onto one grid",
            )
        values = values[self._used].astype(float)
        if not np.isfinite(values).all():
            raise DatasetError(
                f"{self._where}: volume {len(self._sums)}",
                f"{np.count_nonzero(~np.isfinite(values))} voxels not finite",
                "finite values inside the field of view",
                "repair the image or leave the run out",
            )
        if self._first is None:
            self._first = values
        else:
            self._varies |= values != self._first
            change = (values - self._previous)[self._is_brain]
            self._changes.append(float(change @ change))
        self._previous = values
        self._total += values
        self._sums.append(self._sum_over @ values)
        self._compcor_rows.append(values[self._compcor].astype(np.float32))
        self._dvars_rows.append(values[self._dvars_sample].astype(np.float32))

    def finish(self) -> RunSignals:
        """Divide the sums and name the missing parcels.

        Raises
        ------
        DatasetError
            If fewer than 3 volumes came or the brain mask holds no varying, positive signal.
        """
        if self._first is None or len(self._sums) < 3:
            raise DatasetError(
                self._where, f"{len(self._sums)} volumes", "a 4-D series of at least 3", "check it"
            )
        n_parcels = self._expected.size
        alive = self._sum_over @ self._varies.astype(float)
        sums = np.array(self._sums) - self._sum_over @ np.where(self._varies, 0.0, self._first)
        means = np.divide(sums, alive, out=np.full_like(sums, np.nan), where=alive > 0)
        coverage = self._on_grid * alive[:n_parcels] / np.maximum(self._expected, 1)
        missing = missing_parcels(coverage, self._expected, self._min_coverage)
        means[:, list(missing)] = np.nan
        dvars, std_dvars = self._dvars(len(self._sums))
        return RunSignals(
            series=means[:, :n_parcels],
            coverage=coverage,
            missing=missing,
            tissues={
                name: means[:, n_parcels + k]
                for k, name in enumerate(TISSUES)
                if alive[n_parcels + k] > 0
            },
            dvars=dvars,
            std_dvars=std_dvars,
            compcor_voxels=np.array(self._compcor_rows)[:, self._varies[self._compcor]],
        )

    def _dvars(self, n_frames: int) -> tuple[FloatArray, FloatArray]:
        voxels = self._is_brain & self._varies
        intensity = float(np.median(self._total[voxels])) / n_frames if voxels.any() else 0.0
        if intensity <= 0:
            raise DatasetError(
                f"{self._where}: brain mask",
                f"median intensity {intensity:g} over {np.count_nonzero(voxels)} varying voxels",
                "the positive intensities of a raw or motion-corrected image",
                "check that the brain mask lies on the image",
            )
        changes = np.sqrt(np.array(self._changes) / np.count_nonzero(voxels))
        dvars = np.concatenate([[np.nan], changes]) * 1000 / intensity
        sample = np.array(self._dvars_rows, dtype=float)[:, self._varies[self._dvars_sample]]
        return dvars, dvars / (_expected_change(sample) * 1000 / intensity)


def _sum_matrix(column: IntArray, masks: Sequence[BoolArray], n_parcels: int) -> sparse.csr_array:
    """Make the (n_parcels + n_masks, n_voxels) matrix that sums voxels over each."""
    voxels = [np.flatnonzero(column >= 0), *map(np.flatnonzero, masks)]
    rows = [column[voxels[0]]]
    rows += [np.full(inside.size, n_parcels + k) for k, inside in enumerate(voxels[1:])]
    row, col = np.concatenate(rows), np.concatenate(voxels)
    shape = (n_parcels + len(masks), column.size)
    return sparse.csr_array((np.ones(row.size), (row, col)), shape=shape)


def _expected_change(sample: FloatArray) -> float:
    """Mean over voxels of the standard deviation that successive differences should have."""
    upper, lower = np.percentile(sample, [75, 25], axis=0, method="lower")
    centred = sample - sample.mean(axis=0)
    lag1 = np.sum(centred[1:] * centred[:-1], axis=0) / np.sum(centred**2, axis=0)
    return float(np.mean(np.sqrt(2 * (1 - lag1)) * (upper - lower) / 1.349))
