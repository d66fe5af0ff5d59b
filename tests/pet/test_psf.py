from __future__ import annotations

import json

import numpy as np
import pytest

from petfmri.errors import DatasetError
from petfmri.pet.psf import blur, psf_fwhm_mm, psf_sigma


def stated(label, unit, value):
    return {
        "ReconMethodParameterLabels": ["subsets", label],
        "ReconMethodParameterUnits": ["none", unit],
        "ReconMethodParameterValues": [21, value],
    }


def test_configured_comes_first():
    sidecar = stated("resolution", "mm", 4.5)
    np.testing.assert_array_equal(psf_fwhm_mm(6, sidecar), [6, 6, 6])
    np.testing.assert_array_equal(psf_fwhm_mm([5, 6, 7], sidecar), [5, 6, 7])
    np.testing.assert_array_equal(psf_fwhm_mm(None, sidecar), [4.5] * 3)
    axial = stated("Image resolution (FWHM)", "mm", [4.5, 4.5, 5])
    np.testing.assert_array_equal(psf_fwhm_mm(None, axial), [4.5, 4.5, 5])


@pytest.mark.parametrize(
    "sidecar",
    [
        {},
        {"ReconFilterType": "Gaussian", "ReconFilterSize": 2.0},
        stated("resolution recovery", "none", 1),
        stated("iterations", "none", 3),
        {"ReconMethodParameterLabels": "resolution"},
    ],
)
def test_a_filter_is_not_a_resolution(sidecar):
    with pytest.raises(DatasetError, match="psf_mm under pet"):
        psf_fwhm_mm(None, sidecar, "sub-01_pet.json")


def test_real_sidecar_does_not_give_it(shared_data):
    path = shared_data / "pet_dynamic/ps11/raw/sub-PS11_ses-baseline_pet.json"
    sidecar = json.loads(path.read_text())
    with pytest.raises(DatasetError, match="no resolution"):
        psf_fwhm_mm(None, sidecar, path.name)
    np.testing.assert_array_equal(psf_fwhm_mm(5.0, sidecar), [5, 5, 5])
    with pytest.raises(DatasetError, match=r"1.5 mm, after a filter of 2 mm"):
        psf_fwhm_mm(1.5, sidecar)


@pytest.mark.parametrize("wrong", [0, -6, np.nan, 300, [5, 6], "six", [[5, 6, 7]]])
def test_what_is_no_resolution(wrong):
    with pytest.raises(DatasetError, match="one FWHM or one per axis"):
        psf_fwhm_mm(wrong)


def test_blur_has_the_width_in_mm_along_each_axis():
    point = np.zeros((31, 31, 31))
    point[15, 15, 15] = 1
    affine = np.diag([2, 2.5, 4, 1])
    seen = blur(point, (6, 10, 12), affine)
    assert seen.sum() == pytest.approx(1)
    for axis, (size, fwhm) in enumerate([(2, 6), (2.5, 10), (4, 12)]):
        profile = seen.sum(axis=tuple({0, 1, 2} - {axis}))
        variance = profile @ ((np.arange(31) - 15) * size) ** 2
        assert np.sqrt(variance) * 2.3548 == pytest.approx(fwhm, rel=2e-3)


def test_constant_stays_constant_at_the_edges():
    np.testing.assert_allclose(blur(np.full((4, 5, 6), 3.0), 6, np.eye(4)), 3, rtol=1e-12)


def test_sheared_voxels_are_refused():
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    with pytest.raises(DatasetError, match="voxel axes"):
        psf_sigma(6, sheared)
