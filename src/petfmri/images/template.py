"""A person's brain onto the standard brain, and back."""

from __future__ import annotations

import nibabel as nib

from petfmri.atlases import Template
from petfmri.errors import RegistrationError
from petfmri.images.cropping import box_around, cropped, grown, shrunk
from petfmri.images.quality import overlap
from petfmri.images.registration import Registration
from petfmri.images.transforms import Affine, Transform
from petfmri.images.volumes import in_own_axes

RIM_MM = 8.0  # outside the brain mask, where the images are still compared
CHECK_MM = 4.0  # voxel size at which the result is checked
MIN_OVERLAP = 0.9  # Dice of the two brain masks after the warp


def normalise(
    t1w: nib.Nifti1Image,
    mask: nib.Nifti1Image,
    template: Template,
    registration: Registration,
    *,
    initial: Affine,
) -> Transform:
    """Warp a brain onto the template.

    The person's image is held still, so that labels are carried to its grid by the forward
    field. The images are compared in the brain and in a rim around it: head against head, so
    that an error of the brain mask does not become an edge that is followed.

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
        Points of the T1w to points of the template; invertible.

    Raises
    ------
    RegistrationError
        If the template's brain, brought to the T1w, does not cover the brain there (Dice < 0.9).

    References
    ----------
    Fonov V et al. NeuroImage 2011;54:313-327 (the template).
    """
    laid, back = in_own_axes(t1w)
    mask = nib.Nifti1Image(mask.dataobj, laid.affine)
    near = grown(mask, RIM_MM)
    box = box_around(near, RIM_MM)
    xfm = registration.deformable(
        cropped(laid, box), template.head, initial=initial @ back, fixed_mask=cropped(near, box)
    )
    _check_overlap(shrunk(mask, CHECK_MM), template.mask, xfm)
    return xfm @ ~back


def _check_overlap(mask: nib.Nifti1Image, template_mask: nib.Nifti1Image, xfm: Transform) -> None:
    found = overlap(mask, template_mask, xfm)
    if found < MIN_OVERLAP:
        raise RegistrationError(
            "T1w to template",
            f"brains that overlap by {found:.2f} (Dice)",
            f"at least {MIN_OVERLAP}",
            "look at the brain mask and at the contrast of the T1w",
        )
