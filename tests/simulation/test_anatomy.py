from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from petfmri.simulation.anatomy import AIR, CSF, GREY, SOFT, WHITE, bias_field, deep_inside
from petfmri.simulation.effects import stream
from petfmri.simulation.shape import draw_to_template, jacobian, nonlinear_part


@pytest.mark.parametrize("person", range(3))
def test_warp_is_large_smooth_and_invertible(phantom, person):
    to_template = draw_to_template(phantom, stream(9, "anatomy", person))
    warp, affine = to_template.parts
    points = phantom.brain_points
    size = np.linalg.norm(nonlinear_part(warp, points), axis=1)
    assert np.sqrt((size**2).mean()) >= 4
    assert 10 <= size.max() < 25
    assert jacobian(warp).min() > 0.2
    back = to_template.map((~to_template).map(points))
    error = np.linalg.norm(back - points, axis=1)
    assert (error.mean() < 0.1, error.max() < 0.5) == (True, True)
    scale = np.linalg.svd(affine.matrix[:3, :3])[1]
    assert (scale > 1 / 1.081).all() and (scale < 1 / 0.919).all()


def test_nonlinear_part_of_an_affine_is_nothing(phantom):
    to_template = draw_to_template(phantom, stream(9, "anatomy", 0))
    assert np.abs(nonlinear_part(to_template.parts[1], phantom.brain_points)).max() < 1e-6


def test_tissues_are_those_of_a_head(head):
    voxel_ml = head.grid.spacing_mm.prod() / 1000
    ml = {kind: (head.tissue == kind).sum() * voxel_ml for kind in range(5)}
    assert 1300 < ml[CSF] + ml[GREY] + ml[WHITE] < 2400
    assert 0.3 < ml[WHITE] / (ml[GREY] + ml[WHITE]) < 0.5
    means = [head.t1w[head.tissue == kind].mean() for kind in (AIR, CSF, GREY, WHITE)]
    assert means == sorted(means)
    assert (head.tissue[0] == AIR).mean() > 0.9  # room around the head
    assert (head.tissue == SOFT).any()


def test_parcels_are_grey_and_complete(head, phantom):
    assert (head.tissue[head.parcels > 0] == GREY).all()
    assert set(np.unique(head.parcels)) == set(range(len(phantom.table) + 1))
    in_parcel = head.parcels > 0
    np.testing.assert_array_equal(head.compartment[in_parcel], head.parcels[in_parcel])
    n = head.n_regions
    assert (head.compartment[head.tissue == WHITE] == n + 1).all()
    assert (head.compartment[head.tissue == CSF] == n + 2).all()
    assert (head.compartment[head.tissue == SOFT] == n + 3).all()


def test_carried_parcels_lie_where_the_warp_says(head, phantom):
    voxels = np.argwhere(head.parcels > 0)
    inside = phantom.labels[
        tuple(
            np.rint(
                (np.linalg.inv(phantom.affine)
                 @ np.c_[head.to_template.map(_world(head.grid.affine, voxels)), np.ones(len(voxels))].T)[:3]
            ).astype(int)
        )
    ]  # fmt: skip
    np.testing.assert_array_equal(inside, head.parcels[tuple(voxels.T)])


def _world(affine, voxels):
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def test_reference_lies_deep_in_white_matter(head):
    depth = ndimage.distance_transform_edt(head.tissue == WHITE, sampling=head.grid.spacing_mm)
    assert depth[head.reference].min() > 3
    assert head.reference.sum() * head.grid.spacing_mm.prod() > 5000  # mm³


def test_deep_inside_by_hand(head):
    mask = np.zeros(head.grid.shape, dtype=bool)
    mask[10:15, 10:15, 10:15] = True
    part = np.zeros_like(mask)
    part[10:15, 12, 12] = True
    kept = deep_inside(mask, part, 3.5, head.grid)  # 3 mm voxels: the second layer is 6 mm deep
    assert np.argwhere(kept).tolist() == [[11, 12, 12], [12, 12, 12], [13, 12, 12]]


def test_bias_field_has_the_asked_size(head, rng):
    field = bias_field(head.grid, 20.0, rng)
    assert np.abs(field - 1).max() == pytest.approx(0.2, abs=1e-5)
    assert np.abs(np.diff(field, axis=0)).max() < 0.02
