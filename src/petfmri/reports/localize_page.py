"""The page of `petfmri localize`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from petfmri.reports import localize_figures as figures
from petfmri.reports.page import Page
from petfmri.typing import FloatArray

PREVIEW = "Preview: threshold on mean r, no inference."
CLUSTERS = {
    "cluster": "cluster", "voxels": "voxels", "x_mm": "x (mm)", "y_mm": "y", "z_mm": "z",
    "probability": "share of contrasts", "region": "region at the peak",
}  # fmt: skip
SPECIFICITY = {
    "direction": "direction", "voxels": "voxels", "null_median": "random: median",
    "null_low": "2.5 %", "null_high": "97.5 %", "p_size": "p of size", "places_p05": "p ≤ .05",
    "places_fwe": "FWE p ≤ .05", "least_p_fwe": "least FWE p", "p_smallest": "smallest p",
}  # fmt: skip
SIMILARITY = {
    "direction": "direction", "reference": "reference", "method": "correlation", "r": "r",
    "null_mean": "random: mean", "null_low": "2.5 %", "null_high": "97.5 %", "p": "p",
}  # fmt: skip
LABELS = {
    "first": "first", "second": "second", "p_maps": "p of the maps", "places_fwe": "family-wise p ≤ .05",
    "least_p_fwe": "least family-wise p", "arrangements": "arrangements", "exact": "all of them",
    "p_smallest": "smallest p",
}  # fmt: skip
STUDIES = {
    "study": "left out", "direction": "direction", "contrasts": "its contrasts", "voxels": "voxels",
    "dice": "Dice", "share_kept": "part of the map that stays",
}  # fmt: skip
VARIANTS = {
    "radius_mm": "radius (mm)", "share": "share", "direction": "direction", "voxels": "voxels",
    "dice": "Dice", "declared": "declared",
}  # fmt: skip
PEAKS = {
    "name": "contrast", "file": "file", "row": "row", "x_mni": "x", "y_mni": "y", "z_mni": "z",
    "used": "what became of it",
}  # fmt: skip


def localize_page(
    tables: Mapping[str, pd.DataFrame],
    pictures: Mapping[str, Mapping[str, FloatArray]],
    *,
    study: str,
    said: str,
    notes: Sequence[str],
    people: int,
    preview: bool,
    overlap: float,
    configuration: str,
) -> Page:
    """Assemble the page.

    Parameters
    ----------
    tables : mapping of name to DataFrame
        As `petfmri localize` writes them; those without rows are absent.
    pictures : mapping of direction to arrays
        See `localize_figures.slices`.
    study, said : str
        Name of the study, and the verdict.
    notes : sequence of str
    people : int
        Normative people.
    preview : bool
        Whether nothing is tested.
    overlap : float
    configuration : str
    """
    title = "Which network do published coordinates share?"
    kicker = f"{study}. {PREVIEW}" if preview else f"{study}: {people} normative people"
    page = Page(title, kicker, said, [("Overview", "../../index.html")])
    page.section("What this rests on").bullets(_caveats(tables, preview, overlap) + list(notes))
    for direction, picture in pictures.items():
        _network(page, direction, picture, tables, overlap, preview)
    _places(page, tables["networks"], preview)
    if not preview:
        _specific(page, tables)
    _robust(page, tables, preview)
    section = page.section("Contrasts")
    section.table(tables["contrasts"], caption=_labelled("One row per contrast", preview))
    lost = tables["peaks"][tables["peaks"]["used"] != "sphere"]
    if len(lost):
        section.table(lost, caption="Peaks without a sphere of their own", names=PEAKS)
    if "excluded" in tables:
        page.section("Left out").table(tables["excluded"], caption="Normative runs, and why")
    page.section("Configuration").code("Every setting, defaults included", configuration)
    return page


def verdict(tables: Mapping[str, pd.DataFrame], *, preview: bool, overlap: float) -> str:
    """Say in a few sentences what was found and what it is worth."""
    told = [PREVIEW] if preview else []
    contrasts = tables["contrasts"]
    for direction, rows in contrasts.groupby("direction", sort=False):
        own = tables["networks"][tables["networks"]["direction"] == direction]
        inside = int(own["voxels"].sum())
        counted = f"{len(rows)} contrasts of {rows['study'].nunique()} studies"
        text = f"{str(direction).capitalize()}, {counted}: "
        if not inside:
            told.append(f"{text}no cluster of places is reached by {overlap:.0%} of them.")
            continue
        named = own[own["network"] != "none"].nlargest(2, "share_of_map")
        where = ", ".join(f"{row.network} {row.share_of_map:.0%}" for row in named.itertuples())
        text += f"{inside} voxels, in clusters, are reached by {overlap:.0%} of them (largest parts: {where})."
        told.append(text if preview else f"{text} {_judged(tables, str(direction))}")
    if "labels" in tables:
        row = tables["labels"].iloc[0]
        told.append(
            f"The maps of {row['first']} and {row['second']} "
            f"{'differ' if row['p_maps'] <= 0.05 else 'are not shown to differ'} "
            f"(labels permuted, p = {row['p_maps']:.2g}, smallest possible {row['p_smallest']:.2g})."
        )
    return " ".join(told)


def _judged(tables: Mapping[str, pd.DataFrame], direction: str) -> str:
    """Compare with random coordinates and with the hubs."""
    judged = tables["specificity"].set_index("direction").loc[direction]
    large = judged["p_size"] <= 0.05
    text = (
        f"Random coordinates give {judged['null_median']:.0f} voxels in the median, as many as "
        f"these or more in {100 * judged['p_size']:.3g} % of draws: its size "
        f"{'exceeds theirs' if large else 'is below theirs' if judged['p_size'] >= 0.95 else 'says nothing'}. "
    )
    n = int(judged["places_fwe"])
    text += (
        f"{n} places exceed random coordinates, family-wise p ≤ .05."
        if n
        else f"No place exceeds random coordinates (least family-wise p = {judged['least_p_fwe']:.2g})."
    )
    similar = tables["similarity"]
    degree = similar[
        (similar["direction"] == direction)
        & (similar["reference"] == "degree")
        & (similar["method"] == "pearson")
    ]
    for row in degree.itertuples():
        text += f" Likeness to the connectome's degree: r = {row.r:.2f}, random {row.null_mean:.2f}"
        text += f" (p = {row.p:.2g})."
    return text


def _caveats(tables: Mapping[str, pd.DataFrame], preview: bool, overlap: float) -> list[str]:
    if preview:
        return [f"{PREVIEW} Neither maps nor tables of this page hold a p value."]
    connected = tables["contrasts"]["share_connected"].median()
    return [
        f"{connected:.0%} of all places pass the t test of the median contrast here; with several "
        "hundred normative people nearly every place with a positive mean does. The overlap of "
        f"{overlap:.0%} of contrasts selects, and it selects hubs whatever the coordinates. Hence "
        "the null: what as many random coordinates give by the same steps.",
    ]


def _labelled(text: str, preview: bool) -> str:
    return f"{PREVIEW} {text}" if preview else text


def _network(
    page: Page,
    direction: str,
    picture: Mapping[str, FloatArray],
    tables: Mapping[str, pd.DataFrame],
    overlap: float,
    preview: bool,
) -> None:
    section = page.section(f"Network of {direction}")
    caption = (
        "Above: share of contrasts connected to each place. Below: where it is at least "
        f"{overlap:.0%}, in large enough clusters. Left is left."
    )
    section.figure(
        figures.slices(picture, overlap=overlap),
        caption=_labelled(caption, preview),
        alt=f"Axial slices of the probability and network map of {direction}",
        photo=True,
    )
    clusters = tables.get("clusters")
    own = clusters[clusters["direction"] == direction] if clusters is not None else pd.DataFrame()
    if len(own):
        section.table(own, caption=_labelled("Clusters, largest first", preview), names=CLUSTERS)
    else:
        section.text("No cluster.")


def _places(page: Page, table: pd.DataFrame, preview: bool) -> None:
    shown = table[table["network"] != "none"]
    page.section("In which networks does it lie?").text(
        "Both parts are needed: a large network holds a large part of any map."
    ).figure(
        figures.shares(shown),
        caption=_labelled("Networks of the atlas", preview),
        alt="Bars of the part of the map in each network, and of each network in the map",
    ).table(table, caption=_labelled("The same in numbers", preview))


def _specific(page: Page, tables: Mapping[str, pd.DataFrame]) -> None:
    section = page.section("Is it more than any coordinates give?")
    section.text(
        "As many peaks per contrast at random places of the mask, then the same spheres, people, "
        "thresholds, overlap and clusters. A map that is not larger than theirs may still lie "
        "elsewhere: the family-wise p is of places, relative to what random coordinates reach there."
    ).figure(
        figures.null_sizes(tables["null"], tables["specificity"]),
        caption="Size of the map: random coordinates (grey) and the published ones (line)",
        alt="Histogram of sizes of maps of random coordinates with the observed size",
    ).table(
        tables["specificity"],
        caption="Against random coordinates: size of the map, places of the map with uncorrected p ≤ .05, "
        "and places anywhere with family-wise p ≤ .05",
        names=SPECIFICITY,
    )
    section = page.section("Is it more than the hubs of the connectome?")
    section.text(
        "Maps of random coordinates resemble the degree of the connectome as well: a large "
        "correlation alone says nothing. p asks whether the map resembles it more, or less, than "
        "theirs do. Signs of gradients are arbitrary."
    ).figure(
        figures.similarities(tables["similarity"]),
        caption="Likeness to degree and gradients of the same people's connectome",
        alt="Observed correlations beside the range of random coordinates",
    ).table(tables["similarity"], caption="The same in numbers", names=SIMILARITY)
    if "labels" in tables:
        page.section("Do increase and decrease differ?").text(
            "Labels are moved between contrasts; the maps of the contrasts stay. Sets that differ "
            "in peaks per contrast or in sample sizes differ for that reason, too."
        ).table(tables["labels"], caption="Permutation of labels", names=LABELS)


def _robust(page: Page, tables: Mapping[str, pd.DataFrame], preview: bool) -> None:
    section = page.section("Does it hang on one study, or on the settings?")
    if "studies" in tables:
        section.table(
            tables["studies"].sort_values("dice"),
            caption=_labelled("Without each study, the most influential first", preview),
            names=STUDIES,
        )
    section.table(
        tables["variants"],
        caption=_labelled("Other radii and shares of contrasts, beside the declared map", preview),
        names=VARIANTS,
    )
