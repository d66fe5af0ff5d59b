from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from nibabel.eulerangles import euler2mat
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from petfmri.errors import ReferenceRegionError
from petfmri.pet.masks import blurred
from petfmri.pet.spill_in import SpillIn, spill_in

SIGMA = 1 / np.sqrt(8 * np.log(2))
GRIDS = {
    "RAS": np.diag([1.0, 1, 1, 1]),
    "LAS": np.diag([-1.0, 1, 1, 1]),
    "anisotropic": np.diag([1.0, 1.5, 3, 1]),
    "oblique": nib.affines.from_matvec(euler2mat(0.2, -0.1, 0.3) @ np.diag([1.0, 1.5, 2])),
}


def wall(n=48, face=20):
    """Grey matter up to a plane, white matter beyond it."""
    grey = np.zeros((n, n, n))
    grey[:face] = 1
    return 1 - grey, grey, np.zeros_like(grey)


@pytest.mark.parametrize("distance_mm", [0.5, 2.5, 5.5])
def test_weight_of_a_wall_is_the_normal_tail(distance_mm):
    """At a distance d from a plane, the share is Φ(−d / σ): a table of the normal has it."""
    white, grey, csf = wall()
    region = np.zeros(grey.shape)
    region[20 + int(distance_mm), 20:28, 20:28] = 1
    found = spill_in(region, white, grey, csf, np.eye(4), 6.0)
    assert found.grey == pytest.approx(norm.cdf(-distance_mm / (6 * SIGMA)), abs=0.004)
    assert found.white == pytest.approx(1 - found.grey, abs=1e-3)  # the kernel ends at 4 σ
    assert found.csf == 0


@pytest.mark.parametrize("grid", GRIDS)
def test_weights_predict_a_blurred_image_and_undo_it(grid, rng):
    """White 5, grey 19, CSF 1, blurred at 6 mm: the mean to 0.1 %, and white matter back."""
    affine = GRIDS[grid]
    shares = gaussian_filter(rng.random((3, 40, 40, 40)), (0, 3, 3, 3))
    white, grey, csf = shares / shares.sum(axis=0)
    region = np.zeros(white.shape, dtype=bool)
    region[16:24, 17:22, 18:23] = True
    image = blurred(5 * white + 19 * grey + csf, affine, 6.0)
    found = spill_in(region, white, grey, csf, affine, 6.0)
    mean = image[region].mean()
    assert 5 * found.white + 19 * found.grey + found.csf == pytest.approx(mean, rel=1e-3)
    assert (mean - 19 * found.grey - found.csf) / found.white == pytest.approx(5, rel=5e-3)


def test_resolution_may_differ_along_the_axes_of_the_world():
    """A wall across x knows only the resolution along x, however the image is stored."""
    white, grey, csf = wall()
    region = np.zeros(grey.shape)
    region[22, 20:28, 20:28] = 1
    expected = spill_in(region, white, grey, csf, np.eye(4), 6.0).grey
    assert spill_in(region, white, grey, csf, np.eye(4), (6, 3, 2)).grey == pytest.approx(expected)
    order = (2, 0, 1)
    turned = [array.transpose(order) for array in (region, white, grey, csf)]
    found = spill_in(*turned, np.eye(4)[:, [*order, 3]], (6, 3, 2))
    assert found.grey == pytest.approx(expected)


def test_share_of_the_signal():
    """0.9 of white at 1 and 0.1 of grey at 4: 4 of 13."""
    assert SpillIn(0.9, 0.1, 0.0).grey_percent(4) == pytest.approx(100 * 4 / 13)
    assert SpillIn(1.0, 0.0, 0.0).grey_percent() == 0


@pytest.mark.parametrize(
    ("region", "shape", "found"),
    [
        (np.zeros((4, 4, 4)), (4, 4, 4), "no grey or white"),
        (np.ones((4, 4, 4)), (4, 4, 5), "grids of"),
    ],
)
def test_no_region_or_no_common_grid(region, shape, found):
    tissues = np.ones((3, *shape))
    with pytest.raises(ReferenceRegionError, match=found):
        spill_in(region, *tissues, np.eye(4))


def test_real_anatomy(shared_data):
    """Grey matter's share in a person's central white matter lies between that of a core and a rim."""
    stem = str(shared_data / "pet_dynamic/ps11/anat/sub-PS11_ses-baselinebrain_label-")
    images = [nib.load(f"{stem}{name}_probseg.nii.gz") for name in ("WM", "GM", "CSF")]
    box = (slice(35, 135), slice(50, 210), slice(150, 230))
    white, grey, csf = (np.asarray(image.dataobj[box], dtype=np.float32) for image in images)
    affine = images[0].affine
    percent = [
        spill_in(where, white, grey, csf, affine, 5.5).grey_percent()
        for where in (blurred(white, affine, 7.0) > 0.97, white > 0.9)
    ]
    assert 0 < percent[0] < 10 < percent[1] < 60
