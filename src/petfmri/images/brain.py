"""The brain in a whole head: the template's mask, carried by registration and then doubted."""

from __future__ import annotations

from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage

from petfmri.atlases import Template
from petfmri.errors import RegistrationError, SegmentationError
from petfmri.images.cropping import box_around, cropped, grown, shrunk
from petfmri.images.registration import Registration, alignment_score, centers_aligned
from petfmri.images.resampling import Grid, carry_mask, inside, resample
from petfmri.images.transforms import Affine, Transform, rigid
from petfmri.images.volumes import in_own_axes, require_volume
from petfmri.typing import BoolArray, FloatArray

SPACING_MM = 3.0  # of the search
ROUGH_MM = 6.0  # of the first, rigid steps
SECOND_STARTS = (  # shift in mm and turn in degrees of the template around its brain
    ((0, 0, 35), (0, 0, 0)),
    ((0, 0, -35), (0, 0, 0)),
    ((0, 0, 0), (35, 0, 0)),
    ((0, 0, 0), (-35, 0, 0)),
    ((0, 0, 0), (0, 0, 35)),
    ((0, 0, 0), (0, 0, -35)),
)
BRAIN_CENTER = (0, -18, 5)  # of the template, RAS mm
RIM_MM = 10.0  # of skull and scalp around the brain that helps to align it
VOLUME_LIMITS_L = (0.9, 2.4)  # the template, larger than most people, has 1.9 L
SCALE_LIMITS = (0.7, 1.35)  # template to person, along the axis that changes least and most
START_LIMITS = (0.6, 1.5)  # the same before the warp, which can make up for some
MIN_IN_VIEW = 0.95  # of the brain
MIN_RESEMBLANCE = 0.6


class Brain(NamedTuple):
    """A brain and how it was found."""

    mask: nib.Nifti1Image
    """1 in the brain with its CSF (uint8), on the grid of the T1w."""
    xfm: Transform
    """Points of the T1w to points of the template: a warp, good to about 2 mm."""
    affine: Affine
    """Its best linear approximation inside the brain: where a finer search starts."""


def extract_brain(t1w: nib.Nifti1Image, template: Template, registration: Registration) -> Brain:
    """Find the brain in a T1-weighted image of a head.

    The template is aligned affinely, then by a warp that compares the images in and near the
    brain only, and its mask is carried back. If the result is not a plausible human brain, the
    search starts anew from the best of several shifts and turns.

    Parameters
    ----------
    t1w : Nifti1Image, 3-D
        A head, with or without neck; a bias field does little harm.
    template : Template
    registration : Registration

    Returns
    -------
    Brain

    Raises
    ------
    InputError
        If the image is not 3-D.
    SegmentationError
        If the image is empty, or both starts lead to a brain outside 0.9–2.4 L, one that is stretched or shrunk
        beyond human proportions, that lies more than 5 % outside the image, or that does not
        look like the template.

    References
    ----------
    Iglesias JE, Liu C-Y, Thompson PM, Tu Z. Robust brain extraction across datasets and
    comparison with publicly available methods. IEEE Trans Med Imaging 2011;30:1617-1634.
    """
    require_volume(t1w)
    _check_values(t1w)
    laid, back = in_own_axes(t1w)
    search = _Search(laid, template, registration)
    complaints = []
    for find_start in (search.first_start, search.second_start):
        try:
            mask, xfm, affine = search.brain(find_start())
            mask = nib.Nifti1Image(mask.dataobj, t1w.affine)
            return Brain(mask, xfm @ ~back, affine @ ~back)
        except (SegmentationError, RegistrationError) as error:
            complaints.append(error.problems[0].found)
    raise _implausible(t1w, "; from a second start, ".join(complaints))


def template_affine(t1w: nib.Nifti1Image, template: Template, registration: Registration) -> Affine:
    """Align a head with the template, for a brain that is known already.

    Returns
    -------
    Affine
        Points of the T1w to points of the template.

    Raises
    ------
    SegmentationError
        If both starts stretch or shrink the head beyond human proportions.
    """
    laid, back = in_own_axes(t1w)
    search = _Search(laid, template, registration)
    try:
        xfm = search.first_start()
        _check_scales(t1w, xfm)
    except (SegmentationError, RegistrationError):
        xfm = search.second_start()
        _check_scales(t1w, xfm)
    return xfm @ ~back


