"""`petfmri quantify`: kinetic models on the curves of a run or of PETPrep, and a multiverse."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from petfmri.atlases import select_regions
from petfmri.commands.choices import Choice, choice_problems, choices
from petfmri.commands.context import (
    config_problems,
    group_folder,
    n_cores,
    petprep_curves,
    resolved,
    side_by_side,
)
from petfmri.commands.overview import write_overview
from petfmri.commands.people import image_people, petprep_people
from petfmri.commands.petprep import petprep_scans, petprep_tables
from petfmri.commands.quantify_person import quantify_person
from petfmri.commands.stale import stale
from petfmri.commands.tables import read_group_tables, region_columns
from petfmri.config import Study, load_study
from petfmri.errors import ConfigError, DatasetError, Problem, StatisticsError
from petfmri.pet.kinetics.models import MODELS
from petfmri.pet.suvr import volume_weighted_mean
from petfmri.statistics.effects import paired_effects
from petfmri.statistics.permutation import sign_flip
from petfmri.study.files import write_table, write_text
from petfmri.study.group import SESSION_COLUMNS

ESTIMATE_COLUMNS = {
    "participant_id": {"Description": "Participant"},
    "session_id": {"Description": "Session"},
    "region": {"Description": "Region"},
    "reference": {"Description": "Reference region; empty for models with plasma input"},
    "model": {"Description": "Model"},
    "pvc": {"Description": "Correction for partial volumes"},
    "window_min": {"Description": "Window of SUVR", "Units": "min"},
    "measure": {"Description": "What the value is"},
    "value": {"Description": "Estimate; missing where excluded"},
    "se": {"Description": "Standard error of the fit"},
    "r1": {"Description": "Influx relative to the reference region"},
    "flag": {"Description": "Why excluded or doubtful"},
    "excluded": {"Description": "Whether a rule excludes the estimate"},
    "grey": {"Description": "Whether the region is grey matter: the others are not counted"},
}
RATE_COLUMNS = {
    "k2prime": {"Description": "Efflux rate of the reference region", "Units": "1/min"},
    "k2prime_se": {"Description": "Its standard error", "Units": "1/min"},
    "n_curves": {"Description": "Curves that it rests on; 0 for a given value"},
    "source": {"Description": "This scan, shared by the sessions, or where the value is from"},
}
TSTAR_COLUMNS = {
    "choice": {"Description": "Graphical model, reference region, correction"},
    "tstar_min": {"Description": "t* that was used", "Units": "min"},
    "straight_from_min": {
        "Description": "From when no point of nine in ten curves is off the line by over 10 %",
        "Units": "min",
    },
}
MULTIVERSE_COLUMNS = {
    "choice": {"Description": "Model, window, reference region, correction for partial volumes"},
    "measure": {"Description": "What is compared; percentages of different measures differ"},
    "declared": {"Description": "Whether this is the declared choice; the others are sensitivity"},
    "roi": {"Description": "Region of interest: plain mean of its regions"},
    "n": {"Description": "Persons whose regions all have an estimate in both sessions"},
    "lost": {"Description": "Persons left out because an estimate is excluded or missing"},
    "change": {"Description": "Mean of post minus pre, in the unit of the measure"},
    "percent": {"Description": "Mean over persons of 100 (post - pre) / pre", "Units": "%"},
    "g": {"Description": "Hedges g of the paired change"},
    "g_low": {"Description": "Lower end of its 95 % interval (noncentral t)"},
    "g_high": {"Description": "Upper end of its 95 % interval (noncentral t)"},
    "p": {"Description": "Two-sided sign-flip p, uncorrected: for the declared choice alone"},
}
LEAST_BPND = 0.2  # before the dose, for a percentage to mean anything
FEWEST, LARGEST_RATIO = 0.5, 1.5  # of regions under k2'; between the k2' of two sessions
KEY = ["model", "window_min", "reference", "pvc"]


def main(arguments: argparse.Namespace) -> int:
    """Quantify the study of `arguments.study`; 1 if a scan failed."""
    study = load_study(arguments.study)
    failed = quantify(
        study,
        n_procs=n_cores(arguments.n_procs),
        maps=not arguments.no_maps,
        figures=arguments.figures,
    )
    folder = group_folder(study, "quantify")
    written = ", ".join(path.name for path in sorted(folder.glob("*.tsv")))
    print(f"Written to {folder}: {written} and quantify.html")
    for problem in failed:
        print(f"failed: {problem}", file=sys.stderr)
    return 1 if failed else 0


def quantify(
    study: Study, *, n_procs: int = 1, maps: bool = True, figures: bool = False
) -> list[str]:
    """Quantify by every choice, write tables, maps and the page, and return what failed.

    Raises
    ------
    ConfigError
        If a model must not be used with this tracer or reference region.
    DatasetError
        If there are no curves, or no scan could be quantified.
    """
    from_tables = petprep_curves(study) is not None
    problems = choice_problems(study, from_tables=from_tables)
    if not from_tables:
        problems += config_problems(study) + stale(study, "run")
    if problems:
        raise ConfigError.of(problems)
    chosen = choices(study)
    if not from_tables:
        base, people = read_group_tables(study), image_people(study, chosen)
    else:
        scans = petprep_scans(study)
        base, people = petprep_tables(study, scans), petprep_people(study, chosen, scans)
    rois = _rois(study, base[0])
    folder = group_folder(study, "quantify")
    for name in ("estimates", "k2prime", "tstar", "multiverse"):  # of an earlier call
        for suffix in (".tsv", ".json"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)
    work = partial(
        quantify_person, study=study, chosen=chosen, rois=rois, maps=maps, figures=figures
    )
    results = side_by_side(people, work, n_procs)
    estimates = pd.concat([result.estimates for result in results], ignore_index=True)
    failed = [str(problem) for result in results for problem in result.problems]
    if estimates.empty:
        raise DatasetError.of(problem for result in results for problem in result.problems)
    rates = pd.concat([result.rates for result in results], ignore_index=True)
    write_table(estimates, folder / "estimates.tsv", ESTIMATE_COLUMNS)
    if not rates.empty:
        write_table(rates, folder / "k2prime.tsv", {**ESTIMATE_COLUMNS, **RATE_COLUMNS})
    tstars = pd.concat([result.tstars for result in results], ignore_index=True)
    if not tstars.empty:
        write_table(tstars, folder / "tstar.tsv", {**ESTIMATE_COLUMNS, **TSTAR_COLUMNS})
    many = multiverse(estimates, study, chosen, rois)
    if not many.empty:
        write_table(many, folder / "multiverse.tsv", MULTIVERSE_COLUMNS)
    _write_group(study, chosen[0], estimates, rates, base)
    write_text(resolved(study), folder / "study.yaml")
    fits = {
        (person.id, session): table
        for person, result in zip(people, results, strict=True)
        for session, table in result.fits.items()
    }
    _write_page(study, chosen, estimates, rates, tstars, many, fits, failed)
    return failed


def _rois(study: Study, regions: pd.DataFrame) -> dict[str, list[str]]:
    """Find the regions of every region of interest.

    Raises
    ------
    ConfigError
        If a pattern matches nothing, or the primary outcome is not among the regions.
    """
    names = pd.DataFrame({"name": sorted(set(regions["region"]))})
    rois, problems = {}, []
    for roi, patterns in study.regions_of_interest.items():
        try:
            rois[roi] = select_regions(names, patterns)
        except ConfigError as error:
            where = f"regions_of_interest.{roi}"
            problems += [replace(problem, where=where) for problem in error.problems]
    measure, _, region = study.primary.partition(":")
    if measure == study.pet.outcome and region not in {*study.regions_of_interest, *names["name"]}:
        known = ", ".join(study.regions_of_interest)
        problems.append(
            Problem("primary", region, f"a region of the table, or one of {known}", "correct it")
        )
    if problems:
        raise ConfigError.of(problems)
    return rois


def multiverse(
    estimates: pd.DataFrame,
    study: Study,
    chosen: Sequence[Choice],
    rois: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Describe the change of every region of interest by every choice.

    Parameters
    ----------
    estimates : DataFrame
        As `ESTIMATE_COLUMNS`.
    study : Study
    chosen : sequence of Choice
        The declared one first.
    rois : mapping of name to region names

    Returns
    -------
    DataFrame
        As `MULTIVERSE_COLUMNS`; a row without numbers where fewer than 3 persons are left.
    """
    sessions = {role: f"ses-{getattr(study.sessions, role)}" for role in ("pre", "post")}
    persons = sorted(estimates["participant_id"].unique())
    rows = []
    for number, choice in enumerate(chosen):
        mine = estimates[_is(estimates, choice)]
        for roi, members in rois.items():
            values = (
                mine[mine["region"].isin(members)]
                .pivot_table(
                    index="participant_id", columns=["session_id", "region"], values="value",
                    dropna=False,
                )
                .reindex(persons)
            )  # fmt: skip
            means = {role: _mean(values, label, members) for role, label in sessions.items()}
            both = pd.DataFrame(means).dropna()
            row = {"choice": choice.label, "measure": choice.measure(study).upper()}
            row |= {"declared": number == 0, "roi": roi}
            row |= {"n": len(both), "lost": len(persons) - len(both)}
            effect = _effect(both, study, tested=number == 0)
            if row["measure"] == "BPND" and both["pre"].min() < LEAST_BPND:
                effect["percent"] = float("nan")  # of almost nothing
            rows.append(row | effect)
    return pd.DataFrame(rows)


