from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
from tests.images.conftest import acquired, distance_mm, other_shape

from petfmri.atlases import Template, load_template
from petfmri.errors import RegistrationError
from petfmri.images.bias import correct_bias
from petfmri.images.brain import extract_brain
from petfmri.images.registration import Greedy
from petfmri.images.resampling import carry_mask
from petfmri.images.template import normalise
from petfmri.images.tissues import carry_tissues, segment_tissues
from petfmri.images.transforms import Affine, Transform, rigid
from petfmri.simulation.anatomy import Head, draw_head
from petfmri.simulation.phantom import load_phantom

GREEDY = Greedy(finest_mm=3.0, iterations="40x20x10")


@pytest.fixture(scope="module")
def template() -> Template:
    return load_template()


@dataclass(frozen=True)
class Person:
    """A head of another shape, its brain, and how template points reach it."""

    head: nib.Nifti1Image
    mask: nib.Nifti1Image
    growth: Affine
    to_person: Transform


@pytest.fixture(scope="module")
def person(anatomy) -> Person:
    growth, warp = other_shape(anatomy)
    head = acquired(anatomy.head, growth @ warp, anatomy.grid, noise=2, seed=7)
    return Person(
        head, carry_mask(anatomy.mask, ~(growth @ warp), anatomy.grid), growth, growth @ warp
    )


@pytest.fixture(scope="module")
def found(template, person: Person) -> Transform:
    return normalise(person.head, person.mask, template, GREEDY, initial=~person.growth)


def test_known_warp_is_recovered_and_inverts(anatomy, person: Person, found: Transform) -> None:
    points = person.to_person.map(anatomy.brain_points)
    assert distance_mm(~person.growth, ~person.to_person, points) > 3.5
    assert distance_mm(found, ~person.to_person, points) < 1.2  # 3 mm voxels
    back = (~found).map(found.map(points))
    assert np.linalg.norm(back - points, axis=1).mean() < 0.1


@pytest.mark.slow
def test_two_runs_agree_bit_for_bit(anatomy, template, person: Person, found: Transform) -> None:
    again = normalise(person.head, person.mask, template, GREEDY, initial=~person.growth)
    assert np.array_equal(again.map(anatomy.brain_points), found.map(anatomy.brain_points))


def test_a_brain_that_does_not_reach_the_template_is_refused(template, person: Person) -> None:
    quick = Greedy(finest_mm=6.0, iterations="5x0x0")
    astray = ~person.growth @ rigid((0, 0, 150))
    with pytest.raises(RegistrationError, match="overlap"):
        normalise(person.head, person.mask, template, quick, initial=astray)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def warp_error_mm(xfm: Transform, head: Head) -> np.ndarray:
    brain = np.argwhere(np.isin(head.tissue, (1, 2, 3)))[
        :: max(1, 40 // int(head.grid.spacing_mm[0]))
    ]
    points = Affine(head.grid.affine).map(brain.astype(float))
    return np.linalg.norm(xfm.map(points) - head.to_template.map(points), axis=1)


@pytest.mark.slow
def test_whole_anatomical_branch(template) -> None:
    """Brain, bias, template and tissues of a simulated head, in that order."""
    head = draw_head(load_phantom(2.0), 2.0, 20.0, 3.0, np.random.default_rng(100))
    raw = nib.Nifti1Image(head.t1w, head.grid.affine)
    brain = extract_brain(raw, template, Greedy(iterations="40x20x6"))
    t1w = correct_bias(raw, brain.mask)
    xfm = normalise(t1w, brain.mask, template, Greedy(), initial=brain.affine)
    tissues = segment_tissues(t1w, brain.mask, carry_tissues(template, xfm, brain.mask))
    grey, white = (np.asarray(t.dataobj) > 0.5 for t in (tissues.gm, tissues.wm))
    overlap = {
        "brain": dice(np.asarray(brain.mask.dataobj) > 0, np.isin(head.tissue, (1, 2, 3))),
        "grey": dice(grey, head.tissue == 2),
        "white": dice(white, head.tissue == 3),
    }
    error = warp_error_mm(xfm, head)
    assert overlap["brain"] > 0.96
    assert min(overlap["grey"], overlap["white"]) > 0.85
    assert error.mean() < 1.0
