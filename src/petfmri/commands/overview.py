"""The overview page: written anew by every verb that adds a result."""

from __future__ import annotations

from collections.abc import Sequence

from petfmri.commands.context import group_folder, resolved
from petfmri.config import Study
from petfmri.study.files import read_table

PAGES = (
    ("How is SV2A measured, and does that matter?", "quantify", "quantify.html"),
    ("Did networks desynchronize?", "networks", "networks.html"),
    ("What changed from pre to post?", "compare", "compare.html"),
    ("Does imaging predict symptoms?", "predict", "predict.html"),
    ("Which network do published coordinates share?", "localize", "localize.html"),
)


def write_overview(study: Study, *, failures: Sequence[str] = ()) -> None:
    """Write ``index.html`` from the results that are there."""
    from petfmri.reports.index_page import index_page

    answers = []
    for question, part, page in PAGES:
        path = group_folder(study, part) / page
        if path.exists():
            answer = (path.parent / "verdict.txt").read_text(encoding="utf-8").strip()
            if part == "compare" and study.crossover is not None:
                question = f"What did {study.crossover.treatments[0]} do, beside {study.crossover.treatments[1]}?"
            answers.append((question, answer, str(path.relative_to(study.output))))
    described = group_folder(study) / "sessions.tsv"
    sessions = read_table(described) if described.exists() else None
    recovered = group_folder(study) / "recovered.tsv"
    truth = read_table(recovered) if recovered.exists() else None
    pages = {path.stem: path.name for path in sorted(study.output.glob("sub-*.html"))}
    index_page(
        sessions,
        study=study.name,
        answers=answers,
        failures=failures,
        truth=truth,
        configuration=resolved(study),
        participants=pages,
    ).save(study.output / "index.html")
