"""Transforms of other programs, each against truth that was written by hand."""

from __future__ import annotations

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.affines import apply_affine
from scipy.io import savemat

from petfmri.errors import DatasetError
from petfmri.images.transform_files import write_affine, write_warp
from petfmri.images.transform_reader import read_transform
from petfmri.images.transforms import Affine, Warp, rigid

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
MOVE = rigid((4.0, -7.0, 2.5), (12.0, -5.0, 20.0), center=(3.0, 8.0, -2.0))
POINTS = np.array([[10.0, -20.0, 5.0], [-31.0, 4.0, 22.0], [0.0, 0.0, 0.0]])

RAS = np.array([[2.0, 0, 0, -40], [0, 2, 0, -50], [0, 0, 3, -30], [0, 0, 0, 1]])
LAS = np.array([[-1.5, 0, 0, 45], [0, 2, 0, -50], [0, 0, 1, -30], [0, 0, 0, 1]])
OBLIQUE = rigid((5, -3, 8), (15, 10, -20)).matrix @ RAS
SHAPES = {"ras": (41, 50, 22), "las": (60, 44, 61), "oblique": (38, 46, 24)}
GRIDS = {"ras": RAS, "las": LAS, "oblique": OBLIQUE}


def image(kind):
    return nib.Nifti1Image(np.zeros(SHAPES[kind], np.uint8), GRIDS[kind])


def fsl_mm(kind, points):
    """FSL's coordinates: voxel times size, x counted from the right if the image is RAS-like."""
    voxels = apply_affine(np.linalg.inv(GRIDS[kind]), points)
    if np.linalg.det(GRIDS[kind]) > 0:
        voxels[:, 0] = SHAPES[kind][0] - 1 - voxels[:, 0]
    return voxels * nib.affines.voxel_sizes(GRIDS[kind])


def itk_parameters(matrix):
    lps = LPS @ matrix @ LPS
    return np.concatenate([lps[:3, :3].ravel(), lps[:3, 3]])


def smooth_field(shape, affine):
    """A displacement that differs along every axis, RAS mm."""
    voxels = np.moveaxis(np.indices(shape), 0, -1)
    x = apply_affine(affine, voxels)
    parts = [3 * np.sin(x[..., 1] / 20), 2 * np.cos(x[..., 2] / 15), x[..., 0] / 30]
    return np.stack(parts, -1).astype(np.float32)


def write_composite(path, parts, typo=False):
    """Write an ITK composite by hand: LPS, vectors first in Fortran order."""
    word = "Tranform" if typo else "Transform"
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup")
        group.create_group("0")["TransformType"] = [b"CompositeTransform_double_3_3"]
        for number, part in enumerate(parts, 1):
            own = group.create_group(str(number))
            if isinstance(part, Affine):
                kind, values, fixed = (
                    b"AffineTransform_double_3_3",
                    itk_parameters(part.matrix),
                    np.zeros(3),
                )
            else:
                lps, sizes = LPS @ part.affine, nib.affines.voxel_sizes(part.affine)
                vectors = part.displacement * np.array([-1, -1, 1])
                values = np.moveaxis(vectors, -1, 0).ravel(order="F")
                kind = b"DisplacementFieldTransform_float_3_3"
                shape = part.displacement.shape[:3]
                fixed = np.concatenate([shape, lps[:3, 3], sizes, (lps[:3, :3] / sizes).ravel()])
            own["TransformType"] = [kind]
            own[f"{word}Parameters"], own[f"{word}FixedParameters"] = values, fixed
    return path


