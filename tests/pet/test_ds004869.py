"""Ten people, [11C]MC1 at baseline and blocked by a drug: a real fall of uptake in every person."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from petfmri.pet.frames import FrameSchedule
from petfmri.pet.suvr import suvr_from_tacs

WINDOW_S = (1800, 3600)
CEREBELLUM = ["Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex"]
PCC = ["ctx-lh-posteriorcingulate", "ctx-rh-posteriorcingulate"]


@pytest.fixture(scope="module")
def derivatives(shared_data):
    return shared_data / "pet_dynamic/ds004869/derivatives/petprep"


def pcc_suvr(derivatives, person, session, by_volume):
    stem = f"{person}/ses-{session}/pet/{person}_ses-{session}_desc-preproc_seg-gtm_tacs.tsv"
    tacs = pd.read_csv(derivatives / stem, sep="\t", na_values="n/a")
    schedule = FrameSchedule.from_edges(tacs.pop("frame_start"), tacs.pop("frame_end"), stem)
    morph = f"{person}/anat/{person}_desc-preproc_seg-gtm_morph.tsv"
    volumes = pd.read_csv(derivatives / morph, sep="\t").set_index("name")["volume-mm3"]
    suvr = suvr_from_tacs(
        tacs, schedule, WINDOW_S, CEREBELLUM, volumes_mm3=volumes if by_volume else None
    )
    return suvr[PCC].mean()


@pytest.mark.parametrize(("by_volume", "expected"), [(True, -20.179), (False, -20.190)])
def test_fall_of_the_posterior_cingulate(derivatives, by_volume, expected):
    people = sorted(folder.name for folder in derivatives.glob("sub-*"))
    baseline, blocked = (
        np.array([pcc_suvr(derivatives, person, session, by_volume) for person in people])
        for session in ("baseline", "blocked")
    )
    percent = 100 * (blocked / baseline - 1)
    assert percent.size == 10
    assert percent.mean() == pytest.approx(expected, abs=0.001)
    assert percent.mean() == pytest.approx(-20.2, abs=0.1)
    assert (percent < 0).sum() == 10
    change = blocked - baseline
    flips = np.array(list(itertools.product((1, -1), repeat=10)))
    extreme = np.abs(flips @ change) >= abs(change.sum()) - 1e-12
    assert extreme.sum() == 2
    assert extreme.size == 1024
