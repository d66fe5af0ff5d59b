"""The confounds of one run, under fMRIPrep's column names."""

from __future__ import annotations

import numpy as np
import pandas as pd

from petfmri.bold.series import RunSignals
from petfmri.errors import DenoisingError
from petfmri.typing import FloatArray

MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
HIGH_PASS_S = 128.0
SPIKE_FD_MM, SPIKE_STD_DVARS = 0.5, 1.5  # beyond either, a volume has a motion_outlier column


def confounds_table(
    run: RunSignals,
    motion: FloatArray,
    fd: FloatArray,
    *,
    tr_s: float,
    dummy: int = 0,
    n_compcor: int = 5,
    where: str = "BOLD run",
) -> pd.DataFrame:
    """Collect the confounds of one run.

    Parameters
    ----------
    run : RunSignals
        Of all volumes, dummies included.
    motion : array of shape (n_frames, 6)
        Translations x, y, z in mm, then rotations x, y, z in radians.
    fd : array of shape (n_frames,), mm
        Framewise displacement; the first value is 0 or NaN.
    tr_s : float
        Repetition time.
    dummy : int
        Leading volumes before the steady state. They get a ``non_steady_state_outlierXX`` column
        each and are left out of aCompCor and the cosines (rows of 0).
    n_compcor : int
        Number of aCompCor components, of eroded white matter and CSF together.

    Returns
    -------
    DataFrame
        One row per volume, columns as in fMRIPrep [1]_. Differences are NaN in the first row.

    Raises
    ------
    DenoisingError
        If lengths differ or the tissue masks hold too few voxels for aCompCor.

    References
    ----------
    .. [1] Esteban O et al (2019). Nat Methods 16:111. doi:10.1038/s41592-018-0235-4
    """
    n_frames = len(run.series)
    motion, fd = np.asarray(motion, dtype=float), np.asarray(fd, dtype=float)
    if motion.shape != (n_frames, 6) or fd.shape != (n_frames,):
        raise DenoisingError(
            f"{where}: motion",
            f"parameters of shape {motion.shape} and {fd.size} framewise displacements",
            f"({n_frames}, 6) and {n_frames}",
            "estimate motion on the run itself",
        )
    columns: dict[str, FloatArray] = {}
    for name, values in {**run.tissues, **dict(zip(MOTION, motion.T))}.items():
        columns |= _expanded(name, values)
    columns |= {"dvars": run.dvars, "std_dvars": run.std_dvars, "framewise_displacement": fd}

    cosines = cosine_drift(n_frames - dummy, tr_s, 1 / HIGH_PASS_S)
    components = acompcor(run.compcor_voxels[dummy:], cosines, n_compcor, where=where)
    for stem, values in (("cosine", cosines), ("a_comp_cor_", components)):
        padded = np.vstack([np.zeros((dummy, values.shape[1])), values])
        columns |= {f"{stem}{k:02d}": column for k, column in enumerate(padded.T)}
    moved = (fd > SPIKE_FD_MM) | (run.std_dvars > SPIKE_STD_DVARS)
    frames = np.arange(n_frames)
    for stem, chosen in (
        ("non_steady_state_outlier", frames < dummy),
        ("motion_outlier", moved & (frames >= dummy)),
    ):
        spikes = np.eye(n_frames)[chosen]
        columns |= {f"{stem}{k:02d}": spike for k, spike in enumerate(spikes)}
    return pd.DataFrame(columns)


def _expanded(name: str, values: FloatArray) -> dict[str, FloatArray]:
    """Give a signal with its difference and their squares [Friston 1996, Satterthwaite 2013]."""
    derivative = np.concatenate([[np.nan], np.diff(values)])
    return {
        name: values,
        f"{name}_derivative1": derivative,
        f"{name}_power2": values**2,
        f"{name}_derivative1_power2": derivative**2,
    }


def cosine_drift(n_frames: int, tr_s: float, high_pass_hz: float) -> FloatArray:
    """Give the discrete cosines slower than `high_pass_hz`, orthonormal, without the constant.

    Returns
    -------
    array of shape (n_frames, n_cosines)
        As many as fMRIPrep and nilearn use: ``floor(2 * n_frames * tr_s * high_pass_hz)``.

    Examples
    --------
    >>> cosine_drift(100, 2.0, 0.01).shape
    (100, 4)
    """
    order = np.arange(1, int(np.floor(2 * n_frames * tr_s * high_pass_hz)) + 1)
    order = order[order < n_frames]
    angle = np.pi * (np.arange(n_frames)[:, None] + 0.5) * order / n_frames
    return np.sqrt(2 / n_frames) * np.cos(angle)


def acompcor(
    voxels: FloatArray, drift: FloatArray, n_components: int, *, where: str = "BOLD run"
) -> FloatArray:
    """Find the main time courses of noise tissue.

    Parameters
    ----------
    voxels : array of shape (n_frames, n_voxels)
        Voxels of eroded white matter and CSF.
    drift : array of shape (n_frames, n_cosines)
        Slow cosines, regressed out of the voxels first.
    n_components : int

    Returns
    -------
    array of shape (n_frames, n_components)
        Orthonormal; the largest value of each is positive, so that runs are reproducible.

    Raises
    ------
    DenoisingError
        If there are fewer voxels or frames than components.

    References
    ----------
    Behzadi Y et al (2007). NeuroImage 37:90. doi:10.1016/j.neuroimage.2007.04.042
    """
    n_frames = len(voxels)
    basis = np.linalg.qr(np.column_stack([np.ones(n_frames), drift]))[0]
    residual = voxels.astype(float)
    scale = np.abs(residual).max(axis=0, initial=0.0)
    residual -= basis @ (basis.T @ residual)
    deviation = residual.std(axis=0)
    residual = residual[:, deviation > 1e-7 * scale] / deviation[deviation > 1e-7 * scale]
    available = min(residual.shape[1], n_frames - basis.shape[1])
    if available < n_components:
        raise DenoisingError(
            f"{where}: aCompCor",
            f"{residual.shape[1]} varying voxels in eroded white matter and CSF, {n_frames} frames",
            f"enough for {n_components} components",
            "look at the field of view and the tissue maps, or choose strategy: 24P or 36P",
        )
    _, vectors = np.linalg.eigh(residual @ residual.T)
    components = vectors[:, ::-1][:, :n_components]
    largest = np.abs(components).argmax(axis=0)
    return components * np.sign(components[largest, np.arange(n_components)])
