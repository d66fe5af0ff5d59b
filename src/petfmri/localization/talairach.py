"""Talairach coordinates in MNI space."""

from __future__ import annotations

import numpy as np

from petfmri.typing import FloatArray

ICBM_TO_TALAIRACH = np.array(
    [
        [0.9357, 0.0029, -0.0072, -1.0423],
        [-0.0065, 0.9396, -0.0726, -1.3940],
        [0.0103, 0.0752, 0.8967, 3.6475],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""The pooled icbm2tal transform, for studies whose software is not known."""


def talairach_to_mni(points: FloatArray) -> FloatArray:
    """Bring Talairach coordinates to MNI space by the inverse of icbm2tal.

    Right for coordinates measured in Talairach space, or brought there by icbm2tal. Those that a
    study brought there by Brett's ``mni2tal`` are moved by some millimetres.

    Parameters
    ----------
    points : array of shape (n, 3), mm

    Returns
    -------
    array of shape (n, 3), mm

    References
    ----------
    Lancaster JL et al. 2007, Hum Brain Mapp 28:1194. doi:10.1002/hbm.20345

    Examples
    --------
    >>> talairach_to_mni(np.array([[0.0, 0.0, 0.0]])).round(1)
    array([[ 1.1,  1.2, -4.2]])
    """
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    back = np.linalg.inv(ICBM_TO_TALAIRACH)
    return points @ back[:3, :3].T + back[:3, 3]


def mni_to_talairach(points: FloatArray) -> FloatArray:
    """Bring MNI coordinates to Talairach space by icbm2tal; see `talairach_to_mni`."""
    points = np.asarray(points, dtype=float).reshape(-1, 3)
    return points @ ICBM_TO_TALAIRACH[:3, :3].T + ICBM_TO_TALAIRACH[:3, 3]
