from __future__ import annotations

from pathlib import Path

import pytest

from petfmri.config import load_study
from petfmri.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.yaml"))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_in_the_repository_is_valid(path):
    study = load_study(path)
    assert study.name and study.output.is_absolute()


def test_defaults_are_the_fields_own(tmp_path):
    study = load_study(write(tmp_path, "name: a\nbids: raw\noutput: out\n"))
    assert study.bids == tmp_path / "raw"
    assert study.output == tmp_path / "out"
    assert study.pet.window_s == (3600, 5400)
    assert study.primary == "suvr:PCC"
    assert study.sessions.pre == "pre"


def test_session_names_lose_their_prefix(tmp_path):
    study = load_study(
        write(tmp_path, "name: a\nbids: r\noutput: o\nsessions: {pre: ses-01, post: ses-02}")
    )
    assert (study.sessions.pre, study.sessions.post) == ("01", "02")


@pytest.mark.parametrize(
    ("pet", "reference", "psf"),
    [
        ("{}", "semiovale", None),
        ("{reference: wholebrain, psf_mm: 5}", "wholebrain", (5.0, 5.0, 5.0)),
        ("{reference: cerebellum, psf_mm: [4.5, 4.5, 6]}", "cerebellum", (4.5, 4.5, 6.0)),
    ],
)
def test_reference_and_resolution(tmp_path, pet, reference, psf):
    study = load_study(write(tmp_path, f"name: a\nbids: r\noutput: o\npet: {pet}"))
    assert (study.pet.reference, study.pet.psf_xyz_mm) == (reference, psf)


@pytest.mark.parametrize("pet", ["reference: brain", "psf_mm: 0", "psf_mm: [5, 5]", "psf_mm: 55"])
def test_impossible_reference_or_resolution(tmp_path, pet):
    with pytest.raises(ConfigError, match=f"pet.{pet.partition(':')[0]}"):
        load_study(write(tmp_path, f"name: a\nbids: r\noutput: o\npet: {{{pet}}}"))


@pytest.mark.parametrize(
    ("text", "where", "near"),
    [
        ("name: a\nbids: r\noutput: o\npett: {}", "study.yaml: pett", "'pet'"),
        (
            "name: a\nbids: r\noutput: o\npet: {windw_min: [60, 90]}",
            "pet.windw_min",
            "'window_min'",
        ),
        ("name: a\nbids: r\noutput: o\nsymptoms: {scor: x}", "symptoms.scor", "'score'"),
    ],
)
def test_an_unknown_key_names_the_nearest(tmp_path, text, where, near):
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, text))
    assert where in str(caught.value) and near in str(caught.value)


def test_all_problems_are_reported_at_once(tmp_path):
    text = "bids: r\npet: {window_min: [90, 60], tracr: x}\nbold: {fd_threshold_mm: -1}"
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, text))
    wheres = " ".join(problem.where for problem in caught.value.problems)
    for part in ("name", "output", "pet.window_min", "pet.tracr", "bold.fd_threshold_mm"):
        assert part in wheres


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\nbids: r\noutput: o", "given twice"),
        ("name: [", "invalid YAML"),
        ("", "no settings"),
        ("- a\n- b", "no settings"),
        ("name: a\noutput: o", "BIDS folder"),
        ("name: a\nbids: r\noutput: o\npet: {window_min: [3600, 5400]}", "looks like seconds"),
        ("name: a\nbids: r\noutput: o\nprimary: suvr", "needs its region"),
        ("name: a\nbids: r\noutput: !!python/object/apply:os.system ['true']", "invalid YAML"),
    ],
)
def test_broken_files_give_one_clear_message(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_study(write(tmp_path, text))


def test_an_absent_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="petfmri demo"):
        load_study(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("output", "named"),
    [("deriv/fmriprep", "derivatives.fmriprep"), ("deriv/fmriprep/mine", "derivatives.fmriprep"), ("bids", "bids")],
)  # fmt: skip
def test_output_in_the_folder_of_another_is_refused(tmp_path, output, named):
    text = f"name: a\nbids: bids\noutput: {output}\nderivatives: {{fmriprep: deriv/fmriprep}}\n"
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=named):
        load_study(tmp_path / "study.yaml")


def test_output_beside_other_derivatives_is_taken(tmp_path):
    text = "name: a\nbids: bids\noutput: deriv/mine\nderivatives: {fmriprep: deriv/fmriprep}\n"
    (tmp_path / "study.yaml").write_text(text)
    assert load_study(tmp_path / "study.yaml").output == tmp_path / "deriv/mine"


def test_scans_that_are_aligned_already(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: a\noutput: out\nbids: raw\npet: {motion: off, coregistration: identity}\n"
    )
    pet = load_study(path).pet
    assert (pet.motion, pet.coregistration) == ("off", "identity")


CROSSOVER = "name: a\nbids: r\noutput: o\ndesign: crossover\ncrossover: "


def test_a_crossover_has_defaults_and_nothing_primary(tmp_path):
    text = CROSSOVER + "{treatments: [k, p], sessions: [ses-a, b]}\nconnections: [clipst, my.tsv]"
    study = load_study(write(tmp_path, text))
    section = study.crossover
    assert (section.period, section.time, section.baseline) == ("period", "time_min", 0.0)
    assert section.sessions == ("a", "b") and study.primary == ""
    assert study.connections == ("clipst", str(tmp_path / "my.tsv"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name: a\nbids: r\noutput: o\ndesign: crossover", "design: crossover needs crossover:"),
        ("name: a\nbids: r\noutput: o\ncrossover: {treatments: [k, p]}", "no other design"),
        (CROSSOVER + "{treatments: [k, k]}", "two different ones"),
        (CROSSOVER + "{treatments: [k, p]}\ncovariates: [age]", "not for a crossover"),
        (
            CROSSOVER
            + "{treatments: [k, p]}\nbaseline_dependence: {reliability: 0.8, source: ours}",
            "baseline_dependence: is not for a crossover",
        ),
        (CROSSOVER + "{treatments: [k, p], tme: t}", "did you mean 'time'"),
    ],
)
def test_a_crossover_that_is_none_is_refused(tmp_path, text, found):
    with pytest.raises(ConfigError, match="(?i)" + found):
        load_study(write(tmp_path, text))


def test_only_what_the_user_named_counts_as_named(tmp_path):
    text = "name: a\nbids: raw\noutput: out\ncolumns: {arm: group}\nlocalization: {coordinates: c.tsv, preview: {connectome: r.tsv}}\n"
    study = load_study(write(tmp_path, text))
    assert study.columns.model_fields_set == {"arm"}
    assert study.model_fields_set == {
        "name",
        "bids",
        "output",
        "columns",
        "localization",
        "primary",
    }
    assert study.localization.model_fields_set == {"coordinates", "preview"}
    assert study.localization.preview.connectome == tmp_path / "r.tsv"
