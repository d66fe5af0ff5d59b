"""`petfmri quantify` on curves whose truth is known, as PETPrep writes them."""

from __future__ import annotations

import json

import matplotlib.image as plt
import numpy as np
import pandas as pd
import pytest

from petfmri.cli import main
from petfmri.commands.check import late_scans
from petfmri.config import Study
from petfmri.simulation.tracer import PlasmaInput, frame_averages
from petfmri.study.bids import Cohort, Participant, Scan, Session
from petfmri.study.files import read_table

DURATION_S = np.array([30.0] * 6 + [60.0] * 3 + [120.0] * 2 + [300.0] * 16)
START_S = np.cumsum(DURATION_S) - DURATION_S
REGIONS = {
    "ctx-lh-posteriorcingulate": (20.0, 0.33), "ctx-rh-posteriorcingulate": (19.0, 0.32),
    "ctx-lh-insula": (18.0, 0.30), "Left-Thalamus": (14.0, 0.36), "Left-Hippocampus": (12.0, 0.27),
    "Left-Cerebellum-Cortex": (5.0, 0.155), "Right-Cerebellum-Cortex": (5.0, 0.155),
}  # fmt: skip
CEREBELLUM = 5.0
STUDY = """\
name: curves
output: out
derivatives: {{petprep: petprep}}
sessions: {{pre: pre, post: post}}
regions_of_interest: {{PCC: ["ctx-?h-posteriorcingulate"]}}
pet: {{model: SRTM2, window_min: [60, 90], reference: {{regions: ["*-Cerebellum-Cortex"]}}{pet}}}
{rest}
"""


def write_scan(folder, person, session, *, pcc=1.0, flow=1.0, broken=False):
    vt, k1 = (np.array(values) for values in zip(*REGIONS.values(), strict=True))
    vt[:2] *= pcc
    k1 = k1 * flow * (1 + 0.05 * person)
    tac = frame_averages(vt, k1, PlasmaInput(), START_S, DURATION_S, 1e12)
    table = pd.DataFrame({"frame_start": START_S, "frame_end": START_S + DURATION_S})
    table = table.join(pd.DataFrame(1000 * tac.T, columns=list(REGIONS)))
    if broken:
        table["ctx-lh-insula"] *= -1
    pet = folder / f"petprep/sub-0{person}/ses-{session}/pet"
    pet.mkdir(parents=True)
    stem = pet / f"sub-0{person}_ses-{session}_trc-UCBJ_desc-preproc_seg-gtm_tacs"
    table.to_csv(f"{stem}.tsv", sep="\t", index=False)
    stem.with_suffix(".json").write_text(
        json.dumps({"Units": "Bq/mL", "TracerRadionuclide": "C11"}), encoding="utf-8"
    )


def study(folder, *, pet="", rest=""):
    path = folder / "study.yaml"
    path.write_text(STUDY.format(pet=pet, rest=rest), encoding="utf-8")
    return str(path)


@pytest.fixture
def scans(tmp_path):
    """Five people: PCC +8 % and blood flow +10 % everywhere after the dose."""
    for person in range(1, 6):
        write_scan(tmp_path, person, "pre", pcc=1 + 0.01 * person)
        write_scan(
            tmp_path, person, "post", pcc=(1 + 0.01 * person) * (1.07 + 0.005 * person), flow=1.1,
            broken=person == 5,
        )  # fmt: skip
    return tmp_path


def group(folder, name):
    return read_table(folder / f"out/group/{name}.tsv")


def test_change_of_binding_and_flow_come_back(scans, capsys):
    models = "multiverse: {model: [SUVR, SRTM2, MRTM2, refLogan]}"
    path = study(scans, pet=", measure: DVR", rest=models)
    assert main(["quantify", path, "--n-procs", "1"]) == 0
    many = group(scans, "quantify/multiverse").set_index("choice")
    assert list(many["declared"].astype(str)) == ["True", "False", "False", "False"]
    for choice in ("SRTM2, custom", "MRTM2, custom", "refLogan, custom"):
        assert many.loc[choice, "percent"] == pytest.approx(8.5, abs=0.05)
        assert many.loc[choice, "measure"] == "DVR"
    assert many.loc["SUVR, 60-90 min, custom", "percent"] > 8.5 - 3  # flow and lag move it
    rates = group(scans, "quantify/k2prime")
    for session, rate in (("ses-pre", 0.031), ("ses-post", 0.0341)):
        found = rates[rates["session_id"] == session].sort_values("participant_id")["k2prime"]
        expected = rate * (1 + 0.05 * np.arange(1, 6))
        np.testing.assert_allclose(found, expected, rtol=2e-3)
    kinpar = (
        scans / "out/sub-01/ses-pre/pet/"
        "sub-01_ses-pre_seg-gtm_ref-custom_pvc-none_model-SRTM2_kinpar.tsv"
    )
    table = read_table(kinpar).set_index("name")
    assert table.loc["Left-Thalamus", "bpnd"] == pytest.approx(14 / CEREBELLUM - 1, rel=1e-3)
    assert table.loc["Left-Thalamus", "r1"] == pytest.approx(0.36 / 0.155, rel=1e-3)
    sidecar = json.loads(kinpar.with_suffix(".json").read_text())
    assert sidecar["ModelName"] == "SRTM2" and sidecar["k2prime"]["Source"] == "this scan"

    assert main(["compare", path]) == 0
    compared = group(scans, "compare/comparisons").set_index("outcome")
    assert compared.loc["dvr:PCC", "percent"] == pytest.approx(8.5, abs=0.05)
    assert compared.loc["dvr:PCC", "family"] == "primary"