class _Search:
    """The images of a search, small enough to be quick."""

    def __init__(
        self, t1w: nib.Nifti1Image, template: Template, registration: Registration
    ) -> None:
        self.t1w = t1w
        self.head = shrunk(t1w, SPACING_MM)
        self.model = shrunk(template.head, SPACING_MM)
        self.model_mask = shrunk(template.mask, SPACING_MM)
        self.model_brain = grown(_crisp(self.model_mask), RIM_MM)
        self.template_mask = template.mask
        self.registration = registration

    def first_start(self) -> Affine:
        """Align head centre on head centre, then rigidly, then affinely.

        From a poor start, such as the centre of a head with a long neck, twelve degrees of
        freedom shrink the head instead of aligning it.

        Returns
        -------
        Affine
            Points of the T1w to points of the template.
        """
        near = self.registration.rigid(shrunk(self.model, ROUGH_MM), shrunk(self.head, ROUGH_MM))
        return ~self._affine(near)

    def second_start(self) -> Affine:
        """Do the same from several places, roughly, and go on from the best."""
        model, mask, head = (
            shrunk(image, ROUGH_MM) for image in (self.model, self.model_mask, self.head)
        )
        mask = _crisp(mask)
        center = centers_aligned(model, head)
        found = []
        for shift, turn in SECOND_STARTS:
            start = center @ rigid(shift, turn, BRAIN_CENTER)
            try:
                found.append(self.registration.rigid(model, head, initial=start))
            except RegistrationError:
                continue
        if not found:
            raise _implausible(self.t1w, f"no alignment from {len(SECOND_STARTS)} starts")
        best = max(found, key=lambda xfm: alignment_score(model, head, xfm, mask))
        return ~self._affine(best)

    def _affine(self, near: Affine) -> Affine:
        """Align by the whole head and by the brain alone; keep what fits the brain better.

        By the whole head, a neck that the template lacks can press the brain together; by the
        brain alone, the transform can slip from it.
        """
        found, complaints = [], []
        for align in (self._by_head, self._by_brain):
            try:
                xfm = align(near)
                _check_scales(self.t1w, xfm, START_LIMITS)
                found.append(xfm)
            except (RegistrationError, SegmentationError) as error:
                complaints.append(error)
        if not found:
            raise complaints[0]
        return max(
            found, key=lambda xfm: alignment_score(self.model, self.head, xfm, self.model_brain)
        )

    def _by_head(self, near: Affine) -> Affine:
        return self.registration.affine(self.model, self.head, initial=near)

    def _by_brain(self, near: Affine) -> Affine:
        mask = self.model_brain
        near = self.registration.rigid(self.model, self.head, initial=near, fixed_mask=mask)
        return self.registration.affine(self.model, self.head, initial=near, fixed_mask=mask)

    def brain(self, start: Affine) -> Brain:
        """Refine a start to a brain mask, or raise what is wrong with it."""
        region = carry_mask(self.model_mask, start, Grid.of(self.head))
        _check_view(self.t1w, start, self.model_mask)
        region = grown(region, RIM_MM)
        box = box_around(region, 0)
        head, near = cropped(self.head, box), cropped(region, box)
        xfm = self.registration.deformable(head, self.model, initial=start, fixed_mask=near)
        coarse = carry_mask(self.model_mask, xfm, Grid.of(head))
        _check_resemblance(self.t1w, head, resample(self.model, xfm, Grid.of(head)), coarse)
        mask = self._full_mask(xfm, coarse)
        _check_volume(self.t1w, mask)
        affine = _best_affine(xfm, coarse)
        _check_scales(self.t1w, ~affine)
        return Brain(mask, xfm, affine)

    def _full_mask(self, xfm: Transform, coarse: nib.Nifti1Image) -> nib.Nifti1Image:
        """Carry the template's mask onto the T1w; keep its largest piece, without holes."""
        grid = Grid.of(self.t1w)
        near = carry_mask(grown(coarse, 2 * SPACING_MM), Affine(), grid)
        box = box_around(near, 0)
        samples = 1 if grid.spacing_mm.max() < SPACING_MM else 2
        part = Grid.of(cropped(near, box))
        carried = np.asarray(carry_mask(self.template_mask, xfm, part, samples=samples).dataobj)
        full = np.zeros(grid.shape, dtype=np.uint8)
        full[box] = ndimage.binary_fill_holes(_largest_piece(carried > 0))
        return nib.Nifti1Image(full, grid.affine)


