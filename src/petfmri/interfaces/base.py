"""What all interfaces share: the version in the cache key, and files written in the node's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, traits

from petfmri import __version__
from petfmri.images.motion import MOTION_COLUMNS, framewise_displacement, motion_parameters
from petfmri.images.transforms import Affine
from petfmri.images.volumes import load_canonical
from petfmri.typing import FloatArray


class StepInputSpec(BaseInterfaceInputSpec):
    petfmri_version = traits.Str(__version__, usedefault=True, desc="a new version recomputes")


class Step(SimpleInterface):
    """Read files, make one call, write files; `step` does it and returns the outputs.

    `resamples` says whether the step interpolates image intensities, `reads_tables_only` that its
    memory does not grow with images.
    """

    input_spec = StepInputSpec
    resamples = False
    reads_tables_only = False

    def step(self, folder: Path) -> dict[str, Any]:
        raise NotImplementedError

    def _run_interface(self, runtime: Any) -> Any:
        outputs = self.step(Path(runtime.cwd))
        self._results.update({name: _plain(value) for name, value in outputs.items()})
        return runtime


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def load_array(path: str) -> FloatArray:
    """Read the values of an image as float32."""
    return np.asarray(load_canonical(path).dataobj, dtype=np.float32)


def load_labels(path: str) -> Any:
    """Read an image of whole numbers."""
    return np.rint(np.asarray(load_canonical(path).dataobj)).astype(np.int32)


def save_image(data: Any, affine: FloatArray, path: Path) -> Path:
    """Write an image into a node's own folder."""
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def motion_table(motion: Sequence[Affine], center: FloatArray) -> pd.DataFrame:
    """Tabulate motion under fMRIPrep's column names."""
    table = pd.DataFrame(motion_parameters(motion, center=center), columns=list(MOTION_COLUMNS))
    return table.assign(framewise_displacement=framewise_displacement(motion, center=center))