def test_a_curve_that_cannot_be_fitted_is_missing_and_told(scans):
    assert main(["quantify", study(scans), "--n-procs", "1"]) == 0
    estimates = group(scans, "quantify/estimates")
    bad = estimates[estimates["excluded"].astype(str) == "True"]
    assert list(bad["region"]) == ["ctx-lh-insula"] and list(bad["flag"]) == ["no activity"]
    assert bad["value"].isna().all()
    page = (scans / "out/group/quantify/quantify.html").read_text()
    assert "ctx-lh-insula" in page and "no activity" in page


def test_every_fit_is_drawn_when_asked(scans):
    assert main(["quantify", study(scans), "--n-procs", "1", "--figures"]) == 0
    drawn = sorted((scans / "out").rglob("*_model-SRTM2_fits.png"))
    assert len(drawn) == 10
    picture = plt.imread(drawn[-2])[..., :3]  # sub-05 after: one region is excluded
    orange = (picture[..., 0] > 0.7) & (picture[..., 2] < 0.3)
    assert orange.sum() > 20
    assert not ((plt.imread(drawn[0])[..., 0] > 0.7) & (plt.imread(drawn[0])[..., 2] < 0.3)).any()


def test_a_shared_rate_takes_flow_for_binding_and_says_so(scans):
    path = study(scans, pet=", measure: DVR, k2prime: shared")
    assert main(["quantify", path, "--n-procs", "1"]) == 0
    assert group(scans, "quantify/multiverse").loc[0, "percent"] > 8.5 + 1.5
    assert "2.7 %" in (scans / "out/group/quantify/quantify.html").read_text()


def test_a_fixed_rate_is_quoted_with_its_source(scans):
    path = study(scans, pet=", k2prime: {value: 0.031, source: some paper}")
    assert main(["quantify", path, "--n-procs", "1"]) == 0
    assert set(group(scans, "quantify/k2prime")["source"]) == {"some paper"}
    assert "some paper" in (scans / "out/group/quantify/quantify.html").read_text()


@pytest.mark.parametrize(
    ("pet", "rest", "told"),
    [
        (", tracer: UCBJ, k2prime: none", "multiverse: {model: [refLogan]}", "a fifth too low"),
        (", tracer: UCBJ", "multiverse: {model: [SRTM], reference: [cerebellum]}", "Use SRTM2"),
        (", pvc: IY", "", "none: PETPrep's curves come without images"),
        (", measure: VT", "", "SRTM2 gives BPND or DVR"),
        (", k2prime: 0.031", "", "{value: 0.031, source: where it is from}"),
        ("", "primary: 'suvr:PCC'", "suvr is not what pet: gives"),
    ],
)
def test_what_must_not_be_done_is_refused(scans, capsys, pet, rest, told):
    assert main(["quantify", study(scans, pet=pet, rest=rest)]) == 2
    assert told in capsys.readouterr().err
    assert not (scans / "out").exists()


def test_compare_asks_for_quantify_first_and_after_a_change(scans, capsys):
    path = study(scans, pet=", measure: DVR")
    assert main(["compare", path]) == 2
    assert "Call `petfmri quantify` first" in capsys.readouterr().err
    assert main(["quantify", path, "--n-procs", "1"]) == 0
    assert main(["compare", study(scans, pet=", measure: DVR, k2prime: shared")]) == 2
    assert "Call `petfmri quantify` again" in capsys.readouterr().err


def test_without_blood_plasma_models_fail_with_a_reason(scans, capsys):
    path = study(scans).replace("study", "plasma")
    text = (scans / "study.yaml").read_text().replace("SRTM2", "1TCM")
    (scans / "plasma.yaml").write_text(text)
    assert main(["quantify", path, "--n-procs", "1"]) == 2
    assert "no *_blood.tsv" in capsys.readouterr().err


