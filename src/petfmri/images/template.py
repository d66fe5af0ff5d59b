"""A person's brain onto the standard brain, and back."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from petfmri.atlases import Template
from petfmri.images.cropping import box_around, cropped, grown
from petfmri.images.registration import Registration
from petfmri.images.transforms import Affine, Transform

RIM_MM = 4.0  # outside the brain mask, where the images are still compared


def normalise(
    t1w: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    template: Template,
    registration: Registration,
    *,
    initial: Affine,
) -> Transform:
    """Warp a brain onto the template.

    The person's image is held still, brain against brain, so that labels are carried to its
    grid by the forward field.

    Parameters
    ----------
    t1w : Nifti1Image, 3-D
        Without bias field.
    mask : Nifti1Image
        Brain, on the grid of `t1w`.
    template : Template
    registration : Registration
    initial : Affine
        Points of the T1w to points of the template.

    Returns
    -------
    Transform
        Points of the T1w to points of the template; holds its inverse.

    References
    ----------
    Fonov V et al. NeuroImage 2011;54:313-327 (the template).
    """
    near = grown(mask, RIM_MM)
    box = box_around(near, RIM_MM)
    inside = np.asarray(mask.dataobj) > 0
    brain = nib.Nifti1Image(np.asarray(t1w.dataobj, dtype=np.float32) * inside, t1w.affine)
    return registration.deformable(
        cropped(brain, box), template.brain, initial=initial, fixed_mask=cropped(near, box)
    )
