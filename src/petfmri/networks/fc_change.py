"""How far connectivity moves between two sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from petfmri.errors import DatasetError
from petfmri.networks.connectivity import correlate, fisher_z, usable_parcels
from petfmri.typing import FloatArray


def fc_distance(z_a: FloatArray, z_b: FloatArray) -> float:
    """Root mean square difference of two connectivity matrices.

    d = √(Σ_{i<j} (a_ij − b_ij)² / n), over the n pairs of parcels present in both: the Euclidean
    distance of the upper triangles [1]_, divided by √n so that atlases compare.

    Parameters
    ----------
    z_a, z_b : array of shape (n_parcels, n_parcels)
        Fisher-z connectivity; missing parcels are NaN.

    Returns
    -------
    float
        Fisher z; NaN without a common pair.

    References
    ----------
    .. [1] Siegel JS et al (2024). Nature 632:131. doi:10.1038/s41586-024-07624-5

    Examples
    --------
    >>> a, b = np.zeros((3, 3)), np.zeros((3, 3))
    >>> b[0, 1] = b[1, 0] = 0.3
    >>> round(fc_distance(a, b), 6)  # 0.3 / √3
    0.173205
    """
    difference = (np.asarray(z_a) - z_b)[np.triu_indices(len(z_a), 1)]
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else float("nan")


def fc_change(pre: Sequence[FloatArray], post: Sequence[FloatArray]) -> float:
    """Change of connectivity in units of its change within the baseline session.

    c = mean of d(pre₁, post₁), d(pre₁, post₂), d(pre₂, post₁), d(pre₂, post₂), over
    d(pre₁, pre₂), with d the `fc_distance` and 1, 2 the halves of a session. The numerator compares
    halves as well because connectivity of fewer frames is noisier, and noise adds to every
    distance: both sides then carry the same amount of it. That holds only if each half was cleaned
    by itself, over equally many frames: the residuals of one regression over both halves are alike
    in their errors, which makes the denominator too small (c is 1.1 where nothing changed).

    The denominator is a split half. In [1]_ it is the change from day to day over several baseline
    visits, which is larger: values here exceed theirs, and a value above 1 may be a day's change.

    Parameters
    ----------
    pre, post : two arrays of shape (n_frames, n_parcels)
        The halves of each session, all of one shape. Parcels missing from any are left out.

    Returns
    -------
    float
        1 if the sessions differ no more than the halves of the baseline session.

    Raises
    ------
    DatasetError
        If the shapes differ, there are fewer than 3 frames, or fewer than 2 common parcels.

    References
    ----------
    .. [1] Siegel JS et al (2024). Nature 632:131. doi:10.1038/s41586-024-07624-5

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> halves = rng.normal(size=(4, 200, 30))
    >>> round(fc_change(halves[:2], halves[2:]), 1)
    1.0
    """
    halves = [np.asarray(half, dtype=float) for half in (*pre, *post)]
    shapes = {half.shape for half in halves}
    if len(shapes) > 1 or len(halves[0]) < 3:
        raise DatasetError(
            "parcel series of two sessions",
            f"halves of shapes {' and '.join(map(str, sorted(shapes)))}",
            "one shape (n_frames, n_parcels), with 3 frames",
            "cut both sessions to the same frames and parcels",
        )
    common = np.logical_and.reduce([usable_parcels(half) for half in halves])
    if np.count_nonzero(common) < 2:
        raise DatasetError(
            "parcel series of two sessions",
            f"{np.count_nonzero(common)} parcels with signal in both",
            "at least 2",
            "check the coverage of both",
        )
    first, second, *later = (fisher_z(correlate(half[:, common])) for half in halves)
    across = [fc_distance(a, b) for a in (first, second) for b in later]
    return float(np.mean(across) / fc_distance(first, second))
