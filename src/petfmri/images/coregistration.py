"""PET or BOLD to the same person's T1w, with a second start and a verdict."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from petfmri.errors import RegistrationError
from petfmri.images.registration import Registration, alignment_score, centers_aligned, head_center
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.transforms import Affine, rigid
from petfmri.typing import FloatArray

SECOND_STARTS_DEG = ((20, 0, 0), (-20, 0, 0), (0, 0, 20), (0, 0, -20))
SHIFT_MM = 8.0
MARGIN = 1.25  # by which an alignment must score better than itself shifted by SHIFT_MM


def align_rigidly(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    *,
    moving_mask: nib.Nifti1Image,
    registration: Registration,
) -> tuple[Affine, float]:
    """Align two images of one person across contrasts; check it, and start anew if it is poor.

    An alignment counts as found when what it predicts of the intensities (score − 1) exceeds
    1.25 times what any of six copies of it, shifted by 8 mm along an axis, predicts.

    Parameters
    ----------
    fixed : Nifti1Image, 3-D
        The PET or BOLD reference.
    moving : Nifti1Image, 3-D
        The T1w.
    moving_mask : Nifti1Image
        Brain, on the grid of `moving`.
    registration : Registration

    Returns
    -------
    xfm : Affine
        Points of `fixed` to points of `moving`.
    score : float
        Normalised mutual information over the brain, 1 to 2.

    Raises
    ------
    RegistrationError
        If no start leads to an alignment.
    """
    brain = _masked(moving, moving_mask)
    starts = [centers_aligned(fixed, brain)]
    center = head_center(fixed)
    starts += [starts[0] @ rigid(rotation_deg=turn, center=center) for turn in SECOND_STARTS_DEG]
    found = "no alignment"
    for start in starts:
        try:
            xfm = registration.rigid(fixed, brain, initial=start)
        except RegistrationError as error:
            found = error.problems[0].found
            continue
        score, best_shifted = _scores(fixed, moving, xfm, moving_mask)
        if score - 1 >= MARGIN * (best_shifted - 1) > 0:
            return xfm, score
        found = f"a score of {score:.3f}, and {best_shifted:.3f} when shifted"
    raise RegistrationError(
        f"{fixed.get_filename() or 'image'} to T1w",
        f"{found} after {len(starts)} starts",
        "an alignment that clearly beats its shifted copies",
        "look at both images: same person? correct headers? enough signal?",
    )


def _masked(image: nib.Nifti1Image, mask: nib.Nifti1Image) -> nib.Nifti1Image:
    data = np.asarray(image.dataobj, dtype=np.float32) * (np.asarray(mask.dataobj) > 0)
    return nib.Nifti1Image(data, image.affine)


def _scores(
    fixed: nib.Nifti1Image, moving: nib.Nifti1Image, xfm: Affine, moving_mask: nib.Nifti1Image
) -> tuple[float, float]:
    """Score of an alignment, and the best score of its shifted copies."""
    near = carry_mask(moving_mask, xfm, Grid.of(fixed))
    shifts: FloatArray = np.vstack([np.eye(3), -np.eye(3)]) * SHIFT_MM
    shifted = [alignment_score(fixed, moving, rigid(shift) @ xfm, near) for shift in shifts]
    return alignment_score(fixed, moving, xfm, near), max(shifted)
