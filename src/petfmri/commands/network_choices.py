"""The declared way to measure networks, and the others of a multiverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from petfmri.bold.censoring import Censoring
from petfmri.bold.denoise import Cleaning
from petfmri.bold.strategies import with_global_signal
from petfmri.config import AtlasFiles, Study
from petfmri.errors import StatisticsError
from petfmri.statistics.effects import paired_effects

MULTIVERSE_COLUMNS = {
    "metric": {"Description": "Network metric"},
    "choice": {"Description": "Strategy, censoring and atlas"},
    "declared": {"Description": "Whether it is the choice of the study"},
    "n": {"Description": "Persons with both sessions"},
    "lost": {"Description": "Persons scanned in both whom this choice leaves without one of them"},
    "pre": {"Description": "Mean before"},
    "post": {"Description": "Mean after"},
    "change": {"Description": "Mean of post minus pre"},
    "percent": {"Description": "Mean over persons of 100 (post - pre) / pre", "Units": "%"},
    "g": {"Description": "Hedges g of the paired change"},
    "g_low": {"Description": "Lower end of its 95 % interval"},
    "g_high": {"Description": "Upper end of its 95 % interval"},
}


@dataclass(frozen=True)
class NetworkChoice:
    """One way to measure networks.

    Attributes
    ----------
    strategy : str
    scrub : bool
        Whether frames are censored.
    atlas : str or AtlasFiles
    """

    strategy: str
    scrub: bool
    atlas: str | AtlasFiles

    def label(self, atlas: str, *, clean: bool) -> str:
        """In words, for tables and figures; of series that were clean when read, that alone."""
        done = (
            ("as given",) if clean else (self.strategy, "scrubbed" if self.scrub else "all frames")
        )
        return ", ".join((*done, atlas))

    def cleaning(self, declared: Cleaning) -> Cleaning:
        """Change what this choice changes."""
        usual = declared.censoring if declared.censoring.censors else Censoring()
        nothing = Censoring(fd_threshold_mm=None)
        return replace(declared, strategy=self.strategy, censoring=usual if self.scrub else nothing)


def network_choices(study: Study) -> list[NetworkChoice]:
    """List the declared choice first, then every other combination, each once."""
    many, censors = study.multiverse, study.bold.fd_threshold_mm is not None
    censors = censors or study.bold.dvars_threshold is not None
    strategies = [
        strategy if wanted is None else with_global_signal(strategy, wanted)
        for strategy, wanted in product(
            many.strategy or (study.bold.strategy,), many.global_signal or (None,)
        )
    ]
    combinations = product(strategies, many.scrub or (censors,), many.atlas or (study.atlas,))
    declared = NetworkChoice(study.bold.strategy, censors, study.atlas)
    return list(dict.fromkeys([declared, *(NetworkChoice(*each) for each in combinations)]))


def described(
    label: str,
    sessions: pd.DataFrame,
    metrics: Sequence[str],
    people: Sequence[str],
    *,
    declared: bool,
) -> list[dict[str, object]]:
    """Describe the change of every metric by one choice: effects, and no test.

    Parameters
    ----------
    label : str
        Of the choice.
    sessions : DataFrame
        participant_id, role, and the metrics that this choice gives.
    metrics : sequence of str
    people : sequence of str
        Those who were scanned in both sessions.
    declared : bool

    Returns
    -------
    list of dict
        Columns as `MULTIVERSE_COLUMNS`, without numbers where nobody is left; no effect size below
        3 persons, no percent where a value before is zero or negative.
    """
    rows = []
    for metric in metrics:
        values = pd.DataFrame(index=list(people), columns=["pre", "post"], dtype=float)
        if metric in sessions:
            found = sessions.pivot_table(index="participant_id", columns="role", values=metric)
            values = found.reindex(index=list(people), columns=["pre", "post"])
        values = values.dropna()
        row: dict[str, object] = {"metric": metric, "choice": label, "declared": declared}
        row |= {"n": len(values), "lost": len(people) - len(values)}
        row |= dict.fromkeys(("pre", "post", "change", "percent"), float("nan"))
        if len(values):
            pre, post = values["pre"], values["post"]
            row |= {"pre": pre.mean(), "post": post.mean(), "change": (post - pre).mean()}
            if (pre > 0).all():
                row["percent"] = (100 * (post - pre) / pre).mean()
        rows.append({**row, **_effect(values)})
    return rows


def _effect(values: pd.DataFrame) -> dict[str, float]:
    names = ("g", "g_low", "g_high")
    try:
        found = paired_effects(
            values["pre"].to_numpy()[:, None], values["post"].to_numpy()[:, None]
        )
    except StatisticsError:  # too few persons: the row says how many
        return dict.fromkeys(names, float("nan"))
    return {name: float(getattr(found, name)[0]) for name in names}