def test_estimates_of_another_tool_are_compared_and_never_mixed(scans, capsys):
    assert main(["quantify", study(scans, pet=", measure: DVR"), "--n-procs", "1"]) == 0
    text = "name: again\noutput: again\nderivatives: {kinpar: out}\n"
    text += "pet: {model: SRTM2, measure: DVR}\nsessions: {pre: pre, post: post}\n"
    (scans / "again.yaml").write_text(text, encoding="utf-8")
    assert main(["compare", str(scans / "again.yaml")]) == 0
    compared = read_table(scans / "again/group/compare/comparisons.tsv").set_index("outcome")
    assert compared.loc["dvr:PCC", "percent"] == pytest.approx(8.5, abs=0.05)

    (one,) = (scans / "out/sub-02/ses-post/pet").glob("*_kinpar.tsv")
    sidecar = json.loads(one.with_suffix(".json").read_text())
    one.with_suffix(".json").write_text(json.dumps(sidecar | {"ReferenceRegion": "pons"}))
    one.rename(one.with_name(one.name.replace("ref-custom_", "")))
    one.with_suffix(".json").rename(
        one.with_name(one.name.replace("ref-custom_", "")).with_suffix(".json")
    )
    capsys.readouterr()
    assert main(["compare", str(scans / "again.yaml")]) == 2
    told = capsys.readouterr().err
    assert "pons" in told and "custom" in told and told.count("_kinpar.tsv") >= 2


def test_a_region_of_interest_that_matches_nothing_is_an_error(scans, capsys):
    path = study(scans)
    text = (scans / "study.yaml").read_text().replace("posteriorcingulate", "posteriorcingulat")
    (scans / "study.yaml").write_text(text)
    assert main(["quantify", path]) == 2
    assert "regions_of_interest.PCC" in capsys.readouterr().err
    assert main(["quantify", study(scans, rest="primary: 'bpnd:Nowhere'")]) == 2
    assert "a region of the table, or one of PCC" in capsys.readouterr().err


def test_a_region_absent_from_one_scan_loses_one_person(scans):
    (table,) = (scans / "petprep/sub-02/ses-post/pet").glob("*_tacs.tsv")
    curves = pd.read_csv(table, sep="\t").drop(columns="ctx-lh-posteriorcingulate")
    curves.to_csv(table, sep="\t", index=False)
    assert main(["quantify", study(scans), "--n-procs", "1"]) == 0
    row = group(scans, "quantify/multiverse").iloc[0]
    assert (row["n"], row["lost"]) == (4, 1)


def test_the_raw_sidecar_tells_when_the_injection_was(scans):
    """Curves that count from a TimeZero a minute early, which only the raw PET's sidecar says."""
    assert main(["quantify", study(scans), "--n-procs", "1"]) == 0
    before = group(scans, "quantify/estimates")["value"]
    for table in scans.glob("petprep/*/*/pet/*_tacs.tsv"):
        curves = pd.read_csv(table, sep="\t")
        curves[["frame_start", "frame_end"]] += 60
        curves.to_csv(table, sep="\t", index=False)
        raw = scans / "raw" / table.parent.relative_to(scans / "petprep")
        raw.mkdir(parents=True)
        stem = "_".join(table.name.split("_")[:3])
        (raw / f"{stem}_pet.json").write_text(json.dumps({"InjectionStart": 60}))
    assert main(["quantify", study(scans, rest="bids: raw"), "--n-procs", "1"]) == 0
    np.testing.assert_allclose(group(scans, "quantify/estimates")["value"], before, rtol=1e-9)


def test_settings_that_change_a_value_are_in_the_name(scans):
    for pet in ("", ", k2prime: shared", ", k2prime: {value: 0.031, source: s}"):
        assert main(["quantify", study(scans, pet=pet), "--n-procs", "1"]) == 0
    names = {path.name for path in (scans / "out/sub-01/ses-pre/pet").glob("*_kinpar.tsv")}
    found = sorted(name.partition("desc-")[2].partition("_")[0] for name in names)
    assert found == ["", "k2prime0p031", "k2primeshared"]


def test_check_warns_of_scans_too_late_for_the_model(tmp_path):
    scans = [
        Scan(tmp_path / f"sub-0{n}_pet.nii.gz", {}, {"FrameTimesStart": [start]})
        for n, start in enumerate((0.0, 3600.0))
    ]
    person = Participant("sub-01", (), (Session("ses-pre", "pre", pet=tuple(scans)),))
    cohort = Cohort(tmp_path, {"pre": "ses-pre"}, (person,))
    plan = {"name": "late", "bids": tmp_path, "output": tmp_path}
    (problem,) = late_scans(Study(**plan, pet={"model": "SRTM2"}), cohort)
    assert problem.severity == "warning" and "60 min" in problem.found
    assert late_scans(Study(**plan), cohort) == []


def test_a_scan_that_fails_leaves_the_other_session_of_the_person(scans, capsys):
    (table,) = (scans / "petprep/sub-02/ses-post/pet").glob("*_tacs.tsv")
    curves = pd.read_csv(table, sep="\t")
    curves[curves["frame_start"] >= 3600].to_csv(table, sep="\t", index=False)  # a late scan
    assert main(["quantify", study(scans), "--n-procs", "1"]) == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if "failed:" in line]
    assert failed and all("sub-02 ses-post" in line for line in failed)
    rows = group(scans, "quantify/estimates").query("participant_id == 'sub-02'")
    assert set(rows["session_id"]) == {"ses-pre"} and rows["value"].notna().all()
