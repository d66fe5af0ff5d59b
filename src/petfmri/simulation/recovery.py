"""Planted effects beside what an analysis recovered of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from petfmri.study.files import read_json, read_table

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "effect": {"Description": "What was planted, over participants"},
    "planted": {"Description": "As planted"},
    "visible": {"Description": "What a perfect analysis of these images could see of it"},
    "recovered": {"Description": "What petfmri found"},
    "sign_recovered": {"Description": "Whether the direction was found"},
}


def recovered_effects(
    truth: Path, comparisons: pd.DataFrame, changes: pd.DataFrame, *, score: str
) -> pd.DataFrame:
    """Compare a simulated study's truth with the result of its comparison.

    Parameters
    ----------
    truth : Path
        The ``truth`` folder.
    comparisons, changes : DataFrame
        As written by `petfmri compare`.
    score : str
        The symptom score.

    Returns
    -------
    DataFrame
        Columns as `COLUMNS`: change of SV2A in the planted region (V_T as planted, PSF-blurred
        SUVR as visible), of segregation, of symptoms, and the correlations between them.
    """
    planted = read_json(truth / "planted.json")
    people = pd.DataFrame(planted["people"]).set_index("participant_id")
    sessions = planted["design"]["sessions"]
    pre, post = (f"segregation_ses-{label}" for label in sessions)
    true = pd.DataFrame(
        {
            "suvr:PCC": people["suvr_blurred_percent"],
            "segregation": people[post] - people[pre],
            score: [_fall(scores) for scores in people["madrs"]],
        }
    )
    found = changes.pivot_table(index="participant_id", columns="outcome", values="change")
    found["suvr:PCC"] = changes[changes["outcome"] == "suvr:PCC"].set_index("participant_id")[
        "percent"
    ]
    means = comparisons.set_index("outcome")
    rows: list[tuple[str, float, float, float]] = [
        (
            "SV2A in the PCC, change (%): V_T planted, SUVR visible",
            planted["planted_mean_percent"]["vt"],
            planted["planted_mean_percent"]["suvr_blurred"],
            float(means["percent"]["suvr:PCC"]),
        )
    ]
    rows += [
        (
            f"{name}, change",
            float(true[name].mean()),
            float(true[name].mean()),
            float(found[name].mean()),
        )
        for name in ("segregation", score)
    ]
    for x, y in (("suvr:PCC", "segregation"), ("suvr:PCC", score), ("segregation", score)):
        known = _correlation(true[x], true[y])
        rows.append(
            (
                f"correlation of the changes in {x} and {y}",
                known,
                known,
                _correlation(found[x], found[y]),
            )
        )
    table = pd.DataFrame(rows, columns=["effect", "planted", "visible", "recovered"])
    return table.assign(sign_recovered=np.sign(table["planted"]) == np.sign(table["recovered"]))


def unplanted_changes(truth: Path, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Compare the change of SUVR in every region in which nothing was planted with the truth.

    Beside a planted region even a perfect analysis sees a change: the scanner blurs it in.

    Returns
    -------
    DataFrame
        Indexed by region: ``found`` and ``visible`` (PSF-blurred truth), mean over persons, %.
    """
    planted = read_json(truth / "planted.json")
    values = read_table(truth / "regions.tsv").pivot_table(
        index=["participant_id", "region"], columns="session_id", values="suvr_blurred"
    )
    pre, post = (values[f"ses-{label}"] for label in planted["design"]["sessions"])
    visible = (100 * (post / pre - 1)).groupby("region").mean()
    rows = comparisons[comparisons["measure"] == "suvr"].set_index("region")["percent"]
    table = pd.DataFrame({"found": rows.reindex(visible.index), "visible": visible})
    return table.drop(index=planted["planted_regions"]).dropna()


def _fall(scores: list[float | None]) -> float:
    before, after = scores
    return float("nan") if before is None or after is None else after - before


def _correlation(x: pd.Series[float], y: pd.Series[float]) -> float:
    both = pd.concat([x, y], axis=1).dropna().to_numpy(float)
    return float(np.corrcoef(both.T)[0, 1])