def test_itk_text_and_matlab_of_one_affine(tmp_path):
    text = read_transform(write_affine(MOVE, tmp_path / "xfm.txt"))
    np.testing.assert_allclose(text.map(POINTS), MOVE.map(POINTS), atol=1e-9)
    centre = np.array([5.0, -3.0, 12.0])  # LPS; x -> A (x - c) + c + t
    lps = LPS @ MOVE.matrix @ LPS
    translation = lps[:3, 3] - centre + lps[:3, :3] @ centre
    values = np.concatenate([lps[:3, :3].ravel(), translation])[:, None]
    content = {"AffineTransform_double_3_3": values, "fixed": centre[:, None]}
    savemat(tmp_path / "xfm.mat", content, format="4")
    found = read_transform(tmp_path / "xfm.mat")
    np.testing.assert_allclose(found.map(POINTS), MOVE.map(POINTS), atol=1e-5)


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("typo", [False, True])
def test_an_itk_composite_applies_its_last_transform_first(tmp_path, kind, typo):
    warp = Warp(smooth_field(SHAPES[kind], GRIDS[kind]), GRIDS[kind])
    found = read_transform(write_composite(tmp_path / "xfm.h5", [MOVE, warp], typo))
    np.testing.assert_allclose(found.map(POINTS), MOVE.map(warp.map(POINTS)), atol=1e-4)
    swapped = read_transform(write_composite(tmp_path / "xfm2.h5", [warp, MOVE], typo))
    np.testing.assert_allclose(swapped.map(POINTS), warp.map(MOVE.map(POINTS)), atol=1e-4)
    assert np.abs(swapped.map(POINTS) - found.map(POINTS)).max() > 0.1


@pytest.mark.parametrize("moving", GRIDS)
@pytest.mark.parametrize("reference", GRIDS)
def test_flirt_maps_moving_millimetres_to_reference_millimetres(tmp_path, reference, moving):
    corners = np.vstack([POINTS, [[20.0, 9.0, -7.0]]])
    inward = np.column_stack([fsl_mm(moving, MOVE.map(corners)), np.ones(4)])
    outward = np.column_stack([fsl_mm(reference, corners), np.ones(4)])
    np.savetxt(tmp_path / "flirt.mat", np.linalg.solve(inward, outward).T, fmt="%.12f")
    found = read_transform(tmp_path / "flirt.mat", reference=image(reference), moving=image(moving))
    np.testing.assert_allclose(found.map(POINTS), MOVE.map(POINTS), atol=1e-5)


@pytest.mark.parametrize("moving", GRIDS)
@pytest.mark.parametrize("reference", GRIDS)
def test_a_field_of_fnirt_is_in_fsl_millimetres_relative_or_absolute(tmp_path, reference, moving):
    affine, shape = GRIDS[reference], SHAPES[reference]
    voxels = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, 3)
    points = apply_affine(affine, voxels)
    warped = MOVE.map(points) + smooth_field(shape, affine).reshape(-1, 3)
    absolute = fsl_mm(moving, warped)
    for vectors in (absolute - fsl_mm(reference, points), absolute):
        field = nib.Nifti1Image(vectors.reshape(*shape, 3).astype(np.float32), affine)
        field.header["intent_code"] = 2006
        nib.save(field, tmp_path / "warp.nii")
        found = read_transform(
            tmp_path / "warp.nii", reference=image(reference), moving=image(moving)
        )
        np.testing.assert_allclose(found.map(points[::97]), warped[::97], atol=1e-3)


@pytest.mark.parametrize("source", GRIDS)
@pytest.mark.parametrize("target", GRIDS)
def test_lta_of_both_kinds_moves_src_onto_dst(tmp_path, source, target):
    src_to_dst = np.linalg.inv(MOVE.matrix)  # MOVE: points of dst to points of src
    voxel = np.linalg.inv(GRIDS[target]) @ src_to_dst @ GRIDS[source]
    for kind, matrix in ((1, src_to_dst), (0, voxel)):
        path = tmp_path / f"{kind}.lta"
        path.write_text(lta(kind, matrix, source, target))
        np.testing.assert_allclose(read_transform(path).map(POINTS), MOVE.map(POINTS), atol=1e-4)


