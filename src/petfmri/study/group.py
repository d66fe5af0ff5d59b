"""The tidy group tables, assembled from what each participant's run delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from petfmri.study.files import read_json, read_table
from petfmri.study.layout import Names

REGION_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "region": {"Description": "Region of the atlas"},
    "network": {"Description": "Network of the region"},
    "hemisphere": {"Description": "L, R or B (both)"},
    "structure": {"Description": "cortex, subcortex or cerebellum"},
    "volume_mm3": {"Description": "Volume of the region on the T1w grid", "Units": "mm^3"},
    "suvr": {"Description": "Mean SUVR, from the raw frames to the T1w grid", "Units": "unitless"},
    "suvr_boldref": {
        "Description": "Mean SUVR, from the raw frames to the BOLD grid",
        "Units": "unitless",
    },
    "pet_coverage": {
        "Description": "Fraction of the region in the PET field of view",
        "Units": "1",
    },
    "bold_coverage": {
        "Description": "Fraction with BOLD signal, in the run that saw least",
        "Units": "1",
    },
}
SESSION_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "role": {"Description": "pre or post; in a crossover the name of the session"},
    "arm": {"Description": "Treatment arm"},
    "dose": {"Description": "Dose, in the unit of the dataset"},
    "days_since_dose": {"Description": "Days between dose and session", "Units": "d"},
    "treatment": {"Description": "Treatment of the period (crossover)"},
    "period": {"Description": "Period (crossover)"},
    "time": {"Description": "Time after the dose, as the dataset names it (crossover)"},
    "sequence": {"Description": "Order of the treatments (crossover)"},
    "age": {"Description": "Age", "Units": "a"},
    "sex": {"Description": "Sex"},
    "suvr_grey": {
        "Description": "Volume-weighted mean SUVR of all grey-matter regions",
        "Units": "unitless",
    },
    "reference_ml": {"Description": "Volume of the reference region", "Units": "mL"},
    "injected_mbq": {"Description": "Injected activity", "Units": "MBq"},
    "pet_fd": {"Description": "Mean framewise displacement of the PET frames", "Units": "mm"},
    "excluded": {"Description": "BOLD runs left out, and why"},
}


def region_rows(
    names: Names, session: str, atlas: pd.DataFrame, *, runs: Iterable[str | None]
) -> pd.DataFrame:
    """Collect one row per region of one session; what was not measured is missing.

    Parameters
    ----------
    names : Names
        Where the participant's results lie.
    session : str
    atlas : DataFrame
        With name, network, hemisphere and structure.
    runs : labels of the BOLD runs, None for a run without one

    Returns
    -------
    DataFrame
        Columns as `REGION_COLUMNS`, then the nodal metrics.
    """
    table = atlas.rename(columns={"name": "region"})[
        ["region", "network", "hemisphere", "structure"]
    ]
    table = table.set_index("region")
    seg = names.seg
    pet = _optional(names.suvr(session, "kinpar", ".tsv", seg=seg))
    joined = _optional(names.suvr(session, "kinpar", ".tsv", space="boldref", seg=seg))
    nodes = _optional(names.func(session, "metrics", ".tsv", seg=seg, desc="nodal"))
    table["volume_mm3"] = pet.get("volume_mm3")
    table["suvr"] = pet.get("suvr")
    table["suvr_boldref"] = joined.get("suvr_boldref")
    table["pet_coverage"] = pet.get("coverage")
    coverages = [
        _optional(names.func(session, "coverage", ".tsv", run=run, seg=seg)) for run in runs
    ]
    seen = [table_.get("coverage") for table_ in coverages if "coverage" in table_]
    table["bold_coverage"] = pd.concat(seen, axis=1).min(axis=1) if seen else None
    for measure in nodes:
        table[measure] = nodes[measure]
    table = table.reset_index()
    table.insert(0, "participant_id", names.sub)
    table.insert(1, "session_id", session)
    return table[[*REGION_COLUMNS, *map(str, nodes)]]


def session_row(names: Names, session: str) -> dict[str, Any]:
    """Collect the measures of one session that have no region."""
    row: dict[str, Any] = {"participant_id": names.sub, "session_id": session}
    uptake = names.suvr(session, "uptake", ".json", desc="ref")
    if uptake.exists():
        row["reference_ml"] = read_json(uptake)["volume_ml"]
        motion = read_table(names.pet(session, "timeseries", ".tsv", desc="confounds"))
        row["pet_fd"] = float(motion["framewise_displacement"].mean())
    for path in (
        names.func(session, "metrics", ".tsv", desc="denoising"),
        names.func(session, "metrics", ".tsv", desc="network"),  # its counts are of equal sessions
    ):
        if path.exists():
            row |= {str(name): value for name, value in read_table(path).iloc[0].items()}
    return row


def _optional(path: Path) -> pd.DataFrame:
    """Read a delivered table indexed by region name; empty if the branch did not deliver it."""
    return read_table(path, ["name"]).set_index("name") if path.exists() else pd.DataFrame()
