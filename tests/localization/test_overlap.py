from __future__ import annotations

import gzip
import io
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.fileholders import FileHolder

from petfmri.errors import DatasetError
from petfmri.images.volumes import load_canonical
from petfmri.localization.overlap import cluster_peaks, dice, network_map, network_shares
from petfmri.localization.space import Space, of_labels, of_mask


def read_pair(header: Path) -> nib.Nifti1Image:
    """Read a gzipped .hdr/.img pair, axes as near to R, A, S as they come."""
    image = header.with_name(header.name.replace(".hdr", ".img"))
    files = {
        "header": FileHolder(fileobj=io.BytesIO(gzip.decompress(header.read_bytes()))),
        "image": FileHolder(fileobj=io.BytesIO(gzip.decompress(image.read_bytes()))),
    }
    return nib.as_closest_canonical(nib.Nifti1Pair.from_file_map(files))


def test_published_map_voxel_by_voxel(shared_data: Path) -> None:
    folder = shared_data / "coordinates/fcnm_mo2024"
    images = [read_pair(path) for path in sorted((folder / "masks_state").glob("*.hdr.gz"))]
    volumes = np.stack([np.asarray(image.dataobj) > 0 for image in images])
    published = load_canonical(folder / "published_state_probability.nii.gz")
    space = of_mask(np.ones(published.shape, dtype=bool), published.affine)
    for image in images:
        space.require_grid(image.shape, image.affine, "mask")
    result = network_map(volumes.reshape(len(images), -1), space, share=0.6, min_voxels=30)
    values = published.get_fdata().ravel()
    assert result.contrasts == 16
    assert int(result.inside.sum()) == 11_649
    np.testing.assert_array_equal(result.inside, values > 0)
    assert np.abs(result.probability - values)[result.inside].max() <= 2e-5


def cube(shape: tuple[int, int, int] = (6, 6, 6)) -> Space:
    return of_mask(np.ones(shape, dtype=bool), np.diag([2.0, 2, 2, 1]))


def test_edges_join_clusters_and_corners_do_not() -> None:
    volume = np.zeros((6, 6, 6), dtype=bool)
    volume[0, 0, 0] = volume[0, 1, 1] = True  # share an edge
    volume[3, 3, 3] = volume[4, 4, 4] = True  # share a corner
    found = network_map(volume.reshape(1, -1), cube(), min_voxels=2).inside.reshape(6, 6, 6)
    assert np.argwhere(found).tolist() == [[0, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize(("contrasts", "needed"), [(5, 3), (10, 6), (16, 10), (20, 12)])
def test_share_includes_its_bound(contrasts: int, needed: int) -> None:
    masks = np.arange(contrasts)[:, None] < np.arange(contrasts + 1)[None, :]
    space = of_mask(np.ones((1, 1, contrasts + 1), dtype=bool), np.eye(4))
    found = network_map(masks, space, share=0.6, min_voxels=1).inside
    assert np.flatnonzero(found).min() == needed


def test_peaks_and_shares() -> None:
    space = cube()
    masks = np.zeros((2, 6, 6, 6), dtype=bool)
    masks[:, 0:2, 0:2, 0:2] = True
    masks[0, 4:6, 4:6, 5] = True
    result = network_map(masks.reshape(2, -1), space, share=0.5, min_voxels=4)
    second = np.zeros(216)
    second[1] = 3.0
    table = cluster_peaks(result, space, np.arange(216), second)
    assert table["voxels"].tolist() == [8, 4]
    assert table["volume_mm3"].tolist() == pytest.approx([64, 32])
    assert table["probability"].tolist() == [1.0, 0.5]
    assert table.loc[0, ["x_mm", "y_mm", "z_mm", "label"]].tolist() == [0, 0, 2, 1]
    networks = np.where(space.ijk[:, 0] < 3, 1, 0)
    shares = network_shares(result.inside, networks, {1: "Vis"}, space)
    assert shares["network"].tolist() == ["Vis", "none"]
    np.testing.assert_allclose(shares["share_of_map"], [8 / 12, 4 / 12])
    np.testing.assert_allclose(shares["share_of_network"], [8 / 108, 4 / 108])


def test_parcels_count_their_voxels() -> None:
    labels = np.zeros((4, 4, 4), dtype=int)
    labels[0], labels[2, :2], labels[2, 2:] = 5, 2, 9
    space = of_labels(labels, np.array([9, 2, 5]), np.eye(4))
    found = network_map(np.array([[True, False, True]]), space, min_voxels=9)
    assert found.inside.tolist() == [False, False, True]
    assert dice(found.inside, np.array([True, False, True]), space) == pytest.approx(32 / 40)
    assert space.labels_of(np.where(labels == 5, 3, 0)).tolist() == [0, 0, 3]


def test_empty_map_and_wrong_share() -> None:
    result = network_map(np.zeros((3, 216), dtype=bool), cube())
    assert not result.inside.any()
    assert cluster_peaks(result, cube()).empty
    with pytest.raises(DatasetError, match="share"):
        network_map(np.zeros((3, 216), dtype=bool), cube(), share=60)
