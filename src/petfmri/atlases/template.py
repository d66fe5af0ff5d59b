"""MNI152NLin2009cAsym: head, brain, tissue priors and the masks drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from petfmri.errors import ConfigError
from petfmri.typing import FloatArray

AnyArray: TypeAlias = NDArray[Any]

DATA = Path(__file__).parent / "data"
SPACE = "MNI152NLin2009cAsym"
STANDARD_MM = 2
"""Grid of the maps in this space: every second voxel of the template along each axis."""
REFERENCE_MASKS = {"semiovale": "desc-semiovale_mask"}


@dataclass(frozen=True)
class Template:
    """The standard brain: images of shape (193, 229, 193) at 1 mm, RAS, read-only.

    Attributes
    ----------
    head, brain : Nifti1Image, uint8
        T1-weighted, 0 outside the head or brain.
    mask : Nifti1Image, uint8
        The brain with its cerebrospinal fluid.
    gm, wm, csf : Nifti1Image, float32
        Tissue priors; they sum to 1 inside `mask` and are 0 outside.

    References
    ----------
    Fonov et al. (2011), Unbiased average age-appropriate atlases for pediatric studies,
    NeuroImage 54:313-327.
    """

    head: nib.Nifti1Image
    brain: nib.Nifti1Image
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image
    wm: nib.Nifti1Image
    csf: nib.Nifti1Image


def load_template() -> Template:
    """Load the embedded template; its arrays are read once per process.

    Examples
    --------
    >>> template = load_template()
    >>> template.head.shape
    (193, 229, 193)
    >>> round(float(template.mask.get_fdata().sum()) / 1000)  # mL
    1887
    """
    arrays, affine = _template_arrays()
    return Template(**{name: as_image(values, affine) for name, values in arrays.items()})


@cache
def _template_arrays() -> tuple[dict[str, AnyArray], FloatArray]:
    head, affine = read_embedded("T1w")
    mask, _ = read_embedded("desc-brain_mask")
    gm, _ = read_embedded("label-GM_probseg")
    csf, _ = read_embedded("label-CSF_probseg")
    brain, wm = head * mask, (mask - gm - csf).clip(0, 1)
    brain.flags.writeable = wm.flags.writeable = False
    return {"head": head, "brain": brain, "mask": mask, "gm": gm, "wm": wm, "csf": csf}, affine


def load_reference_mask(name: str) -> nib.Nifti1Image:
    """Load the starting mask of a reference region, on the grid of the template.

    Parameters
    ----------
    name : {"semiovale"}
        The centrum semiovale: white matter 20 to 40 mm above and 14 to 40 mm beside the origin,
        4 mm inside its border. A start only: in a person's own anatomy it must be restricted to
        deep white matter again, since spill-in of grey matter is its main error [1]_.

    Returns
    -------
    Nifti1Image, uint8

    Raises
    ------
    ConfigError
        If there is no mask of that name.

    References
    ----------
    .. [1] Rossano et al. (2020), Assessment of a white matter reference region for 11C-UCB-J PET
       quantification, J Cereb Blood Flow Metab 40:1890-1901.

    Examples
    --------
    >>> load_reference_mask("semiovale").shape == load_template().head.shape
    True
    """
    if name not in REFERENCE_MASKS:
        expected = " or ".join(REFERENCE_MASKS)
        raise ConfigError("reference region", repr(name), expected, "choose one of these")
    return as_image(*read_embedded(REFERENCE_MASKS[name]))


@cache
def read_embedded(suffix: str) -> tuple[AnyArray, FloatArray]:
    """Read an embedded image, read-only: uint8 or, where it has a scale factor, float32."""
    image = nib.load(DATA / f"tpl-{SPACE}_{suffix}.nii.gz")
    values = np.asarray(image.dataobj.get_unscaled())
    if image.dataobj.slope != 1:
        values = values * np.float32(image.dataobj.slope)
    values.flags.writeable = False
    return values, image.affine


def as_image(values: AnyArray, affine: FloatArray) -> nib.Nifti1Image:
    """Wrap an array of the standard space."""
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    return image
