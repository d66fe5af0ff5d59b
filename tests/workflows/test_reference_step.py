from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.errors import ReferenceRegionError
from petfmri.interfaces.reference import BuildReference

SHAPE = (24, 20, 20)


@pytest.fixture
def given(tmp_path):
    """Grey matter, white matter and CSF in slabs; label 1 in the cortex, 2 in the cerebellum."""
    arrays = {name: np.zeros(SHAPE, np.float32) for name in ("t1w", "grey", "white", "csf")}
    arrays["grey"][:8], arrays["white"][8:16], arrays["csf"][16:] = 1, 1, 1
    labels = np.zeros(SHAPE, np.float32)
    labels[:8, :10], labels[:8, 10:] = 1, 2
    arrays |= {"segmentation": labels, "brain_mask": np.ones(SHAPE, np.float32)}
    for name, array in arrays.items():
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    table = pd.DataFrame(
        {"index": [1, 2], "name": ["PCC", "Cerebellum"], "structure": ["cortex", "cerebellum"]}
    )
    table.to_csv(tmp_path / "regions.tsv", sep="\t", index=False)
    inputs = {name: str(tmp_path / f"{name}.nii.gz") for name in arrays}
    (tmp_path / "xfm.nii.gz").touch()
    return inputs | {"regions": str(tmp_path / "regions.tsv"), "xfm": str(tmp_path / "xfm.nii.gz")}


def build(given, folder, **inputs):
    outputs = BuildReference(**given, **inputs).step(folder)
    mask = np.asarray(nib.load(outputs["mask"]).dataobj) > 0
    return mask, json.loads(outputs["sidecar"].read_text())


def test_whole_brain_with_its_sidecar(given, tmp_path):
    mask, sidecar = build(given, tmp_path, reference="wholebrain")
    assert mask[:16].all() and not mask[16:].any()
    assert sidecar["VolumeMl"] == pytest.approx(6.4)
    spread = sidecar["SpillIn"]
    assert spread["PsfMm"] == [5.5] * 3 and "unset" in spread["PsfSource"]
    weights = [spread[f"{name}Weight"] for name in ("White", "Grey", "Csf")]
    assert 0 < weights[2] < weights[0] and sum(weights) < 1  # the rest blurs out of the image
    assert spread["GreyPercentOfSignal"] == pytest.approx(
        100 * 4 * weights[1] / (4 * weights[1] + weights[0])
    )


def test_lesions_are_joined_and_named(given, tmp_path):
    paths = []
    for number, place in enumerate((0, 19)):
        lesion = np.zeros(SHAPE, np.uint8)
        lesion[:, :, place] = 1
        paths.append(tmp_path / f"sub-01_run-{number}_label-lesion_mask.nii.gz")
        nib.save(nib.Nifti1Image(lesion, np.eye(4)), paths[-1])
    mask, sidecar = build(
        given, tmp_path, reference="wholebrain", lesions=list(map(str, paths)), psf_mm=[5.0] * 3
    )
    assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == list(range(5, 15))
    assert sidecar["LesionMasks"] == [path.name for path in paths]
    assert sidecar["SpillIn"]["PsfSource"] == "pet.psf_mm"


def test_labels_and_cerebellum(given, tmp_path):
    mask, sidecar = build(given, tmp_path, reference="custom", patterns=["PC*"])
    assert mask[:8, :10].all() and mask.sum() == 8 * 10 * 20
    assert sidecar["SpillIn"]["GreyPercentOfSignal"] > 90
    with pytest.raises(ReferenceRegionError, match=r"cerebellar.*0\.80 mL"):
        build(given, tmp_path, reference="cerebellum")  # 5 mm from the cortex leave too little
