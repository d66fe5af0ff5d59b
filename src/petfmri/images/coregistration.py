"""PET or BOLD to the same person's T1w, with a second start and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from petfmri.errors import RegistrationError
from petfmri.images.predicted_pet import refine_by_prediction
from petfmri.images.registration import Registration, alignment_score, centers_aligned, head_center
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.transforms import Affine, rigid
from petfmri.typing import FloatArray

SECOND_STARTS_DEG = ((20, 0, 0), (-20, 0, 0), (0, 0, 20), (0, 0, -20))
SHIFT_MM = 8.0
MARGIN = 1.25  # by which an alignment must score better than itself shifted by SHIFT_MM
IDENTITY_MM = 2.0  # mean displacement of the brain beyond which a registration contradicts identity


@dataclass(frozen=True)
class RigidAlignment:
    """Two images of one person on one another, and how far to believe it.

    Parameters
    ----------
    xfm : Affine
        Points of the fixed image to points of the moving one.
    score : float
        Normalised mutual information over the brain, 1 to 2.
    shifted_score : float
        The best score of six copies, shifted by `SHIFT_MM` along an axis.
    starts : int
        How many starts were tried; the last of them led here. 0: none, the transform was given.
    notes : tuple of str
        Why the earlier starts were given up, or what speaks against a given transform.
    displacement_mm : float or None
        Of a given transform: how far a registration that scores better moves the brain, on
        average; 0 if none does.
    """

    xfm: Affine
    score: float
    shifted_score: float
    starts: int
    notes: tuple[str, ...] = ()
    displacement_mm: float | None = None

    @property
    def is_clear(self) -> bool:
        """Whether it beats its shifted copies by `MARGIN`."""
        return self.score - 1 >= MARGIN * (self.shifted_score - 1) > 0


def align_rigidly(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    *,
    moving_mask: nib.Nifti1Image,
    registration: Registration,
) -> RigidAlignment:
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
    RigidAlignment

    Raises
    ------
    RegistrationError
        If no start leads to an alignment.
    """
    brain = _masked(moving, moving_mask)
    starts = [centers_aligned(fixed, brain)]
    center = head_center(fixed)
    starts += [starts[0] @ rigid(rotation_deg=turn, center=center) for turn in SECOND_STARTS_DEG]
    notes: tuple[str, ...] = ()
    for number, start in enumerate(starts, 1):
        try:
            xfm = registration.rigid(fixed, brain, initial=start)
        except RegistrationError as error:
            notes += (error.problems[0].found,)
            continue
        score, shifted = _scores(fixed, moving, xfm, moving_mask)
        found = RigidAlignment(xfm, score, shifted, number, notes)
        if found.is_clear:
            return found
        notes += (f"a score of {score:.3f}, and {shifted:.3f} when shifted",)
    raise RegistrationError(
        f"{fixed.get_filename() or 'image'} to T1w",
        f"{notes[-1]} after {len(starts)} starts",
        "an alignment that clearly beats its shifted copies",
        "look at both images: same person? correct headers? enough signal?",
    )


def align_pet(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    *,
    moving_mask: nib.Nifti1Image,
    registration: Registration,
) -> RigidAlignment:
    """Align PET with a T1w by mutual information, then with what the T1w predicts of it.

    Parameters and errors are those of `align_rigidly`; see `refine_by_prediction` for the
    second step, which is left out where it does not clearly beat its shifted copies.

    Returns
    -------
    RigidAlignment
    """
    found = align_rigidly(fixed, moving, moving_mask=moving_mask, registration=registration)
    xfm = refine_by_prediction(fixed, found.xfm, moving, moving_mask)
    score, shifted = _scores(fixed, moving, xfm, moving_mask)
    refined = replace(found, xfm=xfm, score=score, shifted_score=shifted)
    return refined if refined.is_clear else found


def keep_identity(
    fixed: nib.Nifti1Image,
    moving: nib.Nifti1Image,
    *,
    moving_mask: nib.Nifti1Image,
    registration: Registration,
) -> RigidAlignment:
    """Take two images as aligned already, and say what speaks against that.

    Their headers say where the head lies: of one PET/MR session, or of images that were aligned
    before. The score of the identity is held against its shifted copies and against what a
    registration finds.

    Parameters
    ----------
    fixed, moving, moving_mask, registration
        As in `align_rigidly`; `fixed` is PET.

    Returns
    -------
    RigidAlignment
        The identity, with notes when it does not clearly beat its shifted copies, or when a
        registration that does displaces the brain by more than 2 mm on average.
    """
    score, shifted = _scores(fixed, moving, Affine(), moving_mask)
    identity = RigidAlignment(Affine(), score, shifted, 0)
    notes: tuple[str, ...] = ()
    if not identity.is_clear:
        notes += (f"identity scores {score:.3f}, and {shifted:.3f} when shifted",)
    try:
        other = align_pet(fixed, moving, moving_mask=moving_mask, registration=registration)
    except RegistrationError as error:
        return replace(identity, notes=(*notes, f"no registration: {error.problems[0].found}"))
    brain = Affine(moving_mask.affine).map(
        np.argwhere(np.asarray(moving_mask.dataobj) > 0).astype(float)
    )
    moved = float(np.linalg.norm((~other.xfm).map(brain) - brain, axis=1).mean())
    moved = moved if other.score > score else 0.0
    if moved > IDENTITY_MM:
        notes += (
            f"a registration displaces the brain by {moved:.1f} mm and scores {other.score:.3f}, "
            f"identity {score:.3f}",
        )
    return replace(identity, notes=notes, displacement_mm=moved)


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