def lta(kind, matrix, source, target):
    """Write what mri_coreg writes."""
    lines = [
        "# transform file",
        "",
        f"type      = {kind} # LINEAR",
        "nxforms   = 1",
        "mean      = 0.0000 0.0000 0.0000",
        "sigma     = 10000.0000",
        "1 4 4",
        *(" ".join(f"{value:.15e}" for value in row) + " " for row in matrix),
    ]
    for word, name in (("src", source), ("dst", target)):
        affine, shape = GRIDS[name], np.array(SHAPES[name])
        sizes = nib.affines.voxel_sizes(affine)
        centre = apply_affine(affine, shape / 2)
        rows = [*(affine[:3, :3] / sizes).T, centre]
        lines += [
            f"{word} volume info",
            "valid = 1  # volume info valid",
            f"filename = {name}.mgz",
            "volume = {} {} {}".format(*shape),
            "voxelsize = {:.15e} {:.15e} {:.15e}".format(*sizes),
            *(
                f"{axis}   = " + " ".join(f"{value:.15e}" for value in row)
                for axis, row in zip(("xras", "yras", "zras", "cras"), rows, strict=True)
            ),
        ]
    return "\n".join([*lines, "subject fsaverage", "fscale 0.150000", ""])


def test_the_lta_of_a_real_scan_agrees_with_its_own_conversion(shared_data):
    folder = shared_data / "pet_dynamic/ps11"
    found = read_transform(folder / "sub-PS11_ses-baselinebrain_from-pet_to-t1w_reg.lta")
    text = (folder / "sub-PS11_ses-baselinebrain_from-pet_to-t1w_reg.xfm").read_text()
    rows = text.split("Linear_Transform =")[1].replace(";", "").split()
    pet_to_t1w = np.vstack([np.array(rows, float).reshape(3, 4), [0, 0, 0, 1]])  # lta_convert's
    np.testing.assert_allclose(found.map(POINTS), (~Affine(pet_to_t1w)).map(POINTS), atol=1e-2)
    mask = nib.load(folder / "anat/sub-PS11_ses-baselinebrain_desc-brain_mask.nii.gz")
    brain = apply_affine(mask.affine, np.argwhere(np.asarray(mask.dataobj) > 0).mean(axis=0))
    from_middle = found.map(brain[None])[0] - np.array([-2.1, 254.6, -229.0])  # of the PET
    assert (np.abs(from_middle) < [204, 204, 111]).all()


def test_a_displacement_field_and_what_is_none(tmp_path):
    warp = Warp(smooth_field((20, 22, 18), OBLIQUE), OBLIQUE)
    assert read_transform(write_warp(warp, tmp_path / "warp.nii.gz")) == warp
    damaged = {
        "xfm.h5": b"\x89HDF\r\n\x1a\n",
        "xfm.lta": b"type = 0\n",
        "xfm.mat": b"\x00\x01\x02\x03",
        "xfm.txt": b"#Insight Transform File V1.0\nTransform: Euler3DTransform_double_3_3\n",
        "warp.nii": b"no image",
    }
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError, match=name):
            read_transform(tmp_path / name)
    np.savetxt(tmp_path / "flirt.mat", np.eye(4))
    with pytest.raises(DatasetError, match="two images"):
        read_transform(tmp_path / "flirt.mat")
    for shape in ((8, 4), (4, 5), (3, 4)):
        np.savetxt(tmp_path / "flirt.mat", np.eye(*shape))
        with pytest.raises(
            DatasetError, match=f"{shape[0]} rows of {shape[1]} .*; expected 4 rows"
        ):
            read_transform(tmp_path / "flirt.mat", reference=image("ras"), moving=image("las"))
    with pytest.raises(DatasetError, match="no such file"):
        read_transform(tmp_path / "absent.h5")
    path = write_composite(tmp_path / "flat.h5", [Affine()])
    with h5py.File(path, "a") as file:
        file["TransformGroup/1/TransformParameters"][:9] = 0
    with pytest.raises(DatasetError, match=r"flat\.h5.*inverted"):
        read_transform(path)
