"""Scores of an anatomy: volumes of its tissues, their contrast, and how well it fits the template."""

from __future__ import annotations

import nibabel as nib
import numpy as np

from petfmri.errors import InputError
from petfmri.images.resampling import Grid, carry_mask
from petfmri.images.tissues import Tissues
from petfmri.images.transforms import Transform

PURE = 0.9  # share of a voxel by one tissue, to tell that tissue's intensity


def anatomy_scores(
    t1w: nib.Nifti1Image, mask: nib.Nifti1Image, tissues: Tissues
) -> dict[str, float]:
    """Measure volumes and contrast of a segmented brain.

    Parameters
    ----------
    t1w : Nifti1Image, 3-D
    mask : Nifti1Image
        Brain, on the grid of `t1w`.
    tissues : Tissues
        Shares, on the grid of `t1w`.

    Returns
    -------
    dict
        ``brain_ml``, ``gm_ml``, ``wm_ml``, ``csf_ml``; ``cjv``, the coefficient of joint variation
        (sd of WM + sd of GM) over the difference of their means [1]_: 0 without noise, above 1 when the
        tissues can hardly be told apart.

    Raises
    ------
    InputError
        If the grids differ, or no voxel is nearly pure grey or white matter.

    References
    ----------
    .. [1] Ganzetti M, Wenderoth N, Mantini D. Intensity inhomogeneity correction of structural MR
       images: a data-driven approach to define input algorithm parameters. Front Neuroinform
       2016;10:10.
    """
    if any(Grid.of(image) != Grid.of(t1w) for image in (mask, *tissues)):
        raise InputError(
            "tissues of the T1w", "another grid", "the grid of the T1w", "segment the T1w itself"
        )
    values = np.asarray(t1w.dataobj, dtype=np.float32)
    gm, wm = (values[np.asarray(share.dataobj) > PURE] for share in (tissues.gm, tissues.wm))
    if not gm.size or not wm.size:
        raise InputError(
            "tissues of the T1w",
            f"{gm.size} voxels of pure grey and {wm.size} of pure white matter",
            "some of both",
            "look at the segmentation",
        )
    voxel_ml = float(Grid.of(t1w).spacing_mm.prod()) / 1000
    volumes = zip(("brain", "gm", "wm", "csf"), (mask, *tissues), strict=True)
    scores = {
        f"{name}_ml": voxel_ml * float(np.asarray(share.dataobj, dtype=float).sum())
        for name, share in volumes
    }
    return scores | {"cjv": float((wm.std() + gm.std()) / abs(wm.mean() - gm.mean()))}


def overlap(mask: nib.Nifti1Image, other: nib.Nifti1Image, xfm: Transform) -> float:
    """Compare a mask with another one carried onto its grid: Dice's coefficient, 0 to 1.

    Parameters
    ----------
    mask, other : Nifti1Image, 3-D
        Inside where at least 0.5.
    xfm : Transform
        Points of `mask` to points of `other`.

    References
    ----------
    Dice LR. Measures of the amount of ecologic association between species. Ecology
    1945;26:297-302.
    """
    carried = np.asarray(carry_mask(other, xfm, Grid.of(mask)).dataobj) > 0
    inside = np.asarray(mask.dataobj) >= 0.5
    return float(2 * (carried & inside).sum() / max(1, int(carried.sum() + inside.sum())))
