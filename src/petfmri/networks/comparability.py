"""Sessions on an equal footing."""

from __future__ import annotations

from collections.abc import Sequence

from petfmri.typing import FloatArray


def matched_frames(sessions: Sequence[FloatArray]) -> list[FloatArray]:
    """Cut the sessions of one person to one number of frames: the first of each.

    Parameters
    ----------
    sessions : sequence of arrays of shape (n_frames, n_parcels)
        Kept frames only.

    Examples
    --------
    >>> import numpy as np
    >>> [session.shape for session in matched_frames([np.ones((90, 4)), np.ones((80, 4))])]
    [(80, 4), (80, 4)]
    """
    shortest = min(len(series) for series in sessions)
    return [series[:shortest] for series in sessions]
