"""The bars of whole studies: trees of fMRIPrep and PETPrep."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from bars import Bar, at_most, holds
from derivative_trees import MNI, Person

WORK = Path(os.environ.get("PETFMRI_BARS_DIR") or tempfile.mkdtemp(prefix="petfmri_bars_"))
PETFMRI = [sys.executable, "-m", "petfmri"]
STUDY = """\
name: adoption
bids: bids
output: {output}
derivatives: {{{derivatives}}}
symptoms: {{table: phenotype/madrs.tsv, score: madrs}}
bold: {{minimum_kept_s: 60, strategy: 24P, band_hz: [0.01, 0.2]}}
pet: {{psf_mm: 6}}
simulation: {{preset: tiny, participants: 3, seed: 1}}
"""
KEY = ["participant_id", "session_id", "region"]
# Steps that estimate something, and those that each person's trees leave to be done.
ESTIMATING = ("brain", "bias", "template", "template_start", "tissues")
ENDS = ("_motion", "_coregistration", "_bold_signals")
LEFT = {
    "sub_01": set(),
    "sub_02": {"ses_post_run_1_bold_signals"},
    "sub_03": {
        *("template_start", "template", "tissues", "ses_pre_run_1_bold_motion"),
        *("ses_pre_run_1_bold_coregistration", "ses_pre_run_1_bold_signals"),
        *("ses_pre_pet_motion", "ses_pre_pet_coregistration", "ses_post_pet_coregistration"),
    },
}
PRE, POST = "ses-pre", "ses-post"
SUVR = {  # sessions, column, largest median difference in percent
    "PETPrep in T1w space, transforms, or curves": (
        [("sub-01", PRE), ("sub-02", PRE), ("sub-02", POST)], "suvr", 0.01,
    ),
    "PETPrep native, so interpolated twice": ([("sub-01", POST)], "suvr", 1.0),
    "PET on the BOLD grid": (
        [(sub, ses) for sub in ("sub-01", "sub-02") for ses in (PRE, POST)], "suvr_boldref", 0.2,
    ),
    "T1w and brain adopted, the rest computed": (
        [("sub-03", PRE), ("sub-03", POST)], "suvr", 1.0,
    ),
}  # fmt: skip
STRENGTH = {
    "fMRIPrep native, or transforms": ([("sub-01", PRE), ("sub-02", POST)], 0.999),
    "fMRIPrep in T1w space": ([("sub-01", POST)], 0.9),
    "fMRIPrep in template space": ([("sub-02", PRE)], 0.9),
}


def adoption() -> Iterator[Bar]:
    """Run a study from raw images, then from trees made of it, of several versions and parts."""
    folder = WORK / "adoption"
    folder.mkdir(parents=True)
    trees = {name: folder / name for name in ("fmriprep", "petprep")}
    raw, adopted = (folder / f"{name}.yaml" for name in ("raw", "adopted"))
    raw.write_text(STUDY.format(output="raw", derivatives=""))
    named = ", ".join(f"{name}: {name}" for name in trees)
    adopted.write_text(STUDY.format(output="adopted", derivatives=named))
    for verb in ("simulate", "run"):
        _petfmri(verb, raw).check_returncode()
    build_trees(folder / "bids", folder / "raw", **trees)
    before = _content(trees.values())
    status = _petfmri("run", adopted).returncode
    yield holds("fMRIPrep and PETPrep trees: run end to end, exit", status, "0", status == 0)
    work = folder / "adopted/work"
    assert (
        len(list(work.glob("sub_0?/adopt_anatomy"))) == 3
    )  # steps are looked for in the right place
    needless = ", ".join(sorted(_needless(work))) or "none"
    yield holds("  steps that estimate what is there", needless, "none", needless == "none")
    same = _content(trees.values()) == before
    yield holds("  trees as they were before", same, "True", same)
    again = _petfmri("run", adopted).stdout.splitlines()[0]
    yield holds("  second run", again[-18:], "0 steps executed.", "; 0 steps" in again)
    yield from _agreement(*(_regions(folder / name) for name in ("raw", "adopted")))


def build_trees(bids: Path, out: Path, *, fmriprep: Path, petprep: Path) -> None:
    """Write trees: whole, of other versions, and in parts."""
    one, two, three = (Person(bids, out, f"sub-0{number}") for number in (1, 2, 3))
    one.anat(fmriprep)
    one.func(fmriprep, PRE, spaces=["", "T1w"])
    one.func(fmriprep, POST, spaces=["T1w"], version=26)
    one.pet(petprep, PRE, spaces=["", "T1w"])
    one.pet(petprep, POST, spaces=[""])
    two.anat(fmriprep, session=PRE)
    two.func(fmriprep, PRE, spaces=[MNI], version=20)
    two.func(fmriprep, POST, spaces=[])
    two.pet(petprep, PRE, spaces=["T1w"], moves=False)
    two.pet(petprep, POST, spaces=[])
    two.curves(petprep, POST, "Schaefer200")
    three.anat(fmriprep, whole=False)
    three.func(fmriprep, POST, spaces=[""])
    three.pet(petprep, POST, spaces=[])
    for path in petprep.glob(f"sub-03/{POST}/pet/*_to-T1w_*"):
        path.unlink()


def _petfmri(verb: str, study: Path) -> subprocess.CompletedProcess[str]:
    command = [*PETFMRI, verb, study, "--n-procs", "2"]
    return subprocess.run(command, capture_output=True, text=True)


def _content(roots: Iterable[Path]) -> dict[Path, str]:
    files = sorted(path for root in roots for path in root.rglob("*") if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _needless(work: Path) -> Iterator[str]:
    """List the steps that were run although the trees hold their results."""
    for person in work.glob("sub_0?"):
        for step in person.iterdir():
            estimates = step.name in ESTIMATING or step.name.endswith(ENDS)
            if estimates and step.name not in LEFT[person.name]:
                yield f"{person.name}.{step.name}"


def _regions(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "group/regions.tsv", sep="\t").set_index(KEY).sort_index()


def _agreement(raw: pd.DataFrame, adopted: pd.DataFrame) -> Iterator[Bar]:
    """Compare the tables of the run from raw images with those of the run from the trees."""
    for name, (sessions, column, limit) in SUVR.items():
        ratios = [adopted.loc[each][column] / raw.loc[each][column] for each in sessions]
        off = max(100 * float(np.nanmedian(abs(ratio - 1))) for ratio in ratios)
        yield at_most(f"  {name}: {column}, median difference", off, limit, "%")
    lost = int((adopted["suvr"].isna() & raw["suvr"].notna()).sum())
    yield at_most("  regions without SUVR that have one from raw images", lost, 0)
    for name, (sessions, least) in STRENGTH.items():
        pairs = [(raw.loc[each]["strength"], adopted.loc[each]["strength"]) for each in sessions]
        r = min(one.corr(other) for one, other in pairs)
        yield holds(f"  {name}: nodal strength, r", f"{r:.4f}", f">= {least}", r >= least)


MEASURES = [adoption]
