"""Several runs of one session as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.bold.denoise import Denoised
from petfmri.errors import DenoisingError
from petfmri.typing import FloatArray


def pool_series(runs: Sequence[FloatArray]) -> FloatArray:
    """Put runs one after another, each parcel at mean 0 and variance 1 within each run.

    The correlation of the result is the mean of the runs' correlations, weighted by their frames.

    Parameters
    ----------
    runs : sequence of arrays of shape (n_frames, n_parcels)

    Returns
    -------
    array of shape (sum of n_frames, n_parcels)
        A parcel that is missing (NaN) or constant in any run is NaN in all.

    Raises
    ------
    DenoisingError
        If there is no run or the parcels differ in number.

    Examples
    --------
    >>> pool_series([np.array([[1.0], [3.0]]), np.array([[90.0], [70.0]])]).ravel()
    array([-1.,  1.,  1., -1.])
    """
    parcels = sorted({run.shape[1] for run in runs})
    if len(parcels) != 1:
        raise DenoisingError(
            "runs of one session", f"{parcels} parcels", "one number", "use one atlas for all runs"
        )
    standard = [_standardized(np.asarray(run, dtype=float)) for run in runs]
    pooled = np.concatenate(standard)
    pooled[:, np.any([np.isnan(run[0]) for run in standard], axis=0)] = np.nan
    return pooled


def _standardized(run: FloatArray) -> FloatArray:
    centred = run - run.mean(axis=0)
    deviation = centred.std(axis=0)
    deviation[deviation <= 1e-12 * np.abs(run).max(axis=0)] = np.nan
    return centred / deviation


def pool_runs(runs: Sequence[Denoised]) -> Denoised:
    """Pool the denoised runs of one session.

    Returns
    -------
    Denoised
        Series by `pool_series`; degrees of freedom and regressors summed; mean framewise
        displacement weighted by volumes.
    """
    series = pool_series([run.series for run in runs])
    weights = [run.frames_total for run in runs]
    return Denoised(
        series=series,
        kept=np.concatenate([run.kept for run in runs]),
        times=np.concatenate([run.times for run in runs]),
        df_effective=sum(run.df_effective for run in runs),
        n_regressors=sum(run.n_regressors for run in runs),
        mean_fd=float(np.average([run.mean_fd for run in runs], weights=weights)),
        operators=tuple(operator for run in runs for operator in run.operators),
    )
