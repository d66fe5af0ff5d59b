"""Memory that steps claim, and a limit that none of them could keep."""

from __future__ import annotations

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from petfmri.commands.run import _require_memory
from petfmri.errors import ConfigError
from petfmri.study.adopted import Adopted
from petfmri.workflows.memory import PROCESS_GB, step_gb


@pytest.fixture
def image(tmp_path):
    def make(name, shape):
        path = tmp_path / name
        nib.save(nib.Nifti1Image(np.zeros(shape, np.int8), np.eye(4)), path)
        return path

    return make


def test_an_estimate_by_hand(image):
    t1w, bold = image("t1w.nii", (100, 100, 100)), image("bold.nii", (50, 40, 10, 100))
    assert step_gb(t1w) == pytest.approx(PROCESS_GB + 0.08 + 0.0015)
    assert step_gb(bold) == pytest.approx(PROCESS_GB + 0.02 * (0.08 + 0.15))
    assert step_gb(t1w, bold) == pytest.approx(step_gb(t1w) + step_gb(bold) - PROCESS_GB)


def test_an_unreadable_image_counts_nothing(tmp_path):
    (tmp_path / "t1w.nii").touch()
    assert step_gb(tmp_path / "t1w.nii") == PROCESS_GB


def person(name, t1w, scan):
    scans = SimpleNamespace(pet=[SimpleNamespace(path=scan)], bold=[])
    return SimpleNamespace(id=name, t1w=[SimpleNamespace(path=t1w)], sessions=[scans])


def test_a_limit_below_one_step_is_refused_for_everybody_at_once(image):
    t1w, small = image("t1w.nii", (200, 200, 100)), image("small.nii", (100, 100, 10))
    pet = image("pet.nii", (100, 100, 100))
    people = [person("sub-01", t1w, pet), person("sub-02", small, pet), person("sub-03", t1w, pet)]
    nothing = {one.id: Adopted() for one in people}
    with pytest.raises(ConfigError) as raised:
        _require_memory(people, nothing, 1.0)
    assert [problem.where for problem in raised.value.problems] == [
        "--mem-gb, sub-01", "--mem-gb, sub-03",
    ]  # fmt: skip
    assert "at least 1.3 GB" in str(raised.value)
    _require_memory(people, nothing, 1.3)
