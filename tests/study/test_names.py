from __future__ import annotations

import json
from pathlib import Path

import pytest

from petfmri.errors import DatasetError
from petfmri.study.names import derivative_path, parse_name, write_dataset_description

ARCHITECTURE = [
    "sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_desc-preproc_seg-Schaefer200_tacs.tsv",
    "sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_space-T1w_ref-semiovale_pvc-none_model-SRTM2_meas-BPND_mimap.nii.gz",
    "sub-01/ses-pre/pet/sub-01_ses-pre_trc-UCBJ_seg-Schaefer200_ref-semiovale_pvc-none_model-SRTM2_kinpar.tsv",
    "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_seg-Schaefer200_stat-pearsoncorrelation_relmat.tsv",
    "sub-01/ses-pre/func/sub-01_ses-pre_task-rest_desc-network_metrics.tsv",
    "sub-01/anat/sub-01_from-T1w_to-MNI152NLin2009cAsym_mode-image_xfm.nii.gz",
]


@pytest.mark.parametrize("name", ARCHITECTURE)
def test_names_of_the_architecture_survive_the_round_trip_whatever_the_order_given(name):
    parsed = parse_name(Path(name).name)
    entities = dict(reversed(parsed.entities.items()))
    sub, ses = entities.pop("sub"), entities.pop("ses", None)
    entities["from_"] = entities.pop("from", None)
    path = derivative_path(
        Path("out"),
        sub=sub,
        ses=ses,
        datatype=Path(name).parent.name,
        suffix=parsed.suffix,
        extension=parsed.extension,
        **entities,
    )
    assert path == Path("out") / name


def test_prefixes_and_integers_are_accepted_and_none_is_left_out():
    path = derivative_path(
        Path("out"),
        sub="sub-007",
        ses="ses-1",
        datatype="func",
        suffix="bold",
        extension=".nii.gz",
        task="rest",
        run=2,
        space=None,
    )
    assert path == Path("out/sub-007/ses-1/func/sub-007_ses-1_task-rest_run-2_bold.nii.gz")


def test_a_label_that_bids_forbids_and_an_unknown_entity_are_refused():
    given = {"sub": "01", "ses": "pre", "datatype": "pet", "suffix": "tacs", "extension": ".tsv"}
    with pytest.raises(DatasetError, match=r"seg-my_atlas.*letters and digits.*myatlas"):
        derivative_path(Path(), **given, seg="my_atlas")
    with pytest.raises(TypeError, match="tracer"):
        derivative_path(Path(), **given, tracer="UCBJ")


@pytest.mark.parametrize(
    "name", ["notes_final.txt", "sub-01_pet_old.nii.gz", "._sub-01_pet.nii.gz", "a-b"]
)
def test_other_files_are_not_taken_for_bids(name):
    assert parse_name(name) is None


def test_dataset_description_names_generator_and_source(tmp_path):
    source = tmp_path / "raw"
    source.mkdir()
    (source / "dataset_description.json").write_text('{"Name": "x", "DatasetDOI": "doi:1/2"}')
    path = write_dataset_description(tmp_path / "out", name="petfmri outputs", source=source)
    content = json.loads(path.read_text())
    assert content["DatasetType"] == "derivative"
    assert content["GeneratedBy"][0]["Name"] == "petfmri"
    assert content["SourceDatasets"] == [{"URL": "../raw", "DOI": "doi:1/2"}]
