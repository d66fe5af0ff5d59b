"""Real curves painted on a real PET-space segmentation: what goes in comes out."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.eulerangles import euler2mat

from petfmri.pet.activity import calibration
from petfmri.pet.frames import FrameSchedule
from petfmri.pet.reference import label_reference, reference_uptake
from petfmri.pet.suvr import suvr, suvr_from_tacs, window_mean
from petfmri.pet.tacs import regional_means

WINDOW_S = (3600, 5400)
CEREBELLUM = {8: "Left-Cerebellum-Cortex", 47: "Right-Cerebellum-Cortex"}


@pytest.fixture(scope="module")
def painted(shared_data, tmp_path_factory):
    """True curves, and a 4-D image with sidecar that holds nothing else, tilted out of the axes."""
    source = shared_data / "pet_dynamic/ps11"
    rows = [
        line.split()
        for line in (source / "petspace/gtm.stats.dat").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    regions = {int(row[1]): row[2] for row in rows}
    curves = nib.load(source / "petspace/nopvc.nii.gz").get_fdata(dtype=np.float32)[:, 0, 0, :]
    segmentation = nib.load(source / "petspace/seg.nii.gz")
    labels = np.asarray(segmentation.dataobj).astype(int)
    lookup = np.zeros((labels.max() + 1, curves.shape[1]), dtype=np.float32)
    lookup[list(regions)] = curves
    tilt = nib.affines.from_matvec(euler2mat(0.1, 0.2, -0.15))
    folder = tmp_path_factory.mktemp("ps11")
    image = nib.Nifti1Image(lookup[labels], tilt @ segmentation.affine)
    nib.save(image, folder / "sub-PS11_pet.nii")
    sidecar = (source / "raw/sub-PS11_ses-baseline_pet.json").read_text()
    (folder / "sub-PS11_pet.json").write_text(sidecar)
    return folder, labels, regions, curves * 1e-3


def test_frames_to_tacs_to_suvr(painted):
    folder, labels, regions, truth = painted
    image = nib.load(folder / "sub-PS11_pet.nii")
    sidecar = json.loads((folder / "sub-PS11_pet.json").read_text())
    schedule = FrameSchedule.from_sidecar(sidecar, image.shape[-1], "sub-PS11_pet.json")
    factors = calibration(sidecar, schedule)

    def frames():
        for number, factor in enumerate(factors):
            yield np.asarray(image.dataobj[..., number], dtype=np.float32) * np.float32(factor)

    tacs = regional_means(frames(), labels, regions, voxel_volume_mm3=8.0)
    assert tacs.mean.shape == (100, 33)
    np.testing.assert_allclose(tacs.mean, truth, rtol=1e-6)
    np.testing.assert_allclose(tacs.coverage, 1.0)
    assert tacs.notes == ()

    weights = np.clip(
        np.minimum(schedule.end_s, 5400) - np.maximum(schedule.start_s, 3600), 0, None
    )
    late = truth @ weights / weights.sum()
    volumes = tacs.region_table().set_index("name")["volume_mm3"]
    names = list(regions.values())
    left, right = (names.index(name) for name in CEREBELLUM.values())
    reference = np.average(late[[left, right]], weights=volumes.iloc[[left, right]])
    table = tacs.frame_table(schedule).drop(columns=["frame_start", "frame_end"])
    by_table = suvr_from_tacs(
        table, schedule, WINDOW_S, list(CEREBELLUM.values()), volumes_mm3=volumes
    )
    np.testing.assert_allclose(by_table, late / reference, rtol=1e-6)

    region = label_reference("cerebellum", labels, list(CEREBELLUM), image.affine)
    mean = window_mean(frames(), schedule.window_weights(WINDOW_S))
    ratio = suvr(mean, reference_uptake(mean, region).mean)
    by_voxel = regional_means([ratio], labels, regions, voxel_volume_mm3=8.0).mean[:, 0]
    pd.testing.assert_series_equal(
        pd.Series(by_voxel, index=by_table.index, name="suvr"), by_table, rtol=1e-6
    )