def _crisp(mask: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image((np.asarray(mask.dataobj) >= 0.5).astype(np.uint8), mask.affine)


def _best_affine(xfm: Transform, mask: nib.Nifti1Image) -> Affine:
    """Fit an affine to a transform inside a mask by least squares."""
    points = Affine(mask.affine).map(np.argwhere(np.asarray(mask.dataobj) > 0).astype(float))
    points = points[:: max(1, len(points) // 20_000)]
    design = np.column_stack([points, np.ones(len(points))])
    solution = np.linalg.lstsq(design, xfm.map(points), rcond=None)[0]
    return Affine(np.vstack([solution.T, [0, 0, 0, 1]]))


def _largest_piece(mask: BoolArray) -> BoolArray:
    labels, n_pieces = ndimage.label(mask)
    if n_pieces <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    return np.asarray(labels == 1 + sizes[1:].argmax())


def _check_values(t1w: nib.Nifti1Image) -> None:
    data = np.asarray(t1w.dataobj)
    if not np.isfinite(data).all():
        raise _implausible(t1w, "values that are not finite")
    low, high = np.percentile(data, [0.5, 99.5])
    if not high > low:
        raise _implausible(t1w, f"an image that is {high:g} everywhere")


def _check_scales(
    t1w: nib.Nifti1Image, from_template: Affine, limits: tuple[float, float] = SCALE_LIMITS
) -> None:
    matrix = from_template.matrix[:3, :3]
    scales = np.linalg.svd(matrix, compute_uv=False)
    low, high = limits
    if scales.min() < low or scales.max() > high or np.linalg.det(matrix) < 0:
        raise _implausible(
            t1w, f"a brain {scales.min():.2f} to {scales.max():.2f} times the template's size"
        )


def _check_view(t1w: nib.Nifti1Image, affine: Affine, model_mask: nib.Nifti1Image) -> None:
    seen = inside(~affine, Grid.of(model_mask), Grid.of(t1w))
    share = float(seen[np.asarray(model_mask.dataobj) > 0.5].mean())
    if share < MIN_IN_VIEW:
        raise _implausible(t1w, f"a brain with {100 * share:.0f} % inside the image")


def _check_resemblance(
    t1w: nib.Nifti1Image, head: nib.Nifti1Image, model: nib.Nifti1Image, mask: nib.Nifti1Image
) -> None:
    near = np.asarray(grown(mask, SPACING_MM).dataobj) > 0
    one, other = (np.asarray(image.dataobj)[near] for image in (head, model))
    resemblance = _correlation(one, other)
    if resemblance < MIN_RESEMBLANCE:
        raise _implausible(t1w, f"a brain that resembles the template by {resemblance:.2f} only")


def _correlation(one: FloatArray, other: FloatArray) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0


def _check_volume(t1w: nib.Nifti1Image, mask: nib.Nifti1Image) -> None:
    voxel_mm3 = float(Grid.of(mask).spacing_mm.prod())
    volume = float(np.asarray(mask.dataobj).sum()) * voxel_mm3 / 1e6
    if not VOLUME_LIMITS_L[0] <= volume <= VOLUME_LIMITS_L[1]:
        raise _implausible(t1w, f"a brain of {volume:.2f} L")


def _implausible(t1w: nib.Nifti1Image, found: str) -> SegmentationError:
    low, high = VOLUME_LIMITS_L
    return SegmentationError(
        f"brain in {t1w.get_filename() or 'the T1w'}",
        found,
        f"a whole human head, with a brain of {low} to {high} L that looks like the template",
        "look at the image: orientation in the header, contrast, field of view",
    )
