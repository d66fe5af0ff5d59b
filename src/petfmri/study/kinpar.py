"""Regional outcomes of other tools and of our own: ``_kinpar.tsv`` in one tidy form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petfmri.errors import DatasetError
from petfmri.study.files import read_json, read_table
from petfmri.study.measures import MEASURES, OUTCOMES, joined, measure_of, require_alike
from petfmri.study.names import bids_label, parse_name, with_prefix

REGION_COLUMNS = ("region", "name", "ROI")
ORIGIN = ("tracer", "model", "reference", "pvc")
COLUMNS = ("participant", "session", "region", "measure", "value", *ORIGIN, "path")


@dataclass(frozen=True)
class Described:
    """What name, folder and sidecar say of a derivative of PET.

    Attributes
    ----------
    entities : mapping
        Of the name; ``sub`` and ``ses`` also where only the folders have them.
    origin : mapping
        tracer, model, reference and pvc (``"none"`` where nothing is said).
    sidecar : mapping
        Empty if there is none.
    """

    entities: Mapping[str, str]
    origin: Mapping[str, str | None]
    sidecar: Mapping[str, Any]


def find_kinpars(folder: Path, **entities: str) -> tuple[Path, ...]:
    """Find the tables of all people, but those of fits of the blood delay and on other grids.

    Parameters
    ----------
    folder : Path
        Derivatives of PETFit, PETsurfer-BIDS, petprep_km or petfmri.
    **entities : str
        Choose by entities of the name, such as ``trc``, ``seg``, ``ref``, ``model`` or ``desc``.

    Raises
    ------
    DatasetError
        If there is none.
    """
    found = [
        path
        for path in sorted(Path(folder).rglob("sub-*_kinpar.tsv"))
        if _chosen(describe(path).entities, entities)
    ]
    if not found:
        wanted = "".join(f"_{key}-{label}" for key, label in entities.items())
        raise DatasetError(
            str(folder), f"no *{wanted}_kinpar.tsv", "regional outcomes", "correct folder or labels"
        )
    return tuple(found)


def _chosen(entities: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    if entities.get("desc") == "delayfit" or "space" in entities:
        return False
    return all(entities.get(key) == label for key, label in wanted.items())


def read_kinpar(path: Path) -> pd.DataFrame:
    r"""Read one table into long form.

    Spellings of columns differ (``bp``, ``BP_ND``, ``BPnd``; ``Vt``; regions under ``region``,
    ``name`` or ``ROI``). Where PETsurfer gives only k2 and k2a of MRTM, BP_ND = k2 / k2a − 1 [1]_.

    Parameters
    ----------
    path : Path

    Returns
    -------
    DataFrame
        One row per region and measure; columns participant, session (None where there is none),
        region, measure (VT, DVR, BPND, SUVR, R1 or K1), value, tracer, model, reference, pvc, path.

    Raises
    ------
    DatasetError
        If regions or measures are absent, given twice or no numbers, or if the name does not say
        whose they are.

    References
    ----------
    .. [1] Ichise M et al. J Cereb Blood Flow Metab 2003;23:1096-1112.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "sub-01_ses-pre_model-SRTM2_desc-model1_kinpar.tsv"
    >>> _ = path.write_text("region\tR1\tBPnd\tBPnd-se\nPCC\t0.9\t2.5\t0.1\n")
    >>> read_kinpar(path)[["region", "measure", "value", "model"]]
      region measure  value  model
    0    PCC    BPND    2.5  SRTM2
    1    PCC      R1    0.9  SRTM2
    """
    path = Path(path)
    about = describe(path)
    if "sub" not in about.entities:
        raise DatasetError(
            str(path), "a name without sub-", "whose it is", "name the table of each person"
        )
    table = read_table(path)
    names = _regions(table, path)
    values = _measures(table, about, path)
    parts = [
        pd.DataFrame({"region": names, "measure": measure, "value": values[measure]})
        for measure in MEASURES
        if measure in values
    ]
    rows = pd.concat(parts, ignore_index=True)
    ses = about.entities.get("ses")
    rows["participant"] = with_prefix("sub", about.entities["sub"])
    rows["session"] = None if ses is None else with_prefix("ses", ses)
    origin = {**about.origin, "path": str(path)}
    if set(values) == {"SUVR"}:
        origin["model"] = origin["model"] or "SUVR"
    for column, said in origin.items():
        rows[column] = said
    return rows[list(COLUMNS)]


def one_measure(tables: Sequence[pd.DataFrame], measure: str | None = None) -> pd.DataFrame:
    """Join tables of one analysis, which all hold one measure made in one way.

    Parameters
    ----------
    tables : sequence of DataFrame
        As `read_kinpar` returns them.
    measure : str, optional
        Unset: the only one of V_T, DVR, BP_ND and SUVR that there is.

    Raises
    ------
    DatasetError
        That names both files, if they differ in measure, tracer, model, reference region or
        correction for partial volumes, or hold the same region of the same session.
    """
    if not tables:
        raise DatasetError("tables of outcomes", "none", "at least one", "see find_kinpars")
    wanted = _wanted(tables, measure)
    chosen = [table[table["measure"] == wanted] for table in tables]
    require_alike([(_path(part), _origin(part)) for part in chosen])
    rows = pd.concat(chosen, ignore_index=True)
    key = ["participant", "session", "region"]
    twice = rows[rows.duplicated(key, keep=False)]
    if len(twice):
        region = twice.iloc[0]
        same = twice[(twice[key].astype(str) == region[key].astype(str)).all(axis=1)]
        raise DatasetError(
            " and ".join(same["path"].unique()),
            f"{region['region']} of {region['participant']} {region['session'] or ''}".strip()
            + f" {len(same)} times",
            "once",
            "choose by desc or seg",
        )
    return rows


def _wanted(tables: Sequence[pd.DataFrame], measure: str | None) -> str:
    """Name the measure that all tables hold."""
    held = [(_path(table), set(table["measure"])) for table in tables]
    first, outcomes = held[0][0], held[0][1] & set(OUTCOMES)
    if measure is None:
        if len(outcomes) > 1:
            raise DatasetError(
                str(first), f"{' and '.join(sorted(outcomes))}", "one measure", "name the one meant"
            )
        for path, measures in held[1:]:
            if measures & set(OUTCOMES) != outcomes:
                raise _mixed(first, outcomes, path, measures & set(OUTCOMES))
        if not outcomes:
            raise DatasetError(
                str(first), ", ".join(sorted(held[0][1])), " or ".join(OUTCOMES), "name the measure"
            )
        return outcomes.pop()
    wanted = measure_of(measure) or measure
    having = [path for path, measures in held if wanted in measures]
    for path, measures in held:
        if wanted not in measures:
            raise _mixed(having[0] if having else first, {wanted}, path, measures)
    return wanted


def _mixed(one: Path, its: set[str], other: Path, others: set[str]) -> DatasetError:
    said = [", ".join(sorted(measures)) or "no outcome" for measures in (its, others)]
    return DatasetError(
        f"{one} and {other}",
        f"measure {said[0]} in the one, {said[1]} in the other",
        "one measure in one analysis",
        "keep the files of one of them, or name a measure that both hold",
    )


def _origin(table: pd.DataFrame) -> dict[str, str | None]:
    return {what: table[what].iloc[0] for what in ORIGIN}


def _path(table: pd.DataFrame) -> Path:
    return Path(str(table["path"].iloc[0]))


def describe(path: Path) -> Described:
    """Say what the name, the folders and the sidecar of a table or map tell of it."""
    entities = {
        part[:3]: part[4:] for part in path.parts[:-1] if re.fullmatch("(sub|ses)-[^-]+", part)
    }
    # PETFit once wrote model_2TCM and model_2TCM_irr, which are no entities.
    spelt = re.sub(
        r"_model_(.+?)_(?=desc-|kinpar)",
        lambda found: f"_model-{bids_label(found[1])}_",
        path.name,
    )
    name = parse_name(spelt)
    if name is None:
        raise DatasetError(
            str(path), "a name that is not of key-value pairs", "a BIDS name", "rename it"
        )
    entities |= name.entities
    beside = path.with_name(f"{path.name.partition('.')[0]}.json")
    sidecar = read_json(beside) if beside.exists() else {}
    origin = {
        "tracer": entities.get("trc"),
        "model": entities.get("model") or joined(sidecar.get("ModelName")),
        "reference": entities.get("ref") or joined(sidecar.get("ReferenceRegion")),
        "pvc": entities.get("pvc") or joined(sidecar.get("PartialVolumeCorrection")) or "none",
    }
    return Described(entities, origin, sidecar)


def _regions(table: pd.DataFrame, path: Path) -> list[str]:
    column = next((name for name in REGION_COLUMNS if name in table), None)
    if column is None:
        raise _columns_refused(path, table, f"one of {', '.join(REGION_COLUMNS)}")
    names = [str(name) for name in table[column]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        found = f"{', '.join(twice[:6])} more than once"
        raise DatasetError(f"{path}: {column}", found, "each region once", "keep one row of each")
    return names


def _measures(table: pd.DataFrame, about: Described, path: Path) -> dict[str, Any]:
    """Values by measure."""
    columns = [(str(column), measure_of(column)) for column in table]
    found = [measure for _, measure in columns if measure is not None]
    twice = next((measure for measure in found if found.count(measure) > 1), None)
    if twice is not None:
        raise _columns_refused(path, table, f"{twice} in one column")
    values = {
        measure: _numbers(table, column, path) for column, measure in columns if measure is not None
    }
    is_mrtm = (about.origin["model"] or "").upper().startswith("MRTM")
    if is_mrtm and "BPND" not in values and {"k2", "k2a"} <= set(table.columns):
        k2, k2a = (_numbers(table, column, path) for column in ("k2", "k2a"))
        values["BPND"] = np.divide(k2, k2a, out=np.full(len(k2), np.nan), where=k2a != 0) - 1
    stated = about.entities.get("meas")
    if stated is not None:
        values = {name: each for name, each in values.items() if name == measure_of(stated)}
    if not values:
        expected = measure_of(stated) or stated if stated else f"one of {', '.join(MEASURES)}"
        raise _columns_refused(path, table, str(expected))
    return values


def _numbers(table: pd.DataFrame, column: str, path: Path) -> Any:
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(float)
    wrong = table[column][np.isnan(numbers) & table[column].notna().to_numpy()]
    if len(wrong):
        raise DatasetError(
            f"{path}: {column}", repr(wrong.iloc[0]), "numbers or n/a", "correct or remove it"
        )
    return numbers


def _columns_refused(path: Path, table: pd.DataFrame, expected: str) -> DatasetError:
    found = f"columns {', '.join(map(str, table.columns[:8]))}"
    return DatasetError(str(path), found, expected, "rename or remove columns")
