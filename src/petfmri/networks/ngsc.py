"""Normalized global spatial complexity."""

from __future__ import annotations

import numpy as np

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import standardized, usable_parcels
from petfmri.typing import FloatArray


def ngsc(series: FloatArray) -> float:
    """Normalized entropy of the spatial principal components [1]_ [2]_.

    NGSC = −Σ λᵢ ln λᵢ / ln m, with λᵢ the eigenvalues of the parcels' correlation matrix divided
    by their sum. Parcels are standardized. The normaliser m is min(n_frames − 1, n_parcels), a
    property of the shape and not a count of eigenvalues above rounding, because filtering leaves
    many that are tiny; eigenvalues below 1e-12 of the sum contribute nothing.

    The value moves with the number of frames as much as with any drug: compare sessions of equal
    frames and regressors only (`petfmri.bold.matching`), over the same parcels.

    Parameters
    ----------
    series : array of shape (n_frames, n_parcels)
        Missing parcels are NaN and left out.

    Returns
    -------
    float
        0 if all parcels follow one course, 1 if all patterns are equally strong.

    Raises
    ------
    DatasetError
        If fewer than two parcels are present.

    References
    ----------
    .. [1] Jia H et al (2018). Sci Rep 8:7912. doi:10.1038/s41598-018-26329-0
    .. [2] Siegel JS et al (2024). Nature 632:131. doi:10.1038/s41586-024-07624-5

    Examples
    --------
    >>> hadamard = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    >>> round(ngsc(hadamard), 12)  # three patterns of equal strength
    1.0
    """
    usable = usable_parcels(series)
    n_frames, n_parcels = len(series), int(usable.sum())
    if n_parcels < 2:
        raise DatasetError(
            "parcel series", f"{n_parcels} parcels with signal", "at least 2", "check coverage"
        )
    unit = standardized(np.asarray(series)[:, usable])
    gram = unit.T @ unit if n_parcels <= n_frames else unit @ unit.T
    share = np.linalg.eigvalsh(gram) / n_parcels
    share = share[share > 1e-12]
    return float(-np.sum(share * np.log(share)) / np.log(min(n_frames - 1, n_parcels)))
