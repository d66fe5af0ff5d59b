"""Which frames of a run count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation, find_objects, label

from petfmri.errors import DenoisingError
from petfmri.typing import BoolArray, FloatArray

FD = "framewise_displacement"
DVARS = "std_dvars"


@dataclass(frozen=True)
class Censoring:
    """When a frame is left out.

    Attributes
    ----------
    fd_threshold_mm : float, optional
        Frames with a framewise displacement above it; None censors none by it.
    dvars_threshold : float, optional
        Frames with a standardized DVARS above it.
    before, after : int
        So many frames before and after each of these, too.
    minimum_contiguous : int
        Shorter stretches of kept frames between censored ones go as well [1]_.

    References
    ----------
    .. [1] Power JD et al (2014). NeuroImage 84:320. doi:10.1016/j.neuroimage.2013.08.048
    """

    fd_threshold_mm: float | None = 0.5
    dvars_threshold: float | None = None
    before: int = 0
    after: int = 0
    minimum_contiguous: int = 1

    @property
    def censors(self) -> bool:
        """Whether any frame can be left out."""
        return (self.fd_threshold_mm, self.dvars_threshold) != (None, None)

    def __str__(self) -> str:
        """Say when a frame is left out, for messages and tables."""
        limits = ((FD, self.fd_threshold_mm, " mm"), (DVARS, self.dvars_threshold, ""))
        text = " or ".join(
            f"{name.replace('_', ' ')} > {limit:g}{unit}"
            for name, limit, unit in limits
            if limit is not None
        )
        if text and (self.before or self.after):
            text += f", with {self.before} before and {self.after} after"
        if text and self.minimum_contiguous > 1:
            text += f", and stretches shorter than {self.minimum_contiguous}"
        return text or "nothing"


def kept_frames(
    confounds: pd.DataFrame, censoring: Censoring, *, dummy: int = 0, where: str = "BOLD run"
) -> BoolArray:
    """Tell which frames count.

    Parameters
    ----------
    confounds : DataFrame of n_frames rows
        With the columns that `censoring` reads; a missing first value counts as 0.
    censoring : Censoring
    dummy : int
        Leading volumes that never count.

    Returns
    -------
    bool array of shape (n_frames,)

    Raises
    ------
    DenoisingError
        If a column that is needed is absent or not finite.

    Examples
    --------
    >>> moved = pd.DataFrame({"framewise_displacement": [np.nan, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1]})
    >>> kept_frames(moved, Censoring(after=1)).astype(int)
    array([1, 1, 0, 0, 1, 1, 1])
    >>> kept_frames(moved, Censoring(after=1, minimum_contiguous=3)).astype(int)
    array([0, 0, 0, 0, 1, 1, 1])
    """
    censored = np.zeros(len(confounds), dtype=bool)
    limits = ((FD, censoring.fd_threshold_mm), (DVARS, censoring.dvars_threshold))
    for name, limit in limits:
        if limit is not None:
            censored |= finite_column(confounds, name, where, from_frame=dummy) > limit
    reach = np.zeros(2 * max(censoring.before, censoring.after) + 1, dtype=bool)
    middle = reach.size // 2
    reach[middle - censoring.before : middle + censoring.after + 1] = True
    kept = ~binary_dilation(censored, reach)
    kept[:dummy] = False
    for (stretch,) in find_objects(label(kept)[0]):
        if stretch.stop - stretch.start < censoring.minimum_contiguous:
            kept[stretch] = False
    return np.asarray(kept)


def finite_column(
    confounds: pd.DataFrame, name: str, where: str, *, from_frame: int = 0
) -> FloatArray:
    """Return a column that has no volume before its first one: a missing first value is 0.

    Raises
    ------
    DenoisingError
        If it is absent, or not finite from `from_frame` on.
    """
    if name in confounds:
        values = np.array(confounds[name], dtype=float)
        values[:1] = np.nan_to_num(values[:1])
        if np.isfinite(values[from_frame:]).all():
            return values
    raise DenoisingError(
        f"{where}: {name}",
        "missing values" if name in confounds else "no such column",
        "a finite value for every frame",
        "repair the confound table, or censor nothing by it",
    )
