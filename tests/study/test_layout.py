from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from petfmri.study.layout import Names
from petfmri.study.names import parse_name

NAMES = Names(Path("out"), "sub-01", "Schaefer200", "UCB-J", "semiovale", "rest")


def everything(names: Names) -> list[Path]:
    """One path for each way in which results of one kind may differ."""
    seg = names.seg
    paths = [names.anat("T1w", desc="preproc"), names.anat("dseg", seg=seg)]
    for session in ("ses-pre", "ses-post"):
        paths += [
            names.pet(session, "tacs", ".tsv", desc="preproc", seg=seg),
            names.pet(session, "petref", ".nii.gz", desc="hmc"),
            names.suvr(session, "mimap", ".nii.gz"),
            names.suvr(session, "mimap", ".nii.gz", space="boldref"),
            names.suvr(session, "kinpar", ".tsv", seg=seg),
            names.suvr(session, "kinpar", ".tsv", space="boldref", seg=seg),
        ]
        paths += [
            names.func(session, "coverage", ".tsv", run=run, seg=seg) for run in (None, "1", "2")
        ]
    return paths


def test_every_path_is_unique_and_a_bids_name():
    paths = everything(NAMES)
    assert len(set(paths)) == len(paths)
    for path in paths:
        name = parse_name(path.name)
        assert name is not None and name.entities["sub"] == "01"
        assert path.parts[1] == "sub-01"
        assert ("ses" in name.entities) == (path.parent.name != "anat")


@pytest.mark.parametrize(
    ("field", "value"), [("sub", "sub-02"), ("seg", "mine"), ("reference", "cerebellum")]
)
def test_what_changes_a_result_changes_its_name(field, value):
    other = replace(NAMES, **{field: value})
    kinpar = [names.suvr("ses-pre", "kinpar", ".tsv", seg=names.seg) for names in (NAMES, other)]
    assert kinpar[0] != kinpar[1]


def test_names_say_how_suvr_was_made():
    assert NAMES.suvr("ses-pre", "kinpar", ".tsv", space="boldref", seg="Schaefer200") == Path(
        "out/sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_space-boldref_seg-Schaefer200"
        "_ref-semiovale_pvc-none_meas-SUVR_kinpar.tsv"
    )


def test_a_scan_without_tracer_has_no_tracer_entity():
    names = replace(NAMES, tracer=None)
    assert "trc-" not in names.pet("ses-pre", "tacs", ".tsv").name
