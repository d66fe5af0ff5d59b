from __future__ import annotations

import os

import pytest

import petfmri.execution.provenance as module
from petfmri.execution.provenance import (
    is_current,
    provenance,
    sha256,
    write_provenance,
    write_started,
)
from petfmri.study.files import read_json

OPTIONS = {"window_s": (3600.0, 5400.0), "tracer": "UCBJ"}


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "bids"
    for name in ("sub-01_T1w.nii", "sub-01_pet.nii"):
        path = folder / "sub-01" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def made_from(dataset, **options):
    return provenance(dataset.rglob("*.nii"), dataset=dataset, options=OPTIONS | options)


def test_the_hash_is_that_of_the_content(dataset):
    path = dataset / "abc"
    path.write_text("abc")
    # FIPS 180-2, appendix B.1
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_touching_or_moving_the_dataset_changes_nothing(dataset, tmp_path):
    before = made_from(dataset).key
    for path in dataset.rglob("*.nii"):
        os.utime(path, (1, 1))
    assert made_from(dataset).key == before
    assert made_from(dataset.rename(tmp_path / "elsewhere")).key == before


def test_order_and_repetition_of_inputs_do_not_matter(dataset):
    paths = sorted(dataset.rglob("*.nii"))
    twice = provenance([*paths[::-1], *paths], dataset=dataset, options=OPTIONS)
    assert twice.key == made_from(dataset).key


def test_options_count(dataset):
    assert made_from(dataset, tracer="MC1").key != made_from(dataset).key
    assert made_from(dataset, window_s=(1800.0, 3600.0)).key != made_from(dataset).key


def test_content_and_names_of_inputs_count(dataset):
    before = made_from(dataset).key
    pet = dataset / "sub-01" / "sub-01_pet.nii"
    pet.write_text("another scan")
    after = made_from(dataset).key
    pet.rename(pet.with_name("sub-01_run-1_pet.nii"))
    assert len({before, after, made_from(dataset).key}) == 3


def test_the_version_counts(dataset, monkeypatch):
    before = made_from(dataset).key
    monkeypatch.setattr(module, "__version__", "999")
    assert made_from(dataset).key != before


def test_a_record_is_current_while_its_outputs_are_there(dataset, tmp_path):
    out, wanted = tmp_path / "out", made_from(dataset)
    record = out / "sub-01" / "record.json"
    assert not is_current(record, wanted, outputs_in=out)
    output = out / "sub-01" / "pet.tsv"
    output.parent.mkdir(parents=True)
    output.write_text("x")
    write_provenance(record, wanted, outputs=["sub-01/pet.tsv"], software={"numpy": "2"})
    assert is_current(record, wanted, outputs_in=out)
    assert not is_current(record, made_from(dataset, tracer="MC1"), outputs_in=out)
    output.unlink()
    assert not is_current(record, wanted, outputs_in=out)


def test_the_record_tells_everything(dataset, tmp_path):
    record = tmp_path / "record.json"
    wanted = made_from(dataset)
    write_provenance(record, wanted, outputs=["b", "a"], software={"numpy": "2"})
    content = read_json(record)
    assert content["key"] == wanted.key
    assert content["outputs"] == ["a", "b"]
    assert content["options"] == {"window_s": [3600, 5400], "tracer": "UCBJ"}
    assert content["inputs"]["sub-01/sub-01_pet.nii"] == sha256(
        dataset / "sub-01" / "sub-01_pet.nii"
    )
    assert content["software"] == {"numpy": "2"}


def test_a_record_without_outputs_is_not_current(dataset, tmp_path):
    record, wanted = tmp_path / "record.json", made_from(dataset)
    record.write_text(f'{{"key": "{wanted.key}"}}')
    assert not is_current(record, wanted, outputs_in=tmp_path)


def test_a_run_that_was_only_started_is_not_current_and_tells_what_it_planned(dataset, tmp_path):
    record = tmp_path / "record.json"
    (tmp_path / "made.tsv").touch()
    write_started(record, ["made.tsv"])
    assert not is_current(record, made_from(dataset), outputs_in=tmp_path)
    assert read_json(record)["outputs"] == ["made.tsv"]