def _mean(values: pd.DataFrame, session: str, members: Sequence[str]) -> pd.Series[float]:
    columns = pd.MultiIndex.from_product([[session], list(members)])
    return values.reindex(columns=columns).mean(axis=1, skipna=False)


def _effect(both: pd.DataFrame, study: Study, *, tested: bool) -> dict[str, float]:
    """Describe the change; only the declared choice is tested."""
    pre, post = both["pre"].to_numpy()[:, None], both["post"].to_numpy()[:, None]
    try:
        found = paired_effects(pre, post)
        chance = sign_flip(
            post - pre, permutations=study.inference.permutations, seed=study.inference.seed
        )
    except StatisticsError:  # too few persons: the row says how many
        return dict.fromkeys(("change", "percent", "g", "g_low", "g_high", "p"), float("nan"))
    names = ("change", "percent", "g", "g_low", "g_high")
    effect = {name: float(getattr(found, name)[0]) for name in names}
    return effect | {"p": float(chance.p[0]) if tested else float("nan")}


def _is(estimates: pd.DataFrame, choice: Choice) -> pd.Series[bool]:
    window = "" if choice.window_min is None else "{:g}-{:g}".format(*choice.window_min)
    wanted = dict(zip(KEY, (choice.model, window, choice.reference, choice.pvc), strict=True))
    return np.logical_and.reduce([estimates[key] == value for key, value in wanted.items()])


