"""What `petfmri networks` cannot do with a configuration, said before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from petfmri.bold.censoring import kept_frames
from petfmri.bold.strategies import strategy_columns
from petfmri.commands.context import cleaning_of, config_problems, group_folder, rois_of
from petfmri.commands.network_choices import NetworkChoice
from petfmri.commands.network_inputs import SOURCES, Loaded, source_of
from petfmri.commands.stale import stale
from petfmri.config import Study
from petfmri.errors import DenoisingError, Problem
from petfmri.networks.gradients import GRADIENT_METRICS
from petfmri.networks.registry import metrics_for
from petfmri.statistics.pairing import did_you_mean


def network_problems(study: Study) -> list[Problem]:
    """Find what cannot be done with this configuration, before anything is read."""
    source, problems = source_of(study), []
    if source == "run":
        problems += config_problems(study) + stale(study, "run")
        if not (group_folder(study) / "sessions.tsv").exists():
            found = Problem(
                str(group_folder(study)), "no sessions.tsv", "a run", "call `petfmri run` first"
            )
            problems.append(found)
    elif source == "fmriprep" and study.derivatives.fmriprep is None:
        problems.append(
            Problem(
                "derivatives",
                "no series of BOLD",
                "bids: with `petfmri run`, derivatives: fmriprep: or xcpd:, or series:",
                "name one",
            )
        )
    clean = source == "xcpd" or (study.series is not None and study.series.confounds is None)
    many = study.multiverse
    if clean and (many.strategy or many.global_signal or many.scrub):
        problems.append(
            Problem(
                "multiverse",
                "strategies, global_signal or scrub",
                "none: the series are clean already",
                "start from fMRIPrep or raw BOLD for these",
            )
        )
    if source in ("run", "series") and set(many.atlas) - {study.atlas}:
        problems.append(
            Problem(
                "multiverse.atlas",
                f"other atlases than that of {SOURCES[source]}",
                f"only {study.atlas}",
                "start from fMRIPrep's or XCP-D's derivatives for several atlases",
            )
        )
    sv2a = study.connectivity.sv2a
    many_ways = any(getattr(many, name) for name in ("strategy", "global_signal", "scrub", "atlas"))
    if study.crossover is not None and (many_ways or sv2a in ("own", "group")):
        problems.append(
            Problem(
                "multiverse" if many_ways else "connectivity.sv2a",
                "several ways of denoising" if many_ways else f"{sv2a}, the map before one dose",
                "one way, in a crossover" if many_ways else "the path of a map, in a crossover",
                "leave it out",
            )
        )
    if sv2a in ("own", "group") and source != "run":
        problems.append(
            Problem(
                "connectivity.sv2a",
                f"{sv2a} with {SOURCES[source]}",
                "the path of a map in MNI152NLin2009cAsym: only `petfmri run` measures SV2A itself",
                "name a map, or leave it out",
            )
        )
    if isinstance(sv2a, Path) and source in ("series", "xcpd"):
        problems.append(
            Problem(
                "connectivity.sv2a",
                f"a map with {SOURCES[source]}, whose parcels have no image",
                "`petfmri run` or fMRIPrep's BOLD",
                "leave it out",
            )
        )
    return problems


def network_name_problems(study: Study, loaded: Loaded) -> list[Problem]:
    """Find networks that an atlas does not have."""
    known = set(loaded.atlas["network"])
    unknown = [name for name in study.networks or () if name not in known]
    if not unknown:
        return []
    expected = f"of {', '.join(sorted(known))}, those of {loaded.name}"
    return [Problem("networks", ", ".join(unknown), expected, "correct the names")]


def name_problems(study: Study, loaded: Loaded) -> list[Problem]:
    """Find names in the configuration that the atlas or the metrics do not have."""
    problems = network_name_problems(study, loaded)
    found = rois_of(study, list(loaded.atlas["name"]))
    for roi, patterns in study.regions_of_interest.items():
        if roi not in found and "regions_of_interest" in study.model_fields_set:
            problems.append(
                Problem(
                    f"regions_of_interest.{roi}",
                    f"no region like {' or '.join(patterns)}",
                    f"regions of {loaded.name}, such as {loaded.atlas['name'].iloc[0]}",
                    "correct the patterns",
                )
            )
    metrics = [metric.name for metric in metrics_for(list(loaded.atlas["network"]), list(found))]
    metrics += [metric.name for metric in GRADIENT_METRICS]
    if study.primary and study.bids is None and study.primary not in metrics:
        expected = "a network metric"
        remedy = did_you_mean(study.primary, metrics)
        problems.append(Problem("primary", study.primary, expected, remedy))
    return problems


def strategy_problems(
    study: Study, loaded: Loaded, chosen: Sequence[NetworkChoice]
) -> list[Problem]:
    """Find choices whose columns a run's confounds lack, before anything is computed."""
    problems = []
    cleanings = dict.fromkeys(
        (choice.strategy, choice.cleaning(cleaning_of(study.bold)).censoring) for choice in chosen
    )
    for run in loaded.runs:
        if run.confounds is None:
            continue
        present = list(map(str, run.confounds.columns))
        for strategy, censoring in cleanings:
            try:
                strategy_columns(strategy, present, f"{run.name}: {strategy}")
                kept_frames(run.confounds, censoring, dummy=run.dummy, where=run.name)
            except DenoisingError as error:
                problems += error.problems
    return list(dict.fromkeys(problems))
