"""How large a simulated study is, and how good its scanners are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from petfmri.typing import FloatArray

STATIC_60_90 = (3600.0, (1800.0,))  # start and durations, s, of a static scan


@dataclass(frozen=True)
class Preset:
    """Size and quality of a simulated study.

    Parameters
    ----------
    name : str
    n_people : int
    t1w_mm, pet_mm, bold_mm : float, mm
        Isotropic voxel sizes.
    frame_durations_s : tuple of float, s
        Of consecutive PET frames.
    scan_start_s : float, s
        Start of the first frame after the injection.
    n_volumes : int
        BOLD volumes, dummy scans included.
    repetition_time_s : float, s
    n_dummies : int
        Leading BOLD volumes on the way to the steady state.
    bias_percent, t1w_noise_percent : float, percent
        Largest deviation of the bias field; SD of T1w noise relative to white matter.
    psf_fwhm_mm : float, mm
        Gaussian resolution of PET.
    pet_noise_percent : float, percent
        Voxel SD over mean in the cortex, for 5 min at 75 min after injection.
    pet_offset, bold_offset : mm and degrees
        How the head lies in the scan relative to the T1w image.
    pet_drift_mm, pet_jump_mm : float, mm
    tsnr : float
        Median over grey matter of mean over temporal SD, without movement.
    mean_fd_mm : float, mm
        Mean framewise displacement.
    bold_distortion_mm : float, mm
        Largest displacement of the brain along the phase encoding of BOLD; 0 for none.
    """

    name: str
    n_people: int
    t1w_mm: float
    pet_mm: float
    bold_mm: float
    frame_durations_s: tuple[float, ...]
    n_volumes: int
    n_dummies: int
    scan_start_s: float = 0.0
    repetition_time_s: float = 2.0
    bias_percent: float = 20.0
    t1w_noise_percent: float = 3.0
    psf_fwhm_mm: float = 5.5
    pet_noise_percent: float = 6.0
    pet_offset: tuple[float, float] = (10.0, 8.0)
    pet_drift_mm: float = 4.0
    pet_jump_mm: float = 6.0
    bold_offset: tuple[float, float] = (10.0, 8.0)
    tsnr: float = 60.0
    mean_fd_mm: float = 0.2
    bold_distortion_mm: float = 0.0

    @property
    def frame_start_s(self) -> FloatArray:
        """Start of every PET frame after the injection, s."""
        ends = self.scan_start_s + np.cumsum(self.frame_durations_s)
        return np.asarray(ends - np.array(self.frame_durations_s))

    @property
    def frame_duration_s(self) -> FloatArray:
        """Duration of every PET frame, s."""
        return np.array(self.frame_durations_s, dtype=float)


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "tiny": Preset("tiny", 2, 3.0, 6.0, 5.0, (900.0, 2700.0, 900.0, 900.0), 64, 4),
        "demo": Preset(
            "demo", 12, 3.0, 3.5, 5.0,
            (120.0, 240.0, 540.0, 900.0, 900.0, 900.0, 600.0, 600.0, 600.0), 124, 4,
            repetition_time_s=3.0,
        ),
        "full": Preset(
            "full", 1, 1.0, 2.0, 3.0, (*[30.0] * 8, *[60.0] * 6, *[300.0] * 16), 304, 4
        ),
    }
)  # fmt: skip
