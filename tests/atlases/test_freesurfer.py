from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from petfmri.atlases import select_regions
from petfmri.atlases.freesurfer import TABLE, read_aparc_aseg
from petfmri.errors import DatasetError

GREY = [8, 10, 47, 53, 172, 1023, 2035]
OTHER = [0, 2, 3, 4, 16, 24, 28, 42, 77, 255, 1000, 1004, 3023, 4035, 5002]
AFFINES = {
    "RAS": np.diag([1.0, 1, 1, 1]),
    "LAS": np.diag([-1.0, 1, 1, 1]),
    "oblique": nib.affines.from_matvec(nib.eulerangles.euler2mat(0.3, 0.1, -0.2), [5, -7, 9]),
    "anisotropic": np.diag([1.0, 1, 3, 1]),
}


def write(path, labels, affine=None):
    data = np.asarray(labels, np.int32).reshape(-1, 1, 1)
    kind = nib.MGHImage if path.suffix == ".mgz" else nib.Nifti1Image
    nib.save(kind(data, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("name", ["aparc+aseg.mgz", "sub-01_desc-aparcaseg_dseg.nii.gz"])
def test_grey_matter_stays_and_all_else_is_background(tmp_path, name, affine):
    path = write(tmp_path / name, [*GREY, *OTHER], AFFINES[affine])
    atlas = read_aparc_aseg(path)
    labels = np.asarray(atlas.image.dataobj).ravel()
    assert labels.tolist() == GREY + [0] * len(OTHER)
    np.testing.assert_allclose(atlas.image.affine, AFFINES[affine], atol=1e-5)
    assert atlas.table["index"].tolist() == sorted(GREY)
    assert list(atlas.table) == ["index", "name", "network", "hemisphere", "structure"]
    assert atlas.table["network"].isna().all()
    row = atlas.table.set_index("index").loc[1023]
    assert (row["name"], row["hemisphere"], row["structure"]) == (
        "ctx-lh-posteriorcingulate",
        "L",
        "cortex",
    )
    assert select_regions(atlas.table, ["*posteriorcingulate*"]) == ["ctx-lh-posteriorcingulate"]


def test_the_table_is_whole():
    """34 cortical parcels a side numbered alike, 7 subcortical regions a side, cerebellum, vermis."""
    table = pd.read_csv(TABLE, sep="\t", na_values="n/a")
    assert table["index"].is_unique and table["name"].is_unique
    grey = table.dropna(subset="structure")
    counts = grey.groupby(["structure", "hemisphere"]).size().to_dict()
    assert counts == {
        ("cerebellum", "B"): 1, ("cerebellum", "L"): 1, ("cerebellum", "R"): 1,
        ("cortex", "L"): 34, ("cortex", "R"): 34,
        ("subcortex", "L"): 7, ("subcortex", "R"): 7,
    }  # fmt: skip
    cortex = grey[grey["structure"] == "cortex"].set_index("index")["name"]
    for index, name in cortex[cortex.index < 2000].items():
        assert cortex[index + 1000] == name.replace("-lh-", "-rh-")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1023, 11101, 12105], "labels 11101, 12105; expected those of aparc\\+aseg"),
        ([1023, *range(11101, 11112)], "and 3 more"),
        ([2, 3, 10, 41, 42], "no cortical parcel"),
        ([0, 0], "no label above 0"),
    ],
)
def test_other_segmentations_are_refused(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        read_aparc_aseg(write(tmp_path / "seg.mgz", labels))


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "aparc+aseg.mgz").write_bytes(b"text")
    with pytest.raises(DatasetError, match="unreadable"):
        read_aparc_aseg(tmp_path / "aparc+aseg.mgz")


def test_real_persons_agree_with_freesurfers_own_names(shared_data):
    """ps11: every label is known, names equal those of its own table, volumes are a head's."""
    anat = shared_data / "pet_dynamic/ps11/anat"
    atlas = read_aparc_aseg(anat / "sub-PS11_ses-baselinebrain_desc-aparcaseg_dseg.nii.gz")
    own = pd.read_csv(anat / "desc-aparcaseg_dseg.tsv", sep="\t").drop_duplicates("index")
    names = own.set_index("index")["name"]
    assert len(atlas.table) == 84
    assert (names.loc[atlas.table["index"]].to_numpy() == atlas.table["name"].to_numpy()).all()
    labels = np.asarray(atlas.image.dataobj)
    voxel_ml = abs(np.linalg.det(atlas.image.affine[:3, :3])) / 1000
    volume = pd.Series(np.bincount(labels.ravel())[atlas.table["index"]] * voxel_ml)
    by_structure = volume.groupby(atlas.table["structure"].to_numpy()).sum()
    assert 350 < by_structure["cortex"] < 650
    assert 70 < by_structure["cerebellum"] < 150
    assert 30 < by_structure["subcortex"] < 80


def test_real_gtmseg_has_the_vermis(shared_data):
    atlas = read_aparc_aseg(shared_data / "pet_dynamic/ps11/petspace/seg.nii.gz")
    assert len(atlas.table) == 85 and "Vermis" in set(atlas.table["name"])