def _write_group(
    study: Study,
    declared: Choice,
    estimates: pd.DataFrame,
    rates: pd.DataFrame,
    base: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    """Add the declared choice to ``group/regions.tsv`` and ``group/sessions.tsv``."""
    group = group_folder(study)
    keys = ["participant_id", "session_id"]
    measure = study.pet.outcome
    mine = estimates[_is(estimates, declared)].rename(columns={"value": measure})
    wanted = [measure] if declared.model == "SUVR" else [measure, "r1"]
    regions, sessions = base
    kept = [name for name in regions if name not in wanted]
    regions = regions[kept].merge(
        mine[[*keys, "region", *wanted]], on=[*keys, "region"], how="left"
    )
    own = [f"{measure}_grey", "k2prime", "k2prime_se"]
    sessions = sessions.drop(columns=[name for name in own if name in sessions])
    sessions = sessions.merge(_global(regions, measure), on=keys, how="left")
    if MODELS[declared.model].needs_k2prime and not rates.empty:
        used = rates[(rates["reference"] == declared.reference) & (rates["pvc"] == declared.pvc)]
        sessions = sessions.merge(used[[*keys, "k2prime", "k2prime_se"]], on=keys, how="left")
    columns = {
        measure: {"Description": f"{measure} by {declared.label}; missing where excluded"},
        "r1": ESTIMATE_COLUMNS["r1"],
        f"{measure}_grey": {"Description": f"Volume-weighted mean {measure} of all grey matter"},
    }
    write_table(regions, group / "regions.tsv", {**region_columns(), **columns})
    write_table(sessions, group / "sessions.tsv", {**SESSION_COLUMNS, **RATE_COLUMNS, **columns})


def _global(regions: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Average a measure over all grey matter that has it, by volume."""
    rows = []
    for (participant, session), table in regions.groupby(["participant_id", "session_id"]):
        row = {"participant_id": participant, "session_id": session, f"{measure}_grey": np.nan}
        known = table.dropna(subset=["volume_mm3"])
        known = known[known["volume_mm3"] > 0].set_index("region")
        if len(known) and known[measure].notna().any():
            try:
                row[f"{measure}_grey"] = volume_weighted_mean(
                    known[measure], known["volume_mm3"], f"{participant} {session}: grey matter"
                )
            except DatasetError as error:
                print(f"warning: {error} The session has no global mean.", file=sys.stderr)
        rows.append(row)
    return pd.DataFrame(rows)


def _write_page(
    study: Study,
    chosen: Sequence[Choice],
    estimates: pd.DataFrame,
    rates: pd.DataFrame,
    tstars: pd.DataFrame,
    many: pd.DataFrame,
    fits: Mapping[tuple[str, str], pd.DataFrame],
    failed: Sequence[str],
) -> None:
    from petfmri.reports.quantify_page import quantify_page, verdict

    declared = chosen[0]
    mine = estimates[_is(estimates, declared)]
    folder = group_folder(study, "quantify")
    said = verdict(many, mine, declared.label)
    quantify_page(
        mine,
        rates,
        tstars,
        many,
        fits,
        study=study.name,
        declared=declared.label,
        verdict=said,
        notes=[*_notes(study, chosen), *_doubts(rates, estimates, study)],
        failed=failed,
        excluded=estimates[estimates["excluded"]],
    ).save(folder / "quantify.html")
    write_text(said + "\n", folder / "verdict.txt")
    write_overview(study)


def _doubts(rates: pd.DataFrame, estimates: pd.DataFrame, study: Study) -> list[str]:
    """Say which k2' are not to be relied upon."""
    notes = []
    own = rates[rates["n_curves"] > 0] if not rates.empty else rates
    if own.empty or study.pet.k2prime != "scan":
        return notes
    n_grey = estimates[estimates["grey"]].groupby("session_id")["region"].nunique().max()
    few = own[own["n_curves"] < FEWEST * n_grey]
    if len(few):
        scans = ", ".join(f"{r.participant_id} {r.session_id}" for r in few.itertuples())
        notes.append(
            f"k2' rests on less than half of the regions, because SRTM fits no more, in: {scans}. "
            "The models may not describe these scans."
        )
    wide = own.pivot_table(
        index=["participant_id", "reference", "pvc"], columns="session_id", values="k2prime"
    )
    if wide.shape[1] == 2:
        ratio = np.abs(np.log(wide.iloc[:, 1] / wide.iloc[:, 0]))
        far = sorted(set(ratio[ratio > np.log(LARGEST_RATIO)].index.get_level_values(0)))
        if far:
            notes.append(
                f"k2' differs between the sessions by more than a factor of {LARGEST_RATIO:g} in: "
                f"{', '.join(far)}. Blood flow hardly changes by that much."
            )
    notes.append("Standard errors of SRTM2, MRTM2 and Logan with k2' take k2' as exact.")
    return notes


def _notes(study: Study, chosen: Sequence[Choice]) -> list[str]:
    """Say what these models can and cannot tell apart."""
    notes = []
    models = {choice.model for choice in chosen}
    setting = study.pet.k2prime
    if any(MODELS[name].needs_k2prime for name in models):
        if setting == "scan":
            notes.append(
                "k2' of each scan comes from all its regions. It scales with the blood flow of the "
                "reference region, so that a change of flow everywhere does not pass for a change "
                "of binding."
            )
        elif setting == "none":
            notes.append("refLogan without k2' reads low wherever the reference clears slowly.")
        else:
            how = "shared by both sessions" if setting == "shared" else "fixed"
            source = (
                ""
                if isinstance(setting, str)
                else f" ({setting.value:g} per min, {setting.source})"
            )
            notes.append(
                f"k2' is {how}{source}. If the dose changes blood flow everywhere, k2' changes with "
                "it, and DVR then moves without any change of binding: by about +2.7 % for +10 % "
                "flow with [11C]UCB-J. Compare R1 and k2' per scan."
            )
    if "SUVR" in models:
        notes.append(
            "SUVR follows blood flow: +10 % in the target alone raises it by about 3.4 % at 60-90 "
            "min with [11C]UCB-J, with binding unchanged."
        )
    if models & {"MRTM2", "refLogan", "Logan"}:
        notes.append(
            "Standard errors of MRTM2 and Logan are not calibrated: they leave out the noise of the "
            "integrals, and Logan reads low when curves are noisy (docs/validation/pet.md says how "
            "often intervals cover)."
        )
    if any(choice.reference == "semiovale" for choice in chosen):
        notes.append(
            "Uptake in the centrum semiovale is 35-40 % above the non-displaceable, mostly by "
            "spill-in from grey matter: BP_ND is too low in absolute terms; its change is what counts."
        )
    if any(choice.pvc != "none" for choice in chosen):
        notes.append(
            "Corrections for partial volumes amplify noise and errors of segmentation: across "
            "sessions they are a sensitivity analysis."
        )
    if petprep_curves(study) is None and chosen[0].pvc != "none":
        notes.append("There are no maps: voxels are not corrected for partial volumes.")
    if len(chosen) > 1:
        notes.append(
            f"{len(chosen)} choices are shown; only the declared one is tested. The others say "
            "whether it hangs on the choice."
        )
    return notes
