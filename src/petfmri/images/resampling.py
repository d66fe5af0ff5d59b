"""Fill a grid from an image: the single interpolation, and the carrying of labels and masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import nibabel as nib
import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage

from petfmri.errors import InputError
from petfmri.images.transforms import EQUAL_MM, Affine, Transform, Warp, rigid
from petfmri.typing import BoolArray, FloatArray, IntArray

LEAST_COVERED = 1 / 3  # of a BOLD voxel, by grey matter, to count as a region's
SLAB_POINTS = 500_000  # points mapped at once: about 100 MB of temporaries


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxels in the world.

    Parameters
    ----------
    shape : 3 integers
        Voxels along each axis.
    affine : array of shape (4, 4)
        Voxel indices to RAS mm.

    Examples
    --------
    >>> grid = Grid((2, 1, 1), np.diag([3.0, 3, 3, 1]))
    >>> grid.points()
    array([[0., 0., 0.],
           [3., 0., 0.]])
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    @classmethod
    def of(cls, image: nib.Nifti1Image) -> Grid:
        """Take the grid of an image; of its first three axes when it has more."""
        x, y, z = image.shape[:3]
        return cls((int(x), int(y), int(z)), np.asarray(image.affine, dtype=float))

    @property
    def spacing_mm(self) -> FloatArray:
        """Voxel size along each axis, mm."""
        return np.asarray(voxel_sizes(self.affine))

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    def points(self, planes: slice = slice(None)) -> FloatArray:
        """World points, RAS mm, of shape (n, 3) in C order; of some x planes only if asked."""
        x = np.arange(self.shape[0])[planes]
        y, z = np.arange(self.shape[1]), np.arange(self.shape[2])
        columns = [self.affine[:3, axis] for axis in range(3)]
        points = self.affine[:3, 3] + x[:, None, None, None] * columns[0]
        points = points + y[:, None, None] * columns[1] + z[:, None] * columns[2]
        return np.asarray(points.reshape(-1, 3), dtype=float)

    def slabs(self) -> Iterator[slice]:
        """Cut the grid along x into pieces that are small enough to map at once."""
        step = max(1, SLAB_POINTS // (self.shape[1] * self.shape[2]))
        for start in range(0, self.shape[0], step):
            yield slice(start, min(start + step, self.shape[0]))

    def spaced(self, spacing_mm: float) -> Grid:
        """Cover the same box, corner to corner, with isotropic voxels of about `spacing_mm`."""
        extent = np.asarray(self.shape) * self.spacing_mm
        shape = np.maximum(1, np.round(extent / spacing_mm)).astype(int)
        scale = np.asarray(self.shape) / shape
        matrix = np.diag([*scale, 1.0])
        matrix[:3, 3] = (scale - 1) / 2
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), self.affine @ matrix)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Grid)
            and self.shape == other.shape
            and np.allclose(self.affine, other.affine, atol=EQUAL_MM)
        )

    __hash__ = None  # type: ignore[assignment]


def resample(
    image: nib.Nifti1Image,
    xfm: Transform,
    grid: Grid,
    *,
    order: int = 3,
    fill: float = 0.0,
) -> nib.Nifti1Image:
    """Read a 3-D image at the points of a grid: the single interpolation.

    Parameters
    ----------
    image : Nifti1Image, 3-D
        The moving image.
    xfm : Transform
        Maps points of `grid` to points of `image`.
    grid : Grid
        What is filled.
    order : int, default=3
        Order of the spline: 0 nearest, 1 linear, 3 cubic.
    fill : float, default=0.0
        Value outside the field of view of `image` (see `inside`).

    Returns
    -------
    Nifti1Image, float32, on `grid`

    Raises
    ------
    InputError
        If the image is not 3-D or has values that are not finite.

    Examples
    --------
    >>> from petfmri.images.transforms import rigid
    >>> image = nib.Nifti1Image(np.arange(4.0).reshape(4, 1, 1), np.eye(4))
    >>> shifted = resample(image, rigid((1, 0, 0)), Grid.of(image), order=1, fill=-1)
    >>> shifted.get_fdata().ravel()
    array([ 1.,  2.,  3., -1.])
    """
    data = finite_data(image)
    frames = resample_frames([data], image.affine, xfm, grid, order=order, fill=fill)
    return nib.Nifti1Image(next(frames), grid.affine)


def resample_frames(
    frames: Iterable[FloatArray],
    affine: FloatArray,
    xfm: Transform,
    grid: Grid,
    *,
    motion: Sequence[Affine] | None = None,
    where: BoolArray | None = None,
    order: int = 3,
    fill: float = 0.0,
) -> Iterator[FloatArray]:
    """Resample the frames of a series one by one, each along ``motion[i] @ xfm``.

    The part that frames share is mapped once, and one frame at a time is in memory.

    Parameters
    ----------
    frames : iterable of arrays of shape (x, y, z)
        In order; may be a generator that reads from disk.
    affine : array of shape (4, 4)
        Of every frame.
    xfm : Transform
        Maps points of `grid` to the reference of the motion correction.
    grid : Grid
        What is filled.
    motion : sequence of Affine, optional
        Maps points of the motion reference to points of each frame.
    where : bool array of shape `grid.shape`, optional
        Only these points are read, which saves most of the time when they are a brain.
    order, fill
        As in `resample`.

    Yields
    ------
    array of shape `grid.shape`, or (number of points in `where`,), float32

    Raises
    ------
    InputError
        If a frame has values that are not finite or if motion ends before the frames do.
    """
    if where is None:
        mapped = _mapped_points(xfm, grid, keep=motion is not None)
    else:
        chosen = _chosen_points(xfm, grid, where)
    for number, frame in enumerate(frames):
        values = np.asarray(frame, dtype=np.float32)
        _require_finite(values, f"frame {number}")
        if motion is not None and number >= len(motion):
            raise InputError(
                "motion of the series",
                f"{len(motion)} transforms and more frames",
                "one transform for each frame",
                "estimate motion on the same series",
            )
        move = Affine() if motion is None else motion[number]
        to_voxels = ~Affine(affine) @ move
        coefficients = (
            ndimage.spline_filter(values, order, np.float32, "mirror") if order > 1 else values
        )
        if where is None:
            yield _read(coefficients, to_voxels, mapped, grid, order, fill)
        else:
            yield _values(coefficients, to_voxels.map(chosen), order, fill)


def inside(xfm: Transform, grid: Grid, moving: Grid) -> BoolArray:
    """Tell which points of `grid` fall into the field of view of `moving`.

    The field of view ends half a voxel beyond the outermost voxel centres.

    Returns
    -------
    bool array of shape `grid.shape`
    """
    seen = np.empty(grid.shape, dtype=bool)
    to_voxels = ~Affine(moving.affine)
    for planes in grid.slabs():
        voxels = to_voxels.map(xfm.map(grid.points(planes)))
        seen[planes] = _within(voxels, moving.shape).reshape(seen[planes].shape)
    return seen


def always_inside(motion: Iterable[Affine], grid: Grid, where: BoolArray) -> BoolArray:
    """Tell which of the points in `where` no movement takes out of the field of view of `grid`.

    Parameters
    ----------
    motion : iterable of Affine
        Maps points of `grid` to points of each frame, whose grid is the same.
    grid : Grid
    where : bool array of shape (grid.size,)

    Returns
    -------
    bool array of shape (number of points in `where`,)
    """
    points, to_voxels = grid.points()[where], ~Affine(grid.affine)
    seen = np.ones(len(points), dtype=bool)
    for move in motion:
        seen &= _within((to_voxels @ move).map(points), grid.shape)
    return seen


def carry_labels(
    labels: nib.Nifti1Image,
    xfm: Transform,
    grid: Grid,
    *,
    samples: int = 1,
    least: float | None = None,
) -> nib.Nifti1Image:
    """Carry an integer label image onto a grid without inventing labels.

    Parameters
    ----------
    labels : Nifti1Image, 3-D, integers
    xfm : Transform
        Maps points of `grid` to points of `labels`.
    grid : Grid
        What is filled; 0 outside the field of view.
    samples : int, default=1
        Points per axis inside every target voxel. 1 takes the nearest label of the centre;
        more take the majority of ``samples ** 3`` points (of equals, the smaller label), which
        is right for a grid coarser than the labels.
    least : float, optional
        Share of the points from which labels win over the background, so that a thin cortex is
        not lost on a coarse grid; without it the background is a label like any other.

    Returns
    -------
    Nifti1Image, int32
    """
    source = np.asarray(np.rint(finite_data(labels)), dtype=np.int32)
    out = np.zeros(grid.shape, dtype=np.int32)
    for planes in grid.slabs():
        votes = _votes(source, labels.affine, xfm, grid, planes, samples)
        out[planes] = _majority(votes, least).reshape(out[planes].shape)
    return nib.Nifti1Image(out, grid.affine)


def label_samples(
    labels: nib.Nifti1Image, xfm: Transform, grid: Grid, *, samples: int = 3
) -> IntArray:
    """Read the labels at several points inside every voxel of a coarse grid.

    A mean over all points of one label weighs each voxel by the share of it that the label covers.

    Returns
    -------
    int array of shape (samples ** 3, number of voxels)
    """
    source = np.asarray(np.rint(finite_data(labels)), dtype=np.int32)
    parts = [_votes(source, labels.affine, xfm, grid, planes, samples) for planes in grid.slabs()]
    return np.concatenate(parts, axis=1)


def fraction_on_grid(
    labels: nib.Nifti1Image, xfm: Transform, grid: Grid, index: IntArray
) -> FloatArray:
    """Tell how much of each label lies on a grid that may cut the brain off.

    Parameters
    ----------
    labels : Nifti1Image, 3-D, integers
    xfm : Transform
        Maps points of `labels` to points of `grid`.
    grid : Grid
    index : int array of shape (n,)
        The labels to look at.

    Returns
    -------
    array of shape (n,)
        0 for a label without any voxel.
    """
    values = np.asarray(np.rint(finite_data(labels)), dtype=np.int64)
    voxels = np.argwhere(values > 0)
    found = values[tuple(voxels.T)]
    points = xfm.map(Affine(labels.affine).map(voxels.astype(float)))
    seen = _within((~Affine(grid.affine)).map(points), grid.shape)
    size = max(int(found.max(initial=0)), int(index.max())) + 1
    counts = np.bincount(found, minlength=size)[index]
    return np.asarray(np.bincount(found[seen], minlength=size)[index] / np.maximum(counts, 1))


def spline_samples(values: FloatArray, where: BoolArray) -> FloatArray:
    """Read a map between its voxels, at points of `label_samples`.

    A mean over whole voxels that a thin region fills in part takes in what surrounds it; the
    spline through the map does not.

    Parameters
    ----------
    values : array of shape (x, y, z)
        NaN outside the field of view.
    where : bool array of shape (samples ** 3, number of voxels)
        The points to read.

    Returns
    -------
    array of the shape of `where`
        NaN elsewhere, and in voxels outside the field of view.
    """
    seen = np.isfinite(values)
    if not seen.any():
        return np.full(where.shape, np.nan)
    nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    coefficients = ndimage.spline_filter(values[tuple(nearest)], 3, mode="mirror")
    voxels = np.indices(values.shape).reshape(3, -1).T
    out = np.full(where.shape, np.nan)
    for row, chosen, step in zip(out, where & seen.ravel(), _steps(round(len(where) ** (1 / 3)))):
        row[chosen] = _values(coefficients, voxels[chosen] + step, 3, np.nan)
    return out


def _votes(
    source: IntArray, affine: FloatArray, xfm: Transform, grid: Grid, planes: slice, samples: int
) -> IntArray:
    points, to_voxels = grid.points(planes), ~Affine(affine)
    return np.stack(
        [_nearest(source, to_voxels.map(xfm.map(points + o))) for o in _offsets(grid, samples)]
    )


def carry_probability(
    probability: nib.Nifti1Image, xfm: Transform, grid: Grid, *, samples: int = 1
) -> nib.Nifti1Image:
    """Carry a mask or a probability map onto a grid by linear interpolation, kept in 0..1.

    Parameters
    ----------
    probability : Nifti1Image, 3-D
    xfm : Transform
        Maps points of `grid` to points of `probability`.
    grid : Grid
        What is filled; 0 outside the field of view.
    samples : int, default=1
        Points per axis that are averaged inside every target voxel: with more than one, a mask
        becomes the fraction of each voxel that it covers.

    Returns
    -------
    Nifti1Image, float32, values 0..1
    """
    data = np.asarray(finite_data(probability), dtype=np.float32)
    to_voxels = ~Affine(probability.affine)
    offsets = _offsets(grid, samples)
    mean = np.zeros(grid.shape, dtype=np.float32)
    for offset in offsets:
        moved = Grid(grid.shape, rigid(offset).matrix @ grid.affine)
        mapped = _mapped_points(xfm, moved, keep=False)
        mean += _read(data, to_voxels, mapped, grid, 1, 0.0) / len(offsets)
    return nib.Nifti1Image(np.clip(mean, 0, 1), grid.affine)


def carry_mask(
    mask: nib.Nifti1Image, xfm: Transform, grid: Grid, *, samples: int = 1
) -> nib.Nifti1Image:
    """Carry a mask onto a grid: voxels of which at least half is covered (uint8)."""
    covered = carry_probability(mask, xfm, grid, samples=samples)
    return nib.Nifti1Image((np.asanyarray(covered.dataobj) >= 0.5).astype(np.uint8), grid.affine)


def sampled_warp(xfm: Transform, grid: Grid, inverse_grid: Grid | None = None) -> Warp:
    """Write any transform, chains included, as one displacement field on `grid`.

    Parameters
    ----------
    xfm : Transform
    grid : Grid
        Where the forward field is sampled.
    inverse_grid : Grid, optional
        Where ``~xfm`` is sampled to be stored as the inverse.
    """
    inverse = None if inverse_grid is None else sampled_warp(~xfm, inverse_grid)
    field = np.empty((*grid.shape, 3), dtype=np.float32)
    for planes in grid.slabs():
        points = grid.points(planes)
        field[planes] = (xfm.map(points) - points).reshape(field[planes].shape)
    return Warp(field, grid.affine, inverse)


def _mapped_points(xfm: Transform, grid: Grid, *, keep: bool) -> Callable[[slice], FloatArray]:
    """Return how to get the mapped points of some planes; `keep` maps a costly `xfm` only once."""
    if not keep or isinstance(xfm, Affine):
        return lambda planes: xfm.map(grid.points(planes))
    mapped = np.empty((*grid.shape, 3), dtype=np.float32)
    for planes in grid.slabs():
        mapped[planes] = xfm.map(grid.points(planes)).reshape(mapped[planes].shape)
    return lambda planes: mapped[planes].reshape(-1, 3)


def _read(
    coefficients: FloatArray,
    to_voxels: Affine,
    mapped: Callable[[slice], FloatArray],
    grid: Grid,
    order: int,
    fill: float,
) -> FloatArray:
    """Evaluate spline coefficients at the mapped points of every slab of a grid."""
    out = np.empty(grid.shape, dtype=np.float32)
    for planes in grid.slabs():
        values = _values(coefficients, to_voxels.map(mapped(planes)), order, fill)
        out[planes] = values.reshape(out[planes].shape)
    return out


def _values(coefficients: FloatArray, voxels: FloatArray, order: int, fill: float) -> FloatArray:
    """Evaluate spline coefficients at voxel positions of shape (n, 3)."""
    seen = _within(voxels, coefficients.shape)
    values = np.full(len(voxels), fill, dtype=np.float32)
    values[seen] = ndimage.map_coordinates(
        coefficients,
        np.clip(voxels[seen], 0, np.asarray(coefficients.shape) - 1).T,
        order=order,
        mode="mirror",
        prefilter=False,
    )
    return values


def _chosen_points(xfm: Transform, grid: Grid, where: BoolArray) -> FloatArray:
    """Map the chosen points of a grid, slab by slab."""
    parts = [xfm.map(grid.points(planes)[where[planes].ravel()]) for planes in grid.slabs()]
    return np.concatenate(parts)


def _within(voxels: FloatArray, shape: Sequence[int]) -> BoolArray:
    return np.asarray(((voxels >= -0.5) & (voxels <= np.asarray(shape) - 0.5)).all(axis=1))


def _offsets(grid: Grid, samples: int) -> FloatArray:
    """Return world offsets, mm, of `samples` ** 3 evenly spread points in every voxel."""
    return np.asarray(_steps(samples) @ grid.affine[:3, :3].T)


def _steps(samples: int) -> FloatArray:
    """Return the same offsets in voxels."""
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)


def _nearest(source: IntArray, voxels: FloatArray) -> IntArray:
    """Read the nearest label, 0 outside."""
    found = np.zeros(len(voxels), dtype=np.int32)
    seen = _within(voxels, source.shape)
    nearest = np.clip(np.rint(voxels[seen]).astype(int), 0, np.asarray(source.shape) - 1)
    found[seen] = source[tuple(nearest.T)]
    return found


def _majority(votes: IntArray, least: float | None = None) -> IntArray:
    """Return the most frequent value of each column; of equals, the smaller."""
    if least is not None:
        enough = np.count_nonzero(votes, axis=0) >= least * len(votes)
        single = -1 - np.arange(len(votes))[:, None]  # no background outvotes a label
        winner = _majority(np.where(votes == 0, single, votes))
        return np.where(enough, np.maximum(winner, 0), 0)
    ordered = np.sort(votes, axis=0)
    winner = ordered[0].copy()
    run = np.ones(ordered.shape[1], dtype=int)
    longest = run.copy()
    for above, row in pairwise(ordered):
        run = np.where(row == above, run + 1, 1)
        winner = np.where(run > longest, row, winner)
        longest = np.maximum(run, longest)
    return winner


def finite_data(image: nib.Nifti1Image) -> FloatArray:
    """Return the values of a 3-D image.

    Raises
    ------
    InputError
        If it is not 3-D or has values that are not finite.
    """
    name = image.get_filename() or "image"
    if len(image.shape) != 3:
        raise InputError(
            name, f"shape {image.shape}", "a 3-D image", "pass one frame, or use resample_frames"
        )
    data = np.asanyarray(image.dataobj)
    _require_finite(data, name)
    return data


def _require_finite(data: FloatArray, name: str) -> None:
    wrong = int(data.size - np.isfinite(data).sum())
    if wrong:
        raise InputError(
            name,
            f"{wrong} voxels that are NaN or infinite",
            "finite values",
            "replace them in the source, and find out what produced them",
        )
