"""Test-retest noise of a study's outcomes: declared, or from the reliability that `networks` found."""

from __future__ import annotations

from petfmri.commands.context import group_folder
from petfmri.config import Study
from petfmri.statistics.retest import Retest, retest_of_reliability
from petfmri.study.files import read_table


def declared_retest(study: Study) -> dict[str, Retest]:
    """Return the test-retest noise by outcome or measure.

    What the study declares goes first. For network metrics without it, the ICC of halves of the
    session before (``group/networks/reliability.tsv``, if `petfmri networks` ran) gives a lower
    bound: days between sessions add to it.
    """
    declared = {
        name: Retest(noise.mean, noise.sd, noise.n, noise.source, noise.unit == "percent")
        for name, noise in study.test_retest.items()
    }
    return {**_of_halves(study), **declared}


def _of_halves(study: Study) -> dict[str, Retest]:
    folder = group_folder(study, "networks")
    if not (folder / "reliability.tsv").exists() or not (folder / "sessions.tsv").exists():
        return {}
    reliability = read_table(folder / "reliability.tsv")
    sessions = read_table(folder / "sessions.tsv")
    before = sessions[sessions["role"] == "pre"]
    rows = reliability[(reliability["kind"] == "half") & reliability["icc_whole"].notna()]
    found = {}
    for row in rows.to_dict("records"):
        metric = str(row["metric"])
        values = before[metric].dropna().to_numpy(float) if metric in before else []
        if len(values) > 2 and 0 < row["icc_whole"] < 1:
            found[metric] = retest_of_reliability(
                values,
                row["icc_whole"],
                int(row["n"]),
                "halves of the session before, so a lower bound",
            )
    return found
