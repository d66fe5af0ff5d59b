"""The embedded parcels: counts, names, sides and places, against independent atlases."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from scipy import ndimage

from petfmri.atlases import load_atlas, load_template, select_regions
from petfmri.errors import ConfigError

# Schaefer et al. 2018, 200 parcels in 7 networks
NETWORKS = {
    "Vis": 29,
    "SomMot": 35,
    "DorsAttn": 26,
    "SalVentAttn": 22,
    "Limbic": 12,
    "Cont": 30,
    "Default": 46,
    "Subcortex": 14,
    "Cerebellum": 2,
}
# mL of one side; MNI space is about a third larger than a living brain
SUBCORTEX = {
    "Thalamus": (8, 13, (11, -18, 7)),
    "Caudate": (3.5, 6.5, (13, 9, 9)),
    "Putamen": (5, 9, (26, 1, 0)),
    "Pallidum": (1.5, 3, (20, -4, -1)),
    "Accumbens": (0.5, 2, (9, 11, -8)),
    "Hippocampus": (4, 7, (26, -22, -14)),
    "Amygdala": (1.8, 3.5, (24, -4, -19)),
}


@pytest.fixture(scope="module")
def atlas():
    return load_atlas("Schaefer200")


@pytest.fixture(scope="module")
def labels(atlas):
    return np.asanyarray(atlas.image.dataobj)


@pytest.fixture(scope="module")
def centres(atlas, labels):
    return centres_of(labels, atlas.image.affine, atlas.table["index"])


@pytest.fixture(scope="module")
def volumes(labels):
    return np.bincount(labels.ravel())[1:] / 1000  # mL


@pytest.fixture(scope="module")
def grey():
    return np.asanyarray(load_template().gm.dataobj)


def centres_of(labels, affine, indices):
    voxels = np.argwhere(labels > 0)
    places = pd.DataFrame(apply_affine(affine, voxels)).groupby(labels[tuple(voxels.T)]).mean()
    return places.loc[list(indices)].to_numpy()


def region(atlas, labels, name):
    return labels == atlas.table.set_index("name").loc[name, "index"]


def test_table_and_image_name_the_same_regions(atlas, labels):
    table = atlas.table
    assert list(table) == ["index", "name", "network", "hemisphere", "structure"]
    np.testing.assert_array_equal(table["index"], np.arange(1, 217))
    np.testing.assert_array_equal(np.unique(labels), np.arange(217))
    assert table["name"].is_unique
    assert not table.isna().any(axis=None)


def test_networks_have_their_published_sizes(atlas):
    assert atlas.table["network"].value_counts().to_dict() == NETWORKS
    cortex = atlas.table[atlas.table["structure"] == "cortex"]
    assert len(cortex) == 200
    for row in cortex.itertuples():
        assert row.name.startswith(f"7Networks_{row.hemisphere}H_{row.network}_")


def test_every_region_lies_on_its_side(atlas, centres):
    on_left = centres[:, 0] < 0
    np.testing.assert_array_equal(on_left, atlas.table["hemisphere"] == "L")


def test_posterior_cingulate(atlas, centres):
    names = select_regions(atlas.table, ["*pCunPCC*", "*posteriorcingulate*"])
    chosen = atlas.table["name"].isin(names).to_numpy()
    assert atlas.table["index"][chosen].tolist() == [96, 97, 98, 99, 198, 199, 200]
    x, y, z = centres[chosen].T
    assert np.abs(x).max() < 15
    assert y.min() > -65
    assert y.max() < -25
    assert z.min() > 10


def test_order_of_names_agrees_with_an_independent_copy(shared_data, atlas, centres):
    """Another distribution in another MNI variant: names in order, centroids within 4 mm."""
    folder = shared_data / "atlas"
    names = [line.split()[0] for line in (folder / "SchaeferTian232_2mm.txt").open()][32:]
    assert atlas.table["name"].tolist()[:200] == names
    other = nib.load(folder / "SchaeferTian232_2mm.nii.gz")
    values = np.rint(np.asanyarray(other.dataobj)).astype(int)
    there = centres_of(values, other.affine, range(1, 201))
    distance = np.linalg.norm(there[:, None] - centres[None, :200], axis=2)
    np.testing.assert_array_equal(distance.argmin(axis=1), np.arange(200))
    assert np.diag(distance).max() < 4


def test_networks_agree_with_yeo(shared_data, atlas, labels):
    yeo = nib.load(shared_data / "atlas" / "Yeo7_2mm.nii.gz")
    networks = np.squeeze(np.asanyarray(yeo.dataobj)).astype(int)
    voxels = np.argwhere(networks > 0)
    to_ours = np.linalg.inv(atlas.image.affine) @ yeo.affine
    here = labels[tuple(np.rint(apply_affine(to_ours, voxels)).astype(int).T)]
    there = networks[tuple(voxels.T)]
    order = ["", *list(NETWORKS)[:7]]
    cortex = atlas.table[:200]
    majority = [order[np.bincount(there[here == i], minlength=8).argmax()] for i in cortex["index"]]
    assert np.mean(np.array(majority) == cortex["network"]) > 0.9


def test_labels_lie_on_grey_matter_and_would_not_if_moved(labels, grey):
    cortex = (labels > 0) & (labels <= 200)
    at_place = grey[cortex].mean()
    assert at_place > 0.6
    for axis in range(3):
        for shift in (-4, 4):
            assert grey[np.roll(cortex, shift, axis)].mean() < at_place - 0.03


def test_cerebral_grey_matter_is_covered(atlas, labels, grey):
    """Of the grey matter above the tentorium, at least nine tenths belong to a region."""
    z = atlas.image.affine[2, 3] + np.arange(labels.shape[2])
    above = grey[:, :, z > 5].astype(float)
    assert above[labels[:, :, z > 5] > 0].sum() / above.sum() > 0.9


@pytest.mark.parametrize("name", SUBCORTEX)
def test_subcortex_has_plausible_size_and_place(atlas, volumes, centres, name):
    low, high, place = SUBCORTEX[name]
    sides = [atlas.table["name"].eq(f"{name}_{side}").to_numpy() for side in "LR"]
    for chosen, sign in zip(sides, (-1, 1)):
        assert np.linalg.norm(centres[chosen][0] - np.array(place) * (sign, 1, 1)) < 4.5
    left, right = (volumes[chosen][0] for chosen in sides)
    assert low < min(left, right)
    assert max(left, right) < high
    assert 0.75 < left / right < 1.33


def test_subcortical_grey_is_grey(atlas, labels, grey):
    subcortex = atlas.table[atlas.table["structure"] == "subcortex"]
    pallidum = subcortex["name"].str.startswith("Pallidum")  # white matter to the priors
    assert grey[np.isin(labels, subcortex["index"][~pallidum])].min() >= 0.27


def test_cerebellum_can_serve_as_reference(atlas, labels, grey):
    sides = [region(atlas, labels, f"Cerebellum_{side}") for side in "LR"]
    left, right = (side.sum() / 1000 for side in sides)  # mL
    assert 80 < left + right < 110
    assert 0.95 < left / right < 1.05
    both = sides[0] | sides[1]
    assert grey[both].mean() > 0.85
    assert grey[both].min() > 0.7
    voxels = np.argwhere(both)
    assert apply_affine(atlas.image.affine, voxels)[:, 2].max() < 0
    box = tuple(slice(max(0, low - 6), high + 6) for low, high in zip(voxels.min(0), voxels.max(0)))
    cortex = (labels[box] > 0) & (labels[box] <= 200)
    assert ndimage.distance_transform_edt(~cortex)[both[box]].min() > 5


def test_select_regions_ignores_case_and_keeps_the_order_of_the_table(atlas):
    assert select_regions(atlas.table, ["putamen_?", "THALAMUS_L"]) == [
        "Thalamus_L",
        "Putamen_L",
        "Putamen_R",
    ]


def test_select_regions_refuses_to_select_nothing(atlas):
    with pytest.raises(ConfigError, match=r"match none of 216 regions.*Hippocampus_"):
        select_regions(atlas.table, ["*hipocampus*"])


def test_unknown_atlas_names_the_nearest():
    with pytest.raises(ConfigError, match="If you mean Schaefer200"):
        load_atlas("schaefer-200")
